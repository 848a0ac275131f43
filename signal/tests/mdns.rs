//! Servers that find each other by mDNS, each a host of its own: network namespaces at one bridge. Takes root and `ip`; else it says that it skips.
#![cfg(feature = "mdns")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use framewire_signal::Pin;
use framewire_signal::directory::{
    Cluster, ClusterConfig, ClusterKey, DiscoverError, Found, Guard, NodeId, NodeProof, NodeState, OwnNode, OwnState,
    StreamEntry, View, discover,
};
use framewire_testing::{PATIENCE, has_programs, set_up, skip, try_run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Hosts at one bridge, gone with the value.
struct Network {
    name: String,
    hosts: u32,
}

impl Network {
    /// `None`, said aloud, where this machine does not allow it.
    fn new(hosts: u32) -> Option<Self> {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        if !has_programs(&["ip"], "install iproute2") {
            return None;
        }
        let name = format!("fwdir-{}-{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let network = Self { name, hosts };
        if let Err(said) = try_run(&["ip", "netns", "add", &network.bridge()]) {
            skip(format_args!("no network namespace ({said}); run as root"));
            return None;
        }
        let bridge = network.bridge();
        set_up(&["ip", "-n", &bridge, "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0"])?;
        set_up(&["ip", "-n", &bridge, "link", "set", "bridge", "up"])?;
        let mut commands = String::new();
        for n in 1..=hosts {
            let host = network.host(n);
            commands += &format!("netns add {host}\n");
            commands += &format!("link add lan netns {host} type veth peer name to{n} netns {bridge}\n");
        }
        network.batch(&[], &commands)?;
        let ports: String = (1..=hosts).map(|n| format!("link set to{n} master bridge up\n")).collect();
        network.batch(&["-n", &bridge], &ports)?;
        for n in 1..=hosts {
            let host = network.host(n);
            let address = Self::address(n);
            // Without IPv6, whose addresses are checked for twins for two seconds.
            set_up(&["ip", "netns", "exec", &host, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/lan/disable_ipv6"])?;
            network
                .batch(&["-n", &host], &format!("addr add {address}/16 dev lan\nlink set lan up\nlink set lo up\n"))?;
        }
        Some(network)
    }

    fn batch(&self, options: &[&str], commands: &str) -> Option<()> {
        let file = std::env::temp_dir().join(format!("{}.batch", self.name));
        std::fs::write(&file, commands).unwrap();
        let done = set_up(&[&["ip"], options, &["-batch", file.to_str().unwrap()]].concat());
        std::fs::remove_file(file).unwrap();
        done
    }

    fn bridge(&self) -> String {
        format!("{}-b", self.name)
    }

    fn host(&self, n: u32) -> String {
        format!("{}-{n}", self.name)
    }

    fn address(n: u32) -> String {
        format!("10.78.{}.{}", n / 200, n % 200 + 1)
    }

    /// Does something as this host, whose threads are the host's too.
    fn on<T: Send + 'static>(&self, n: u32, does: impl FnOnce() -> T + Send + 'static) -> T {
        let space = std::fs::File::open(format!("/run/netns/{}", self.host(n))).unwrap();
        let there = move || {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            does()
        };
        std::thread::spawn(there).join().unwrap()
    }

    /// A host that nobody hears any more.
    fn cut(&self, n: u32) {
        try_run(&["ip", "-n", &self.host(n), "link", "set", "lan", "down"]).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in (1..=self.hosts).map(|n| self.host(n)).chain([self.bridge()]) {
            // It may be that it was never made.
            let _ = try_run(&["ip", "netns", "del", &name]);
        }
    }
}

fn key() -> ClusterKey {
    ClusterKey::new("000102030405060708090a0b0c0d0e0f").unwrap()
}

fn own(n: u32, guard: Guard) -> OwnNode {
    let mut id = [0xaa; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    let scheme = if guard == Guard::Protected { "https" } else { "http" };
    OwnNode::new(NodeId::new(id), 1, format!("hall {n}"), format!("{scheme}://{}:8080", Network::address(n)))
        .guard(guard)
}

fn wait_for_view(cluster: &Cluster, what: &str, holds: impl FnMut(&Arc<View>) -> bool) -> Arc<View> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut views = cluster.views();
    let seen = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, views.wait_for(holds)).await.map(|seen| seen.unwrap().clone())
    });
    seen.unwrap_or_else(|_| {
        panic!("{what} did not come: {:#?}, {:?}, {:?}", cluster.view(), cluster.engines(), cluster.counters())
    })
}

