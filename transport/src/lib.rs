//! Moves raw video frames over UDP at the speed of memory, and accounts for every frame that did not arrive.
//!
//! A [`Sender`] sends the frames of one stream to one UDP address; a [`Receiver`] there takes the streams of many senders. Nothing else is
//! needed: no broker, no name service.
//!
//! ```
//! use std::time::Duration;
//! use framewire_transport::{Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig};
//!
//! let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig::new())?;
//!
//! let format = FrameFormat::new(PixelFormat::Gray8, 640, 480)?;
//! let sender = Sender::connect(receiver.local_addr(), SenderConfig::new(format).delivery(Delivery::Every))?;
//! let sending = std::thread::spawn(move || -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
//!     for shade in 0..3 {
//!         let mut frame = sender.frame()?;
//!         frame.fill(shade);
//!         sender.send(frame)?;
//!     }
//!     Ok(sender.finish(Duration::from_secs(5))?)
//! });
//!
//! let incoming = receiver.accept()?;
//! for (frame, shade) in incoming.frames().zip(0..) {
//!     let frame = frame?;
//!     let gray = frame.planes().next().unwrap();
//!     assert_eq!((gray.width, gray.height, gray.bytes[0]), (640, 480, shade));
//! }
//! assert_eq!(sending.join().unwrap().unwrap().delivered, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What to know before you use it
//!
//! * **Two modes.** [`Delivery::Every`]: nothing is lost, the sender waits for the receiver; for files. [`Delivery::Latest`], the
//!   default: the newest frame wins, what is late is dropped whole and counted; for cameras.
//! * **Slots.** A stream's frames live in a fixed number of slots ([`ReceiverConfig::slots`], 8 by default). A [`Frame`] holds its slot
//!   until it and all its clones are dropped: copy what you want to keep. Who holds them all is told so
//!   ([`RecvError::HoldsAllSlots`]).
//! * **Consumers.** A stream can have several ([`IncomingStream::subscribe`]), each with its own [`ConsumerPolicy`]. None slows
//!   another down but by the slots that it holds.
//! * **Waiting for several things.** [`Consumer::readiness`] is a descriptor for `poll`, `epoll` and async runtimes.
//! * **Other processes.** What a hub shares ([`share`]), any process of its machine reads in the memory that it arrived in. A [`Frame`] is the same there.
//! * **Losses.** Every frame that did not come has one cause in [`ReceiveStats`] and [`SourceCounts`], and they add up.
//! * **Errors.** Each has a stable [code](codes).
//! * **Times.** [`Time`] is nanoseconds of the monotonic clock; durations are [`std::time::Duration`]. Sizes are bytes unless a name says
//!   otherwise, and those of datagrams count the UDP payload.
//!
//! # What do you want to do?
//!
//! The folder `examples` has a program of a page for each; each runs by
//! itself: `cargo run -p framewire-transport --example NAME`.
//!
//! | you want to | begin at | example |
//! |---|---|---|
//! | send pictures of your own camera | [`Sender::frame_timeout`], [`FrameInfo::captured`], [`SenderConfig::presentation`] | `own_source` |
//! | send a file, every frame of it | [`Delivery::Every`], [`Sender::finish`] | `send_file` |
//! | work on the newest frame | [`IncomingStream::recv`], [`ConsumerPolicy::Latest`] | `receive_latest` |
//! | record and show the same stream | [`IncomingStream::subscribe`], [`ConsumerPolicy::Block`] | `two_consumers` |
//! | know what was lost, and why | [`IncomingStream::stats`], [`IncomingStream::source`], [`Consumer::dropped`] | `losses` |
//! | have nobody on the way read or forge it | [`Key::random`], [`SenderConfig::key`], [`ReceiverConfig::keys`], [`Protection`] | |
//! | wait for frames in tokio | [`Consumer::readiness`] | `async_tokio` |
//! | send on what you receive to many, without a copy | [`Relay`], [`RelayStream::add`]; to one, and every frame, [`Sender::send_shared`] | `relay` |
//! | keep to a rate, and to moments of its own, while a stream runs | [`Sender::set_pace`], [`Pace`] | |
//! | read a stream of another process of this machine, without a copy | [`Reader::subscribe`], [`Subscription`] | `read_shared`, `async_shared` |
//! | send what is no picture, or what belongs to one beside it | [`PixelFormat::Bytes`], [`FrameMut::set_metadata`], [`Frame::captured_utc`] | `metadata` |
//!
//! Sources that are there already, files, cameras and a test pattern, are in the crate `framewire-capture`, and so is `FrameSource`, the
//! trait to write one of your own by; the example `own_source` does without it. Socket.IO, by which programs in
//! any language hear of frames and open streams, is in `framewire-signal`.
//!
//! # Words
//!
//! | word | what it is |
//! |---|---|
//! | frame | one picture: its bytes, and what is known of them, [metadata](Metadata) among it |
//! | slice | the part of a frame that one datagram carries, a head in front of it; all of a frame are equal but the last |
//! | parity slice | one that lost slices are restored from, without asking for them ([`Fec`]) |
//! | train | several slices that pass the network stack as one (UDP GSO and GRO) |
//! | slot | memory for one frame; a [pool](frame::FramePool) has 1 to 64 |
//! | credit | how far a receiver lets a sender go: as far as it has free slots and room in its socket's buffer |
//! | settled | of a frame: its fate is known, delivered or not, and nothing more is sent of it |
//! | epoch | one run of a sender towards its receiver; a sender that begins anew, since either end was gone, begins the next one |
//! | opening | what a sender asks with until the receiver takes its stream; answered with a challenge first, so that nobody opens one in another's name |
//! | key | 32 random bytes that both ends of a protected stream have; without one a stream does not leave the machine unless [`Protection::Off`] says so |
//! | watcher | who is sent a stream on that this process has: one of those a [`Relay`] sends it to |
//! | hub | the process in whose slots frames are that others of its machine read in place; it listens at an [`Endpoint`] |
//! | plain wire | the datagrams of the system that Framewire began as: pieces without a head ([`PlainSender`], [`PlainReceiver`]) |
//!
//! # The way of a frame, by function
//!
//! | step | thread | function |
//! |---|---|---|
//! | a free slot | the program's | [`Sender::frame`] → `FramePool::try_acquire` → `SlotTable::try_acquire`: a [`FrameMut`] |
//! | pixels | the program's | into the [`FrameMut`], [plane by plane](FrameMut::planes_mut) |
//! | handed over | the program's | [`Sender::send`] → [`FrameMut::freeze`] → `Handover::push`, which wakes the sending thread |
//! | numbered, kept for repairs | sending | `SendLoop::run` → `Handover::take` → `Publication::publish` |
//! | cut into slices | sending | `Subscriber::poll_slices`: a `SliceRun` of head fields and a range of the frame's bytes |
//! | sent | sending | `SendBatch::push_slices` → `Backend::send`: one system call for many `[head][payload]` pairs, no copy |
//! | sealed, where the stream is protected | sending | in its place `SendBatch::push_sealed` → `SliceRun::seal`: from the slot into a scratch of the batch's, in cache, which is sent |
//! | expected | receiving | `ReceiveStream::predict` → `FramePool::try_arrival`: an `Arrival`; `ReceiveBatch::post_cells` says where the next payloads are to land |
//! | landed | receiving | `Backend::receive`: the kernel's copy into the slot is the only one |
//! | put together | receiving | `ReceiveStream::handle_datagram` → `Reassembler::handle_slice`; `end_batch` moves what landed elsewhere |
//! | complete | receiving | `ReceiveStream::poll_frame` → `Arrival::complete`: a [`Frame`] |
//! | to consumers | receiving | `FrameRing::publish` |
//! | taken | the program's | [`Consumer::recv`] |
//! | given back | the program's | the last [`Frame`] is dropped: `SlotTable::release`; the receiving thread grants the sender credit for it by `ReceiveStream::poll_transmit` |
//!
//! Answers go the same way back: `poll_transmit` → `Backend::send_one` ═ UDP ═ `Subscriber::handle_datagram`.
//!
//! # What is a promise
//!
//! What this documentation shows: frames, senders, receivers, their configurations, figures and errors. Configurations, figures and errors
//! grow without breaking a caller. What it does not show is public for the tests, benchmarks, tools and other libraries of this project alone, which
//! ask for this very version, and changes without notice: the protocol's cores (`send`, `receive`), the bytes on the wire (`wire`; `PROTOCOL.md` is what other implementations
//! go by), the system calls (`backend`), and slots into which datagrams land.
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `uring` | [`BackendKind::Uring`], on Linux | off: it is never chosen by itself |
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "system calls; each block names its invariant")]
#[doc(hidden)]
pub mod backend;
mod charge;
mod clock;
pub mod codes;
#[doc(hidden)]
pub mod crypto;
#[doc(hidden)]
pub mod driver;
#[allow(unsafe_code, reason = "raw slot memory; each block names its invariant")]
pub mod frame;
#[cfg(target_os = "linux")]
mod lack;
mod limit;
mod path_model;
mod random;
#[doc(hidden)]
pub mod receive;
mod rising;
#[doc(hidden)]
pub mod send;
mod setters;
#[allow(unsafe_code, reason = "memory that processes share; each block names its invariant")]
pub mod share;
mod time;
mod told;
mod unpoisoned;
#[doc(hidden)]
pub mod utc;
mod windowed_minimum;
#[doc(hidden)]
pub mod wire;

