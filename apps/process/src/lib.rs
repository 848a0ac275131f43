//! What each of Framewire's programs does as a process, whatever it is for: how it is stopped ([`stop`]) and ends ([`exit`]),
//! what it says meanwhile ([`logs`], [`progress`], [`shown`]), how it reads addresses and times ([`address`], [`times`]), where it is reached ([`reach`]), when it does what is due
//! ([`pace`]), and what it keeps from run to run ([`state`]).
//!
//! Nothing here knows of streams. The programs are in the package `framewire`.
#![forbid(unsafe_code)]

pub mod address;
pub mod exit;
pub mod lock;
pub mod logs;
pub mod pace;
pub mod progress;
pub mod reach;
pub mod shown;
pub mod state;
pub mod stop;
pub mod times;
