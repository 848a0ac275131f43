//! A local sender's stream: its frames are written where the hub has them, and handed over by a word in memory.
//!
//! The hub makes the slots and grants them one by one; the sender writes into those that it has been granted, and says by a bit that one is
//! a frame. At the hub nothing is believed but what it has granted itself: [`landing`]. The sender's end is [`source`].

pub(crate) mod landing;
mod network;
pub(crate) mod source;

pub(crate) use network::own_network;

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// A pipe: the end that is read, and the end that wakes whoever waits there. Neither waits.
fn pipe() -> std::io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?)
}

/// Wakes whoever waits at the other end of a pipe. A full one has a byte in it already, and one without readers nobody to wake.
fn wake(pipe: impl AsFd) {
    let _ = rustix::io::write(pipe, &[1]);
}

/// Takes out what is in a pipe; false where nobody can put anything in any more.
fn drain(pipe: impl AsFd) -> bool {
    let mut bytes = [0; 64];
    // So often that whoever fills it keeps nobody from anything else.
    for _ in 0..16 {
        match rustix::io::read(&pipe, &mut bytes[..]) {
            Ok(0) => return false,
            Ok(read) if read == bytes.len() => {}
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        }
    }
    true
}