pub use backend::{BackendKind, UnknownBackend};
pub use clock::clock_id;
pub use crypto::{Key, KeyError, KeyId, Suite};
pub use driver::{
    AcceptStreamError, Admission, AnnounceError, Announcement, BindError, ConnectError, CpuError, Cpus, IncomingStream,
    ListenerStats, NotSent, PathChoice, PathChoiceError, PlainReceiver, PlainReceiverConfig, PlainSender,
    PlainSenderConfig, Protection, ProtectionParseError, PublishConfig, PublishedStream, Publisher, Receiver,
    ReceiverConfig, Relay, RelayConfig, RelayError, RelayStream, RelayStreamConfig, RelayStreamStats, RelayTo,
    SendError, Sender, SenderConfig, SliceSize, SliceSizeError, StreamInfo, ThreadConfig, Watcher,
};
pub use frame::{
    ChromaPlace, ColourRange, Consumer, ConsumerPolicy, Frame, FrameFormat, FrameInfo, FrameMut, FrameRate, Metadata,
    MetadataKind, PixelFormat, Presentation, RecvError, SampleAspect, Scan,
};
pub use receive::{EndReason, PlainStats, ReceiveStats, RejectedCounts, SourceCounts};
pub use send::{Bitrate, BitrateError, ClosedReport, Fec, FecError, LinkBudget, Pace, SendState, SendStats};
pub use share::{
    Endpoint, EndpointError, Reader, ReaderFigures, ShareConfig, ShareError, SharedStreamInfo, Subscription,
    SubscriptionConfig, SubscriptionFrames, SubscriptionStats,
};
pub use time::Time;
pub use wire::{Delivery, PathKind, RefuseReason};