/// Looks again and again, until all looks together have found so many servers, and the last one none that is gone; returns what was found, by name.
fn look_until_found(network: &Network, n: u32, count: u32, gone: Option<&str>) -> BTreeMap<String, Found> {
    let mut seen = BTreeMap::new();
    framewire_testing::wait_for(format_args!("{count} servers, without {gone:?}"), || {
        // On a busy machine one look may be too short for some.
        let found = network.on(n, || discover(Duration::from_secs(3))).unwrap();
        eprintln!("{} servers found in 3 s", found.len());
        let (looked, mut has_gone) = (found.len(), true);
        let found: BTreeMap<_, _> = found.into_iter().map(|server| (server.name.clone(), server)).collect();
        assert_eq!(found.len(), looked, "none is found twice");
        for (name, server) in found {
            match Some(name.as_str()) == gone {
                true => has_gone = false,
                false => _ = seen.insert(name, server),
            }
        }
        if has_gone && seen.len() == count as usize { Ok(()) } else { Err(format!("{:?}", seen.keys())) }
    });
    seen
}

#[test]
fn a_hundred_servers_are_found_and_one_that_was_killed_is_not() {
    const SERVERS: u32 = 100;
    let Some(network) = Network::new(SERVERS + 1) else { return };
    let start = |n| {
        let config = ClusterConfig::new(own(n, Guard::Insecure)).mdns(true).version("0.1.0");
        network.on(n, move || Cluster::start(config).unwrap())
    };
    let mut servers: Vec<_> = (1..=SERVERS).map(start).collect();
    let found = look_until_found(&network, SERVERS + 1, SERVERS, None);
    for n in 1..=SERVERS {
        let server = &found[&format!("hall {n}")];
        assert_eq!(server.url, format!("http://{}:8080", Network::address(n)));
        assert_eq!(
            (server.node, server.guard, server.version.as_str()),
            (Some(own(n, Guard::Open).node), Guard::Insecure, "0.1.0")
        );
    }
    // It says no good-bye.
    network.cut(7);
    drop(servers.remove(6));
    look_until_found(&network, SERVERS + 1, SERVERS - 1, Some("hall 7"));
}

/// A server's page that answers nodes of the cluster, by TLS where it has a key, until the process ends.
fn serve(network: &Network, n: u32, cluster: Arc<Cluster>, tls: Option<(Arc<rustls::ServerConfig>, Pin)>) {
    let pin = tls.as_ref().map(|(_, pin)| *pin);
    let answer = move |stream: &mut dyn ReadAndWrite| -> std::io::Result<()> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && head.len() < 4_096 {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let proof = head.lines().find_map(|line| line.strip_prefix("authorization: ")?.parse::<NodeProof>().ok());
        let is_node =
            head.starts_with("GET /api/node HTTP/1.1\r\n") && proof.is_some_and(|proof| proof.is_of(&key(), pin));
        let entry = cluster.own_entry();
        let (status, body) = if is_node { ("200 OK", &entry[..]) } else { ("401 Unauthorized", &[][..]) };
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len())?;
        stream.write_all(body)?;
        stream.flush()
    };
    let listener = network.on(n, || TcpListener::bind("0.0.0.0:8080").unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            // Who goes away early is asked for nothing.
            let _ = match &tls {
                None => answer(&mut stream),
                Some((tls, _)) => {
                    let mut connection = rustls::ServerConnection::new(tls.clone()).unwrap();
                    answer(&mut rustls::Stream::new(&mut connection, &mut stream))
                }
            };
        }
    });
}

/// Somebody who answers each question, but not as a node does.
fn serve_words(network: &Network, n: u32) {
    let listener = network.on(n, || TcpListener::bind("0.0.0.0:8080").unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Who goes away early is told nothing.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
            let _ = stream.read(&mut [0; 4_096]);
        }
    });
}

trait ReadAndWrite: Read + Write {}

impl<T: Read + Write> ReadAndWrite for T {}

fn node(network: &Network, n: u32, guard: Guard, key: ClusterKey) -> Arc<Cluster> {
    let config = ClusterConfig::new(own(n, guard)).mdns(true).key(key);
    let cluster = network.on(n, move || Cluster::start(config).unwrap());
    cluster.set_own(OwnState::new(vec![StreamEntry::new(1, format!("cam-{n}"), "gray8", 640, 480)]));
    Arc::new(cluster)
}

