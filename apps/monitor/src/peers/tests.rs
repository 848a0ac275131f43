use std::sync::atomic::AtomicBool;
use std::time::Duration;

use framewire_pictures::ValueRange;
use framewire_signal::message::{OpenRequest, Opened, Refused};
use framewire_signal::{Identity, ServerConfig, SignalServer, StreamHost};
use framewire_testing::PATIENCE;
use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};

use super::*;
use crate::access::{Access, Secret};
use crate::board::Board;
use crate::board::tests::{about, board};
use crate::cluster::tests::key;
use crate::monitor::{Guarding, Monitor};
use crate::preview::{PreviewConfig, PreviewWorker};

struct NoStreams;

impl StreamHost for NoStreams {
    fn open(&self, _: &OpenRequest) -> Result<Opened, Refused> {
        Err(Refused::new("test", "no streams here"))
    }

    fn close(&self, _: u32) {}
}

/// A node whose stream 1 has frames, as long as it is there.
struct Node {
    server: SignalServer,
    board: Arc<Board>,
    pin: Option<Pin>,
    ends: Arc<AtomicBool>,
    films: Option<std::thread::JoinHandle<()>>,
    _stream: crate::board::Entry,
}

impl Node {
    fn start(identity: Option<Identity>, key: Option<framewire_signal::directory::ClusterKey>) -> Self {
        let mut node = Self::still(identity, key);
        let (until, stream) = (node.ends.clone(), node.board.find(1).unwrap());
        node.films = Some(std::thread::spawn(move || {
            let worker = PreviewWorker::start(PreviewConfig { rate: 50.0, width: 32 }).unwrap();
            let pool = FramePool::for_format(4, FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap()).unwrap();
            while !until.load(Ordering::Relaxed) {
                if let Some(mut frame) = pool.try_acquire() {
                    frame.set_len(64 * 48).unwrap();
                    worker.offer(&stream, &frame.freeze(), Instant::now());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }));
        node
    }

    /// One whose stream has no frames.
    fn still(identity: Option<Identity>, key: Option<framewire_signal::directory::ClusterKey>) -> Self {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        let secrets: Vec<_> = identity.iter().map(|_| Secret::token("a view token")).collect();
        let access = Access::new(secrets, identity.is_some()).unwrap().nodes(key);
        let monitor = Monitor::new(board.clone(), 50.0, Guarding::Open, "unknown");
        let pages = crate::pages(Arc::new(monitor), access);
        let pin = identity.as_ref().map(Identity::pin);
        let config = ServerConfig::new().listen("127.0.0.1:0".parse().unwrap()).tls(identity);
        let server = SignalServer::start_with_pages(config, Arc::new(NoStreams), pages).unwrap();
        Self { server, board, pin, ends: Arc::default(), films: None, _stream: stream }
    }

    fn address(&self, scheme: &str) -> PeerAddress {
        PeerAddress { url: format!("{scheme}://{}", self.server.local_addr()), pin: self.pin }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.films.take().map(std::thread::JoinHandle::join);
    }
}

fn identity() -> Identity {
    let (certificate, key) = Identity::generate(&["localhost".to_owned()]).unwrap();
    Identity::from_pem(&certificate, &key).unwrap()
}

fn wish(seen: u64) -> Wish {
    Wish { stream: 1, size: Size::Tile, range: ValueRange::Automatic, seen }
}

fn node(number: u32) -> NodeId {
    crate::cluster::tests::id(number)
}

async fn next(peers: &Peers, address: &PeerAddress, wish: Wish) -> Option<PeerPicture> {
    let asked = peers.next(node(2), address.clone(), wish);
    tokio::time::timeout(PATIENCE, asked).await.expect("it is answered")
}

#[tokio::test]
async fn pictures_of_a_protected_node_come_to_another_of_its_cluster_one_after_the_other() {
    let there = Node::start(Some(identity()), Some(key()));
    let (peers, address) = (Peers::new(Some(key())), there.address("https"));
    let mut seen = 0;
    for _ in 0..3 {
        let picture = next(&peers, &address, wish(seen)).await.expect("there is a picture");
        assert!(picture.jpeg.starts_with(&[0xff, 0xd8]) && picture.serial != seen && picture.serial > 0);
        seen = picture.serial;
    }
    let counts = peers.counts();
    assert_eq!((counts.connected, counts.failed), (1, 0));
    assert!(counts.pictures >= 3 && counts.bytes > 0);
    assert_eq!(there.board.find(1).unwrap().pictures.lookers(), 0, "nothing is asked for that nobody wants");
    assert!(next(&peers, &address, Wish { stream: 9, ..wish(0) }).await.is_none(), "there is no such stream");
    assert_eq!(peers.trouble(node(2)), None);
}

#[tokio::test]
async fn the_longest_picture_there_may_be_comes_whole_and_the_next_after_it() {
    let there = Node::still(Some(identity()), Some(key()));
    let (peers, address) = (Peers::new(Some(key())), there.address("https"));
    let tap = &there.board.find(1).unwrap().pictures;
    tap.show_tile(vec![7; crate::preview::JPEG_BYTES_MAX]);
    let picture = next(&peers, &address, wish(0)).await.expect("there is a picture");
    assert_eq!((picture.serial, picture.jpeg.len()), (1, crate::preview::JPEG_BYTES_MAX));
    tap.show_tile(vec![8; 100]);
    let picture = next(&peers, &address, wish(1)).await.expect("there is another");
    assert_eq!((picture.serial, picture.jpeg.len(), peers.counts().failed), (2, 100, 0));
}

#[tokio::test]
async fn whoever_has_another_key_than_the_directory_says_is_shown_no_proof_and_asked_for_nothing() {
    let there = Node::start(Some(identity()), Some(key()));
    let peers = Peers::new(Some(key()));
    let other = PeerAddress { pin: Some(Pin::of_public_key(b"another")), ..there.address("https") };
    assert!(next(&peers, &other, wish(0)).await.is_none());
    let trouble = peers.trouble(node(2)).unwrap();
    assert!(trouble.contains("is not the node that is meant"), "{trouble}");
    let unknown = PeerAddress { pin: None, ..other };
    assert!(next(&peers, &unknown, wish(0)).await.is_none());
    let trouble = peers.trouble(node(2)).unwrap();
    assert!(trouble.contains("no key"), "{trouble}");
}

#[tokio::test]
async fn whoever_is_not_of_the_cluster_is_shown_nothing_and_told_what_to_do() {
    let there = Node::start(Some(identity()), Some(key()));
    let address = there.address("https");
    let stranger = framewire_signal::directory::ClusterKey::new("ffffffffffffffffffffffffffffffff").unwrap();
    for key in [Some(stranger), None] {
        let peers = Peers::new(key);
        assert!(next(&peers, &address, wish(0)).await.is_none());
        let trouble = peers.trouble(node(2)).unwrap();
        assert!(trouble.contains("--cluster-key-file"), "{trouble}");
    }
    assert!(next(&Peers::new(Some(key())), &address, wish(0)).await.is_some());
}

#[tokio::test]
async fn a_node_that_is_silent_or_dead_keeps_nobody_waiting_for_another() {
    let there = Node::start(None, Some(key()));
    let address = there.address("http");
    let peers = Peers::new(Some(key()));
    // It takes connections, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = PeerAddress { url: format!("http://{}", silent.local_addr().unwrap()), pin: None };
    let dead = PeerAddress { url: "http://127.0.0.1:1".into(), pin: None };
    let asked = peers.next(node(3), silent, wish(0));
    tokio::pin!(asked);
    assert!(peers.next(node(4), dead, wish(0)).await.is_none());
    let mut seen = 0;
    for _ in 0..3 {
        let picture = tokio::select! {
            picture = next(&peers, &address, wish(seen)) => picture.expect("there is a picture"),
            _ = &mut asked => panic!("the silent one was given up before the other was shown"),
        };
        seen = picture.serial;
    }
    assert!(tokio::time::timeout(PATIENCE, asked).await.expect("it is given up").is_none());
    assert!(peers.trouble(node(3)).unwrap().contains("does not answer"));
    assert!(peers.trouble(node(4)).unwrap().contains("cannot be reached"));
}

#[tokio::test]
async fn a_node_that_was_started_anew_elsewhere_is_asked_there() {
    let peers = Peers::new(Some(key()));
    let first = Node::start(None, Some(key()));
    assert!(next(&peers, &first.address("http"), wish(0)).await.is_some());
    drop(first);
    let second = Node::start(None, Some(key()));
    assert!(next(&peers, &second.address("http"), wish(0)).await.is_some(), "it is asked at its new address");
}

#[tokio::test]
async fn a_connection_that_nobody_wants_anything_of_is_given_up() {
    let there = Node::start(None, Some(key()));
    let peers = Peers::new(Some(key()));
    assert!(next(&peers, &there.address("http"), wish(0)).await.is_some());
    let deadline = Instant::now() + PATIENCE;
    while peers.counts().connected > 0 {
        assert!(Instant::now() < deadline, "it is held for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(peers.counts().failed, 0);
    assert!(next(&peers, &there.address("http"), wish(0)).await.is_some(), "and made again when somebody looks");
}

#[tokio::test]
async fn what_a_server_says_to_nodes_is_told_to_nodes_of_its_cluster_alone() {
    use crate::cluster::tests::{Still, directory};
    use framewire_signal::directory::{ClusterKey, NodeProof};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let source = Arc::new(Still::new(directory(1, "a", "http://127.0.0.1:1")));
    let monitor = Monitor::new(board(), 0.0, Guarding::Open, "unknown").cluster(source, Some(key()));
    let access = Access::new(vec![Secret::token("a view token")], false).unwrap().nodes(Some(key()));
    let config = ServerConfig::new().listen("127.0.0.1:0".parse().unwrap());
    let pages = crate::pages(Arc::new(monitor), access);
    let server = SignalServer::start_with_pages(config, Arc::new(NoStreams), pages).unwrap();
    let at = server.local_addr();
    let ask = |path: &'static str, line: String| async move {
        let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
        let question = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{line}\r\n");
        stream.write_all(question.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let proof = |key: &ClusterKey| format!("Authorization: {}\r\n", NodeProof::new(key, None).unwrap());
    let stranger = ClusterKey::new("ffffffffffffffffffffffffffffffff").unwrap();
    let viewer = "Authorization: Bearer a view token\r\n".to_owned();
    for given in [String::new(), viewer.clone(), proof(&stranger)] {
        let answer = ask("/api/node", given.clone()).await;
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("signed"), "{given}: {answer}");
    }
    let answer = ask("/api/node", proof(&key())).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("signed"), "{answer}");
    // A viewer looks at the whole cluster. A node looks on behalf of whoever it lets look, over TLS: a proof that is shown plainly is bound to no server, and may
    // come from whoever was shown it.
    let answer = ask("/api/streams?scope=cluster", viewer).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"cluster\""), "{answer}");
    for given in [proof(&stranger), proof(&key())] {
        assert!(ask("/api/streams?scope=cluster", given).await.starts_with("HTTP/1.1 401"));
    }
}
