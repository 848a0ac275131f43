//! The sending end: has one contender after another measured, and puts the figures of both ends together.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use framewire_figures::summary::cpu_seconds;
use framewire_process::exit::{Failure, say};
use framewire_process::pace::Pacer;
use framewire_process::progress::Progress;
use framewire_process::stop::Stop;
use framewire_transport::{Key, Time, clock_id};

use super::args::BenchArgs;
use super::child::ReceivingProcess;
use super::contender::{Contender, SendLink};
use super::control::{Control, PhaseFigures, Ready, Reply, Run};
use super::framewire::FramewireSender;
use super::kernel::{KernelSender, KernelSocket};
use super::memory;
use super::pipe::{Pipe, PipeSender};
use super::report::{CpuSeconds, CpuUsPerFrame, Measured, Report};
use super::sealing;
use super::shm::ShmSender;
use super::stamp::{Phase, Stamp};
use super::tcp::TcpSender;
use super::thread::{ReadingThread, thread_cpu_seconds};

/// How long a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_millis(200);
/// Frames of a phase, however slow they are.
const FRAMES_MIN: u64 = 4;
/// How many times as long as it should the steady rate may take where the link does not carry so many frames.
const LATENCY_STRETCH: f64 = 3.0;
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
    let (mut rounds, mut sealed) = (Vec::new(), Vec::new());
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
        if contenders.contains(&Contender::Protected) {
            sealed.push(sealing::measure()?);
        }
        rounds.push(measured);
    }
    drop(progress);
    if rounds.is_empty() {
        return Err(nothing());
    }
    Ok(Report::new(args, &contenders, &rounds).with_sealing(&sealed))
}

struct Near<'a> {
    args: &'a BenchArgs,
    stop: &'a Stop,
    control: Control,
    /// Both ends read the same clock, and so are on one machine.
    one_machine: bool,
    // Ended last.
    process: Option<ReceivingProcess>,
}

