//! Lines on their way to whoever reads them: handed over without waiting, written by a thread of its own.
//!
//! A pipe whose reader stands still, or a terminal at Ctrl-S, holds up who writes to it for as long as it likes. That must
//! be nobody who has something else to do.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use crate::lock::lock;

/// What logs may have waiting: some thousand lines, a moment's burst.
const LOGS_BYTES_MAX: usize = 512 * 1024;
/// What may wait with what the program says itself, which no peer makes it say and nobody should miss.
const ALL_BYTES_MAX: usize = 2 * LOGS_BYTES_MAX;

/// Lines that wait to be written. Clones share them.
#[derive(Clone)]
pub(super) struct Queue {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is a line, or one was left out.
    to_write: Condvar,
    /// All has been written.
    empty: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Of the lines that wait, and of the one that is being written.
    bytes: usize,
    left_out: u64,
    /// A line is being written, for as long as the reader likes.
    is_writing: bool,
    /// Somebody has waited for the reader in vain. Nobody does again before it reads on.
    stands_still: bool,
    /// No thread writes: whoever has a line does.
    is_direct: bool,
}

/// Whose line it is, when room is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Logs,
    Program,
}

impl Queue {
    /// That of standard error, whose thread begins with the first who has something to say.
    pub(super) fn of_stderr() -> &'static Self {
        static STDERR: OnceLock<Queue> = OnceLock::new();
        STDERR.get_or_init(|| Self::towards(io::stderr))
    }

    /// Has a thread write to `reader`; where there is none left, whoever has a line writes to standard error.
    fn towards<W: Write>(reader: impl FnOnce() -> W + Send + 'static) -> Self {
        let queue = Self { shared: Arc::default() };
        let writing = queue.clone();
        let thread = std::thread::Builder::new().name("framewire-lines".into());
        if thread.spawn(move || writing.run(reader())).is_err() {
            queue.lock().is_direct = true;
        }
        queue
    }

    /// Takes a line, with its end, and waits for nobody. One that finds no room is counted.
    pub(super) fn push(&self, of: Of, line: Vec<u8>) {
        let mut state = self.lock();
        if state.is_direct {
            drop(state);
            // Whoever does not read any more misses it.
            let _ = io::stderr().write_all(&line);
            return;
        }
        let room = if of == Of::Logs { LOGS_BYTES_MAX } else { ALL_BYTES_MAX };
        // Where one was left out, those after it are too until the count stands in its place.
        if of == Of::Logs && state.left_out > 0 || state.bytes + line.len() > room {
            state.left_out += 1;
        } else {
            state.bytes += line.len();
            state.lines.push_back(line);
        }
        drop(state);
        self.shared.to_write.notify_one();
    }

    /// Waits until all is written, at most for this time, and not at all where that was in vain before; whether it is.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        while !state.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.stands_still {
                state.stands_still = true;
                return false;
            }
            state = self.shared.empty.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        true
    }

    /// Writes what comes, for ever.
    fn run(&self, mut reader: impl Write) {
        let mut state = self.lock();
        loop {
            let Some(line) = state.next() else {
                self.shared.empty.notify_all();
                state = self.shared.to_write.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            };
            state.is_writing = true;
            drop(state);
            // Whoever does not read any more misses it.
            let _ = reader.write_all(&line).and_then(|()| reader.flush());
            state = self.lock();
            (state.is_writing, state.stands_still) = (false, false);
            state.bytes = state.bytes.saturating_sub(line.len());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.left_out == 0 && !self.is_writing
    }

    /// The line that is to be written now: the next, or after the last how many there was no room for.
    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(line) = self.lines.pop_front() {
            return Some(line);
        }
        let left_out = std::mem::take(&mut self.left_out);
        let line = (left_out > 0).then(|| super::line::left_out(left_out).into_bytes())?;
        self.bytes += line.len();
        Some(line)
    }
}

/// What a line of the logs is written to.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(Of::Logs, line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes a line when it is asked to.
    struct Reader {
        takes: mpsc::Receiver<()>,
        taken: mpsc::Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.takes.recv().is_ok() {
                let _ = self.taken.send(String::from_utf8(line.to_vec()).unwrap());
            }
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn read() -> (Queue, mpsc::Sender<()>, mpsc::Receiver<String>) {
        let ((take, takes), (taken, read)) = (mpsc::channel(), mpsc::channel());
        (Queue::towards(move || Reader { takes, taken }), take, read)
    }

    const FOREVER: Duration = Duration::from_secs(600);

    #[test]
    fn whoever_writes_waits_for_no_reader_and_what_there_was_no_room_for_is_counted_in_its_place() {
        let (mut queue, take, read) = read();
        let line = format!("{}\n", "x".repeat(1023));
        let (kept, left_out) = (LOGS_BYTES_MAX / line.len(), 100);
        for _ in 0..kept + left_out {
            queue.write_all(line.as_bytes()).unwrap();
        }
        queue.push(Of::Program, b"what the program says itself\n".to_vec());
        queue.write_all(b"a short one that would have found room\n").unwrap();
        assert!(!queue.flush(Duration::ZERO), "nobody has read");
        // Not even at the end does anybody wait a second time.
        assert!(!queue.flush(FOREVER));
        for _ in 0..kept {
            take.send(()).unwrap();
            assert_eq!(read.recv().unwrap(), line);
        }
        take.send(()).unwrap();
        assert_eq!(read.recv().unwrap(), "what the program says itself\n");
        take.send(()).unwrap();
        let count = read.recv().unwrap();
        assert!(count.contains(&format!("{} lines", left_out + 1)) && count.ends_with('\n'), "{count}");
        // Now there is room again.
        (0..2).for_each(|_| take.send(()).unwrap());
        queue.write_all(b"after\n").unwrap();
        assert_eq!(read.recv().unwrap(), "after\n");
        assert!(queue.flush(FOREVER));
    }

    #[test]
    fn all_who_write_are_read_in_the_order_in_which_they_wrote_and_a_flush_waits_for_them() {
        let (mut queue, take, read) = read();
        (0..100).for_each(|_| take.send(()).unwrap());
        for number in 0..100 {
            match number % 2 {
                0 => queue.write_all(format!("{number}").as_bytes()).unwrap(),
                _ => queue.push(Of::Program, format!("{number}").into_bytes()),
            }
        }
        assert!(queue.flush(FOREVER));
        assert_eq!(read.try_iter().collect::<Vec<_>>(), (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_that_is_gone_holds_nobody_up() {
        let (queue, take, _) = read();
        drop(take);
        (0..1000).for_each(|_| queue.push(Of::Program, b"to nobody\n".to_vec()));
        assert!(queue.flush(FOREVER));
    }
}
