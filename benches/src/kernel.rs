//! The bare kernel: the bytes of the frames through `sendmmsg` and `recvmmsg`, with no header, no protocol and no look at
//! what arrived. What two processes can at best do over UDP, and so the measure of everything else.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use framewire_transport::wire::train_slices;
use libc::{c_int, c_uint, iovec, mmsghdr};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use socket2::{Domain, Protocol, Socket, Type};

use crate::worker::Worker;
use crate::{Link, Picture};

/// Frames that each end's memory holds. A stream has more slots, but takes the lowest free one, and so works in two or
/// three that stay in cache; more here would make the floor slower than what stands on it.
const SLOTS: usize = 2;
/// What one call takes (UIO_MAXIOV).
const BATCH_MAX: usize = 1024;

/// Two connected UDP sockets.
pub struct KernelLink {
    sending: Worker,
    socket: Socket,
    batch: Batch,
    credit: Arc<Credit>,
    received: u64,
}

impl KernelLink {
    /// Connects both ends; each frame goes out as datagrams of `slice_bytes`, the last one shorter. With `trains` the
    /// kernel cuts and joins them (UDP_SEGMENT and UDP_GRO), and a message is a whole train.
    ///
    /// # Panics
    /// Where loopback does not work, or the kernel has no trains.
    pub fn new(picture: &Picture, slice_bytes: u16, trains: bool) -> Self {
        let mut slice_bytes = usize::from(slice_bytes);
        let (sender, receiver) = connected_pair().expect("loopback has two ports left");
        if trains {
            set_udp_option(&sender, libc::UDP_SEGMENT, slice_bytes as c_int).expect("the kernel cuts trains");
            set_udp_option(&receiver, libc::UDP_GRO, 1).expect("the kernel joins trains");
            // From here on a train is what a datagram was.
            slice_bytes *= train_slices(slice_bytes);
        }
        let frame_slices = picture.bytes().div_ceil(slice_bytes);
        let buffer_bytes = receive_buffer(&receiver, 16 << 20).expect("the buffer's size can be read");
        // The same bounds as a stream's: two frames, and what fits the buffer.
        let window = (2 * frame_slices).max(32).min(buffer_bytes / 8 * 7 / charged_bytes(slice_bytes)).max(1) as u64;
        let credit = Arc::new(Credit::new(window));
        let mut source = Batch::new(picture.bytes(), slice_bytes, SLOTS);
        let sending = Worker::start({
            let credit = credit.clone();
            let mut sent = 0;
            move |frames| {
                let end = sent + frames * frame_slices as u64;
                while sent < end {
                    let room = credit.wait(sent).min(end - sent);
                    sent += source.send(&sender, sent, room).expect("loopback takes what it has room for");
                }
            }
        });
        let batch = Batch::new(picture.bytes(), slice_bytes, SLOTS);
        Self { sending, socket: receiver, batch, credit, received: 0 }
    }
}

impl Link for KernelLink {
    fn transfer(&mut self, frames: u64) -> Duration {
        let started = Instant::now();
        self.sending.send(frames);
        let end = self.received + frames * self.batch.frame_slices as u64;
        while self.received < end {
            self.received +=
                self.batch.receive(&self.socket, self.received, end - self.received).expect("datagrams come");
            self.credit.set_received(self.received);
        }
        started.elapsed()
    }
}

/// One thread that sends the same frames to several sockets, one after the other, and another that reads what comes there: what a relay stands on.
pub struct KernelFan {
    batch: Batch,
    sockets: Vec<Socket>,
    sent: u64,
    reading: Option<std::thread::JoinHandle<()>>,
    over: Arc<AtomicBool>,
}

