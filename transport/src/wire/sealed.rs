//! The datagrams of protected streams that are laid out otherwise than those of others: the two that open one, and how long the fields of the
//! sealed ones are.

use std::ops::Range;

use super::datagram::datagram;
use super::{Accept, Close, Closed, Feedback, Flags, Kind, NACK_BITMAP_MAX, Nack, Open, Ping};
use crate::crypto::{CONTEXT_LEN, MESSAGE_1_LEN, MESSAGE_2_LEN, PAYLOAD_1_LEN, PAYLOAD_2_LEN};

datagram! {
    /// Sender to receiver: an [`Open`] of a protected stream. What is clear of it is what a receiver looks at before it does any
    /// arithmetic, and the handshake covers it; all else is in the handshake's message. May be as long as a slice, as that.
    SealedOpen = Open with TAGGED {
        /// [`super::Flags`].
        flags: u16,
        /// The largest slice the sender will send, header and tag included, bytes.
        slice_bytes: u16,
        /// What a [`super::Challenge`] said, or 0.
        cookie: u64,
        /// What the key is called: [`crate::KeyId`].
        key_id: [u8; 8],
        /// What the sender can seal with: [`crate::crypto::Suites`].
        suites: u16,
        /// Zero.
        reserved: u16,
        /// The handshake's first.
        message: [u8; MESSAGE_1_LEN],
    }
}

/// Where in an [`Open`] begins what a [`SealedOpen`] has in its message.
const OPEN_CLEAR: usize = 24;

impl SealedOpen {
    /// What is to be sent for `open`, without a message yet: that is made of [`SealedOpen::context`] and [`SealedOpen::payload`].
    pub fn of(open: &Open, key_id: [u8; 8], suites: u16) -> Self {
        let &Open { stream, epoch, slice_bytes, cookie, .. } = open;
        let (flags, message) = (Flags::TAGGED, [0; MESSAGE_1_LEN]);
        Self { stream, epoch, flags, slice_bytes, cookie, key_id, suites, reserved: 0, message }
    }

    /// What the message of `open` carries: its bytes from `first_frame` on.
    pub fn payload(open: &Open) -> [u8; PAYLOAD_1_LEN] {
        *open.emit().last_chunk().expect("an Open is longer")
    }

    /// All that is clear, as it is sent: what the handshake is bound to, the cookie with it, so that an opening is of no use from another address.
    pub fn context(&self) -> [u8; CONTEXT_LEN] {
        *self.emit().first_chunk().expect("it begins with them")
    }

    /// The opening that this is, with what its message carried.
    pub fn open(&self, payload: &[u8; PAYLOAD_1_LEN]) -> Open {
        let mut bytes = [0; Open::LEN];
        // Clear fields are where they are in the plain one.
        bytes[..OPEN_CLEAR].copy_from_slice(&self.emit()[..OPEN_CLEAR]);
        bytes[FLAGS].fill(0);
        bytes[OPEN_CLEAR..].copy_from_slice(payload);
        Open::parse(&bytes).expect("of its kind and length, and without a flag")
    }
}

datagram! {
    /// Receiver to sender: an [`Accept`] of a protected stream.
    SealedAccept = Accept with TAGGED {
        /// [`super::Flags`].
        flags: u16,
        /// As in [`Accept`]: what the path has carried. A hint, which the handshake does not cover: a repetition says what has been carried
        /// by then, and has the message of the first.
        path_bytes: u16,
        /// The handshake's second.
        message: [u8; MESSAGE_2_LEN],
    }
}

/// Where in an [`Accept`] begins what a [`SealedAccept`] has in its message.
const ACCEPT_CLEAR: usize = 16;
const FLAGS: Range<usize> = 12..14;

impl SealedAccept {
    /// The one of this epoch with this message, which carries [`SealedAccept::payload`].
    pub fn of(stream: u32, epoch: u32, path_bytes: u16, message: [u8; MESSAGE_2_LEN]) -> Self {
        Self { stream, epoch, flags: Flags::TAGGED, path_bytes, message }
    }

    /// What the message for `accept` carries: all behind its flags, with zero for the bytes of the path.
    pub fn payload(accept: &Accept) -> [u8; PAYLOAD_2_LEN] {
        *Accept { path_bytes: 0, ..*accept }.emit().last_chunk().expect("an Accept is longer")
    }

