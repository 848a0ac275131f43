//! Servers of one process that ask each other for streams, by directories that may say anything.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use framewire_budget::Card;
use framewire_monitor::{About, Board, Entry};
use framewire_process::stop::Stop;
use framewire_signal::message::{OpenRequest, Opened};
use framewire_signal::{ClientConfig, ClientEvent, ServerConfig, SignalClient, SignalServer, StreamHost, Token};
use framewire_testing::{PATIENCE, wait_until};
use framewire_transport::frame::Presentation;
use framewire_transport::{
    Admission, Announcement, FrameFormat, IncomingStream, PathKind, PixelFormat, Protection, Receiver, ReceiverConfig,
    RelayConfig, Sender, SenderConfig,
};

use super::source::Place;
use super::*;
use crate::server::interest::Interest;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn node(n: u8) -> NodeId {
    NodeId::new([n; 16])
}

fn hops<const N: usize>(nodes: [u8; N]) -> Hops {
    Hops::new(nodes.map(node)).unwrap()
}

fn node_token() -> Token {
    Token::of_node(&Token::new("ffeeddccbbaa99887766554433221100").unwrap())
}

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap()
}

fn receiver_config() -> ReceiverConfig {
    ReceiverConfig::new().admission(Admission::Announced).protection(Protection::Off)
}

/// What a server is told of the others. It leaves out nobody whom a stream goes on through.
struct Told {
    own: NodeId,
    peers: Mutex<HashMap<String, Peer>>,
}

impl Told {
    fn tell(&self, name: &str, at: u8, url: &str) {
        let peer = Peer {
            node: node(at),
            incarnation: 1,
            name: format!("node-{at}"),
            stream: name.to_owned(),
            client: ClientConfig::new(url).token(node_token()).role(Role::Node).insecure(true),
        };
        lock(&self.peers).insert(name.to_owned(), peer);
    }
}

impl Peers for Told {
    fn own(&self) -> Option<(NodeId, String)> {
        Some((self.own, "own".to_owned()))
    }

    fn find(&self, name: &str, _onward: &Hops) -> Option<Peer> {
        lock(&self.peers).get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        lock(&self.peers).keys().cloned().collect()
    }

    fn name_of(&self, _node: NodeId) -> Option<String> {
        None
    }
}

struct Host(Arc<Watches>);

impl StreamHost for Host {
    fn open(&self, _: &OpenRequest) -> Result<Opened, Refused> {
        Err(Refused::new("test", "nothing is opened here"))
    }

    fn close(&self, _: u32) {}

    fn watch(&self, asker: &Asker, request: &WatchRequest) -> Result<WatchAnswer, Refused> {
        self.0.watch(asker, request)
    }

    fn unwatch(&self, stream: u32) {
        self.0.unwatch(stream);
    }
}

struct Server {
    n: u8,
    told: Arc<Told>,
    watches: Arc<Watches>,
    signal: Option<Arc<SignalServer>>,
    /// Where its cameras send.
    receiver: Receiver,
    board: Arc<Board>,
    stop: Stop,
    elsewhere: Option<JoinHandle<()>>,
}

impl Server {
    fn start(n: u8) -> Self {
        Self::with_links(n, Vec::new())
    }

    fn with_links(n: u8, links: Vec<framewire_budget::Link>) -> Self {
        let told = Arc::new(Told { own: node(n), peers: Mutex::default() });
        let voice = Voice::default();
        let links = Arc::new(Links::new(links, voice.clone()));
        let place = UpstreamPlace { bind: LOOPBACK, config: receiver_config() };
        let relay = Relay::start(RelayConfig::new()).unwrap();
        let watches = Arc::new(Watches::new(relay, links, voice.clone(), told.clone(), place, false));
        let signal = Arc::new(serve(Arc::new(Host(watches.clone()))));
        voice.speak_by(&signal);
        let stop = Stop::new();
        let elsewhere = std::thread::spawn({
            let (watches, stop) = (watches.clone(), stop.clone());
            move || watches.watch_elsewhere(&stop)
        });
        let receiver = Receiver::bind(LOOPBACK, receiver_config()).unwrap();
        let board = Arc::new(Board::new(Vec::new()));
        Self { n, told, watches, signal: Some(signal), receiver, board, stop, elsewhere: Some(elsewhere) }
    }

