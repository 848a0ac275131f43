//! The command line.

use std::ffi::OsString;
use std::net::Ipv4Addr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand};
use framewire_ends::{Hub, OutputOptions, ServerPlace};
use framewire_process::exit::CODES;
use framewire_process::logs::LogFormat;
use framewire_transport::{Delivery, Protection};

use crate::ros::domain::Place;
use crate::ros::graph::IdBytes;
use crate::ros::names::{Namespace, NodeName, TopicName};
use crate::ros::quality::{Quality, Reliable};
use crate::subscribe::Target;

/// Streams of Framewire as ROS 2 topics, and topics as streams
#[derive(Debug, Parser)]
#[command(name = "framewire-ros2", version, after_help = CODES)]
pub(crate) struct RosArgs {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl RosArgs {
    pub(crate) fn common(&self) -> &CommonArgs {
        match &self.command {
            Command::Publish(args) => &args.common,
            Command::Subscribe(args) => &args.common,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publish streams as sensor_msgs/msg/Image under /STREAM/image_raw, and as CameraInfo beside it where metadata has "intrinsics"
    Publish(PublishArgs),
    /// Send the images of a topic (sensor_msgs/msg/Image) as a stream: to a server, or to whoever reads it on this machine
    Subscribe(SubscribeArgs),
}

/// What is published, and as what.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// Streams by their names; by default all that one hub of this machine has. Of --server and --join, at least one
    #[arg(value_name = "STREAM")]
    pub(crate) streams: Vec<String>,
    /// The hub of this machine that shares them: a server's UDP port, a name, or a socket's path
    #[arg(long, value_name = "HUB", env = "FRAMEWIRE_SHARE", value_parser = hub)]
    pub(crate) share: Option<Hub>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The topic of a single stream, whole, such as /camera/image_raw; by default /STREAM/image_raw in --namespace
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<TopicName>,
    /// The camera's frame in images whose metadata has no "frame_id"; by default the stream's name
    #[arg(long, value_name = "FRAME")]
    pub(crate) frame_id: Option<String>,
    /// Whether images that are lost on the way are sent again. One who asks for reliable images gets none that are published as best-effort
    #[arg(long, value_enum, default_value_t = Reliable::Reliable)]
    pub(crate) reliability: Reliable,
    /// Images of a topic that wait while a subscriber is slow or stands still; then the oldest give way, and each is counted
    #[arg(long, value_name = "IMAGES", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) depth: u16,
    /// Frames of a stream that wait while this program is busy, 1 to 8; then the oldest gives way
    #[arg(long, value_name = "FRAMES", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) queue: u8,
    /// End once so many frames of a stream were published
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

impl PublishArgs {
    pub(crate) fn quality(&self) -> Quality {
        Quality { reliable: self.reliability, depth: self.depth }
    }
}

/// What is subscribed to, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct SubscribeArgs {
    /// The topic, whole, such as /camera/image_raw
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: TopicName,
    /// What the stream is called; by default the topic without its image_raw, such as camera
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// Send to whoever listens there, without a server
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["server", "join"])]
    to: Option<String>,
    /// Without a server, the hub of this machine that shares the stream: a name, or a socket's path; by default the stream's name
    #[arg(long, value_name = "HUB", value_parser = hub, conflicts_with_all = ["server", "join", "to"])]
    share: Option<Hub>,
    /// How frames are sent: latest (the newest; by default) or every (nothing is lost for as long as the other end keeps up)
    #[arg(long, value_parser = delivery(), default_value = Delivery::Latest.name())]
    delivery: Delivery,
    /// Whether images that are lost on the way are asked for again; reliable ones come from reliable publishers alone, best-effort ones from all
    #[arg(long, value_enum, default_value_t = Reliable::BestEffort)]
    reliability: Reliable,
    /// Images that wait for this program
    #[arg(long, value_name = "IMAGES", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    depth: u16,
    /// End after this many images
    #[arg(long, value_name = "IMAGES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

impl SubscribeArgs {
    pub(crate) fn quality(&self) -> Quality {
        Quality { reliable: self.reliability, depth: self.depth }
    }

