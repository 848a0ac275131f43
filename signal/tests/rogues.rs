//! Servers that are none, and those who sit between a client and its server: what they get, which is nothing.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use framewire_signal::message::reason;
use framewire_signal::{ClientConfig, ClientEvent};
use futures_util::{SinkExt, StreamExt};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use stage::{
    PATIENCE, await_event, await_opened, await_refused, connect, join_string, listener, protected, request, serve,
    token,
};

/// Runs `serve` for each connection to an address, as long as it is held.
struct Rogue {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Rogue {
    fn start<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream));
            }
        });
        Self { address, _runtime: runtime }
    }
}

/// TLS of somebody else's, whose certificate is sent so often.
fn acceptor(certificates: usize) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let chain = vec![certificate.der().clone(); certificates];
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key.into()).unwrap()))
}

/// Takes every connection as a server does, says these `words` to it and then what everybody would hear, and hears what comes.
async fn play_server<S: AsyncRead + AsyncWrite + Unpin>(stream: S, words: Vec<String>, heard: mpsc::Sender<String>) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    let open =
        json!({"sid": "a", "upgrades": [], "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 100_000});
    let _ = socket.send(Message::text(format!("0{open}"))).await;
    while let Some(Ok(Message::Text(text))) = socket.next().await {
        let is_connect = text.starts_with("40");
        let _ = heard.send(text.as_str().into());
        if is_connect {
            let statistics = r#"42["statistics",{"timestamp":"2026-11-28T00:00:00Z","streams":[]}]"#;
            let words = words.iter().map(String::as_str);
            let last = ["42[\"proven\",{\"role\":\"stream\"}]", statistics];
            for word in ["40{\"sid\":\"b\"}"].into_iter().chain(words).chain(last) {
                let _ = socket.send(Message::text(word)).await;
            }
        }
    }
}

/// All that a client says to who cannot prove its token: that it is there.
fn assert_nothing_was_given(heard: &Receiver<String>) {
    let said: Vec<String> = heard.try_iter().collect();
    assert!(!said.is_empty() && said.iter().all(|text| text.starts_with("40{\"") || text == "41"), "{said:?}");
    assert!(!said.iter().any(|text| text.contains(stage::TOKEN) || text.contains("proof")), "{said:?}");
}

#[test]
fn a_rogue_server_gets_no_stream_and_no_proof_from_a_client_with_a_token() {
    let wrong = json!(["challenge", {"nonce": "cd".repeat(16), "proof": "00".repeat(32)}]);
    let strange = json!(["challenge", {"nonce": 7}]);
    for challenge in [None, Some(format!("42{wrong}")), Some(format!("42{strange}"))] {
        let (sender, heard) = mpsc::channel();
        let sender = Mutex::new(sender);
        let (acceptor, said) = (acceptor(1), challenge.clone());
        let rogue = Rogue::start(move |stream| {
            let (acceptor, said, sender) = (acceptor.clone(), said.clone(), sender.lock().unwrap().clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    play_server(stream, said.into_iter().collect(), sender).await;
                }
            }
        });
        let client = connect(listener(rogue.address).token(token()).open(request(7)));
        let refused = await_event(&client, |event| match event {
            ClientEvent::Refused(refused) => Some(refused.clone()),
            ClientEvent::Retrying { .. } => None,
            other => panic!("{challenge:?}: {other:?} of who has proved nothing"),
        });
        assert_eq!(refused.reason, reason::SERVER_UNPROVEN, "{challenge:?}");
        client.shutdown();
        assert_nothing_was_given(&heard);
    }
}

