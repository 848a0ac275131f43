//! A stream that has come to a receiver, as a program uses it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::stream_shared::StreamShared;
use crate::backend::BackendKind;
use crate::crypto::Suite;
use crate::frame::{Consumer, ConsumerPolicy, Frame, FrameFormat, FrameIter, Presentation, Readiness, RecvError};
use crate::receive::{EndReason, ReceiveStats, SourceCounts};
use crate::share::{ReaderFigures, ShareError};
use crate::wire::{Delivery, PathKind};

/// What is known of a stream once it is open.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The stream's id: random, or what [`SenderConfig::stream`](crate::SenderConfig::stream) says.
    pub stream: u32,
    /// Where it came from when it was opened; a sender whose address changes is followed.
    pub peer: SocketAddr,
    /// The format of every frame.
    pub format: FrameFormat,
    /// Whether every frame is delivered, or the latest.
    pub delivery: Delivery,
    /// Bytes of metadata that a frame may have at most.
    pub metadata_max: usize,
    /// What the source says of its pictures: their rate, shape, range.
    pub presentation: Presentation,
    /// The socket's receive buffer when the stream was opened, as the system grants it.
    pub buffer_bytes: usize,
    /// What moves the datagrams; [`BackendKind::Auto`] where there are none.
    pub backend: BackendKind,
    /// Which way its frames come. Of a sender that shares memory with this process, `peer` says nothing but that it is on this machine.
    pub path: PathKind,
    /// The cipher that its datagrams are protected by, as of its opening; `None` where they are plain, and by shared memory.
    pub protection: Option<Suite>,
}

/// A stream that a sender has opened. It is the stream's first consumer itself; [`IncomingStream::subscribe`] makes more.
/// Dropping it ends the stream, for the consumers made of it too, as [`IncomingStream::stop`] does.
pub struct IncomingStream {
    pub(super) info: StreamInfo,
    pub(super) consumer: Consumer,
    pub(super) shared: Arc<StreamShared>,
}

impl IncomingStream {
    /// What is known of the stream.
    pub fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// Bytes of the largest slice, header included: fewer than when the stream was opened where the path has become narrower.
    pub fn slice_bytes(&self) -> u16 {
        self.shared.lock().slice_bytes
    }

    /// The next frame; waits for it.
    ///
    /// # Errors
    /// As [`Consumer::recv`].
    pub fn recv(&self) -> Result<Frame, RecvError> {
        self.consumer.recv()
    }

    /// As [`IncomingStream::recv`], but waits at most `timeout`.
    ///
    /// # Errors
    /// As [`Consumer::recv_timeout`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        self.consumer.recv_timeout(timeout)
    }

    /// The next frame if one is waiting.
    ///
    /// # Errors
    /// As [`Consumer::try_recv`].
    pub fn try_recv(&self) -> Result<Frame, RecvError> {
        self.consumer.try_recv()
    }

    /// The frames until the stream ends.
    pub fn frames(&self) -> FrameIter<'_> {
        self.consumer.frames()
    }

    /// A descriptor that is readable while [`IncomingStream::try_recv`] has a frame or the end to give: [`Consumer::readiness`].
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn readiness(&self) -> io::Result<Readiness> {
        self.consumer.readiness()
    }

    /// In how many slots there are frames that were taken here and are not dropped yet: [`Consumer::slots_held`].
    pub fn slots_held(&self) -> usize {
        self.consumer.slots_held()
    }

    /// Another consumer, with its own policy, from the next frame on.
    pub fn subscribe(&self, policy: ConsumerPolicy) -> Consumer {
        self.consumer.subscribe(policy)
    }

    /// Another consumer, with its own policy, that gets what waits here, too: [`Consumer::subscribe_here`]. Made before the first frame is
    /// taken, it misses none.
    pub fn subscribe_here(&self, policy: ConsumerPolicy) -> Consumer {
        self.consumer.subscribe_here(policy)
    }

    /// Has the stream found under this name by readers in other processes ([`ReceiverConfig::share`](crate::ReceiverConfig::share)), instead of
    /// `stream-1` or another number that the hub gives it. Of two streams of one name, the one that was named last is found; readers of the other go on. Whoever reads it by its
    /// former name goes on too.
    ///
    /// # Errors
    /// [`ShareError::Name`], and [`ShareError::NotShared`] where the stream is not shared.
    pub fn share_as(&self, name: &str) -> Result<(), ShareError> {
        match self.shared.sharing() {
            Some(sharing) => sharing.rename(name),
            // Nobody finds it any more, by whatever name.
            None if self.shared.is_over() => Ok(()),
            None => Err(ShareError::NotShared),
        }
    }

    /// Who reads the stream in other processes, and each one's account; empty where it is not shared, and once it has ended.
    pub fn readers(&self) -> Vec<ReaderFigures> {
        self.shared.sharing().map_or_else(Vec::new, |sharing| sharing.readers())
    }

    /// Frames that this consumer was too slow for: [`Consumer::dropped`].
    pub fn dropped(&self) -> u64 {
        self.consumer.dropped()
    }

    /// What has happened so far, as the receiving thread last published it. With [`IncomingStream::source`] and
    /// [`IncomingStream::dropped`] it accounts for every frame; the example `losses` adds them up.
    pub fn stats(&self) -> ReceiveStats {
        self.shared.lock().stats
    }

    /// Why the stream is over, once it is; `None` too where this end stopped it.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.shared.lock().ended
    }

    /// What the sender says of the frames that did not come.
    pub fn source(&self) -> SourceCounts {
        self.shared.lock().source
    }

    /// Ends the stream from this side: all its consumers take what is waiting, and then learn of the end. The sender is not told;
    /// where it goes on, it opens the stream again after about a second, and [`Receiver::accept`](crate::Receiver::accept) gives it anew. One on this machine that
    /// wrote into this receiver's slots sees it at once, and comes again by UDP, or, where it may not, by shared memory. To keep it out, use
    /// [`Admission::Announced`](crate::Admission::Announced) and [`Receiver::withdraw`](crate::Receiver::withdraw).
    pub fn stop(&self) {
        self.shared.stop();
    }
}

impl Drop for IncomingStream {
    fn drop(&mut self) {
        self.shared.stop();
    }
}
