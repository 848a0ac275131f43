//! A stream of a server by its name, beside a server that does what a server may: late, away, with another key, in another format, refusing.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use framewire_ends::{Class, ReceiveOptions, ServerPlace, Source, Taken, WatchOptions};
use framewire_signal::message::{OpenRequest, Opened, Refused, Role, Waiting, WatchAnswer, WatchRequest, Watching};
use framewire_signal::{Asker, Identity, Join, ServerConfig, SignalServer, StreamHost, Token};
use framewire_testing::{PATIENCE, wait_for, wait_until};
use framewire_transport::{Delivery, FrameFormat, Key, PixelFormat, Protection, Sender, SenderConfig};

fn gray(width: u32) -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, width, 48).unwrap()
}

/// What streams the server has: one, or none.
#[derive(Default)]
struct Host(Mutex<Stage>);

#[derive(Default)]
struct Stage {
    format: Option<FrameFormat>,
    key: Option<Key>,
    refusal: Option<Refused>,
    /// Who watches.
    asked: Option<(Asker, WatchRequest)>,
    left: usize,
}

impl StreamHost for Host {
    fn open(&self, _request: &OpenRequest) -> Result<Opened, Refused> {
        Err(Refused::new("no-cameras", "this server takes none"))
    }

    fn close(&self, _stream: u32) {}

    fn watch(&self, asker: &Asker, request: &WatchRequest) -> Result<WatchAnswer, Refused> {
        let mut stage = self.0.lock().unwrap();
        stage.asked = Some((*asker, request.clone()));
        if let Some(refused) = &stage.refusal {
            return Err(refused.clone());
        }
        Ok(match stage.format {
            Some(format) => WatchAnswer::Watching(watching(request, &format, stage.key.clone())),
            None => WatchAnswer::Waiting(
                Waiting::new(request.stream, "there is no stream 'front'").nearest(Some("frond".to_owned())),
            ),
        })
    }

    fn unwatch(&self, _stream: u32) {
        self.0.lock().unwrap().left += 1;
    }
}

fn watching(request: &WatchRequest, format: &FrameFormat, key: Option<Key>) -> Watching {
    let delivery = request.delivery.unwrap_or(Delivery::Latest);
    Watching::new(request.stream, request.name.clone(), format, delivery).key(key)
}

/// A server, and what it has.
struct Served {
    server: SignalServer,
    host: Arc<Host>,
}

impl Served {
    fn start(config: ServerConfig, stage: Stage) -> Self {
        Self::start_at("127.0.0.1:0", config, stage)
    }

    fn start_at(place: &str, config: ServerConfig, stage: Stage) -> Self {
        let host = Arc::new(Host(Mutex::new(stage)));
        let config = config.listen(place.parse().unwrap());
        Self { server: SignalServer::start(config, host.clone()).unwrap(), host }
    }

    fn plain(format: Option<FrameFormat>) -> Self {
        Self::start(ServerConfig::new(), Stage { format, ..Stage::default() })
    }

    fn place(&self) -> ServerPlace {
        ServerPlace::Url(format!("http://{}", self.server.local_addr()))
    }

    /// What has been asked, once somebody has.
    fn asked(&self) -> (Asker, WatchRequest) {
        wait_for("a wish", || self.host.0.lock().unwrap().asked.clone().ok_or("nobody has asked"))
    }

    /// Sends to whoever has asked, as a server does.
    fn sender(&self, format: FrameFormat, key: Option<Key>) -> Sender {
        let (asker, request) = self.asked();
        // Whatever was asked for: nobody who watches is waited for.
        let config = SenderConfig::new(format).stream(request.stream).delivery(Delivery::Latest);
        let config = match key {
            Some(key) => config.key(key),
            None => config,
        };
        Sender::connect(asker.at(request.udp_port), config).unwrap()
    }
}

/// Sends until a frame of this format comes.
fn taken(source: &Source, sender: &Sender, format: FrameFormat) -> Taken {
    wait_for(format_args!("a frame of {format}"), || {
        if let Ok(mut frame) = sender.frame() {
            frame.fill(7);
            let _ = sender.send(frame);
        }
        let taken = source.recv(Duration::from_millis(20)).unwrap();
        taken.filter(|taken| taken.stream.format == format).ok_or("none comes")
    })
}

