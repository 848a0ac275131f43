//! Flags of a server among others.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What makes a server a node of a cluster.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// A Redis or Valkey, redis://[USER@]HOST[:PORT][/DATABASE] or rediss:// for TLS, over which the servers of a cluster know of each other's streams; frames never go
    /// that way, and a server works on without it; its user's password is in FRAMEWIRE_CLUSTER_PASSWORD or in a file
    #[arg(long, value_name = "URL", env = "FRAMEWIRE_CLUSTER", requires = "cluster_key_file")]
    pub cluster: Option<String>,
    /// A file with the key that all servers of the cluster have, as framewire token makes it: by it they know each other
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_CLUSTER_KEY_FILE")]
    pub cluster_key_file: Option<PathBuf>,
    /// What all that the cluster keeps in Redis begins with, so that several may share one
    #[arg(long, value_name = "TEXT", env = "FRAMEWIRE_CLUSTER_PREFIX", default_value = "framewire")]
    pub cluster_prefix: String,
    /// A file with the password of Redis' user
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_CLUSTER_PASSWORD_FILE")]
    pub cluster_password_file: Option<PathBuf>,
    /// A file of certificates (PEM) of which one has signed that of Redis, with rediss://
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_CLUSTER_CA")]
    pub cluster_ca: Option<PathBuf>,
    /// What people call this server among others; by default the machine's name
    #[arg(long, value_name = "NAME", value_parser = node_name, env = "FRAMEWIRE_NODE_NAME")]
    pub node_name: Option<String>,
    /// Announce the server by mDNS and, with the key of a cluster, ask those that are announced what they have: on or off; by default on where it listens beyond loopback
    #[arg(long, value_enum, value_name = "on|off", num_args = 0..=1, require_equals = true, default_missing_value = "on", env = "FRAMEWIRE_DISCOVER", hide_possible_values = true)]
    pub discover: Option<Discover>,
}

/// Whether a server is found by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Discover {
    /// By whoever asks on its network.
    On,
    /// By nobody.
    Off,
}

impl Discover {
    pub(crate) fn is_on(self) -> bool {
        self == Self::On
    }
}

/// Characters of a node's name, as those of a stream's.
const NAME_CHARS_MAX: usize = framewire_signal::message::NAME_CHARS_MAX;

fn node_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let chars = name.chars().count();
    match (1..=NAME_CHARS_MAX).contains(&chars) && !name.chars().any(|char| char.is_control() || char == '@') {
        true => Ok(name.to_owned()),
        false => Err(format!("a server's name has 1 to {NAME_CHARS_MAX} characters, no '@' and no control characters")),
    }
}
