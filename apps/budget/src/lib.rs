//! What a server's links carry, and whom it lets on them: raw video has a rate that is known before its first frame, so that a
//! link need never be oversold.
//!
//! `--link NAME=RATE[:SHARE]` is a [`LinkSpec`]; held against the machine's [`Card`]s it becomes a [`Link`]. The [`Ledger`]
//! admits streams to links, thins those of lower priority for one that matters more, and says of each what it may send
//! ([`Allowance`]). [`Routes`] tell by which interface a peer is reached.
//!
//! The ledger is arithmetic alone: no socket, no clock, no lock.
#![forbid(unsafe_code)]

mod allowance;
mod card;
mod ledger;
mod link;
mod refusal;
mod route;
mod wire;

pub use allowance::Allowance;
pub use card::{Card, cards};
pub use ledger::{Demand, Flow, Ledger, LinkSum, PRIORITY_DEFAULT, PRIORITY_MAX, Way};
pub use link::{Link, LinkError, LinkSpec, LinkSpecError, SHARE_DEFAULT, links};
pub use refusal::LinkFull;
pub use route::{Interface, Routes, routes};
pub use wire::WireCost;
