//! A ring whose operations never outlive the call that runs them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use io_uring::cqueue;
use io_uring::squeue::{Entry, Flags};
use thiserror::Error;
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, Runtime, UnsubmittedOneshot};

/// How long the kernel's polling thread looks for operations before it sleeps, in milliseconds: longer than the pauses
/// within a frame, shorter than those between frames, which would cost a core.
const POLLING_IDLE_MS: u32 = 2;
/// After this the queue is offered to the kernel again, where it could not be taken in.
const OFFER_AGAIN: Duration = Duration::from_millis(10);

/// A runtime was refused what was given to a ring just before: memory or descriptors are running out. It is not tried again,
/// so that what the failure leaks is leaked once.
static REFUSED_RUNTIME: AtomicBool = AtomicBool::new(false);

/// What a ring is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct RingConfig {
    /// Operations that are submitted at once.
    pub(super) entries: usize,
    /// A thread of the kernel looks for operations by itself (SQPOLL), at the price of a core while there are any.
    pub(super) polled_by_kernel: bool,
}

/// Why there is no ring.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingError {
    /// The administrator has switched it off.
    #[error(
        "io_uring is switched off here (kernel.io_uring_disabled = {0}); to allow it: sysctl -w kernel.io_uring_disabled=0"
    )]
    SwitchedOff(u32),
    /// A sandbox denies the system calls.
    #[error(
        "the process may not use io_uring ({0}), as is usual in containers; to allow it, add io_uring_setup and io_uring_enter to the \
         seccomp profile"
    )]
    Denied(io::Error),
    /// The kernel has not got it, or not all of it.
    #[error(
        "the kernel ({release}) has no io_uring as it is needed ({source}); Linux 6.0 has, where no sandbox hides it"
    )]
    Unsupported {
        /// The kernel's release.
        release: String,
        /// What the system said.
        source: io::Error,
    },
    /// The queues do not fit what the process may lock.
    #[error(
        "no memory for the queues ({source}); the process may lock {limit} of it, to raise that: ulimit -l unlimited"
    )]
    Memory {
        /// RLIMIT_MEMLOCK.
        limit: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something else.
    #[error("the system refuses a ring ({0}); check the process's limits")]
    Other(io::Error),
}

/// Runs operations, and waits for every one of them.
///
/// # Invariant
/// Between calls of [`Ring::run`] nothing is in flight: it returns, and unwinds, only after the completion of each operation
/// that it has started. Memory that is borrowed over the call therefore outlives all that the kernel does with it. It is not
/// left to tokio-uring to own that memory: a dropped operation's is given to the runtime, and freed by a runtime that is
/// dropped *before* it has cancelled the operation.
pub(super) struct Ring {
    /// `None` once a panic has torn it down.
    runtime: Option<Runtime>,
    in_flight: Vec<InFlightOneshot<(), TakeResult>>,
    /// Of the operations that have completed, in their order.
    results: Vec<i32>,
}

impl Ring {
    pub(super) fn new(config: RingConfig) -> Result<Self, RingError> {
        let entries = config.entries.next_power_of_two();
        let runtime = start(entries, config.polled_by_kernel).map_err(explain)?;
        // The runtime offers its queue to the kernel when it goes to sleep, and does not look whether it was taken (there may
        // be no memory for the moment): this has it go to sleep again.
        runtime.block_on(async {
            tokio_uring::spawn(async {
                loop {
                    tokio::time::sleep(OFFER_AGAIN).await;
                }
            });
        });
        Ok(Self {
            runtime: Some(runtime),
            in_flight: Vec::with_capacity(entries),
            results: Vec::with_capacity(entries),
        })
    }

