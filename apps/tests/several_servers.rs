//! One client and several servers, each a process of its own: all at once, and one in another's place.
#![allow(missing_docs)]

mod protected;
mod running;

use framewire_testing::{Signal, wait_until};
use framewire_transport::PixelFormat;
use protected::Protected;
use running::{Running, Server, figure, in_dir, make_y4m, path_text, program};
use serde_json::Value;

const LIVE: [&str; 6] = ["pattern:64x48", "--fps", "50", "--name", "front", "--json"];

fn client(arguments: &[&str]) -> Running {
    Running::start(program("framewire-client").args(arguments))
}

/// Whether a server has frames of the stream, as who looks is told.
fn is_live(url: &str) -> bool {
    let top = program("framewire").args(["top", "--once", "--server", url]).output().unwrap();
    String::from_utf8_lossy(&top.stdout).lines().any(|line| line.contains("front") && line.contains("live"))
}

fn wait_until_live(url: &str) {
    wait_until(format_args!("{url} has the stream"), || is_live(url));
}

/// Lets it end, and returns what it came to.
fn ended(client: Running, expected: i32) -> (Value, String) {
    client.interrupt();
    let (code, said, json) = client.wait();
    assert_eq!(code, Some(expected), "{said}");
    (serde_json::from_slice(&json).unwrap(), said)
}

fn of(figures: &Value, key: &str) -> u64 {
    figures[key].as_u64().unwrap_or_else(|| panic!("no {key} in {figures}"))
}

/// Every frame that was there for a server has arrived or has one cause.
fn assert_adds_up(server: &Value) {
    let dropped: u64 =
        server["frames_dropped"].as_object().unwrap().values().map(|frames| frames.as_u64().unwrap()).sum();
    assert_eq!(of(server, "frames_sent"), of(server, "frames_delivered") + dropped, "{server}");
}

#[test]
fn every_frame_of_a_file_is_at_each_of_two_servers_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let source = in_dir(&directory, "in.y4m");
    make_y4m(&source, PixelFormat::Gray8, (64, 48), 200);
    let outs = ["a.y4m", "b.y4m"].map(|name| in_dir(&directory, name));
    let servers = outs.each_ref().map(|out| Server::start(&["--sink", path_text(out)]));
    let [one, other] = servers.each_ref().map(Server::url);
    let client = client(&["--server", &one, "--server", &other, "--fps", "max", "--json", path_text(&source)]);
    let (code, said, json) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((figure(&json, &["frames_sent"]), figure(&json, &["frames_delivered"])), (400.0, 400.0));
    for server in servers {
        server.stop();
    }
    let sent = std::fs::read(&source).unwrap();
    for out in outs {
        assert!(std::fs::read(&out).unwrap() == sent, "{}", out.display());
    }
}

#[test]
fn a_server_that_is_killed_holds_up_neither_the_capture_nor_the_other() {
    let (killed, other) = (Server::start(&[]), Server::start(&["--frames", "150"]));
    let [one, two] = [killed.url(), other.url()];
    let mut client = client(&[&["--server", &one, "--server", &two], &LIVE[..]].concat());
    wait_until_live(&one);
    killed.running.kill();
    client.wait_for("is gone");
    // It ends by itself once it has so many.
    let (code, said, _) = other.running.wait();
    assert_eq!(code, Some(0), "{said}");
    let (summary, said) = ended(client, 0);
    let servers = summary["servers"].as_array().unwrap();
    assert_eq!(servers.len(), 2, "{summary}");
    servers.iter().for_each(assert_adds_up);
    assert_eq!((&servers[0]["server"], &servers[1]["server"]), (&Value::from(one), &Value::from(two)), "{said}");
    let had = [&servers[0], &servers[1]].map(|server| of(server, "frames_delivered"));
    assert!(had[1] >= 150 && had[0] < had[1], "{summary}");
}

#[test]
fn a_server_that_is_stopped_in_its_tracks_costs_the_other_no_frame() {
    let (frozen, other) = (Server::start(&[]), Server::start(&["--frames", "150"]));
    let urls = [frozen.url(), other.url()];
    let client = client(&[&["--server", &urls[0], "--server", &urls[1]], &LIVE[..]].concat());
    urls.iter().for_each(|url| wait_until_live(url));
    frozen.running.signal(Signal::STOP);
    // It ends by itself once it has so many.
    let (code, said, _) = other.running.wait();
    assert_eq!(code, Some(0), "{said}");
    frozen.running.signal(Signal::CONT);
    let (summary, _) = ended(client, 0);
    let servers = summary["servers"].as_array().unwrap();
    servers.iter().for_each(assert_adds_up);
    assert!(of(&servers[1], "frames_delivered") >= 150, "{summary}");
}

