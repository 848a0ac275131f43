//! Datagrams that this machine has dropped, whichever program they were for: since it was started, and while it is watched.

use std::ops::AddAssign;
use std::time::Duration;

use super::finding::Finding;
use super::machine::Machine;

/// What the kernel has counted up to one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counters {
    udp: Result<Udp, String>,
    /// Dropped on their way from an interface into the stack.
    backlog: Result<u64, String>,
    /// How many packets may wait there.
    backlog_max: u64,
}

/// Of both versions of IP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Udp {
    /// No room in the receive buffer of their socket.
    full_buffer: u64,
    /// No memory for UDP at all.
    no_memory: u64,
    /// Wrong checksum, or anything else.
    broken: u64,
}

impl AddAssign for Udp {
    fn add_assign(&mut self, other: Self) {
        self.full_buffer += other.full_buffer;
        self.no_memory += other.no_memory;
        self.broken += other.broken;
    }
}

impl Counters {
    /// As they are now.
    pub(super) fn read(machine: &Machine) -> Self {
        let udp = machine.read("/proc/net/snmp").and_then(|v4| {
            let mut udp = udp_of(&snmp(&v4)).ok_or("/proc/net/snmp has no counters of UDP")?;
            // A machine without IPv6 has no such file.
            if let Ok(v6) = machine.read("/proc/net/snmp6") {
                udp += udp_of(&snmp6(&v6)).unwrap_or_default();
            }
            Ok(udp)
        });
        Self {
            udp,
            backlog: machine.read("/proc/net/softnet_stat").map(|text| backlog_drops(&text)),
            backlog_max: machine
                .read("/proc/sys/net/core/netdev_max_backlog")
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0),
        }
    }
}

/// The counters of UDP by name, from `/proc/net/snmp`: a line of names, then one of numbers.
fn snmp(text: &str) -> Vec<(&str, u64)> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return Vec::new() };
    let numbers = numbers.split_whitespace().map(|number| number.parse().unwrap_or(0));
    names.split_whitespace().zip(numbers).collect()
}

/// The same from `/proc/net/snmp6`: a name and a number in each line.
fn snmp6(text: &str) -> Vec<(&str, u64)> {
    let counters = text.lines().filter_map(|line| line.strip_prefix("Udp6")?.split_once(char::is_whitespace));
    counters.map(|(name, number)| (name, number.trim().parse().unwrap_or(0))).collect()
}

fn udp_of(counters: &[(&str, u64)]) -> Option<Udp> {
    let count = |name| counters.iter().find(|(its, _)| *its == name).map(|(_, count)| *count);
    let (full_buffer, no_memory) = (count("RcvbufErrors")?, count("MemErrors").unwrap_or(0));
    // InErrors counts each of the others once more.
    let broken = count("InErrors")?.saturating_sub(full_buffer).saturating_sub(no_memory);
    Some(Udp { full_buffer, no_memory, broken })
}

/// A line a CPU, hexadecimal; the second number is what was dropped.
fn backlog_drops(text: &str) -> u64 {
    let dropped = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    text.lines().filter_map(dropped).sum()
}

/// What has become of the counters while the machine was watched.
pub(super) fn findings(before: &Counters, after: &Counters, watched: Duration) -> Vec<Finding> {
    let watched = format!("{:.1} s", watched.as_secs_f64());
    vec![
        judge_udp(&before.udp, &after.udp, &watched),
        judge_backlog(&before.backlog, &after.backlog, after.backlog_max, &watched),
    ]
}

fn judge_udp(before: &Result<Udp, String>, after: &Result<Udp, String>, watched: &str) -> Finding {
    const ID: &str = "dropped-datagrams";
    /// Column `d` is the socket's drops.
    const WHICH: &str = "ss -uapmn   # the number after d in skmem:(…) is what that socket has dropped";
    let (before, after) = match (before, after) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(why), _) | (_, Err(why)) => return Finding::unknown(ID, why),
    };
    let now = Udp {
        full_buffer: after.full_buffer.saturating_sub(before.full_buffer),
        no_memory: after.no_memory.saturating_sub(before.no_memory),
        broken: after.broken.saturating_sub(before.broken),
    };
    if now.no_memory > 0 {
        let seen = format!("{} datagrams were dropped in {watched} as UDP had no memory left.", now.no_memory);
        return Finding::costs_frames(ID, seen, "Every program here that receives UDP loses datagrams.")
            .mend("sysctl net.ipv4.udp_mem   # the limits, in pages; sudo sysctl -w net.ipv4.udp_mem='LOW PRESSURE MAX' raises them");
    }
    if now.full_buffer > 0 {
        let seen = format!(
            "{} datagrams were dropped in {watched} as their socket's receive buffer was full.",
            now.full_buffer
        );
        return Finding::costs_frames(
            ID,
            seen,
            "A program that runs now is not reading its socket as fast as it fills. If it is a \
             framewire-server, its summary counts them as socket_drops.",
        )
        .mend(WHICH);
    }
    let total = after.full_buffer + after.no_memory;
    if total > 0 {
        let seen = format!(
            "{total} datagrams have been dropped for want of room since the machine was started; none in {watched}."
        );
        return Finding::advice(
            ID,
            seen,
            "Some program was not reading its socket as fast as it filled. Look again while frames \
             flow: only what is dropped then matters to them.",
        )
        .mend(WHICH);
    }
    if now.broken > 0 {
        let seen = format!("{} datagrams with errors came in {watched}.", now.broken);
        return Finding::advice(
            ID,
            seen,
            "Something on the way damages datagrams; Framewire asks for those slices again.",
        )
        .mend("ip -s -s link   # which interface counts errors");
    }
    Finding::fine(ID, "No datagram has been dropped for want of room since the machine was started.")
}

