//! The thread that makes the memory of streams that are opened, and starts theirs.
//!
//! The system takes its time to provide a stream's pages. One thread asks for them, a bit at a time, for the stream that has
//! the least to go: neither the listening socket nor another opening waits for a large one.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::waiting::Turn;
use crate::driver::receive_loop::{self, StartError};
use crate::driver::receiver::ReceiverShared;
use crate::driver::sharing::PoolSlots;
use crate::frame::PoolInMaking;
use crate::receive::Reassembler;
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::wire::RefuseReason;

/// Pages that are asked for at once, bytes: what the system provides in a fraction of a millisecond.
const STEP_BYTES: usize = 512 << 10;

/// Makes memory and starts streams until the receiver stops.
pub(in crate::driver) struct Worker {
    shared: Arc<ReceiverShared>,
}

impl Worker {
    pub(in crate::driver) fn new(shared: Arc<ReceiverShared>) -> Self {
        Self { shared }
    }

    pub(in crate::driver) fn run(self) {
        while let Some(turn) = self.next() {
            let (ticket, opening) = (turn.ticket, turn.opening.clone());
            if let Err(error) = self.advance(turn) {
                let limit = open_files_limit(&error);
                let open_files_max = (limit > 0).then_some(limit);
                tracing::warn!(
                    peer = %opening.peer, stream = opening.open.stream, open_files_max, %error, "a stream could not be opened"
                );
                let mut state = self.shared.lock();
                if state.waiting.finish(ticket) {
                    state.refusals.push((opening, (RefuseReason::Resources, limit)));
                    drop(state);
                    self.shared.waker.wake();
                }
            }
        }
    }

    /// Waits for something to do; `None` at the end.
    fn next(&self) -> Option<Turn> {
        let mut state = self.shared.lock();
        loop {
            if state.stop {
                return None;
            }
            let discarded = state.waiting.take_discarded();
            if !discarded.is_empty() {
                drop(state);
                drop(discarded);
                state = self.shared.lock();
                continue;
            }
            if let Some(turn) = state.waiting.next() {
                return Some(turn);
            }
            state = unpoisoned(self.shared.opening.wait(state));
        }
    }

    /// Makes a bit of a stream's memory; starts the stream when all of it is there.
    fn advance(&self, turn: Turn) -> Result<(), StartError> {
        let Turn { ticket, opening, reservation, pool } = turn;
        let mut pool = match pool {
            Some(pool) => pool,
            None => {
                let slot_bytes = Reassembler::slot_bytes(&opening.cut());
                let PoolSlots { all, base } = self.shared.pool_slots();
                PoolInMaking::new(all, slot_bytes)?.with_spares(base).holding(reservation.clone())
            }
        };
        pool.provide(STEP_BYTES)?;
        if pool.left() > 0 {
            let given_up = self.shared.lock().waiting.put_back(ticket, pool);
            drop(given_up);
            return Ok(());
        }
        let pool = pool.finish()?;
        // As it is by now: its sender may have begun anew.
        let Some(opening) = self.shared.lock().waiting.begin_start(ticket) else { return Ok(()) };
        let stream = receive_loop::start(&opening, pool, reservation, &self.shared)?;
        let mut state = self.shared.lock();
        state.started.push((stream.incoming.shared.clone(), stream.thread));
        if state.waiting.finish(ticket) && !state.stop {
            state.streams.push(stream.incoming.shared.clone());
            if let Some(sealed) = &opening.sealed {
                state.ephemerals.note(sealed.ephemeral(), Time::now());
            }
            self.shared.hand_in(state, stream.incoming);
        } else {
            stream.incoming.shared.abandon();
            // Whoever drops it stops the stream, which takes no lock; but its memory goes too.
            drop(state);
            drop(stream.incoming);
        }
        Ok(())
    }
}

/// The limit of open files, where that is what the system had no more of, whatever asked for one; else 0.
fn open_files_limit(error: &StartError) -> u64 {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        let source = error.downcast_ref::<io::Error>();
        if source.and_then(Errno::from_io_error) == Some(Errno::MFILE) {
            // Without a limit, there is none to have run into.
            return getrlimit(Resource::Nofile).current.unwrap_or(0);
        }
        cause = error.source();
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PoolError;
    use crate::receive::AcceptError;

    #[test]
    fn whatever_had_no_file_left_is_told_with_the_limit_of_files() {
        let memory = |errno: Errno| PoolError::Memory { slots: 1, slot_bytes: 1, source: errno.into() };
        let all = |errno: Errno| {
            [StartError::Socket(errno.into()), memory(errno).into(), AcceptError::Memory(memory(errno)).into()]
        };
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(0);
        for error in all(Errno::MFILE) {
            assert_eq!(open_files_limit(&error), limit, "{error:?}");
            // What the log has of it.
            assert!(error.to_string().contains("ulimit -n"), "{error}");
        }
        for error in all(Errno::NOMEM) {
            assert_eq!(open_files_limit(&error), 0, "{error:?}");
        }
    }
}
