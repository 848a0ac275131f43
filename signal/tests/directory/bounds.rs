//! What is remembered of others, and for how long.

use framewire_signal::Pin;
use framewire_signal::directory::{
    ENTRY_BYTES_MAX, EntryError, NODES_MAX, NodeState, REMEMBERED_BYTES_MAX, STREAMS_MAX,
};
use framewire_signal::message::Hops;

use super::*;

fn directory() -> Directory {
    Directory::new(own(0, 1), key()).unwrap()
}

fn state(directory: &mut Directory, n: u32, at: f64) -> Option<NodeState> {
    directory.view(seconds(at)).node(own(n, 0).node).map(|node| node.state)
}

#[test]
fn a_node_that_is_silent_grows_stale_then_unreachable_then_is_gone_and_stays_so() {
    let mut directory = directory();
    let entry = said(1, 1, vec![stream(1, "cam")]);
    assert_eq!(directory.handle_entry(&entry, seconds(10.0)), Ok(Heard::New));
    for (at, expected) in [
        (15.9, Some(NodeState::Live)),
        (16.0, Some(NodeState::Stale)),
        (69.9, Some(NodeState::Stale)),
        (70.0, Some(NodeState::Unreachable)),
        (75.9, Some(NodeState::Unreachable)),
        (76.0, None),
    ] {
        assert_eq!(state(&mut directory, 1, at), expected, "at {at}");
    }
    // An engine that does not forget it brings it each second, for an hour.
    for second in 77..3_677 {
        assert_eq!(directory.handle_entry(&entry, seconds(f64::from(second))), Ok(Heard::Older));
    }
    assert_eq!(state(&mut directory, 1, 3_677.0), None);
    assert_eq!(directory.handle_entry(&said(1, 2, Vec::new()), seconds(3_678.0)), Ok(Heard::New), "its next run");
}

#[test]
fn of_two_runs_the_newer_is_believed_and_of_one_the_later_word() {
    let mut node = Directory::new(own(1, 5), key()).unwrap();
    let first = node.poll_own(seconds(0.0)).unwrap();
    assert_eq!(node.poll_own(seconds(1.9)), None);
    let second = node.poll_own(seconds(2.0)).unwrap();
    let mut directory = directory();
    assert_eq!(directory.handle_entry(&second, seconds(1.0)), Ok(Heard::New));
    assert_eq!(directory.handle_entry(&first, seconds(2.0)), Ok(Heard::Older));
    assert_eq!(directory.handle_entry(&second, seconds(3.0)), Ok(Heard::Same));
    assert_eq!(directory.handle_entry(&said(1, 4, Vec::new()), seconds(4.0)), Ok(Heard::Older));
    assert_eq!(directory.view(seconds(6.9)).nodes[1].state, NodeState::Live);
    assert_eq!(directory.view(seconds(7.0)).nodes[1].state, NodeState::Stale, "old news are no sign of life");
    assert_eq!(directory.handle_entry(&said(1, 6, Vec::new()), seconds(8.0)), Ok(Heard::Newer));
}

#[test]
fn others_are_told_of_a_change_within_100_ms_and_of_figures_with_the_next_renewal() {
    let mut node = directory();
    node.set_own(OwnState::new(vec![stream(1, "cam")]));
    assert!(node.poll_own(seconds(0.0)).is_some());
    node.set_own(OwnState::new(vec![stream(1, "cam").frames_per_second(30.0).bytes_per_second(9_216_000)]));
    assert_eq!(node.own_is_due_at(), seconds(2.0));
    node.set_own(OwnState::new(vec![stream(1, "cam").idle(true)]));
    assert_eq!(node.own_is_due_at(), seconds(0.1));
    assert_eq!(node.poll_own(seconds(0.05)), None);
    assert!(node.poll_own(seconds(0.1)).is_some());
    assert_eq!(node.own_is_due_at(), seconds(2.1));
    let renewed = Pin::of_public_key(b"renewed");
    node.set_own(OwnState::new(vec![stream(1, "cam").idle(true)]).pin(renewed));
    let said = node.poll_own(seconds(2.0)).expect("who would come by the old key is to know at once");
    let mut other = Directory::new(own(1, 1), key()).unwrap();
    other.handle_entry(&said, seconds(2.0)).unwrap();
    for view in [other.view(seconds(2.0)), node.view(seconds(2.0))] {
        assert_eq!(view.node(own(0, 1).node).unwrap().entry.pin, Some(renewed));
    }
}

