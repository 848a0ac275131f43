//! `framewire ls`: which hubs of this machine share streams, and which; which servers there are, and the streams of one.

mod servers;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use framewire_process::exit::{Failure, say};
use framewire_process::shown::in_a_line;
use framewire_process::stop::Stop;
use framewire_transport::share::{Endpoint, Reader, ShareError, SharedStreamInfo};
use serde::Serialize;

use self::servers::{Announced, Server};
use crate::cli::hub_socket;
use crate::{hubs, table};

/// How they are listed.
#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    /// The socket of the one hub that is listed; by default those of this machine are looked for where this user may look
    // By no variable: FRAMEWIRE_SHARE is where a server shares, or `off`, and who lists wants to see all.
    #[arg(long, value_name = "PATH", value_parser = hub_socket)]
    pub share: Option<Endpoint>,
    /// The server whose streams are listed, and those of its cluster, such as http://192.168.1.20:8080
    // By no variable, as above.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// The same, by the line that it prints at its start: - to paste it, or a file that has it
    #[arg(long, value_name = "-|FILE")]
    pub join: Option<PathBuf>,
    /// A file with the server's view token, or its token for streaming
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_VIEW_TOKEN_FILE")]
    pub view_token_file: Option<PathBuf>,
    /// A file of certificates, PEM, of which one has signed the server's, or is it, in place of those that this machine trusts
    #[arg(long, value_name = "FILE", env = "FRAMEWIRE_CA")]
    pub ca: Option<PathBuf>,
    /// Give a token also to a server on another machine that speaks no TLS, where anyone on the way reads it
    #[arg(long, env = "FRAMEWIRE_INSECURE")]
    pub insecure: bool,
    /// Print one JSON array instead of the table
    #[arg(long)]
    pub json: bool,
    /// Say more, such as why no servers can be looked for
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Lists them. Who asks to stop waits for none of them.
///
/// # Errors
/// Standard output takes nothing, somebody asked to stop, or the hub or server that was named cannot be asked.
pub fn run(args: &LsArgs, stop: &Stop) -> Result<(), Failure> {
    servers::check(args)?;
    if args.server.is_some() || args.join.is_some() {
        let server = Server::ask(args)?;
        let text = match args.json {
            true => serde_json::to_string(&[server]).map(|json| json + "\n").map_err(Failure::runtime)?,
            false => server.lines(),
        };
        return table::print(&text, "the list of streams");
    }
    let asked = hubs::Asked::of(args.share.as_ref());
    for folder in &asked.unlisted {
        say(format_args!("framewire ls: {folder}"));
    }
    let Some(hubs) = asked.each(stop, Hub::at)? else {
        return Err(Failure::runtime("stopped before all hubs had answered"));
    };
    let announced = if args.share.is_none() { servers::found(stop)? } else { Vec::new() };
    // Whoever named one is told by how this ends.
    let unanswered = hubs.iter().filter_map(|hub| hub.reason.clone()).next().filter(|_| args.share.is_some());
    let text = match args.json {
        true => {
            let all = hubs.iter().map(Listed::Hub).chain(announced.iter().map(Listed::Announced));
            serde_json::to_string(&all.collect::<Vec<_>>()).map(|json| json + "\n").map_err(Failure::runtime)?
        }
        false if unanswered.is_some() => String::new(),
        false => announced.iter().fold(listed(&hubs), |text, server| format!("{text}\n{}", server.lines())),
    };
    table::print(&text, "the list of streams")?;
    unanswered.map_or(Ok(()), |reason| Err(Failure::runtime(reason)))
}

/// What a list has.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed<'a> {
    Hub(&'a Hub),
    Announced(&'a Announced),
}

/// A socket, and what is behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Hub {
    socket: String,
    /// The process that listens; absent where none does, or it cannot be seen from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    state: State,
    /// Why its streams cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    streams: Vec<Stream>,
}

/// What became of asking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It answers.
    Live,
    /// Whoever listened is gone.
    Stale,
    /// It cannot be asked.
    Unknown,
}

/// A stream of a hub.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Stream {
    name: String,
    pixel: &'static str,
    width: u32,
    height: u32,
    frame_bytes: u64,
    /// Frames a second that its source means, as a fraction; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    delivery: &'static str,
    /// How its frames come to the hub: `udp`, `shm`, or `local`, from within its process.
    path: &'static str,
    readers: u64,
}

/// As wide as a terminal is at least.
const COLUMNS: usize = 80;
/// What stands before what belongs to a line above it.
const INDENT: &str = "  ";

const HEADS: [&str; 6] = ["STREAM", "FORMAT", "RATE", "DELIVERY", "PATH", "READERS"];

impl Hub {
    /// Asks who is there, and waits so long for the answer.
    fn at(endpoint: &Endpoint, patience: Duration) -> Self {
        let socket = endpoint.to_string();
        let answer = Reader::connect_within(endpoint.clone(), patience).and_then(|reader| reader.streams());
        let (state, reason, streams) = match answer {
            Ok(streams) => (State::Live, None, streams.iter().map(Stream::new).collect()),
            // Where there is no socket, nobody is gone; whoever let it connect listens, whatever it does then.
            Err(error) => {
                // Where there is no socket, nobody is gone; whoever let it connect listens, whatever it does then.
                let is_left = |source: &io::Error| source.kind() != io::ErrorKind::NotFound;
                let is_stale = matches!(&error, ShareError::NoHub { source, .. } if is_left(source));
                (if is_stale { State::Stale } else { State::Unknown }, Some(error.to_string()), Vec::new())
            }
        };
        // One that does not answer has a process all the same.
        let pid = if state == State::Stale { None } else { Reader::peer_pid(endpoint).ok().flatten() };
        Self { socket, pid, state, reason, streams }
    }

