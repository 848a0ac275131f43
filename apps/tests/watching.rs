//! A server's streams, watched by programs that ask for them by name.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod protected;
mod running;
mod watchers;

use framewire_signal::message::{Delivery, Hops, Role, reason};
use framewire_signal::{ClientConfig, ClientEvent, Join, Token};
use framewire_testing::Signal;

use protected::Protected;
use running::{Running, Server, in_dir, path_text, write_private};
use watchers::{Camera, Onlooker, opening, take_pattern};

fn camera(server: &Server, name: &str) -> Running {
    Running::start(&mut server.client(&["pattern:320x240", "--fps", "50", "--name", name]))
}

fn config(server: &Server) -> ClientConfig {
    ClientConfig::new(server.url())
}

#[test]
fn a_stream_is_watched_by_its_name_frame_by_frame_with_numbers_and_times_by_several_at_once() {
    let server = Server::start(&[]);
    let _camera = camera(&server, "front");
    let all = Onlooker::asking(config(&server), "front", |request| request.delivery(Delivery::Every));
    let few = Onlooker::asking(config(&server), "front", |request| request.frames_per_second_max(5.0));
    let watching = all.watching();
    assert_eq!((watching.name.as_str(), watching.pixel.as_str()), ("front", "gray8"));
    assert_eq!((watching.frames_per_second, few.watching().frames_per_second), (Some(50.0), Some(5.0)));
    let (all, few) = (all.accept(), few.accept());
    let numbers = take_pattern(&all, 40);
    let frame = all.recv_timeout(running::PATIENCE).unwrap();
    assert!(frame.info().latency.is_some() && frame.captured_utc().is_some(), "the camera's time goes with it");
    let few = take_pattern(&few, 4);
    // Every tenth where nobody is held up; how it is thinned is asked in virtual time.
    assert!(few[3] - few[0] >= 3 * 3, "{few:?}");
    assert!(numbers.len() == 40);
}

#[test]
fn a_name_that_is_not_there_is_waited_for_and_the_nearest_is_named_once() {
    let server = Server::start(&[]);
    let front = camera(&server, "front");
    let seen = Onlooker::of(config(&server), "front");
    seen.watching();
    let onlooker = Onlooker::of(config(&server), "fornt");
    let ClientEvent::Waiting(waiting) = onlooker.told() else { panic!("it is there") };
    assert_eq!(waiting.nearest.as_deref(), Some("front"));
    assert!(waiting.message.contains("no stream \"fornt\""), "{}", waiting.message);
    let _fornt = camera(&server, "fornt");
    assert_eq!(onlooker.watching().name, "fornt");
    take_pattern(&onlooker.accept(), 3);
    drop(front);
}

#[test]
fn a_stream_that_ends_is_told_of_and_goes_on_when_it_is_back() {
    let server = Server::start(&[]);
    let first = camera(&server, "front");
    let onlooker = Onlooker::of(config(&server), "front");
    onlooker.watching();
    let stream = onlooker.accept();
    take_pattern(&stream, 3);
    first.signal(Signal::TERM);
    let ClientEvent::Unwatched(unwatched) = onlooker.told() else { panic!("something else was told") };
    assert!(unwatched.message.contains("closed by its sender"), "{}", unwatched.message);
    let _second = camera(&server, "front");
    onlooker.watching();
    take_pattern(&onlooker.accept(), 3);
}

#[test]
fn a_server_that_is_killed_and_started_again_is_watched_again_by_those_who_watched() {
    let server = Server::start(&[]);
    let _camera = camera(&server, "front");
    let onlooker = Onlooker::of(config(&server), "front");
    onlooker.watching();
    take_pattern(&onlooker.accept(), 3);
    let (signal, udp) = (server.signal.clone(), server.udp.clone());
    server.running.kill();
    let _again = Server::start_at(&signal, &udp, &[]);
    onlooker.watching();
    take_pattern(&onlooker.accept(), 3);
}

