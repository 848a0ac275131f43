//! What is said over Socket.IO: opening and closing streams, and the answers.
//!
//! Every message is one JSON object, sent as the only argument of an event whose name is in [`event`]. Unknown fields are
//! ignored, so that either side can grow first.

use std::fmt;

use framewire_transport::{FrameFormat, Key, PixelFormat, setters};
use serde::{Deserialize, Serialize};

pub use framewire_transport::Delivery;

pub use crate::introduction::{Binding, Challenge, Introduction, PROOF_VERSION, Prove, Proven, Role};
pub use crate::report::{CaptureTime, Feedback, PlainFeedback, Statistics, StreamStatistics, Timestamp};
pub use crate::share::{SHARE_PATH_BYTES_MAX, ShareOffer};

/// Names of the Socket.IO events, all in the default namespace `/`.
pub mod event {
    /// Server to a client that has introduced itself: [`Challenge`](super::Challenge).
    pub const CHALLENGE: &str = "challenge";
    /// Client to server, once the server's proof is right: [`Prove`](super::Prove).
    pub const PROVE: &str = "prove";
    /// Server to client, once the client's proof is right: [`Proven`](super::Proven). Where it is wrong, `refused` comes, and the end.
    pub const PROVEN: &str = "proven";
    /// Client to server: an [`Opening`](super::Opening), with a `request` id of the client's choice.
    pub const OPEN: &str = "open";
    /// Server to client: [`Granted`](super::Granted), with the `request` id it answers.
    pub const OPENED: &str = "opened";
    /// Server to client: [`Refused`](super::Refused), with the `request` id it answers.
    pub const REFUSED: &str = "refused";
    /// Client to server: a [`CloseRequest`](super::CloseRequest).
    pub const CLOSE: &str = "close";
    /// Server to client: [`Closed`](super::Closed).
    pub const CLOSED: &str = "closed";
    /// Server to every client: [`Feedback`](super::Feedback), or [`PlainFeedback`](super::PlainFeedback) on the plain wire.
    pub const FEEDBACK: &str = "feedback";
    /// Server to every client: [`Statistics`](super::Statistics); only the newest reaches a slow client.
    pub const STATISTICS: &str = "statistics";
    /// Client to server, and the same object back: proof that the other side lives. Optional for a client.
    pub const HEARTBEAT: &str = "heartbeat";
}

/// The version of the protocol on the data path that this release speaks, as [`OpenRequest::protocol`] and [`Opened::protocol`] say it.
pub const PROTOCOL: u16 = framewire_transport::wire::VERSION as u16;
/// Longest stream name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Longest name of a pixel format, in characters.
pub const PIXEL_CHARS_MAX: usize = 32;
/// Widest and highest frame, in pixels: 2^16, twice what any camera of today gives.
pub const SIDE_PIXELS_MAX: u32 = 65_536;
/// Most metadata of a frame, in bytes.
pub const METADATA_BYTES_MAX: u32 = framewire_transport::frame::METADATA_MAX as u32;

/// How a [`Delivery`] is written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Delivery", rename_all = "lowercase")]
enum DeliveryName {
    Every,
    Latest,
}

/// A client asks to stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OpenRequest {
    /// Version of the protocol on the data path that the client speaks.
    pub protocol: u16,
    /// Id of the stream: random, chosen by the client, and kept over reconnects so that the server knows it again. Who knows it
    /// can send datagrams of the stream, so it is a secret between the two: everyone else is shown another number.
    pub stream: u32,
    /// For people. At most [`NAME_CHARS_MAX`] characters, no control characters; may be empty.
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
    /// Rate the client means to keep, in frames a second, finite and above 0; absent when it is not known or as fast as
    /// possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Whether each frame counts.
    #[serde(with = "DeliveryName")]
    pub delivery: Delivery,
    /// Bytes in a datagram, header included, that the client wants, at least 1; absent for the server's or the path's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_bytes: Option<u32>,
    /// Most bytes of metadata that a frame may have, 0 to 4,096; absent where the client does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_bytes_max: Option<u32>,
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
        }
    }

    setters! {
        name: impl Into<String>,
        frames_per_second: impl Into<Option<f64>>,
        slice_bytes: impl Into<Option<u32>>,
        metadata_bytes_max: impl Into<Option<u32>>,
    }

    /// The format of the stream's frames.
    ///
    /// # Errors
    /// [`Refused`] with reason `bad-request` where there is no such format.
    pub fn format(&self) -> Result<FrameFormat, Refused> {
        let format =
            self.pixel.parse().and_then(|pixel| FrameFormat::with_stride(pixel, self.width, self.height, self.stride));
        format.map_err(|error| Refused::new(reason::BAD_REQUEST, error.to_string()))
    }

    /// Checks the bounds of the fields; whether format, protocol and size of datagrams can be served is for the host to check.
    ///
    /// # Errors
    /// [`Refused`] with reason `bad-request` and the value that is out of range.
    pub fn check(&self) -> Result<(), Refused> {
        let bad = |message: String| Err(Refused::new(reason::BAD_REQUEST, message));
        let name_chars = self.name.chars().count();
        if name_chars > NAME_CHARS_MAX {
            return bad(format!("the name has {name_chars} characters; use at most {NAME_CHARS_MAX}"));
        }
        if self.name.chars().any(char::is_control) {
            return bad(format!("the name {:?} has control characters; leave them out", self.name));
        }
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
        if let Some(rate) = self.frames_per_second
            && !(rate.is_finite() && rate > 0.0)
        {
            return bad(format!("{rate} frames a second cannot be; use a number above 0, or leave it out"));
        }
        if self.slice_bytes == Some(0) {
            return bad("slices of 0 bytes cannot be; leave slice_bytes out for the path's own size".into());
        }
        Ok(())
    }
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