    pub(crate) fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.topic.stream_name())
    }

    /// How its frames are sent.
    pub(crate) fn options(&self) -> OutputOptions {
        OutputOptions::new().delivery(self.delivery).protection(self.server.protection())
    }

    /// Whether nothing is to be lost.
    pub(crate) fn is_every(&self) -> bool {
        self.delivery == Delivery::Every
    }

    pub(crate) fn target(&self) -> Target {
        match (self.server.place(), &self.to) {
            (Some(server), _) => Target::Server(server),
            (None, Some(address)) => Target::Receiver(address.clone()),
            (None, None) => Target::Readers(self.share.clone()),
        }
    }
}

/// A server of this or another machine.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// A server's address, such as http://192.168.1.20:8080
    #[arg(long, value_name = "URL", env = "FRAMEWIRE_WATCH_SERVER", conflicts_with = "join")]
    server: Option<String>,
    /// Join a server by the line that it prints at its start, in a file
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_WATCH_JOIN_FILE")]
    join: Option<String>,
    /// Take or send frames although nothing protects them: with --server http://… and --to, beyond this machine
    #[arg(long, env = "FRAMEWIRE_INSECURE")]
    insecure: bool,
}

impl ServerArgs {
    /// Whether frames of a server that is not joined are protected.
    pub(crate) fn protection(&self) -> Protection {
        if self.insecure && self.join.is_none() { Protection::Off } else { Protection::Auto }
    }

    /// The one that is named.
    pub(crate) fn place(&self) -> Option<ServerPlace> {
        let joined = self.join.clone().map(ServerPlace::Join);
        joined.or_else(|| self.server.clone().map(ServerPlace::Url))
    }
}

/// Where this program is in ROS.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// The domain, 0 to 232
    #[arg(long, value_name = "N", env = "ROS_DOMAIN_ID", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=232))]
    domain: u16,
    /// An address of this machine over which ROS is spoken; may be given several times; by default all of them
    #[arg(long, value_name = "ADDR")]
    interface: Vec<Ipv4Addr>,
    /// The namespace of the node and of its topics, such as /robot1
    #[arg(long, value_name = "NAMESPACE", default_value = "/")]
    pub(crate) namespace: Namespace,
    /// The node's name
    #[arg(long, value_name = "NAME", default_value = "framewire")]
    node: NodeName,
    /// The distribution that nodes are described for, such as humble; it matters to ros2 node alone, and which one is spoken to others
    #[arg(long, value_name = "NAME", env = "ROS_DISTRO", default_value = "jazzy")]
    distribution: String,
}

impl PlaceArgs {
    pub(crate) fn place(&self) -> Place {
        let interfaces = match (self.interface.as_slice(), is_local(|name| std::env::var_os(name))) {
            ([], true) => vec![Ipv4Addr::LOCALHOST],
            (interfaces, _) => interfaces.to_vec(),
        };
        Place {
            domain: self.domain,
            interfaces,
            namespace: self.namespace.clone(),
            node: self.node.clone(),
            ids: IdBytes::of(&self.distribution),
        }
    }
}

/// What it says.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Say more; twice, everything
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print one JSON object with all figures at the end
    #[arg(long)]
    pub(crate) json: bool,
    /// What lines of the log look like: text, or json, an object a line; RUST_LOG says what is logged
    #[arg(long, value_enum, value_name = "text|json", default_value_t = LogFormat::Text, hide_possible_values = true)]
    pub(crate) log_format: LogFormat,
}

/// Whether ROS is to stay on this machine, as it takes that from its environment: by the one up to Iron, by the other from there on.
fn is_local(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is = |name, value: &str| variable(name).is_some_and(|said| said == value);
    is("ROS_LOCALHOST_ONLY", "1") || is("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
}

fn hub(text: &str) -> Result<Hub, String> {
    text.parse::<Hub>().map_err(|error| error.to_string())
}

/// The transport's modes, by name.
fn delivery() -> impl TypedValueParser<Value = Delivery> {
    let is_every = |name: String| if name == Delivery::Every.name() { Delivery::Every } else { Delivery::Latest };
    PossibleValuesParser::new([Delivery::Latest.name(), Delivery::Every.name()]).map(is_every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ros_stays_on_this_machine_where_its_environment_says_so_in_either_way() {
        let says = |name: &'static str, value: &'static str| {
            is_local(move |asked| (asked == name).then(|| OsString::from(value)))
        };
        assert!(says("ROS_LOCALHOST_ONLY", "1") && says("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"));
        assert!(!says("ROS_LOCALHOST_ONLY", "0") && !says("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET"));
        assert!(!says("PATH", "1"));
    }
}