    fn url(&self) -> String {
        url(self.signal.as_ref().unwrap())
    }

    /// Is told that the other has this stream.
    fn hears_of(&self, name: &str, other: &Self) {
        self.told.tell(name, other.n, &other.url());
    }

    fn relayed(&self) -> Relayed {
        self.watches.tick(Instant::now())
    }

    fn ask_as_node(&self, stream: u32, name: &str, hops: Hops) -> Result<WatchAnswer, Refused> {
        let asker = Asker::new(LOOPBACK, Role::Node, false);
        self.watches.watch(&asker, &WatchRequest::new(stream, name, 9).hops(hops))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.stop();
        let _ = self.elsewhere.take().map(JoinHandle::join);
    }
}

fn serve(host: Arc<dyn StreamHost>) -> SignalServer {
    SignalServer::start(ServerConfig::new().listen(LOOPBACK).node_token(node_token()), host).unwrap()
}

fn url(signal: &SignalServer) -> String {
    format!("http://{}", signal.local_addr())
}

/// A stream that comes to a server from its sender, a frame each 10 ms.
struct Camera {
    stream: Arc<IncomingStream>,
    entry: Entry,
    stop: Stop,
    films: Option<JoinHandle<()>>,
}

impl Camera {
    fn at(server: &Server, name: &str) -> Self {
        let id = getrandom::u32().unwrap();
        server.receiver.announce(id, Announcement::new(format())).unwrap();
        let config = SenderConfig::new(format()).stream(id).protection(Protection::Off);
        let sender = Sender::connect(server.receiver.local_addr(), config).unwrap();
        let stream = Arc::new(server.receiver.accept_timeout(PATIENCE).unwrap());
        let about = About {
            id: 1,
            name: name.to_owned(),
            incarnation: None,
            source: None,
            format: format(),
            presentation: Presentation::UNKNOWN,
            delivery: None,
            path: PathKind::Udp,
            cipher: None,
            backend: "mmsg".to_owned(),
        };
        let stop = Stop::new();
        let films = std::thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.sleep_until(Instant::now() + Duration::from_millis(10)) {
                    let Ok(Some(frame)) = sender.frame_timeout(PATIENCE) else { return };
                    let _ = sender.send(frame);
                }
            }
        });
        Self { stream, entry: server.board.add(about, Vec::new()), stop, films: Some(films) }
    }

    /// What its server sends on.
    fn source(&self) -> Source {
        Source::here(&self.stream, (*self.entry).clone(), Some(100.0), Arc::new(Interest::new(false)))
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.stop();
        let _ = self.films.take().map(JoinHandle::join);
    }
}

/// Somebody who has asked for a stream.
struct Onlooker {
    client: SignalClient,
    receiver: Receiver,
    id: u32,
}

impl Onlooker {
    fn at(server: &Server, name: &str) -> Self {
        let receiver = Receiver::bind(LOOPBACK, receiver_config()).unwrap();
        let id = getrandom::u32().unwrap();
        let request = WatchRequest::new(id, name, receiver.local_addr().port());
        let client = SignalClient::start(ClientConfig::new(server.url()).watch(request)).unwrap();
        Self { client, receiver, id }
    }

    /// What it is told until this comes.
    fn told<T>(&self, mut is_meant: impl FnMut(&ClientEvent) -> Option<T>) -> T {
        let (deadline, mut passed) = (Instant::now() + PATIENCE, Vec::new());
        loop {
            match self.client.next_event(deadline.saturating_duration_since(Instant::now())) {
                Some(event) => match is_meant(&event) {
                    Some(meant) => return meant,
                    None => passed.push(event),
                },
                None => panic!("it was not told; what was: {passed:#?}"),
            }
        }
    }

    fn waiting(&self) {
        self.told(|event| matches!(event, ClientEvent::Waiting(_)).then_some(()));
    }

    /// Why it has no stream.
    fn unwatched(&self) -> String {
        self.told(|event| match event {
            ClientEvent::Unwatched(unwatched) => Some(unwatched.message.clone()),
            _ => None,
        })
    }

    fn watching(&self) -> Watching {
        let watching = self.told(|event| match event {
            ClientEvent::Watching(watching) => Some(watching.clone()),
            _ => None,
        });
        self.receiver.announce(self.id, Announcement::new(watching.format().unwrap())).unwrap();
        watching
    }