    /// The socket, and below it a line a stream or one that says why there is none.
    fn lines(&self) -> String {
        let process = self.pid.map(|pid| format!("  (process {pid})")).unwrap_or_default();
        let below = match (self.state, self.streams.as_slice()) {
            (State::Live, []) => "no stream\n".to_owned(),
            (State::Live, streams) => table::fitting(HEADS, streams.iter().map(Stream::cells), COLUMNS - INDENT.len()),
            (State::Stale, _) => "stale: nobody listens there any more\n".to_owned(),
            (State::Unknown, _) => in_a_line(self.reason.as_deref().unwrap_or("unknown")) + "\n",
        };
        let below: String = below.lines().map(|line| format!("{INDENT}{line}\n")).collect();
        format!("{}{process}\n{below}", in_a_line(&self.socket))
    }
}

impl Stream {
    fn new(info: &SharedStreamInfo) -> Self {
        let format = &info.format;
        Self {
            name: info.name.clone(),
            pixel: format.pixel().name(),
            width: format.width(),
            height: format.height(),
            frame_bytes: format.frame_bytes() as u64,
            rate: info.presentation.rate.map(|rate| rate.to_string()),
            delivery: info.delivery.name(),
            path: info.path.map_or("local", |path| path.name()),
            readers: info.readers as u64,
        }
    }

    fn cells(&self) -> [String; 6] {
        [
            in_a_line(&self.name),
            format!("{}x{} {}", self.width, self.height, self.pixel),
            self.rate.clone().unwrap_or_else(|| "-".to_owned()),
            self.delivery.to_owned(),
            self.path.to_owned(),
            self.readers.to_string(),
        ]
    }
}

fn listed(hubs: &[Hub]) -> String {
    match hubs {
        [] => "no hub of this machine shares streams where this user may look\n".to_owned(),
        hubs => hubs.iter().map(Hub::lines).collect::<Vec<_>>().join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str) -> Stream {
        Stream {
            name: name.into(),
            pixel: "gray8",
            width: 1920,
            height: 1080,
            frame_bytes: 2_073_600,
            rate: Some("30".into()),
            delivery: "latest",
            path: "udp",
            readers: 2,
        }
    }

    fn hub(socket: &str, state: State, streams: Vec<Stream>) -> Hub {
        let pid = (state == State::Live).then_some(42);
        let reason = (state != State::Live).then(|| "it is another user's".to_owned());
        Hub { socket: socket.into(), pid, state, reason, streams }
    }

    #[test]
    fn a_socket_stands_above_its_streams_or_why_it_has_none_and_nothing_is_wider_than_a_terminal() {
        let hubs = [
            hub("/run/framewire/7001.sock", State::Live, vec![stream("front"), stream("re\u{1b}a\u{202e}r")]),
            hub("/run/framewire/7002.sock", State::Live, Vec::new()),
            hub("/run/framewire/7003.sock", State::Stale, Vec::new()),
            hub("/run/framewire/7004.sock", State::Unknown, Vec::new()),
        ];
        let expected = "\
/run/framewire/7001.sock  (process 42)
  STREAM              FORMAT           RATE  DELIVERY  PATH  READERS
  front               1920x1080 gray8  30    latest    udp   2
  re\\u{1b}a\\u{202e}r  1920x1080 gray8  30    latest    udp   2

/run/framewire/7002.sock  (process 42)
  no stream

/run/framewire/7003.sock
  stale: nobody listens there any more

/run/framewire/7004.sock
  it is another user's
";
        assert_eq!(listed(&hubs), expected);
        assert!(listed(&[]).starts_with("no hub of this machine"));
        // The longest of all.
        let widest = Stream {
            pixel: "yuv420p10",
            width: 16_384,
            height: 16_384,
            rate: Some("30000/1001".into()),
            ..stream(&"front-left/".repeat(23))
        };
        let text = listed(&[hub("/run/user/1000/framewire/7001.sock", State::Live, vec![widest])]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_socket_that_never_was_is_not_one_that_was_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Hub::at(&Endpoint::path(folder.path().join(name)).unwrap(), Duration::from_secs(5)).state;
        let left =
            rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::SEQPACKET, None).unwrap();
        let path = rustix::net::SocketAddrUnix::new(folder.path().join("left.sock")).unwrap();
        rustix::net::bind(&left, &path).unwrap();
        drop(left);
        assert_eq!((at("never.sock"), at("left.sock")), (State::Unknown, State::Stale));
    }

    #[test]
    fn the_array_has_every_socket_with_its_state() {
        let hubs = [hub("/a.sock", State::Live, vec![stream("front")]), hub("/b.sock", State::Stale, Vec::new())];
        let json = serde_json::to_value(&hubs).unwrap();
        assert_eq!((&json[0]["state"], &json[0]["pid"]), (&"live".into(), &42.into()));
        assert_eq!((&json[0]["streams"][0]["name"], &json[0]["streams"][0]["readers"]), (&"front".into(), &2.into()));
        assert_eq!((&json[1]["state"], json[1].get("pid")), (&"stale".into(), None));
    }
}
