//! ROS 2 as its middleware has it: a DDS domain, topics in it, and what is told there of the nodes behind them.
//!
//! This is RustDDS without a client library above it. What ROS adds is little: names ([`names`]), what a node is ([`graph`]), and a few policies
//! ([`quality`]). What a client library would hide is what images need: how many of them wait, what happens when the network is full, and who copies.

pub(crate) mod camera_info;
pub(crate) mod domain;
pub(crate) mod graph;
pub(crate) mod matches;
pub(crate) mod names;
pub(crate) mod quality;
pub(crate) mod serialized;
