//! The command line. Every flag of the server, the client and the demo can also be in the environment and in a file:
//! see [`crate::config`].

#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the help of flags has brackets and addresses that are no links"
)]

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use framewire_capture::{FrameRate, RawFormat, SourceSpec};
use framewire_process::address::{Address, AnnouncedAddress};
use framewire_process::exit::CODES;
use framewire_process::logs::LogFormat;
use framewire_process::times::{duration, seconds};
use framewire_signal::message::NAME_CHARS_MAX;
use framewire_sink::{RollLimit, SinkSpec, SlowSink};
use framewire_tools::bench::BenchArgs;
use framewire_tools::doctor::DoctorArgs;
use framewire_tools::top::TopArgs;
use framewire_transport::driver::{Cpus, SliceSize, ThreadConfig};
use framewire_transport::send::{Bitrate, Fec};
use framewire_transport::{BackendKind, Delivery, PixelFormat};

use crate::build;
use crate::manual::{CompletionsArgs, ManArgs};
use crate::token::TokenArgs;

/// Which wire the two ends speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wire {
    /// Framewire's own: headers, credit, every frame accounted for.
    Framed,
    /// The original system's: headerless pieces of 65,507 bytes, acknowledged one by one over Socket.IO.
    Plain,
}

/// Which frames are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeliveryChoice {
    /// Nothing is lost; the sender waits.
    Every,
    /// The newest complete frame wins.
    Latest,
}

impl From<DeliveryChoice> for Delivery {
    fn from(choice: DeliveryChoice) -> Self {
        match choice {
            DeliveryChoice::Every => Self::Every,
            DeliveryChoice::Latest => Self::Latest,
        }
    }
}

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

/// What sends and receives have in common.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The wire: framed, or plain to talk to the original system
    #[arg(long, value_enum, default_value_t = Wire::Framed, env = "FRAMEWIRE_WIRE")]
    pub wire: Wire,
    /// What moves the datagrams: auto, std, mmsg, uring
    #[arg(long, default_value = "auto", env = "FRAMEWIRE_BACKEND")]
    pub backend: BackendKind,
    /// With --backend uring: a thread of the kernel looks for slices, so that no system call is made for them
    #[arg(long)]
    pub sqpoll: bool,
    /// Look for datagrams and frames for so many microseconds before going to sleep (framed wire); lower latency for a busy core
    #[arg(long, value_name = "MICROSECONDS", value_parser = micros, default_value = "0", env = "FRAMEWIRE_BUSY_POLL")]
    pub busy_poll: Duration,
    /// CPUs for the threads that move datagrams, such as 2 or 2,3 or 4-7 (framed wire); by default the system's choice
    #[arg(long, value_name = "LIST", env = "FRAMEWIRE_CPUS")]
    pub cpus: Option<Cpus>,
    /// Print one JSON object with all figures at the end
    #[arg(long)]
    pub json: bool,
    /// A file with the token that both ends share, made by framewire token; see also FRAMEWIRE_TOKEN
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// What lines of the log look like: text, or json, an object a line; RUST_LOG says what is logged
    #[arg(long, value_enum, value_name = "text|json", default_value_t = LogFormat::Text, hide_possible_values = true)]
    pub log_format: LogFormat,
    /// A TOML file that says by their long names what flags and variables do not
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print all settings and where they come from, as such a file, and end
    #[arg(long)]
    pub print_config: bool,
}

impl CommonArgs {
    /// How the threads that move datagrams run.
    pub(crate) fn threads(&self) -> ThreadConfig {
        ThreadConfig::new().busy_poll(self.busy_poll).cpus(self.cpus.clone())
    }
}

