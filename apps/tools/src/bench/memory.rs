//! Two threads of one process that hand slots over: every frame made in its slot, and every byte of it read. What shared memory can at
//! best do between two processes.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_transport::Time;
use framewire_transport::frame::{Frame, FramePool};
use framewire_transport::share::SubscriptionConfig;

use super::contender::{Arrived, ReceiveLink, SendLink};
use super::patience::{LOOK_AROUND, PATIENCE, Wait};
use super::stamp::Stamp;
use super::work;

/// Frames that wait for the reader, as many as for that of `shm-read`, whom the hub waits for.
const WAITING: usize = SubscriptionConfig::BLOCK_FRAMES;
/// One that is made, one that is read, those that wait, and one between.
const SLOTS: usize = WAITING + 3;

/// Both halves. A reader that polls looks for frames without sleeping.
pub(super) fn pair(
    frame_bytes: usize,
    busy_poll: bool,
    stop: &Stop,
) -> Result<(MemorySender, MemoryReceiver), Failure> {
    let pool = FramePool::new(SLOTS, frame_bytes).map_err(Failure::runtime)?;
    let (send, frames) = sync_channel(WAITING);
    let stop = stop.clone();
    Ok((
        MemorySender { pool, frame_bytes, frames: send, stop: stop.clone() },
        MemoryReceiver { frames, busy_poll, stop },
    ))
}

/// The sending half.
pub(super) struct MemorySender {
    pool: FramePool,
    frame_bytes: usize,
    frames: SyncSender<Frame>,
    stop: Stop,
}

impl SendLink for MemorySender {
    fn send(&mut self, stamp: Stamp) -> Result<(), Failure> {
        let mut wait = None;
        let mut frame = loop {
            if let Some(frame) = self.pool.acquire_timeout(LOOK_AROUND) {
                break frame;
            }
            let wait = wait.get_or_insert_with(|| Wait::begin(&self.stop, PATIENCE));
            wait.check("no slot came free", "try again")?;
        };
        frame.set_len(self.frame_bytes).map_err(Failure::runtime)?;
        work::make(&mut frame, stamp.number);
        stamp.write_now(&mut frame);
        self.frames.send(frame.freeze()).map_err(|_| Failure::runtime("the reading thread has ended"))
    }
}

/// The receiving half.
pub(super) struct MemoryReceiver {
    frames: Receiver<Frame>,
    busy_poll: bool,
    stop: Stop,
}

impl MemoryReceiver {
    fn frame(&self) -> Result<Frame, Failure> {
        let ended = || Failure::runtime("the making thread has ended");
        if self.busy_poll {
            return super::patience::poll(&self.stop, || match self.frames.try_recv() {
                Ok(frame) => Ok(Some(frame)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(ended()),
            });
        }
        let mut wait = None;
        loop {
            match self.frames.recv_timeout(LOOK_AROUND) {
                Ok(frame) => return Ok(frame),
                Err(RecvTimeoutError::Timeout) => wait
                    .get_or_insert_with(|| Wait::begin(&self.stop, PATIENCE))
                    .check("no frame was made", "try again")?,
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
        }
    }
}

impl ReceiveLink for MemoryReceiver {
    fn next_frame(&mut self) -> Result<Arrived, Failure> {
        let frame = self.frame()?;
        let completed = Time::now();
        let stamp = read_whole(&frame)?;
        Ok(Arrived { stamp, completed, latency: None })
    }
}

/// The stamp of a frame, once every byte of it was read.
pub(super) fn read_whole(frame: &[u8]) -> Result<Stamp, Failure> {
    let sum = work::read(frame);
    let stamp = Stamp::parse(frame).ok_or_else(|| Failure::runtime("a frame came without a stamp"))?;
    if sum != work::sum(frame.len(), stamp.number) {
        let number = stamp.number;
        return Err(Failure::runtime(format!("frame {number} does not read as it was made; please report this")));
    }
    Ok(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stamp::Phase;

    #[test]
    fn frames_of_every_size_pass_whole_and_in_order() {
        for (frame_bytes, busy_poll) in [(16, false), (65_537, true), (200_000, false)] {
            let stop = Stop::new();
            let (mut sender, mut receiver) = pair(frame_bytes, busy_poll, &stop).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    for number in 0..100 {
                        let stamp = Stamp { phase: Phase::Rate, last: number == 99, number, sent: Time::ZERO };
                        sender.send(stamp).unwrap();
                    }
                });
                for number in 0..100 {
                    let arrived = receiver.next_frame().unwrap();
                    assert_eq!((arrived.stamp.number, arrived.stamp.last), (number, number == 99));
                    assert!(arrived.completed >= arrived.stamp.sent);
                }
                let said = receiver.next_frame().unwrap_err().to_string();
                assert!(said.contains("the making thread has ended"), "{said}");
            });
        }
    }

    #[test]
    fn a_frame_that_changed_on_its_way_is_a_failure() {
        let mut frame = vec![0; 100];
        work::make(&mut frame, 7);
        Stamp { phase: Phase::Rate, last: false, number: 7, sent: Time::ZERO }.write_now(&mut frame);
        assert_eq!(read_whole(&frame).unwrap().number, 7);
        frame[50] ^= 1;
        assert!(read_whole(&frame).unwrap_err().to_string().contains("frame 7 does not read as it was made"));
    }
}