#[test]
fn a_server_that_never_comes_is_waited_for_by_nobody_and_told_at_the_end() {
    let server = Server::start(&[]);
    let nobody = "http://127.0.0.1:9";
    let (url, limited) = (server.url(), ["--frames", "20"]);
    let client = client(&[&["--server", &url, "--server", nobody], &limited[..], &LIVE[..]].concat());
    let (code, said, json) = client.wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("{nobody}: it was never there")), "{said}");
    assert!(figure(&json, &["frames_delivered"]) > 0.0);
    server.stop();
}

#[test]
fn a_stream_goes_on_at_the_next_server_when_the_one_that_had_it_is_killed_and_who_had_what_is_told() {
    let (first, second) = (Server::start(&[]), Server::start(&[]));
    let (one, other) = (first.url(), second.url());
    let mut client = client(&[&["--server", &format!("{one},{other}")], &LIVE[..]].concat());
    wait_until_live(&one);
    first.running.kill();
    client.wait_for(&format!("{other} takes the stream in place of {one}"));
    wait_until_live(&other);
    let (summary, said) = ended(client, 0);
    let turns = assert_turns(&summary, &said);
    let at_second = second.stop();
    assert!(at_second.contains(&format!("{} delivered", turns[1]["frames_delivered"])), "{at_second}\n{summary}");
    assert_eq!((&turns[0]["server"], &turns[1]["server"]), (&Value::from(one), &Value::from(other)));
}

#[test]
fn what_each_server_had_is_told_also_where_none_of_them_takes_the_stream_any_more() {
    let (first, second) = (Server::start(&[]), Server::start(&[]));
    let urls = [first.url(), second.url()];
    let client = client(&[&["--server", &urls[0], "--server", &urls[1]], &LIVE[..]].concat());
    urls.iter().for_each(|url| wait_until_live(url));
    let again = [first, second].map(|server| {
        let (signal, udp) = (server.signal.clone(), server.udp.clone());
        server.running.kill();
        // What comes back is no server for it.
        Server::start_at(&signal, &udp, &["--wire", "plain"])
    });
    let (code, said, json) = client.wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("plain-wire"), "{said}");
    let summary: Value = serde_json::from_slice(&json).unwrap();
    let servers = summary["servers"].as_array().unwrap();
    assert_eq!(servers.len(), 2, "{summary}");
    servers.iter().for_each(assert_adds_up);
    assert!(servers.iter().all(|server| of(server, "frames_delivered") > 0), "{summary}");
    for server in again {
        server.stop();
    }
}

#[test]
fn a_protected_stream_goes_on_at_another_protected_server_under_its_key() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let servers = directories.each_ref().map(|directory| Protected::start(directory, &["--json"]));
    let joins = servers.each_ref().map(|server| path_text(&server.state(protected::JOIN)).to_owned());
    let mut client = client(&[&["--join", &joins.join(",")], &LIVE[..]].concat());
    let [first, second] = servers;
    first.wait_until_live();
    first.kill();
    client.wait_for("takes the stream in place of");
    second.wait_until_live();
    let (summary, said) = ended(client, 0);
    assert_eq!(summary["protected"], Value::from(true));
    let (_, at_second) = second.stop();
    let turns = assert_turns(&summary, &said);
    // Before it stands the line to join by.
    let at_second = String::from_utf8(at_second).unwrap();
    let at_second: Value = serde_json::from_str(at_second.lines().last().unwrap()).unwrap();
    assert_eq!(of(&at_second, "frames_delivered"), of(&turns[1], "frames_delivered"), "{summary}");
}

/// Every frame has one fate, and the two servers that took turns have all that arrived. What each had.
fn assert_turns(summary: &Value, said: &str) -> Vec<Value> {
    let server = &summary["servers"][0];
    assert_adds_up(server);
    let turns = server["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 2, "{summary} {said}");
    let had: Vec<_> = turns.iter().map(|turn| of(turn, "frames_delivered")).collect();
    assert!(had[0] > 0 && had[1] > 0, "{summary}");
    assert_eq!(had[0] + had[1], of(server, "frames_delivered"), "{summary}");
    turns.clone()
}

#[test]
fn what_cannot_be_said_together_is_refused_with_the_remedy() {
    for (arguments, said) in [
        (&["--server", "http://a:1,https://b:1"][..], "name both by --server"),
        (&["--server", "http://a:1", "--server", "http://a:1"], "named twice"),
        (&["--server", "http://a:1", "--server", "http://b:1", "--wire", "plain"], "plain wire has one server"),
        (&["--on-demand", "throttle", "--delivery", "every"], "of an 'every' stream none may be left out"),
        (&["--server", "http://a:1,http://b:1", "--udp", "10.0.0.1:9"], "give the port alone (--udp :9)"),
        (&["--on-demand", "sometimes"], "throttle"),
        (&["--priority", "10"], "0..=9"),
    ] {
        let (code, told, _) = client(arguments).wait();
        assert!(code == Some(2) && told.contains(said), "{arguments:?}: {told}");
    }
}