    fn take_frames(&self) {
        let stream = self.receiver.accept_timeout(PATIENCE).unwrap();
        for _ in 0..3 {
            stream.recv_timeout(PATIENCE).unwrap();
        }
    }
}

/// Each has heard that the next has the stream, and somebody asks each; the last of them gets it from a camera.
fn in_a_circle(size: u8) {
    let servers: Vec<Server> = (1..=size).map(Server::start).collect();
    for (at, server) in servers.iter().enumerate() {
        server.hears_of("front", &servers[(at + 1) % servers.len()]);
    }
    let onlookers: Vec<Onlooker> = servers.iter().map(|server| Onlooker::at(server, "front")).collect();
    onlookers.iter().for_each(Onlooker::waiting);
    for server in &servers {
        wait_until("all are asked by their neighbours, and refuse them or let them wait", || {
            let relayed = server.relayed();
            relayed.waiting == 2 || relayed.refused > 0
        });
    }
    let last = servers.last().unwrap();
    let camera = Camera::at(last, "front");
    let source = last.watches.begin(camera.source());
    for (n, onlooker) in (1..).zip(&onlookers) {
        let way = Hops::new((n..=size).rev().map(node)).unwrap();
        assert_eq!(onlooker.watching().hops, way, "from the last on, to the server that was asked");
    }
    onlookers[0].take_frames();
    // The first is asked by the last, which the stream came through.
    let first = servers[0].relayed();
    assert_eq!((first.watchers, first.upstreams), (1, 1), "{first:?}");
    assert_eq!(last.relayed().upstreams, 0, "nothing comes back to it");
    last.watches.end(source, true, "closed by its sender");
    camera.stream.stop();
    for server in &servers {
        wait_until("nothing goes round when its source is gone", || {
            let relayed = server.relayed();
            (relayed.upstreams, relayed.watchers) == (0, 0)
        });
    }
}

#[test]
fn two_servers_that_ask_each_other_send_a_stream_one_way_only() {
    in_a_circle(2);
}

#[test]
fn three_servers_that_ask_each_other_in_a_circle_send_a_stream_no_further_than_round() {
    in_a_circle(3);
}

