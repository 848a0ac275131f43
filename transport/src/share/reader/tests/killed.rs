//! Hubs that are killed, and stopped: processes of their own, which run this very program.

use std::process::{Command, Stdio};

use framewire_testing::{Guard, Signal, send, wait_for};

use super::real_hub::Host;
use super::*;

/// Names the folder of a hub that this process is to be, and the first of its frames.
const HUB: &str = "FRAMEWIRE_TEST_HUB";
const FIRST: &str = "FRAMEWIRE_TEST_FIRST";

/// Run by itself it does nothing: it is what the hubs of the other tests here are.
#[test]
fn a_hub_in_a_process_of_its_own() {
    let Some(path) = std::env::var_os(HUB) else { return };
    let folder = std::mem::ManuallyDrop::new(Folder(path.into()));
    let mut host = Host::new(&folder, Delivery::Latest);
    host.next = std::env::var(FIRST).unwrap().parse().unwrap();
    loop {
        host.publish();
        std::thread::sleep(Duration::from_micros(300));
    }
}

fn hub_process(folder: &Folder, first: u64) -> Guard {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "share::reader::tests::killed::a_hub_in_a_process_of_its_own", "--nocapture"]);
    command.env(HUB, &folder.0).env(FIRST, first.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    Guard(command.spawn().unwrap())
}

fn connected(folder: &Folder) -> Reader {
    wait_for("a hub", || Reader::connect(folder.endpoint()))
}

/// How often a hub is killed.
fn cycles() -> u64 {
    std::env::var("FRAMEWIRE_CYCLES").map_or(8, |cycles| cycles.parse().unwrap())
}

#[test]
fn frames_of_killed_hubs_stay_intact_while_the_frames_of_the_next_are_read() {
    let folder = Folder::new();
    let mut hub = hub_process(&folder, 0);
    let config = SubscriptionConfig::new().policy(ConsumerPolicy::Queue(2));
    connected(&folder).wait_for("front", PATIENCE).unwrap();
    let subscription = folder.reader().subscribe_with("front", config).unwrap();
    let mut held = Vec::new();
    for cycle in 1..=cycles() {
        for _ in 0..20 {
            let frame = subscription.recv().unwrap();
            assert_eq!(number(&frame) / 1_000_000, cycle - 1, "a frame of another hub");
        }
        held.push(subscription.recv().unwrap());
        send(Signal::KILL, hub.0.id());
        // What waited is taken first.
        let told = (0..1_000_000).find_map(|_| subscription.recv_timeout(PATIENCE).map(|frame| number(&frame)).err());
        assert_eq!(told, Some(RecvError::HubGone));
        assert_eq!(
            held.iter().map(|frame| number(frame) / 1_000_000).collect::<Vec<_>>(),
            (0..cycle).collect::<Vec<_>>()
        );
        // The reader may learn of its end before the kernel has given up its lock on the socket's path.
        drop(hub);
        hub = hub_process(&folder, cycle * 1_000_000);
    }
    let frame = subscription.recv().unwrap();
    assert_eq!(number(&frame) / 1_000_000, cycles());
    let stats = subscription.stats();
    assert_eq!((stats.reconnects, stats.held), (cycles(), 1));
    let (waiting, sum) = (2, stats.taken + stats.dropped);
    assert!((sum..=sum + waiting).contains(&stats.offered), "{stats:?}");
}

#[test]
fn a_hub_that_is_stopped_is_waited_for_and_is_not_gone() {
    let folder = Folder::new();
    let hub = hub_process(&folder, 0);
    connected(&folder).wait_for("front", PATIENCE).unwrap();
    let subscription = folder.reader().subscribe("front", ConsumerPolicy::Latest).unwrap();
    subscription.recv().unwrap();
    send(Signal::STOP, hub.0.id());
    // What it was about when it was stopped is still to come.
    let stopped = loop {
        match subscription.recv_timeout(Duration::from_millis(50)) {
            Ok(frame) => drop(frame),
            Err(error) => break error,
        }
    };
    assert_eq!(stopped, RecvError::Timeout);
    assert!(subscription.is_connected());
    send(Signal::CONT, hub.0.id());
    number(&subscription.recv().unwrap());
    assert_eq!(subscription.stats().reconnects, 0);
}
