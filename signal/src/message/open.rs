//! Opening a stream, and what the server answers.

use std::fmt;

use framewire_transport::{Delivery, FrameFormat, Key, PixelFormat, setters};
use serde::{Deserialize, Serialize};

use super::{
    Grant, METADATA_BYTES_MAX, PIXEL_CHARS_MAX, PROTOCOL, Refused, SIDE_PIXELS_MAX, ShareOffer, bad, check_name,
    check_rate, check_slice_bytes, reason,
};

/// Highest [`OpenRequest::priority`].
pub const PRIORITY_MAX: u8 = 9;
/// The [`OpenRequest::priority`] of a stream that says none.
pub const PRIORITY_DEFAULT: u8 = 5;

/// A client asks to stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OpenRequest {
    /// Version of the protocol on the data path that the client speaks.
    pub protocol: u16,
    /// Id of the stream: random, chosen by the client, and kept over reconnects so that the server knows it again. Who knows it
    /// can send datagrams of the stream, so it is a secret between the two: everyone else is shown another number.
    pub stream: u32,
    /// For people. At most [`NAME_CHARS_MAX`](super::NAME_CHARS_MAX) characters, no control characters and no `@`; may be empty.
    #[serde(default)]
    pub name: String,
    /// Pixel format as the transport names it, such as `gray8` or `bgr24`, or by any other of its names: 1 to [`PIXEL_CHARS_MAX`]
    /// printable ASCII characters.
    pub pixel: String,
    /// Pixels in a row, 1 to [`SIDE_PIXELS_MAX`]. Of a `bytes` stream the most bytes that a frame may have, 1 to 4,294,967,295.
    pub width: u32,
    /// Rows, 1 to [`SIDE_PIXELS_MAX`]; 1 for a `bytes` stream.
    pub height: u32,
    /// Bytes from one row to the next in the first plane, at least 1.
    pub stride: u32,
    /// Rate the client means to keep, in frames a second, finite and at least [`FRAMES_PER_SECOND_MIN`](super::FRAMES_PER_SECOND_MIN); absent when it is not
    /// known or as fast as possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Whether each frame counts.
    #[serde(with = "super::DeliveryName")]
    pub delivery: Delivery,
    /// Bytes in a datagram, header included, that the client wants, at least 1; absent for the server's or the path's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_bytes: Option<u32>,
    /// Most bytes of metadata that a frame may have, 0 to 4,096; absent where the client does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_bytes_max: Option<u32>,
    /// Whether the client sends less while nobody wants the stream, as [`Idle`](super::Idle) tells it. Absent for false; never with `every`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_demand: bool,
    /// Which streams give way where a link is too small for all, lower ones first: 0 to [`PRIORITY_MAX`]. Absent for [`PRIORITY_DEFAULT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// When the stream began to be at this server, in nanoseconds of UTC since 1970: when the client's program started, or when it moved there from
    /// another server. Of two streams of one name the newer one has it. Absent where the client does not say; such a stream has its name beside others,
    /// as they do beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
}

impl OpenRequest {
    /// A stream of frames of this format, without a name, whose rate is not known and whose slices are what the path carries. `stream` is a
    /// random id, which the [`Sender`](framewire_transport::Sender) of its datagrams has, too
    /// ([`SenderConfig::stream`](framewire_transport::SenderConfig::stream)).
    pub fn new(stream: u32, format: &FrameFormat, delivery: Delivery) -> Self {
        Self {
            protocol: PROTOCOL,
            stream,
            name: String::new(),
            pixel: format.pixel().name().to_owned(),
            width: format.width(),
            height: format.height(),
            stride: format.stride(),
            frames_per_second: None,
            delivery,
            slice_bytes: None,
            metadata_bytes_max: None,
            on_demand: false,
            priority: None,
            incarnation: None,
        }
    }

    setters! {
        name: impl Into<String>,
        frames_per_second: impl Into<Option<f64>>,
        slice_bytes: impl Into<Option<u32>>,
        metadata_bytes_max: impl Into<Option<u32>>,
        on_demand: bool,
        priority: impl Into<Option<u8>>,
        incarnation: impl Into<Option<u64>>,
    }

    /// The format of the stream's frames.
    ///
    /// # Errors
    /// [`Refused`] with reason `bad-request` where there is no such format.
    pub fn format(&self) -> Result<FrameFormat, Refused> {
        read_format(&self.pixel, self.width, self.height, self.stride)
    }

    /// Checks the bounds of the fields; whether format, protocol and size of datagrams can be served is for the host to check.
    ///
    /// # Errors
    /// [`Refused`] with reason `bad-request` and the value that is out of range.
    pub fn check(&self) -> Result<(), Refused> {
        check_name(&self.name)?;
        let pixel_fits = (1..=PIXEL_CHARS_MAX).contains(&self.pixel.len());
        if !pixel_fits || !self.pixel.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            let shown: String = self.pixel.chars().take(PIXEL_CHARS_MAX).collect();
            return bad(format!("{shown:?} is not the name of a pixel format; use one such as gray8 or bgr24"));
        }
        let is_bytes = self.pixel.parse::<PixelFormat>().is_ok_and(|pixel| pixel == PixelFormat::Bytes);
        if is_bytes && (self.width == 0 || self.height != 1 || self.stride != self.width) {
            return bad(format!(
                "a bytes stream of width {}, height {} and stride {} cannot be; width and stride are the most bytes that a frame \
                 may have, and the height is 1",
                self.width, self.height, self.stride
            ));
        }
        if let Some(bytes) = self.metadata_bytes_max.filter(|bytes| *bytes > METADATA_BYTES_MAX) {
            return bad(format!("{bytes} bytes of metadata a frame cannot be; use at most {METADATA_BYTES_MAX}"));
        }
        for (what, pixels) in [("width", self.width), ("height", self.height)] {
            if !is_bytes && !(1..=SIDE_PIXELS_MAX).contains(&pixels) {
                return bad(format!("a {what} of {pixels} pixels cannot be; use 1 to {SIDE_PIXELS_MAX}"));
            }
        }
        if self.stride == 0 {
            return bad("a stride of 0 bytes cannot be; use at least the bytes of one row".into());
        }
        if let Some(priority) = self.priority.filter(|priority| *priority > PRIORITY_MAX) {
            return bad(format!("a priority of {priority} cannot be; use 0 to {PRIORITY_MAX}"));
        }
        if self.on_demand && self.delivery == Delivery::Every {
            return bad("a stream of which every frame counts cannot be sent on demand; use --delivery latest, or leave on_demand out".into());
        }
        check_rate(self.frames_per_second)?;
        check_slice_bytes(self.slice_bytes)
    }
}

