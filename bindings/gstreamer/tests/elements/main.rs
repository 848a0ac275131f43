//! The elements in pipelines, beside each other, beside the library's own ends, and beside a real server.

mod away;
mod changes;
mod copies;
mod formats;
mod loss;
#[path = "../program/mod.rs"]
mod program;
mod refusals;
mod server;
mod stage;
mod states;
mod streams;
mod times;
