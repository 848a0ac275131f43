//! One page over the servers of a cluster as a person sees it: three real servers, a real Redis, a real browser.
#![allow(missing_docs)]

mod browser;
mod http;
mod protected;
mod running;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use browser::Browser;
use framewire_signal::directory::{ClusterKey, Directory, NodeId, OwnNode, OwnState, StreamEntry, StreamState};
use framewire_testing::Redis;
use protected::{JOIN, Protected};
use running::{Running, in_dir, path_text, program, run, write_private};
use serde_json::Value;
use tempfile::TempDir;

/// A node is unreachable after a minute.
const A_MINUTE: Duration = Duration::from_secs(150);
const HALLS: [&str; 3] = ["hall-a", "hall-b", "hall-c"];
const KEY: &str = "00112233445566778899aabbccddeeff";
/// What is hostile in it is text.
const EVIL: &str = "hall-c/<img src=x onerror=alert(1)>";

/// A protected server of the cluster, with its state in a directory of its own.
struct Hall {
    server: Protected,
    directory: TempDir,
}

impl Hall {
    fn start(name: &str, port: u16, key: &str, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("redis://127.0.0.1:{port}");
        let arguments =
            ["--cluster", &url, "--cluster-key-file", key, "--node-name", name, "--discover=off", "--preview-fps", "5"];
        let server = Protected::start(&directory, &[&arguments, more].concat());
        Self { server, directory }
    }

    fn client(&self, name: &str, size: &str) -> Running {
        let join = self.server.state(JOIN);
        let stream = [&format!("pattern:{size}"), "--fps", "10", "--name", name, "--join", path_text(&join)];
        Running::start(program("framewire-client").args(stream))
    }

    fn log_in(&self) -> String {
        let token = std::fs::read_to_string(self.server.state("view-token")).unwrap();
        format!(
            "document.querySelector('#secret').value = '{}'; document.querySelector('form button').click();",
            token.trim()
        )
    }
}

/// A script's list of the tiles of a server, by the name that the page shows.
fn tiles_of(hall: &str) -> String {
    format!(
        "[...document.querySelectorAll('.tile')].filter((tile) => tile.querySelector('.place-name').textContent === '{hall}')"
    )
}

fn pictured(hall: &str, tiles: usize) -> String {
    let tiles_of = tiles_of(hall);
    format!(
        "(() => {{ const of = {tiles_of}; return of.length === {tiles} && \
         of.every((tile) => Number(tile.querySelector('.shot').dataset.frame) > 0); }})()"
    )
}

