//! Asking a program's threads to end: by Ctrl-C, by a limit, or because another one failed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::{Failure, INTERRUPTED};
use crate::lock::lock;
use crate::logs;

/// A request to stop that every thread sees. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// By a signal: whoever sent it waits for the end.
    interrupted: bool,
    /// The pipe that is hung up when somebody asks, once there is one: its writing end until then, and its reading end.
    hangs_up: Option<io::PipeWriter>,
    descriptor: Option<Arc<OwnedFd>>,
    failure: Option<Failure>,
}

impl State {
    fn ask(&mut self) {
        self.stopped = true;
        self.hangs_up = None;
    }
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops at the first Ctrl-C (or SIGTERM, SIGHUP), in order; at the second one the process ends at once, with exit code
    /// [`INTERRUPTED`]. A signal that whoever started the process had it ignore stays ignored: that is how `nohup` keeps a
    /// program alive when its terminal closes, and a shell a job in the background at Ctrl-C.
    ///
    /// # Errors
    /// Where the system refuses the handler.
    pub fn on_interrupt(&self) -> Result<(), Failure> {
        let ignored = ignored_signals();
        let caught: Vec<i32> =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(ignored, *signal)).collect();
        let refused = |error: io::Error| {
            Failure::runtime(format!(
                "Ctrl-C cannot be caught: {error}; raise this process's limits of files and threads"
            ))
        };
        let mut signals = Signals::new(caught).map_err(refused)?;
        let (stop, mut impatience) = (self.clone(), Impatience::default());
        let listen = move || {
            for signal in signals.forever() {
                if impatience.is_at_its_end(signal) {
                    logs::flush();
                    std::process::exit(INTERRUPTED);
                }
                stop.interrupt();
            }
        };
        std::thread::Builder::new().name("framewire-stop".into()).spawn(listen).map(drop).map_err(refused)
    }

    /// Stops, as by Ctrl-C, once there is nothing more to read. A pipe from whoever started the process comes to its end when that one is gone, however it
    /// ended.
    ///
    /// # Errors
    /// No thread left.
    pub fn on_end_of(&self, mut input: impl io::Read + AsFd + Send + 'static) -> Result<(), Failure> {
        let stop = self.clone();
        let read = move || {
            read_to_end(&mut input);
            stop.interrupt();
        };
        let thread = std::thread::Builder::new().name("framewire-input".into()).spawn(read);
        thread.map(drop).map_err(Failure::runtime)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// A descriptor that is hung up once somebody has asked: for threads that wait for another one with `poll`.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        let mut state = self.lock();
        if let Some(descriptor) = &state.descriptor {
            return Ok(descriptor.clone());
        }
        let (reader, writer) = io::pipe()?;
        let descriptor = Arc::new(OwnedFd::from(reader));
        state.descriptor = Some(descriptor.clone());
        state.hangs_up = (!state.stopped).then_some(writer);
        Ok(descriptor)
    }

    /// Asks every thread to stop.
    pub fn stop(&self) {
        self.lock().ask();
        self.shared.changed.notify_all();
    }

    /// Asks every thread to stop, and to wait for nobody.
    pub fn interrupt(&self) {
        let mut state = self.lock();
        state.interrupted = true;
        state.ask();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Sleeps for `time`, or until there is nothing to wait for any more, as after a signal or a failure; true where that is so.
    /// A limit that was reached is no such reason: what came before it is finished.
    pub fn sleep_unless_interrupted(&self, time: Duration) -> bool {
        let goes_on = |state: &mut State| !state.interrupted && state.failure.is_none();
        let waited = self.shared.changed.wait_timeout_while(self.lock(), time, goes_on);
        !goes_on(&mut waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0)
    }

    /// Asks every thread to stop because of a failure; the first one is kept.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        state.failure.get_or_insert(failure);
        state.ask();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Whether somebody has asked.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Sleeps until `deadline` or until somebody asks; true where somebody has.
    pub fn sleep_until(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        true
    }

    /// As [`Stop::sleep_until`], for a time from now.
    pub fn sleep(&self, time: Duration) -> bool {
        self.sleep_until(Instant::now() + time)
    }

    /// Does something that may take long, and of which nothing is lost by not waiting for its end: in a thread of its own, which is left
    /// to itself where somebody asks to stop meanwhile. `None` then.
    ///
    /// # Errors
    /// The system gives no thread.
    ///
    /// # Panics
    /// Where it does, with what it panicked with.
    pub fn unless_asked<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<Option<T>> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let told = TellsAtItsEnd(self.clone());
        std::thread::Builder::new().name("framewire-asks".into()).spawn(move || {
            // Dropped in the order of their declaration turned round, however it ends: the channel, and then it is told.
            let _told = told;
            let send = send;
            // What was changed by halves is seen by nobody: whoever waits panics too.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // Nobody waits for it any more where that fails.
            let _ = send.send(done);
        })?;
        let mut state = self.lock();
        loop {
            match receive.try_recv() {
                Ok(Ok(done)) => return Ok(Some(done)),
                Ok(Err(panic)) => {
                    drop(state);
                    std::panic::resume_unwind(panic)
                }
                // It sends before it ends, so that it is under way.
                Err(_) if state.stopped => return Ok(None),
                Err(_) => {}
            }
            state = self.shared.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// The failure because of which the program stops, if that is why.
    ///
    /// # Errors
    /// That failure.
    pub fn outcome(&self) -> Result<(), Failure> {
        self.lock().failure.clone().map_or(Ok(()), Err)
    }
}

/// Reads until there is nothing more. One that cannot be read has nothing more either; one that others have set not to wait may have.
fn read_to_end(input: &mut (impl io::Read + AsFd)) {
    let mut read = [0; 4096];
    loop {
        match input.read(&mut read) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for(input),
            Err(_) => return,
        }
    }
}

