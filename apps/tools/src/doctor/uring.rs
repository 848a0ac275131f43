//! io_uring, and the memory that its queues may count against.

use super::finding::{Finding, size};
use super::machine::Machine;

pub(super) fn findings(machine: &Machine) -> Vec<Finding> {
    vec![judge_ring(machine.number("/proc/sys/kernel/io_uring_disabled").ok(), &try_ring()), judge_memlock(memlock())]
}

/// What came of setting a ring up.
#[derive(Debug)]
#[cfg_attr(not(all(feature = "uring", target_os = "linux")), allow(dead_code, reason = "nothing is tried"))]
enum Tried {
    Works,
    /// Built without the feature `uring`, or elsewhere than on Linux.
    #[cfg_attr(all(feature = "uring", target_os = "linux"), allow(dead_code, reason = "it is there"))]
    LeftOut,
    /// Why not, as the transport says it, and what to do.
    Refused {
        why: String,
        mend: Remedy,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(all(feature = "uring", target_os = "linux")), allow(dead_code, reason = "nothing is tried"))]
enum Remedy {
    SwitchOn,
    AllowInSandbox,
    RaiseMemlock,
    Nothing,
}

#[cfg(all(feature = "uring", target_os = "linux"))]
fn try_ring() -> Tried {
    use framewire_transport::backend::{RingError, probe};
    match probe::io_uring() {
        Ok(()) => Tried::Works,
        Err(error) => {
            let mend = match error {
                RingError::SwitchedOff(_) => Remedy::SwitchOn,
                RingError::Denied(_) => Remedy::AllowInSandbox,
                RingError::Memory { .. } => Remedy::RaiseMemlock,
                _ => Remedy::Nothing,
            };
            Tried::Refused { why: error.to_string(), mend }
        }
    }
}

#[cfg(not(all(feature = "uring", target_os = "linux")))]
fn try_ring() -> Tried {
    Tried::LeftOut
}

fn judge_ring(switch: Option<u32>, tried: &Tried) -> Finding {
    const ID: &str = "io-uring";
    /// What is lost without it.
    const CONSEQUENCE: &str = "--backend uring has mmsg take its place. Nothing else needs a ring.";
    let switch = switch.map(|switch| format!(" (kernel.io_uring_disabled = {switch})")).unwrap_or_default();
    match tried {
        Tried::Works => Finding::fine(ID, format!("A ring was set up for a socket{switch}.")),
        Tried::LeftOut => Finding::advice(ID, "This program was built without io_uring.", CONSEQUENCE)
            .mend("cargo build --release --features uring"),
        Tried::Refused { why, mend } => {
            let finding = Finding::advice(ID, format!("No ring can be set up: {why}."), CONSEQUENCE);
            match mend {
                Remedy::SwitchOn => finding.sysctl("kernel.io_uring_disabled", 0),
                Remedy::AllowInSandbox => finding
                    .mend("docker run --security-opt seccomp=PROFILE.json …   # one that allows the io_uring_* calls"),
                Remedy::RaiseMemlock => raise_memlock(finding),
                Remedy::Nothing => finding,
            }
        }
    }
}

/// RLIMIT_MEMLOCK, bytes; `None` where there is no limit.
fn memlock() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Memlock).current
}

/// Kernels of today give every process 8 MiB.
const MEMLOCK_ENOUGH: u64 = 8 << 20;

fn judge_memlock(limit: Option<u64>) -> Finding {
    const ID: &str = "locked-memory";
    match limit {
        None => Finding::fine(ID, "The process may lock as much memory as it likes."),
        Some(limit) if limit >= MEMLOCK_ENOUGH => {
            Finding::fine(ID, format!("The process may lock {} of memory (RLIMIT_MEMLOCK).", size(limit)))
        }
        Some(limit) => raise_memlock(Finding::advice(
            ID,
            format!("The process may lock {} of memory (RLIMIT_MEMLOCK).", size(limit)),
            "The queues of an io_uring may not fit, with many streams above all; mmsg then takes its place.",
        )),
    }
}

fn raise_memlock(finding: Finding) -> Finding {
    finding
        .mend("sudo prlimit --memlock=unlimited --pid $$")
        .keep("printf '* - memlock unlimited\\n' | sudo tee /etc/security/limits.d/60-framewire.conf")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn a_ring_that_works_is_fine_and_the_switch_is_told() {
        let finding = judge_ring(Some(0), &Tried::Works);
        assert_eq!(finding.state, State::Fine);
        assert!(finding.seen.contains("io_uring_disabled = 0"), "{}", finding.seen);
    }

    #[test]
    fn a_ring_that_is_refused_costs_no_frame_and_names_the_remedy() {
        let refused = |mend| judge_ring(Some(2), &Tried::Refused { why: "switched off".into(), mend });
        let finding = refused(Remedy::SwitchOn);
        assert_eq!(finding.state, State::Advice);
        assert_eq!(finding.mend.as_deref(), Some("sudo sysctl -w kernel.io_uring_disabled=0"));
        assert!(refused(Remedy::AllowInSandbox).mend.unwrap().contains("seccomp"));
        assert!(refused(Remedy::RaiseMemlock).mend.unwrap().contains("memlock"));
        assert_eq!(refused(Remedy::Nothing).mend, None);
        assert!(judge_ring(None, &Tried::LeftOut).mend.unwrap().contains("--features uring"));
    }

    #[test]
    fn little_lockable_memory_is_told_and_no_limit_is_fine() {
        assert_eq!(judge_memlock(None).state, State::Fine);
        assert_eq!(judge_memlock(Some(8 << 20)).state, State::Fine);
        let finding = judge_memlock(Some(64 << 10));
        assert!(finding.state == State::Advice && finding.seen.contains("64 KiB"), "{finding:?}");
    }
}