#[test]
fn a_protected_servers_stream_is_watched_under_a_key_of_its_own_by_whoever_may_look() {
    let directory = tempfile::tempdir().unwrap();
    let server = Protected::start(&directory, &[]);
    let join = Join::from_file(server.state(protected::JOIN)).unwrap();
    let mut camera = protected::client(&["pattern:320x240", "--fps", "50", "--name", "front", "--join"]);
    let _camera = Running::start(camera.arg(server.state(protected::JOIN)));
    let looks = Token::from_file(server.state("view-token")).unwrap();
    let onlooker = Onlooker::of(ClientConfig::join(&join).token(looks).role(Role::View), "front");
    assert!(onlooker.watching().key.is_some());
    let stream = onlooker.accept();
    assert!(stream.info().protection.is_some());
    take_pattern(&stream, 3);
}

#[test]
fn a_stream_on_demand_is_told_that_nobody_wants_it_and_that_somebody_does_again() {
    let server = Server::start(&["--preview-fps", "0"]);
    let camera = Camera::open(&server.url(), opening("front").on_demand(true));
    let idle = |idle| move |event: &ClientEvent| matches!(event, ClientEvent::Idle(told) if told.idle == idle);
    camera.send_until(idle(true));
    let onlooker = Onlooker::of(config(&server), "front");
    camera.send_until(idle(false));
    onlooker.watching();
    camera.send(9);
    let stream = onlooker.accept();
    camera.send(9);
    stream.recv_timeout(running::PATIENCE).unwrap();
    drop(onlooker);
    camera.send_until(idle(true));
}

#[test]
fn what_has_come_through_this_server_already_and_through_too_many_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let key = in_dir(&directory, "key");
    write_private(&key, "00112233445566778899aabbccddeeff");
    let state = in_dir(&directory, "state");
    let cluster = ["--cluster-key-file", path_text(&key), "--state-directory", path_text(&state)];
    let server = Server::start(&[&cluster[..], &["--node-name", "hall-1"]].concat());
    let _camera = camera(&server, "front");
    let node = || {
        let token = Token::of_node(&Token::from_file(&key).unwrap());
        config(&server).token(token).role(Role::Node).insecure(true)
    };
    let watching = Onlooker::of(node(), "front").watching();
    let own = watching.node.unwrap();
    let way: Vec<String> = watching.hops.nodes().map(|node| node.to_string()).collect();
    assert_eq!((own.len(), way), (32, vec![own.clone()]));
    let hops = |hops: &[&str]| {
        let hops = Hops::new(hops.iter().map(|hop| hop.parse().unwrap())).unwrap();
        match Onlooker::asking(node(), "front", |request| request.hops(hops)).told() {
            ClientEvent::WatchRefused { refused, .. } => Some(refused),
            _ => None,
        }
    };
    let others = ["11111111111111111111111111111111", "22222222222222222222222222222222"];
    let looped = hops(&[others[0], &own]).unwrap();
    assert_eq!(looped.reason, reason::HOPS);
    assert!(looped.message.contains("hall-1 has been asked for \"front\" by itself"), "{}", looped.message);
    assert!(hops(&others).is_none(), "with this one they are three");
    let far = hops(&[others[0], others[1], "33333333333333333333333333333333"]).unwrap();
    assert_eq!(far.reason, reason::HOPS);
    assert!(
        far.message.contains("\"front\" would come through more than 3 servers, hall-1 the first"),
        "{}",
        far.message
    );
}

#[test]
fn a_name_in_which_a_server_would_be_named_is_refused_with_what_to_do() {
    let server = Server::start(&[]);
    let (code, said, _) = camera(&server, "front@hall-1").wait();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("\"front@hall-1\" has an '@'") && said.contains("leave it out"), "{said}");
}

#[test]
fn a_rate_of_next_to_nothing_is_refused_with_its_value() {
    let server = Server::start(&[]);
    let url = server.url();
    let watch = ["watch", "front", "--server", &url, "--max-fps", "0.0000000001"];
    let (code, said, _) = Running::start(running::program("framewire").args(watch)).wait();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("0.0000000001 frames a second cannot be"), "{said}");
}
