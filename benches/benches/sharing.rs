//! What readers in other processes cost the program that publishes, and each other: eight that sleep, beside one; with one of them
//! stopped (SIGSTOP) and one that is slow; and how soon one that comes late has its first frame.
//!
//! `cargo bench -p framewire-benches --bench sharing -- [--rounds N] [--seconds S] [readers] [late]`; rounds are taken in turns.
//! 1080p gray at 60 frames/s in `latest`; readers are processes of this program.
#![allow(missing_docs)]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    match std::env::var(linux::ROLE) {
        Ok(role) => linux::read(&role),
        Err(_) => linux::measure(),
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{BufRead, BufReader, Read};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use framewire_benches::{Options, Picture};
    use framewire_transport::share::{Endpoint, Reader, ShareConfig, Subscription, SubscriptionConfig};
    use framewire_transport::{ConsumerPolicy, Delivery, PublishConfig, PublishedStream, Publisher, Time};
    use rustix::process::{Pid, Signal, kill_process};
    use rustix::time::{ClockId, clock_gettime};

    /// What a process of this program is: absent in the one that publishes.
    pub(crate) const ROLE: &str = "FRAMEWIRE_SHARING_ROLE";
    const PLACE: &str = "FRAMEWIRE_SHARING_PLACE";
    const STREAM: &str = "camera";
    const READERS: usize = 8;
    const RATE: u32 = 60;
    const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / RATE as u64);
    /// What a slow reader does with a frame.
    const SLOW: Duration = Duration::from_millis(50);
    /// Longer than any step takes.
    const PATIENCE: Duration = Duration::from_secs(60);
    const LATE_READERS: usize = 20;

    /// The parts of a measurement, in the order in which their figures are told.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Part {
        Undisturbed,
        /// One reader is stopped, and one is slow.
        Disturbed,
        /// Nothing is measured; the last one ends the readers.
        Between,
        End,
    }

    impl Part {
        fn of(byte: u8) -> Self {
            [Self::Undisturbed, Self::Disturbed, Self::Between, Self::End][usize::from(byte).min(3)]
        }
    }

    fn now_ns() -> u64 {
        Time::now().as_nanos()
    }

    fn cpu(clock: ClockId) -> Duration {
        let spent = clock_gettime(clock);
        Duration::new(spent.tv_sec.cast_unsigned(), spent.tv_nsec as u32)
    }

    /// What a reader is in the process that publishes.
    struct ReadingProcess(Child);

    impl ReadingProcess {
        fn start(role: &str, place: &Path) -> Self {
            let program = std::env::current_exe().expect("this program has a file");
            let mut command = Command::new(program);
            command.env(ROLE, role).env(PLACE, place).stdin(Stdio::null()).stdout(Stdio::piped());
            Self(command.spawn().expect("this program can be started again"))
        }

        fn signal(&self, signal: Signal) {
            let pid = Pid::from_child(&self.0);
            kill_process(pid, signal).expect("a child that was not waited for can be signalled");
        }

        /// The line that it ends with.
        fn figures(mut self) -> Vec<f64> {
            let stdout = self.0.stdout.take().expect("it is a pipe");
            let mut line = String::new();
            BufReader::new(stdout.take(1_000)).read_line(&mut line).expect("a reader tells its figures");
            self.0.wait().expect("it is a child");
            line.split_whitespace().map(|figure| figure.parse().expect("figures are numbers")).collect()
        }
    }

    impl Drop for ReadingProcess {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    struct Stage {
        stream: PublishedStream,
        _publisher: Publisher,
        folder: tempfile::TempDir,
    }

    impl Stage {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder for temporary files");
            let endpoint = Endpoint::path(folder.path().join("hub.sock")).expect("a short path");
            let publisher = Publisher::bind(ShareConfig::new(endpoint).reader_slots(48)).expect("nobody is there");
            let config = PublishConfig::new(Picture::full_hd_gray().format).delivery(Delivery::Latest);
            let stream = publisher.stream(STREAM, config).expect("a stream of that name is new");
            Self { stream, _publisher: publisher, folder }
        }

        fn place(&self) -> std::path::PathBuf {
            self.folder.path().join("hub.sock")
        }

        fn wait_for_readers(&self, count: usize) {
            let begun = Instant::now();
            while self.stream.readers().len() != count {
                assert!(begun.elapsed() < PATIENCE, "{count} readers did not come");
                std::thread::sleep(Duration::from_millis(5));
            }
        }

        /// Publishes for so long at 60 frames/s; returns the processor time that this thread spent in the calls that publish, a frame.
        fn run(&self, part: Part, time: Duration) -> Duration {
            let (begun, mut spent, mut frames) = (Instant::now(), Duration::ZERO, 0_u32);
            loop {
                // The first one too: of two frames at once, a reader of the latest would have the second alone.
                let due = begun + INTERVAL * (frames + 1);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let mut frame = self.stream.frame().expect("readers of the latest frame leave slots");
                frame[8] = part as u8;
                let before = cpu(ClockId::ThreadCPUTime);
                frame[..8].copy_from_slice(&now_ns().to_le_bytes());
                self.stream.send(frame).expect("the stream goes on");
                spent += cpu(ClockId::ThreadCPUTime) - before;
                frames += 1;
                if begun.elapsed() >= time {
                    return spent / frames;
                }
            }
        }
    }

    pub(crate) fn measure() {
        let options = Options::parse(5, Duration::from_secs(4));
        if options.wants("readers") {
            readers(&options);
        }
        if options.wants("late") {
            late();
        }
    }

    fn readers(options: &Options) {
        let alone = publishing_alone(options);
        let stage = Stage::new();
        let mut readers: Vec<_> = (0..READERS)
            .map(|index| ReadingProcess::start(["stopped", "slow"].get(index).unwrap_or(&"reader"), &stage.place()))
            .collect();
        stage.wait_for_readers(READERS);
        let (mut undisturbed, mut disturbed) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            undisturbed.push(stage.run(Part::Undisturbed, options.time));
            readers[0].signal(Signal::STOP);
            stage.run(Part::Between, INTERVAL * 10);
            disturbed.push(stage.run(Part::Disturbed, options.time));
            readers[0].signal(Signal::CONT);
            stage.run(Part::Between, INTERVAL * 10);
        }
        stage.run(Part::End, Duration::from_millis(500));
        let others: Vec<_> = readers.drain(2..).map(ReadingProcess::figures).collect();
        drop(readers);
        println!(
            "{READERS} readers of 1920x1080 gray8 at {RATE} frames/s, {} rounds of {:?}; the six undisturbed ones:",
            options.rounds, options.time
        );
        let middle = |at: usize| median(others.iter().map(|figures| figures[at]).collect());
        let sum = |at: usize| others.iter().map(|figures| figures[at]).sum::<f64>();
        let (before, after) = (middle(0), middle(2));
        println!("  all at work: p50 {before:.1} µs, p99 {:.1} µs", middle(1));
        println!(
            "  one stopped, one slow: p50 {after:.1} µs ({:+.1} %), p99 {:.1} µs",
            100.0 * (after / before - 1.0),
            middle(3)
        );
        println!("  frames that were published and not taken: {:.0} of {:.0}", sum(5), sum(4) + sum(5));
        let micros = |times: Vec<Duration>| median(times.into_iter().map(|time| time.as_secs_f64() * 1e6).collect());
        let (one, eight) = (micros(alone), micros(undisturbed));
        println!(
            "  processor time in the call that publishes: 1 reader {one:.1} µs, {READERS} readers {eight:.1} µs, {:.1} each; with one stopped, one slow {:.1}",
            eight / READERS as f64,
            micros(disturbed)
        );
    }

    /// The same with one reader, for what eight cost more.
    fn publishing_alone(options: &Options) -> Vec<Duration> {
        let stage = Stage::new();
        let reader = ReadingProcess::start("reader", &stage.place());
        stage.wait_for_readers(1);
        let spent = (0..options.rounds).map(|_| stage.run(Part::Undisturbed, options.time / 2)).collect();
        stage.run(Part::End, Duration::from_millis(100));
        drop(reader);
        spent
    }

    fn late() {
        let stage = Stage::new();
        let mut micros: Vec<f64> = Vec::new();
        std::thread::scope(|scope| {
            let (ended, over) = std::sync::mpsc::channel::<()>();
            let publishing = &stage;
            scope.spawn(move || {
                while matches!(over.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                    publishing.run(Part::Between, INTERVAL * 6);
                }
            });
            std::thread::sleep(INTERVAL * 3);
            micros.extend((0..LATE_READERS).map(|_| ReadingProcess::start("late", &stage.place()).figures()[0]));
            drop(ended);
        });
        let most = micros.iter().copied().fold(0.0, f64::max);
        println!(
            "a reader that comes late has its first frame, mapping included, {:.0} µs after it began to connect, median of {LATE_READERS}; at most {most:.0}",
            median(micros)
        );
    }

    fn median(mut figures: Vec<f64>) -> f64 {
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// A reader's process.
    pub(crate) fn read(role: &str) {
        let place = std::env::var_os(PLACE).expect("whoever starts it says where");
        let begun = Instant::now();
        let subscription = subscribe(Path::new(&place));
        if role == "late" {
            let frame = subscription.recv_timeout(PATIENCE).expect("the newest frame is kept");
            assert_ne!(frame.len(), 0);
            println!("{}", begun.elapsed().as_secs_f64() * 1e6);
            return;
        }
        let mut latencies = [Vec::new(), Vec::new()];
        while let Ok(frame) = subscription.recv_timeout(PATIENCE) {
            let now = now_ns();
            let (sent, part) = (u64::from_le_bytes(frame[..8].try_into().expect("eight bytes")), Part::of(frame[8]));
            match part {
                Part::Undisturbed | Part::Disturbed => {
                    latencies[part as usize].push(now.saturating_sub(sent) as f64 / 1e3)
                }
                Part::Between => {}
                Part::End => break,
            }
            if role == "slow" && part == Part::Disturbed {
                std::thread::sleep(SLOW);
            }
        }
        let stats = subscription.stats();
        let mut figures = Vec::new();
        for part in &mut latencies {
            part.sort_by(f64::total_cmp);
            let at = |share: f64| part.get((part.len() as f64 * share) as usize).copied().unwrap_or(0.0);
            figures.extend([at(0.5), at(0.99)]);
        }
        figures.extend([stats.taken as f64, stats.dropped as f64]);
        println!("{}", figures.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
    }

    fn subscribe(place: &Path) -> Subscription {
        let endpoint = Endpoint::path(place).expect("it is the hub's");
        let reader = Reader::connect(endpoint).expect("the hub is there");
        let config = SubscriptionConfig::new().policy(ConsumerPolicy::Latest).name("bench");
        reader.subscribe_with(STREAM, config).expect("the stream is there")
    }
}