/// A contender that is ready to be measured.
struct Opened {
    link: Box<dyn SendLink>,
    /// Reads where no other process does.
    thread: Option<ReadingThread>,
    /// Neither end sleeps between frames.
    spins: bool,
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
        Ok(Self { args, stop, control, one_machine, process })
    }

    /// Those that were asked for and can be.
    fn contenders(&self) -> Result<Vec<Contender>, Failure> {
        let only = &self.args.only;
        let asked = |contender: &Contender| match *contender {
            // Beside those that are named, too.
            Contender::Protected => self.args.protect || only.contains(contender),
            contender => {
                if only.is_empty() {
                    contender.is_default()
                } else {
                    only.contains(&contender)
                }
            }
        };
        let mut contenders: Vec<_> = Contender::ALL.into_iter().filter(asked).collect();
        if !self.one_machine {
            let why = "the bare kernel is measured on one machine only: nothing would replace what a network loses";
            leave_out(&mut contenders, |contender| contender == Contender::Kernel, why)?;
        }
        if self.process.is_none() {
            let why = "shm, shm-read, memory and pipe are measured with a process that the bench starts itself";
            leave_out(&mut contenders, Contender::is_local, why)?;
        }
        Ok(contenders)
    }

    fn measure(&mut self, contender: Contender) -> Result<Measured, Failure> {
        let mut opened = self.open(contender)?;
        self.phase(&mut opened, Phase::WarmUp)?;
        let rate = self.phase(&mut opened, Phase::Rate)?;
        let latency = self.phase(&mut opened, Phase::Latency)?;
        let datagrams = opened.link.datagrams();
        opened.link.finish();
        let gigabytes = |frames: u64| frames as f64 * self.args.frame.format.frame_bytes() as f64 / 1e9;
        // The far end measures from the first frame to the last.
        let between = gigabytes(rate.far.frames.saturating_sub(1));
        Ok(Measured {
            frames: rate.far.frames + latency.far.frames,
            frames_lost: (rate.sent + latency.sent).saturating_sub(rate.far.frames + latency.far.frames),
            gigabytes_per_second: between / rate.far.seconds,
            frames_per_second: rate.far.frames.saturating_sub(1) as f64 / rate.far.seconds,
            cpu_seconds_per_gigabyte: rate.cpu_seconds / gigabytes(rate.sent) + rate.far.cpu_seconds / between,
            cpu_seconds: CpuSeconds { sender: rate.cpu_seconds, receiver: rate.far.cpu_seconds },
            cpu_us_per_frame: CpuUsPerFrame { full_rate: rate.cpu_us_per_frame(), steady: latency.cpu_us_per_frame() },
            latency_ms: latency.far.latency_ms,
            backend: datagrams.map(|(backend, _)| backend),
            slice_bytes: datagrams.map(|(_, bytes)| bytes),
        })
    }

    /// Sends the frames of a phase, and waits until the far end has them all.
    fn phase(&mut self, Opened { link, thread, spins }: &mut Opened, phase: Phase) -> Result<PhaseAtBothEnds, Failure> {
        let cpu_seconds = if thread.is_some() { thread_cpu_seconds } else { cpu_seconds };
        let cpu_then = cpu_seconds();
        let sent = match self.send(link.as_mut(), phase, *spins) {
            Ok(sent) => sent,
            // What went wrong there comes before what came of it here.
            Err(failure) => return Err(self.reason(thread.as_ref()).unwrap_or(failure)),
        };
        let far = match thread {
            Some(thread) => thread.figures(REPLY_PATIENCE)?,
            None => match self.reply()? {
                Reply::Phase(figures) if figures.phase == phase => figures,
                other => return Err(self.unexpected(&other)),
            },
        };
        Ok(PhaseAtBothEnds { sent, cpu_seconds: cpu_seconds() - cpu_then, far })
    }

    /// Why the receiving end has given up, if it has.
    fn reason(&mut self, thread: Option<&ReadingThread>) -> Option<Failure> {
        match thread {
            Some(thread) => thread.figures(REASON_PATIENCE).err(),
            None => match self.control.receive(REASON_PATIENCE) {
                Ok(Reply::Failed(reason)) => Some(Failure::runtime(reason)),
                _ => None,
            },
        }
    }

    fn send(&self, link: &mut dyn SendLink, phase: Phase, spins: bool) -> Result<u64, Failure> {
        let started = Instant::now();
        let (interval, time, frames_max) = match phase {
            Phase::WarmUp => (None, WARM_UP, u64::MAX),
            Phase::Rate => (None, Duration::from_secs_f64(self.args.seconds), u64::MAX),
            Phase::Latency => self.steady(),
        };
        let mut pacer = Pacer::new(interval);
        for number in 0.. {
            if let Some(due) = pacer.next(Instant::now()) {
                self.wait_until(due, spins);
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

    /// Without sleep where neither end is to sleep.
    fn wait_until(&self, due: Instant, spins: bool) {
        if !spins {
            self.stop.sleep_until(due);
            return;
        }
        while Instant::now() < due && !self.stop.is_stopped() {
            std::hint::spin_loop();
        }
    }

    /// The interval of the steady rate, how long it may take, and its frames.
    fn steady(&self) -> (Option<Duration>, Duration, u64) {
        let BenchArgs { rate, latency_seconds, .. } = *self.args;
        let frames = (f64::from(rate) * latency_seconds).ceil() as u64;
        let time_max = Duration::from_secs_f64(LATENCY_STRETCH * latency_seconds);
        (Some(Duration::from_secs(1) / rate), time_max, frames.max(FRAMES_MIN))
    }

    fn open(&mut self, contender: Contender) -> Result<Opened, Failure> {
        let spins = self.args.spins(contender);
        if contender == Contender::Memory {
            let frame_bytes = self.args.frame.format.frame_bytes();
            let (sender, receiver) = memory::pair(frame_bytes, spins, self.stop)?;
            let thread = ReadingThread::start(receiver, self.stop)?;
            return Ok(Opened { link: Box::new(sender), thread: Some(thread), spins });
        }
        Ok(Opened { link: self.open_between_processes(contender)?, thread: None, spins })
    }

    fn open_between_processes(&mut self, contender: Contender) -> Result<Box<dyn SendLink>, Failure> {
        let BenchArgs { frame, slice, backend, metadata_bytes, .. } = *self.args;
        let (format, stop) = (frame.format, self.stop.clone());
        let peer = self.control.peer();
        Ok(match contender {
            Contender::Framewire | Contender::Protected => {
                let is_protected = contender == Contender::Protected;
                let key = is_protected.then(Key::random).transpose().map_err(Failure::runtime)?;
                let text = key.as_ref().map(Key::to_text);
                let ready = self.ask(Run { key: text, ..self.run_of(contender) })?;
                let peer = SocketAddr::new(peer.ip(), ready.port);
                let how = (slice, backend);
                Box::new(FramewireSender::connect(peer, ready.stream, format, key, how, metadata_bytes, &stop)?)
            }
            Contender::Kernel => {
                let socket = KernelSocket::towards(peer, slice)?;
                let (datagram_bytes, udp_port) = (socket.datagram_bytes(), socket.port()?);
                let ready = self.ask(Run { datagram_bytes, udp_port, ..self.run_of(contender) })?;
                let peer = SocketAddr::new(peer.ip(), ready.port);
                let what = (backend, format.frame_bytes());
                Box::new(KernelSender::connect(socket, peer, ready.window, what, &stop)?)
            }
            Contender::Tcp => {
                let ready = self.ask(self.run_of(contender))?;
                let peer = SocketAddr::new(peer.ip(), ready.port);
                Box::new(TcpSender::connect(peer, ready.stream, format.frame_bytes(), &stop)?)
            }
            Contender::Pipe => {
                let pipe = Pipe::new()?;
                self.ask(self.run_at(contender, &pipe.path())?)?;
                Box::new(PipeSender::open(&pipe, &stop)?)
            }
            Contender::Shm | Contender::ShmRead => {
                let sender = ShmSender::bind(format, contender == Contender::ShmRead, &stop)?;
                self.ask(self.run_at(contender, &sender.path())?)?;
                Box::new(sender)
            }
            Contender::Memory => return Err(Failure::runtime("memory has no second process")),
        })
    }

    fn run_of(&self, contender: Contender) -> Run {
        Run {
            contender,
            frame: self.args.frame.to_string(),
            backend: self.args.backend.to_string(),
            shared_clock: self.one_machine,
            datagram_bytes: 0,
            udp_port: 0,
            path: None,
            busy_poll: self.args.spins(contender),
            key: None,
        }
    }

    /// A run for which the two ends meet at a path.
    fn run_at(&self, contender: Contender, path: &Path) -> Result<Run, Failure> {
        let path = path.to_str().ok_or_else(|| {
            Failure::runtime(format!("{} is not UTF-8; set TMPDIR to a folder that is", path.display()))
        })?;
        Ok(Run { path: Some(path.to_owned()), ..self.run_of(contender) })
    }

    fn ask(&mut self, run: Run) -> Result<Ready, Failure> {
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

impl PhaseAtBothEnds {
    /// Of both ends. The far one's are of the frames behind the first.
    fn cpu_us_per_frame(&self) -> f64 {
        let received = self.far.frames.saturating_sub(1).max(1) as f64;
        1e6 * (self.cpu_seconds / self.sent as f64 + self.far.cpu_seconds / received)
    }
}

/// Leaves out those that cannot be measured, and says so.
fn leave_out(contenders: &mut Vec<Contender>, which: impl Fn(Contender) -> bool, why: &str) -> Result<(), Failure> {
    let all = contenders.len();
    contenders.retain(|contender| !which(*contender));
    if contenders.is_empty() {
        return Err(Failure::runtime(format!("{why}; name other contenders with --only, or leave --to out")));
    }
    if contenders.len() < all {
        say(format_args!("framewire bench: {why}; left out"));
    }
    Ok(())
}
