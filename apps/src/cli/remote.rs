//! Flags of what looks at a server: which one, and by what the two know each other.

use std::path::PathBuf;

use clap::Args;

/// A server of this or another machine.
#[derive(Debug, Clone, Default, Args)]
pub struct RemoteArgs {
    /// A server's Socket.IO address, such as http://192.168.1.20:8080; A,B is A, and B where A is gone; auto is those that are found on this
    /// network. A stream that is watched at a server of a cluster is watched on at another where that is gone
    // Not by the client's variable, which would have every watcher of this machine's hubs go elsewhere.
    #[arg(long, value_name = "URL|auto", env = "FRAMEWIRE_WATCH_SERVER")]
    pub server: Option<String>,
    /// Join a server by the line that it prints at its start: - to paste it, or a file that has it; with commas, as --server
    #[arg(long, value_name = "-|FILE", env = "FRAMEWIRE_WATCH_JOIN_FILE")]
    pub join: Option<PathBuf>,
    /// A file with the token for looking or for streaming; see also FRAMEWIRE_TOKEN
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// A file of certificates, PEM, of which one has signed the server's, or is it, in place of those that this machine trusts
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_CA")]
    pub ca: Option<PathBuf>,
    /// Look although nothing protects what is said and shown
    #[arg(long, env = "FRAMEWIRE_INSECURE")]
    pub insecure: bool,
}

impl RemoteArgs {
    /// Whether a server is named.
    pub(crate) fn is_named(&self) -> bool {
        self.server.is_some() || self.join.is_some()
    }
}
