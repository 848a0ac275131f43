//! What is reported while frames flow: feedback of each frame, and statistics.

use std::fmt;
use std::time::SystemTime;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in UTC, to the millisecond where it is written down. In JSON a string: `2026-11-22T07:00:22.123Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// This moment, by the system's clock.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now())
    }

    /// The moment this many milliseconds after 1970-01-01 00:00 UTC. What lies beyond the year 9999 or before -9999
    /// becomes that end of the range.
    pub fn from_unix_millis(millis: i64) -> Self {
        let end = if millis < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        Self(jiff::Timestamp::from_millisecond(millis).unwrap_or(end))
    }

    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub fn unix_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// As C's `asctime` and Python's `time.ctime()` write it in the zone given: `Sun Nov 22 07:00:22 2026`, the day of the
    /// month padded with a space.
    #[cfg(feature = "server")]
    pub(crate) fn ctime(self, zone: &jiff::tz::TimeZone) -> String {
        self.0.to_zoned(zone.clone()).strftime("%a %b %e %H:%M:%S %Y").to_string()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| D::Error::custom(format!("{text:?} is not an ISO 8601 time: {error}")))
    }
}

/// When a frame was captured, in UTC to the nanosecond. In JSON a string: `2026-11-22T07:00:22.123456789Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaptureTime(jiff::Timestamp);

impl CaptureTime {
    /// This moment. `None` for one that cannot be written with four digits of a year.
    pub fn new(moment: SystemTime) -> Option<Self> {
        let moment = jiff::Timestamp::try_from(moment).ok()?;
        let begin = jiff::Timestamp::from_second(YEAR_0).ok()?;
        (moment >= begin).then_some(Self(moment))
    }

    /// This moment.
    pub fn time(self) -> SystemTime {
        self.0.into()
    }
}

/// Seconds from the beginning of 1970 to that of the year 0: RFC 3339 has no earlier ones.
const YEAR_0: i64 = -62_167_219_200;

impl fmt::Display for CaptureTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}", self.0)
    }
}

impl Serialize for CaptureTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CaptureTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(|Timestamp(moment)| Self(moment))
    }
}

/// A frame arrived, or several did and this stands for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Feedback {
    /// When the newest frame was complete, in UTC.
    pub timestamp: Timestamp,
    /// Bytes of the newest frame's pixels, as received; of a `bytes` stream, of its payload.
    pub frame_size: u64,
    /// Bytes of the newest frame's metadata, 0 where it has none; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_bytes: Option<u32>,
    /// When the newest frame was captured, in UTC by its sender's clock, or as its file says; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_utc: Option<CaptureTime>,
    /// By how much [`captured_utc`](Self::captured_utc) may be wrong, estimated, in milliseconds; absent where nobody can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_utc_error_ms: Option<f64>,
    /// The stream it belongs to: its id for the client that opened it, and for everyone else the number that it is shown by.
    pub stream: u32,
    /// Number of the newest frame, counted by its sender.
    pub frame: u64,
    /// From capture to completion of the newest frame, in milliseconds; finite, for JSON has no other numbers. Absent while the
    /// server does not know how the two machines' clocks differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Frames delivered on this stream so far.
    pub frames_delivered: u64,
    /// Frames lost on this stream so far: on the wire, incomplete, or without a slot; not those that the source skipped.
    pub frames_lost: u64,
    /// Of the frames delivered, those of which slices had to be sent again.
    #[serde(default)]
    pub frames_repaired: u64,
    /// Of the frames delivered, those of which slices were restored from parity.
    #[serde(default)]
    pub frames_restored: u64,
    /// Bytes of the newest frame that did not come in time, and are zeroes; 0 where it is complete.
    #[serde(default)]
    pub missing_bytes: u64,
    /// Datagrams of this stream that the server's own socket buffer had no room for: lost there, not on the wire.
    #[serde(default)]
    pub socket_drops: u64,
    /// Frames of this stream so far that the server should have recorded and did not, as its disk is full, or gone, or too slow;
    /// each of its sinks counts for itself. What this very frame comes to is not in it: an acknowledgement waits for no disk.
    #[serde(default)]
    pub frames_unrecorded: u64,
    /// Frames this event stands for, at least 1; more than 1 above the set rate.
    #[serde(default = "one")]
    pub coalesced: u64,
}

impl Feedback {
    /// That this frame is complete now, with nothing else to tell; a program that knows more sets the fields.
    pub fn new(stream: u32, frame: u64, frame_size: u64) -> Self {
        Self {
            timestamp: Timestamp::now(),
            frame_size,
            metadata_bytes: None,
            captured_utc: None,
            captured_utc_error_ms: None,
            stream,
            frame,
            latency_ms: None,
            frames_delivered: 0,
            frames_lost: 0,
            frames_repaired: 0,
            frames_restored: 0,
            missing_bytes: 0,
            socket_drops: 0,
            frames_unrecorded: 0,
            coalesced: 1,
        }
    }
}

fn one() -> u64 {
    1
}

/// A datagram arrived on the plain wire, the headerless datagrams of the original system. In JSON exactly these two keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainFeedback {
    /// Local time of the server in the form of C's `ctime`: `Sun Nov 22 07:00:22 2026`.
    pub timestamp: String,
    /// Bytes of the datagram.
    pub frame_size: u64,
}

/// How the server does, for a page or program that watches it. Each replaces the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Statistics {
    /// When this was counted, in UTC.
    pub timestamp: Timestamp,
    /// One entry an open stream.
    pub streams: Vec<StreamStatistics>,
}

impl Statistics {
    /// How these streams do, as of now.
    pub fn new(streams: Vec<StreamStatistics>) -> Self {
        Self { timestamp: Timestamp::now(), streams }
    }
}

