//! `framewire ls`: which servers of this machine share streams, and which.

use clap::Args;
use framewire_process::exit::Failure;
use framewire_transport::share::{Endpoint, Reader, ShareError, SharedStreamInfo};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt};
use serde::Serialize;

use crate::{hubs, table};

/// How they are listed.
#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    /// Print one JSON array instead of the table
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
///
/// # Errors
/// Standard output takes nothing.
pub fn run(args: &LsArgs) -> Result<(), Failure> {
    let hubs: Vec<_> = hubs::each(&Endpoint::all(), |endpoint| Hub::at(endpoint.clone()));
    let text = match args.json {
        true => serde_json::to_string(&hubs).map(|json| json + "\n").map_err(Failure::runtime)?,
        false => table(&hubs),
    };
    table::print(&text, "the list of streams")
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

const HEADS: [&str; 8] = ["SOCKET", "PID", "STREAM", "FORMAT", "RATE", "DELIVERY", "PATH", "READERS"];

impl Hub {
    /// Asks who is there.
    fn at(endpoint: Endpoint) -> Self {
        let socket = endpoint.to_string();
        let pid = process_at(&endpoint);
        let (state, reason, streams) = match Reader::connect(endpoint).and_then(|reader| reader.streams()) {
            Ok(streams) => (State::Live, None, streams.iter().map(Stream::new).collect()),
            Err(error @ (ShareError::NoHub { .. } | ShareError::HubGone { .. })) => {
                (State::Stale, Some(error.to_string()), Vec::new())
            }
            Err(error) => (State::Unknown, Some(error.to_string()), Vec::new()),
        };
        Self { socket, pid: pid.filter(|_| state != State::Stale), state, reason, streams }
    }

    /// What the table has of it: a line a stream, or one that says why there is none.
    fn lines(&self) -> Vec<[String; 8]> {
        let pid = self.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let instead = |text: &str| {
            let [socket, pid, text] = [self.socket.clone(), pid.clone(), text.to_owned()].map(|cell| visible(&cell));
            [socket, pid, text].into_iter().chain(std::iter::repeat_with(String::new)).take(8).collect::<Vec<_>>()
        };
        let line = |cells: Vec<String>| -> [String; 8] { std::array::from_fn(|at| cells[at].clone()) };
        match (self.state, self.streams.as_slice()) {
            (State::Live, []) => vec![line(instead("(no stream)"))],
            (State::Live, streams) => streams.iter().map(|stream| stream.cells(&self.socket, &pid)).collect(),
            (State::Stale, _) => vec![line(instead("(stale: nobody listens there any more)"))],
            (State::Unknown, _) => vec![line(instead(&format!("({})", self.reason.as_deref().unwrap_or("unknown"))))],
        }
    }
}

/// The process that listens on a socket, where it can be seen from here.
fn process_at(endpoint: &Endpoint) -> Option<u32> {
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None);
    let socket = socket.ok()?;
    connect(&socket, &SocketAddrUnix::new(endpoint.as_path()).ok()?).ok()?;
    let pid = sockopt::socket_peercred(&socket).ok()?.pid.as_raw_nonzero();
    u32::try_from(pid.get()).ok()
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

    fn cells(&self, socket: &str, pid: &str) -> [String; 8] {
        [
            visible(socket),
            pid.to_owned(),
            visible(&self.name),
            format!("{}x{} {}", self.width, self.height, self.pixel),
            self.rate.clone().unwrap_or_else(|| "-".to_owned()),
            self.delivery.to_owned(),
            self.path.to_owned(),
            self.readers.to_string(),
        ]
    }
}

/// The text without what a terminal would obey.
fn visible(text: &str) -> String {
    let shown = |letter: char| match letter {
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(shown).collect()
}

fn table(hubs: &[Hub]) -> String {
    if hubs.is_empty() {
        return "no server of this machine shares streams where this user may look\n".to_owned();
    }
    let lines: Vec<_> = std::iter::once(HEADS.map(str::to_owned)).chain(hubs.iter().flat_map(Hub::lines)).collect();
    table::aligned(&lines)
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
    fn a_table_has_a_line_for_each_stream_and_says_of_every_other_socket_why_it_has_none() {
        let hubs = [
            hub("/run/framewire/7001.sock", State::Live, vec![stream("front"), stream("re\u{1b}ar")]),
            hub("/run/framewire/7002.sock", State::Live, Vec::new()),
            hub("/run/framewire/7003.sock", State::Stale, Vec::new()),
            hub("/run/framewire/7004.sock", State::Unknown, Vec::new()),
        ];
        let expected = "\
SOCKET                    PID  STREAM                                  FORMAT           RATE  DELIVERY  PATH  READERS
/run/framewire/7001.sock  42   front                                   1920x1080 gray8  30    latest    udp   2
/run/framewire/7001.sock  42   re\\u{1b}ar                              1920x1080 gray8  30    latest    udp   2
/run/framewire/7002.sock  42   (no stream)
/run/framewire/7003.sock  -    (stale: nobody listens there any more)
/run/framewire/7004.sock  -    (it is another user's)
";
        assert_eq!(table(&hubs), expected);
        assert!(table(&[]).starts_with("no server of this machine"));
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