    /// Submits operations at once and waits for all of them; returns their results, a negative one being an error's number.
    /// Where `chained`, the ones after a failed one are cancelled (ECANCELED); else they are tried all the same.
    ///
    /// # Errors
    /// Where an earlier call has panicked.
    ///
    /// # Safety
    /// All memory that the operations name must be valid until the call returns or unwinds, for writing where they
    /// write.
    pub(super) unsafe fn run(&mut self, operations: impl Iterator<Item = Entry>, chained: bool) -> io::Result<&[i32]> {
        self.results.clear();
        let round = Round(self);
        let Self { runtime, in_flight, results } = &mut *round.0;
        let runtime = runtime.as_ref().ok_or_else(|| io::Error::other("the ring was torn down by a panic"))?;
        let mut operations = operations.peekable();
        runtime.block_on(poll_fn(|context| {
            while let Some(operation) = operations.next() {
                let has_next = chained && operations.peek().is_some();
                let operation = if has_next { operation.flags(Flags::IO_LINK) } else { operation };
                in_flight.push(UnsubmittedOneshot::new((), TakeResult, operation).submit());
            }
            while let Some(operation) = in_flight.get_mut(results.len()) {
                results.push(ready!(Pin::new(operation).poll(context)));
            }
            Poll::Ready(())
        }));
        drop(round);
        Ok(&self.results)
    }
}

/// Ends a call of [`Ring::run`], however it ends.
struct Round<'a>(&'a mut Ring);

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if self.0.results.len() < self.0.in_flight.len() {
            // A panic passes through here, and the caller's memory is about to be free. The runtime's end cancels what is in
            // flight and waits for the last completion; if it cannot, it panics too, which ends the process.
            self.0.runtime = None;
        }
        self.0.in_flight.clear();
    }
}

struct TakeResult;

impl OneshotOutputTransform for TakeResult {
    type Output = i32;
    type StoredData = ();

    fn transform_oneshot_output(self, (): (), completion: cqueue::Entry) -> i32 {
        completion.result()
    }
}

fn start(entries: usize, polled_by_kernel: bool) -> io::Result<Runtime> {
    // A sandbox that allows a ring to be made and not to be used would leave operations waiting.
    check_enter()?;
    let mut setup = tokio_uring::uring_builder();
    setup.setup_single_issuer().setup_submit_all();
    if polled_by_kernel {
        setup.setup_sqpoll(POLLING_IDLE_MS);
    } else {
        setup.setup_coop_taskrun();
    }
    // At most MESSAGES_MAX, which fits.
    let entries = entries as u32;
    // The runtime leaks memory and descriptors where its ring is refused, so another ring goes first.
    if REFUSED_RUNTIME.load(Ordering::Relaxed) {
        return Err(io::Error::other("as once before"));
    }
    drop(setup.build(entries)?);
    Runtime::new(tokio_uring::builder().entries(entries).uring_builder(&setup))
        .inspect_err(|_| REFUSED_RUNTIME.store(true, Ordering::Relaxed))
}

/// Whether `io_uring_enter(2)` is allowed.
fn check_enter() -> io::Result<()> {
    const NO_RING: libc::c_int = -1;
    // SAFETY: io_uring_enter(fd: none, to_submit: 0, min_complete: 0, flags: 0, sig: none, size: 0) names no memory.
    let result =
        unsafe { libc::syscall(libc::SYS_io_uring_enter, NO_RING, 0, 0, 0, std::ptr::null::<libc::c_void>(), 0_usize) };
    match (result, io::Error::last_os_error()) {
        (-1, error) if error.raw_os_error() != Some(libc::EBADF) => Err(error),
        _ => Ok(()),
    }
}

fn explain(error: io::Error) -> RingError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => match switch() {
            Some(setting @ 1..) => RingError::SwitchedOff(setting),
            _ => RingError::Denied(error),
        },
        Some(libc::ENOSYS | libc::EINVAL) => {
            let release = rustix::system::uname().release().to_string_lossy().into_owned();
            RingError::Unsupported { release, source: error }
        }
        Some(libc::ENOMEM) => {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
            let limit = limit.map_or_else(|| "any amount".into(), |bytes| format!("{bytes} bytes"));
            RingError::Memory { limit, source: error }
        }
        _ => RingError::Other(error),
    }
}

