//! TLS at the server, and by what clients know it: who is let in, who is not, and what each is told.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use framewire_signal::message::{Refused, reason};
use framewire_signal::{ClientConfig, ClientEvent, Identity, Pin, SignalServer, Token};
use framewire_testing::wait_until;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use stage::raw::{connect_from, http, http_over};
use stage::{
    Asked, PATIENCE, await_connected, await_event, await_opened, await_refused, connect, identity, join_string,
    listener, loopback, protected, request, serve, stream_key, token,
};

fn https(server: &SignalServer) -> ClientConfig {
    ClientConfig::new(format!("https://localhost:{}", server.local_addr().port()))
}

/// What a client is told that is not let in; its host is not asked for anything.
fn refusal(config: ClientConfig) -> Refused {
    await_refused(&connect(config.open(request(7))))
}

#[test]
fn who_has_the_join_string_streams_over_tls_and_gets_the_streams_key() {
    let (server, asked) = serve(protected());
    let join = join_string(&server);
    let client = connect(ClientConfig::join(&join).open(request(7).name("sealed")));
    let opened = await_opened(&client);
    assert_eq!((opened.stream, opened.key), (7, Some(stream_key())));
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Open(request(7).name("sealed"))));
    assert_eq!((client.server_pin(), server.pin()), (Some(join.pin), Some(join.pin)));
    let counters = server.counters();
    assert_eq!((counters.clients, counters.proofs_failed, counters.tls_failed), (1, 0, 0));
}

#[test]
fn the_pin_alone_lets_in_where_no_token_is_asked_for() {
    let (server, _asked) = serve(loopback().tls(identity()));
    await_connected(&connect(listener(server.local_addr()).pin(server.pin())));
}

#[test]
fn who_has_the_token_alone_speaks_tls_whatever_the_address_says() {
    let (server, _asked) = serve(protected());
    for config in [listener(server.local_addr()), https(&server)] {
        let client = connect(config.token(token()));
        await_connected(&client);
        assert_eq!(client.server_pin(), server.pin());
    }
}

#[test]
fn a_server_with_another_key_is_told_by_its_pin_and_gets_nothing() {
    let (server, asked) = serve(protected());
    let mut join = join_string(&server);
    join.pin = Pin::of_public_key(b"another");
    let refused = refusal(ClientConfig::join(&join));
    assert_eq!(refused.reason, reason::WRONG_PIN);
    let says = [server.pin().unwrap().to_string(), join.pin.to_string(), "join string that it prints now".into()];
    assert!(says.iter().all(|text| refused.message.contains(text)), "{refused}");
    assert!(asked.try_recv().is_err());
    wait_until("the failure is counted", || server.counters().tls_failed > 0);
    assert_eq!(server.counters().proofs_failed, 0);
}

#[test]
fn who_has_no_secret_is_told_that_the_server_is_protected_and_what_to_paste() {
    let (server, asked) = serve(protected());
    let refused = refusal(listener(server.local_addr()));
    assert_eq!(refused.reason, reason::SERVER_IS_PROTECTED);
    assert!(refused.message.contains("--join"), "{refused}");
    let refused = refusal(https(&server));
    assert_eq!(refused.reason, reason::NOT_TRUSTED);
    assert!(refused.message.contains("--join") && refused.message.contains("--ca"), "{refused}");
    assert!(asked.try_recv().is_err());
}

#[test]
fn who_has_a_secret_says_nothing_plainly_to_a_server_that_speaks_no_tls() {
    let (server, asked) = serve(loopback().token(token()));
    let address = server.local_addr();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), Identity::generate(&["localhost".into()]).unwrap().0).unwrap();
    for config in [
        listener(address).token(token()),
        https(&server).token(token()).insecure(true),
        listener(address).pin(identity().pin()),
        listener(address).pin(identity().pin()).insecure(true),
        listener(address).ca(file.path().to_owned()),
    ] {
        let refused = refusal(config);
        assert_eq!(refused.reason, reason::SERVER_IS_PLAIN, "{refused}");
        assert!(["--protect", "--insecure"].iter().all(|flag| refused.message.contains(flag)), "{refused}");
    }
    assert!(asked.try_recv().is_err());
    // The client's owner may have it so.
    await_opened(&connect(listener(address).token(token()).insecure(true).open(request(7))));
}

#[test]
fn another_token_over_tls_is_told_before_the_client_has_proved_its_own() {
    let (server, asked) = serve(protected());
    let other = Token::new("ffeeddccbbaa99887766554433221100").unwrap();
    let refused = refusal(listener(server.local_addr()).token(other.clone()));
    assert_eq!(refused.reason, reason::SERVER_UNPROVEN);
    assert!(refused.message.contains("join string"), "{refused}");
    let refused = refusal(ClientConfig::join(&join_string(&server)).token(other));
    assert_eq!(refused.reason, reason::SERVER_UNPROVEN);
    let refused = refusal(ClientConfig::join(&join_string(&server)).token(None));
    assert_eq!(refused.reason, reason::TOKEN_REQUIRED);
    assert!(asked.try_recv().is_err());
    assert_eq!(server.counters().clients, 0);
}

/// A certificate of an authority's for `localhost`, until the given year, and the authority's own.
fn signed(until: i32) -> (Identity, String) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    (Identity::from_pem(&certificate.pem(), &key.serialize_pem()).unwrap(), authority_pem)
}