#[test]
fn frames_come_under_the_name_and_the_wish_says_what_was_asked_for() {
    let served = Served::plain(Some(gray(64)));
    let options = WatchOptions::new().delivery(Delivery::Every).frames_per_second_max(5.0);
    let source = Source::watch("front", &served.place(), &options).unwrap();
    let (asker, request) = served.asked();
    assert!(asker.ip.is_loopback());
    assert_eq!((request.name.as_str(), request.frames_per_second_max), ("front", Some(5.0)));
    assert_eq!(
        source.local_addr().map(|local| (local.ip().is_loopback(), local.port())),
        Some((true, request.udp_port))
    );
    let sender = served.sender(gray(64), None);
    let taken = taken(&source, &sender, gray(64));
    assert_eq!((taken.stream.name.as_str(), taken.stream.delivery), ("front", Delivery::Every));
    assert!(taken.frame.iter().all(|gray| *gray == 7) && source.trouble().is_none());
    source.close();
    assert_eq!(source.recv(PATIENCE).unwrap_err().class, Class::Closed);
    wait_until("the watcher has left", || served.host.0.lock().unwrap().left == 1);
}

#[test]
fn frames_come_in_wherever_the_connection_goes_out_from() {
    // This machine goes out from 127.0.0.1 to all of its addresses.
    let mut places = vec![("127.0.0.2:0", None, "127.0.0.1")];
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        places.extend([("[::1]:0", None, "::1"), ("[::1]:0", Some("localhost"), "::1")]);
    }
    for (place, name, own) in places {
        let stage = Stage { format: Some(gray(64)), ..Stage::default() };
        let served = Served::start_at(place, ServerConfig::new(), stage);
        let address = served.server.local_addr();
        let host = name.map_or_else(|| address.to_string(), |name| format!("{name}:{}", address.port()));
        let source = Source::watch("front", &ServerPlace::Url(format!("http://{host}")), &WatchOptions::new()).unwrap();
        // Of two wishes, the last is where frames are to go.
        let port = wait_for(format_args!("a wish from {own}"), || {
            let (_, request) = served.asked();
            let local = source.local_addr().filter(|local| local.ip() == own.parse::<IpAddr>().unwrap());
            local
                .map(|local| local.port())
                .filter(|port| *port == request.udp_port)
                .ok_or_else(|| format!("{request:?}"))
        });
        let sender = served.sender(gray(64), None);
        taken(&source, &sender, gray(64));
        assert_eq!(source.local_addr().map(|local| local.port()), Some(port), "{place}");
    }
}

#[test]
fn frames_come_in_at_the_port_that_was_chosen() {
    let served = Served::plain(Some(gray(64)));
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = WatchOptions::new().udp(format!("127.0.0.1:{free}"));
    let source = Source::watch("front", &served.place(), &options).unwrap();
    assert_eq!(served.asked().1.udp_port, free);
    let sender = served.sender(gray(64), None);
    taken(&source, &sender, gray(64));
}

#[test]
fn that_no_datagram_comes_of_what_is_sent_is_told_until_one_does() {
    let served = Served::plain(Some(gray(64)));
    let source = Source::watch("front", &served.place(), &WatchOptions::new()).unwrap();
    let silent = |trouble: &String| trouble.contains("nothing of it comes in") && trouble.contains("udp ':PORT'");
    wait_for("word of the silence", || source.trouble().filter(silent).ok_or("nothing is told of it"));
    let sender = served.sender(gray(64), None);
    taken(&source, &sender, gray(64));
    wait_until("it is well", || source.trouble().is_none());
}

#[test]
fn what_is_waited_for_is_told_and_comes() {
    let served = Served::plain(None);
    let source = Source::watch("front", &served.place(), &WatchOptions::new()).unwrap();
    let trouble = wait_for("a trouble", || source.trouble().ok_or("none is told"));
    assert!(trouble.contains("no stream 'front'") && trouble.contains("'frond'"), "{trouble}");
    assert!(source.recv(Duration::ZERO).unwrap().is_none());
    let (_, request) = served.asked();
    served.server.tell_watching(watching(&request, &gray(64), None));
    let sender = served.sender(gray(64), None);
    taken(&source, &sender, gray(64));
}

#[test]
fn a_stream_that_comes_back_in_another_format_is_taken() {
    let served = Served::plain(Some(gray(64)));
    let source = Source::watch("front", &served.place(), &WatchOptions::new()).unwrap();
    let sender = served.sender(gray(64), None);
    taken(&source, &sender, gray(64));
    drop(sender);
    let (_, request) = served.asked();
    served.server.tell_unwatched(request.stream, "the stream has ended");
    served.server.tell_watching(watching(&request, &gray(32), None));
    let sender = served.sender(gray(32), None);
    taken(&source, &sender, gray(32));
    assert_eq!(source.stats().streams, 2);
}

