//! How both ends agree on an epoch's keys while it is opened: one message each, Noise NNpsk0 (revision 34), nothing else of Noise behind it.

use snow::{Builder, HandshakeState};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::Key;
use super::open::{ControlOpener, SliceOpener};
use super::schedule::{Purpose, Secret};
use super::seal::{ControlSealer, SliceSealer};
use super::suite::{Suite, Suites};
use crate::wire::TAG_LEN;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
/// What every handshake's prologue begins with; the context follows.
const PROLOGUE: &[u8; 11] = b"framewire 4";

/// Bytes of an opening that a handshake is bound to: all of its clear ones. See [`crate::wire::SealedOpen::context`].
pub const CONTEXT_LEN: usize = 36;
/// Bytes that the first message carries.
pub const PAYLOAD_1_LEN: usize = 100;
/// Bytes that the second message carries for the program, behind the suite and a zero.
pub const PAYLOAD_2_LEN: usize = 50;
/// Bytes of the first message: an ephemeral key, what it carries, a tag.
pub const MESSAGE_1_LEN: usize = EPHEMERAL_LEN + PAYLOAD_1_LEN + TAG_LEN;
/// Bytes of the second.
pub const MESSAGE_2_LEN: usize = EPHEMERAL_LEN + SUITE_LEN + PAYLOAD_2_LEN + TAG_LEN;
const EPHEMERAL_LEN: usize = 32;
const SUITE_LEN: usize = 2;
/// Where the suites of a context are.
const SUITES: std::ops::Range<usize> = 32..34;

/// Why a handshake comes to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// No ephemeral key can be made.
    #[error("the system gives no random numbers")]
    Random,
    /// Not made with this key, or for another opening.
    #[error("the message was not made with this key for this opening")]
    Message,
    /// The far end chose what was not offered; the number is that of the suite.
    #[error("the far end chose suite {0}, which was not offered; use the same release at both ends")]
    Suite(u8),
}

/// What the sender of an epoch has once it is open.
pub struct SenderSession {
    /// Slices and parity.
    pub slices: SliceSealer,
    /// All else that it says.
    pub controls: ControlSealer,
    /// What it is told.
    pub answers: ControlOpener,
}

/// What the receiver of an epoch has.
pub struct ReceiverSession {
    /// Slices and parity.
    pub slices: SliceOpener,
    /// All else that it is told.
    pub controls: ControlOpener,
    /// What it says.
    pub answers: ControlSealer,
}

/// The sender's end of a handshake.
pub struct Initiator {
    noise: HandshakeState,
    offered: Suites,
}

impl Initiator {
    /// Begins one under `key`, for an opening with this `context`; what it says besides is in `payload`, encrypted. Also the message. One
    /// handshake has one message: an opening that is repeated repeats it.
    ///
    /// # Errors
    /// [`HandshakeError::Random`].
    pub fn start(
        key: &Key,
        context: &[u8; CONTEXT_LEN],
        payload: &[u8; PAYLOAD_1_LEN],
    ) -> Result<(Self, [u8; MESSAGE_1_LEN]), HandshakeError> {
        Self::start_with(key, context, payload, None)
    }

    /// The same with a private key that is known beforehand: for known answers alone.
    #[doc(hidden)]
    pub fn start_with(
        key: &Key,
        context: &[u8; CONTEXT_LEN],
        payload: &[u8; PAYLOAD_1_LEN],
        ephemeral: Option<&[u8; EPHEMERAL_LEN]>,
    ) -> Result<(Self, [u8; MESSAGE_1_LEN]), HandshakeError> {
        let mut noise = noise(key, context, ephemeral, true)?;
        let mut message = [0; MESSAGE_1_LEN];
        write(&mut noise, payload, &mut message)?;
        let offered = Suites::from_wire(u16::from_be_bytes(context[SUITES].try_into().expect("two bytes")));
        Ok((Self { noise, offered }, message))
    }

    /// Ends it with the far end's message. One that is not genuine changes nothing: the right one may follow. After the right one it is
    /// over, and every further one is refused.
    ///
    /// # Errors
    /// [`HandshakeError::Message`] or [`HandshakeError::Suite`].
    pub fn finish(
        &mut self,
        message: &[u8; MESSAGE_2_LEN],
    ) -> Result<(SenderSession, [u8; PAYLOAD_2_LEN]), HandshakeError> {
        let mut carried = [0; SUITE_LEN + PAYLOAD_2_LEN];
        read(&mut self.noise, message, &mut carried)?;
        let suite = Suite::from_wire(carried[0]).filter(|suite| self.offered.has(*suite));
        let suite = suite.ok_or(HandshakeError::Suite(carried[0]))?;
        let (from_sender, from_receiver) = split(&mut self.noise);
        let session = SenderSession {
            controls: ControlSealer::new(&from_sender, suite, Purpose::Control),
            answers: ControlOpener::new(&from_receiver, suite, Purpose::Answers),
            slices: SliceSealer::new(from_sender, suite),
        };
        Ok((session, *carried.last_chunk().expect("all but the suite")))
    }
}

