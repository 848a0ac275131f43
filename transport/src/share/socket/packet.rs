//! One message of a Unix seqpacket socket, with the descriptors that came with it.
//!
//! Nothing here allocates, and nothing waits but for what closing a descriptor takes that a peer sent. What a peer sends is bytes of a bounded length and at most [`DESCRIPTORS_MAX`]
//! descriptors; everything else that came is closed before anybody sees it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use thiserror::Error;

use crate::limit::DESCRIPTORS_LOST;

/// The most descriptors that one message carries.
pub(crate) const DESCRIPTORS_MAX: usize = 4;

/// The most that the kernel passes with one message (SCM_MAX_FD). With room for all of them, only the system itself can lose one.
const KERNEL_DESCRIPTORS_MAX: usize = 253;

/// Why a message was not sent or received.
#[derive(Debug, Error)]
pub(crate) enum PacketError {
    /// The peer has not taken what was sent before, or has sent nothing.
    #[error("the other process is not ready; try again when the socket is")]
    WouldBlock,
    /// The peer is gone, or says nothing more.
    #[error("the other process has closed the connection")]
    Closed,
    /// A message without a byte, which reads as the end of the connection does: the peer is there.
    #[error("the other process sent a message of 0 bytes, which no version of Framewire does; see what it is")]
    Empty,
    /// More bytes than any message has.
    #[error(
        "the other process sent a message longer than {limit} bytes, which no version of Framewire does; see what it is"
    )]
    TooLong {
        /// Bytes that there was room for.
        limit: usize,
    },
    /// The system did not hand over a descriptor that was sent (MSG_CTRUNC).
    #[error("the open files that the other process handed over did not all arrive (MSG_CTRUNC): {DESCRIPTORS_LOST}")]
    DescriptorsWithheld,
    /// More descriptors than go with a message, asked for on this side.
    #[error("{0} descriptors do not go with one message; send at most {DESCRIPTORS_MAX}")]
    TooManyDescriptors(usize),
    /// Something else.
    #[error("the socket between two processes fails: {0}; the connection is to be made anew")]
    System(io::Error),
}

impl From<Errno> for PacketError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::AGAIN | Errno::INTR => Self::WouldBlock,
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::CONNREFUSED => Self::Closed,
            error => Self::System(error.into()),
        }
    }
}

/// The descriptors that came with a message, in their order, to be taken one by one. Those that are not taken are closed.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    there: [Option<OwnedFd>; DESCRIPTORS_MAX],
    count: usize,
    taken: usize,
}

impl Descriptors {
    /// How many came and have not been taken yet.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.count - self.taken
    }

    /// The next one.
    pub(crate) fn take(&mut self) -> Option<OwnedFd> {
        let next = self.there.get_mut(self.taken)?.take()?;
        self.taken += 1;
        Some(next)
    }

    /// Keeps it where there is room, and closes it otherwise.
    fn keep(&mut self, descriptor: OwnedFd) {
        if let Some(place) = self.there.get_mut(self.count) {
            *place = Some(descriptor);
            self.count += 1;
        }
    }
}

/// A message that came: its first `len` bytes of the buffer that it was received into, and its descriptors.
#[derive(Debug)]
pub(crate) struct Packet {
    /// Bytes of it, at least 1.
    pub(crate) len: usize,
    /// What came with it.
    pub(crate) descriptors: Descriptors,
}

/// Sends one message, whole or not at all, without waiting.
///
/// # Errors
/// [`PacketError::WouldBlock`] where the peer has not taken earlier ones, [`PacketError::Closed`] where it is gone; an empty message is not
/// sent.
pub(crate) fn send(socket: impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), PacketError> {
    if message.is_empty() {
        return Err(PacketError::System(io::ErrorKind::InvalidInput.into()));
    }
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(PacketError::TooManyDescriptors(descriptors.len()));
    }
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(PacketError::TooManyDescriptors(descriptors.len()));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match rustix::net::sendmsg(socket, &[IoSlice::new(message)], &mut ancillary, flags)? {
        sent if sent == message.len() => Ok(()),
        _ => Err(PacketError::System(io::ErrorKind::WriteZero.into())),
    }
}

