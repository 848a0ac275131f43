//! What is in a Redis that nobody of the cluster wrote, and a Redis that is somebody else's.

use std::net::UdpSocket;
use std::time::Duration;

use framewire_signal::directory::{
    ClusterError, Directory, ENTRY_BYTES_MAX, EnginePassword, NODES_MAX, REMEMBERED_BYTES_MAX,
};
use framewire_testing::skip;

use super::*;

/// The signed entry of a node, as it says it first.
fn entry(own: OwnNode, key: ClusterKey) -> Vec<u8> {
    Directory::new(own, key).unwrap().poll_own(Duration::ZERO).unwrap()
}

#[test]
fn values_of_strangers_under_our_keys_are_counted_and_nothing_else() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut connection = connection(&redis);
    let node_key = |n: u8| format!("framewire:node:{}", NodeId::new([n; 16]));
    let other = ClusterKey::new("ffffffffffffffffffffffffffffffff").unwrap();
    let mut tampered = entry(own(13), key());
    let last = tampered.len() - 2;
    tampered[last] ^= 1;
    let values = [
        (10, b"hello".to_vec()),
        (11, vec![b'x'; 4 * ENTRY_BYTES_MAX]),
        (12, entry(own(12), other)),
        (13, tampered),
        (14, vec![0; 200]),
    ];
    for (n, value) in values {
        redis::cmd("SET").arg(node_key(n)).arg(value).exec(&mut connection).unwrap();
    }
    redis::cmd("LPUSH").arg(node_key(15)).arg("a list").exec(&mut connection).unwrap();
    for n in 10..=16 {
        redis::cmd("SADD").arg("framewire:nodes").arg(NodeId::new([n; 16]).to_string()).exec(&mut connection).unwrap();
    }
    redis::cmd("SADD").arg("framewire:nodes").arg("no node").arg(vec![0xff; 4096]).exec(&mut connection).unwrap();
    let (a, b) = (node(&redis, 1), node(&redis, 2));
    let counted = |cluster: &Cluster| {
        let counters = cluster.counters().directory;
        (counters.unreadable, counters.too_large, counters.forged)
    };
    wait_for_view(&a, "all counted", |_| counted(&a) == (3, 1, 2));
    let view = wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    assert_eq!(view.nodes.len(), 2, "{view:?}");
    // They are read once, and not each second.
    let before = a.view();
    wait_for_view(&a, "more views", |view| {
        view.node(NodeId::new([2; 16])).map(|node| node.entry.sequence)
            > before.node(NodeId::new([2; 16])).map(|node| node.entry.sequence + 1)
    });
    assert_eq!(counted(&a), (3, 1, 2));
    drop(b);
    // And nobody took them away but what had nothing behind it.
    assert!(redis::cmd("EXISTS").arg(node_key(15)).query::<bool>(&mut connection).unwrap());
    assert!(
        !redis::cmd("SISMEMBER")
            .arg("framewire:nodes")
            .arg(NodeId::new([16; 16]).to_string())
            .query::<bool>(&mut connection)
            .unwrap()
    );
}

#[test]
fn something_else_in_the_place_of_the_index_is_told_of_until_it_is_gone() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut connection = connection(&redis);
    redis::cmd("SET").arg("framewire:nodes").arg("somebody's").exec(&mut connection).unwrap();
    let (a, b) = (node(&redis, 1), node(&redis, 2));
    wait_for_engine(&a, "word of it", |is_up, problem| {
        !is_up && problem.contains("framewire:nodes") && problem.contains("another prefix")
    });
    let theirs: String = redis::cmd("GET").arg("framewire:nodes").query(&mut connection).unwrap();
    assert_eq!(theirs, "somebody's");
    redis::cmd("DEL").arg("framewire:nodes").exec(&mut connection).unwrap();
    wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    wait_for_engine(&a, "a Redis that is up", |is_up, _| is_up);
    drop(b);
}

