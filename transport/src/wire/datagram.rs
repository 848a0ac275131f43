//! What all datagrams share, and the one place that turns fields into bytes and back.

use thiserror::Error;

/// The first two bytes of every datagram: "FW".
pub const MAGIC: u16 = 0x4657;
/// The protocol version that this crate speaks.
pub const VERSION: u8 = 4;
/// Bytes of the [`Prelude`]: magic, version, kind, stream, epoch.
pub const PRELUDE_LEN: usize = 12;

/// What a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is documented at its struct")]
pub enum Kind {
    Slice = 1,
    Feedback = 2,
    Nack = 3,
    Ping = 4,
    Open = 5,
    Challenge = 6,
    Accept = 7,
    Refuse = 8,
    Close = 9,
    Closed = 10,
    Parity = 11,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Slice,
        Self::Feedback,
        Self::Nack,
        Self::Ping,
        Self::Open,
        Self::Challenge,
        Self::Accept,
        Self::Refuse,
        Self::Close,
        Self::Closed,
        Self::Parity,
    ];

    fn from_wire(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Bits of the flags field, which follows the prelude in every datagram.
pub struct Flags;

impl Flags {
    /// The datagram is one of a protected stream: sealed, with a tag of [`super::TAG_LEN`] bytes behind its fields, or a message of the
    /// handshake.
    pub const TAGGED: u16 = 1;
    /// This slice has been sent before.
    pub const REPAIR: u16 = 2;
    /// The flags that this version understands; a datagram with any other is refused.
    pub const KNOWN: u16 = Self::REPAIR;

    /// The same of one kind: slices and parity have tags in an epoch of which both ends know that it has. All others are read once they
    /// are opened, and have the flag no longer.
    pub(crate) const fn known(kind: Kind) -> u16 {
        match kind {
            Kind::Slice | Kind::Parity => Self::KNOWN | Self::TAGGED,
            _ => Self::KNOWN,
        }
    }
}

/// Why bytes are not the datagram that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    /// Fewer bytes than the datagram's fields take.
    #[error("{len} bytes are too few, {need} are needed")]
    Short {
        /// Bytes there are.
        len: usize,
        /// Bytes there should be.
        need: usize,
    },
    /// The first two bytes are not [`MAGIC`].
    #[error("the bytes do not start with 'FW': not a Framewire datagram")]
    Magic,
    /// Another protocol version.
    #[error("protocol version {0} is not {VERSION}; use the same release at both ends")]
    Version(u8),
    /// No datagram has this number.
    #[error("datagram kind {0} is unknown")]
    Kind(u8),
    /// A flag this version does not know.
    #[error("flags {0:#06x} are unknown")]
    Flags(u16),
    /// A field has a value that cannot be.
    #[error("field {0} has an impossible value")]
    Value(&'static str),
}

/// The first 12 bytes of every datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prelude {
    /// What follows.
    pub kind: Kind,
    /// The stream it belongs to: a random number that the sender chose.
    pub stream: u32,
    /// The sender's run; a restart starts a new one.
    pub epoch: u32,
}

/// The first 12 bytes of a datagram of any version: they lie alike in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnyPrelude {
    /// [`VERSION`] of its sender.
    pub version: u8,
    /// The number of a [`Kind`], as that version counts them; an Open and a Refuse have the same in all.
    pub kind: u8,
    /// The stream it belongs to.
    pub stream: u32,
    /// The sender's run.
    pub epoch: u32,
}

impl Prelude {
    /// Reads the prelude; what follows it is not looked at.
    ///
    /// # Errors
    /// Too short, or not of this protocol or version.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let AnyPrelude { version, kind, stream, epoch } = Self::parse_any_version(bytes)?;
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        let kind = Kind::from_wire(kind).ok_or(WireError::Kind(kind))?;
        Ok(Self { kind, stream, epoch })
    }

    /// What all versions of the protocol have in common, so that one can tell another that it is another.
    ///
    /// # Errors
    /// Too short, or not of this protocol.
    #[inline]
    pub fn parse_any_version(bytes: &[u8]) -> Result<AnyPrelude, WireError> {
        let Some(head) = bytes.first_chunk::<PRELUDE_LEN>() else {
            return Err(WireError::Short { len: bytes.len(), need: PRELUDE_LEN });
        };
        if [head[0], head[1]] != MAGIC.to_be_bytes() {
            return Err(WireError::Magic);
        }
        let stream = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let epoch = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        Ok(AnyPrelude { version: head[2], kind: head[3], stream, epoch })
    }

    pub(super) fn emit(&self, out: &mut [u8; PRELUDE_LEN]) {
        out[..2].copy_from_slice(&MAGIC.to_be_bytes());
        out[2] = VERSION;
        out[3] = self.kind as u8;
        out[4..8].copy_from_slice(&self.stream.to_be_bytes());
        out[8..12].copy_from_slice(&self.epoch.to_be_bytes());
    }
}