/// A server that has every stream, by way of whoever asks.
struct Liar(Mutex<mpsc::Sender<(&'static str, u32)>>, Hops);

impl StreamHost for Liar {
    fn open(&self, _: &OpenRequest) -> Result<Opened, Refused> {
        Err(Refused::new("test", "nothing is opened here"))
    }

    fn close(&self, _: u32) {}

    fn watch(&self, _: &Asker, request: &WatchRequest) -> Result<WatchAnswer, Refused> {
        let _ = lock(&self.0).send(("watch", request.stream));
        let watching = Watching::new(request.stream, &request.name, &format(), Delivery::Latest);
        Ok(WatchAnswer::Watching(watching.frames_per_second(Some(100.0)).hops(self.1.clone())))
    }

    fn unwatch(&self, stream: u32) {
        let _ = lock(&self.0).send(("unwatch", stream));
    }
}

#[test]
fn a_stream_that_comes_by_way_of_the_server_itself_is_not_taken_and_is_asked_for_anew_later() {
    let (asked, heard) = mpsc::channel();
    let liar = serve(Arc::new(Liar(Mutex::new(asked), hops([1, 9]))));
    let server = Server::start(1);
    server.told.tell("front", 9, &url(&liar));
    let onlooker = Onlooker::at(&server, "front");
    let why = onlooker.unwatched();
    assert!(why.contains("from node-9") && why.contains("twice, in a circle"), "{why}");
    let next = || heard.recv_timeout(PATIENCE).unwrap();
    let (first, stream) = next();
    assert_eq!((first, next()), ("watch", ("unwatch", stream)));
    let (again, another) = next();
    assert!(again == "watch" && another != stream, "it is another wish");
    assert_eq!(server.relayed().upstreams, 0);
}

#[test]
fn a_stream_that_came_through_three_servers_is_not_taken_by_a_fourth() {
    let (asked, _heard) = mpsc::channel();
    let far = serve(Arc::new(Liar(Mutex::new(asked), hops([7, 8, 9]))));
    let server = Server::start(1);
    server.told.tell("front", 9, &url(&far));
    let why = Onlooker::at(&server, "front").unwatched();
    assert!(why.contains("4 servers are more than a stream may come through, 3"), "{why}");
}

#[test]
fn a_wish_for_which_a_stream_would_come_through_more_than_three_servers_is_refused() {
    let server = Server::start(1);
    let says = |stream, name, hops| {
        let refused = server.ask_as_node(stream, name, hops).unwrap_err();
        assert_eq!(refused.reason, reason::HOPS);
        refused.message
    };
    let message = says(5, "front", hops([2, 3, 4]));
    assert!(message.contains("\"front\" would come through more than 3 servers"), "{message}");
    let message = says(5, "front", hops([2, 1]));
    assert!(message.contains("own has been asked for \"front\" by itself"), "{message}");
    // Two more servers are few enough for a stream that is here, and too many for one that is at another.
    assert!(matches!(server.ask_as_node(5, "front", hops([2, 3])), Ok(WatchAnswer::Waiting(_))));
    server.told.tell("rear", 9, "http://127.0.0.1:9");
    let message = says(6, "rear", hops([2, 3]));
    assert!(message.contains("not here but at node-9; watch it there"), "{message}");
    let message = says(7, "rear", hops([9]));
    assert!(message.contains("in a circle"), "{message}");
    let camera = Camera::at(&server, "front");
    server.watches.begin(camera.source());
    let Ok(WatchAnswer::Watching(watching)) = server.ask_as_node(5, "front", hops([2, 3])) else {
        panic!("it is here")
    };
    assert_eq!((watching.hops, watching.node), (hops([1]), Some(node(1).to_string())));
}

#[test]
fn what_several_ask_for_is_asked_for_elsewhere_for_the_nearest_of_them_first() {
    let server = Server::start(1);
    for (stream, way) in [(5, hops([2, 3])), (6, hops([2])), (7, Hops::default()), (8, hops([2]))] {
        server.ask_as_node(stream, "front", way).unwrap();
    }
    let onward: Vec<Hops> = server.watches.wanted().into_iter().map(|wanted| wanted.onward).collect();
    assert_eq!(onward, [hops([1]), hops([1, 2]), hops([1, 2, 3])]);
}

#[test]
fn a_stream_that_comes_another_way_is_sent_to_those_only_whom_it_does_not_come_through() {
    let server = Server::start(1);
    let camera = Camera::at(&server, "front");
    let place = Place { stream: "front".to_owned(), node: (node(9), "node-9".to_owned()) };
    let source = server.watches.begin(Source::elsewhere(&camera.stream, place, hops([9])));
    let answer = |answer| match answer {
        Ok(WatchAnswer::Watching(watching)) => watching.hops,
        other => panic!("{other:?}"),
    };
    assert_eq!(answer(server.ask_as_node(5, "front", hops([2]))), hops([9, 1]));
    assert_eq!(answer(server.ask_as_node(6, "front@node-9", hops([3]))), hops([9, 1]));
    server.watches.reroute(source, &hops([2]));
    assert_eq!(server.watches.count(source), 1, "not to the one that it comes through");
    assert_eq!(answer(server.ask_as_node(6, "front@node-9", hops([3]))), hops([2, 1]), "as was told");
    assert!(matches!(server.ask_as_node(5, "front", hops([2])), Ok(WatchAnswer::Waiting(_))));
    server.watches.reroute(source, &hops([9]));
    assert_eq!(server.watches.count(source), 2, "it has it again");
}

#[test]
fn a_server_is_asked_where_it_is_now() {
    let (near, far) = (Server::start(1), Server::start(2));
    let camera = Camera::at(&far, "front");
    far.watches.begin(camera.source());
    // Nobody answers at the port that it had.
    let gone = TcpListener::bind(LOOPBACK).unwrap();
    near.told.tell("front", 2, &format!("http://{}", gone.local_addr().unwrap()));
    let onlooker = Onlooker::at(&near, "front");
    onlooker.waiting();
    near.hears_of("front", &far);
    assert_eq!(onlooker.watching().hops, hops([2, 1]));
    onlooker.take_frames();
}

#[test]
fn who_waits_for_a_stream_of_a_server_that_refuses_this_one_is_told_so() {
    let (near, far) = (Server::start(1), Server::start(2));
    near.hears_of("front", &far);
    if let Some(peer) = lock(&near.told.peers).get_mut("front") {
        peer.client = peer.client.clone().token(Token::new("00112233445566778899aabbccddeeff").unwrap());
    }
    let onlooker = Onlooker::at(&near, "front");
    while !onlooker.unwatched().contains("node-2 refuses this server") {}
}

#[test]
fn a_stream_that_there_is_no_room_for_is_counted_once_however_often_it_is_asked_for_there() {
    let (asked, heard) = mpsc::channel();
    let far = serve(Arc::new(Liar(Mutex::new(asked), hops([9]))));
    let near = Server::with_links(1, loopback("1M"));
    near.told.tell("front", 9, &url(&far));
    let onlooker = Onlooker::at(&near, "front");
    for _ in 0..2 {
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap().0, "watch");
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap().0, "unwatch");
    }
    assert_eq!(near.watches.links.all_shown()[0].refused, 1);
    let why = onlooker.unwatched();
    assert!(why.contains("from node-9: the link lo is full"), "{why}");
}