/// The receiver's end of one, which has read the sender's message.
pub struct Responder {
    noise: HandshakeState,
}

impl Responder {
    /// Reads the first message, and what it carries. It shows that the sender has the key; that it is not an old one shown again, the caller
    /// sees to. No arithmetic on curves yet: what is not genuine costs some hashes.
    ///
    /// # Errors
    /// [`HandshakeError::Message`].
    pub fn read(
        key: &Key,
        context: &[u8; CONTEXT_LEN],
        message: &[u8; MESSAGE_1_LEN],
    ) -> Result<(Self, [u8; PAYLOAD_1_LEN]), HandshakeError> {
        Self::read_with(key, context, message, None)
    }

    /// The same with a private key that is known beforehand: for known answers alone.
    #[doc(hidden)]
    pub fn read_with(
        key: &Key,
        context: &[u8; CONTEXT_LEN],
        message: &[u8; MESSAGE_1_LEN],
        ephemeral: Option<&[u8; EPHEMERAL_LEN]>,
    ) -> Result<(Self, [u8; PAYLOAD_1_LEN]), HandshakeError> {
        let mut noise = noise(key, context, ephemeral, false)?;
        let mut payload = [0; PAYLOAD_1_LEN];
        read(&mut noise, message, &mut payload)?;
        Ok((Self { noise }, payload))
    }

    /// Takes the opening, with a suite that it offers: the session, and the message that says so.
    ///
    /// # Errors
    /// [`HandshakeError::Random`].
    pub fn accept(
        mut self,
        suite: Suite,
        payload: &[u8; PAYLOAD_2_LEN],
    ) -> Result<(ReceiverSession, [u8; MESSAGE_2_LEN]), HandshakeError> {
        let mut carried = [0; SUITE_LEN + PAYLOAD_2_LEN];
        carried[0] = suite as u8;
        carried[SUITE_LEN..].copy_from_slice(payload);
        let mut message = [0; MESSAGE_2_LEN];
        write(&mut self.noise, &carried, &mut message)?;
        let (from_sender, from_receiver) = split(&mut self.noise);
        let session = ReceiverSession {
            controls: ControlOpener::new(&from_sender, suite, Purpose::Control),
            answers: ControlSealer::new(&from_receiver, suite, Purpose::Answers),
            slices: SliceOpener::new(from_sender, suite),
        };
        Ok((session, message))
    }
}

fn noise(
    key: &Key,
    context: &[u8; CONTEXT_LEN],
    ephemeral: Option<&[u8; EPHEMERAL_LEN]>,
    is_initiator: bool,
) -> Result<HandshakeState, HandshakeError> {
    let mut prologue = [0; PROLOGUE.len() + CONTEXT_LEN];
    prologue[..PROLOGUE.len()].copy_from_slice(PROLOGUE);
    prologue[PROLOGUE.len()..].copy_from_slice(context);
    let pattern = PATTERN.parse().expect("a pattern that snow was built with");
    let builder = Builder::new(pattern).psk(0, key.bytes()).and_then(|builder| builder.prologue(&prologue));
    let mut builder = builder.map_err(why)?;
    if let Some(ephemeral) = ephemeral {
        builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
    }
    if is_initiator { builder.build_initiator() } else { builder.build_responder() }.map_err(why)
}

/// Each message has one length, and what it carries as well.
fn write(noise: &mut HandshakeState, payload: &[u8], message: &mut [u8]) -> Result<(), HandshakeError> {
    let len = noise.write_message(payload, message).map_err(why)?;
    debug_assert_eq!(len, message.len());
    Ok(())
}

fn read(noise: &mut HandshakeState, message: &[u8], payload: &mut [u8]) -> Result<(), HandshakeError> {
    let len = noise.read_message(message, payload).map_err(why)?;
    debug_assert_eq!(len, payload.len());
    Ok(())
}

/// What a finished handshake agreed on: the sender's half, and the receiver's.
fn split(noise: &mut HandshakeState) -> (Secret, Secret) {
    let (mut from_sender, mut from_receiver) = noise.dangerously_get_raw_split();
    let secrets = (Zeroizing::new(from_sender), Zeroizing::new(from_receiver));
    from_sender.zeroize();
    from_receiver.zeroize();
    secrets
}

fn why(error: snow::Error) -> HandshakeError {
    match error {
        snow::Error::Rng => HandshakeError::Random,
        _ => HandshakeError::Message,
    }
}