/// Receives the next message into `buffer`, without waiting. Descriptors that it came with are closed when a program is executed; those
/// beyond [`DESCRIPTORS_MAX`] are closed at once.
///
/// # Errors
/// [`PacketError::WouldBlock`] where there is none, [`PacketError::Closed`] where none follows. After any error nothing of the message is left, neither bytes nor descriptors.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Packet, PacketError> {
    let mut descriptors = Descriptors::default();
    let len = receive_with(socket, buffer, |descriptor| descriptors.keep(descriptor))?;
    Ok(Packet { len, descriptors })
}

/// As [`receive`], but every descriptor that came is given to `take`, also where the message is then refused: to close one can take as long
/// as whoever sent it likes. Returns the bytes of the message.
///
/// # Errors
/// As [`receive`].
pub(crate) fn receive_with(
    socket: impl AsFd,
    buffer: &mut [u8],
    mut take: impl FnMut(OwnedFd),
) -> Result<usize, PacketError> {
    let limit = buffer.len();
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(KERNEL_DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let socket = socket.as_fd();
    let mut iov = [IoSliceMut::new(buffer)];
    let received = match rustix::net::recvmsg(socket, &mut iov, &mut ancillary, flags) {
        // The other end has hung up without hearing all that was said to it. That is told once, and before what it said itself: why, perhaps.
        Err(Errno::CONNRESET) => rustix::net::recvmsg(socket, &mut iov, &mut ancillary, flags)?,
        // Nothing was there when the kernel looked, and when it looked for the end, that was: what was said in between is there now.
        Ok(received) if received.bytes == 0 && has_hung_up(socket) => {
            rustix::net::recvmsg(socket, &mut iov, &mut ancillary, flags)?
        }
        received => received?,
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            rights.for_each(&mut take);
        }
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(PacketError::TooLong { limit });
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(PacketError::DescriptorsWithheld);
    }
    match received.bytes {
        0 if has_hung_up(socket) => Err(PacketError::Closed),
        0 => Err(PacketError::Empty),
        len => Ok(len),
    }
}

