//! Flags of the client: what is sent, and how.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, ValueEnum};
use framewire_capture::{FrameRate, RawFormat, SourceSpec};
use framewire_process::address::Address;
use framewire_process::exit::CODES;
use framewire_process::times::duration;
use framewire_signal::message::NAME_CHARS_MAX;
use framewire_transport::{Bitrate, Fec, PathChoice, SliceSize};
use framewire_transport::{Delivery, PixelFormat};

use super::common::{CommonArgs, delivery};
use crate::build;

/// How fast frames are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As fast as the source says.
    Source,
    /// As fast as they can be had and sent.
    Max,
    /// This many a second.
    Rate(FrameRate),
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "source" => Ok(Self::Source),
            "max" => Ok(Self::Max),
            rate => rate.parse().map(Self::Rate).map_err(|error| format!("{error}; or write source or max")),
        }
    }
}

/// What a client does while nobody wants its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnDemand {
    /// It sends a picture now and then.
    Throttle,
    /// It closes the device.
    Release,
}

impl OnDemand {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Release => "release",
        }
    }
}

/// Sends a video stream.
#[derive(Debug, Clone, Parser)]
#[command(name = "framewire-client", version, long_version = build::long_version(), max_term_width = 110, after_help = CODES)]
pub struct ClientArgs {
    /// Common flags.
    #[command(flatten)]
    pub common: CommonArgs,
    /// The server's Socket.IO address; behind a proxy with the path that it has the server at, such as http://proxy/cams. Given several times,
    /// frames go to all of them: in latest each has the newest, in every each has all while it is there, and the source waits for the slowest.
    /// A,B is A, and B where A is gone; auto is those that are found on this network, in turn. One server of a cluster is it, and where it is gone
    /// another of the cluster that it has told of
    #[arg(long, value_name = "URL|auto", default_value = "http://127.0.0.1:8080", env = "FRAMEWIRE_SERVER")]
    pub server: Vec<String>,
    /// Where frames go, whatever the server says; :PORT for that port of the host that answers at --server (framed wire); by
    /// default what the server says, and on the plain wire 127.0.0.1:12345
    #[arg(long, value_name = "HOST:PORT", env = "FRAMEWIRE_UDP")]
    pub udp: Option<Address>,
    /// How long the server may take to answer at first, such as 10s or 2min; by default it is waited for without end
    #[arg(long, value_name = "TIME", value_parser = duration, env = "FRAMEWIRE_CONNECT_TIMEOUT")]
    pub connect_timeout: Option<Duration>,
    /// Join a server by the line that it prints at its start: - to paste it, or a file that has it; --server is not looked at. Several times,
    /// and with commas, as --server
    // A variable that held the line itself would be seen: its name says that it holds a file's.
    #[arg(long, value_name = "-|FILE", env = "FRAMEWIRE_JOIN_FILE")]
    pub join: Vec<PathBuf>,
    /// A file of certificates, PEM, of which one has signed the server's, or is it, in place of those that this machine trusts
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_CA")]
    pub ca: Option<PathBuf>,
    /// Send nothing that is not protected, on loopback, too
    #[arg(long, env = "FRAMEWIRE_PROTECT")]
    pub protect: bool,
    /// Stream although nothing protects it: with a token to a server that speaks no TLS, and on the plain wire to another machine
    #[arg(long, env = "FRAMEWIRE_INSECURE")]
    pub insecure: bool,
    /// While nobody wants the stream (no sink, reader, watcher or page): throttle (a picture a second, or one of 120 where that is less) or
    /// release (the device is closed, and opened again when somebody does); latest and live sources only. By default all frames are sent
    #[arg(long, value_enum, value_name = "throttle|release", hide_possible_values = true, env = "FRAMEWIRE_ON_DEMAND")]
    pub on_demand: Option<OnDemand>,
    /// Which streams give way where a server's link is too small for all: 0 first, 9 last; by default 5
    #[arg(long, value_name = "0..9", value_parser = clap::value_parser!(u8).range(0..=9), env = "FRAMEWIRE_PRIORITY")]
    pub priority: Option<u8>,
    /// What is sent, and how.
    #[command(flatten)]
    pub stream: StreamArgs,
    /// Print each acknowledgement; twice, everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// A file's name is any bytes.
fn source_parser() -> impl TypedValueParser<Value = SourceSpec> {
    OsStringValueParser::new().try_map(|text| SourceSpec::from_os(&text))
}

/// What is sent, and how: flags of the client and of the demo.
#[derive(Debug, Clone, Args)]
pub struct StreamArgs {
    /// pattern[:WxH[:PIXEL]], camera:N, FILE or named pipe (y4m, raw, npy, mcap, png, jpeg, tiff; with OpenCV any video), FILE.mcap#/topic, a
    /// directory of pictures or 'shots/*.png', - (standard input)
    #[arg(value_name = "SOURCE", default_value = "pattern", value_parser = source_parser())]
    pub source: SourceSpec,
    /// What the stream is called, at most 64 characters; by default it goes by its id
    #[arg(long, value_parser = name, default_value = "", hide_default_value = true, env = "FRAMEWIRE_NAME")]
    pub name: String,
    /// How fast: source (a recording as it was taken), max (what the source says of its rate stays), or frames a second
    #[arg(long, value_name = "source|max|N")]
    pub fps: Option<Pace>,
    /// End after this many frames
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
    /// Start over when the source ends; with a named pipe, wait for its next writer
    #[arg(long = "loop")]
    pub repeat: bool,
    /// Which way frames take: auto (shared memory where the server is on this machine and shares its streams, else UDP), udp, or shm; where
    /// slices, parity, a rate or a backend are asked for, whatever they are, auto is udp
    #[arg(long, value_name = "auto|udp|shm", default_value = "auto", env = "FRAMEWIRE_PATH")]
    pub path: PathChoice,
    /// Bytes of a slice, header included: auto (what the path carries; by default) or 548 to 65507
    #[arg(long, value_name = "auto|BYTES", env = "FRAMEWIRE_SLICE")]
    pub slice: Option<SliceSize>,
    /// Parity, from which lost slices are restored: off, auto (where the way loses, latest only; by default), or percent of a frame
    #[arg(long, value_name = "off|auto|PERCENT", env = "FRAMEWIRE_FEC")]
    pub fec: Option<Fec>,
    /// What the link may be sent, bits per second with IP headers, such as 480M or 2.5G; by default what it takes
    #[arg(long, value_name = "RATE", env = "FRAMEWIRE_MAX_RATE")]
    pub max_rate: Option<Bitrate>,
    /// In latest, milliseconds for which a frame is repaired; by default one interval, at least 20
    #[arg(long, value_name = "MILLISECONDS", value_parser = deadline, env = "FRAMEWIRE_DEADLINE")]
    pub deadline: Option<Duration>,
    /// Pixel format to ask the source for, such as gray8 or BayerRG12, by any of the names that framewire formats lists
    #[arg(long)]
    pub pixel: Option<PixelFormat>,
    /// What the bytes are that come without a header, from a file of any name, a pipe or -, such as 1920x1080:gray8@30
    #[arg(long, value_name = "WxH:PIXEL[:STRIDE][@FPS]")]
    pub raw_format: Option<RawFormat>,
    /// What belongs to each frame: a file with a line of JSON a frame, at most 4096 bytes each, instead of what a recording has
    #[arg(long, value_name = "FILE.jsonl")]
    pub metadata: Option<PathBuf>,
    /// every (nothing is lost) or latest (nothing is stale); by default every for files, latest for cameras and patterns
    #[arg(long, value_parser = delivery())]
    pub delivery: Option<Delivery>,
    /// Show what is sent in a window (needs OpenCV)
    #[arg(long)]
    pub window: bool,
}

fn name(text: &str) -> Result<String, String> {
    let chars = text.chars().count();
    if chars > NAME_CHARS_MAX {
        return Err(format!("a name of {chars} characters is too long; use at most {NAME_CHARS_MAX}"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("the name {text:?} has control characters; leave them out"));
    }
    Ok(text.to_owned())
}

/// A frame that is older than this is of no use to anybody.
const DEADLINE_MAX: Duration = Duration::from_secs(60);

fn deadline(text: &str) -> Result<Duration, String> {
    let time = text.parse::<f64>().ok().filter(|millis| *millis > 0.0 && *millis <= DEADLINE_MAX.as_secs_f64() * 1e3);
    time.map(|millis| Duration::from_secs_f64(millis / 1e3))
        .filter(|time| time.as_micros() > 0)
        .ok_or_else(|| format!("'{text}' is no deadline; write milliseconds, 0.001 to {}", DEADLINE_MAX.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_reads_as_it_is_written() {
        assert_eq!("max".parse(), Ok(Pace::Max));
        assert_eq!("source".parse(), Ok(Pace::Source));
        assert_eq!("29.97".parse(), Ok(Pace::Rate("30000/1001".parse().unwrap())));
        assert!("fast".parse::<Pace>().unwrap_err().contains("'fast'"));
    }

    #[test]
    fn values_that_cannot_be_are_refused_with_the_remedy() {
        let refused = |arguments: &[&str]| ClientArgs::try_parse_from(arguments).unwrap_err().to_string();
        assert!(refused(&["client", "--slice", "70000"]).contains("548 to 65507"));
        assert!(refused(&["client", "pattern:0x144:yuv420p"]).contains("no pixels"));
        assert!(refused(&["client", "--pixel", "rgb25"]).contains("unknown pixel format 'rgb25'; did you mean rgb24?"));
        assert!(refused(&["client", "--frames", "0"]).contains("--frames"));
        assert!(refused(&["client", "--name", &"x".repeat(65)]).contains("65 characters is too long; use at most 64"));
        assert!(refused(&["client", "--name", "a\u{7}b"]).contains("control characters"));
        assert!(refused(&["client", "--path", "tcp"]).contains("'auto', 'udp' or 'shm'"));
        assert!(refused(&["client", "--fec", "200"]).contains("1 to 100"));
        assert!(refused(&["client", "--max-rate", "fast"]).contains("480M"));
        assert!(refused(&["client", "--deadline", "0"]).contains("0.001 to 60000"));
        assert!(refused(&["client", "--backend", "dpdk"]).contains("unknown backend 'dpdk'"));
    }
}
