//! The comparison, for people or as JSON.

use std::fmt;
use std::io::Write;

use framewire_figures::summary::LatencyMs;
use framewire_process::exit::Failure;
use framewire_process::logs;
use framewire_transport::BackendKind;
use serde::{Serialize, Serializer};

use super::args::BenchArgs;
use super::contender::Contender;
use super::sealing::{self, Sealing};

/// What a contender did in one round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    pub(super) frames: u64,
    pub(super) frames_lost: u64,
    /// Of the frames that came through; where they were not touched ([`Contender::moves_bytes`]), of what was handed over.
    pub(super) gigabytes_per_second: f64,
    pub(super) frames_per_second: f64,
    /// Of both ends.
    pub(super) cpu_seconds_per_gigabyte: f64,
    pub(super) cpu_seconds: CpuSeconds,
    pub(super) cpu_us_per_frame: CpuUsPerFrame,
    /// From sent to complete, at the steady rate.
    pub(super) latency_ms: Option<LatencyMs>,
    pub(super) backend: Option<BackendKind>,
    pub(super) slice_bytes: Option<u16>,
}

/// Processor time of each end at full rate.
#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub(super) struct CpuSeconds {
    pub(super) sender: f64,
    pub(super) receiver: f64,
}

/// Microseconds of processor time that a frame takes at both ends together.
#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub(super) struct CpuUsPerFrame {
    pub(super) full_rate: f64,
    /// At the steady rate, where both ends sleep between frames: waking and falling asleep are in it.
    pub(super) steady: f64,
}

/// All contenders over all rounds.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub(super) struct Report {
    frame: String,
    /// Frames a second while latency was measured.
    rate: u32,
    /// The readers in memory did not sleep.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    busy_poll: bool,
    /// Of Framewire's frames, beside the pixels; absent where they have none.
    #[serde(skip_serializing_if = "is_none")]
    metadata_bytes: u16,
    rounds: usize,
    contenders: Vec<Line>,
    /// Absent where nothing is protected.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealing: Option<Sealed>,
}

/// What one core seals, and how far a protected stream comes with that.
#[derive(Debug, Clone, Serialize, PartialEq)]
struct Sealed {
    suite: &'static str,
    rates: Vec<Sealing>,
    /// What a protected stream could reach at best, where the plain one was measured, too: both one after the other on one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound_gigabytes_per_second: Option<f64>,
    /// What it does, over that.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_bound: Option<f64>,
}

/// A contender over all rounds: frames are sums, everything else medians.
#[derive(Debug, Clone, Serialize, PartialEq)]
struct Line {
    name: Contender,
    frames: u64,
    frames_lost: u64,
    /// Absent where no byte is moved, as what a gigabyte costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    gigabytes_per_second: Option<f64>,
    frames_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_seconds_per_gigabyte: Option<f64>,
    cpu_seconds: CpuSeconds,
    cpu_us_per_frame: CpuUsPerFrame,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<LatencyMs>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "by_name")]
    backend: Option<BackendKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slice_bytes: Option<u16>,
    /// Its rate over the bare kernel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_kernel: Option<f64>,
    /// The rate of two processes over that of the same loops in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_memory: Option<f64>,
}

fn is_none(bytes: &u16) -> bool {
    *bytes == 0
}