/// What a client sends as [`event::OPEN`]: the request, and what shows that the stream is its own.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Opened {
    /// The stream's datagrams go to this port of the host that the client reached the server at.
    pub fn new(stream: u32, udp_port: u16) -> Self {
        Self { stream, udp_host: None, udp_port, protocol: PROTOCOL, share: None, key: None }
    }

    setters! {
        udp_host: impl Into<Option<String>>,
        share: impl Into<Option<ShareOffer>>,
        key: impl Into<Option<Key>>,
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

/// Something asked for was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
#[error("{message} ({reason})")]
pub struct Refused {
    /// For programs: a short code that stays the same; those of this crate are in [`reason`].
    pub reason: String,
    /// For people: what is wrong, with the value, and what to do.
    pub message: String,
}

impl Refused {
    /// A refusal of a code for programs and a message for people.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }

    /// Whether the same may be granted later, without anything being changed at this end: others have the places for now. A
    /// [`SignalClient`](crate::SignalClient) asks again then.
    pub fn is_for_now(&self) -> bool {
        reason::FOR_NOW.contains(&self.reason.as_str())
    }

    /// Whether what answered is not the server that is meant, or cannot be known as that one, so that it was given nothing. Another may answer
    /// in a server's place for a while: one that was the right one before may well be so again.
    pub fn is_of_another(&self) -> bool {
        reason::OF_ANOTHER.contains(&self.reason.as_str())
    }
}

/// Codes in [`Refused::reason`] that this crate uses; a host adds its own.
pub mod reason {
    /// The message is not of the form or in the range that it must be.
    pub const BAD_REQUEST: &str = "bad-request";
    /// The client has 16 streams open, or its address 64, or 4 requests of the client are under way: the most that each may have.
    pub const TOO_MANY: &str = "too-many";
    /// The stream is another client's: it may be closed only over the connection that opened it, and opened again there or by who
    /// shows its [`Resume`](super::Resume).
    pub const NOT_YOURS: &str = "not-yours";
    /// The server speaks the plain wire, on which nothing is opened.
    pub const PLAIN_WIRE: &str = "plain-wire";
    /// The server failed; its log says how.
    pub const INTERNAL: &str = "internal";
    /// The server asks for a token, and the client gave no proof of one.
    pub const TOKEN_REQUIRED: &str = "token-required";
    /// The client has a token, and the server asks for none, so that nothing would prove it.
    pub const NO_TOKEN_HERE: &str = "no-token-here";
    /// The client proves its token in a version that the server does not speak.
    pub const PROOF_VERSION: &str = "proof-version";
    /// What proves the token is not of the form it must be.
    pub const PROOF_MALFORMED: &str = "proof-malformed";
    /// The proof was made with another token.
    pub const PROOF_WRONG: &str = "proof-wrong";
    /// The proof did not come within 5 s.
    pub const PROOF_LATE: &str = "proof-late";
    /// Too many proofs of the client's address were wrong of late.
    pub const TOO_MANY_PROOFS: &str = "too-many-proofs";
    /// The client asks that proofs name the server's key, and the server speaks no TLS itself.
    pub const NO_TLS_HERE: &str = "no-tls-here";
    /// The client has proved to be one that looks, or the server takes no others.
    pub const VIEW_ONLY: &str = "view-only";
    /// The stream's key may not travel over a connection that others can read.
    pub const KEY_OVER_PLAIN: &str = "key-over-plain";
    /// Said by a client itself: the server did not prove that it has the client's token.
    pub const SERVER_UNPROVEN: &str = "server-unproven";
    /// Said by a client itself: the server's key is not the one of the pin.
    pub const WRONG_PIN: &str = "wrong-pin";
    /// Said by a client itself: the server's certificate is not trusted.
    pub const NOT_TRUSTED: &str = "not-trusted";
    /// Said by a client itself, which has a secret: the server speaks no TLS.
    pub const SERVER_IS_PLAIN: &str = "server-is-plain";
    /// Said by a client itself, which has no secret: the server speaks only TLS.
    pub const SERVER_IS_PROTECTED: &str = "server-is-protected";
    /// The server has as many clients as it takes.
    pub const SERVER_FULL: &str = "server-full";
    /// The server refused the connect without a code that this crate knows how to read.
    pub const CONNECT_REFUSED: &str = "connect-refused";

    /// Those that say "later": places that others have, and leave.
    pub(super) const FOR_NOW: [&str; 3] = [TOO_MANY, SERVER_FULL, TOO_MANY_PROOFS];
    /// Those that a client says of who answers in the server's place.
    pub(super) const OF_ANOTHER: [&str; 4] = [SERVER_UNPROVEN, WRONG_PIN, NOT_TRUSTED, SERVER_IS_PLAIN];
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

/// A message with the id by which its answer names it. Messages of one socket are handled concurrently, so answers may
/// come in another order than requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbered<T> {
    /// The client's id of the request; absent when the client does not need one, as with an acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// What is said.
    #[serde(flatten)]
    pub body: T,
}

/// The object that goes to and fro in [`event::HEARTBEAT`].
#[cfg(any(feature = "client", feature = "server"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    pub(crate) beat: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request() -> OpenRequest {
        OpenRequest {
            protocol: 1,
            stream: 7,
            name: "bench".into(),
            pixel: "gray8".into(),
            width: 640,
            height: 480,
            stride: 640,
            frames_per_second: None,
            delivery: Delivery::Every,
            slice_bytes: None,
            metadata_bytes_max: None,
        }
    }

    #[test]
    fn an_open_request_reads_back_as_it_was_written() {
        let numbered = Numbered { request: Some(3), body: request() };
        let value = serde_json::to_value(&numbered).unwrap();
        assert_eq!(
            value,
            json!({"request": 3, "protocol": 1, "stream": 7, "name": "bench", "pixel": "gray8", "width": 640,
                "height": 480, "stride": 640, "delivery": "every"})
        );
        assert_eq!(serde_json::from_value::<Numbered<OpenRequest>>(value).unwrap(), numbered);
    }

    #[test]
    fn a_request_needs_neither_a_request_id_nor_a_name_and_may_have_fields_of_a_later_version() {
        let value = json!({"protocol": 1, "stream": 7, "pixel": "gray8", "width": 640, "height": 480, "stride": 640,
            "delivery": "latest", "colour_range": "full"});
        let read: Numbered<OpenRequest> = serde_json::from_value(value).unwrap();
        assert_eq!((read.request, read.body.name.as_str()), (None, ""));
        assert_eq!(read.body.delivery, Delivery::Latest);
    }

    #[test]
    fn replies_say_which_they_are() {
        let opened = Opened { stream: 7, udp_host: None, udp_port: 9, protocol: 1, share: None, key: None };
        let granted = Granted { opened, resume: Some(Resume("s".into())) };
        let value = serde_json::to_value(Numbered { request: Some(3), body: OpenReply::Opened(granted) }).unwrap();
        let written =
            json!({"request": 3, "reply": "opened", "stream": 7, "udp_port": 9, "protocol": 1, "resume": "s"});
        assert_eq!(value, written);
        let OpenReply::Opened(read) = serde_json::from_value(written).unwrap() else { panic!("it is opened") };
        assert_eq!((read.opened.udp_port, read.resume.unwrap().secret()), (9, "s"));
        let refused: OpenReply =
            serde_json::from_value(json!({"reply": "refused", "reason": "r", "message": "m"})).unwrap();
        let OpenReply::Refused(refused) = refused else { panic!("it is refused") };
        assert_eq!(refused, Refused::new("r", "m"));
    }

    #[test]
    fn a_streams_key_is_read_as_it_is_written_and_never_printed() {
        let key = Key::from_bytes([7; 32]);
        let opened = Opened::new(7, 9).key(key.clone());
        let mut written = serde_json::to_value(&opened).unwrap();
        assert_eq!(written["key"], key.to_text());
        assert_eq!(serde_json::from_value::<Opened>(written.clone()).unwrap(), opened);
        assert!(!format!("{opened:?}").contains(&key.to_text()), "{opened:?}");
        written["key"] = json!(&key.to_text()[1..]);
        let error = serde_json::from_value::<Opened>(written.clone()).unwrap_err().to_string();
        assert!(error.contains("43 characters") && !error.contains(&key.to_text()[1..9]), "{error}");
        written["key"] = json!(null);
        assert_eq!(serde_json::from_value::<Opened>(written).unwrap().key, None);
    }

    #[test]
    fn a_secret_to_resume_with_is_long_enough_and_never_printed() {
        let secret = Resume::random().unwrap();
        assert!(secret.secret() != Resume::random().unwrap().secret());
        #[cfg(feature = "server")]
        assert!(secret.is(&secret) && !secret.is(&Resume::random().unwrap()));
        assert_eq!((secret.secret().len(), format!("{secret:?}").as_str()), (32, "Resume(…)"));
        let opening = |resume: &str| Opening { request: request(), resume: Some(Resume(resume.into())) };
        opening(secret.secret()).check().unwrap();
        for bad in ["", "short", &"x".repeat(97), "a space in what would be long enough"] {
            let refused = opening(bad).check().unwrap_err();
            assert_eq!(refused.reason, reason::BAD_REQUEST);
            assert!(refused.message.contains("'resume'"), "{refused}");
        }
    }

    #[test]
    fn a_pixel_format_goes_by_any_of_its_names_and_one_that_is_not_known_is_answered_with_the_nearest() {
        for name in ["gray8", "Mono8", "GREY", "mono8", "0x01080001"] {
            let request = OpenRequest { pixel: name.into(), ..request() };
            request.check().unwrap();
            assert_eq!(request.format().unwrap().pixel().name(), "gray8", "{name}");
        }
        let refused = OpenRequest { pixel: "grey9".into(), ..request() }.format().unwrap_err();
        assert_eq!(refused.reason, reason::BAD_REQUEST);
        assert!(refused.message.contains("'grey9'") && refused.message.contains("did you mean"), "{refused}");
        let long = OpenRequest { pixel: "x".repeat(1_000_000), ..request() };
        for refused in [long.check().unwrap_err(), long.format().unwrap_err()] {
            assert!(refused.message.len() < 1_000, "{} bytes of answer", refused.message.len());
        }
    }

    #[test]
    fn what_is_out_of_range_is_named_in_the_refusal() {
        let bytes = OpenRequest { pixel: "bytes".into(), height: 1, ..request() };
        let cases: [(&str, OpenRequest); 13] = [
            ("4097 bytes of metadata", OpenRequest { metadata_bytes_max: Some(4_097), ..request() }),
            ("height 480", OpenRequest { height: 480, ..bytes.clone() }),
            ("stride 640", OpenRequest { width: 641, ..bytes.clone() }),
            ("width 0", OpenRequest { width: 0, stride: 0, ..bytes.clone() }),
            ("65 characters", OpenRequest { name: "x".repeat(65), ..request() }),
            ("control characters", OpenRequest { name: "a\u{7}b".into(), ..request() }),
            ("pixel format", OpenRequest { pixel: String::new(), ..request() }),
            ("pixel format", OpenRequest { pixel: "a\u{7}b".into(), ..request() }),
            ("a width of 0 pixels", OpenRequest { width: 0, ..request() }),
            ("a height of 65537 pixels", OpenRequest { height: 65_537, ..request() }),
            ("a stride of 0 bytes", OpenRequest { stride: 0, ..request() }),
            ("NaN frames a second", OpenRequest { frames_per_second: Some(f64::NAN), ..request() }),
            ("slices of 0 bytes", OpenRequest { slice_bytes: Some(0), ..request() }),
        ];
        for (said, request) in cases {
            let refused = request.check().unwrap_err();
            assert_eq!(refused.reason, reason::BAD_REQUEST);
            assert!(refused.message.contains(said), "{:?} does not say {said:?}", refused.message);
        }
        request().check().unwrap();
        let large = 5_000_000;
        OpenRequest { width: large, stride: large, metadata_bytes_max: Some(4_096), ..bytes }.check().unwrap();
        OpenRequest { name: "ü".repeat(64), frames_per_second: Some(59.94), ..request() }.check().unwrap();
    }
}
