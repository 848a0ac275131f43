//! What a relay adds to a frame's age, and what it costs to send frames on to many, beside the bare kernel's cost of the same.
//!
//! `cargo bench -p framewire-benches --bench relay -- [--rounds N] [--seconds S] [FILTER...]`; a filter is a part of `PICTURE/SLICE_BYTES/WATCHERS`, or of one of these with
//! `/stopped` behind it, where one watcher more takes nothing and says nothing. A camera, the server, the relay and all watchers are in this process; a hop is from a frame's last
//! byte at the server to its last byte at a watcher. CPU seconds are those of the thread that sends alone, for each GB and watcher: the relay's, and one that calls `sendmmsg` on
//! as many sockets and does nothing else.
#![allow(missing_docs)]

#[cfg(target_os = "linux")]
fn main() {
    on_linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod on_linux {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use framewire_benches::{KernelFan, Options, Picture, SLICE_BYTES};
    use framewire_transport::{
        ConsumerPolicy, FrameRate, IncomingStream, Presentation, Receiver, ReceiverConfig, Relay, RelayConfig,
        RelayStreamConfig, RelayTo, Sender, SenderConfig, SliceSize, Watcher,
    };

    const PATIENCE: Duration = Duration::from_secs(60);
    /// Frames whose times are remembered: more than are on their way.
    const REMEMBERED: usize = 1024;
    /// Frames of a run that only tries whether it runs.
    const FRAMES_MIN: u64 = 5;

    struct Case {
        picture: Picture,
        frames_per_second: u32,
        slice_bytes: u16,
        watchers: usize,
        /// One more is there that takes nothing.
        is_one_stopped: bool,
    }

    impl Case {
        fn name(&self) -> String {
            let stopped = if self.is_one_stopped { "/stopped" } else { "" };
            format!("{}/{}/{}{stopped}", self.picture.name, self.slice_bytes, self.watchers)
        }
    }

    /// What came of a run.
    struct Run {
        hops: Vec<Duration>,
        delivered: f64,
        relay_cpu: f64,
        kernel_cpu: f64,
    }

    pub(super) fn main() {
        let options = Options::parse(3, Duration::from_secs(3));
        println!(
            "{:<30} {:>9} {:>9} {:>9} {:>10} {:>14} {:>10}",
            "", "p50 ms", "p99 ms", "max ms", "delivered", "CPU s/GB/copy", "kernel's"
        );
        for case in cases().into_iter().filter(|case| options.wants(&case.name())) {
            let runs: Vec<Run> = (0..options.rounds).map(|_| run(&case, options.time)).collect();
            let mut hops: Vec<Duration> = runs.iter().flat_map(|run| run.hops.iter().copied()).collect();
            hops.sort_unstable();
            let at = |share: f64| {
                let place = (hops.len().saturating_sub(1) as f64 * share) as usize;
                hops.get(place).map_or(f64::NAN, |hop| hop.as_secs_f64() * 1e3)
            };
            println!(
                "{:<30} {:>9.3} {:>9.3} {:>9.3} {:>9.3}% {:>14.3} {:>10.3}",
                case.name(),
                at(0.5),
                at(0.99),
                at(1.0),
                100.0 * runs.iter().map(|run| run.delivered).fold(1.0, f64::min),
                median(runs.iter().map(|run| run.relay_cpu)),
                median(runs.iter().map(|run| run.kernel_cpu)),
            );
        }
    }

    fn cases() -> Vec<Case> {
        let mut cases = Vec::new();
        for slice_bytes in SLICE_BYTES {
            let hd = |watchers| Case {
                picture: Picture::full_hd_gray(),
                frames_per_second: if watchers > 4 { 10 } else { 60 },
                slice_bytes,
                watchers,
                is_one_stopped: false,
            };
            cases.extend([hd(1), hd(4), hd(16), Case { is_one_stopped: true, ..hd(4) }]);
            cases.push(Case { picture: Picture::vga_gray(), frames_per_second: 30, ..hd(100) });
        }
        cases
    }

    fn median(values: impl Iterator<Item = f64>) -> f64 {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    fn bind(config: ReceiverConfig) -> Receiver {
        Receiver::bind("127.0.0.1:0".parse().expect("an address"), config).expect("loopback has a port left")
    }

    /// A camera's pace, not synchronisation.
    fn pace(begun: Instant, nth: u64, frames_per_second: u32) {
        let due = begun + Duration::from_secs(1) * u32::try_from(nth).unwrap_or(0) / frames_per_second;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }

    fn run(case: &Case, time: Duration) -> Run {
        let server = bind(ReceiverConfig::new());
        let rate = FrameRate::per_second(case.frames_per_second).expect("it is not zero");
        let config = SenderConfig::new(case.picture.format).presentation(Presentation::UNKNOWN.rate(rate));
        let camera = Sender::connect(server.local_addr(), config).expect("loopback can be reached");
        let incoming = server.accept_timeout(PATIENCE).expect("the stream is open");
        let relay = Relay::start(RelayConfig::new()).expect("the system has a thread left");
        let consumer = incoming.subscribe(ConsumerPolicy::Queue(3));
        let stream = relay.stream(consumer, RelayStreamConfig::of(incoming.info())).expect("a descriptor is left");
        let there = bind(ReceiverConfig::new().streams_max(256).latest_policy(ConsumerPolicy::Queue(4)));
        let silent = bind(ReceiverConfig::new());
        let to = |nth: usize| RelayTo::new(nth as u32).slice(SliceSize::Bytes(case.slice_bytes));
        let mut watchers: Vec<Watcher> = (0..case.watchers)
            .map(|nth| stream.add(there.local_addr(), to(nth)).expect("loopback can be reached"))
            .collect();
        let film = || {
            let frame = camera.frame().expect("the stream goes on");
            camera.send(frame).expect("the stream goes on");
        };
        let mut streams = Vec::new();
        while streams.len() < case.watchers {
            film();
            streams.extend(there.accept_timeout(Duration::from_millis(10)));
        }
        let stopped = case.is_one_stopped.then(|| {
            watchers.push(stream.add(silent.local_addr(), to(case.watchers)).expect("loopback can be reached"));
            loop {
                film();
                let Ok(stream) = silent.accept_timeout(Duration::from_millis(10)) else { continue };
                // Every slot is held from here on: it grants nothing.
                let mut held = Vec::new();
                while held.len() < 4 {
                    film();
                    held.extend(stream.recv_timeout(Duration::from_millis(10)));
                }
                break (stream, held);
            }
        });
        let frames = (time.as_secs_f64() * f64::from(case.frames_per_second)) as u64;
        let frames = frames.max(FRAMES_MIN);
        camera.wait_until_settled(PATIENCE).expect("the stream goes on");
        let (hops, cpu) = measure(case, (&incoming, &streams), frames, &film);
        let copies = frames * case.watchers as u64;
        let gigabytes = (copies * case.picture.bytes() as u64) as f64 / 1e9;
        drop((stopped, watchers));
        Run {
            delivered: hops.len() as f64 / copies as f64,
            hops,
            relay_cpu: cpu / gigabytes,
            kernel_cpu: kernel(case, frames) / gigabytes,
        }
    }

    /// Films, and looks how old each frame is at each watcher; with that, the relay's processor time.
    fn measure(
        case: &Case,
        (incoming, streams): (&IncomingStream, &[IncomingStream]),
        frames: u64,
        film: &dyn Fn(),
    ) -> (Vec<Duration>, f64) {
        let at_server: Vec<AtomicU64> = (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect();
        let (over, first) = (AtomicBool::new(false), AtomicU64::new(u64::MAX));
        // What was sent to have all opened is there by then.
        std::thread::sleep(Duration::from_millis(200));
        while incoming.try_recv().is_ok() {}
        streams.iter().for_each(|stream| while stream.try_recv().is_ok() {});
        let before = relay_cpu_seconds();
        let hops = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    let Ok(frame) = incoming.recv_timeout(Duration::from_millis(20)) else { continue };
                    let info = frame.info();
                    at_server[info.number as usize % REMEMBERED].store(info.completed.as_nanos(), Ordering::Release);
                    first.fetch_min(info.number, Ordering::AcqRel);
                }
            });
            let watching = scope.spawn(|| {
                let mut seen = Vec::with_capacity(frames as usize * streams.len());
                let mut is_last = false;
                loop {
                    for stream in streams {
                        while let Ok(frame) = stream.try_recv() {
                            seen.push((frame.info().number, frame.info().completed));
                        }
                    }
                    if is_last {
                        break;
                    }
                    is_last = over.load(Ordering::Acquire);
                    // Less than the frames that may wait take to come.
                    std::thread::sleep(Duration::from_millis(15));
                }
                let first = first.load(Ordering::Acquire);
                let hop = |(number, completed): (u64, framewire_transport::Time)| {
                    let here = at_server[number as usize % REMEMBERED].load(Ordering::Acquire);
                    (here > 0 && number >= first).then(|| completed.since(framewire_transport::Time::from_nanos(here)))
                };
                seen.into_iter().filter_map(hop).collect::<Vec<_>>()
            });
            let begun = Instant::now();
            for nth in 0..frames {
                pace(begun, nth, case.frames_per_second);
                film();
            }
            std::thread::sleep(Duration::from_millis(200));
            over.store(true, Ordering::Release);
            watching.join().expect("it only takes frames")
        });
        (hops, relay_cpu_seconds() - before)
    }

    /// Processor time of one thread that sends the same with nothing around it.
    fn kernel(case: &Case, frames: u64) -> f64 {
        let mut fan = KernelFan::new(&case.picture, case.slice_bytes, case.watchers);
        let cpu = || {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
        };
        fan.send_frame();
        let (begun, before) = (Instant::now(), cpu());
        for nth in 0..frames {
            pace(begun, nth, case.frames_per_second);
            fan.send_frame();
        }
        cpu() - before
    }

    /// Processor time of the relay's thread so far.
    fn relay_cpu_seconds() -> f64 {
        let tasks = std::fs::read_dir("/proc/self/task").expect("a process sees itself");
        let nanos = tasks.flatten().filter_map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let spent = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let nanos = spent.split(' ').next()?.parse::<u64>().ok()?;
            (name.trim() == "framewire-relay").then_some(nanos)
        });
        nanos.sum::<u64>() as f64 / 1e9
    }
}