/// 0 where everybody may use it, 1 where the privileged may, 2 where nobody may.
fn switch() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::iter;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use io_uring::{opcode, types};
    use libc::{c_int, iovec, msghdr};

    use super::*;
    use crate::frame::{Arrival, FrameInfo, FramePool, Tail};

    const LEN: usize = 4_096;

    fn ring() -> Ring {
        Ring::new(RingConfig { entries: 8, polled_by_kernel: false }).unwrap()
    }

    /// Two sockets, each connected to the other. They block, but not for ever.
    fn pair() -> (UdpSocket, UdpSocket) {
        let [left, right] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        left.connect(right.local_addr().unwrap()).unwrap();
        right.connect(left.local_addr().unwrap()).unwrap();
        right.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (left, right)
    }

    /// A message of one piece; the pieces must stay where they are.
    fn message(piece: &mut iovec) -> msghdr {
        // SAFETY: msghdr is a C struct of integers and pointers, for which all zeroes is a value.
        let mut message: msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = piece;
        message.msg_iovlen = 1;
        message
    }

    fn landing(arrival: &Arrival) -> iovec {
        iovec { iov_base: arrival.landing_ptr(&(0..LEN)).cast(), iov_len: LEN }
    }

    fn receive(socket: &UdpSocket, message: &mut msghdr, flags: c_int) -> Entry {
        opcode::RecvMsg::new(types::Fd(socket.as_raw_fd()), message).flags(flags as u32).build()
    }

    /// Takes every slot of the pool, fills it, has a datagram come, and looks whether anybody but the socket's owner got it.
    fn assert_nobody_writes(pool: &FramePool, sender: &UdpSocket, receiver: &UdpSocket) {
        const POISON: u8 = 0xa5;
        let mut slots = Vec::new();
        while let Some(mut slot) = pool.try_acquire() {
            slot.set_len(LEN).unwrap();
            slot.fill(POISON);
            slots.push(slot);
        }
        assert_eq!(slots.len(), 2, "both slots are free again");
        sender.send(&[1; LEN]).unwrap();
        assert_eq!(receiver.recv(&mut [0; LEN]).unwrap(), LEN, "the datagram is still in the socket");
        assert!(slots.iter().all(|slot| slot.iter().all(|byte| *byte == POISON)), "a free slot was written to");
    }

    #[test]
    fn a_panic_with_a_receive_in_flight_leaves_nobody_who_writes_to_the_slot() {
        let pool = FramePool::new(2, LEN).unwrap();
        let (first_from, first_to) = pair();
        let (from, to) = pair();
        first_from.send(b"ends the first wait").unwrap();
        let mut ring = ring();
        let panicked = {
            let arrivals = [(); 2].map(|()| pool.try_arrival().unwrap());
            let mut pieces = [landing(&arrivals[0]), landing(&arrivals[1])];
            let [first, second] = &mut pieces;
            let mut messages = [message(first), message(second)];
            let [first, second] = &mut messages;
            // The second waits for a datagram. When the first has completed the queue is looked at again, which panics.
            let operations = [Some(receive(&first_to, first, 0)), Some(receive(&to, second, 0)), None].into_iter();
            let mut operations = operations.chain(iter::from_fn(|| panic!("in the middle of a round")));
            let operations = iter::from_fn(|| operations.next().flatten());
            catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: `arrivals`, `pieces` and `messages` live until after the call.
                let _ = unsafe { ring.run(operations, false) };
            }))
        };
        assert!(panicked.is_err());
        assert_nobody_writes(&pool, &from, &to);
        // SAFETY: there are no operations.
        let refused = unsafe { ring.run(iter::empty(), false) };
        assert!(refused.is_err(), "the ring is gone");
        drop(ring);
        assert_nobody_writes(&pool, &from, &to);
    }

    #[test]
    fn a_panic_before_the_kernel_has_the_operations_leaves_nobody_who_writes_to_the_slot() {
        let pool = FramePool::new(2, LEN).unwrap();
        let (from, to) = pair();
        let mut ring = ring();
        let panicked = {
            let arrival = pool.try_arrival().unwrap();
            let mut piece = landing(&arrival);
            let mut message = message(&mut piece);
            let operations = iter::once(receive(&to, &mut message, 0));
            let operations = operations.chain(iter::once_with(|| panic!("while the queue is filled")));
            // SAFETY: `arrival`, `piece` and `message` live until after the call.
            catch_unwind(AssertUnwindSafe(|| _ = unsafe { ring.run(operations, false) }))
        };
        assert!(panicked.is_err());
        assert_nobody_writes(&pool, &from, &to);
    }

    #[test]
    fn a_ring_is_closed_while_a_far_end_dies_and_nobody_writes_to_the_slot() {
        let pool = FramePool::new(2, LEN).unwrap();
        let (from, to) = pair();
        {
            let mut ring = ring();
            let (dying, left) = pair();
            drop(dying);
            // The far end is gone; the next call on the socket is told.
            left.send(b"to nobody").unwrap();
            let arrival = pool.try_arrival().unwrap();
            let mut piece = landing(&arrival);
            let mut message = message(&mut piece);
            let operations = iter::once(receive(&left, &mut message, libc::MSG_DONTWAIT));
            // SAFETY: `arrival`, `piece` and `message` live until after the call.
            let results = unsafe { ring.run(operations, true) }.unwrap();
            assert_eq!(results, [-libc::ECONNREFUSED]);
        }
        assert_nobody_writes(&pool, &from, &to);
    }

    #[test]
    fn an_empty_socket_says_so_at_once_and_what_comes_lands_in_the_order_of_the_queue() {
        let pool = FramePool::new(1, LEN).unwrap();
        let (from, to) = pair();
        let mut ring = ring();
        let arrival = pool.try_arrival().unwrap();
        let mut pieces: Vec<_> = (0..8)
            .map(|nth| iovec { iov_base: arrival.landing_ptr(&(8 * nth..8 * nth + 8)).cast(), iov_len: 8 })
            .collect();
        let mut messages: Vec<_> = pieces.iter_mut().map(message).collect();
        for nth in 0..5_u8 {
            from.send(&[nth; 8]).unwrap();
        }
        let none = -libc::EAGAIN;
        let mut cancelled = [-libc::ECANCELED; 8];
        cancelled[0] = none;
        for (chained, expected) in [(false, [8, 8, 8, 8, 8, none, none, none]), (true, cancelled)] {
            let operations = messages.iter_mut().map(|message| receive(&to, message, libc::MSG_DONTWAIT));
            // SAFETY: `arrival`, `pieces` and `messages` live until after the call.
            let results = unsafe { ring.run(operations, chained) }.unwrap();
            assert_eq!(results, expected);
        }
        let landed = arrival.complete(40, Tail::NONE, FrameInfo::default()).unwrap();
        assert!(landed.iter().enumerate().all(|(at, byte)| *byte == (at / 8) as u8));
    }

    #[test]
    fn after_a_failed_operation_of_a_chain_none_is_carried_out() {
        let (from, to) = pair();
        let mut bytes = vec![7_u8; 70_000];
        let mut pieces = [10, 70_000, 20].map(|len| iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: len });
        let messages: Vec<_> = pieces.iter_mut().map(message).collect();
        let mut ring = ring();
        for (chained, last) in [(true, -libc::ECANCELED), (false, 20)] {
            let operations = messages.iter().map(|message| {
                let flags = libc::MSG_DONTWAIT as u32;
                opcode::SendMsg::new(types::Fd(from.as_raw_fd()), message).flags(flags).build()
            });
            // SAFETY: `bytes`, `pieces` and `messages` live until after the call.
            let results = unsafe { ring.run(operations, chained) }.unwrap();
            assert_eq!(results, [10, -libc::EMSGSIZE, last]);
        }
        let mut lens = Vec::new();
        to.set_nonblocking(true).unwrap();
        while let Ok(len) = to.recv(&mut [0; 100]) {
            lens.push(len);
        }
        assert_eq!(lens, [10, 10, 20]);
    }
}