impl KernelFan {
    /// Connects so many pairs; each frame goes to each as datagrams of `slice_bytes`, in trains where a train has several.
    ///
    /// # Panics
    /// Where loopback does not work, or the kernel has no trains.
    pub fn new(picture: &Picture, slice_bytes: u16, sockets: usize) -> Self {
        let trains = train_slices(usize::from(slice_bytes));
        let pairs = (0..sockets).map(|_| {
            let (sender, receiver) = connected_pair().expect("loopback has two ports left");
            if trains > 1 {
                set_udp_option(&sender, libc::UDP_SEGMENT, slice_bytes.into()).expect("the kernel cuts trains");
                set_udp_option(&receiver, libc::UDP_GRO, 1).expect("the kernel joins trains");
            }
            receive_buffer(&receiver, 8 << 20).expect("the buffer's size can be read");
            (sender, receiver)
        });
        let (sockets, receivers): (Vec<_>, Vec<_>) = pairs.unzip();
        let message_bytes = usize::from(slice_bytes) * trains;
        let over = Arc::new(AtomicBool::new(false));
        let mut into = Batch::new(picture.bytes(), message_bytes, SLOTS);
        let is_over = over.clone();
        let reading = std::thread::spawn(move || {
            while !is_over.load(Ordering::Acquire) {
                let mut ready: Vec<_> = receivers.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
                let patience = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                if rustix::event::poll(&mut ready, Some(&patience)).is_ok() {
                    let readable = ready.iter().zip(&receivers).filter(|(ready, _)| !ready.revents().is_empty());
                    for (_, socket) in readable {
                        let _ = into.receive(socket, 0, u64::MAX);
                    }
                }
            }
        });
        let batch = Batch::new(picture.bytes(), message_bytes, SLOTS);
        Self { batch, sockets, sent: 0, reading: Some(reading), over }
    }

    /// Sends one frame to all, from this thread.
    ///
    /// # Panics
    /// Where loopback does not take it.
    pub fn send_frame(&mut self) {
        let begin = self.sent;
        self.sent += self.batch.frame_slices as u64;
        for socket in &self.sockets {
            let mut at = begin;
            while at < self.sent {
                at += self.batch.send(socket, at, self.sent - at).expect("loopback takes it");
            }
        }
    }
}

impl Drop for KernelFan {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if self.reading.take().is_some_and(|reading| reading.join().is_err()) && !std::thread::panicking() {
            panic!("the reading thread panicked");
        }
    }
}

/// How far the sender may go, as a stream's credit says it, but for free: in shared memory.
struct Credit {
    window: u64,
    received: AtomicU64,
    /// The sender sleeps until something is written to `event`.
    sleeping: AtomicBool,
    event: OwnedFd,
}

impl Credit {
    fn new(window: u64) -> Self {
        let event = eventfd(0, EventfdFlags::CLOEXEC).expect("the system has a descriptor left");
        Self { window, received: AtomicU64::new(0), sleeping: AtomicBool::new(false), event }
    }

    fn room(&self, sent: u64) -> u64 {
        (self.received.load(Ordering::SeqCst) + self.window).saturating_sub(sent)
    }

    /// How many datagrams may go out after `sent`; waits until a quarter of the window may, or all is received.
    fn wait(&self, sent: u64) -> u64 {
        loop {
            let room = self.room(sent);
            if room >= (self.window / 4).max(1) {
                return room;
            }
            self.sleeping.store(true, Ordering::SeqCst);
            // Looked at again after the flag is set: what was received before that is seen here.
            if self.room(sent) > room && self.sleeping.swap(false, Ordering::SeqCst) {
                continue;
            }
            let _ = rustix::io::read(&self.event, &mut [0_u8; 8][..]);
        }
    }

