//! Flags of `framewire`: the demo, the tools, and the other programs under one name.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use framewire_process::exit::CODES;
use framewire_process::times::seconds;
use framewire_sink::SinkSpec;
use framewire_tools::bench::BenchArgs;
use framewire_tools::doctor::DoctorArgs;
use framewire_tools::top::TopArgs;

use super::client::{ClientArgs, StreamArgs};
use super::common::CommonArgs;
use super::server::ServerArgs;
use super::sinks::sinks;
use super::watch::WatchArgs;
use crate::build;
use crate::formats::FormatsArgs;
use crate::ls::LsArgs;
use crate::token::TokenArgs;

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
    /// Read a stream, and hand its frames on: one that a hub of this machine shares (such as framewire-server), in place, or one of a server, over
    /// the network
    Watch(Box<WatchArgs>),
    /// The hubs of this machine that share streams (such as framewire-server), and these; servers found on this network, or the streams of one
    Ls(LsArgs),
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
    /// Every pixel format, by what name others know it, and which sinks hold it
    Formats(FormatsArgs),
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
    #[arg(long, value_name = "SINK", value_parser = sinks(), default_value = "null", allow_hyphen_values = true)]
    pub sink: Vec<SinkSpec>,
    /// Print each acknowledgement; twice, everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// A program of Framewire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// The demo, and the others as its subcommands.
    Framewire,
    /// Receives.
    FramewireServer,
    /// Sends.
    FramewireClient,
}

/// For which shell, and of which program.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
    /// The program whose command line is completed
    #[arg(long, value_enum, default_value_t = Program::Framewire)]
    pub program: Program,
}

/// Where man pages go.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The directory that the pages are written to, such as /usr/local/share/man/man1
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}
