//! How many CPUs there are, and whether they keep their speed.

use std::collections::BTreeSet;
use std::io;

use super::finding::Finding;
use super::machine::Machine;

const DIRECTORY: &str = "/sys/devices/system/cpu";

pub(super) fn findings(machine: &Machine) -> Vec<Finding> {
    vec![judge_number(std::thread::available_parallelism().map(usize::from)), judge_governors(&governors(machine))]
}

fn judge_number(cpus: io::Result<usize>) -> Finding {
    const ID: &str = "cpus";
    match cpus {
        Ok(1) => Finding::advice(
            ID,
            "This process has 1 CPU.",
            "What sends, what receives and what uses the frames take turns: the rate is about half. Give the machine, the \
             container or the service two CPUs or more.",
        ),
        Ok(cpus) => Finding::fine(ID, format!("This process has {cpus} CPUs.")),
        Err(error) => Finding::unknown(ID, format!("The CPUs of this process cannot be counted: {error}.")),
    }
}

/// The governors of all CPUs, each once.
fn governors(machine: &Machine) -> BTreeSet<String> {
    let names = machine.names(DIRECTORY).into_iter().filter(|name| {
        name.strip_prefix("cpu").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    });
    names.filter_map(|name| machine.read(&format!("{DIRECTORY}/{name}/cpufreq/scaling_governor")).ok()).collect()
}

fn judge_governors(governors: &BTreeSet<String>) -> Finding {
    const ID: &str = "cpu-governor";
    let names = governors.iter().map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
    if governors.is_empty() {
        return Finding::fine(ID, "This machine leaves the frequency of its CPUs to the hardware or to its host.");
    }
    if governors.iter().all(|governor| governor == "performance") {
        return Finding::fine(ID, "All CPUs have the governor performance.");
    }
    Finding::advice(
        ID,
        format!("The governor of the CPUs is {names}."),
        "CPUs slow down between frames: each frame's first slices take longer, which shows in the latency at low rates.",
    )
    .sysfs(&format!("{DIRECTORY}/cpu*/cpufreq/scaling_governor"), "performance")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::machine::made_up::machine;

    #[test]
    fn one_cpu_is_slower_and_more_are_fine() {
        assert_eq!(judge_number(Ok(1)).state, State::Advice);
        assert_eq!(judge_number(Ok(2)).state, State::Fine);
        assert_eq!(judge_number(Err(io::Error::other("hidden"))).state, State::Unknown);
    }

    #[test]
    fn one_cpu_that_slows_down_is_told() {
        let (_root, mixed) = machine(&[
            ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
            ("/sys/devices/system/cpu/cpu11/cpufreq/scaling_governor", "schedutil\n"),
            ("/sys/devices/system/cpu/cpuidle/cpufreq/scaling_governor", "not a CPU\n"),
        ]);
        let finding = judge_governors(&governors(&mixed));
        assert_eq!(finding.state, State::Advice);
        assert!(finding.seen.contains("performance, schedutil"), "{}", finding.seen);
        let command = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
        assert_eq!(finding.mend.as_deref(), Some(command));
    }

    #[test]
    fn a_virtual_machine_without_governors_is_fine() {
        let (_root, bare) = machine(&[("/sys/devices/system/cpu/cpu0/online", "1")]);
        assert_eq!(judge_governors(&governors(&bare)).state, State::Fine);
    }
}