    fn set_received(&self, received: u64) {
        self.received.store(received, Ordering::SeqCst);
        if self.sleeping.swap(false, Ordering::SeqCst) {
            let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }
}

/// A few frames of memory, and one message for each datagram of each frame, built once.
struct Batch {
    messages: Vec<mmsghdr>,
    frame_slices: usize,
    // The messages point into these two, which are never touched again.
    _iovecs: Vec<iovec>,
    _memory: Vec<u8>,
}

// SAFETY: the pointers in `messages` go to memory that this value owns, and are used only through `&mut self`.
unsafe impl Send for Batch {}

impl Batch {
    fn new(frame_bytes: usize, slice_bytes: usize, slots: usize) -> Self {
        let mut memory = vec![1_u8; slots * frame_bytes];
        let mut iovecs: Vec<iovec> = memory
            .chunks_mut(frame_bytes)
            .flat_map(|frame| frame.chunks_mut(slice_bytes))
            .map(|slice| iovec { iov_base: slice.as_mut_ptr().cast(), iov_len: slice.len() })
            .collect();
        let message = |iovec: &mut iovec| {
            // SAFETY: mmsghdr is a C struct of integers and pointers, for which all zeroes is a value.
            let mut message = unsafe { std::mem::zeroed::<mmsghdr>() };
            message.msg_hdr.msg_iov = iovec;
            message.msg_hdr.msg_iovlen = 1;
            message
        };
        let messages = iovecs.iter_mut().map(message).collect();
        Self { messages, frame_slices: frame_bytes.div_ceil(slice_bytes), _iovecs: iovecs, _memory: memory }
    }

    /// The messages of the datagrams from number `from` on, at most `max`, to the end of that frame.
    fn messages(&mut self, from: u64, max: u64) -> (*mut mmsghdr, c_uint) {
        let at = (from % self.messages.len() as u64) as usize;
        let left = self.frame_slices - at % self.frame_slices;
        let count = left.min(usize::try_from(max).unwrap_or(usize::MAX)).min(BATCH_MAX);
        (self.messages[at..at + count].as_mut_ptr(), count as c_uint)
    }

    fn send(&mut self, socket: &Socket, from: u64, max: u64) -> io::Result<u64> {
        let (messages, count) = self.messages(from, max);
        // SAFETY: sendmmsg(sockfd: open, msgvec: `count` messages of this batch, vlen: their number, flags: none). Their
        // iovecs and bytes are owned by the batch, which is borrowed for the call; the kernel only reads the bytes.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages, count, 0) };
        u64::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Waits for one datagram and takes what is there.
    fn receive(&mut self, socket: &Socket, from: u64, max: u64) -> io::Result<u64> {
        let (messages, count) = self.messages(from, max);
        // SAFETY: recvmmsg(sockfd: open, msgvec: `count` messages of this batch, vlen: their number, flags, timeout:
        // none). Their iovecs and bytes are owned by the batch, which is borrowed mutably for the call.
        let received =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), messages, count, libc::MSG_WAITFORONE, std::ptr::null_mut()) };
        u64::try_from(received).map_err(|_| io::Error::last_os_error())
    }
}

fn connected_pair() -> io::Result<(Socket, Socket)> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind(&any.into())?;
        // A datagram that is lost would leave the benchmark waiting.
        socket.set_read_timeout(Some(crate::PATIENCE))?;
        io::Result::Ok(socket)
    };
    let (left, right) = (socket()?, socket()?);
    left.connect(&right.local_addr()?)?;
    right.connect(&left.local_addr()?)?;
    // As a stream's: the send buffer never holds back what the window allows.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&left, 8 << 20);
    Ok((left, right))
}

fn set_udp_option(socket: &Socket, option: c_int, value: c_int) -> io::Result<()> {
    let size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: setsockopt(socket: open, level and option as named, value: an int that lives over the call, its size).
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, option, (&raw const value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn receive_buffer(socket: &Socket, bytes: usize) -> io::Result<usize> {
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_err() {
        let _ = socket.set_recv_buffer_size(bytes);
    }
    socket.recv_buffer_size()
}

/// What the socket buffer is charged for a datagram, at most.
const fn charged_bytes(datagram_bytes: usize) -> usize {
    if datagram_bytes < 3_500 { 4_608 } else { datagram_bytes + 4_096 }
}
