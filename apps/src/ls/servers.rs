//! Servers in a list: one that was named, with the streams of its cluster, and those that are found on this network.

use std::time::Duration;

use framewire_process::exit::Failure;
use framewire_process::shown::in_a_line;
use framewire_process::stop::Stop;
use framewire_signal::directory::{Found, discover};
use framewire_tools::top::{Shown, Streams, TopArgs, ask_once};
use serde::Serialize;

use super::{COLUMNS, INDENT, LsArgs};
use crate::table;

/// How long servers are looked for: those that another has asked within the last second answer the second question alone, after a second.
const LOOK_FOR: Duration = Duration::from_millis(1_500);

/// A server that was asked, and what it says of its streams and of those of its cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Server {
    server: String,
    streams: Vec<Stream>,
}

/// A stream of a server.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Stream {
    name: String,
    pixel: String,
    width: u32,
    height: u32,
    /// Over the last second.
    frames_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<String>,
    /// Who has it; absent where the server is in no cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// Where that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// How fresh what is known of it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Programs of its server's machine that read it in place.
    readers: u64,
    /// Who is sent it on.
    watchers: u64,
}

const HEADS: [&str; 6] = ["STREAM", "FORMAT", "RATE", "DELIVERY", "NODE", "STATE"];

impl Server {
    /// Asks the one that was named.
    ///
    /// # Errors
    /// What cannot be asked for, and why it does not answer.
    pub(super) fn ask(args: &LsArgs) -> Result<Self, Failure> {
        let asked = TopArgs::asking(
            args.server.clone(),
            args.join.clone(),
            args.view_token_file.clone(),
            args.ca.clone(),
            args.insecure,
        );
        let Streams { server, streams } = ask_once(&asked)?;
        let text = |text: &Shown| text.as_str().to_owned();
        let stream = |stream: &framewire_figures::snapshot::StreamSnapshot<Shown>| Stream {
            name: text(&stream.name),
            pixel: text(&stream.pixel),
            width: stream.width,
            height: stream.height,
            frames_per_second: stream.frames_per_second,
            delivery: stream.delivery.as_ref().map(text),
            node: stream.place.node_name.as_ref().or(stream.place.node.as_ref()).map(text),
            url: stream.place.url.as_ref().map(text),
            state: stream.place.state.as_ref().map(text),
            readers: stream.readers.len() as u64,
            watchers: stream.watchers.len() as u64,
        };
        Ok(Self { server, streams: streams.iter().map(stream).collect() })
    }

    /// Its address, and below it a line a stream.
    pub(super) fn lines(&self) -> String {
        let below = match self.streams.as_slice() {
            [] => "no stream\n".to_owned(),
            streams => table::fitting(HEADS, streams.iter().map(Stream::cells), COLUMNS - INDENT.len()),
        };
        let below: String = below.lines().map(|line| format!("{INDENT}{line}\n")).collect();
        format!("{}\n{below}", in_a_line(&self.server))
    }
}

impl Stream {
    fn cells(&self) -> [String; 6] {
        let or_nothing = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), in_a_line);
        [
            in_a_line(&self.name),
            format!("{}x{} {}", self.width, self.height, in_a_line(&self.pixel)),
            format!("{:.1}", self.frames_per_second),
            or_nothing(&self.delivery),
            or_nothing(&self.node),
            or_nothing(&self.state),
        ]
    }
}

/// A server of this network, as it announces itself: it was not asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Announced {
    server: String,
    name: String,
    guard: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
}

impl Announced {
    fn new(found: &Found) -> Self {
        let Found { url, name, guard, version, .. } = found;
        Self { server: url.clone(), name: name.clone(), guard: guard.to_string(), version: version.clone() }
    }

    pub(super) fn lines(&self) -> String {
        let (server, name) = (in_a_line(&self.server), in_a_line(&self.name));
        let how = match self.guard.as_str() {
            "protected" => "--join with its line".to_owned(),
            _ => format!("--server {server}"),
        };
        format!("{server}  ({name}, {})\n  found by mDNS; framewire ls {how} lists its streams\n", self.guard)
    }
}

/// The servers that are found on this network within a moment; none where nothing can be asked, which is said to who wants to know.
///
/// # Errors
/// The system gives no thread.
pub(super) fn found(stop: &Stop) -> Result<Vec<Announced>, Failure> {
    let looked = stop.unless_asked(|| discover(LOOK_FOR)).map_err(|error| {
        Failure::runtime(format!("no thread to look for servers in: {error}; stop other programs, or raise the limit"))
    })?;
    match looked {
        Some(Ok(found)) => Ok(found.iter().map(Announced::new).collect()),
        Some(Err(error)) => {
            tracing::info!("{error}");
            Ok(Vec::new())
        }
        None => Ok(Vec::new()),
    }
}

/// That a list is of one thing.
///
/// # Errors
/// Two were asked for.
pub(super) fn check(args: &LsArgs) -> Result<(), Failure> {
    match (args.share.is_some(), args.server.is_some(), args.join.is_some()) {
        (true, true, _) | (true, _, true) => Err(Failure::usage(
            "--share is a hub of this machine, and --server and --join are servers anywhere; leave one of them out",
        )),
        (_, true, true) => Err(Failure::usage("--server and --join both say which server; leave one of them out")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str, node: Option<&str>) -> Stream {
        Stream {
            name: name.into(),
            pixel: "gray8".into(),
            width: 640,
            height: 480,
            frames_per_second: 29.97,
            delivery: Some("latest".into()),
            node: node.map(str::to_owned),
            url: None,
            state: node.map(|_| "stale".to_owned()),
            readers: 0,
            watchers: 1,
        }
    }

    #[test]
    fn a_servers_streams_stand_below_it_with_where_they_are_and_no_text_of_strangers_breaks_a_line() {
        let streams = vec![stream("front", None), stream("re\nar", Some("hall-2"))];
        let server = Server { server: "http://10.0.0.1:8080".into(), streams };
        let lines = server.lines();
        assert_eq!(lines.lines().count(), 4, "{lines}");
        assert!(lines.contains("hall-2  stale") && lines.lines().all(|line| line.chars().count() <= 80), "{lines}");
        assert!(Server { streams: Vec::new(), ..server }.lines().contains("  no stream"));
    }

    #[test]
    fn one_that_is_found_is_listed_with_how_its_streams_are() {
        let announced = |guard: &str| Announced {
            server: "http://10.0.0.1:8080".into(),
            name: "hall\u{1b}".into(),
            guard: guard.into(),
            version: String::new(),
        };
        assert!(announced("open").lines().contains("framewire ls --server http://10.0.0.1:8080 lists"));
        let lines = announced("protected").lines();
        assert!(lines.contains("--join") && !lines.contains('\u{1b}'), "{lines}");
    }
}