fn identity() -> (Arc<rustls::ServerConfig>, Pin) {
    let made = rcgen::generate_simple_self_signed(vec!["hall".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let pin = Pin::of_public_key(&rcgen::PublicKeyData::subject_public_key_info(&made.signing_key));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (Arc::new(config), pin)
}

#[test]
fn servers_with_a_key_tell_each_other_their_streams_and_a_killed_one_is_not_taken_for_alive() {
    let Some(network) = Network::new(4) else { return };
    let a = node(&network, 1, Guard::Insecure, key());
    let b = node(&network, 2, Guard::Insecure, key());
    let c = node(&network, 3, Guard::Protected, key());
    let stranger = node(&network, 4, Guard::Insecure, ClusterKey::new("ffffffffffffffffffffffffffffffff").unwrap());
    serve(&network, 1, a.clone(), None);
    serve(&network, 2, b.clone(), None);
    serve(&network, 3, c.clone(), Some(identity()));
    serve_words(&network, 4);
    let sees =
        |view: &Arc<View>, n: u32, state| view.find(&format!("cam-{n}")).is_some_and(|seen| seen.node.state == state);
    wait_for_view(&a, "both others", |view| sees(view, 2, NodeState::Live) && sees(view, 3, NodeState::Live));
    wait_for_view(&c, "both others", |view| sees(view, 1, NodeState::Live) && sees(view, 2, NodeState::Live));
    wait_for_view(&a, "all that answer", |_| a.found().len() == 2);
    network.cut(2);
    let view = wait_for_view(&a, "a stale node", |view| sees(view, 2, NodeState::Stale));
    assert!(sees(&view, 3, NodeState::Live) && sees(&view, 1, NodeState::Own));
    wait_for_view(&a, "those that answer still", |_| a.found().iter().map(|found| found.name.as_str()).eq(["hall 3"]));
    // One of another cluster is announced, and tells and is told nothing; what it answers makes no server of it.
    wait_for_view(&a, "what is no entry", |_| a.counters().directory.unreadable > 1);
    assert_eq!(a.found().len(), 1);
    wait_for_view(&stranger, "refusals", |_| stranger.counters().engine_errors > 1);
    assert_eq!((stranger.view().nodes.len(), stranger.found().len()), (1, 0));
    assert!(a.view().find("cam-4").is_none());
}

#[test]
fn a_server_that_another_takes_itself_for_is_told_so() {
    let Some(network) = Network::new(2) else { return };
    let at = |n, incarnation| {
        // As of a machine that was copied: its name, its id, and an address of its own.
        let mut twin = own(1, Guard::Insecure);
        (twin.incarnation, twin.url) = (incarnation, own(n, Guard::Insecure).url);
        let config = ClusterConfig::new(twin).mdns(true).key(key());
        let cluster = Arc::new(network.on(n, move || Cluster::start(config).unwrap()));
        serve(&network, n, cluster.clone(), None);
        cluster
    };
    let (older, _newer) = (at(1, 5), at(2, 6));
    wait_for_view(&older, "word of the other", |view| view.nodes[0].has_twin);
    assert_eq!(older.view().nodes.len(), 1);
}

#[test]
fn a_machine_without_multicast_says_so_and_goes_on() {
    let Some(network) = Network::new(1) else { return };
    set_up(&["ip", "-n", &network.host(1), "link", "set", "lan", "multicast", "off"]).unwrap();
    let looked = network.on(1, || discover(Duration::from_secs(60)));
    let Err(DiscoverError::NoMulticast { problem }) = looked else { panic!("{looked:?}") };
    assert!(problem.contains("lan") && problem.contains("multicast"), "{problem}");
    let cluster = node(&network, 1, Guard::Insecure, key());
    wait_for_view(&cluster, "word of it", |view| {
        view.find("cam-1").is_some()
            && cluster
                .engines()
                .iter()
                .any(|engine| engine.problem.as_ref().is_some_and(|said| said.contains("multicast")))
    });
    // Interfaces come.
    set_up(&["ip", "-n", &network.host(1), "link", "set", "lan", "multicast", "on"]).unwrap();
    wait_for_view(&cluster, "multicast", |_| cluster.engines().iter().all(|engine| engine.is_up));
}