fn judge_backlog(before: &Result<u64, String>, after: &Result<u64, String>, limit: u64, watched: &str) -> Finding {
    const ID: &str = "backlog";
    const KEY: &str = "net.core.netdev_max_backlog";
    /// Several frames of 1,472-byte datagrams.
    const BACKLOG: u64 = 16_384;
    let (before, after) = match (before, after) {
        (Ok(before), Ok(after)) => (*before, *after),
        (Err(why), _) | (_, Err(why)) => return Finding::unknown(ID, why),
    };
    let now = after.saturating_sub(before);
    if now > 0 {
        let seen = format!(
            "{now} packets were dropped in {watched} before the stack looked at them, as {KEY} waited already."
        );
        return Finding::costs_frames(ID, seen, "Slices among them are lost, and asked for again where there is time.")
            .sysctl(KEY, BACKLOG.max(2 * limit));
    }
    if after > 0 && limit >= BACKLOG {
        let seen = format!(
            "{after} packets have been dropped before the stack looked at them since the machine was started, none in {watched}; \
             {KEY} is {limit}."
        );
        return Finding::fine(ID, seen);
    }
    if after > 0 {
        let seen = format!(
            "{after} packets have been dropped before the stack looked at them since the machine was started; none in {watched}."
        );
        return Finding::advice(ID, seen, format!("At times more packets came at once than {KEY}."))
            .sysctl(KEY, BACKLOG);
    }
    Finding::fine(ID, "No packet has been dropped before the stack looked at it since the machine was started.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::machine::made_up::machine;

    const SNMP: &str = "\
Ip: Forwarding DefaultTTL
Ip: 1 64
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
Udp: 1000 5 12 900 7 0 1 0 2
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors
UdpLite: 0 0 99 0 99 0 0 0 99
";
    const SNMP6: &str = "Ip6InReceives   \t5\nUdp6InErrors    \t3\nUdp6RcvbufErrors \t3\nUdpLite6InErrors \t99\n";
    const SECOND: Duration = Duration::from_secs(1);

    fn counters(full_buffer: u64, no_memory: u64, broken: u64, backlog: u64) -> Counters {
        Counters { udp: Ok(Udp { full_buffer, no_memory, broken }), backlog: Ok(backlog), backlog_max: 0 }
    }

    fn states(before: &Counters, after: &Counters) -> [State; 2] {
        let findings = findings(before, after, SECOND);
        [findings[0].state, findings[1].state]
    }

    #[test]
    fn both_versions_of_ip_are_counted_and_nothing_else() {
        let softnet = "00000010 00000003 0\n00000010 0000000a 0\n";
        let files = [("/proc/net/snmp", SNMP), ("/proc/net/snmp6", SNMP6), ("/proc/net/softnet_stat", softnet)];
        let (_root, with_both) = machine(&files);
        assert_eq!(Counters::read(&with_both), counters(10, 2, 3, 13));
        let (_root, with_v4) = machine(&files[..1]);
        assert_eq!(Counters::read(&with_v4).udp, counters(7, 2, 3, 0).udp);
    }

    #[test]
    fn what_is_dropped_while_one_looks_costs_frames() {
        let before = counters(10, 0, 0, 5);
        assert_eq!(states(&before, &counters(11, 0, 0, 6)), [State::CostsFrames; 2]);
        let seen = &findings(&before, &counters(13, 0, 0, 5), SECOND)[0].seen;
        assert!(seen.starts_with("3 datagrams were dropped in 1.0 s"), "{seen}");
        let memory = &findings(&before, &counters(13, 4, 0, 5), SECOND)[0];
        assert!(memory.mend.as_ref().unwrap().contains("udp_mem"));
    }

    #[test]
    fn what_was_dropped_before_is_told_and_costs_nothing_now() {
        let counted = counters(82_315_390, 0, 0, 5);
        assert_eq!(states(&counted, &counted), [State::Advice; 2]);
        assert!(findings(&counted, &counted, SECOND)[0].seen.contains("82315390"));
    }

    #[test]
    fn no_limit_is_advised_below_the_one_that_there_is() {
        let counted = Counters { backlog_max: 250_000, ..counters(0, 0, 0, 5) };
        assert_eq!(states(&counted, &counted)[1], State::Fine);
        let more = Counters { backlog_max: 250_000, ..counters(0, 0, 0, 6) };
        assert!(findings(&counted, &more, SECOND)[1].mend.as_ref().unwrap().ends_with("=500000"));
    }

    #[test]
    fn nothing_dropped_is_fine_and_damage_is_told() {
        assert_eq!(states(&counters(0, 0, 9, 0), &counters(0, 0, 9, 0)), [State::Fine; 2]);
        assert_eq!(states(&counters(0, 0, 9, 0), &counters(0, 0, 10, 0)), [State::Advice, State::Fine]);
    }

    #[test]
    fn counters_that_go_back_or_are_not_there_are_no_reason_to_panic() {
        assert_eq!(states(&counters(9, 9, 9, 9), &counters(0, 0, 0, 0)), [State::Fine; 2]);
        let (_root, bare) =
            machine(&[("/proc/net/snmp", "Udp: InErrors\nUdp:"), ("/proc/net/softnet_stat", "zz\n\n1")]);
        let read = Counters::read(&bare);
        assert_eq!(states(&read, &read), [State::Unknown, State::Fine]);
    }
}