impl Report {
    /// Of at least one round, each with a figure for each of the contenders.
    pub(super) fn new(args: &BenchArgs, contenders: &[Contender], rounds: &[Vec<Measured>]) -> Self {
        let at = |name: Contender| contenders.iter().position(|contender| *contender == name);
        let (kernel, memory) = (at(Contender::Kernel), at(Contender::Memory));
        let rate = |at: usize| median(rounds.iter().map(|round| round[at].gigabytes_per_second)).unwrap_or_default();
        let line = |(at, name): (usize, &Contender)| {
            let median_of =
                |figure: &dyn Fn(&[Measured]) -> Option<f64>| median(rounds.iter().filter_map(|round| figure(round)));
            let of_latency = |part: fn(&LatencyMs) -> f64| median_of(&|round| round[at].latency_ms.as_ref().map(part));
            let middle =
                |figure: fn(&Measured) -> f64| median_of(&|round| Some(figure(&round[at]))).unwrap_or_default();
            Line {
                name: *name,
                frames: rounds.iter().map(|round| round[at].frames).sum(),
                frames_lost: rounds.iter().map(|round| round[at].frames_lost).sum(),
                gigabytes_per_second: name.moves_bytes().then(|| rate(at)),
                frames_per_second: middle(|measured| measured.frames_per_second),
                cpu_seconds_per_gigabyte: name
                    .moves_bytes()
                    .then(|| middle(|measured| measured.cpu_seconds_per_gigabyte)),
                cpu_seconds: CpuSeconds {
                    sender: middle(|measured| measured.cpu_seconds.sender),
                    receiver: middle(|measured| measured.cpu_seconds.receiver),
                },
                cpu_us_per_frame: CpuUsPerFrame {
                    full_rate: middle(|measured| measured.cpu_us_per_frame.full_rate),
                    steady: middle(|measured| measured.cpu_us_per_frame.steady),
                },
                latency_ms: of_latency(|latency| latency.p50).map(|p50| LatencyMs {
                    p50,
                    p99: of_latency(|latency| latency.p99).unwrap_or_default(),
                    p999: of_latency(|latency| latency.p999).unwrap_or_default(),
                    max: of_latency(|latency| latency.max).unwrap_or_default(),
                }),
                backend: rounds.last().and_then(|round| round[at].backend),
                slice_bytes: rounds.last().and_then(|round| round[at].slice_bytes),
                ratio_to_kernel: kernel
                    .filter(|kernel| *kernel != at && name.moves_bytes())
                    .map(|kernel| rate(at) / rate(kernel)),
                ratio_to_memory: memory.filter(|_| *name == Contender::ShmRead).map(|memory| rate(at) / rate(memory)),
            }
        };
        Self {
            frame: args.frame.to_string(),
            rate: args.rate,
            busy_poll: args.busy_poll,
            metadata_bytes: args.metadata_bytes,
            rounds: rounds.len(),
            contenders: contenders.iter().enumerate().map(line).collect(),
            sealing: None,
        }
    }

    /// With what one core sealed after each round.
    pub(super) fn with_sealing(mut self, rounds: &[(&'static str, [Sealing; 2])]) -> Self {
        let Some((suite, sizes)) = rounds.first() else { return self };
        let rates: Vec<_> = (0..sizes.len())
            .map(|at| Sealing {
                payload_bytes: sizes[at].payload_bytes,
                gigabytes_per_second: median(rounds.iter().map(|(_, rates)| rates[at].gigabytes_per_second))
                    .unwrap_or_default(),
            })
            .collect();
        let line = |name: Contender| self.contenders.iter().find(|line| line.name == name);
        let rate = |name: Contender| line(name).and_then(|line| line.gigabytes_per_second);
        // Of the size that is nearest to what was sent.
        let slice_bytes = line(Contender::Protected).and_then(|line| line.slice_bytes).unwrap_or(u16::MAX);
        let nearest = rates.iter().min_by_key(|rate| rate.payload_bytes.abs_diff(slice_bytes.into()));
        let bound = rate(Contender::Framewire)
            .zip(nearest)
            .map(|(plain, nearest)| sealing::bound(plain, nearest.gigabytes_per_second));
        let ratio = bound.zip(rate(Contender::Protected)).map(|(bound, rate)| rate / bound);
        self.sealing = Some(Sealed { suite, rates, bound_gigabytes_per_second: bound, ratio_to_bound: ratio });
        self
    }

    /// Says it on standard output.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        let text = if json {
            serde_json::to_string(self).expect("numbers and names are always JSON")
        } else {
            self.to_string()
        };
        logs::flush();
        writeln!(std::io::stdout(), "{text}")
            .map_err(|error| Failure::runtime(format!("the figures cannot be written to standard output: {error}")))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = if self.rounds == 1 { "1 round".into() } else { format!("medians of {} rounds", self.rounds) };
        write!(f, "{} frames from one process to another, {rounds}", self.frame)?;
        if self.metadata_bytes > 0 {
            write!(f, "; Framewire's with {} bytes of metadata each", self.metadata_bytes)?;
        }
        writeln!(f)?;
        writeln!(f, "{:37}latency at {} frames/s, ms", "", self.rate)?;
        write!(f, "{:11}{:>6}{:>10}{:>10}", "", "GB/s", "/kernel", "CPU s/GB")?;
        write!(f, "{:>8}{:>8}{:>8}{:>8}", "p50", "p99", "p99.9", "max")?;
        for line in &self.contenders {
            write!(f, "\n{line}")?;
            if line.name.is_local() {
                let CpuUsPerFrame { full_rate, steady } = line.cpu_us_per_frame;
                write!(f, "\n{:13}{:.0} frames/s; {full_rate:.1} µs of processor", "", line.frames_per_second)?;
                write!(f, " a frame, {steady:.1} at {} frames/s", self.rate)?;
            }
        }
        if let Some(Sealed { suite, rates, bound_gigabytes_per_second, ratio_to_bound }) = &self.sealing {
            write!(f, "\none core seals with {suite}:")?;
            for Sealing { payload_bytes, gigabytes_per_second } in rates {
                write!(f, "\n{:11}{gigabytes_per_second:>6.2} in slices of {payload_bytes} bytes", "")?;
            }
            if let (Some(bound), Some(ratio)) = (bound_gigabytes_per_second, ratio_to_bound) {
                write!(f, "\n{:11}{bound:>6.2} at best protected: 1/(1/plain + 1/sealing); {ratio:.2} of it", "")?;
            }
        }
        if self.busy_poll && self.contenders.iter().any(|line| line.name.is_local()) {
            write!(f, "\nNeither end of memory, pipe, shm and shm-read slept between frames.")?;
        }
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:11}{:>6}", self.name, figure(self.gigabytes_per_second))?;
        write!(f, "{:>10}{:>10}", figure(self.ratio_to_kernel), figure(self.cpu_seconds_per_gigabyte))?;
        let latency = self.latency_ms;
        for part in [|l: LatencyMs| l.p50, |l: LatencyMs| l.p99, |l: LatencyMs| l.p999, |l: LatencyMs| l.max] {
            write!(f, "{:>8}", figure(latency.map(part)))?;
        }
        if let (Some(backend), Some(slice_bytes)) = (self.backend, self.slice_bytes) {
            write!(f, "\n{:13}{backend}, {slice_bytes}-byte datagrams", "")?;
        }
        if self.frames_lost > 0 {
            write!(f, "\n{:13}{} of {} frames lost", "", self.frames_lost, self.frames + self.frames_lost)?;
        }
        Ok(())
    }
}

