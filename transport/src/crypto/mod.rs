//! What protects a stream's datagrams, as `PROTOCOL.md` describes it: nobody without the stream's [`Key`] reads them, changes them, or
//! sends one that is believed.
//!
//! Both ends agree on keys of an epoch while it is opened ([`Initiator`], [`Responder`]): Noise NNpsk0, fresh ephemerals each time, so that
//! who learns the [`Key`] later reads nothing of before. From what they agree on follow the keys of each direction (`schedule`), by which
//! slices ([`SliceSealer`], [`SliceOpener`]) and all others ([`ControlSealer`], [`ControlOpener`]) are sealed and opened.
//!
//! No clock, no socket, and no memory but what is there once a session is: sealing and opening allocate nothing, but for the two keys of a
//! further generation, each 4,194,304 slices.

mod handshake;
mod key;
mod open;
mod recorder;
mod replay;
mod schedule;
mod seal;
mod suite;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;

pub use handshake::{
    CONTEXT_LEN, HandshakeError, Initiator, MESSAGE_1_LEN, MESSAGE_2_LEN, PAYLOAD_1_LEN, PAYLOAD_2_LEN,
    ReceiverSession, Responder, SenderSession,
};
pub use key::{Key, KeyError, KeyId};
pub use open::{ControlOpener, Forged, SliceOpener};
pub use recorder::Recording;
pub use replay::{CONTROLS_BACK, SLICES_BACK};
pub use schedule::{GENERATION_SHIFT, shorten_generations};
pub use seal::{ControlSealer, SEAL_LEN, SliceSealer};
pub use suite::{Suite, Suites};