/// How a stream does. Totals count from its opening; rates are of the last interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamStatistics {
    /// The number that the stream is shown by; its id is a secret of its client.
    pub stream: u32,
    /// Its name, as its client gave it.
    pub name: String,
    /// Frames delivered in total.
    pub frames_delivered: u64,
    /// Frames lost in total, for whatever cause.
    pub frames_lost: u64,
    /// Bytes delivered in total.
    pub bytes: u64,
    /// Frames a second.
    pub frames_per_second: f64,
    /// Gigabytes (10^9 bytes) a second.
    pub gigabytes_per_second: f64,
    /// Median of the time from capture to completion, in milliseconds; absent when no frame came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms_p50: Option<f64>,
    /// The same at the 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms_p99: Option<f64>,
}

impl StreamStatistics {
    /// A stream, by its id, of which nothing has come; a program that knows more sets the fields.
    pub fn new(stream: u32, name: impl Into<String>) -> Self {
        Self {
            stream,
            name: name.into(),
            frames_delivered: 0,
            frames_lost: 0,
            bytes: 0,
            frames_per_second: 0.0,
            gigabytes_per_second: 0.0,
            latency_ms_p50: None,
            latency_ms_p99: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn feedback_writes_its_time_in_utc_with_milliseconds_and_reads_it_back() {
        let feedback = Feedback {
            timestamp: Timestamp::from_unix_millis(1_795_330_822_007),
            frame_size: 2_073_600,
            metadata_bytes: Some(200),
            captured_utc: CaptureTime::new(UNIX_EPOCH + Duration::from_nanos(1_795_330_822_006_123_400)),
            captured_utc_error_ms: Some(0.25),
            stream: 7,
            frame: 41,
            latency_ms: Some(0.75),
            frames_delivered: 40,
            frames_lost: 2,
            frames_repaired: 3,
            frames_restored: 1,
            missing_bytes: 0,
            socket_drops: 4,
            frames_unrecorded: 5,
            coalesced: 1,
        };
        let value = serde_json::to_value(feedback).unwrap();
        assert_eq!(
            value,
            json!({"timestamp": "2026-11-22T07:00:22.007Z", "frame_size": 2_073_600, "metadata_bytes": 200,
                "captured_utc": "2026-11-22T07:00:22.006123400Z", "captured_utc_error_ms": 0.25, "stream": 7, "frame": 41,
                "latency_ms": 0.75, "frames_delivered": 40, "frames_lost": 2, "frames_repaired": 3,
                "frames_restored": 1, "missing_bytes": 0, "socket_drops": 4, "frames_unrecorded": 5, "coalesced": 1})
        );
        assert_eq!(serde_json::from_value::<Feedback>(value).unwrap(), feedback);
    }

    #[test]
    fn a_capture_time_keeps_every_nanosecond_and_one_that_cannot_be_written_is_none() {
        let moment = UNIX_EPOCH + Duration::new(1_795_330_822, 1);
        let time = CaptureTime::new(moment).unwrap();
        assert_eq!((time.to_string().as_str(), time.time()), ("2026-11-22T07:00:22.000000001Z", moment));
        assert_eq!(CaptureTime::new(UNIX_EPOCH).unwrap().to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(CaptureTime::new(UNIX_EPOCH - Duration::from_secs(63_000_000_000)), None);
        assert_eq!(CaptureTime::new(UNIX_EPOCH + Duration::from_secs(1 << 50)), None);
    }

    #[test]
    fn what_is_not_known_of_a_frame_is_absent_and_not_zero() {
        let value = json!({"timestamp": "2026-11-22T07:00:22.007Z", "frame_size": 1, "stream": 7, "frame": 0,
            "frames_delivered": 1, "frames_lost": 0});
        let feedback = serde_json::from_value::<Feedback>(value).unwrap();
        assert_eq!(feedback.latency_ms, None);
        for key in ["latency_ms", "metadata_bytes", "captured_utc", "captured_utc_error_ms"] {
            assert!(serde_json::to_value(feedback).unwrap().get(key).is_none(), "{key}");
        }
    }

    #[test]
    fn a_whole_second_is_written_with_its_milliseconds_too() {
        assert_eq!(Timestamp::from_unix_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_time_that_is_none_is_an_error_with_the_text() {
        let error = serde_json::from_value::<Timestamp>(json!("yesterday")).unwrap_err();
        assert!(error.to_string().contains("\"yesterday\" is not an ISO 8601 time"), "{error}");
    }

    #[cfg(feature = "server")]
    #[test]
    fn the_plain_time_is_that_of_ctime() {
        use jiff::tz::TimeZone;
        let moment = Timestamp::from_unix_millis(1_795_330_822_007);
        assert_eq!(moment.ctime(&TimeZone::UTC), "Sun Nov 22 07:00:22 2026");
        let first_of_november = Timestamp::from_unix_millis(1_793_491_200_000);
        assert_eq!(first_of_november.ctime(&TimeZone::UTC), "Sun Nov  1 00:00:00 2026");
    }

    #[test]
    fn plain_feedback_has_two_keys_and_no_more() {
        let plain = PlainFeedback { timestamp: "Sun Nov 22 07:00:22 2026".into(), frame_size: 65_507 };
        let text = serde_json::to_string(&plain).unwrap();
        assert_eq!(text, r#"{"timestamp":"Sun Nov 22 07:00:22 2026","frame_size":65507}"#);
    }

    #[test]
    fn times_out_of_range_become_the_end_of_the_range() {
        assert!(Timestamp::from_unix_millis(i64::MAX) > Timestamp::now());
        assert!(Timestamp::from_unix_millis(i64::MIN) < Timestamp::from_unix_millis(0));
    }
}