/// Whether nothing more comes from the other end. What it held depends on that: where the system does not say, it is there.
fn has_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut ends = [PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut ends, Some(&at_once)).is_ok() && ends[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use rustix::process::{Resource, Rlimit, getrlimit};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn file() -> OwnedFd {
        memfd_create("packet", MemfdFlags::CLOEXEC).unwrap()
    }

    /// Whether all write ends of a pipe are closed: whoever was handed one has it no more.
    fn is_closed_everywhere(reader: &OwnedFd) -> bool {
        rustix::io::read(reader, &mut [0]) == Ok(0)
    }

    fn pipe() -> (OwnedFd, OwnedFd) {
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK).unwrap()
    }

    /// Sends more descriptors than `send` lets go.
    fn send_many(socket: &OwnedFd, descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(KERNEL_DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
        rustix::net::sendmsg(socket, &[IoSlice::new(b"many")], &mut ancillary, SendFlags::empty()).unwrap();
    }

    #[test]
    fn messages_keep_their_bounds_and_their_descriptors_their_order() {
        let (here, there) = pair();
        let files = [file(), file(), file(), file()];
        rustix::fs::ftruncate(&files[1], 4096).unwrap();
        let passed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        send(&here, b"first", &passed).unwrap();
        send(&here, b"second", &[]).unwrap();
        let mut buffer = [0; 64];
        let mut packet = receive(&there, &mut buffer).unwrap();
        assert_eq!((&buffer[..packet.len], packet.descriptors.len()), (&b"first"[..], 4));
        let came: Vec<_> = std::iter::from_fn(|| packet.descriptors.take()).collect();
        for (came, sent) in came.iter().zip(&files) {
            let identity = |file: &OwnedFd| rustix::fs::fstat(file).map(|stat| (stat.st_ino, stat.st_size)).unwrap();
            assert_eq!(identity(came), identity(sent));
            assert!(rustix::io::fcntl_getfd(came).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
        let packet = receive(&there, &mut buffer).unwrap();
        assert_eq!((&buffer[..packet.len], packet.descriptors.len()), (&b"second"[..], 0));
    }

    #[test]
    fn nothing_there_a_peer_that_is_gone_and_one_that_does_not_read_are_told_apart() {
        let (here, there) = pair();
        assert!(matches!(receive(&here, &mut [0; 8]), Err(PacketError::WouldBlock)));
        let mut sent = 0;
        let full = loop {
            match send(&here, &[7; 512], &[]) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 1 << 20, "a socket that is never full");
        };
        assert!(matches!(full, PacketError::WouldBlock), "{full}");
        drop(there);
        assert!(matches!(send(&here, b"x", &[]), Err(PacketError::Closed)));
        let (here, there) = pair();
        drop(there);
        assert!(matches!(receive(&here, &mut [0; 8]), Err(PacketError::Closed)));
        let (here, there) = pair();
        assert!(matches!(send(&here, b"", &[]), Err(PacketError::System(_))), "an empty message looks like the end");
        rustix::net::send(&there, b"", SendFlags::empty()).unwrap();
        assert!(matches!(receive(&here, &mut [0; 8]), Err(PacketError::Empty)));
        assert!(matches!(receive(&here, &mut [0; 8]), Err(PacketError::WouldBlock)), "and it is no end");
        rustix::net::shutdown(&there, rustix::net::Shutdown::Write).unwrap();
        assert!(matches!(receive(&here, &mut [0; 8]), Err(PacketError::Closed)));
    }

    #[test]
    fn the_last_word_is_heard_of_one_that_hangs_up_while_it_is_listened_for() {
        for _ in 0..20_000 {
            let (here, there) = pair();
            std::thread::scope(|scope| {
                scope.spawn(move || send(&there, b"why", &[]).unwrap());
                let heard = loop {
                    match receive(&here, &mut [0; 8]) {
                        Err(PacketError::WouldBlock) => {}
                        heard => break heard,
                    }
                };
                assert_eq!(heard.unwrap().len, 3);
            });
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_an_error_and_leaves_no_descriptor_behind() {
        let (here, there) = pair();
        let (reader, writer) = pipe();
        send(&here, &[1; 65], &[writer.as_fd()]).unwrap();
        drop(writer);
        let error = receive(&there, &mut [0; 64]).unwrap_err();
        assert!(error.to_string().contains("longer than 64 bytes"), "{error}");
        assert!(is_closed_everywhere(&reader));
        assert!(matches!(receive(&there, &mut [0; 64]), Err(PacketError::WouldBlock)), "the rest of it is gone too");
    }

    #[test]
    fn descriptors_beyond_the_fourth_are_closed_and_so_are_those_that_nobody_takes() {
        let (here, there) = pair();
        let (reader, writer) = pipe();
        let (kept_reader, kept_writer) = pipe();
        let mut descriptors = vec![kept_writer.as_fd(); DESCRIPTORS_MAX];
        descriptors.resize(KERNEL_DESCRIPTORS_MAX, writer.as_fd());
        send_many(&here, &descriptors);
        assert!(matches!(send(&here, b"x", &descriptors[..5]), Err(PacketError::TooManyDescriptors(5))));
        drop((writer, kept_writer));
        let mut packet = receive(&there, &mut [0; 64]).unwrap();
        assert!(is_closed_everywhere(&reader));
        assert_eq!(packet.descriptors.len(), DESCRIPTORS_MAX);
        let taken = packet.descriptors.take().unwrap();
        drop(packet);
        assert!(!is_closed_everywhere(&kept_reader));
        drop(taken);
        assert!(is_closed_everywhere(&kept_reader));
    }

    #[test]
    fn a_descriptor_that_the_system_withholds_is_an_error_of_its_own() {
        // In a process of its own, whose limit of open files may be lowered: the kernel then sets MSG_CTRUNC, as a security module has it do.
        const CHILD: &str = "FRAMEWIRE_TEST_WITHHELD";
        if std::env::var_os(CHILD).is_none() {
            let test = std::thread::current().name().unwrap().to_owned();
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args([&test, "--exact", "--nocapture"])
                .env(CHILD, "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&child.stdout);
            assert!(child.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let (here, there) = pair();
        let (reader, writer) = pipe();
        send(&here, b"x", &[writer.as_fd(), writer.as_fd()]).unwrap();
        drop(writer);
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let next = std::os::fd::AsRawFd::as_raw_fd(&file()) as u64;
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(next + 1), maximum }).unwrap();
        let error = receive(&there, &mut [0; 64]).unwrap_err();
        assert!(matches!(error, PacketError::DescriptorsWithheld), "{error:?}");
        assert!(error.to_string().contains("security module"), "{error}");
        assert!(is_closed_everywhere(&reader), "the one that fitted is closed");
    }
}
