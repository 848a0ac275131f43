//! The command line. Every flag of the server, the client and the demo can also be in the environment and in a file:
//! see [`crate::config`].

#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the help of flags has brackets and addresses that are no links"
)]

mod client;
mod cluster;
mod common;
mod framewire;
mod remote;
mod server;
mod share;
mod sinks;
mod watch;

pub use client::{ClientArgs, OnDemand, Pace, StreamArgs};
pub use cluster::{ClusterArgs, Discover};
pub use common::{CommonArgs, RunArgs, Wire};
pub use framewire::{Command, CompletionsArgs, DemoArgs, FramewireArgs, ManArgs, Program};
pub use remote::RemoteArgs;
pub use server::{PREVIEW_FPS, PREVIEW_WIDTH, ServerArgs};
pub use share::{READER_SLOTS, READER_TIMEOUT, Share, ShareArgs};
pub use sinks::SinkArgs;
pub use watch::WatchArgs;
pub(crate) use watch::{QUEUE_MAX, hub_socket};
