//! One end of a transport in Rust: iceoryx2 or zenoh, through shared memory. Started by `rust_pair.py`, reports in JSON lines as `node.py` does.
//!
//! A frame is made in memory that the transport lends, and timed from the call that sends it until the call that receives it has
//! returned; what touches its bytes is the source that `framewire bench` has, [`work`].

mod iceoryx;
#[path = "../../../../apps/tools/src/bench/work.rs"]
mod work;
mod zenoh_shm;

use std::error::Error;
use std::io::Read;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;
use stamp::{Phase, Stamp};

type Failure = Box<dyn Error>;

const WARM_UP: Duration = Duration::from_millis(500);
/// Between phases, so that what a transport has queued is delivered, and paid for, in the phase that sent it.
const SETTLE: Duration = Duration::from_millis(300);
/// The receiver gives up this long after the last frame, and reports what it has.
const QUIET: Duration = Duration::from_secs(5);

/// What is done with a frame's bytes at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    /// Nothing but its stamp is written and read.
    Nothing,
    /// Every byte is written and read in place.
    InPlace,
    /// Every byte is written in place, and read in a copy of the receiver's own.
    Copied,
}

/// The sending half of a transport: opened with somebody to send to.
trait Send {
    /// Sends a frame that `fill` has written into memory of the transport.
    fn send(&mut self, fill: &mut dyn FnMut(&mut [u8])) -> Result<(), Failure>;
}

/// The receiving half.
trait Receive {
    /// Waits for a frame; `take` has its bytes, where they are, as soon as it is there.
    fn receive(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<(), Failure>;

    /// The share of frames that came through shared memory, where that can be told.
    fn shared_memory_share(&self) -> Option<f64> {
        None
    }
}

struct Arguments {
    sends: bool,
    transport: String,
    /// Where the two ends of zenoh meet; it makes the name of a service of iceoryx2.
    place: (String, u16),
    frame_bytes: usize,
    seconds: f64,
    latency_seconds: f64,
    latency_fps: f64,
}

const USAGE: &str = "framewire-peers send|receive TRANSPORT HOST PORT FRAME_BYTES SECONDS LATENCY_SECONDS LATENCY_FPS";

impl Arguments {
    fn parse() -> Result<Self, Failure> {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let [role, transport, host, port, frame_bytes, seconds, latency_seconds, latency_fps] = &arguments[..] else {
            return Err(USAGE.into());
        };
        Ok(Self {
            sends: match role.as_str() {
                "send" => true,
                "receive" => false,
                _ => return Err(USAGE.into()),
            },
            transport: transport.clone(),
            place: (host.clone(), port.parse()?),
            frame_bytes: frame_bytes.parse::<usize>()?.max(Stamp::LEN),
            seconds: seconds.parse()?,
            latency_seconds: latency_seconds.parse()?,
            latency_fps: latency_fps.parse()?,
        })
    }
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse()?;
    let (name, touch) = match arguments.transport.rsplit_once('-') {
        Some((name, "read")) => (name, Touch::InPlace),
        Some((name, "bytes")) => (name, Touch::Copied),
        _ => (arguments.transport.as_str(), Touch::Nothing),
    };
    let (host, port) = &arguments.place;
    if arguments.sends {
        let mut sender: Box<dyn Send> = match name {
            "iceoryx2" | "iceoryx2-spin" => {
                Box::new(iceoryx::Sender::open(*port, arguments.frame_bytes, name == "iceoryx2")?)
            }
            "zenoh-rust" => Box::new(zenoh_shm::Sender::open(host, *port, arguments.frame_bytes)?),
            other => return Err(format!("there is no transport '{other}'").into()),
        };
        report(&send(sender.as_mut(), touch, &arguments)?)?;
        // The other end may still be reading what this one has queued.
        wait_for_end_of_input();
    } else {
        let mut receiver: Box<dyn Receive> = match name {
            "iceoryx2" | "iceoryx2-spin" => Box::new(iceoryx::Receiver::open(*port, name == "iceoryx2")?),
            "zenoh-rust" => Box::new(zenoh_shm::Receiver::open(host, *port)?),
            other => return Err(format!("there is no transport '{other}'").into()),
        };
        report(&serde_json::json!({"ready": true}))?;
        report(&receive(receiver.as_mut(), touch)?)?;
        wait_for_end_of_input();
    }
    Ok(())
}

fn wait_for_end_of_input() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn report(figures: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(figures)?);
    Ok(())
}

