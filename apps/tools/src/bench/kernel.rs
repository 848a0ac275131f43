//! The bare kernel: the bytes of the frames through Framewire's own backends, in datagrams and batches as large as its
//! own, in trains where it has trains, with no header, no protocol and no look at what arrived. What two processes can at
//! best do over UDP.
//!
//! Everything that `bench` knows of the backends is here. Which datagram is which is told by counting: nothing may be
//! lost or overtaken, which holds on one machine, where the sender keeps to a window that fits the socket buffer. Its
//! credit is the count of datagrams received, eight bytes back on the same socket every quarter of the window.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_transport::SliceSize;
use framewire_transport::backend::{
    Backend, BackendConfig, ConnectedSocket, ReceiveBatch, SendBatch, Waker, charged_bytes, wait,
};
use framewire_transport::frame::{Arrival, Frame, FramePool};
use framewire_transport::wire::train_slices;
use framewire_transport::{BackendKind, Time};

use super::contender::{Arrived, ReceiveLink, SendLink};
use super::patience::{LOOK_AROUND, Wait};
use super::stamp::Stamp;

/// Nothing is repaired: what has not come by now never does.
const PATIENCE: Duration = Duration::from_secs(2);
/// Frames of memory at the sender. A stream has more slots, but works in two or three that stay in cache.
const SEND_SLOTS: usize = 2;
const RECEIVE_SLOTS_MAX: usize = 8;
/// Datagrams of credit that are read at once.
const INBOX: usize = 16;
const CREDIT_LEN: usize = 8;

/// How the frames are cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    frame_bytes: usize,
    datagram_bytes: usize,
    /// Datagrams to a frame.
    count: usize,
}

impl Cut {
    fn new(frame_bytes: usize, datagram_bytes: u16) -> Self {
        let datagram_bytes = usize::from(datagram_bytes);
        Self { frame_bytes, datagram_bytes, count: frame_bytes.div_ceil(datagram_bytes) }
    }

    /// The part of a frame that its `nth` datagram has.
    fn range(&self, nth: usize) -> std::ops::Range<usize> {
        let start = nth * self.datagram_bytes;
        start..(start + self.datagram_bytes).min(self.frame_bytes)
    }

    /// Datagrams to a system call, as Framewire has them.
    fn batch(&self) -> usize {
        self.count.clamp(self.train().max(16), 1024)
    }

    /// Datagrams to a train, as Framewire has them.
    fn train(&self) -> usize {
        train_slices(self.datagram_bytes)
    }

    fn backend_config(&self) -> BackendConfig {
        BackendConfig::new(self.batch(), self.datagram_bytes)
    }

    /// Datagrams that may be on their way: two frames, as Framewire has them, and what fits the socket buffer.
    fn window(&self, buffer_bytes: usize) -> u64 {
        (2 * self.count).max(32).min(buffer_bytes / 8 * 7 / charged_bytes(self.datagram_bytes)).max(1) as u64
    }

    fn buffer_bytes_wanted(&self) -> usize {
        ((2 * self.count).max(32) * charged_bytes(self.datagram_bytes) / 7 * 8).clamp(256 << 10, 16 << 20)
    }
}

/// How much is credited at once.
const fn quarter(window: u64) -> u64 {
    if window < 4 { 1 } else { window / 4 }
}

/// A socket of the sending half that the far end does not know yet.
pub(super) struct KernelSocket {
    socket: ConnectedSocket,
    datagram_bytes: u16,
}

impl KernelSocket {
    /// A socket towards a host.
    pub(super) fn towards(peer: SocketAddr, slice: SliceSize) -> Result<Self, Failure> {
        let socket = ConnectedSocket::connect(peer).map_err(|error| no_socket(peer, &error))?;
        let datagram_bytes = match slice {
            SliceSize::Bytes(bytes) => bytes,
            // At most SliceSize::BYTES_MAX, which fits.
            _ => socket.path_datagram_bytes() as u16,
        };
        Ok(Self { socket, datagram_bytes })
    }

    pub(super) fn datagram_bytes(&self) -> u16 {
        self.datagram_bytes
    }

    pub(super) fn port(&self) -> Result<u16, Failure> {
        self.socket.local().map(|address| address.port()).map_err(|error| no_socket(self.socket.peer(), &error))
    }
}

