//! The examples, as a newcomer runs them: without arguments, each to its end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use framewire_testing::PATIENCE;

/// Those that there are.
const NAMES: [&str; 10] = [
    "async_shared",
    "async_tokio",
    "losses",
    "metadata",
    "own_source",
    "read_shared",
    "receive_latest",
    "relay",
    "send_file",
    "two_consumers",
];

/// Where cargo puts the examples that it builds with the tests.
fn folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples")
}

#[test]
fn each_example_is_one_of_those_that_are_run_here() {
    let there = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap();
    let there = there.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(there.collect::<BTreeSet<_>>(), NAMES.map(str::to_owned).into());
}

#[test]
fn every_example_runs_to_its_end_without_arguments() {
    // Frames are shared between processes on Linux alone.
    let runs = |name: &&str| cfg!(target_os = "linux") || !name.ends_with("_shared");
    let programs: Vec<_> = NAMES.into_iter().filter(runs).map(|name| folder().join(name)).collect();
    if let Some(missing) = programs.iter().find(|program| !program.exists()) {
        framewire_testing::skip(format!(
            "{} is not built; cargo test builds it, or cargo build --examples",
            missing.display()
        ));
        return;
    }
    for program in programs {
        let running = Command::new(&program).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let process = rustix::process::Pid::from_child(&running);
        let (done, ended) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || done.send(running.wait_with_output().unwrap()).unwrap());
            let output = match ended.recv_timeout(PATIENCE) {
                Ok(output) => output,
                Err(_) => {
                    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
                    let output = ended.recv().unwrap();
                    panic!("{} did not end: {output:?}", program.display());
                }
            };
            let said = String::from_utf8_lossy(&output.stdout);
            let failed = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.is_empty(), "{}: {said}{failed}", program.display());
        });
    }
}
