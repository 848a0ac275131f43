//! Flags of the server.

use std::path::PathBuf;

use clap::{ArgAction, Parser};
use framewire_budget::LinkSpec;
use framewire_capture::RawFormat;
use framewire_process::address::{Address, AnnouncedAddress};
use framewire_process::exit::CODES;
use framewire_process::times::seconds;
use framewire_sink::RollLimit;
use framewire_transport::Delivery;

use super::cluster::ClusterArgs;
use super::common::{CommonArgs, delivery};
use super::share::ShareArgs;
use super::sinks::SinkArgs;
use crate::build;

/// Receives video streams and hands their frames on.
#[derive(Debug, Clone, Parser)]
#[command(name = "framewire-server", version, long_version = build::long_version(), max_term_width = 110, after_help = CODES)]
pub struct ServerArgs {
    /// Address for Socket.IO: opening streams, feedback; :PORT for all addresses of this machine
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", env = "FRAMEWIRE_LISTEN")]
    pub listen: Address,
    /// Address for the frames; of a name with several, the first; by default port 12345 of the host of --listen
    #[arg(long, value_name = "HOST:PORT", env = "FRAMEWIRE_UDP")]
    pub udp: Option<Address>,
    /// Where clients are told to send frames, if that is not --udp as they see it: the outer port of a container or a router, or
    /// host and port (framed wire)
    #[arg(long, value_name = "HOST:PORT|PORT", env = "FRAMEWIRE_ANNOUNCE_UDP")]
    pub announce_udp: Option<AnnouncedAddress>,
    /// What the frames of the plain wire are; the wire does not say it
    #[arg(long, value_name = "WxH:PIXEL", default_value = "1920x1080:gray8", env = "FRAMEWIRE_PLAIN_FRAME")]
    pub plain_frame: RawFormat,
    /// Where frames go.
    #[command(flatten)]
    pub sinks: SinkArgs,
    /// Take only streams of this mode; by default the client chooses
    #[arg(long, value_parser = delivery())]
    pub delivery: Option<Delivery>,
    /// Take frames of latest streams that did not become complete in time, too; what they lack is black, and said in the summary
    #[arg(long)]
    pub partial: bool,
    /// End after this many frames, over all streams
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
    /// End after this many seconds
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// End once standard input does, as a pipe does when the program that started the server is gone, however that one ended
    #[arg(long)]
    pub until_input_ends: bool,
    /// The server does one job: a sink that fails ends it.
    #[arg(skip)]
    pub single_job: bool,
    /// Protect nothing: no TLS, no token but one that is given, frames that anyone on the way can read and change; for networks that you trust
    #[arg(long, env = "FRAMEWIRE_INSECURE")]
    pub insecure: bool,
    /// Protect everything on loopback, too, as off loopback: TLS, tokens, encrypted frames
    #[arg(long, env = "FRAMEWIRE_PROTECT")]
    pub protect: bool,
    /// A file to which the line is written that cameras join by, for its owner alone; by default join in the state directory
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_JOIN_FILE")]
    pub join_file: Option<PathBuf>,
    /// Where other machines reach the server, for that line, if it is not as they see --listen: the outer host and port of a container or a router
    #[arg(long, value_name = "HOST[:PORT]", env = "FRAMEWIRE_ANNOUNCE")]
    pub announce: Option<String>,
    /// A file with the server's certificate, and those that signed it behind it, PEM; read again when it changes; by default one that the server makes
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// A file with the key of that certificate, PEM
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Where tokens, certificate and key are kept that the server makes; by default $STATE_DIRECTORY, else framewire in $XDG_STATE_HOME or in ~/.local/state
    #[arg(long, value_name = "DIR", env = "FRAMEWIRE_STATE_DIRECTORY")]
    pub state_directory: Option<PathBuf>,
    /// Web origins such as https://monitor.example whose pages may connect, and whose hosts are names of this server, as a
    /// proxy's are; its addresses, localhost and the machine's own name need none; may be given several times
    #[arg(long, value_name = "ORIGIN", value_parser = origin, env = "FRAMEWIRE_ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Vec<String>,
    /// A file with the token for looking at the page and at metrics; by default one that the server makes, or the token for streaming
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_VIEW_TOKEN_FILE")]
    pub view_token_file: Option<PathBuf>,
    /// A file with a password that does the same, of at least 8 characters, for who would not copy a token
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_VIEW_PASSWORD_FILE")]
    pub view_password_file: Option<PathBuf>,
    /// Pictures a second of each stream on the page, at most; 0 for none
    #[arg(long, value_name = "N", value_parser = preview_fps, default_value_t = PREVIEW_FPS, env = "FRAMEWIRE_PREVIEW_FPS")]
    pub preview_fps: f64,
    /// Width of the page's small pictures in pixels, at most
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(16..=1920), default_value_t = PREVIEW_WIDTH, env = "FRAMEWIRE_PREVIEW_WIDTH")]
    pub preview_width: u32,
    /// Memory that all streams together may take, such as 4GiB; by default a quarter of the machine's (or of what its control
    /// group allows), at most 4 GiB; with a cluster's key a quarter of it is for those that are watched at other servers
    #[arg(long, value_name = "SIZE", value_parser = memory, env = "FRAMEWIRE_MEMORY")]
    pub memory: Option<usize>,
    /// Memory that one stream may take; by default half of what all may
    #[arg(long, value_name = "SIZE", value_parser = memory, env = "FRAMEWIRE_STREAM_MEMORY")]
    pub stream_memory: Option<usize>,
    /// An interface, its rate, and which part of that streams may take together, 0.8 unless it is said, such as eth0=10G or eth0=1G:0.95: streams
    /// and watchers for whom there is no room are refused with what would fit, or have those of lower priority thinned; may be given several times
    #[arg(long, value_name = "NAME=RATE[:SHARE]", env = "FRAMEWIRE_LINK", value_delimiter = ',')]
    pub link: Vec<LinkSpec>,
    /// Which other servers it is one with.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Who may read the streams in place.
    #[command(flatten)]
    pub shared: ShareArgs,
    /// Say more; twice, everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Common flags.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Motion is seen to be motion.
pub const PREVIEW_FPS: f64 = 10.0;
/// As wide as the page's tiles are on most screens.
pub const PREVIEW_WIDTH: u32 = 480;
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
}