/// Receives video streams and hands their frames on.
#[derive(Debug, Clone, Parser)]
#[command(name = "framewire-server", version, long_version = build::long_version(), max_term_width = 110, after_help = CODES)]
pub struct ServerArgs {
    /// Address for Socket.IO: opening streams, feedback; :PORT for all addresses of this machine
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", env = "FRAMEWIRE_LISTEN")]
    pub listen: Address,
    /// Address for the frames; of a name with several, the first
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:12345", env = "FRAMEWIRE_UDP")]
    pub udp: Address,
    /// Where clients are told to send frames, if that is not --udp as they see it: the outer port of a container or a router, or
    /// host and port (framed wire)
    #[arg(long, value_name = "HOST:PORT|PORT", env = "FRAMEWIRE_ANNOUNCE_UDP")]
    pub announce_udp: Option<AnnouncedAddress>,
    /// What the frames of the plain wire are; the wire does not say it
    #[arg(long, value_name = "WxH:PIXEL", default_value = "1920x1080:gray8", env = "FRAMEWIRE_PLAIN_FRAME")]
    pub plain_frame: RawFormat,
    /// Where frames go: null, - (Y4M on standard output; as the only sink, its reader's end or the stream's ends the server),
    /// FILE.y4m, FILE.raw, with OpenCV FILE.avi, FILE.mp4, window; in a file's name, {stream}, {part} and {time} stand for the
    /// stream's name, the part's number and when it was begun; a file that is there is left, and a number follows the name; may be
    /// given several times
    #[arg(long, value_name = "SINK", value_parser = sinks(), default_value = "null")]
    pub sink: Vec<SinkSpec>,
    /// Go on in another file after so many bytes or so long, such as 10GB or 10min; may be given for both
    #[arg(long, value_name = "SIZE|TIME", env = "FRAMEWIRE_ROLL", value_delimiter = ',')]
    pub roll: Vec<RollLimit>,
    /// When frames come faster than a sink writes: wait (the stream does), or drop (the sink goes without them, counted); by
    /// default wait for every, drop for latest
    #[arg(long, value_enum, value_name = "wait|drop", env = "FRAMEWIRE_SLOW_SINK", hide_possible_values = true)]
    pub slow_sink: Option<SlowSink>,
    /// Take only streams of this mode; by default the client chooses
    #[arg(long, value_enum)]
    pub delivery: Option<DeliveryChoice>,
    /// Take frames of latest streams that did not become complete in time, too; what they lack is black, and said in the summary
    #[arg(long)]
    pub partial: bool,
    /// End after this many frames, over all streams
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
    /// End after this many seconds
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// The server does one job: a sink that fails ends it.
    #[arg(skip)]
    pub single_job: bool,
    /// Off loopback, let anyone who reaches the server connect, and on the plain wire send frames
    #[arg(long, env = "FRAMEWIRE_INSECURE")]
    pub insecure: bool,
    /// Web origins such as https://monitor.example whose pages may connect, and whose hosts are names of this server, as a
    /// proxy's are; its addresses, localhost and the machine's own name need none; may be given several times
    #[arg(long, value_name = "ORIGIN", value_parser = origin, env = "FRAMEWIRE_ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// A file with the password for looking at the page and at metrics, of at least 8 characters; with a token and without it,
    /// nobody may look
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_VIEW_PASSWORD_FILE")]
    pub view_password_file: Option<PathBuf>,
    /// Pictures a second of each stream on the page, at most; 0 for none
    #[arg(long, value_name = "N", value_parser = preview_fps, default_value_t = PREVIEW_FPS, env = "FRAMEWIRE_PREVIEW_FPS")]
    pub preview_fps: f64,
    /// Width of the page's small pictures in pixels, at most
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(16..=1920), default_value_t = PREVIEW_WIDTH, env = "FRAMEWIRE_PREVIEW_WIDTH")]
    pub preview_width: u32,
    /// Memory that all streams together may take, such as 4GiB; by default a quarter of the machine's (or of what its control
    /// group allows), at most 4 GiB
    #[arg(long, value_name = "SIZE", value_parser = memory, env = "FRAMEWIRE_MEMORY")]
    pub memory: Option<usize>,
    /// Memory that one stream may take; by default half of what all may
    #[arg(long, value_name = "SIZE", value_parser = memory, env = "FRAMEWIRE_STREAM_MEMORY")]
    pub stream_memory: Option<usize>,
    /// Say more; twice, everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Common flags.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Sends a video stream.
