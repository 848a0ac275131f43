//! How fast frames get from their slots into a `.raw` file with its index, against `dd` with blocks of a frame's size, into `.mcap` and
//! `.nut` files, against that, and whether io_uring would do it faster: every contender in every round, so that the disk's moods hit all of them alike, and
//! medians of the ratios within a round.
//!
//! `cargo bench -p framewire-benches --bench recording -- [--directory DIR] [--rounds N] [--frames N]`; the directory is where
//! files are written and removed again, by default the system's for temporary files.
#![allow(missing_docs)]

use std::fs::{self, File};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use framewire_benches::Picture;
use framewire_sink::{Recorded, SinkSpec};
use framewire_transport::frame::{Frame, FramePool};

/// As many as a stream's pool has.
const SLOTS: usize = 8;
/// What Linux counts processor time in, for programs (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

struct Options {
    directory: PathBuf,
    rounds: usize,
    frames: usize,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self { directory: std::env::temp_dir(), rounds: 7, frames: 250 };
        // What `cargo bench` passes and `cargo test` does not, which only tries whether it runs.
        let mut measuring = false;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} takes a value"));
            match argument.as_str() {
                "--directory" => options.directory = value().into(),
                "--rounds" => options.rounds = value().parse().expect("--rounds takes a number"),
                "--frames" => options.frames = value().parse().expect("--frames takes a number"),
                "--bench" => measuring = true,
                _ => {}
            }
        }
        if !measuring {
            (options.rounds, options.frames) = (1, 3);
        }
        options
    }
}

