//! What a server shows of the streams that come in: the page for people with its pictures, metrics for Prometheus, JSON for
//! programs.
//!
//! Whoever serves a stream adds it to the [`Board`] and tells its [`Figures`] of each frame; whoever looks reads the board. The
//! [`pages`] do that over HTTP ([`Monitor`], [`Access`]), and a [`PreviewWorker`] makes pictures of the frames it is offered.
//!
//! | path | what |
//! |---|---|
//! | `/` | the live page, with its style and script |
//! | `/login` | where the page's form to log in is sent |
//! | `/api/streams` | all streams, JSON; `?scope=cluster` adds those of the other servers of the cluster, each with where it is |
//! | `/api/events` | the same as server-sent events, four a second; `?scope=cluster` adds an event `cluster` each second |
//! | `/api/pictures` | WebSocket: pictures of streams, on request; of other servers' streams, too |
//! | `/api/pictures/ID` | the next picture of a stream as a JPEG file; `?size=tile`, `?range=LOW-HIGH`, `?node=ID` of another server |
//! | `/api/node` | what the server says of itself to the other nodes of its cluster, signed; for nodes alone |
//! | `/metrics` | Prometheus text |
//! | `/healthz` | `ok`, or `degraded: …` in words; 200 for both, as a server that cannot record still serves |
//!
//! Handlers run on the signal server's one thread and block for nothing.
#![forbid(unsafe_code)]

mod access;
mod assets;
mod board;
mod cluster;
mod events;
mod figures;
mod health;
mod metrics;
mod monitor;
mod newest;
mod node;
mod pages;
mod peers;
mod picture_file;
mod pictures;
mod preview;
mod scope;
mod snapshot;

pub use access::{Access, Secret};
pub use board::{About, Board, Entry, LiveStream, Relayed};
pub use cluster::ClusterSource;
pub use figures::{Counts, Figures};
pub use health::Health;
pub use monitor::{Guarding, Monitor};
pub use pages::pages;
pub use preview::{PictureTap, PreviewConfig, PreviewWorker};