#[tokio::test]
async fn one_page_shows_all_servers_and_of_one_that_dies_what_was_known_last_growing_old() {
    // All tiles are seen: of others no picture is asked for.
    let Some(browser) = Browser::start((1_280, 2_200)).await else { return };
    let directory = tempfile::tempdir().unwrap();
    let Some(mut redis) = Redis::start(&[]) else { return };
    let port = redis.port();
    let key = in_dir(&directory, "cluster-key");
    write_private(&key, KEY);
    let halls = HALLS.map(|name| Hall::start(name, port, path_text(&key), &[]));
    let mut clients: Vec<Running> = Vec::new();
    for (hall, name) in halls.iter().zip(HALLS) {
        clients.push(hall.client(&format!("{name}/front"), "480x270"));
        clients.push(hall.client(&format!("{name}/back"), "320x240"));
    }
    clients.push(halls[2].client(EVIL, "320x240"));

    // Who may look at one server looks at all.
    browser.open(&format!("https://{}/", halls[0].server.signal)).await;
    browser.wait_for("!!document.querySelector('#secret')").await;
    browser.run(&halls[0].log_in()).await;
    for (hall, tiles) in HALLS.iter().zip([2, 2, 3]) {
        browser.wait_for(&pictured(hall, tiles)).await;
    }
    let newest = format!("Number({}[0].querySelector('.shot').dataset.frame)", tiles_of("hall-b"));
    let number = browser.value(&newest).await.as_u64().unwrap();
    browser.wait_for(&format!("{newest} > {}", number + 20)).await;
    browser.wait_for("document.querySelector('#totals').textContent.startsWith('7 streams at 3 servers')").await;
    browser.wait_for("document.querySelectorAll('#nodes .node[data-state=live]').length === 3").await;
    let evil = format!("{}.find((tile) => tile.querySelector('.name').textContent === '{EVIL}')", tiles_of("hall-c"));
    assert_eq!(browser.value(&format!("({evil}).querySelector('.name').childElementCount")).await, 0);
    browser.picture("cluster-live").await;

    // Groups and the filter.
    let choose = |group: &str| {
        format!(
            "(() => {{ const group = document.querySelector('#group'); group.value = '{group}'; \
             group.dispatchEvent(new Event('change')); }})()"
        )
    };
    browser.run(&choose("node")).await;
    let headings =
        "[...document.querySelectorAll('.group:not([hidden]) > h2')].map((heading) => heading.textContent).join()";
    assert_eq!(browser.value(headings).await, HALLS.join(","));
    browser.run(&choose("prefix")).await;
    browser.picture("cluster-groups").await;
    assert!(browser.value(headings).await.as_str().unwrap().starts_with("hall-a,hall-b,hall-c"));
    let filter = |text: &str| {
        format!(
            "(() => {{ const filter = document.querySelector('#filter'); filter.value = '{text}'; \
             filter.dispatchEvent(new Event('input')); }})()"
        )
    };
    browser.run(&filter("HALL-B back")).await;
    let seen = "[...document.querySelectorAll('.tile:not([hidden])')].map((tile) => tile.querySelector('.name').textContent).join()";
    browser.wait_for(&format!("{seen} === 'hall-b/back'")).await;
    browser.wait_for("document.querySelector('#seen').textContent === '1 of 7 shown'").await;
    browser.picture("cluster-filter").await;
    browser.run(&filter("")).await;
    browser.run(&choose("")).await;
    browser.run("document.querySelectorAll('.node-choose')[1].click()").await;
    browser.wait_for(&format!("{seen} === 'hall-b/front,hall-b/back' || {seen} === 'hall-b/back,hall-b/front'")).await;
    browser.run("document.querySelectorAll('.node-choose')[1].click()").await;

    // Another server's picture fills the screen.
    browser.run(&format!("{}[0].querySelector('.picture').click()", tiles_of("hall-b"))).await;
    browser.wait_for("Number(document.querySelector('#full-picture').dataset.frame) > 0").await;
    browser.wait_for("document.querySelector('#full-figures').textContent.startsWith('hall-b, ')").await;
    browser.picture("cluster-full").await;
    browser.run("document.querySelector('#full').close()").await;

    // The terminal shows the same.
    let join = halls[0].server.state(JOIN);
    let top = run("framewire", &["top", "--once", "--cluster", "--join", path_text(&join)]);
    let said = String::from_utf8_lossy(&top.stdout).into_owned();
    for hall in HALLS {
        assert!(said.lines().any(|line| line.starts_with(&format!("{hall}/front")) && line.contains("live")), "{said}");
    }

    // One dies with its cameras; its own page's neighbours go on.
    let [first, second, third] = halls;
    let dead = second.server.kill();
    // All of its tiles, of which there are some, are so and say so.
    let state = |state: &str, words: &str| {
        format!(
            "((tiles) => tiles.length > 0 && tiles.every((tile) => tile.dataset.state === '{state}' && \
             tile.querySelector('.place-state').textContent.startsWith('{words}')))({})",
            tiles_of("hall-b")
        )
    };
    browser.wait_for(&state("stale", "")).await;
    browser.picture("cluster-stale").await;
    let goes_on = format!("Number({}[0].querySelector('.shot').dataset.frame)", tiles_of("hall-c"));
    let number = browser.value(&goes_on).await.as_u64().unwrap();
    browser.wait_for(&format!("{goes_on} > {}", number + 20)).await;
    assert_eq!(browser.value("document.querySelector('#banner').hidden").await, Value::Bool(true));

    // The engine dies, too: the own streams and the other's pictures go on, and the page says so.
    redis.kill();
    browser.wait_for("!document.querySelector('#banner').hidden").await;
    let number = browser.value(&goes_on).await.as_u64().unwrap();
    browser.wait_for(&format!("{goes_on} > {}", number + 20)).await;
    browser.wait_for("document.querySelector('#state').dataset.state === 'live'").await;
    browser.picture("cluster-engine-away").await;
    redis.restart();
    browser.wait_for("document.querySelector('#banner').hidden").await;

    // With its age.
    browser.wait_for_within(&state("unreachable", "unreachable, last heard "), A_MINUTE).await;
    browser.picture("cluster-unreachable").await;
    browser.be_dark().await;
    browser.picture("cluster-dark").await;
    browser.be_narrow().await;
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth").await, Value::Bool(true));
    browser.picture("cluster-phone").await;
    browser.wait_for(&format!("{}.length === 0", tiles_of("hall-b"))).await;
    assert_eq!(browser.value(&format!("{}.length", tiles_of("hall-a"))).await, 2);
    browser.close().await;
    drop((dead, first, third, second.directory, clients));
}

/// A server that there is not: what it says stands in Redis all the same.
fn imagined(number: u8, name: &str, incarnation: u64, streams: Vec<StreamEntry>) -> Directory {
    let key = ClusterKey::new(KEY).unwrap();
    let own = OwnNode::new(NodeId::new([number; 16]), incarnation, name, format!("https://192.0.2.{number}:8080"));
    let mut directory = Directory::new(own, key).unwrap();
    directory.set_own(OwnState::new(streams));
    directory
}

