//! `framewire doctor`: what this machine limits, and the commands that mend it.
//!
//! Each check reads what it needs from files of the kernel or tries it on a real socket, and hands the values to a function that
//! judges them.

mod buffers;
mod cpus;
mod drops;
mod finding;
mod machine;
mod opencv;
mod pages;
mod path;
mod protection;
mod report;
mod route;
mod sharing;
mod trains;
mod uring;

use std::time::{Duration, Instant};

use clap::Args;
use framewire_process::exit::Failure;
use framewire_process::stop::Stop;

use drops::Counters;
use finding::Finding;
use machine::Machine;
use report::Report;
use route::Route;

/// How long the counters of dropped datagrams are watched.
const WATCHED: Duration = Duration::from_secs(1);

/// What is looked at.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The interface that frames go by; by default the one on the way to --host, else loopback
    #[arg(long, value_name = "IFACE")]
    pub interface: Option<String>,
    /// Look at the way to this host too; nothing is sent to it
    #[arg(long, value_name = "HOST[:PORT]")]
    pub host: Option<String>,
    /// Print one JSON object instead
    #[arg(long)]
    pub json: bool,
}

/// Looks at this machine and says what it finds.
///
/// # Errors
/// What cannot be asked for; what costs frames.
pub fn run(args: &DoctorArgs, stop: &Stop) -> Result<(), Failure> {
    let route = route::find(args.interface.as_deref(), args.host.as_deref())?;
    let findings = examine(&Machine::at("/"), &route, stop);
    Report::new(&route, findings).print(args.json)
}

/// What costs frames first, what is only slower after it.
fn examine(machine: &Machine, route: &Route, stop: &Stop) -> Vec<Finding> {
    let (begun, before) = (Instant::now(), Counters::read(machine));
    let mut findings = buffers::findings(machine);
    let rest = [
        trains::findings(machine, route),
        vec![path::finding(machine, route)],
        uring::findings(machine),
        vec![pages::finding(machine)],
        cpus::findings(machine),
        sharing::findings(machine),
        protection::findings(),
        vec![opencv::finding()],
    ];
    stop.sleep_until(begun + WATCHED);
    findings.extend(drops::findings(&before, &Counters::read(machine), begun.elapsed()));
    findings.extend(rest.into_iter().flatten());
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use finding::State;

    #[test]
    fn a_machine_that_tells_nothing_is_examined_all_the_same_and_every_id_is_there_once() {
        let empty = tempfile::tempdir().unwrap();
        let route = route::find(None, None).unwrap();
        let stop = Stop::new();
        // Nothing to watch for.
        stop.stop();
        let findings = examine(&Machine::at(empty.path()), &route, &stop);
        let mut ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
        ids.sort_unstable();
        assert_eq!(
            ids,
            [
                "backlog",
                "cpu-governor",
                "cpus",
                "dropped-datagrams",
                "huge-pages",
                "io-uring",
                "locked-memory",
                "open-files",
                "opencv",
                "path-mtu",
                "peer-process",
                "receive-buffer",
                "receive-buffer-limit",
                "receive-offload",
                "runtime-folder",
                "segmentation-offload",
                "send-buffer-limit",
                "shared-memory-exec",
                "shared-memory-seals",
                "state-directory",
                "stream-cipher",
            ]
        );
        for finding in findings {
            let is_hidden =
                ["receive-buffer-limit", "dropped-datagrams", "huge-pages", "path-mtu"].contains(&finding.id);
            assert!(!is_hidden || finding.state == State::Unknown, "{finding:?}");
            // What follows and what to do go together with a state that asks for something.
            assert!(finding.state != State::Fine || finding.mend.is_none(), "{finding:?}");
            assert_eq!(matches!(finding.state, State::Advice | State::CostsFrames), finding.consequence.is_some());
        }
    }
}
