//! The sending end: has one contender after another measured, and puts the figures of both ends together.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use framewire_figures::summary::cpu_seconds;
use framewire_process::exit::{Failure, say};
use framewire_process::pace::Pacer;
use framewire_process::progress::Progress;
use framewire_process::stop::Stop;
use framewire_transport::{Time, clock_id};

use super::args::BenchArgs;
use super::child::ReceivingProcess;
use super::contender::{Contender, SendLink};
use super::control::{Control, PhaseFigures, Ready, Reply, Run};
use super::framewire::FramewireSender;
use super::kernel::{KernelSender, KernelSocket};
use super::report::{Measured, Report};
use super::stamp::{Phase, Stamp};
use super::tcp::TcpSender;

/// How long a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_millis(200);
/// Frames of a phase, however slow they are.
const FRAMES_MIN: u64 = 4;
/// A camera's rate, for a second.
const LATENCY_INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 60);
const LATENCY_FRAMES: u64 = 60;
/// As long as that may take where the link does not carry so many.
const LATENCY_TIME_MAX: Duration = Duration::from_secs(3);
/// Longer than the far end waits for frames: its reason is heard.
const REPLY_PATIENCE: Duration = Duration::from_secs(40);
/// How long a reason for what went wrong here may take to come from there.
const REASON_PATIENCE: Duration = Duration::from_millis(500);

/// Measures all contenders in turn, so that what changes on the machine meanwhile meets them all.
///
/// # Errors
/// No far end, or a contender that failed.
pub(super) fn run(args: &BenchArgs, stop: &Stop) -> Result<Report, Failure> {
    let nothing = || Failure::runtime("stopped before the first round was complete; there are no figures");
    let mut near = Near::new(args, stop).map_err(|failure| if stop.is_stopped() { nothing() } else { failure })?;
    let contenders = near.contenders()?;
    let progress = Progress::new(false);
    let mut rounds = Vec::new();
    'rounds: for round in 1..=args.rounds {
        let mut measured = Vec::new();
        for contender in &contenders {
            progress.say(format!("round {round} of {}: {contender}", args.rounds));
            match near.measure(*contender) {
                Ok(figures) => measured.push(figures),
                Err(_) if stop.is_stopped() => break 'rounds,
                Err(failure) => return Err(Failure::runtime(format!("{contender}: {failure}"))),
            }
        }
        rounds.push(measured);
    }
    drop(progress);
    if rounds.is_empty() {
        return Err(nothing());
    }
    Ok(Report::new(args.frame.to_string(), args.metadata_bytes, &contenders, &rounds))
}

struct Near<'a> {
    args: &'a BenchArgs,
    stop: &'a Stop,
    control: Control,
    /// Both ends read the same clock, and so are on one machine.
    one_machine: bool,
    // Ended last.
    _process: Option<ReceivingProcess>,
}

impl<'a> Near<'a> {
    fn new(args: &'a BenchArgs, stop: &'a Stop) -> Result<Self, Failure> {
        let (process, peer) = match &args.to {
            None => {
                let (process, peer) = ReceivingProcess::start(stop)?;
                (Some(process), peer)
            }
            Some(to) => (None, to.resolve_one(None)?),
        };
        let stream = TcpStream::connect_timeout(&peer, CONNECT_PATIENCE).map_err(|error| {
            Failure::runtime(format!(
                "nobody takes a bench at {peer}: {error}; start framewire bench --receive {peer} there first"
            ))
        })?;
        let clock = clock_id(0);
        let (control, hello) = Control::greet(stream, clock, stop).map_err(Failure::runtime)?;
        let one_machine = process.is_some() || (clock != 0 && hello.clock == clock);
        Ok(Self { args, stop, control, one_machine, _process: process })
    }

    /// Those that were asked for and can be.
    fn contenders(&self) -> Result<Vec<Contender>, Failure> {
        let asked = |contender: &Contender| self.args.only.is_empty() || self.args.only.contains(contender);
        let mut contenders: Vec<_> = Contender::ALL.into_iter().filter(asked).collect();
        if !self.one_machine && contenders.contains(&Contender::Kernel) {
            const WHY: &str =
                "the bare kernel is measured on one machine only: nothing would replace what a network loses";
            contenders.retain(|contender| *contender != Contender::Kernel);
            if contenders.is_empty() {
                return Err(Failure::runtime(format!("{WHY}; name other contenders with --only, or leave --to out")));
            }
            say(format_args!("framewire bench: {WHY}; it is left out"));
        }
        Ok(contenders)
    }