#[test]
fn of_ten_thousand_nodes_as_many_are_remembered_as_there_is_room_for_and_the_rest_counted() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut connection = connection(&redis);
    let mut pipeline = redis::pipe();
    for n in 0..10_000_u32 {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&(n + 1).to_be_bytes());
        let node = NodeId::new(id);
        let bytes = entry(OwnNode::new(node, 1, format!("n{n}"), "http://10.0.0.9:1"), key());
        pipeline.cmd("SET").arg(format!("framewire:node:{node}")).arg(bytes).ignore();
        pipeline.cmd("SADD").arg("framewire:nodes").arg(node.to_string()).ignore();
    }
    pipeline.exec(&mut connection).unwrap();
    let a = node(&redis, 1);
    let view = wait_for_view(&a, "a full view", |view| view.nodes.len() == NODES_MAX + 1 && view.nodes_more > 8_900);
    assert_eq!(view.nodes[0].state, NodeState::Own);
    assert!(view.find("cam-1").is_some());
    assert!(view.nodes_more <= 10_000 - NODES_MAX as u64, "{}", view.nodes_more);
    let bytes = a.counters().received_bytes;
    assert!(bytes < REMEMBERED_BYTES_MAX as u64, "{bytes}");
}

#[test]
fn two_clusters_on_one_redis_do_not_see_each_other() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (a, b) = (node(&redis, 1), node(&redis, 2));
    let elsewhere = start(3, RedisConfig::new(redis.url()).prefix("{hall}b"));
    let other = ClusterKey::new("ffffffffffffffffffffffffffffffff").unwrap();
    let config = ClusterConfig::new(own(4)).key(other).redis(RedisConfig::new(redis.url()));
    let forger = Cluster::start(config).unwrap();
    wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    wait_for_view(&a, "a forged entry", |_| a.counters().directory.forged > 0);
    wait_for_view(&forger, "forged entries", |_| forger.counters().directory.forged > 1);
    wait_for_engine(&elsewhere, "a Redis that is up", |is_up, _| is_up);
    assert_eq!(a.view().nodes.len(), 2);
    assert_eq!((elsewhere.view().nodes.len(), forger.view().nodes.len()), (1, 1));
    drop(b);
}

#[test]
fn a_redis_in_protected_mode_says_what_to_do() {
    // The address of this machine by which it reaches others: protected mode knows who is not on loopback.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let address = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    let Some(address) = address.ok().filter(|address| !address.ip().is_loopback()) else {
        return skip("this machine has no address but loopback");
    };
    let Some(redis) = Redis::start(&["--protected-mode", "yes", "--bind", "0.0.0.0"]) else { return };
    let a = start(1, RedisConfig::new(format!("redis://{}:{}", address.ip(), redis.port())));
    wait_for_engine(&a, "word of it", |is_up, problem| {
        !is_up && problem.contains("is in protected mode") && problem.contains("FRAMEWIRE_CLUSTER_PASSWORD")
    });
    assert!(a.view().find("cam-1").is_some());
}

#[test]
fn a_wrong_password_is_told_of_and_the_right_one_lets_in() {
    let Some(redis) = Redis::start(&["--requirepass", "hunter2"]) else { return };
    let with = |password: Option<&str>| {
        let password = password.map(|password| EnginePassword::new(password).unwrap());
        start(1, RedisConfig::new(redis.url()).password(password))
    };
    for wrong in [None, Some("hunter3")] {
        let a = with(wrong);
        wait_for_engine(&a, "word of it", |is_up, problem| !is_up && problem.contains("FRAMEWIRE_CLUSTER_PASSWORD"));
        let said = format!("{:?} {a:?}", a.engines());
        assert!(!said.contains("hunter"), "{said}");
    }
    let a = with(Some("hunter2"));
    wait_for_engine(&a, "a Redis that is up", |is_up, _| is_up);
}

#[test]
fn a_user_with_the_prefix_alone_is_enough_and_without_messages_too() {
    let commands = "+set +getrange +sadd +srem +scard +srandmember +pexpire";
    let Some(redis) = Redis::start(&[]) else { return };
    let mut connection = connection(&redis);
    let rules = [
        format!("full on >secret-1 ~cams:* resetchannels &cams:* {commands} +publish +subscribe"),
        format!("quiet on >secret-2 ~cams:* resetchannels {commands}"),
        "reader on >secret-3 ~cams:* resetchannels +getrange +scard +srandmember".to_owned(),
    ];
    for rule in rules {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER");
        rule.split(' ').for_each(|word| {
            command.arg(word);
        });
        command.exec(&mut connection).unwrap();
    }
    let of = |n, user: &str, password: &str| {
        let url = format!("redis://{user}@127.0.0.1:{}", redis.port());
        start(n, RedisConfig::new(url).prefix("cams").password(EnginePassword::new(password).unwrap()))
    };
    let (a, b, c) = (of(1, "full", "secret-1"), of(2, "quiet", "secret-2"), of(3, "reader", "secret-3"));
    wait_for_view(&a, "the quiet one", |view| sees_live(view, "cam-2", 2));
    wait_for_view(&b, "the full one", |view| sees_live(view, "cam-1", 1));
    // Who may only read hears all, says nothing, and is told why.
    wait_for_view(&c, "both", |view| sees_live(view, "cam-1", 1) && sees_live(view, "cam-2", 2));
    wait_for_engine(&c, "word of it", |is_up, problem| {
        !is_up && problem.contains("~cams:*") && problem.contains("+set")
    });
    wait_for_engine(&a, "a Redis that is up", |is_up, _| is_up);
    wait_for_engine(&b, "a Redis that is up", |is_up, _| is_up);
    assert_eq!(state_of(&a.view(), 3), None);
}