#[derive(Debug, Clone, Parser)]
#[command(name = "framewire-client", version, long_version = build::long_version(), max_term_width = 110, after_help = CODES)]
pub struct ClientArgs {
    /// Common flags.
    #[command(flatten)]
    pub common: CommonArgs,
    /// The server's Socket.IO address; behind a proxy with the path that it has the server at, such as http://proxy/cams
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "FRAMEWIRE_SERVER")]
    pub server: String,
    /// Where frames go, whatever the server says; :PORT for that port of the host that answers at --server (framed wire); by
    /// default what the server says, and on the plain wire 127.0.0.1:12345
    #[arg(long, value_name = "HOST:PORT", env = "FRAMEWIRE_UDP")]
    pub udp: Option<Address>,
    /// How long the server may take to answer at first, such as 10s or 2min; by default it is waited for without end
    #[arg(long, value_name = "TIME", value_parser = duration, env = "FRAMEWIRE_CONNECT_TIMEOUT")]
    pub connect_timeout: Option<Duration>,
    /// On the plain wire, send to another machine, though nothing guards the datagrams
    #[arg(long, env = "FRAMEWIRE_INSECURE")]
    pub insecure: bool,
    /// What is sent, and how.
    #[command(flatten)]
    pub stream: StreamArgs,
    /// Print each acknowledgement; twice, everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// A file's name is any bytes.
fn source_parser() -> impl clap::builder::TypedValueParser<Value = SourceSpec> {
    use clap::builder::{OsStringValueParser, TypedValueParser};
    OsStringValueParser::new().try_map(|text| SourceSpec::from_os(&text))
}

/// What is sent, and how: flags of the client and of the demo.
#[derive(Debug, Clone, Args)]
pub struct StreamArgs {
    /// pattern[:WxH[:PIXEL]], camera:N, FILE or named pipe (y4m, raw; with OpenCV any video), - (standard input)
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
    /// Bytes of a slice, header included: auto (what the path carries) or 548 to 65507
    #[arg(long, value_name = "auto|BYTES", default_value = "auto", env = "FRAMEWIRE_SLICE")]
    pub slice: SliceSize,
    /// Parity, from which lost slices are restored: off, auto (where the way loses; latest only), or percent of a frame
    #[arg(long, value_name = "off|auto|PERCENT", default_value = "auto", env = "FRAMEWIRE_FEC")]
    pub fec: Fec,
    /// What the link may be sent, bits per second with IP headers, such as 480M or 2.5G; by default what it takes
    #[arg(long, value_name = "RATE", env = "FRAMEWIRE_MAX_RATE")]
    pub max_rate: Option<Bitrate>,
    /// In latest, milliseconds for which a frame is repaired; by default one interval, at least 20
    #[arg(long, value_name = "MILLISECONDS", value_parser = deadline, env = "FRAMEWIRE_DEADLINE")]
    pub deadline: Option<Duration>,
    /// Pixel format to ask the source for: gray8, bgr24, yuv420p, yuv422p, yuv444p
    #[arg(long)]
    pub pixel: Option<PixelFormat>,
    /// What the bytes are that come without a header, from a file of any name, a pipe or -, such as 1920x1080:gray8@30
    #[arg(long, value_name = "WxH:PIXEL[@FPS]")]
    pub raw_format: Option<RawFormat>,
    /// every (nothing is lost) or latest (nothing is stale); by default every for files, latest for cameras and patterns
    #[arg(long, value_enum)]
    pub delivery: Option<DeliveryChoice>,
    /// Show what is sent in a window (needs OpenCV)
    #[arg(long)]
    pub window: bool,
}

/// Moves raw video frames between processes at the speed of memory.
#[derive(Debug, Clone, Parser)]
#[command(name = "framewire", version, long_version = build::long_version(), max_term_width = 110, after_help = CODES, args_conflicts_with_subcommands = true)]
pub struct FramewireArgs {
    /// What to do; without one, the demo.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What `framewire` does.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Both ends on this machine: a client sends a pattern (or any SOURCE) to a server
    Demo(DemoArgs),
    /// As framewire-server
    Server(Box<ServerArgs>),
    /// As framewire-client
    Client(Box<ClientArgs>),
    /// How fast this machine or link is: Framewire beside the bare kernel and TCP, in under a minute
    Bench(BenchArgs),
    /// Print what has a shell complete the command line of a program
    Completions(CompletionsArgs),
    /// Write the man pages of all programs
    Man(ManArgs),
    /// What this machine limits, what follows from it, and the commands that mend it
    Doctor(DoctorArgs),
    /// The streams of a server and their figures, in the terminal
    Top(TopArgs),
    /// Make a token for both ends, and print it or write it to a file
    Token(TokenArgs),
}

/// Both ends on loopback.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Common flags.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What is sent, and how.
    #[command(flatten)]
    pub stream: StreamArgs,
    /// End after this many seconds; by default 3, or when --frames are sent or the file ends
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Where frames go at the server's end; see framewire-server --help
    #[arg(long, value_name = "SINK", value_parser = sinks(), default_value = "null")]
    pub sink: Vec<SinkSpec>,
    /// Print each acknowledgement; twice, everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// A file's name is any bytes.