/// One way to write frames to a file; true where the time includes that they have reached the disk.
type Contender = (&'static str, fn(&Path, &[Frame], usize, bool) -> Duration);

/// Which of the contenders is the raw sink.
const RAW_SINK: usize = 1;

const CONTENDERS: &[Contender] = &[
    ("dd", dd),
    ("sink", |path, frames, count, synced| sink(&SinkSpec::Raw(path.to_owned()), frames, count, synced)),
    ("sink .mcap", |path, frames, count, synced| sink(&SinkSpec::Mcap(path.to_owned(), None), frames, count, synced)),
    ("sink .mcap, 4 MB chunks", |path, frames, count, synced| {
        sink(&SinkSpec::Mcap(path.to_owned(), NonZeroU64::new(4_000_000)), frames, count, synced)
    }),
    ("sink .nut", |path, frames, count, synced| sink(&SinkSpec::Nut(path.to_owned()), frames, count, synced)),
    ("write", write),
    #[cfg(target_os = "linux")]
    ("uring write_at, 1 in flight", |path, frames, count, synced| uring::write_at(path, frames, count, synced, 1)),
    #[cfg(target_os = "linux")]
    ("uring write_at, 4 in flight", |path, frames, count, synced| uring::write_at(path, frames, count, synced, 4)),
    #[cfg(target_os = "linux")]
    ("uring write_fixed", uring::write_fixed),
];

fn main() {
    let options = Options::parse();
    let picture = Picture::full_hd_gray();
    let pool = FramePool::new(SLOTS, picture.bytes()).expect("memory for eight frames");
    let frames: Vec<Frame> = (0..SLOTS as u8)
        .map(|slot| {
            let mut frame = pool.try_acquire().expect("the pool has a slot for each");
            frame.fill(slot);
            frame.freeze()
        })
        .collect();
    let path = options.directory.join(format!("framewire-bench-{}.raw", std::process::id()));
    for (durability, synced) in [("neither synced", false), ("all synced at the end", true)] {
        let mut rates = vec![Vec::new(); CONTENDERS.len()];
        let mut cpu_seconds_per_gb = rates.clone();
        for round in 0..options.rounds {
            // Everyone begins a round once: whoever is first finds disk and memory in another state.
            for at in (0..CONTENDERS.len()).map(|at| (at + round) % CONTENDERS.len()) {
                let (_, contender) = CONTENDERS[at];
                settle(&options.directory);
                let cpu = cpu_seconds();
                let taken = contender(&path, &frames, options.frames, synced);
                let bytes = fs::metadata(&path).expect("the contender made the file").len();
                let pixels = (options.frames * picture.bytes()) as u64;
                assert!(
                    (pixels..=pixels + pixels / 100 + 8_192).contains(&bytes),
                    "every frame is in the file, and little else"
                );
                cpu_seconds_per_gb[at].push((cpu_seconds() - cpu) / (bytes as f64 / 1e9));
                rates[at].push(bytes as f64 / taken.as_secs_f64() / 1e9);
                remove(&path);
            }
        }
        let (frames, rounds) = (options.frames, options.rounds);
        println!(
            "{} into {}, {frames} frames, {durability}, {rounds} rounds:",
            picture.name,
            options.directory.display()
        );
        let (floor, raw) = (rates[0].clone(), rates[RAW_SINK].clone());
        for (((name, _), rates), cpu) in CONTENDERS.iter().zip(rates).zip(cpu_seconds_per_gb) {
            let of = |others: &[f64]| median(rates.iter().zip(others).map(|(rate, other)| rate / other).collect());
            let (of_dd, of_raw) = (of(&floor), of(&raw));
            println!(
                "  {name:<28} {:5.2} GB/s, {of_dd:.2} of dd, {of_raw:.2} of the raw sink, {:.2} CPU s/GB",
                median(rates),
                median(cpu)
            );
        }
    }
}

/// Of this process, the kernel's workers for its ring, and the processes it has waited for.
fn cpu_seconds() -> f64 {
    let ticks = |path| -> Option<u64> {
        let text = fs::read_to_string(path).ok()?;
        let fields = text.rsplit_once(')')?.1;
        // utime, stime, cutime, cstime
        Some(fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum())
    };
    ticks("/proc/self/stat").unwrap_or_default() as f64 / TICKS_PER_SECOND
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Lets the disk finish what the contender before has left to it.
fn settle(directory: &Path) {
    let directory = File::open(directory).expect("the directory can be opened");
    rustix::fs::syncfs(directory).expect("the file system can be synced");
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("the file was made");
    let _ = fs::remove_file(framewire_capture::index_path(path));
}

/// Its own time, without that of starting it.
fn dd(path: &Path, frames: &[Frame], count: usize, synced: bool) -> Duration {
    let mut command = Command::new("dd");
    command.args(["if=/dev/zero", &format!("bs={}", frames[0].len()), &format!("count={count}")]);
    command.arg(format!("of={}", path.display())).args(synced.then_some("conv=fsync")).env("LC_ALL", "C");
    let output = command.output().expect("dd is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    // "… copied, 0.25 s, 1.9 GB/s"
    let seconds = said.split(", ").find_map(|word| word.strip_suffix(" s")?.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("dd says no time: {said}")))
}

/// What a server does, with the index of a raw file, from opening to closing.
fn sink(spec: &SinkSpec, frames: &[Frame], count: usize, synced: bool) -> Duration {
    let format = Picture::full_hd_gray().format;
    let started = Instant::now();
    let mut sink = spec.open_alone(&Recorded::new(format, None, "bench", 1)).expect("the directory can be written to");
    for frame in frames.iter().cycle().take(count) {
        sink.write(frame).expect("the disk has room");
    }
    sink.finish().expect("the file can be ended");
    if synced {
        let path = spec.path().expect("it is a file");
        let index = Some(framewire_capture::index_path(path)).filter(|_| matches!(spec, SinkSpec::Raw(_)));
        for path in index.as_deref().into_iter().chain([path]) {
            File::open(path).and_then(|file| file.sync_all()).expect("the file can be synced");
        }
    }
    started.elapsed()
}

/// The bare system call.
fn write(path: &Path, frames: &[Frame], count: usize, synced: bool) -> Duration {
    use std::io::Write;

    let started = Instant::now();
    let mut file = File::create(path).expect("the directory can be written to");
    for frame in frames.iter().cycle().take(count) {
        file.write_all(frame).expect("the disk has room");
    }
    if synced {
        file.sync_all().expect("the file can be synced");
    }
    drop(file);
    started.elapsed()
}

#[cfg(target_os = "linux")]
mod uring {
    use std::collections::VecDeque;
    use std::rc::Rc;

    use tokio_uring::buf::IoBuf;
    use tokio_uring::buf::fixed::FixedBufRegistry;
    use tokio_uring::fs::File as UringFile;

    use super::*;

    /// A frame where it is.
    struct Slot(Frame);

    // SAFETY: a frame's bytes stay where they are and as they are while the lease lives, which moves with this.
    unsafe impl IoBuf for Slot {
        fn stable_ptr(&self) -> *const u8 {
            self.0.as_ptr()
        }

        fn bytes_init(&self) -> usize {
            self.0.len()
        }

        fn bytes_total(&self) -> usize {
            self.0.len()
        }
    }

    /// Straight from the slots, so many frames at once.
    pub(super) fn write_at(path: &Path, frames: &[Frame], count: usize, synced: bool, in_flight: usize) -> Duration {
        let started = Instant::now();
        tokio_uring::start(async {
            let file = Rc::new(UringFile::create(path).await.expect("the directory can be written to"));
            let mut writes = VecDeque::new();
            let mut at = 0;
            for frame in frames.iter().cycle().take(count) {
                let (file, slot) = (file.clone(), Slot(frame.clone()));
                writes.push_back(tokio_uring::spawn(async move { file.write_all_at(slot, at).await.0 }));
                at += frame.len() as u64;
                if writes.len() == in_flight {
                    let oldest = writes.pop_front().expect("there are as many as may be");
                    oldest.await.expect("a write does not panic").expect("the disk has room");
                }
            }
            for write in writes {
                write.await.expect("a write does not panic").expect("the disk has room");
            }
            if synced {
                file.sync_all().await.expect("the file can be synced");
            }
        });
        started.elapsed()
    }

    /// From registered buffers, one in flight: the kernel knows their pages beforehand. Registering is not in the time.
    pub(super) fn write_fixed(path: &Path, frames: &[Frame], count: usize, synced: bool) -> Duration {
        tokio_uring::start(async {
            let registry = FixedBufRegistry::new(frames.iter().map(|frame| frame.to_vec()));
            registry.register().expect("the limit of locked memory has room for eight frames");
            let started = Instant::now();
            let file = UringFile::create(path).await.expect("the directory can be written to");
            let mut at = 0;
            for slot in (0..frames.len()).cycle().take(count) {
                let buffer = registry.check_out(slot).expect("it was given back");
                let length = frames[slot].len() as u64;
                let (written, _buffer) = file.write_fixed_all_at(buffer, at).await;
                written.expect("the disk has room");
                at += length;
            }
            if synced {
                file.sync_all().await.expect("the file can be synced");
            }
            started.elapsed()
        })
    }
}
