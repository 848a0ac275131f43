//! One connection to a hub, on which it is asked something and answers.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::super::endpoint::Endpoint;
use super::super::error::ShareError;
use super::super::messages::{FromHub, MessageError, PACKET_MAX, Packet, Refusal, ToHub, VERSION};
use super::super::socket::listening::{self, ListenError};
use super::super::socket::packet::{self, Descriptors, PacketError};
use crate::time::Time;

/// How long a hub may take to answer where nobody says. It does so at once where it runs at all.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How often a hub is tried that has more connections waiting than it has room for.
const TURN: Duration = Duration::from_millis(1);

/// Room for what a hub says.
pub(super) type Buffer = [u8; PACKET_MAX];

/// What a hub said, and what came with it.
pub(super) type Answer<'a> = (FromHub<'a>, Descriptors);

/// A question that a hub has been sent. It answers on the same connection.
#[derive(Debug)]
pub(super) struct Call {
    endpoint: Endpoint,
    socket: OwnedFd,
    /// When it was asked.
    asked: Time,
    /// Until when all of the answer must have come, where it is one that a hub gives at once, and how long that is.
    until: Instant,
    patience: Duration,
}

impl Call {
    /// Connects and asks, without waiting for either.
    ///
    /// # Errors
    /// Nobody is there, or not for this user.
    pub(super) fn begin(endpoint: &Endpoint, question: &ToHub<'_>, patience: Duration) -> Result<Self, ShareError> {
        let call = Self::connect(endpoint, patience)?;
        match call.say(question) {
            // One that has hung up already may have said why.
            Err(ShareError::HubGone { endpoint }) => match call.try_answer(&mut [0; PACKET_MAX]) {
                Err(refused) => Err(refused),
                Ok(_) => Err(ShareError::HubGone { endpoint }),
            },
            said => said.map(|()| call),
        }
    }

    /// Connects, without waiting, and asks nothing.
    ///
    /// # Errors
    /// As [`Call::begin`].
    pub(super) fn connect(endpoint: &Endpoint, patience: Duration) -> Result<Self, ShareError> {
        let socket = listening::connect(endpoint.as_path()).map_err(|error| match error {
            ListenError::System { source, .. } => ShareError::of_connect(endpoint, source),
            ListenError::Busy(_) => ShareError::Busy { endpoint: endpoint.clone() },
            error => ShareError::of_connect(endpoint, io::Error::other(error)),
        })?;
        let (asked, until) = (Time::now(), until(Instant::now(), patience));
        Ok(Self { endpoint: endpoint.clone(), socket, asked, until, patience })
    }

    /// Says something more, without waiting.
    ///
    /// # Errors
    /// The hub is gone.
    pub(super) fn say(&self, message: &ToHub<'_>) -> Result<(), ShareError> {
        packet::send(&self.socket, Packet::from(message).bytes(), &[]).map_err(|error| self.failed(error))
    }

    /// When it was asked.
    pub(super) fn asked(&self) -> Time {
        self.asked
    }

    /// As [`Call::begin`], but where more wait for the hub than it has room for, it is waited for.
    ///
    /// # Errors
    /// As [`Call::begin`]; [`ShareError::Busy`] only once the time is over.
    pub(super) fn begin_in_turn(
        endpoint: &Endpoint,
        question: &ToHub<'_>,
        patience: Duration,
    ) -> Result<Self, ShareError> {
        let until = until(Instant::now(), patience);
        loop {
            match Self::begin(endpoint, question, patience) {
                Err(ShareError::Busy { .. }) if Instant::now() < until => {}
                // One time for both, waiting in turn and for the answer.
                begun => return begun.map(|call| Self { until, ..call }),
            }
            // No event tells of room.
            std::thread::sleep(TURN);
        }
    }