/// What a client sends as [`event::OPEN`](super::event::OPEN): the request, and what shows that the stream is its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Opening {
    /// What is asked for.
    #[serde(flatten)]
    pub request: OpenRequest,
    /// What [`Granted::resume`] was, where this client opened the stream over an earlier connection; a client may also choose
    /// it with its first open. Over the connection that opened the stream none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

impl Opening {
    /// Checks what can be checked without knowing formats or wires.
    ///
    /// # Errors
    /// As [`OpenRequest::check`], and for a secret that is none.
    pub fn check(&self) -> Result<(), Refused> {
        self.request.check()?;
        self.resume.as_ref().map_or(Ok(()), Resume::check)
    }
}

/// The server's answer to an [`Opening`].
///
/// In JSON the field `reply` says which: `"opened"` or `"refused"`. It goes out as the event of that name, and as the
/// acknowledgement where the client asked for one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "lowercase")]
#[non_exhaustive]
pub enum OpenReply {
    /// The data path is ready.
    Opened(Granted),
    /// It is not.
    Refused(Refused),
}

/// A stream is open: where its datagrams go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Opened {
    /// The stream's id, as asked for.
    pub stream: u32,
    /// Host the datagrams go to; absent for the host that the client reached this server at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_host: Option<String>,
    /// UDP port the datagrams go to.
    pub udp_port: u16,
    /// Version of the protocol on the data path that the server will speak.
    pub protocol: u16,
    /// Where a client on the server's machine may send them by shared memory instead; absent where the server shares nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::share::read_offer")]
    pub share: Option<ShareOffer>,
    /// The key under which its datagrams are encrypted, 43 characters of base64url in JSON; absent where they go plainly. A secret between the
    /// server and this client: a [`SignalServer`](crate::SignalServer) sends one over TLS alone.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::stream_key")]
    pub key: Option<Key>,
    /// How much of a link the stream has; absent where the server keeps no account of it. [`event::GRANT`](super::event::GRANT) changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
}

impl Opened {
    /// The stream's datagrams go to this port of the host that the client reached the server at.
    pub fn new(stream: u32, udp_port: u16) -> Self {
        Self { stream, udp_host: None, udp_port, protocol: PROTOCOL, share: None, key: None, grant: None }
    }

    setters! {
        udp_host: impl Into<Option<String>>,
        share: impl Into<Option<ShareOffer>>,
        key: impl Into<Option<Key>>,
        grant: impl Into<Option<Grant>>,
    }
}

/// A stream is open for this client alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Granted {
    /// Where its datagrams go.
    #[serde(flatten)]
    pub opened: Opened,
    /// What another `open` of the stream must show over another connection. A server of another make may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// What a client shows to go on with a stream that it opened before: a secret that is nobody else's, 22 to 96 ASCII
/// letters, digits, `-` and `_`, chosen by the client or the server. Neither printed nor logged.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resume(String);

/// Characters of a [`Resume`]: those of 16 to 48 bytes, in hexadecimal or base64url.
const RESUME_CHARS: std::ops::RangeInclusive<usize> = 22..=96;

impl Resume {
    /// A new secret of 128 bits.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        crate::auth::fill_random(&mut bytes)?;
        Ok(Self(crate::auth::to_hex(&bytes)))
    }

    /// The secret, for who sends it.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Whether both are the same secret, in a time that does not tell where they differ.
    #[cfg(feature = "server")]
    pub(crate) fn is(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    fn check(&self) -> Result<(), Refused> {
        let fits = RESUME_CHARS.contains(&self.0.len());
        if fits && self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Ok(());
        }
        let message = format!(
            "'resume' must be {} to {} characters of hexadecimal or base64url; leave it out of a stream's first open, and \
             show what 'opened' returned in those after it",
            RESUME_CHARS.start(),
            RESUME_CHARS.end()
        );
        Err(Refused::new(reason::BAD_REQUEST, message))
    }
}

impl fmt::Debug for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resume(…)")
    }
}

/// A client ends a stream of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CloseRequest {
    /// The stream's id.
    pub stream: u32,
}

/// A stream ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Closed {
    /// The stream's id.
    pub stream: u32,
    /// For people: why.
    pub message: String,
}

/// The format of frames as a message says it.
pub(super) fn read_format(pixel: &str, width: u32, height: u32, stride: u32) -> Result<FrameFormat, Refused> {
    let format = pixel.parse().and_then(|pixel| FrameFormat::with_stride(pixel, width, height, stride));
    format.map_err(|error| Refused::new(reason::BAD_REQUEST, error.to_string()))
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