/// What a field of a datagram can be.
pub(super) trait Field: Sized {
    /// Reads it from as many bytes as it has.
    fn read(bytes: &[u8]) -> Self;
    /// Writes it to as many bytes as it has.
    fn write(&self, out: &mut [u8]);
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Field for $type {
            #[inline]
            fn read(bytes: &[u8]) -> Self {
                Self::from_be_bytes(bytes.try_into().expect("split at its size"))
            }

            #[inline]
            fn write(&self, out: &mut [u8]) {
                out.copy_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}
numbers!(u8 u16 u32 u64);

/// Bytes that are no number: keys, messages.
impl<const LEN: usize> Field for [u8; LEN] {
    fn read(bytes: &[u8]) -> Self {
        bytes.try_into().expect("split at its size")
    }

    fn write(&self, out: &mut [u8]) {
        out.copy_from_slice(self);
    }
}

/// Declares a datagram: its fields follow the prelude in order, big-endian, without gaps. One that has a form of its own where it is part of a
/// handshake is declared twice, that form with the flag that tells them apart.
///
/// `FIELDS` lists them with offset and size, so that a test can hold `PROTOCOL.md` against the code.
macro_rules! datagram {
    ($(#[$doc:meta])* $name:ident = $kind:ident $(with $flag:ident)? { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            /// The stream it belongs to.
            pub stream: u32,
            /// The sender's run.
            pub epoch: u32,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// Bytes of the fields, prelude included.
            pub const LEN: usize = $crate::wire::PRELUDE_LEN $(+ size_of::<$type>())*;
            /// Name, offset and size of each field after the prelude.
            pub const FIELDS: &'static [(&'static str, usize, usize)] = &{
                let mut fields = [$((stringify!($field), 0, size_of::<$type>())),*];
                let (mut at, mut i) = ($crate::wire::PRELUDE_LEN, 0);
                while i < fields.len() {
                    fields[i].1 = at;
                    at += fields[i].2;
                    i += 1;
                }
                fields
            };

            /// Reads the fields. Bytes behind them are not looked at.
            ///
            /// # Errors
            /// Too short, another kind of datagram, another protocol or version, unknown flags.
            #[inline]
            pub fn parse(bytes: &[u8]) -> Result<Self, $crate::wire::WireError> {
                let prelude = $crate::wire::Prelude::parse(bytes)?;
                if prelude.kind != $crate::wire::Kind::$kind {
                    return Err($crate::wire::WireError::Kind(prelude.kind as u8));
                }
                let Some(bytes) = bytes.first_chunk::<{ Self::LEN }>() else {
                    return Err($crate::wire::WireError::Short { len: bytes.len(), need: Self::LEN });
                };
                let mut rest = &bytes[$crate::wire::PRELUDE_LEN..];
                $(
                    // The array's length is the sum of these sizes, so each split has its bytes.
                    let (field, tail) = rest.split_at(size_of::<$type>());
                    let $field = <$type as $crate::wire::datagram::Field>::read(field);
                    rest = tail;
                )*
                debug_assert!(rest.is_empty());
                let parsed = Self { stream: prelude.stream, epoch: prelude.epoch, $($field,)* };
                let needed = 0 $(| $crate::wire::Flags::$flag)?;
                let known = $crate::wire::Flags::known(prelude.kind) | needed;
                if parsed.flags & !known != 0 || parsed.flags & needed != needed {
                    return Err($crate::wire::WireError::Flags(parsed.flags));
                }
                Ok(parsed)
            }

            /// The datagram's fields as bytes.
            pub fn emit(&self) -> [u8; Self::LEN] {
                let mut out = [0; Self::LEN];
                self.emit_into(&mut out);
                out
            }

            /// Writes the fields, prelude included.
            #[inline]
            pub fn emit_into(&self, out: &mut [u8; Self::LEN]) {
                let prelude =
                    $crate::wire::Prelude { kind: $crate::wire::Kind::$kind, stream: self.stream, epoch: self.epoch };
                let (head, mut rest) =
                    out.split_first_chunk_mut::<{ $crate::wire::PRELUDE_LEN }>().expect("LEN covers the prelude");
                prelude.emit(head);
                $(
                    let (field, tail) = rest.split_at_mut(size_of::<$type>());
                    $crate::wire::datagram::Field::write(&self.$field, field);
                    rest = tail;
                )*
                debug_assert!(rest.is_empty());
            }
        }
    };
}
pub(super) use datagram;