/// Waits until there is something to read, or the end. Where that cannot be waited for, the next read says so.
fn wait_for(input: &impl AsFd) {
    let _ = poll(&mut [PollFd::new(input, PollFlags::IN)], None);
}

/// Wakes whoever waits, when it is dropped.
struct TellsAtItsEnd(Stop);

impl Drop for TellsAtItsEnd {
    fn drop(&mut self) {
        // With the lock: whoever has looked in vain waits by now.
        drop(self.0.lock());
        self.0.shared.changed.notify_all();
    }
}

/// How often somebody has asked.
#[derive(Debug, Default)]
struct Impatience {
    asked: bool,
}

impl Impatience {
    /// Whether this signal is the second wish. A terminal that closes is told of by the kernel and by the shell: that is one
    /// event, and nobody's impatience.
    fn is_at_its_end(&mut self, signal: i32) -> bool {
        let had_asked = std::mem::replace(&mut self.asked, true);
        had_asked && signal != SIGHUP
    }
}

/// Signals that this process was started to ignore, a bit each from 1. Where the system does not tell, none.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status).unwrap_or_default()
}

/// What Linux says of a process: `SigIgn:` and the bits in hexadecimal.
fn ignored_in(status: &str) -> Option<u64> {
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(bits.trim(), 16).ok()
}

fn is_ignored(signals: u64, signal: i32) -> bool {
    let bit = u32::try_from(signal).ok().and_then(|signal| signal.checked_sub(1));
    bit.and_then(|bit| signals.checked_shr(bit)).is_some_and(|signals| signals & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_wish_ends_at_once_but_a_terminal_that_closes_is_no_wish_however_often_it_is_told() {
        let ends = |signals: &[i32]| {
            let mut impatience = Impatience::default();
            signals.iter().map(|signal| impatience.is_at_its_end(*signal)).collect::<Vec<_>>()
        };
        assert_eq!(ends(&[SIGINT, SIGINT]), [false, true]);
        assert_eq!(ends(&[SIGTERM, SIGINT]), [false, true]);
        assert_eq!(ends(&[SIGHUP, SIGHUP, SIGHUP]), [false, false, false]);
        assert_eq!(ends(&[SIGTERM, SIGHUP]), [false, false]);
        assert_eq!(ends(&[SIGHUP, SIGINT]), [false, true]);
    }

    #[test]
    fn what_takes_long_is_waited_for_unless_somebody_asks_to_stop() {
        let stop = Stop::new();
        assert_eq!(stop.unless_asked(|| 7).unwrap(), Some(7));
        // One that never ends by itself, and that has somebody ask once it is under way.
        let (end, never) = std::sync::mpsc::channel::<()>();
        let asks = stop.clone();
        let left = stop.unless_asked(move || {
            asks.interrupt();
            never.recv()
        });
        assert_eq!(left.unwrap(), None);
        drop(end);
        let panics = || Stop::new().unless_asked(|| -> () { std::panic::resume_unwind(Box::new(7)) });
        let panic = std::panic::catch_unwind(panics).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&7), "an error is that there is no thread, and nothing else");
    }

    #[test]
    fn an_input_that_does_not_wait_is_not_at_its_end() {
        use std::io::{PipeReader, Read, Write};
        use std::os::fd::BorrowedFd;
        use std::sync::mpsc::{Sender, channel};

        /// Tells what comes of each read.
        struct Told(PipeReader, Sender<io::Result<usize>>);
        impl Read for Told {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                let read = self.0.read(bytes);
                let told = read.as_ref().map(|read| *read).map_err(|error| error.kind().into());
                self.1.send(told).unwrap();
                read
            }
        }
        impl AsFd for Told {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        let (reader, mut writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let (tell, told) = channel();
        let reading = std::thread::spawn(move || read_to_end(&mut Told(reader, tell)));
        let is_wait = |read: io::Result<usize>| read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        for _ in 0..3 {
            assert!(is_wait(told.recv().unwrap()), "there is nothing to read yet");
            writer.write_all(b"x").unwrap();
            assert_eq!(told.recv().unwrap().unwrap(), 1);
        }
        assert!(is_wait(told.recv().unwrap()));
        drop(writer);
        assert_eq!(told.recv().unwrap().unwrap(), 0);
        reading.join().unwrap();
    }

    #[test]
    fn signals_that_are_ignored_are_read_as_the_kernel_writes_them() {
        // As under nohup: SIGHUP, and SIGPIPE, which Rust's own start ignores.
        let signals =
            ignored_in("Name:\tx\nSigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\nSigCgt:\t0\n").unwrap();
        assert!(is_ignored(signals, SIGHUP) && is_ignored(signals, 13));
        assert!(!is_ignored(signals, SIGINT) && !is_ignored(signals, SIGTERM) && !is_ignored(signals, 0));
        for status in ["", "SigIgn:", "SigIgn:\tzz", "SigIgn:\t11111111111111111"] {
            assert_eq!(ignored_in(status), None);
        }
    }

    #[test]
    fn the_descriptor_hangs_up_when_somebody_asks_whether_it_was_made_before_or_after() {
        for before in [true, false] {
            let stop = Stop::new();
            let made = before.then(|| stop.descriptor().unwrap());
            stop.clone().stop();
            let descriptor = made.unwrap_or_else(|| stop.descriptor().unwrap());
            let mut end = std::fs::File::from(descriptor.try_clone().unwrap());
            assert_eq!(std::io::Read::read(&mut end, &mut [0]).unwrap(), 0);
        }
    }
}
