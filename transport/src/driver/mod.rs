//! Where the pure protocol meets the system: threads, wake-ups, timers.

mod backend_thread;
mod errors;
#[cfg(all(test, feature = "uring", target_os = "linux"))]
mod failing_rings;
mod incoming;
#[cfg(target_os = "linux")]
mod inlet;
mod listener;
mod opening;
mod plain;
mod protection;
mod publisher;
mod rebind;
mod receive_loop;
mod receiver;
mod relay;
mod send_loop;
pub(crate) mod sender;
mod sharing;
mod stream_shared;
mod threads;
mod wire_end;

pub use incoming::{IncomingStream, StreamInfo};
pub use opening::{Admission, Announcement};
pub use plain::{PlainReceiver, PlainReceiverConfig, PlainSender, PlainSenderConfig};
pub use protection::{Protection, ProtectionParseError};
pub use publisher::{PublishConfig, PublishedStream, Publisher};
pub use receiver::{AcceptStreamError, AnnounceError, BindError, ListenerStats, Receiver, ReceiverConfig};
pub use relay::{Relay, RelayConfig, RelayError, RelayStream, RelayStreamConfig, RelayStreamStats, RelayTo, Watcher};
pub use sender::{
    ConnectError, NotSent, PathChoice, PathChoiceError, SendError, Sender, SenderConfig, SliceSize, SliceSizeError,
};
pub use threads::{CpuError, Cpus, ThreadConfig};
pub use wire_end::SEND_BUFFER_MAX;

use crate::backend::SendBatch;
use crate::wire::Cut;

/// Datagrams that are moved in one batch: a frame, as far as one system call takes it.
fn batch_datagrams(cut: &Cut) -> usize {
    /// What `sendmmsg` and `recvmmsg` take at once (UIO_MAXIOV).
    const MAX: usize = 1024;
    /// Small frames are moved several at a time. More than that and the receiver would have memory in use for frames that
    /// are far off, which then is not in cache.
    const MIN: usize = 16;
    (cut.slices() as usize).clamp(MIN.max(cut.train()), MAX)
}

/// The same of slices that are to be sent. Sealed ones are moved in fewer at a time: so many that what was written to the scratch is
/// still in the core's own cache when the system reads it.
fn send_batch_datagrams(cut: &Cut) -> usize {
    /// Trains, or datagrams as long as one.
    const TRAINS: usize = 4;
    let datagrams = batch_datagrams(cut);
    if cut.tag_bytes() == 0 { datagrams } else { datagrams.min(TRAINS * cut.train()) }
}

/// A batch for so many slices that are cut so.
fn batch_of(cut: &Cut, datagrams: usize) -> SendBatch {
    if cut.tag_bytes() == 0 {
        SendBatch::new(datagrams, cut.head_bytes())
    } else {
        SendBatch::with_scratch(datagrams, cut.head_bytes(), cut.payload_bytes().into())
    }
}
