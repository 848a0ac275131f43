//! Links that are never oversold: `--link`.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;
mod watchers;

use framewire_signal::message::{Delivery, reason};
use framewire_signal::{ClientConfig, ClientEvent, SignalClient};

use running::{Running, Server, program};
use watchers::{Camera, Onlooker, next, opening};

/// VGA in gray at 30 frames a second is a little more than 74 Mbit/s: of 100, 80 may be taken, so that one fits.
const LINK: [&str; 2] = ["--link", "lo=100M"];

fn grant_of(camera: &Camera) -> framewire_signal::message::Grant {
    camera.opened.grant.expect("the link is kept account of")
}

#[test]
fn a_camera_for_which_a_link_has_no_room_is_refused_with_the_sum_and_what_would_fit() {
    let server = Server::start(&LINK);
    let first = Camera::open(&server.url(), opening("first").frames_per_second(30.0));
    let grant = grant_of(&first);
    assert!((90_000_000..=100_000_000).contains(&grant.bits_per_second), "all of the link is its own: {grant:?}");
    assert_eq!((grant.frames_per_second, grant.phase_us), (None, Some(0)));
    let open = |request| SignalClient::start(ClientConfig::new(server.url()).open(request)).unwrap();
    let second = open(opening("second").frames_per_second(30.0));
    let event = next(&second, |event| matches!(event, ClientEvent::Refused(_)));
    let ClientEvent::Refused(refused) = event else { unreachable!("it was looked for") };
    assert_eq!(refused.reason, reason::LINK_FULL);
    for said in [
        "the link lo is full: it carries 80 Mbit/s to this server (80 % of 100 Mbit/s), 1 stream has 7",
        "it fits at up to 2.",
        "or as 160x120 gray8",
        "or with priority 6",
    ] {
        assert!(refused.message.contains(said), "{said}: {}", refused.message);
    }
    // The camera goes: there is room.
    drop(first);
    let third = open(opening("third").frames_per_second(30.0));
    next(&third, |event| matches!(event, ClientEvent::Opened(_)));
}

#[test]
fn the_program_says_why_it_is_refused_and_ends() {
    let server = Server::start(&LINK);
    let client = ["pattern:1920x1080:bgr24", "--fps", "60"];
    let (code, said, _) = Running::start(&mut server.client(&client)).wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the link lo is full") && said.contains("frames/s"), "{said}");
}

#[test]
fn those_of_lower_priority_are_thinned_for_one_of_higher_and_have_it_back() {
    let server = Server::start(&LINK);
    let low = Camera::open(&server.url(), opening("low").frames_per_second(30.0).priority(2));
    assert_eq!(grant_of(&low).frames_per_second, None);
    let high = Camera::open(&server.url(), opening("high").frames_per_second(20.0).priority(8));
    assert_eq!(grant_of(&high).frames_per_second, None);
    let thinned =
        |event: &ClientEvent| matches!(event, ClientEvent::Granted(grant) if grant.frames_per_second.is_some());
    let ClientEvent::Granted(grant) = low.send_until(thinned) else { unreachable!("it was looked for") };
    let rate = grant.frames_per_second.unwrap();
    assert!((11.0..13.0).contains(&rate), "32 of 80 less 50: {rate}");
    assert!(grant.phase_us != grant_of(&high).phase_us, "they do not begin together");
    drop(high);
    let whole = |event: &ClientEvent| matches!(event, ClientEvent::Granted(grant) if grant.frames_per_second.is_none());
    low.send_until(whole);
}

#[test]
fn a_watcher_takes_its_part_of_the_way_out_and_one_for_whom_there_is_no_room_is_refused() {
    let server = Server::start(&LINK);
    let camera = Camera::open(&server.url(), opening("front").frames_per_second(30.0));
    camera.send(1);
    let config = || ClientConfig::new(server.url());
    let first = Onlooker::of(config(), "front");
    first.watching();
    let second = Onlooker::asking(config(), "front", |request| request.delivery(Delivery::Latest));
    let ClientEvent::WatchRefused { refused, .. } = second.told() else { panic!("there is no room for it") };
    assert_eq!(refused.reason, reason::LINK_FULL);
    assert!(refused.message.contains("from this server"), "{}", refused.message);
    let third = Onlooker::asking(config(), "front", |request| request.frames_per_second_max(2.0));
    assert_eq!(third.watching().frames_per_second, Some(2.0));
}

#[test]
fn a_link_that_is_none_is_wrong_usage() {
    let refused = |link: &str| {
        let arguments = ["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--link", link];
        let (code, said, _) = Running::start(program("framewire-server").args(arguments)).wait();
        assert_eq!(code, Some(2), "{said}");
        said
    };
    let said = refused("no-such0=1G");
    assert!(
        said.contains("there is no interface 'no-such0' for --link; this machine has ") && said.contains("lo"),
        "{said}"
    );
    assert!(refused("lo").contains("write the interface and its rate"));
    assert!(refused("lo=1G:2").contains("'2' is no share of a link"));
    assert!(refused("lo=1G,lo=2G").contains("'lo' twice"));
}
