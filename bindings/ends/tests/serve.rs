//! A stream to a server by its address, beside a server that takes it as servers do; and what is said of its pictures on the way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use framewire_ends::{Class, Hub, OpenOptions, Output, OutputOptions, ReceiveOptions, ServerPlace, Source, Taken};
use framewire_signal::message::{OpenRequest, Opened, Refused};
use framewire_signal::{ServerConfig, SignalServer, StreamHost};
use framewire_testing::{PATIENCE, wait_for, wait_until};
use framewire_transport::frame::{ColourRange, Presentation, Scan};
use framewire_transport::{Delivery, FrameFormat, FrameRate, Key, PathChoice, PathKind, PixelFormat};

fn gray() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap()
}

/// Has every stream sent to one receiver.
struct Host {
    to: SocketAddr,
    asked: Mutex<Vec<OpenRequest>>,
    closed: Mutex<usize>,
}

impl StreamHost for Host {
    fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
        self.asked.lock().unwrap().push(request.clone());
        Ok(Opened::new(request.stream, self.to.port()))
    }

    fn close(&self, _stream: u32) {
        *self.closed.lock().unwrap() += 1;
    }
}

/// A server, and the receiver that its streams go to.
fn served() -> (SignalServer, Arc<Host>, Source) {
    let receiver = Source::bind("127.0.0.1:0", &ReceiveOptions::new()).unwrap();
    let to = receiver.local_addr().unwrap();
    let host = Arc::new(Host { to, asked: Mutex::default(), closed: Mutex::default() });
    let config = ServerConfig::new().listen("127.0.0.1:0".parse().unwrap());
    (SignalServer::start(config, host.clone()).unwrap(), host, receiver)
}

fn taken(output: &Output, source: &Source) -> Taken {
    wait_for("a frame", || {
        if let Some(mut slot) = output.frame(Duration::from_millis(20)).unwrap() {
            slot.fill(7);
            output.send(slot).unwrap();
        }
        source.recv(Duration::from_millis(20)).unwrap().ok_or("none comes")
    })
}

#[test]
fn a_server_is_sent_to_by_its_address_and_told_the_name() {
    let (server, host, receiver) = served();
    let url = ServerPlace::Url(format!("http://{}", server.local_addr()));
    let options = OutputOptions::new().delivery(Delivery::Latest).path(PathChoice::Udp);
    let output = Output::serve(&url, "front", options).unwrap();
    assert_eq!(output.target(), server.local_addr().to_string());
    let said = Presentation::UNKNOWN
        .rate(FrameRate::new(30_000, 1_001).unwrap())
        .scan(Scan::Progressive)
        .range(ColourRange::Limited);
    output.begin_as(gray(), said).unwrap();
    let taken = taken(&output, &receiver);
    assert!(taken.frame.iter().all(|gray| *gray == 7));
    assert_eq!((taken.stream.presentation, taken.stream.path), (said, Some(PathKind::Udp)));
    assert_eq!(host.asked.lock().unwrap()[0].name, "front");
    assert!(output.close(PATIENCE));
    wait_until("the server is told of the end", || *host.closed.lock().unwrap() > 0);
}

#[test]
fn a_server_that_is_away_is_said_to_be_and_waited_for() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = ServerPlace::Url(format!("http://{free}"));
    let output = Output::serve(&url, "front", OutputOptions::new()).unwrap();
    output.begin(gray()).unwrap();
    assert!(output.frame(Duration::from_millis(20)).unwrap().is_none());
    wait_until("a trouble is told", || output.trouble().is_some());
}

#[test]
fn a_server_gives_the_key_itself() {
    let options = OutputOptions::new().key(Key::random().unwrap());
    let url = ServerPlace::Url("http://127.0.0.1:1".to_owned());
    assert_eq!(Output::serve(&url, "front", options).err().map(|error| error.class), Some(Class::Argument));
}

#[test]
fn readers_of_what_is_published_so_that_nothing_is_lost_have_every_frame_wait() {
    let folder = tempfile::tempdir().unwrap();
    let hub: Hub = folder.path().join("front.sock").to_str().unwrap().parse().unwrap();
    let output = Output::publish("front", Some(hub.clone()), OutputOptions::new().delivery(Delivery::Every)).unwrap();
    output.begin(gray()).unwrap();
    let options = OpenOptions::new().hub(hub).every(true);
    let source = Source::open(Some("front"), &options, &mut || true).unwrap().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for shade in 0..100 {
                let mut slot = output.frame(PATIENCE).unwrap().unwrap();
                slot.fill(shade);
                output.send(slot).unwrap();
            }
        });
        for shade in 0..100 {
            let taken = source.recv(PATIENCE).unwrap().unwrap();
            assert!(taken.frame.iter().all(|gray| *gray == shade));
        }
    });
    assert_eq!(source.stats().dropped, 0);
}

#[test]
fn a_hub_that_waits_for_no_reader_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let hub: Hub = folder.path().join("front.sock").to_str().unwrap().parse().unwrap();
    let output = Output::publish("front", Some(hub.clone()), OutputOptions::new()).unwrap();
    output.begin(gray()).unwrap();
    let options = OpenOptions::new().hub(hub).every(true);
    let refused = Source::open(Some("front"), &options, &mut || true).err().unwrap();
    assert!(refused.class == Class::Refused && refused.text.contains("--share-block"), "{refused}");
}
