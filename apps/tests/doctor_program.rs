//! `framewire doctor` as a user runs it, on whatever machine this is.
#![allow(missing_docs)]

mod running;

use running::{program, run};
use serde_json::Value;

fn object(arguments: &[&str]) -> (Option<i32>, Value) {
    let output = run("framewire", &[&["doctor", "--json"], arguments].concat());
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

fn finding<'a>(object: &'a Value, id: &str) -> &'a Value {
    let findings = object["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no {id} in {object}"))
}

#[test]
fn the_exit_code_says_whether_something_costs_frames() {
    let (code, object) = object(&[]);
    let findings = object["findings"].as_array().unwrap();
    let costs_frames = findings.iter().any(|finding| finding["state"] == "costs-frames");
    assert_eq!(code, Some(i32::from(costs_frames)), "{object}");
    for finding in findings {
        let state = finding["state"].as_str().unwrap();
        assert!(["fine", "advice", "costs-frames", "unknown"].contains(&state), "{finding}");
        assert!(finding["seen"].as_str().is_some_and(|seen| !seen.is_empty()), "{finding}");
    }
}

#[test]
fn the_way_to_a_host_of_this_machine_is_loopback() {
    let (_, object) = object(&["--host", "127.0.0.1:9000"]);
    assert_eq!((&object["host"], &object["interface"]), (&"127.0.0.1".into(), &"lo".into()));
    let path = finding(&object, "path-mtu");
    assert_eq!(path["state"], "fine", "{path}");
    assert!(path["seen"].as_str().unwrap().contains("slices of 65507 bytes"), "{path}");
}

#[test]
fn people_read_a_hundred_columns_without_escapes_in_a_pipe() {
    let output = run("framewire", &["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("this machine limits") && !text.contains('\u{1b}'), "{text}");
    // Commands are there to be copied whole.
    let is_command = |line: &&str| ["mend  ", "keep  "].iter().any(|word| line.trim_start().starts_with(word));
    for line in text.lines().filter(|line| !is_command(line)) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn what_is_not_there_is_wrong_usage() {
    for (arguments, says) in [
        (["--interface", "no-such-one"], "this machine has"),
        (["--host", "no such host"], "'no such host'"),
        (["--host", "127.0.0.1:port"], "'127.0.0.1:port'"),
    ] {
        let output = program("framewire").arg("doctor").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says) && output.stdout.is_empty(), "{arguments:?}: {said}");
    }
}