    fn measure(&mut self, contender: Contender) -> Result<Measured, Failure> {
        let mut link = self.open(contender)?;
        self.phase(link.as_mut(), Phase::WarmUp)?;
        let rate = self.phase(link.as_mut(), Phase::Rate)?;
        let latency = self.phase(link.as_mut(), Phase::Latency)?;
        let datagrams = link.datagrams();
        link.finish();
        let gigabytes = |frames: u64| frames as f64 * self.args.frame.format.frame_bytes() as f64 / 1e9;
        // The far end measures from the first frame to the last.
        let between = gigabytes(rate.far.frames.saturating_sub(1));
        Ok(Measured {
            frames: rate.far.frames + latency.far.frames,
            frames_lost: (rate.sent + latency.sent).saturating_sub(rate.far.frames + latency.far.frames),
            gigabytes_per_second: between / rate.far.seconds,
            cpu_seconds_per_gigabyte: rate.cpu_seconds / gigabytes(rate.sent) + rate.far.cpu_seconds / between,
            latency_ms: latency.far.latency_ms,
            backend: datagrams.map(|(backend, _)| backend),
            slice_bytes: datagrams.map(|(_, bytes)| bytes),
        })
    }

    /// Sends the frames of a phase, and waits until the far end has them all.
    fn phase(&mut self, link: &mut dyn SendLink, phase: Phase) -> Result<PhaseAtBothEnds, Failure> {
        let cpu_then = cpu_seconds();
        let sent = match self.send(link, phase) {
            Ok(sent) => sent,
            // What went wrong there comes before what came of it here.
            Err(failure) => match self.control.receive(REASON_PATIENCE) {
                Ok(Reply::Failed(reason)) => return Err(Failure::runtime(reason)),
                _ => return Err(failure),
            },
        };
        let far: PhaseFigures = match self.reply()? {
            Reply::Phase(figures) if figures.phase == phase => figures,
            other => return Err(self.unexpected(&other)),
        };
        Ok(PhaseAtBothEnds { sent, cpu_seconds: cpu_seconds() - cpu_then, far })
    }

    fn send(&self, link: &mut dyn SendLink, phase: Phase) -> Result<u64, Failure> {
        let started = Instant::now();
        let (interval, time, frames_max) = match phase {
            Phase::WarmUp => (None, WARM_UP, u64::MAX),
            Phase::Rate => (None, Duration::from_secs_f64(self.args.seconds), u64::MAX),
            Phase::Latency => (Some(LATENCY_INTERVAL), LATENCY_TIME_MAX, LATENCY_FRAMES),
        };
        let mut pacer = Pacer::new(interval);
        for number in 0.. {
            if let Some(due) = pacer.next(Instant::now()) {
                self.stop.sleep_until(due);
            }
            if self.stop.is_stopped() {
                return Err(Failure::runtime("stopped"));
            }
            let count = number + 1;
            let last = count == frames_max || (count >= FRAMES_MIN && started.elapsed() >= time);
            link.send(Stamp { phase, last, number, sent: Time::ZERO })?;
            if last {
                return Ok(count);
            }
        }
        unreachable!("the numbers do not end")
    }

    fn open(&mut self, contender: Contender) -> Result<Box<dyn SendLink>, Failure> {
        let BenchArgs { frame, slice, backend, metadata_bytes, .. } = *self.args;
        let (format, stop) = (frame.format, self.stop.clone());
        let peer = self.control.peer();
        Ok(match contender {
            Contender::Framewire => {
                let ready = self.ask(contender, 0, 0)?;
                let peer = SocketAddr::new(peer.ip(), ready.port);
                let how = (slice, backend);
                Box::new(FramewireSender::connect(peer, ready.stream, format, how, metadata_bytes, &stop)?)
            }
            Contender::Kernel => {
                let socket = KernelSocket::towards(peer, slice)?;
                let ready = self.ask(contender, socket.datagram_bytes(), socket.port()?)?;
                let peer = SocketAddr::new(peer.ip(), ready.port);
                let what = (backend, format.frame_bytes());
                Box::new(KernelSender::connect(socket, peer, ready.window, what, &stop)?)
            }
            Contender::Tcp => {
                let ready = self.ask(contender, 0, 0)?;
                let peer = SocketAddr::new(peer.ip(), ready.port);
                Box::new(TcpSender::connect(peer, ready.stream, format.frame_bytes(), &stop)?)
            }
        })
    }

    fn ask(&mut self, contender: Contender, datagram_bytes: u16, udp_port: u16) -> Result<Ready, Failure> {
        let run = Run {
            contender,
            frame: self.args.frame.to_string(),
            backend: self.args.backend.to_string(),
            shared_clock: self.one_machine,
            datagram_bytes,
            udp_port,
        };
        self.control.send(&run).map_err(Failure::runtime)?;
        match self.reply()? {
            Reply::Ready(ready) => Ok(ready),
            other => Err(self.unexpected(&other)),
        }
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        self.control.receive(REPLY_PATIENCE).map_err(Failure::runtime)
    }

    fn unexpected(&self, reply: &Reply) -> Failure {
        match reply {
            Reply::Failed(reason) => Failure::runtime(reason),
            _ => Failure::runtime(format!(
                "{} says something out of turn; use the same release at both ends",
                self.control.peer()
            )),
        }
    }
}

/// What came of a phase.
struct PhaseAtBothEnds {
    sent: u64,
    /// Of this process.
    cpu_seconds: f64,
    far: PhaseFigures,
}
