//! What a UDP socket says, sorted by what helps. The one place that does: no loop looks at an error's number.
//!
//! No error of a moment ends a stream: not a firewall's rule, not an interface that is down, not an address that is gone, not a
//! report of the network, which anyone can forge who knows the ports. What is not known is tried again, too.

use std::io;
use std::time::Duration;

use crate::time::Time;
use crate::told::Told;

/// What helps against an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing is wrong: the socket is full, or empty.
    Wait,
    /// To ask the far end: the network reports that an earlier datagram reached nobody. A hint, for it may be forged.
    Ask,
    /// The same again, a little later.
    Again,
    /// Smaller datagrams. Said of an earlier one it is a hint, too.
    Smaller,
    /// To look whether this end has another address by now, and the same again.
    Look,
    /// Another socket: this one's address is not this machine's any more.
    Replace,
    /// Nothing but another program: the descriptor is no UDP socket.
    Fatal,
}

impl Remedy {
    /// So many times in a row a call fails so before that is taken for what befalls it: what the network reports of earlier datagrams fails the next call in place of what
    /// that was made for, once a report, and reports that are forged can come as fast as calls are made. What this machine itself says is the same each time, at little cost.
    pub(super) fn tries(self) -> u32 {
        match self {
            Self::Wait => 1,
            Self::Ask | Self::Smaller | Self::Look => 64,
            Self::Again | Self::Replace | Self::Fatal => 4,
        }
    }
}

/// Sorts an error of a call on a connected or listening UDP socket.
pub(super) fn remedy(error: &io::Error) -> Remedy {
    match error.raw_os_error() {
        _ if error.kind() == io::ErrorKind::WouldBlock => Remedy::Wait,
        // Of ICMP "port unreachable" and "protocol unreachable".
        Some(libc::ECONNREFUSED | libc::ENOPROTOOPT) => Remedy::Ask,
        Some(libc::EMSGSIZE) => Remedy::Smaller,
        // No route, or no interface: of this machine, or by ICMP. What there is now shows when it is looked for.
        Some(
            libc::ENETUNREACH | libc::ENETDOWN | libc::EHOSTUNREACH | libc::EHOSTDOWN | libc::ENODEV | libc::ENXIO,
        ) => Remedy::Look,
        // Routes from an address that is none of this machine's are invalid (Linux); no report of the network says this.
        Some(libc::EINVAL | libc::EADDRNOTAVAIL | libc::ENOTCONN | libc::EDESTADDRREQ | libc::EPIPE) => Remedy::Replace,
        Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::EOPNOTSUPP) => Remedy::Fatal,
        // A firewall's rule (EPERM, EACCES), no memory for datagrams (ENOBUFS, ENOMEM), a signal (EINTR), and all that is not known.
        _ => Remedy::Again,
    }
}

/// The first pause after an error that comes again at once; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// The longest. What may pass again is noticed within this.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// How often one socket's errors are told.
const TELL_APART: Duration = Duration::from_secs(1);

/// A socket that fails time and again: how long it is left alone, and when that is told.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// In a row.
    failures: u32,
    told: Told,
}

impl Trouble {
    /// It has failed again; how long to leave it alone.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = PAUSE_MIN * (1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        pause.min(PAUSE_MAX)
    }

    /// It works.
    pub(super) fn end(&mut self) {
        self.failures = 0;
    }

    /// Whether to tell of an error: the number of those since the last that was told, this one included.
    pub(super) fn tell(&mut self, now: Time) -> Option<u64> {
        self.told.news(now, TELL_APART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i32) -> Remedy {
        remedy(&io::Error::from_raw_os_error(number))
    }

    #[test]
    fn no_error_of_the_network_or_of_a_moment_is_fatal_and_neither_is_one_that_nobody_knows() {
        let fatal: Vec<i32> = (1..200).filter(|number| of(*number) == Remedy::Fatal).collect();
        let mut no_socket = [libc::EBADF, libc::ENOTSOCK, libc::EFAULT, libc::EOPNOTSUPP];
        no_socket.sort_unstable();
        assert_eq!(fatal, no_socket);
        for number in [libc::EPERM, libc::EACCES, libc::ENOBUFS, libc::ENOMEM, libc::EINTR, libc::EPROTO, 199] {
            assert_eq!(of(number), Remedy::Again, "{number}");
        }
        assert_eq!(remedy(&io::Error::other("made up")), Remedy::Again);
        assert_eq!(of(libc::EAGAIN), Remedy::Wait);
    }

    #[test]
    fn what_the_network_can_report_moves_nothing_by_itself() {
        // What Linux makes of ICMP "destination unreachable" of each code, and of ICMPv6.
        let reports = [
            libc::ENETUNREACH,
            libc::EHOSTUNREACH,
            libc::ENOPROTOOPT,
            libc::ECONNREFUSED,
            libc::EMSGSIZE,
            libc::EHOSTDOWN,
            libc::EACCES,
            libc::EPROTO,
        ];
        for report in reports {
            assert!(!matches!(of(report), Remedy::Replace | Remedy::Fatal), "{report}");
        }
    }

    #[test]
    fn an_error_that_lasts_is_met_ten_times_a_second_and_told_once() {
        let mut trouble = Trouble::default();
        let (mut now, mut met, mut told) = (Time::from_nanos(7), 0_u64, Vec::new());
        let end = now + Duration::from_secs(10);
        while now < end {
            told.extend(trouble.tell(now));
            met += 1;
            now = now + trouble.pause();
        }
        assert!((100..120).contains(&met), "{met} times in ten seconds");
        assert!(told.len() <= 10 && told.iter().sum::<u64>() <= met, "{told:?}");
        trouble.end();
        assert_eq!(trouble.pause(), PAUSE_MIN);
    }
}