fn no_socket(peer: SocketAddr, error: &io::Error) -> Failure {
    Failure::runtime(format!("no UDP socket towards {peer}: {error}; check the address and the network"))
}

/// The sending half.
pub(super) struct KernelSender {
    backend: Box<dyn Backend>,
    cut: Cut,
    batch: SendBatch,
    inbox: ReceiveBatch,
    waker: Waker,
    pool: FramePool,
    /// Held until the next one is sent, so that frames take turns in the slots.
    previous: Option<Frame>,
    window: u64,
    sent: u64,
    received: u64,
    stop: Stop,
}

impl KernelSender {
    /// Connects the socket to the far end's, which takes `window` datagrams ahead.
    pub(super) fn connect(
        KernelSocket { mut socket, datagram_bytes }: KernelSocket,
        peer: SocketAddr,
        window: u64,
        (backend, frame_bytes): (BackendKind, usize),
        stop: &Stop,
    ) -> Result<Self, Failure> {
        socket.redirect(peer).map_err(|error| no_socket(peer, &error))?;
        let cut = Cut::new(frame_bytes, datagram_bytes);
        // As a stream's: where the system gives less, it is the socket that the sender waits for.
        let _ = socket.set_send_buffer(frame_bytes.clamp(256 << 10, 8 << 20));
        Ok(Self {
            backend: backend.open(socket, &BackendConfig { send_trains: true, ..cut.backend_config() }),
            cut,
            batch: SendBatch::new(cut.batch(), 0),
            inbox: ReceiveBatch::new(INBOX, CREDIT_LEN),
            waker: Waker::new().map_err(no_waker)?,
            pool: FramePool::new(SEND_SLOTS, frame_bytes).map_err(Failure::runtime)?,
            previous: None,
            window,
            sent: 0,
            received: 0,
            stop: stop.clone(),
        })
    }

    fn room(&self) -> u64 {
        self.received.saturating_add(self.window).saturating_sub(self.sent)
    }

    /// Datagrams that a system call is made for: what is credited at once, and a whole train, as far as the window has
    /// room for both.
    fn worth_sending(&self) -> u64 {
        let train = self.cut.train() as u64;
        if train <= self.window / 2 { train.max(quarter(self.window)) } else { quarter(self.window) }
    }

    /// Waits until `datagrams` may go out; returns how many may.
    fn wait_for_room(&mut self, datagrams: u64) -> Result<u64, Failure> {
        let stop = self.stop.clone();
        let mut patience = None;
        while self.room() < datagrams {
            if self.receive_credit()? == 0 {
                patience.get_or_insert_with(|| Wait::begin(&stop, PATIENCE)).check(
                    "the far end of the bare kernel took no more datagrams",
                    "leave it out with --only framewire,tcp",
                )?;
                self.sleep(false)?;
            }
        }
        Ok(self.room())
    }

    fn receive_credit(&mut self) -> Result<usize, Failure> {
        self.inbox.clear();
        self.inbox.post_heads();
        let count = match self.backend.receive(&mut self.inbox) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            received => received.map_err(|error| broken(&error))?,
        };
        for datagram in self.inbox.datagrams() {
            if let Some(received) = datagram.head.first_chunk() {
                // What cannot be is ignored.
                self.received = u64::from_le_bytes(*received).clamp(self.received, self.sent);
            }
        }
        Ok(count)
    }

    fn transmit(&mut self) -> Result<(), Failure> {
        let stop = self.stop.clone();
        let mut patience = None;
        while !self.batch.is_sent() {
            match self.backend.send(&mut self.batch) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    patience.get_or_insert_with(|| Wait::begin(&stop, PATIENCE)).check(
                        "the socket of the bare kernel took no datagram",
                        "leave it out with --only framewire,tcp",
                    )?;
                    self.sleep(true)?;
                }
                Err(error) => return Err(broken(&error)),
            }
        }
        self.batch.clear();
        Ok(())
    }

    fn sleep(&self, writable: bool) -> Result<(), Failure> {
        wait(self.backend.socket().as_fd(), writable, &self.waker, LOOK_AROUND, Duration::ZERO)
            .map_err(|error| broken(&error))
    }
}

