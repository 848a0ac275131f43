//! What both ends have in common.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use framewire_process::logs::LogFormat;
use framewire_transport::{BackendKind, Delivery};
use framewire_transport::{Cpus, ThreadConfig};

/// Which wire the two ends speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wire {
    /// Framewire's own: headers, credit, every frame accounted for.
    Framed,
    /// The original system's: headerless pieces of 65,507 bytes, acknowledged one by one over Socket.IO.
    Plain,
}

/// What sends and receives have in common.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The wire: framed, or plain to talk to the original system
    #[arg(long, value_enum, default_value_t = Wire::Framed, env = "FRAMEWIRE_WIRE")]
    pub wire: Wire,
    /// What moves the datagrams: auto (by default), std, mmsg, uring
    #[arg(long, env = "FRAMEWIRE_BACKEND")]
    pub backend: Option<BackendKind>,
    /// With --backend uring: a thread of the kernel looks for slices, so that no system call is made for them
    #[arg(long)]
    pub sqpoll: bool,
    /// Look for datagrams and frames for so many microseconds before going to sleep (framed wire); lower latency for a busy core
    #[arg(long, value_name = "MICROSECONDS", value_parser = micros, default_value = "0", env = "FRAMEWIRE_BUSY_POLL")]
    pub busy_poll: Duration,
    /// CPUs for the threads that move datagrams, such as 2 or 2,3 or 4-7 (framed wire); by default the system's choice
    #[arg(long, value_name = "LIST", env = "FRAMEWIRE_CPUS")]
    pub cpus: Option<Cpus>,
    /// A file with the token for streaming that both ends share, made by framewire token; see also FRAMEWIRE_TOKEN
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// What a program says, and where its settings are.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What a program says, and where its settings are.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Print one JSON object with all figures at the end
    #[arg(long)]
    pub json: bool,
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

/// The transport's modes, by name.
pub(super) fn delivery() -> impl TypedValueParser<Value = Delivery> {
    let modes = [
        PossibleValue::new(Delivery::Every.name()).help("Nothing is lost; the sender waits"),
        PossibleValue::new(Delivery::Latest.name()).help("The newest complete frame wins"),
    ];
    PossibleValuesParser::new(modes).map(|name| match name == Delivery::Every.name() {
        true => Delivery::Every,
        false => Delivery::Latest,
    })
}

/// Longer than this is no polling any more but a core given away.
const BUSY_POLL_MAX: Duration = Duration::from_secs(1);

pub(super) fn micros(text: &str) -> Result<Duration, String> {
    let micros = text.parse().ok().map(Duration::from_micros).filter(|time| *time <= BUSY_POLL_MAX);
    micros.ok_or_else(|| {
        format!("'{text}' is no time to poll for; write microseconds, 0 to {}", BUSY_POLL_MAX.as_micros())
    })
}
