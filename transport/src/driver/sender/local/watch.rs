//! The thread of one local sender: takes in what the hub grants while somebody waits for it, and learns when the hub is gone.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::state::{HUB_GONE, Shared};
use crate::send::ClosedReport;
use crate::share::inlet::source::{Said, poll};

/// Far beyond any stream's, and no harm to a clock.
const LONG: Duration = Duration::from_secs(3_600);

/// Runs until the way is over; where it ended otherwise than by being closed, `on_end` is called.
pub(super) fn watch(shared: &Shared, on_end: impl Fn()) {
    let connection = &shared.connection;
    let (from_hub, socket, process) = connection.descriptors();
    loop {
        let mut descriptors = [
            PollFd::from_borrowed_fd(from_hub, PollFlags::IN),
            PollFd::from_borrowed_fd(socket, PollFlags::IN),
            // In place of what there is not, the same once more.
            PollFd::from_borrowed_fd(process.unwrap_or(socket.as_fd()), PollFlags::IN),
        ];
        let polled = poll(&mut descriptors, LONG);
        let [called, spoke, ended] = descriptors.map(|descriptor| !descriptor.revents().is_empty());
        if called {
            connection.note_awake();
        }
        let mut is_gone = ended && process.is_some();
        // What was said before the end comes first.
        let said = if spoke || is_gone { connection.listen() } else { None };
        let mut state = shared.lock();
        if state.waiting > 0 || state.pending.is_some() {
            shared.look(&mut state);
        } else {
            state.collect(&shared.pool);
        }
        state.close_if_due();
        match said {
            Some(Said::Closed(counts)) => {
                let delivered = counts.delivered.min(state.stats.frames);
                state.stats.frames_delivered = delivered.max(state.stats.frames_delivered);
                state.closed = Some(ClosedReport { delivered, ..ClosedReport::default() });
            }
            Some(Said::Refused(words)) => {
                state.ended.get_or_insert(words);
            }
            Some(Said::Gone) => is_gone = true,
            None => {}
        }
        if let Err(error) = polled {
            state.ended.get_or_insert_with(|| error.to_string());
        } else if is_gone && state.closed.is_none() {
            if state.has_said_close() && state.is_settled() {
                // It has taken everything, and gone before it said so.
                let delivered = state.stats.frames_delivered;
                state.closed = Some(ClosedReport { delivered, is_forgotten: true, ..ClosedReport::default() });
            } else {
                state.ended.get_or_insert_with(|| HUB_GONE.to_owned());
            }
        }
        let (is_over, is_closed) = (state.is_over(), state.closed.is_some());
        drop(state);
        shared.notify();
        if is_over && !is_closed {
            on_end();
        }
        if is_over || is_closed {
            return;
        }
    }
}