#[test]
fn an_older_redis_that_knows_one_protocol_alone_is_enough() {
    let Some(redis) = Redis::start(&["--rename-command", "HELLO", "", "--rename-command", "CLIENT", ""]) else {
        return;
    };
    let (a, b) = (node(&redis, 1), node(&redis, 2));
    wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    wait_for_view(&b, "the other", |view| sees_live(view, "cam-1", 1));
    assert_eq!(a.counters().engine_errors, 0);
}

#[test]
fn something_else_at_the_address_is_no_engine_and_no_harm() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It says what no Redis says, a text of a length that nobody has, for as long as it is listened to.
    std::thread::spawn(move || {
        use std::io::Write;
        const ANSWERS: [&[u8]; 3] = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$536870912\r\n", b"*1000000000\r\n"];
        for (stream, answer) in listener.incoming().zip(ANSWERS.iter().cycle()) {
            std::thread::spawn(move || {
                let Ok(mut stream) = stream else { return };
                let _ = stream.write_all(answer);
                while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
            });
        }
    });
    let a = start(1, RedisConfig::new(format!("redis://{address}")));
    wait_for_view(&a, "several tries", |_| a.counters().engine_errors >= 4);
    assert!(a.engines().iter().all(|engine| !engine.is_up), "{:?}", a.engines());
    assert!(a.view().find("cam-1").is_some());
    assert_eq!(a.counters().received_bytes, 0);
}

#[test]
fn a_redis_behind_tls_is_known_by_its_authority() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let server_key = rcgen::KeyPair::generate().unwrap();
    let server =
        rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&server_key, &issuer).unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let files = [
        ("ca", authority_certificate.pem()),
        ("cert", server.pem()),
        ("key", server_key.serialize_pem()),
        ("other", stranger.cert.pem()),
    ];
    for (name, text) in files {
        std::fs::write(at(name), text).unwrap();
    }
    let (cert, key, ca) = (at("cert"), at("key"), at("ca"));
    let args = [
        "--port",
        "0",
        "--tls-port",
        "{port}",
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ];
    let Some(redis) = Redis::start(&args) else { return };
    let url = format!("rediss://127.0.0.1:{}", redis.port());
    let with = |n, ca: &str| start(n, RedisConfig::new(url.clone()).ca(std::path::PathBuf::from(at(ca))));
    let (a, b, c) = (with(1, "ca"), with(2, "ca"), with(3, "other"));
    wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    wait_for_view(&b, "the other", |view| sees_live(view, "cam-1", 1));
    wait_for_engine(&c, "word of it", |is_up, problem| !is_up && problem.contains("does not prove itself by TLS"));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_tried() {
    let start = |config: ClusterConfig| Cluster::start(config).unwrap_err();
    let redis = |url: &str| RedisConfig::new(url);
    assert!(matches!(start(ClusterConfig::new(own(1)).redis(redis("redis://h"))), ClusterError::NoKey));
    assert!(matches!(start(ClusterConfig::new(own(1)).key(key()).redis(redis("nothing"))), ClusterError::Url { .. }));
    let empty = redis("redis://h").prefix("");
    assert!(matches!(start(ClusterConfig::new(own(1)).key(key()).redis(empty)), ClusterError::Prefix { .. }));
    let mut nameless = own(1);
    nameless.url = "10.0.0.1".into();
    let error = start(ClusterConfig::new(nameless)).to_string();
    assert!(error.contains("10.0.0.1") && error.contains("http://HOST:PORT"), "{error}");
}