#[test]
fn without_waiting_for_its_return_the_stream_ends() {
    let served = Served::plain(Some(gray(64)));
    let options = WatchOptions::new().receive(ReceiveOptions::new().reconnect(false));
    let source = Source::watch("front", &served.place(), &options).unwrap();
    let sender = served.sender(gray(64), None);
    taken(&source, &sender, gray(64));
    drop(sender);
    let end = wait_for("the end", || source.recv(Duration::from_millis(50)).err().ok_or("it goes on"));
    assert_eq!(end.class, Class::Ended);
}

#[test]
fn a_refusal_wakes_whoever_waits_and_is_told_each_time() {
    let refusal = Some(Refused::new("no-watchers", "nobody may watch here"));
    let served = Served::start(ServerConfig::new(), Stage { refusal, ..Stage::default() });
    let source = Source::watch("front", &served.place(), &WatchOptions::new()).unwrap();
    for _ in 0..2 {
        let error = source.recv(PATIENCE).unwrap_err();
        assert_eq!((error.class, error.code), (Class::Refused, "server-refuses"));
        assert!(error.text.contains("nobody may watch here"), "{error}");
    }
}

#[test]
fn a_protected_server_is_believed_by_its_line_and_its_key_protects_the_frames() {
    let token = Token::new("kCpVUAk0lZlcKPXqdcE7gQ").unwrap();
    let (certificate, key) = Identity::generate(&["127.0.0.1".into()]).unwrap();
    let config = ServerConfig::new().token(token.clone()).tls(Identity::from_pem(&certificate, &key).unwrap());
    let key = Key::from_bytes([7; 32]);
    let stage = Stage { format: Some(gray(64)), key: Some(key.clone()), ..Stage::default() };
    let served = Served::start(config, stage);
    let address = served.server.local_addr();
    let join = Join::new("127.0.0.1", address.port(), token, served.server.pin().unwrap()).unwrap();
    let place = ServerPlace::Join(join.to_text());
    let source = Source::watch("front", &place, &WatchOptions::new()).unwrap();
    let (asker, _) = served.asked();
    assert!(asker.protected);
    assert_ne!(asker.role, Role::Node);
    let sender = served.sender(gray(64), Some(key));
    assert!(taken(&source, &sender, gray(64)).stream.protection.is_some());

    // Of a server that was started anew, while the sender of before has not ended.
    let (_, request) = served.asked();
    let other = Key::from_bytes([8; 32]);
    served.server.tell_watching(watching(&request, &gray(64), Some(other.clone())));
    let anew = served.sender(gray(64), Some(other));
    wait_until("a second stream", || {
        taken(&source, &anew, gray(64));
        source.stats().streams == 2
    });

    let off = WatchOptions::new().receive(ReceiveOptions::new().protection(Protection::Off));
    assert_eq!(Source::watch("front", &place, &off).err().map(|error| error.code), Some("joined-key"));
}

#[test]
fn a_server_that_is_joined_and_gives_no_key_is_refused() {
    let token = Token::new("kCpVUAk0lZlcKPXqdcE7gQ").unwrap();
    let (certificate, key) = Identity::generate(&["127.0.0.1".into()]).unwrap();
    let config = ServerConfig::new().token(token.clone()).tls(Identity::from_pem(&certificate, &key).unwrap());
    let served = Served::start(config, Stage { format: Some(gray(64)), ..Stage::default() });
    let port = served.server.local_addr().port();
    let join = Join::new("127.0.0.1", port, token, served.server.pin().unwrap()).unwrap();
    let source = Source::watch("front", &ServerPlace::Join(join.to_text()), &WatchOptions::new()).unwrap();
    assert_eq!(source.recv(PATIENCE).unwrap_err().code, "server-unprotected");
}

#[test]
fn what_cannot_be_is_told_at_once() {
    let at = |url: &str| ServerPlace::Url(url.to_owned());
    let given = [
        ("", at("http://127.0.0.1:9"), WatchOptions::new()),
        ("front", at("127.0.0.1:9"), WatchOptions::new()),
        ("front", at("http://127.0.0.1:9"), WatchOptions::new().frames_per_second_max(0.0)),
        ("front", ServerPlace::Join("framewire://h:1".to_owned()), WatchOptions::new()),
        ("front", at("http://127.0.0.1:9"), WatchOptions::new().udp("nowhere".to_owned())),
        (
            "front",
            at("http://127.0.0.1:9"),
            WatchOptions::new().receive(ReceiveOptions::new().keys([Key::from_bytes([1; 32])])),
        ),
    ];
    for (name, place, options) in given {
        let error = Source::watch(name, &place, &options).err().unwrap();
        assert_eq!(error.class, Class::Argument, "{name} {place:?}: {error}");
    }
}