fn sinks() -> impl TypedValueParser<Value = SinkSpec> {
    OsStringValueParser::new().try_map(|name| SinkSpec::from_os(&name))
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

/// Motion is seen to be motion.
pub(crate) const PREVIEW_FPS: f64 = 10.0;
/// As wide as the page's tiles are on most screens.
pub(crate) const PREVIEW_WIDTH: u32 = 480;
/// Faster than any screen, and each picture takes milliseconds of a processor.
const PREVIEW_FPS_MAX: f64 = 60.0;

fn preview_fps(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate == 0.0 || (0.01..=PREVIEW_FPS_MAX).contains(rate));
    rate.ok_or_else(|| {
        format!("'{text}' is no rate of pictures; write 0 for none, or 0.01 to {PREVIEW_FPS_MAX} a second")
    })
}

fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host.map(|host| host.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && !host.contains(['/', '@', ' ']) => Ok(text.to_owned()),
        _ => Err(format!("'{text}' is no origin; write it as browsers do, such as https://monitor.example:8443")),
    }
}

/// A frame that is older than this is of no use to anybody.
const DEADLINE_MAX: Duration = Duration::from_secs(60);

fn deadline(text: &str) -> Result<Duration, String> {
    let time = text.parse::<f64>().ok().filter(|millis| *millis > 0.0 && *millis <= DEADLINE_MAX.as_secs_f64() * 1e3);
    time.map(|millis| Duration::from_secs_f64(millis / 1e3))
        .filter(|time| time.as_micros() > 0)
        .ok_or_else(|| format!("'{text}' is no deadline; write milliseconds, 0.001 to {}", DEADLINE_MAX.as_millis()))
}

/// Longer than this is no polling any more but a core given away.
const BUSY_POLL_MAX: Duration = Duration::from_secs(1);

fn micros(text: &str) -> Result<Duration, String> {
    let micros = text.parse().ok().map(Duration::from_micros).filter(|time| *time <= BUSY_POLL_MAX);
    micros.ok_or_else(|| {
        format!("'{text}' is no time to poll for; write microseconds, 0 to {}", BUSY_POLL_MAX.as_micros())
    })
}

fn memory(text: &str) -> Result<usize, String> {
    let bytes = match text.parse() {
        Ok(RollLimit::Bytes(bytes)) => usize::try_from(bytes).ok(),
        _ => None,
    };
    bytes.ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        format!("'{text}' is no size of memory; write a number and B, kB, MB, GB, KiB, MiB or GiB, such as 4GiB")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn memory_is_a_number_with_a_unit() {
        // As one word: by itself, what begins with a hyphen is taken for a flag.
        let read = |text: &str| {
            ServerArgs::try_parse_from(["server", &format!("--memory={text}"), "--stream-memory", "1.5GiB"])
        };
        let args = read("256MiB").unwrap();
        assert_eq!((args.memory, args.stream_memory), (Some(256 << 20), Some(3 << 29)));
        for nonsense in ["", "0", "10", "10s", "-1GB", "1e30TB", "lots"] {
            let error = read(nonsense).unwrap_err().to_string();
            assert!(error.contains("is no size of memory"), "{error}");
        }
    }
    #[test]
    fn the_command_lines_are_consistent() {
        config::for_people::<ServerArgs>().debug_assert();
        config::for_people::<ClientArgs>().debug_assert();
        config::for_people::<FramewireArgs>().debug_assert();
    }

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
        assert!(refused(&["client", "--pixel", "rgb"]).contains("unknown pixel format 'rgb'"));
        assert!(refused(&["client", "--frames", "0"]).contains("--frames"));
        assert!(refused(&["client", "--name", &"x".repeat(65)]).contains("65 characters is too long; use at most 64"));
        assert!(refused(&["client", "--name", "a\u{7}b"]).contains("control characters"));
        assert!(refused(&["client", "--fec", "200"]).contains("1 to 100"));
        assert!(refused(&["client", "--max-rate", "fast"]).contains("480M"));
        assert!(refused(&["client", "--deadline", "0"]).contains("0.001 to 60000"));
        assert!(refused(&["client", "--backend", "dpdk"]).contains("unknown backend 'dpdk'"));
    }
}