impl SendLink for KernelSender {
    fn send(&mut self, stamp: Stamp) -> Result<(), Failure> {
        let mut frame = self.pool.try_acquire().expect("one slot is held, and there are two");
        frame.set_len(self.cut.frame_bytes).map_err(Failure::runtime)?;
        stamp.write_now(&mut frame);
        let frame = frame.freeze();
        let mut next = 0;
        while next < self.cut.count {
            let left = self.cut.count - next;
            let room = self.wait_for_room(self.worth_sending().min(left as u64))?;
            let mut count = left.min(usize::try_from(room).unwrap_or(usize::MAX)).min(self.batch.room());
            if count < left && count > self.cut.train() {
                count -= count % self.cut.train();
            }
            let bytes = self.cut.range(next).start..self.cut.range(next + count - 1).end;
            let pushed = self.batch.push_slices(&frame, bytes, self.cut.datagram_bytes, |_, _| {});
            pushed.map_err(Failure::runtime)?;
            // Counted first: the credit for them may be there before the call returns.
            self.sent += count as u64;
            self.transmit()?;
            next += count;
        }
        self.previous = Some(frame);
        Ok(())
    }

    fn datagrams(&self) -> Option<(BackendKind, u16)> {
        // It came as 16 bits.
        Some((self.backend.kind(), self.cut.datagram_bytes as u16))
    }
}

/// A place in the receiver's memory.
#[derive(Debug, Clone, Copy)]
struct Spot {
    slot: usize,
    /// Which part of the frame.
    nth: usize,
}

/// The receiving half.
pub(super) struct KernelReceiver {
    backend: Box<dyn Backend>,
    cut: Cut,
    batch: ReceiveBatch,
    waker: Waker,
    /// Frames land in them by turns.
    slots: Vec<Arrival>,
    window: u64,
    /// Where the next datagram lands.
    next: Spot,
    received: u64,
    credited: u64,
    /// Of the frames that have begun to arrive and were not handed on yet.
    stamps: VecDeque<Option<Stamp>>,
    /// How many of these are complete.
    complete: usize,
    /// When the last batch was there.
    now: Time,
    stop: Stop,
}

impl KernelReceiver {
    /// A socket that hears the sender at `peer` only, at the address of this machine, `here`, that it sends to.
    pub(super) fn towards(
        (mut here, peer): (SocketAddr, SocketAddr),
        datagram_bytes: u16,
        (backend, frame_bytes): (BackendKind, usize),
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let (min, max) = (SliceSize::BYTES_MIN, SliceSize::BYTES_MAX);
        if !(min..=max).contains(&datagram_bytes) {
            return Err(Failure::runtime(format!(
                "datagrams of {datagram_bytes} bytes cannot be; use --slice {min} to {max}"
            )));
        }
        here.set_port(0);
        let socket = ConnectedSocket::connect_from(here, peer).map_err(|error| no_socket(peer, &error))?;
        let cut = Cut::new(frame_bytes, datagram_bytes);
        let buffer_bytes =
            socket.set_receive_buffer(cut.buffer_bytes_wanted()).map_err(|error| no_socket(peer, &error))?;
        // A batch begins anywhere in a frame. Of small frames it has as many as a stream has slots for.
        let slots = (cut.batch().div_ceil(cut.count) + 1).min(RECEIVE_SLOTS_MAX);
        let pool = FramePool::new(slots, cut.count * cut.datagram_bytes).map_err(Failure::runtime)?;
        Ok(Self {
            backend: backend.open(socket, &BackendConfig { receive_trains: true, ..cut.backend_config() }),
            cut,
            batch: ReceiveBatch::new(cut.batch(), 0),
            waker: Waker::new().map_err(no_waker)?,
            slots: std::iter::from_fn(|| pool.try_arrival()).collect(),
            window: cut.window(buffer_bytes),
            next: Spot { slot: 0, nth: 0 },
            received: 0,
            credited: 0,
            stamps: VecDeque::new(),
            complete: 0,
            now: Time::ZERO,
            stop: stop.clone(),
        })
    }

    pub(super) fn port(&self) -> Result<u16, Failure> {
        let socket = self.backend.socket();
        socket.local().map(|address| address.port()).map_err(|error| no_socket(socket.peer(), &error))
    }

    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// The place `datagrams` further on.
    fn after(&self, Spot { slot, nth }: Spot, datagrams: usize) -> Spot {
        let nth = nth + datagrams;
        Spot { slot: (slot + nth / self.cut.count) % self.slots.len(), nth: nth % self.cut.count }
    }