#[test]
fn an_authority_vouches_for_the_server_of_its_name_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let ((good, authority), (expired, other_authority)) = (signed(2120), signed(2001));
    let (file, other) = (write("authority.pem", &authority), write("other.pem", &other_authority));
    let (server, _asked) = serve(loopback().token(token()).tls(good));
    let client = connect(https(&server).ca(file.clone()).token(token()));
    await_connected(&client);
    assert_eq!(client.server_pin(), server.pin());
    let (old, _asked) = serve(loopback().tls(expired));
    let by_address = ClientConfig::new(format!("https://{}", server.local_addr()));
    for (config, says) in [
        (https(&server).ca(other.clone()), "--ca"),
        (by_address.ca(file.clone()), "a name that the certificate is for"),
        (https(&old).ca(other), "have it renewed"),
        (https(&server).ca(write("empty.pem", "")), "holds no certificate"),
        (https(&server).ca(directory.path().join("missing.pem")), "missing.pem cannot be read"),
    ] {
        let refused = refusal(config);
        assert_eq!(refused.reason, reason::NOT_TRUSTED);
        assert!(refused.message.contains(says), "{refused}");
    }
}

#[test]
fn a_streams_key_is_not_said_over_a_connection_that_others_can_read() {
    let (server, asked) = serve(loopback());
    let refused = refusal_of_open(&server);
    assert_eq!(refused.reason, reason::KEY_OVER_PLAIN);
    assert!(!refused.message.contains(&stream_key().to_text()), "{refused}");
    let asked: Vec<Asked> = (0..2).map(|_| asked.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(asked, [Asked::Open(request(7).name("sealed")), Asked::Close(7)], "the stream is not left open");
}

fn refusal_of_open(server: &SignalServer) -> Refused {
    await_refused(&connect(listener(server.local_addr()).open(request(7).name("sealed"))))
}

#[test]
fn http_without_tls_is_sent_to_the_same_address_with_it_and_a_strangers_name_nowhere() {
    let (server, _asked) = serve(protected());
    let address = server.local_addr();
    let answer = http(address, "/api/streams?x=1", "");
    assert!(answer.starts_with("HTTP/1.1 308") && answer.contains("join string"), "{answer}");
    assert!(answer.contains(&format!("location: https://{address}/api/streams?x=1\r\n")), "{answer}");
    let answer = http(address, "/", "Host: evil.example\r\n");
    assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains("location"), "{answer}");
}

/// What a server answers to these bytes, until it ends the connection.
fn said_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => said,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => said,
        Err(error) => panic!("the connection was not ended: {error}"),
    }
}

#[test]
fn http_2_and_garbage_end_their_connection_and_others_are_served() {
    let (server, _asked) = serve(protected());
    let address = server.local_addr();
    let preface = said_to(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(preface.is_empty() || preface.starts_with(b"HTTP/1.1 400"), "{preface:?}");
    for garbage in [&[0; 100][..], &[0xff; 100], b"ssh", b"\x15\x03\x03\0\x02\x01\0", b"GARBAGE\r\n\r\n"] {
        let said = said_to(address, garbage);
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400"), "{garbage:?}: {said:?}");
    }
    // A record of TLS that is no greeting is answered with an alert.
    let said = said_to(address, b"\x16\x03\x01\0\x05hello");
    assert!(said.is_empty() || said[0] == 0x15, "{said:?}");
    // Counted a moment after the connection has ended.
    wait_until("the failures are counted", || server.counters().tls_failed >= 5);
    assert_eq!(server.counters().tls_failed, 5);
    await_connected(&connect(ClientConfig::join(&join_string(&server))));
}

#[test]
fn thousands_of_handshakes_that_are_begun_and_not_ended_keep_nobody_out() {
    let (server, _asked) = serve(protected());
    let address = server.local_addr();
    // The beginning of a greeting of 512 bytes, from four addresses, a part of them at a time as descriptors allow.
    for round in 0..10 {
        let mut half: Vec<TcpStream> = Vec::new();
        for begun in 0..1_000_u32 {
            let mut stream = connect_from([127, 0, 0, 2 + (begun % 4) as u8], address);
            // The server may have ended it for one that came later.
            let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
            half.push(stream);
            if half.len() > 600 {
                half.remove(0);
            }
        }
        let client = connect(ClientConfig::join(&join_string(&server)));
        await_connected(&client);
        let answer = http_over(connect_from([127, 0, 0, 2], address), "/", "");
        assert!(answer.starts_with("HTTP/1.1 308"), "{round}: {answer}");
    }
}

#[test]
fn files_that_are_renewed_are_served_from_then_on_and_the_old_pin_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let renew = || {
        let (certificate_pem, key_pem) = Identity::generate(&["localhost".into()]).unwrap();
        fs::write(&key, key_pem).unwrap();
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(&certificate, certificate_pem).unwrap();
    };
    renew();
    let (server, _asked) = serve(loopback().token(token()).tls(Identity::from_files(&certificate, &key).unwrap()));
    let old = join_string(&server);
    let before = connect(ClientConfig::join(&old));
    await_connected(&before);
    renew();
    // Looked for once a second, as clients come.
    let refused = loop {
        let client = connect(ClientConfig::join(&old));
        let refused = await_event(&client, |event| match event {
            ClientEvent::Connected => Some(None),
            ClientEvent::Refused(refused) => Some(Some(refused.clone())),
            _ => None,
        });
        if let Some(refused) = refused {
            break refused;
        }
    };
    assert_eq!(refused.reason, reason::WRONG_PIN);
    assert_ne!(server.pin(), Some(old.pin));
    await_connected(&connect(ClientConfig::join(&join_string(&server))));
    assert_eq!(before.server_pin(), Some(old.pin), "who is connected stays so");
}