#[derive(Serialize)]
struct Sent {
    frames: u64,
    rate_frames: u64,
    latency_frames: u64,
    /// At full rate.
    cpu_seconds: f64,
    latency_cpu_seconds: f64,
}

/// Runs all phases.
fn send(sender: &mut dyn Send, touch: Touch, arguments: &Arguments) -> Result<Sent, Failure> {
    let mut number = 0;
    let mut send_frame = |phase: Phase, last: bool| -> Result<(), Failure> {
        let fill = &mut |frame: &mut [u8]| {
            if touch != Touch::Nothing {
                work::make(frame, number);
            }
            Stamp { phase, last, number, sent_ns: now_ns() }.write(frame);
        };
        sender.send(fill)?;
        number += 1;
        Ok(())
    };
    let mut send_at_full_rate = |phase, time: Duration| -> Result<(u64, f64), Failure> {
        let (started, cpu_before, mut frames) = (Instant::now(), cpu_seconds(), 0);
        loop {
            let last = started.elapsed() >= time;
            send_frame(phase, last)?;
            frames += 1;
            if last {
                break;
            }
        }
        let cpu = cpu_seconds() - cpu_before;
        std::thread::sleep(SETTLE);
        Ok((frames, cpu))
    };
    send_at_full_rate(Phase::WarmUp, WARM_UP)?;
    let (rate_frames, rate_cpu) = send_at_full_rate(Phase::Rate, Duration::from_secs_f64(arguments.seconds))?;
    let (started, cpu_before) = (Instant::now(), cpu_seconds());
    let latency_frames = (arguments.latency_seconds * arguments.latency_fps).round() as u64;
    for tick in 0..latency_frames {
        let due = started + Duration::from_secs_f64(tick as f64 / arguments.latency_fps);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        send_frame(Phase::Latency, tick + 1 == latency_frames)?;
    }
    let latency_cpu_seconds = cpu_seconds() - cpu_before;
    send_frame(Phase::End, true)?;
    Ok(Sent { frames: number, rate_frames, latency_frames, cpu_seconds: rate_cpu, latency_cpu_seconds })
}

/// What the receiver has seen of a phase.
#[derive(Clone, Copy, Default)]
struct Seen {
    frames: u64,
    /// When the first and the last frame came.
    first_ns: Option<u64>,
    last_ns: u64,
    /// The processor time when the first and the last came: it is read no more often, since reading it is a system call.
    cpu: (f64, f64),
}

impl Seen {
    fn seconds(&self) -> f64 {
        (self.last_ns - self.first_ns.unwrap_or(self.last_ns)) as f64 / 1e9
    }

    fn cpu_seconds(&self) -> f64 {
        self.cpu.1 - self.cpu.0
    }
}

/// Of the receiving thread alone.
#[derive(Clone, Default)]
struct Tally {
    seen: [Seen; 4],
    phase: Option<Phase>,
    next_number: u64,
    disordered: u64,
    latencies_ns: Vec<u64>,
    shared_memory_share: Option<f64>,
}

#[derive(Serialize)]
struct Received {
    frames: u64,
    latency_frames: u64,
    disordered: u64,
    rate_frames: u64,
    rate_seconds: f64,
    cpu_seconds: f64,
    latency_cpu_seconds: f64,
    latency_p50_ms: Option<f64>,
    latency_p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_memory_share: Option<f64>,
}

impl Tally {
    fn take(&mut self, stamp: &Stamp, now_ns: u64) {
        self.disordered += u64::from(stamp.number < self.next_number);
        self.next_number = stamp.number + 1;
        if self.phase != Some(stamp.phase) {
            self.change_to(stamp.phase);
        }
        let seen = &mut self.seen[stamp.phase as usize];
        seen.frames += 1;
        seen.last_ns = now_ns;
        seen.first_ns.get_or_insert(now_ns);
        if stamp.last {
            seen.cpu.1 = cpu_seconds();
        }
        if stamp.phase == Phase::Latency {
            self.latencies_ns.push(now_ns.saturating_sub(stamp.sent_ns));
        }
    }

    fn change_to(&mut self, phase: Phase) {
        let cpu = cpu_seconds();
        let before = self.phase.replace(phase).map(|before| &mut self.seen[before as usize]);
        // One whose last frame was lost ends here.
        if let Some(before) = before.filter(|before| before.cpu.0 == before.cpu.1) {
            before.cpu.1 = cpu;
        }
        self.seen[phase as usize].cpu = (cpu, cpu);
    }