/// Cameras of a hall, each of another format and name.
fn cameras(hall: u8) -> Vec<StreamEntry> {
    let camera = |nth: u64| {
        let name = match nth {
            0 => format!("hall-{hall}/a camera of which somebody had much to say at once"),
            _ => format!("hall-{hall}/line-{}/camera-{nth}", nth % 4),
        };
        let (pixel, width, height) =
            [("gray8", 640, 480), ("bayer-rg12", 4_096, 3_000), ("bytes", 65_536, 1)][nth as usize % 3];
        let state = if nth % 9 == 8 { StreamState::Silent } else { StreamState::Streaming };
        let rate = if state == StreamState::Silent { 0.0 } else { 10.0 };
        StreamEntry::new(nth + 1, name, pixel, width, height)
            .frames_per_second(rate)
            .bytes_per_second((rate * 307_200.0) as u64)
            .state(state)
            .idle(nth % 7 == 6)
    };
    (0..25).map(camera).collect()
}

/// Says of all of these what they are, every two seconds, until the value is dropped.
fn keep_saying(port: u16, mut nodes: Vec<Directory>) -> mpsc::Sender<()> {
    let (ends, ended) = mpsc::channel();
    let mut redis = TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        let begun = Instant::now();
        loop {
            for node in &mut nodes {
                let Some(entry) = node.poll_own(begun.elapsed()) else { continue };
                let id = node.own().node.to_string();
                let key = format!("framewire:node:{id}");
                for command in [
                    &[&b"SET"[..], key.as_bytes(), &entry, b"PX", b"6000"][..],
                    &[b"SADD", b"framewire:nodes", id.as_bytes()],
                    &[b"PUBLISH", b"framewire:look", id.as_bytes()],
                ] {
                    let mut said = format!("*{}\r\n", command.len()).into_bytes();
                    for word in command {
                        said.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                        said.extend_from_slice(word);
                        said.extend_from_slice(b"\r\n");
                    }
                    redis.write_all(&said).unwrap();
                    let _ = redis.read(&mut [0; 64]).unwrap();
                }
            }
            if ended.recv_timeout(Duration::from_millis(100)) != Err(mpsc::RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    ends
}

#[tokio::test]
async fn a_page_of_two_hundred_streams_at_eight_servers_is_whole_on_a_screen_and_on_a_phone() {
    let Some(browser) = Browser::start((1_280, 1_600)).await else { return };
    let directory = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start(&[]) else { return };
    let port = redis.port();
    let key = in_dir(&directory, "cluster-key");
    write_private(&key, KEY);
    let hall = Hall::start("hall-0", port, path_text(&key), &[]);
    let mut nodes: Vec<_> = (1..=8).map(|n| imagined(n, &format!("hall-{n}"), 1, cameras(n))).collect();
    // As long a name as there is.
    nodes[6] = imagined(7, &"hall-7-".repeat(9), 1, cameras(7));
    let saying = keep_saying(port, nodes);
    browser.open(&format!("https://{}/", hall.server.signal)).await;
    browser.wait_for("!!document.querySelector('#secret')").await;
    browser.run(&hall.log_in()).await;
    browser.wait_for("document.querySelector('#totals').textContent.startsWith('200 streams at 9 servers')").await;
    browser.wait_for("document.querySelectorAll('.tile').length === 200").await;
    let fits = "document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.value(fits).await, Value::Bool(true));
    browser.wait_for("[...document.querySelectorAll('.placeholder')].some((words) => words.textContent.startsWith('No picture: '))").await;
    browser.picture("many-screen").await;
    browser.run("{ const group = document.querySelector('#group'); group.value = 'node'; group.dispatchEvent(new Event('change')); }").await;
    browser.wait_for("document.querySelectorAll('.group:not([hidden])').length === 8").await;
    browser.picture("many-groups").await;
    // A copy of one begins: it is said where it is looked at.
    let twins = keep_saying(port, vec![imagined(3, "hall-3", 2, cameras(3))]);
    browser
        .wait_for("document.querySelector('#banner').textContent.includes('Two servers have the id of hall-3')")
        .await;
    browser.picture("many-twin").await;
    browser.be_dark().await;
    browser.be_narrow().await;
    browser.wait_for(fits).await;
    browser.picture("many-phone").await;
    browser.run("scrollTo(0, document.querySelectorAll('.group')[6].offsetTop - 200)").await;
    browser.wait_for("document.querySelectorAll('.tile').length === 200").await;
    browser.picture("many-phone-further").await;
    browser.close().await;
    drop((saying, twins));
}
