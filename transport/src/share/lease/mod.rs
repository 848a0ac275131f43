//! The leases of one reader in another process, without a system call, a lock or a clock: what the hub keeps of them
//! ([`Lender`], the truth) and what the reader does ([`Borrower`]), over the words of their [`Control`](super::layout::Control) page.
//!
//! Modelled with loom, which compiles these very files (`tests/leases_loom.rs`).

mod borrower;
mod lender;
#[cfg(test)]
mod tests;

pub(crate) use borrower::Borrower;
#[cfg(test)]
pub(crate) use lender::{LeaseCounts, Misconduct};
pub(crate) use lender::{Lender, Overflow};

use super::{layout, points, sync};