    fn figures(&mut self) -> Received {
        self.latencies_ns.sort_unstable();
        // The smallest value that so many percent of the values do not exceed.
        let percentile = |percent: usize| {
            let at = (self.latencies_ns.len() * percent).div_ceil(100).max(1) - 1;
            self.latencies_ns.get(at).map(|ns| *ns as f64 / 1e6)
        };
        let (rate, latency) = (&self.seen[Phase::Rate as usize], &self.seen[Phase::Latency as usize]);
        Received {
            frames: self.seen.iter().map(|seen| seen.frames).sum(),
            latency_frames: latency.frames,
            disordered: self.disordered,
            rate_frames: rate.frames,
            rate_seconds: rate.seconds(),
            cpu_seconds: rate.cpu_seconds(),
            latency_cpu_seconds: latency.cpu_seconds(),
            latency_p50_ms: percentile(50),
            latency_p99_ms: percentile(99),
            shared_memory_share: self.shared_memory_share,
        }
    }
}

/// Receives until the last frame.
fn receive(receiver: &mut dyn Receive, touch: Touch) -> Result<Received, Failure> {
    /// What was seen, and when the last frame came. It is told at the steady rate and every 64th time else, so that it costs nothing.
    static TOLD: Mutex<Option<(Tally, Instant)>> = Mutex::new(None);
    // A transport that has lost the last frame waits for it for ever.
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            if let Ok(mut told) = TOLD.lock()
                && let Some((tally, last)) = told.as_mut()
                && last.elapsed() > QUIET
            {
                let _ = report(&tally.figures());
                std::process::exit(0);
            }
        }
    });
    let mut tally = Tally::default();
    let mut copy = Vec::new();
    loop {
        let mut taken = Err("a frame came without a stamp".to_owned());
        receiver.receive(&mut |frame| {
            let now_ns = now_ns();
            let whole = |frame: &[u8], stamp: &Stamp| work::read(frame) == work::sum(frame.len(), stamp.number);
            taken = Stamp::parse(frame).ok_or_else(|| "a frame came without a stamp".to_owned()).and_then(|stamp| {
                let is_whole = match touch {
                    Touch::Nothing => true,
                    Touch::InPlace => whole(frame, &stamp),
                    Touch::Copied => {
                        copy.clear();
                        copy.extend_from_slice(frame);
                        whole(&copy, &stamp)
                    }
                };
                let number = stamp.number;
                is_whole
                    .then_some((stamp, now_ns))
                    .ok_or_else(|| format!("frame {number} does not read as it was made"))
            });
        })?;
        let (stamp, now_ns) = taken?;
        tally.take(&stamp, now_ns);
        if stamp.phase == Phase::End {
            *TOLD.lock().map_err(|_| "poisoned")? = None;
            tally.shared_memory_share = receiver.shared_memory_share();
            return Ok(tally.figures());
        }
        if stamp.phase == Phase::Latency || stamp.last || stamp.number % 64 == 0 {
            *TOLD.lock().map_err(|_| "poisoned")? = Some((tally.clone(), Instant::now()));
        }
    }
}

/// CLOCK_MONOTONIC, which both ends read.
fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

mod stamp {
    //! The first 16 bytes of a frame, as `frame.py` has them: phase and number in one word, then the time.

    const PHASE_SHIFT: u32 = 56;
    /// The last frame of its phase, which the Rust peers alone say.
    const LAST: u64 = 1 << 63;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Phase {
        WarmUp,
        Rate,
        Latency,
        End,
    }

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Stamp {
        pub(crate) phase: Phase,
        pub(crate) last: bool,
        pub(crate) number: u64,
        pub(crate) sent_ns: u64,
    }

    impl Stamp {
        pub(crate) const LEN: usize = 16;

        pub(crate) fn write(&self, frame: &mut [u8]) {
            let last = if self.last { LAST } else { 0 };
            let word = last | (self.phase as u64) << PHASE_SHIFT | self.number;
            frame[..8].copy_from_slice(&word.to_le_bytes());
            frame[8..Self::LEN].copy_from_slice(&self.sent_ns.to_le_bytes());
        }

        pub(crate) fn parse(frame: &[u8]) -> Option<Self> {
            let (word, rest) = frame.split_first_chunk()?;
            let word = u64::from_le_bytes(*word);
            let phase = match (word & !LAST) >> PHASE_SHIFT {
                0 => Phase::WarmUp,
                1 => Phase::Rate,
                2 => Phase::Latency,
                3 => Phase::End,
                _ => return None,
            };
            let number = word & ((1 << PHASE_SHIFT) - 1);
            Some(Self { phase, last: word & LAST != 0, number, sent_ns: u64::from_le_bytes(*rest.first_chunk()?) })
        }
    }
}