/// Loopback of this rate.
fn loopback(rate: &str) -> Vec<framewire_budget::Link> {
    let card = Card { name: "lo".into(), bits_per_second: None, mtu: 65_536 };
    framewire_budget::links(&[format!("lo={rate}").parse().unwrap()], &[card]).unwrap().0
}

#[test]
fn what_is_watched_elsewhere_gives_its_place_back_when_the_other_server_dies_and_who_waits_is_told() {
    let (near, far) = (Server::with_links(1, loopback("1G")), Server::start(2));
    let camera = Camera::at(&far, "front");
    far.watches.begin(camera.source());
    near.hears_of("front", &far);
    let onlooker = Onlooker::at(&near, "front");
    onlooker.watching();
    onlooker.take_frames();
    let grants = || near.watches.links.all_shown()[0].grants;
    assert_eq!(grants(), 2, "in from the one, and out to the other");
    drop((camera, far));
    wait_until("neither takes a part of the link", || grants() == 0);
    while !onlooker.unwatched().contains("node-2 is not reached") {}
}

#[test]
fn what_is_here_is_not_asked_for_elsewhere_while_there_is_no_room_for_it_on_the_way_out() {
    let server = Server::with_links(1, loopback("1M"));
    assert!(matches!(server.ask_as_node(5, "front", hops([2])), Ok(WatchAnswer::Waiting(_))));
    assert!(matches!(server.ask_as_node(6, "front@own", hops([2])), Ok(WatchAnswer::Waiting(_))));
    assert_eq!(server.watches.wanted().len(), 2);
    let camera = Camera::at(&server, "front");
    server.watches.begin(camera.source());
    let relayed = server.relayed();
    assert_eq!((relayed.watchers, relayed.waiting), (0, 2), "there is no room for it");
    assert_eq!(server.watches.wanted(), []);
}

#[test]
fn a_wish_that_there_is_no_room_for_is_counted_once_however_often_it_is_asked_for_again() {
    let server = Server::with_links(1, loopback("1M"));
    let camera = Camera::at(&server, "front");
    server.watches.begin(camera.source());
    for _ in 0..3 {
        let refused = server.ask_as_node(5, "front", hops([2])).unwrap_err();
        assert_eq!(refused.reason, reason::LINK_FULL);
    }
    let refused = || (server.relayed().refused, server.watches.links.all_shown()[0].refused);
    assert_eq!(refused(), (1, 1));
    server.ask_as_node(6, "front", hops([2])).unwrap_err();
    assert_eq!(refused(), (2, 2), "another");
}

#[test]
fn what_is_watched_elsewhere_needs_room_on_the_link_that_it_comes_by() {
    let (near, far) = (Server::with_links(1, loopback("1M")), Server::start(2));
    let camera = Camera::at(&far, "front");
    far.watches.begin(camera.source());
    near.hears_of("front", &far);
    let why = Onlooker::at(&near, "front").unwatched();
    assert!(why.contains("from node-2: the link lo is full") && why.contains("to this server"), "{why}");
    wait_until("the far server sends nothing", || far.relayed().watchers == 0);
}

#[test]
fn the_nearest_name_is_one_with_a_slip_and_never_any_other() {
    let names = || ["cam-front", "cam-rear", "lathe"].map(str::to_owned).into_iter();
    assert_eq!(nearest("cam-fornt", names()).as_deref(), Some("cam-front"));
    assert_eq!(nearest("laethe", names()).as_deref(), Some("lathe"));
    assert_eq!(nearest("xyz", names()), None);
}