    /// Takes what is there; waits where that is nothing.
    fn receive(&mut self) -> Result<(), Failure> {
        self.batch.clear();
        let first = self.next;
        let mut landings = self.cut.batch().min(self.backend.landings()).min(self.slots.len() * self.cut.count);
        let mut spot = first;
        while landings > 0 {
            // Room for a whole datagram, for the last one of a frame too: then a train fits the landings of any other.
            let (cell, cells) = (self.cut.datagram_bytes, landings.min(self.cut.count - spot.nth));
            let posted = self.batch.post_cells(&self.slots[spot.slot], spot.nth * cell, cell, cells);
            posted.map_err(Failure::runtime)?;
            landings -= cells;
            spot = self.after(spot, cells);
        }
        let mut patience = None;
        loop {
            match self.backend.receive(&mut self.batch) {
                Ok(_) => break,
                // A sender that is done and gone leaves the last credit unheard; what it sent is still there.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
                    patience
                        .get_or_insert_with(|| Wait::begin(&self.stop, PATIENCE))
                        .check("no datagram of the bare kernel came", "leave it out with --only framewire,tcp")?;
                    wait(self.backend.socket().as_fd(), false, &self.waker, LOOK_AROUND, Duration::ZERO)
                        .map_err(|error| broken(&error))?;
                }
                Err(error) => return Err(broken(&error)),
            }
        }
        self.batch.release();
        self.now = Time::now();
        for datagram in self.batch.datagrams() {
            if datagram.len != self.cut.range(self.next.nth).len() {
                return Err(Failure::runtime(
                    "a datagram of the bare kernel was lost, and it repairs nothing; leave it out with --only framewire,tcp",
                ));
            }
            if self.next.nth == 0 {
                // A train of another length than was posted for makes later ones land elsewhere, which is left at that.
                let spot = self.after(first, datagram.index);
                let mut bytes = [0; Stamp::LEN];
                let from = spot.nth * self.cut.datagram_bytes;
                self.slots[spot.slot].read_landed(from, &mut bytes).map_err(Failure::runtime)?;
                self.stamps.push_back(Stamp::parse(&bytes));
            }
            self.received += 1;
            self.next.nth += 1;
            if self.next.nth == self.cut.count {
                self.next = Spot { slot: (self.next.slot + 1) % self.slots.len(), nth: 0 };
                self.complete += 1;
            }
        }
        if self.received - self.credited >= quarter(self.window) {
            self.credited = self.received;
            // If the sender is gone, no more datagrams will come, which is noticed.
            let _ = self.backend.send_one(&self.received.to_le_bytes());
        }
        Ok(())
    }
}

impl ReceiveLink for KernelReceiver {
    fn next_frame(&mut self) -> Result<Arrived, Failure> {
        while self.complete == 0 {
            self.receive()?;
        }
        self.complete -= 1;
        let stamp = self.stamps.pop_front().flatten();
        let stamp = stamp.ok_or_else(|| Failure::runtime("a frame came without a stamp"))?;
        Ok(Arrived { stamp, completed: self.now, latency: None })
    }
}

fn broken(error: &io::Error) -> Failure {
    Failure::runtime(format!("the bare kernel's socket failed: {error}; leave it out with --only framewire,tcp"))
}

fn no_waker(error: io::Error) -> Failure {
    Failure::runtime(format!("the system refused a descriptor: {error}; check the process's limits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stamp::Phase;

    #[test]
    fn frames_of_every_size_pass_whole_and_in_order() {
        for (frame_bytes, datagram_bytes) in [(16, 65_507), (2_073_600, 65_507), (200_000, 1_472), (65_507, 65_507)] {
            let anywhere = "127.0.0.1:9".parse().unwrap();
            let socket = KernelSocket::towards(anywhere, SliceSize::Bytes(datagram_bytes)).unwrap();
            let near = SocketAddr::from(([127, 0, 0, 1], socket.port().unwrap()));
            let stop = Stop::new();
            let what = (BackendKind::Auto, frame_bytes);
            let mut receiver = KernelReceiver::towards((near, near), datagram_bytes, what, &stop).unwrap();
            let far = SocketAddr::from(([127, 0, 0, 1], receiver.port().unwrap()));
            let window = receiver.window();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut sender = KernelSender::connect(socket, far, window, what, &stop).unwrap();
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
            });
        }
    }
}