    /// What the hub has said, if it has said something more.
    ///
    /// # Errors
    /// It has refused, is gone, speaks another version, or is no hub.
    pub(super) fn try_answer<'a>(&self, buffer: &'a mut Buffer) -> Result<Option<Answer<'a>>, ShareError> {
        match self.try_receive(buffer)? {
            Some(packet) => self.read(&buffer[..packet.len], packet.descriptors).map(Some),
            None => Ok(None),
        }
    }

    /// What the hub says next, waited for until then; `None` where it says nothing.
    ///
    /// # Errors
    /// As [`Call::try_answer`].
    pub(super) fn answer_until<'a>(
        &self,
        buffer: &'a mut Buffer,
        until: Option<Instant>,
    ) -> Result<Option<Answer<'a>>, ShareError> {
        let packet = loop {
            // Asked for first: what has come is taken, however late it is.
            if let Some(packet) = self.try_receive(buffer)? {
                break packet;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            wait(&mut [PollFd::new(&self.socket, PollFlags::IN)], left).map_err(system)?;
        };
        self.read(&buffer[..packet.len], packet.descriptors).map(Some)
    }

    fn try_receive(&self, buffer: &mut Buffer) -> Result<Option<packet::Packet>, ShareError> {
        match packet::receive(&self.socket, buffer) {
            Err(PacketError::WouldBlock) => Ok(None),
            received => received.map(Some).map_err(|error| self.failed(error)),
        }
    }

    fn read<'a>(&self, bytes: &'a [u8], descriptors: Descriptors) -> Result<Answer<'a>, ShareError> {
        match FromHub::parse(bytes) {
            Ok(FromHub::Refused { refusal, number, limit }) => Err(self.refused(refusal, number, limit)),
            Ok(answer) => Ok((answer, descriptors)),
            Err(MessageError::Version(theirs)) => Err(ShareError::Version {
                endpoint: self.endpoint.clone(),
                theirs: theirs.into(),
                ours: VERSION.into(),
            }),
            Err(error) => Err(self.nonsense(error.to_string())),
        }
    }

    /// As [`Call::answer_until`], for an answer that a hub gives at once: all that it consists of must have come within the patience
    /// that it was asked with.
    ///
    /// # Errors
    /// As [`Call::try_answer`], and [`ShareError::Silent`].
    pub(super) fn answer<'a>(&self, buffer: &'a mut Buffer) -> Result<Answer<'a>, ShareError> {
        let answer = self.answer_until(buffer, Some(self.until))?;
        answer.ok_or_else(|| self.silent())
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Hangs up, also where a process that was forked from this one has the socket open.
    pub(super) fn hang_up(&self) {
        let _told = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    pub(super) fn silent(&self) -> ShareError {
        ShareError::Silent { endpoint: self.endpoint.clone(), after: self.patience }
    }

    pub(super) fn nonsense(&self, what: String) -> ShareError {
        ShareError::Nonsense { endpoint: self.endpoint.clone(), what }
    }

    /// What it means that a message could not be sent or received.
    fn failed(&self, error: PacketError) -> ShareError {
        let endpoint = self.endpoint.clone();
        match error {
            PacketError::Closed | PacketError::WouldBlock => ShareError::HubGone { endpoint },
            PacketError::DescriptorsWithheld => ShareError::DescriptorsLost { endpoint },
            PacketError::System(source) => ShareError::Connect { endpoint, source },
            error => self.nonsense(error.to_string()),
        }
    }

    fn refused(&self, refusal: Refusal, number: u64, limit: u64) -> ShareError {
        let endpoint = self.endpoint.clone();
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let why = match refusal {
            // Its own version, where that is one and another than this.
            Refusal::Version => match u8::try_from(number) {
                Ok(theirs) if theirs != VERSION => {
                    return ShareError::Version { endpoint, theirs: theirs.into(), ours: VERSION.into() };
                }
                _ => return self.nonsense(format!("version {number} is not version {VERSION}")),
            },
            Refusal::NoSuchStream => {
                return ShareError::UnknownStream { endpoint, name: String::new(), streams: Vec::new() };
            }
            Refusal::Slots => {
                let (reader_slots, left) = (count(limit), count(number));
                return ShareError::NoReaderSlots { name: String::new(), offers: 0, hold: 0, reader_slots, left };
            }
            Refusal::Block => return ShareError::BlockRefused { endpoint },
            Refusal::User => {
                return ShareError::Forbidden { endpoint, owner: None, source: io::ErrorKind::PermissionDenied.into() };
            }
            Refusal::Memory => format!(
                "of the {limit} bytes that its streams may have {number} are left; end another reader, or allow it more memory"
            ),
            Refusal::Connections => format!("it has {limit} connections, as many as it may; end another program's"),
            Refusal::Resources => {
                "it has no memory, file or thread left; raise its limits there (ulimit -n, LimitNOFILE=), end another reader, and see its log".to_owned()
            }
            Refusal::Unsealed => {
                "its system cannot seal the memory of frames (before Linux 5.1); use the network there".to_owned()
            }
            Refusal::Message => "it does not understand the question; use the same release for both".to_owned(),
            other => return self.nonsense(format!("{other:?}, with which it refuses senders alone, to a reader")),
        };
        ShareError::Refused { endpoint, why }
    }
}

impl AsFd for Call {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// That much from now; a time that no clock reaches is as good as a day.
pub(super) fn until(now: Instant, patience: Duration) -> Instant {
    now.checked_add(patience).unwrap_or(now + Duration::from_secs(86_400))
}

pub(super) fn system(error: Errno) -> ShareError {
    ShareError::System(error.into())
}

/// Sleeps until one of these has something, or for so long. Whether one has; a signal ends the sleep, too.
///
/// # Errors
/// Where the system refuses to poll.
pub(super) fn wait(descriptors: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<bool, Errno> {
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match rustix::event::poll(descriptors, timeout.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error),
    }
}
