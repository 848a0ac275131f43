//! Flags of `framewire watch`.

use std::time::Duration;

use clap::{ArgAction, Args};
use framewire_process::address::Address;
use framewire_transport::Delivery;
use framewire_transport::frame::ConsumerPolicy;
use framewire_transport::share::{Endpoint, SubscriptionConfig};

use super::common::{RunArgs, delivery, micros};
use super::remote::RemoteArgs;
use super::share::Share;
use super::sinks::SinkArgs;

/// Which stream is read, and where its frames go.
#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    /// The stream's name, as framewire ls has it; by default the only one there is
    #[arg(value_name = "STREAM")]
    pub stream: Option<String>,
    /// The socket of the hub that shares the stream; by default those of all hubs of this machine
    #[arg(long, value_name = "PATH", env = "FRAMEWIRE_SHARE", value_parser = hub_socket)]
    pub share: Option<Endpoint>,
    /// The stream of a server of this or another machine, by the network.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Where frames of --server come in: :PORT is one port of all addresses, such as a firewall lets in; by default a port of the system's
    /// choice, on loopback where the server is there
    #[arg(long, value_name = "ADDR:PORT", env = "FRAMEWIRE_WATCH_UDP")]
    pub udp: Option<Address>,
    /// How frames of --server are sent: latest (the newest; by default) or every (nothing is lost for as long as this program keeps up; no server
    /// waits for who watches it)
    #[arg(long, value_parser = delivery())]
    pub delivery: Option<Delivery>,
    /// Of --server, at most so many frames a second: those between are not sent
    #[arg(long, value_name = "N", value_parser = frames_a_second)]
    pub max_fps: Option<f64>,
    /// Which frames wait while this program is busy: latest (the newest alone), queue:N (up to N, 1 to 8, then the oldest gives way),
    /// block (every frame: the sender waits, where the hub lets readers ask for that); by default latest, and for streams of which nothing
    /// is lost queue:8, or a shorter one where the hub has fewer slots left for readers. Of --server, block is --delivery every
    #[arg(long, value_name = "latest|queue:N|block", value_parser = policy)]
    pub policy: Option<ConsumerPolicy>,
    /// Where frames go.
    #[command(flatten)]
    pub sinks: SinkArgs,
    /// End after this many frames
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
    /// Do not wait for a stream that is not there: end with exit code 1
    #[arg(long)]
    pub no_wait: bool,
    /// Look for frames for so many microseconds before going to sleep; lower latency for a busy core
    #[arg(long, value_name = "MICROSECONDS", value_parser = micros, default_value = "0", env = "FRAMEWIRE_BUSY_POLL")]
    pub busy_poll: Duration,
    /// Say more; twice, everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// What it says, and where its settings are.
    #[command(flatten)]
    pub run: RunArgs,
}

/// As many frames as can wait for one reader.
pub(crate) const QUEUE_MAX: usize = SubscriptionConfig::QUEUE_MAX;

/// A hub's socket; as a server reads it, to which `off` is a word and no path.
pub(crate) fn hub_socket(text: &str) -> Result<Endpoint, String> {
    match text.parse() {
        Ok(Share::At(endpoint)) => Ok(endpoint),
        Ok(Share::Off) => Err("nothing is read from 'off'; name a hub's socket, or leave it out".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn policy(text: &str) -> Result<ConsumerPolicy, String> {
    match text {
        "latest" => return Ok(ConsumerPolicy::Latest),
        "block" => return Ok(ConsumerPolicy::Block),
        _ => {}
    }
    let frames = text.strip_prefix("queue:").and_then(|frames| frames.parse().ok());
    frames.filter(|frames| (1..=QUEUE_MAX).contains(frames)).map(ConsumerPolicy::Queue).ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        format!("'{}' is no policy; write latest, queue:1 to queue:{QUEUE_MAX}, or block", text.escape_debug())
    })
}

fn frames_a_second(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        format!("'{}' is no rate; write frames a second, such as 10 or 0.5", text.escape_debug())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_frames_is_above_zero() {
        assert_eq!((frames_a_second("0.5"), frames_a_second("10")), (Ok(0.5), Ok(10.0)));
        for nonsense in ["0", "-1", "inf", "NaN", "fast"] {
            assert!(frames_a_second(nonsense).unwrap_err().contains("frames a second"), "{nonsense}");
        }
    }

    #[test]
    fn a_socket_is_a_path_and_what_has_a_server_share_nothing_is_none() {
        assert_eq!(hub_socket("/run/x.sock"), Ok(Endpoint::path("/run/x.sock").unwrap()));
        assert!(hub_socket("off").unwrap_err().contains("nothing is read from 'off'"));
        assert!(hub_socket("").unwrap_err().contains("such as /run/framewire/7001.sock"));
    }

    #[test]
    fn a_policy_is_one_of_three_and_a_queue_has_room_for_eight_at_most() {
        assert_eq!(policy("latest"), Ok(ConsumerPolicy::Latest));
        assert_eq!(policy("queue:8"), Ok(ConsumerPolicy::Queue(8)));
        assert_eq!(policy("block"), Ok(ConsumerPolicy::Block));
        for nonsense in ["", "queue", "queue:", "queue:0", "queue:9", "queue:-1", "Latest", "all\u{1b}[2J"] {
            let error = policy(nonsense).unwrap_err();
            assert!(error.contains("is no policy; write latest, queue:1 to queue:8, or block"), "{error}");
            assert!(!error.contains('\u{1b}'), "{error}");
        }
    }
}