#[test]
fn where_a_rogue_server_says_to_go_nobody_goes_who_has_a_token() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let pin = framewire_signal::Pin::of_public_key(b"its own").to_string();
    let there =
        json!(["elsewhere", {"servers": [{"url": format!("https://{}", mute.local_addr().unwrap()), "pin": pin}]}]);
    let wrong = json!(["challenge", {"nonce": "cd".repeat(16), "proof": "00".repeat(32)}]);
    let (words, acceptor) = ([format!("42{there}"), format!("42{wrong}"), format!("42{there}")], acceptor(1));
    let rogue = Rogue::start(move |stream| {
        let (acceptor, words) = (acceptor.clone(), words.to_vec());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                play_server(stream, words, mpsc::channel().0).await;
            }
        }
    });
    let client = connect(listener(rogue.address).token(token()).open(request(7)).roams(true));
    await_event(&client, |event| matches!(event, ClientEvent::Retrying { attempt: 3, .. }).then_some(()));
    mute.set_nonblocking(true).unwrap();
    assert_eq!(mute.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// Believes everybody: a rogue is not particular.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Speaks TLS to either side and passes on all that is said.
fn relay(to: SocketAddr) -> Rogue {
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().dangerous();
    let config = builder.with_custom_certificate_verifier(Arc::new(Credulous)).with_no_client_auth();
    let (connector, acceptor) = (TlsConnector::from(Arc::new(config)), acceptor(1));
    Rogue::start(move |stream| {
        let (connector, acceptor) = (connector.clone(), acceptor.clone());
        async move {
            let Ok(mut near) = acceptor.accept(stream).await else { return };
            let far = TcpStream::connect(to).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let mut far = connector.connect(name, far).await.unwrap();
            // Either side ends as it likes.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        }
    })
}

#[test]
fn who_passes_on_all_that_is_said_between_the_two_is_found_out_by_both() {
    let (server, asked) = serve(protected());
    let between = relay(server.local_addr());
    let refused = await_refused(&connect(listener(between.address).token(token()).open(request(7))));
    assert_eq!(refused.reason, reason::SERVER_UNPROVEN);
    assert!(refused.message.contains("another answers in the server's place"), "{refused}");
    let mut join = join_string(&server);
    join.port = between.address.port();
    assert_eq!(await_refused(&connect(ClientConfig::join(&join).open(request(7)))).reason, reason::WRONG_PIN);
    assert!(asked.try_recv().is_err(), "nobody has opened anything");
    assert_eq!(server.counters().clients, 0);
    await_opened(&connect(ClientConfig::join(&join_string(&server)).open(request(7))));
    assert!(asked.recv_timeout(PATIENCE).is_ok());
}

#[test]
fn a_certificate_of_more_than_any_has_ends_the_connection_and_is_said() {
    // Of some 400 bytes each.
    let acceptor = acceptor(500);
    let rogue = Rogue::start(move |stream| {
        let acceptor = acceptor.clone();
        async move { drop(acceptor.accept(stream).await) }
    });
    for config in [listener(rogue.address).token(token()), listener(rogue.address).pin(stage::identity().pin())] {
        let refused = await_refused(&connect(config));
        assert_eq!(refused.reason, reason::NOT_TRUSTED);
        assert!(refused.message.contains("more than 64 KiB"), "{refused}");
    }
}

/// As a server does that is being stopped, or has as many clients as it takes.
#[test]
fn who_ends_the_connection_before_tls_is_agreed_on_is_asked_again() {
    let (server, _asked) = serve(protected());
    let to = server.local_addr();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let between = Rogue::start(move |mut near| {
        let count = count.clone();
        async move {
            match count.fetch_add(1, Ordering::Relaxed) {
                // At once, with what is unread: it is reset.
                0 => {}
                // In good order.
                1 => drop(near.read(&mut [0; 4096]).await),
                _ => {
                    let mut far = TcpStream::connect(to).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            }
        }
    });
    let mut join = join_string(&server);
    join.port = between.address.port();
    let client = connect(ClientConfig::join(&join).open(request(7)));
    await_event(&client, |event| match event {
        ClientEvent::Refused(refused) => panic!("nobody has refused anything: {refused}"),
        ClientEvent::Opened(_) => Some(()),
        _ => None,
    });
    assert_eq!(ended.load(Ordering::Relaxed), 3);
}

#[test]
fn what_a_server_says_last_is_heard_though_it_asked_for_answers_and_no_longer_takes_them() {
    let rogue = Rogue::start(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        socket.send(Message::text("0{}")).await.unwrap();
        // What the client says is left unread: the connection is reset behind the last word, and no answer gets through.
        socket.get_ref().readable().await.unwrap();
        let closed = r#"42["closed",{"stream":7,"message":"that was all"}]"#;
        for word in ["40{}"].into_iter().chain(["2"; 100]).chain([closed]) {
            socket.feed(Message::text(word)).await.unwrap();
        }
        socket.flush().await.unwrap();
    });
    let client = connect(listener(rogue.address).open(request(7)));
    let closed = await_event(&client, |event| match event {
        ClientEvent::Closed(closed) => Some(closed.clone()),
        ClientEvent::Retrying { .. } => panic!("the connection ended before its last word: {event:?}"),
        _ => None,
    });
    assert_eq!(closed.message, "that was all");
}
