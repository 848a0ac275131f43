//! How a reader that sleeps is woken: one byte in a pipe of its own, and what that costs.
//!
//! The write end is a description that nobody else has, so that whatever a reader does with its own end, a write here never waits.
//! What a reader can do is make each write dear, by having its end watched by thousands of others: that is measured.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::time::{ClockId, clock_gettime};

/// What waking a reader may cost of a processor's time, on average. On a virtual machine whose processors sleep deeply between frames, waking one costs an
/// honest reader's hub more than 100 µs; thousands that watch a pipe cost a millisecond.
const COST_MAX: Duration = Duration::from_micros(400);

/// Wakes that are measured one by one before only some are.
const MEASURED_FIRST: u64 = 32;

/// Of those after them, one of so many is measured: to ask for a thread's time costs a tenth of a wake.
const MEASURED_ONE_OF: u64 = 16;

/// How many measured wakes the average goes back to.
const AVERAGED: u32 = 32;

/// The hub's end of a reader's pipe.
#[derive(Debug)]
pub(super) struct Alarm {
    pipe: Option<OwnedFd>,
    /// The reader's end: as long as somebody has one, a write raises no signal, whatever program the hub is part of.
    _reader: OwnedFd,
    wakes: u64,
    measured: u32,
    average: Duration,
}

impl Alarm {
    /// An alarm, and the end that the reader sleeps on: readable when it is woken, at its end when the stream or the hub is gone.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let passed = rustix::io::fcntl_dupfd_cloexec(&reader, 3)?;
        let alarm = Self { pipe: Some(writer), _reader: reader, wakes: 0, measured: 0, average: Duration::ZERO };
        Ok((alarm, passed))
    }

    /// Wakes the reader. A full pipe has woken it already.
    pub(super) fn ring(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let is_measured = self.wakes < MEASURED_FIRST || self.wakes.is_multiple_of(MEASURED_ONE_OF);
        let begun = is_measured.then(processor_time);
        let _woken = rustix::io::write(pipe, &[1]);
        self.wakes += 1;
        if let Some(begun) = begun {
            self.note(processor_time().saturating_sub(begun));
        }
    }

    fn note(&mut self, cost: Duration) {
        self.measured = self.measured.saturating_add(1);
        let over = self.measured.min(AVERAGED);
        self.average = (self.average * (over - 1) + cost) / over;
    }

    /// What a wake costs of a processor's time, on average.
    pub(super) fn cost(&self) -> Duration {
        self.average
    }

    /// Whether waking this reader costs more than any other's should pay for.
    pub(super) fn is_too_dear(&self) -> bool {
        self.measured >= AVERAGED && self.average > COST_MAX
    }

    /// Closes the pipe: the reader learns of the end. It is woken too, since it may not be the end: a process that was forked from this one
    /// has the pipe open as well.
    pub(super) fn close(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            let _woken = rustix::io::write(pipe, &[1]);
        }
    }
}

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_ring_makes_the_pipe_readable_a_full_pipe_does_not_block_and_the_end_is_the_end_of_the_pipe() {
        let (mut alarm, reader) = Alarm::new().unwrap();
        assert_eq!(rustix::io::read(&reader, &mut [0; 8]), Err(Errno::AGAIN));
        alarm.ring();
        assert_eq!(rustix::io::read(&reader, &mut [0; 8]), Ok(1));
        // More than any pipe holds.
        for _ in 0..200_000 {
            alarm.ring();
        }
        while rustix::io::read(&reader, &mut [0; 4096]).is_ok() {}
        let heir = rustix::io::dup(alarm.pipe.as_ref().unwrap()).unwrap();
        alarm.close();
        alarm.ring();
        assert_eq!(rustix::io::read(&reader, &mut [0; 8]), Ok(1), "it is woken where another process has the pipe too");
        assert_eq!(rustix::io::read(&reader, &mut [0; 8]), Err(Errno::AGAIN));
        drop(heir);
        assert_eq!(rustix::io::read(&reader, &mut [0; 8]), Ok(0));
    }

    #[test]
    fn a_reader_that_closed_its_end_costs_the_hub_nothing() {
        let (mut alarm, reader) = Alarm::new().unwrap();
        drop(reader);
        alarm.ring();
        assert!(!alarm.is_too_dear());
    }

    #[test]
    fn a_reader_whose_wakes_are_dear_on_average_is_told_from_one_with_a_single_slow_one() {
        let (mut alarm, _reader) = Alarm::new().unwrap();
        alarm.note(Duration::from_millis(2));
        for _ in 0..200 {
            // As on a virtual machine whose processors sleep.
            alarm.note(Duration::from_micros(150));
            assert!(!alarm.is_too_dear(), "{:?}", alarm.cost());
        }
        for _ in 0..400 {
            alarm.note(Duration::from_micros(450));
        }
        assert!(alarm.is_too_dear() && alarm.cost() > Duration::from_micros(400));
    }
}
