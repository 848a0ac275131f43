//! A server behind a proxy that speaks TLS.
#![allow(missing_docs)]

mod running;

use std::sync::Arc;

use running::{Running, Server, in_dir, path_text, program};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Serves until the test ends; returns where, and its certificate: one that it has signed itself, as `openssl req -x509` makes it.
async fn speak_tls_before(server: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let secret = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], secret).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                // What one end breaks off is of no interest to the proxy.
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let Ok(mut server) = TcpStream::connect(server).await else { return };
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (format!("https://localhost:{}", address.port()), certificate.pem())
}

/// A client, and the file of those whom it trusts.
fn client(url: &str, trusted: &str) -> std::process::Command {
    let mut client = program("framewire-client");
    client.args(["pattern:64x48", "--frames", "5", "--delivery", "every", "--server", url]);
    client.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", trusted);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_tls_a_client_streams_where_it_trusts_the_certificate_and_else_says_what_to_do() {
    let server = Server::start(&[]);
    let (url, certificate) = speak_tls_before(&server.signal).await;
    let (_, strangers) = speak_tls_before(&server.signal).await;
    let directory = tempfile::tempdir().unwrap();
    let [own, other] = ["own.pem", "other.pem"].map(|name| in_dir(&directory, name));
    std::fs::write(&own, certificate).unwrap();
    std::fs::write(&other, strangers).unwrap();
    let (code, said, _) = Running::start(&mut client(&url, path_text(&own))).wait();
    assert_eq!(code, Some(0), "{said}");
    // Each tries on until it is ended.
    for (store, says) in [(other, "certificate is not trusted"), (in_dir(&directory, "absent"), "SSL_CERT_FILE")] {
        let mut refused = Running::start(&mut client(&url, path_text(&store)));
        refused.wait_for(says);
        refused.kill();
    }
}