#[test]
fn hearsay_about_this_server_changes_nothing_and_a_twin_is_counted() {
    let mut directory = directory();
    directory.set_own(OwnState::new(vec![stream(1, "truth")]));
    for (incarnation, twins) in [(0, 0), (2, 1)] {
        let entry = said(0, incarnation, vec![stream(1, "hearsay")]);
        assert_eq!(directory.handle_entry(&entry, seconds(1.0)), Ok(Heard::Own));
        assert_eq!(directory.counters().twins, twins);
    }
    let view = directory.view(seconds(1.0));
    assert!(view.find("truth").is_some() && view.find("hearsay").is_none());
    assert_eq!(view.nodes.len(), 1);
    assert!(view.nodes[0].has_twin && directory.view(seconds(66.9)).nodes[0].has_twin);
    assert!(
        !directory.view(seconds(67.0)).nodes[0].has_twin,
        "it has not been heard for as long as it takes to be gone"
    );
}

#[test]
fn of_two_servers_with_one_id_the_later_is_shown_and_all_who_hear_of_both_tell_so() {
    let (mut older, mut newer) = (Directory::new(own(1, 5), key()).unwrap(), Directory::new(own(1, 6), key()).unwrap());
    older.set_own(OwnState::new(vec![stream(1, "older")]));
    newer.set_own(OwnState::new(vec![stream(1, "newer")]));
    let mut other = directory();
    let has_twin = |directory: &mut Directory, at| directory.view(seconds(at)).nodes.iter().any(|node| node.has_twin);
    other.handle_entry(&older.poll_own(seconds(0.0)).unwrap(), seconds(0.0)).unwrap();
    // The later begins: what the other says soon after may be all that is left of a run that has ended.
    for at in (2..=40).step_by(2).map(f64::from) {
        let (one, two) = (older.poll_own(seconds(at)).unwrap(), newer.poll_own(seconds(at)).unwrap());
        assert!(other.handle_entry(&two, seconds(at)).is_ok_and(|heard| matches!(heard, Heard::Newer)));
        assert_eq!(other.handle_entry(&one, seconds(at)), Ok(Heard::Older));
        assert_eq!(has_twin(&mut other, at), at >= 14.0, "at {at}");
        // Each hears the other; of the later it is plain at once.
        older.handle_entry(&two, seconds(at)).unwrap();
        newer.handle_entry(&one, seconds(at)).unwrap();
        assert!(has_twin(&mut older, at), "at {at}");
        assert_eq!(has_twin(&mut newer, at), at >= 14.0, "at {at}");
    }
    let view = other.view(seconds(40.0));
    assert!(view.find("newer").is_some() && view.find("older").is_none());
    assert!(older.view(seconds(40.0)).find("older").is_some(), "what is here is seen here");
    assert!(older.counters().twins > 0 && newer.counters().twins > 0 && other.counters().twins == 0);
    // One was given another id.
    for at in (42..=104).step_by(2).map(f64::from) {
        other.handle_entry(&newer.poll_own(seconds(at)).unwrap(), seconds(at)).unwrap();
    }
    assert!(has_twin(&mut other, 104.0) && !has_twin(&mut other, 106.0));
}

#[test]
fn what_an_engine_still_has_of_a_run_that_has_ended_is_no_twin() {
    let mut before = Directory::new(own(1, 5), key()).unwrap();
    let said: Vec<_> = (0..4).map(|n| before.poll_own(seconds(f64::from(2 * n))).unwrap()).collect();
    let mut after = Directory::new(own(1, 6), key()).unwrap();
    let mut other = directory();
    other.handle_entry(&said[0], seconds(0.0)).unwrap();
    for at in 0..100 {
        let now = seconds(f64::from(at));
        if let Some(entry) = after.poll_own(now) {
            other.handle_entry(&entry, now).unwrap();
        }
        // Late, in order, and then the last of them again and again.
        let old = &said[(at as usize / 3).min(3)];
        for directory in [&mut after, &mut other] {
            directory.handle_entry(old, now).unwrap();
            assert!(directory.view(now).nodes.iter().all(|node| !node.has_twin), "at {at}");
        }
    }
}

#[test]
fn of_equal_names_the_newer_source_at_a_node_that_is_heard_of_has_the_name_and_all_are_shown() {
    let mut directory = directory();
    directory.set_own(OwnState::new(vec![stream(1, "cam").incarnation(10)]));
    directory.handle_entry(&said(1, 1, vec![stream(1, "cam").incarnation(20)]), seconds(0.0)).unwrap();
    let relayed = stream(1, "cam").incarnation(30).hops(Hops::new([own(1, 0).node]).unwrap());
    directory.handle_entry(&said(2, 1, vec![relayed]), seconds(0.0)).unwrap();
    let view = directory.view(seconds(1.0));
    let shown: Vec<_> = view.streams().map(|seen| seen.shown_name()).collect();
    assert_eq!(shown, ["cam@node-0", "cam", "cam@node-2"]);
    assert_eq!(view.find("cam").unwrap().node.entry.name, "node-1");
    assert_eq!(view.find("cam@node-0").unwrap().node.state, NodeState::Own);
    assert_eq!(view.find("cam@node-2").unwrap().stream.incarnation, 30);
    assert!(view.find("cam@node-3").is_none() && view.find("@").is_none());
    // Its node is silent: the own is what can be had.
    assert_eq!(directory.view(seconds(7.0)).find("cam").unwrap().node.state, NodeState::Own);
}