/// A figure of two digits behind the point, or of as many as a small one needs.
fn figure(figure: Option<f64>) -> String {
    match figure {
        None => "-".to_owned(),
        Some(small) if small > 0.0 && small < 0.1 => format!("{small:.4}"),
        Some(figure) => format!("{figure:.2}"),
    }
}

/// The middle one, or the mean of the two in the middle.
fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        len if len % 2 == 1 => Some(figures[middle]),
        _ => Some(f64::midpoint(figures[middle - 1], figures[middle])),
    }
}

fn by_name<S: Serializer>(backend: &Option<BackendKind>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&backend.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    fn measured(gigabytes_per_second: f64, latency: Option<f64>) -> Measured {
        Measured {
            frames: 100,
            frames_lost: 0,
            gigabytes_per_second,
            frames_per_second: 50.0 * gigabytes_per_second,
            cpu_seconds_per_gigabyte: 0.25,
            cpu_seconds: CpuSeconds { sender: 0.5, receiver: 0.75 },
            cpu_us_per_frame: CpuUsPerFrame { full_rate: 500.0, steady: 600.0 },
            latency_ms: latency.map(|p50| LatencyMs { p50, p99: 2.0 * p50, p999: 3.0 * p50, max: 4.0 * p50 }),
            backend: Some(BackendKind::Std),
            slice_bytes: Some(1_472),
        }
    }

    fn args(arguments: &[&str]) -> BenchArgs {
        let command = BenchArgs::augment_args(clap::Command::new("bench"));
        let matches = command.try_get_matches_from(["bench", "--frame", "4x4:gray8"].iter().chain(arguments)).unwrap();
        BenchArgs::from_arg_matches(&matches).unwrap()
    }

    fn report() -> Report {
        let rounds = [(4.0, 5.0), (2.0, 2.0), (3.0, 6.0)]
            .map(|(framewire, kernel)| vec![measured(framewire, Some(framewire)), measured(kernel, None)]);
        Report::new(&args(&[]), &[Contender::Framewire, Contender::Kernel], &rounds)
    }

    #[test]
    fn the_object_has_the_medians_of_all_rounds_and_their_ratio() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"frame": "4x4:gray8", "rate": 60, "rounds": 3, "contenders": [
                {"name": "framewire", "frames": 300, "frames_lost": 0, "gigabytes_per_second": 3.0,
                 "frames_per_second": 150.0, "cpu_seconds_per_gigabyte": 0.25,
                 "cpu_seconds": {"sender": 0.5, "receiver": 0.75},
                 "cpu_us_per_frame": {"full_rate": 500.0, "steady": 600.0}, "latency_ms": {"p50": 3.0, "p99": 6.0, "p999": 9.0, "max": 12.0},
                 "backend": "std", "slice_bytes": 1472, "ratio_to_kernel": 0.6},
                {"name": "kernel", "frames": 300, "frames_lost": 0, "gigabytes_per_second": 5.0,
                 "frames_per_second": 250.0, "cpu_seconds_per_gigabyte": 0.25,
                 "cpu_seconds": {"sender": 0.5, "receiver": 0.75},
                 "cpu_us_per_frame": {"full_rate": 500.0, "steady": 600.0}, "backend": "std", "slice_bytes": 1472}]})
        );
    }

    #[test]
    fn the_table_lines_up() {
        let mut report = report();
        report.contenders[1].frames_lost = 2;
        let expected = "\
4x4:gray8 frames from one process to another, medians of 3 rounds
                                     latency at 60 frames/s, ms
             GB/s   /kernel  CPU s/GB     p50     p99   p99.9     max
framewire    3.00      0.60      0.25    3.00    6.00    9.00   12.00
             std, 1472-byte datagrams
kernel       5.00         -      0.25       -       -       -       -
             std, 1472-byte datagrams
             2 of 302 frames lost";
        assert_eq!(report.to_string(), expected);
        assert!(expected.lines().all(|line| line.chars().count() <= 80), "on any terminal");
    }

    #[test]
    fn beside_what_is_protected_stands_what_one_core_seals_and_what_that_allows() {
        let round = vec![measured(6.0, Some(1.0)), measured(1.8, Some(1.0))];
        let rates = |rate| [65_439, 1_404].map(|payload_bytes| Sealing { payload_bytes, gigabytes_per_second: rate });
        let contenders = [Contender::Framewire, Contender::Protected];
        let report = Report::new(&args(&["--protect"]), &contenders, &[round]);
        let report = report.with_sealing(&[("AES-128-GCM", rates(2.0)), ("AES-128-GCM", rates(4.0))]);
        let text = report.to_string();
        let expected = "
one core seals with AES-128-GCM:
             3.00 in slices of 65439 bytes
             3.00 in slices of 1404 bytes
             2.00 at best protected: 1/(1/plain + 1/sealing); 0.90 of it";
        assert!(text.ends_with(expected), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "on any terminal");
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(json["sealing"]["ratio_to_bound"], 0.9);
        assert_eq!(
            json["sealing"]["rates"][1],
            serde_json::json!({"payload_bytes": 1404, "gigabytes_per_second": 3.0})
        );
    }

    #[test]
    fn nothing_is_said_of_spinning_where_nothing_did() {
        let round = vec![measured(3.0, Some(2.0))];
        let told =
            |contender| Report::new(&args(&["--busy-poll"]), &[contender], std::slice::from_ref(&round)).to_string();
        assert!(!told(Contender::Tcp).contains("slept"));
        assert!(told(Contender::Pipe).ends_with("slept between frames."));
    }

    #[test]
    fn what_moves_no_bytes_has_frames_a_second_and_small_figures_keep_their_digits() {
        let local = |rate, p50| Measured { backend: None, slice_bytes: None, ..measured(rate, Some(p50)) };
        let round = vec![local(800.0, 0.0204), local(4.75, 0.02), local(5.0, 0.01)];
        let contenders = [Contender::Shm, Contender::ShmRead, Contender::Memory];
        let report = Report::new(&args(&["--busy-poll", "--rate", "30"]), &contenders, &[round]);
        let expected = "\
4x4:gray8 frames from one process to another, 1 round
                                     latency at 30 frames/s, ms
             GB/s   /kernel  CPU s/GB     p50     p99   p99.9     max
shm             -         -         -  0.0204  0.0408  0.0612  0.0816
             40000 frames/s; 500.0 µs of processor a frame, 600.0 at 30 frames/s
shm-read     4.75         -      0.25  0.0200  0.0400  0.0600  0.0800
             238 frames/s; 500.0 µs of processor a frame, 600.0 at 30 frames/s
memory       5.00         -      0.25  0.0100  0.0200  0.0300  0.0400
             250 frames/s; 500.0 µs of processor a frame, 600.0 at 30 frames/s
Neither end of memory, pipe, shm and shm-read slept between frames.";
        assert_eq!(report.to_string(), expected);
        assert!(expected.lines().all(|line| line.chars().count() <= 80), "on any terminal");
        let json = serde_json::to_value(report).unwrap();
        assert_eq!((&json["busy_poll"], &json["rate"]), (&true.into(), &30.into()));
        assert_eq!(json["contenders"][1]["ratio_to_memory"], 0.95);
        // It moves no byte.
        assert!(json["contenders"][0].get("gigabytes_per_second").is_none());
        assert!(json["contenders"][0].get("cpu_seconds_per_gigabyte").is_none());
        assert!(json["contenders"][0].get("ratio_to_memory").is_none());
    }

    #[test]
    fn a_median_of_two_is_their_mean() {
        assert_eq!(median([3.0, 1.0].into_iter()), Some(2.0));
        assert_eq!(median([3.0, 1.0, 9.0].into_iter()), Some(3.0));
        assert_eq!(median(std::iter::empty()), None);
    }
}
