//! What sockets may hold: the kernel's limits, and what a socket is really given.

use std::io;
use std::net::Ipv4Addr;

use framewire_transport::backend::ConnectedSocket;
use framewire_transport::driver::SEND_BUFFER_MAX;
use framewire_transport::receive::{RECEIVE_BUFFER_MAX, buffer_bytes_wanted};
use framewire_transport::wire::{Cut, DATAGRAM_MAX};

use super::finding::{Finding, size};
use super::machine::Machine;

const RECEIVE_LIMIT: &str = "net.core.rmem_max";
const SEND_LIMIT: &str = "net.core.wmem_max";

pub(super) fn findings(machine: &Machine) -> Vec<Finding> {
    let receive_limit = machine.number("/proc/sys/net/core/rmem_max");
    let granted = granted_receive_buffer();
    vec![
        judge_receive_limit(&receive_limit),
        judge_granted(&granted, receive_limit.ok()),
        judge_send_limit(&machine.number("/proc/sys/net/core/wmem_max")),
    ]
}

/// Asks for the largest buffer that a stream asks for.
fn granted_receive_buffer() -> io::Result<u64> {
    let socket = ConnectedSocket::connect((Ipv4Addr::LOCALHOST, 9).into())?;
    Ok(socket.set_receive_buffer(RECEIVE_BUFFER_MAX)? as u64)
}

fn judge_receive_limit(limit: &Result<u64, String>) -> Finding {
    const ID: &str = "receive-buffer-limit";
    let limit = match limit {
        Ok(limit) => *limit,
        // Network namespaces of containers do not show it, and what a socket is given tells as much.
        Err(why) => return Finding::unknown(ID, why),
    };
    let buffer = buffer_of(limit);
    let seen = format!("{RECEIVE_LIMIT} is {limit}: sockets have receive buffers of up to {}.", size(buffer));
    judge_room(ID, seen, buffer)
}

fn judge_granted(granted: &io::Result<u64>, limit: Option<u64>) -> Finding {
    const ID: &str = "receive-buffer";
    let granted = match granted {
        Ok(granted) => *granted,
        Err(error) => return Finding::unknown(ID, format!("No socket could be asked for a receive buffer: {error}.")),
    };
    let wanted = size(RECEIVE_BUFFER_MAX as u64);
    let mut seen = format!("A socket that asks for a receive buffer of {wanted} is given {}.", size(granted));
    if limit.is_some_and(|limit| granted > buffer_of(limit)) {
        seen += " That is beyond the limit, as this process has CAP_NET_ADMIN; others are not given it.";
    }
    judge_room(ID, seen, granted)
}

/// A receiver grants credit for what its buffer holds. Two frames serve best; where not even one fits, a sender has to wait
/// within each.
fn judge_room(id: &'static str, seen: String, buffer: u64) -> Finding {
    let frames = 2.0 * buffer as f64 / two_frames() as f64;
    if buffer >= RECEIVE_BUFFER_MAX as u64 {
        return Finding::fine(id, seen);
    }
    let seen = format!("{seen} That holds {frames:.1} frames of 1920x1080 gray8.");
    let finding = if buffer * 2 < two_frames() {
        Finding::costs_frames(
            id,
            seen,
            "Senders are held to a part of a frame at a time: latest streams skip frames for want of credit, every streams \
             slow down, and the plain wire, which has no credit, loses datagrams.",
        )
    } else if buffer < two_frames() {
        Finding::advice(id, seen, "Two frames serve best: with fewer, a sender waits for the receiver in between.")
    } else {
        Finding::advice(id, seen, "Streams of larger frames are held to less than the two frames that serve best.")
    };
    finding.sysctl(RECEIVE_LIMIT, RECEIVE_BUFFER_MAX as u64)
}

fn judge_send_limit(limit: &Result<u64, String>) -> Finding {
    const ID: &str = "send-buffer-limit";
    let limit = match limit {
        Ok(limit) => *limit,
        Err(why) => return Finding::unknown(ID, why),
    };
    let buffer = buffer_of(limit);
    let seen = format!("{SEND_LIMIT} is {limit}: sockets have send buffers of up to {}.", size(buffer));
    // What a frame of 1920x1080 gray8 asks for: itself.
    if buffer >= FRAME_BYTES.into() {
        return Finding::fine(ID, seen);
    }
    let consequence = "A frame of 1920x1080 gray8 does not fit: its sender is woken several times for each.";
    Finding::advice(ID, seen, consequence).sysctl(SEND_LIMIT, SEND_BUFFER_MAX as u64)
}

/// The kernel sets twice what is asked for, and what is asked for is cut to the limit.
fn buffer_of(limit: u64) -> u64 {
    limit.saturating_mul(2)
}

/// The yardstick: 1920x1080 gray8.
const FRAME_BYTES: u32 = 1920 * 1080;

/// The buffer that serves such a stream on this machine best, which is one for two frames.
fn two_frames() -> u64 {
    buffer_bytes_wanted(&Cut::new(FRAME_BYTES, DATAGRAM_MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn the_limit_that_linux_begins_with_costs_frames() {
        let finding = judge_receive_limit(&Ok(212_992));
        assert_eq!(finding.state, State::CostsFrames);
        assert!(finding.seen.contains("rmem_max is 212992") && finding.seen.contains("416 KiB"), "{}", finding.seen);
        assert!(finding.seen.contains("holds 0.2 frames"), "{}", finding.seen);
        assert_eq!(finding.mend.as_deref(), Some("sudo sysctl -w net.core.rmem_max=16777216"));
        assert!(finding.keep.unwrap().contains("/etc/sysctl.d/"));
    }

    #[test]
    fn a_limit_that_holds_a_frame_or_two_is_slower_and_loses_none() {
        for limit in [2 << 20, 4 << 20] {
            assert_eq!(judge_receive_limit(&Ok(limit)).state, State::Advice, "{limit}");
        }
    }

    #[test]
    fn what_is_recommended_is_fine_once_it_is_set() {
        assert_eq!(judge_receive_limit(&Ok(RECEIVE_BUFFER_MAX as u64)).state, State::Fine);
        assert_eq!(judge_send_limit(&Ok(SEND_BUFFER_MAX as u64)).state, State::Fine);
        assert_eq!(judge_granted(&Ok(RECEIVE_BUFFER_MAX as u64), None).state, State::Fine);
    }

    #[test]
    fn a_small_send_buffer_is_slower_only() {
        let finding = judge_send_limit(&Ok(212_992));
        assert_eq!(finding.state, State::Advice);
        assert_eq!(finding.mend.as_deref(), Some("sudo sysctl -w net.core.wmem_max=8388608"));
    }

    #[test]
    fn a_privileged_process_is_told_that_others_are_given_less() {
        let finding = judge_granted(&Ok(32 << 20), Some(212_992));
        assert!(finding.state == State::Fine && finding.seen.contains("CAP_NET_ADMIN"), "{finding:?}");
        assert!(!judge_granted(&Ok(425_984), Some(212_992)).seen.contains("CAP_NET_ADMIN"));
    }

    #[test]
    fn a_limit_that_is_hidden_is_unknown_and_not_fine() {
        assert_eq!(judge_receive_limit(&Err("hidden".into())).state, State::Unknown);
        assert_eq!(judge_send_limit(&Err("hidden".into())).state, State::Unknown);
        assert_eq!(judge_granted(&Err(io::Error::from_raw_os_error(24)), None).state, State::Unknown);
    }

    #[test]
    fn a_socket_of_this_machine_is_given_something() {
        assert!(granted_receive_buffer().unwrap() > 0);
    }
}
