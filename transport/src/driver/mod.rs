//! Where the pure protocol meets the system: threads, wake-ups, timers.
//!
//! [`Sender`] and [`Receiver`] need nothing but a UDP address; Socket.IO is not involved.
//!
//! ```
//! use std::time::Duration;
//! use framewire_transport::{Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig};
//!
//! let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig::default())?;
//!
//! let format = FrameFormat::new(PixelFormat::Gray8, 640, 480)?;
//! let config = SenderConfig::new(format).delivery(Delivery::Every);
//! let sender = Sender::connect(receiver.local_addr(), config)?;
//! let stream = std::thread::spawn(move || -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
//!     for shade in 0..3 {
//!         let mut frame = sender.frame()?;
//!         frame.fill(shade);
//!         sender.send(frame)?;
//!     }
//!     Ok(sender.finish(Duration::from_secs(5))?)
//! });
//!
//! let incoming = receiver.accept()?;
//! let shades: Vec<u8> = incoming.frames().map(|frame| Ok(frame?[0])).collect::<Result<_, framewire_transport::frame::RecvError>>()?;
//! assert_eq!(shades, [0, 1, 2]);
//! assert_eq!(stream.join().unwrap().unwrap().delivered, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend_thread;
mod errors;
mod listener;
mod opening;
mod plain;
mod rebind;
mod receive_loop;
mod receiver;
mod send_loop;
mod sender;
mod setters;
mod threads;

pub use opening::Admission;
pub use plain::{PlainReceiver, PlainReceiverConfig, PlainSender, PlainSenderConfig};
pub use receiver::{
    AcceptStreamError, AnnounceError, BindError, IncomingStream, ListenerStats, Receiver, ReceiverConfig, StreamInfo,
};
pub use send_loop::SEND_BUFFER_MAX;
pub use sender::{ConnectError, NotSent, SendError, Sender, SenderConfig, SliceSize, SliceSizeError};
pub use threads::{CpuError, Cpus, ThreadConfig};

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
