//! Readers, and hubs, that are gone.

use super::*;

#[test]
fn a_reader_that_hangs_up_gives_back_all_that_it_had() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(QUEUE);
    for _ in 0..4 {
        host.publish();
    }
    let held: Vec<_> = std::iter::from_fn(|| reader.take()).collect();
    assert_eq!((held.len(), host.pool.held_count()), (4, 4));
    drop(reader);
    host.until_gone();
    assert_eq!(host.pool.held_count(), 0);
    // Its slots are another's.
    let all: Vec<_> = (0..4).map(|_| host.read(QUEUE)).collect();
    let refused = TestReader::subscribe(host.socket(), "front", LATEST).err().unwrap();
    assert_eq!(refused, (Refusal::Slots, 0, 24));
    drop(all);
    host.until_gone();
    host.read(LATEST);
}

/// No test by itself: a process that reads, and whose child has its socket open when it is killed.
#[test]
#[expect(clippy::zombie_processes, reason = "it is killed before, and what it leaves behind is what is tried")]
fn reads_with_an_heir() {
    let Some(path) = std::env::var_os("FRAMEWIRE_TEST_HEIR") else { return };
    let reader = TestReader::subscribe(connect(path.as_ref()).unwrap(), "front", LATEST).unwrap();
    let held = reader.take();
    let socket = reader.socket.try_clone().unwrap();
    let mut sleep = std::process::Command::new("sleep");
    let heir = sleep.arg("600").stdin(socket).stdout(std::process::Stdio::null()).spawn().unwrap();
    println!("\nheir {}", heir.id());
    // Until it is killed.
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    drop(held);
}

#[test]
fn a_killed_reader_whose_child_lives_on_with_its_socket_gives_back_what_it_had_too() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let mut host = Host::new(Delivery::Latest, |config| config);
    host.publish();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["share::hub::tests::gone::reads_with_an_heir", "--exact", "--nocapture"])
        .env("FRAMEWIRE_TEST_HEIR", host.folder.join("hub.sock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let heir = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("heir ")?.parse::<i32>().ok()).unwrap();
    host.until("its taking", |host| host.figures().held == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    host.until_gone();
    let heir = rustix::process::Pid::from_raw(heir).unwrap();
    // It was there all the time.
    rustix::process::kill_process(heir, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn readers_learn_by_the_end_of_their_pipe_that_the_hub_is_gone_and_keep_what_they_have() {
    let mut host = Host::new(Delivery::Latest, |config| config);
    let reader = host.read(LATEST);
    host.publish();
    let frame = reader.take().unwrap();
    assert!(!reader.has_end_of_pipe());
    drop(host.hub.take());
    assert!(reader.has_end_of_pipe());
    assert_eq!(reader.end(), Some(End::Hub));
    assert!(receive(&reader.socket, &mut [0; PACKET_MAX]).is_none());
    assert!(frame.iter().all(|byte| *byte == 0));
}