    /// The answer that this is, with what its message carried.
    pub fn accept(&self, payload: &[u8; PAYLOAD_2_LEN]) -> Accept {
        let mut bytes = [0; Accept::LEN];
        bytes[..ACCEPT_CLEAR].copy_from_slice(&self.emit()[..ACCEPT_CLEAR]);
        bytes[FLAGS].fill(0);
        bytes[ACCEPT_CLEAR..].copy_from_slice(&payload[PAYLOAD_2_LEN - (Accept::LEN - ACCEPT_CLEAR)..]);
        Accept::parse(&bytes).expect("of its kind and length, and without a flag")
    }
}

/// How many bytes of a sealed datagram are its fields, a Nack's bitmap with them: counter and tag are behind them. `None` where datagrams of its kind
/// are not sealed so, or it is too short to say.
pub fn fields_len(kind: Kind, bytes: &[u8]) -> Option<usize> {
    match kind {
        Kind::Feedback => Some(Feedback::LEN),
        // What it says of its bitmap is not believed before the tag: it only says where that has to be.
        Kind::Nack => {
            let bitmap = bytes.get(BITMAP_BYTES)?.try_into().map(u16::from_be_bytes).ok()?;
            Some(usize::from(bitmap)).filter(|bitmap| *bitmap <= NACK_BITMAP_MAX).map(|bitmap| Nack::LEN + bitmap)
        }
        Kind::Ping => Some(Ping::LEN),
        Kind::Close => Some(Close::LEN),
        Kind::Closed => Some(Closed::LEN),
        Kind::Slice | Kind::Parity | Kind::Open | Kind::Challenge | Kind::Accept | Kind::Refuse => None,
    }
}

/// Of a [`Nack`].
const BITMAP_BYTES: Range<usize> = 14..16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{SLICE_BYTES_MIN, TIME_UNKNOWN, WireError};

    #[test]
    fn what_opens_a_protected_stream_is_the_plain_opening_in_two_parts() {
        let open = Open { cookie: 7, first_frame: u64::MAX - 3, utc_error_us: 9, ..plain_open() };
        let sealed = SealedOpen::of(&open, [1, 2, 3, 4, 5, 6, 7, 8], 3);
        assert_eq!(SealedOpen::parse(&sealed.emit()), Ok(sealed));
        assert_eq!(sealed.open(&SealedOpen::payload(&open)), open);
        assert_eq!(sealed.context()[..], sealed.emit()[..36]);
        assert_eq!((SealedOpen::LEN, SealedAccept::LEN), (184, 116));

        let accept = Accept {
            stream: 1,
            epoch: 2,
            flags: 0,
            path_bytes: 3,
            frame_limit: 4,
            sequence_limit: 5,
            receiver_ns: 6,
            echo_ns: TIME_UNKNOWN,
            delivered: 7,
            buffer_bytes: 8,
            slots: 9,
        };
        let sealed = SealedAccept::of(1, 2, 3, [5; MESSAGE_2_LEN]);
        assert_eq!(SealedAccept::parse(&sealed.emit()), Ok(sealed));
        assert_eq!(sealed.accept(&SealedAccept::payload(&accept)), accept);
    }

    #[test]
    fn neither_is_taken_for_the_plain_one_nor_that_for_it() {
        let open = plain_open();
        let sealed = SealedOpen::of(&open, [0; 8], 0).emit();
        assert_eq!(Open::parse(&sealed), Err(WireError::Flags(Flags::TAGGED)));
        let plain = [&open.emit()[..], &[0; 100]].concat();
        assert_eq!(SealedOpen::parse(&plain), Err(WireError::Flags(0)));
        let sealed = SealedAccept::of(1, 2, 3, [0; MESSAGE_2_LEN]).emit();
        assert_eq!(Accept::parse(&sealed), Err(WireError::Flags(Flags::TAGGED)));
    }

    #[test]
    fn the_longest_sealed_answer_fits_the_smallest_path() {
        let nack = Nack { stream: 0, epoch: 0, flags: 0, bitmap_bytes: NACK_BITMAP_MAX as u16, frame: 0, first: 0 };
        let longest = fields_len(Kind::Nack, &nack.emit());
        assert_eq!(longest.map(|fields| fields + crate::crypto::SEAL_LEN), Some(SLICE_BYTES_MIN));
        let nack = Nack { bitmap_bytes: NACK_BITMAP_MAX as u16 + 1, ..nack };
        assert_eq!(fields_len(Kind::Nack, &nack.emit()), None);
        assert_eq!(fields_len(Kind::Nack, &nack.emit()[..15]), None);
    }

    fn plain_open() -> Open {
        let format = crate::FrameFormat::new(crate::PixelFormat::Gray8, 20, 25).unwrap();
        crate::wire::open_of(&format, crate::Delivery::Every, &crate::Presentation::default(), 0)
    }
}