#[test]
fn more_nodes_than_there_is_room_for_are_counted_and_push_out_only_the_silent() {
    let mut directory = directory();
    let many = NODES_MAX as u32 + 500;
    for n in 1..=many {
        let heard = directory.handle_entry(&said(n, 1, Vec::new()), seconds(0.0)).unwrap();
        assert_eq!(heard, if n as usize <= NODES_MAX { Heard::New } else { Heard::NoRoom });
    }
    let view = directory.view(seconds(1.0));
    assert_eq!((view.nodes.len(), view.nodes_more), (NODES_MAX + 1, 500));
    assert_eq!(view.nodes[0].state, NodeState::Own);
    // One is heard of again; of the silent the others make room.
    assert_eq!(directory.handle_entry(&said(many, 2, Vec::new()), seconds(6.0)), Ok(Heard::New));
    assert_eq!(directory.view(seconds(6.0)).nodes.len(), NODES_MAX + 1);
}

#[test]
fn however_long_entries_are_they_have_a_bound_together() {
    let mut directory = directory();
    // As long as one may be.
    let name = "n".repeat(64);
    let streams: Vec<_> = (0..STREAMS_MAX as u64).map(|id| stream(id, &name).incarnation(u64::MAX)).collect();
    let bytes = said(1, 1, streams.clone()).len();
    assert!(bytes <= ENTRY_BYTES_MAX && bytes > ENTRY_BYTES_MAX / 2, "{bytes}");
    let mut taken = 0;
    for n in 1..=600 {
        taken += usize::from(directory.handle_entry(&said(n, 1, streams.clone()), seconds(0.0)) == Ok(Heard::New));
    }
    assert!(
        directory.remembered_bytes() <= REMEMBERED_BYTES_MAX
            && directory.remembered_bytes() + bytes > REMEMBERED_BYTES_MAX
    );
    assert_eq!(directory.view(seconds(1.0)).nodes_more as usize, 600 - taken);
}

#[test]
fn a_server_with_more_streams_than_an_entry_holds_says_how_many_and_sees_all_its_own() {
    let mut node = directory();
    let name = "ü".repeat(64);
    node.set_own(OwnState::new((0..3_000).map(|id| stream(id, &name)).collect()));
    let bytes = node.poll_own(seconds(0.0)).unwrap();
    assert!(bytes.len() <= ENTRY_BYTES_MAX);
    assert_eq!(node.view(seconds(0.0)).nodes[0].entry.streams.len(), 3_000);
    let mut other = Directory::new(own(1, 1), key()).unwrap();
    assert_eq!(other.handle_entry(&bytes, seconds(0.0)), Ok(Heard::New));
    let view = other.view(seconds(0.0));
    let seen = &view.node(own(0, 0).node).unwrap().entry;
    assert!(seen.streams.len() <= STREAMS_MAX && !seen.streams.is_empty());
    assert_eq!(seen.streams.len() as u64 + seen.streams_more, 3_000);
}

#[test]
fn nothing_that_is_not_signed_by_the_cluster_is_believed_and_nothing_panics() {
    let mut directory = directory();
    let entry = said(1, 1, vec![stream(1, "cam")]);
    let other = ClusterKey::new("ffffffffffffffffffffffffffffffff").unwrap();
    let mut stranger = Directory::new(own(1, 1), other).unwrap();
    let forged = stranger.poll_own(Duration::ZERO).unwrap();
    assert_eq!(directory.handle_entry(&forged, Duration::ZERO), Err(EntryError::Forged));
    for at in 0..entry.len() {
        let mut changed = entry.clone();
        changed[at] ^= 0x20;
        assert!(directory.handle_entry(&changed, Duration::ZERO).is_err(), "{at}");
        assert!(directory.handle_entry(&entry[..at], Duration::ZERO).is_err(), "{at}");
    }
    let large = vec![b'x'; ENTRY_BYTES_MAX + 1];
    assert_eq!(directory.handle_entry(&large, Duration::ZERO), Err(EntryError::TooLarge { bytes: large.len() }));
    let counters = directory.counters();
    assert!(counters.forged > 0 && counters.unreadable > 0 && counters.too_large == 1, "{counters:?}");
    assert_eq!(counters.out_of_bounds, 0);
}
