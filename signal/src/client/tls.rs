//! TLS towards a server, or a proxy in front of it: by what it is known.
//!
//! That is its key, where the client has its pin; else authorities: those in the system's store, or in what `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name, or those of a file that the program names; and a certificate that
//! is in there itself is trusted also where it says that it is an authority, as those do that people sign for
//! themselves: that is what OpenSSL does. Where the client has a token, whoever answers may be talked to so far that they prove that they have
//! it, too: over the key that TLS has proved, so that nobody between the two passes that on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, OtherError,
    RootCertStore, SignatureScheme,
};
use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::ServerUrl;
use super::socket::NoConnection;
use crate::message::{Refused, reason};
use crate::pin::Pin;

/// By what a server is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Not at all: everything is said plainly.
    Not,
    /// Its key.
    Key(Pin),
    /// Authorities: those of the file, or those that this machine trusts.
    Authority(Option<PathBuf>),
    /// Those that this machine trusts, else by the token that it proves to have.
    Token,
}

impl Known {
    pub(super) fn by(config: &super::ClientConfig, url: &ServerUrl) -> Self {
        match config {
            super::ClientConfig { pin: Some(pin), .. } => Self::Key(*pin),
            super::ClientConfig { ca: Some(file), .. } => Self::Authority(Some(file.clone())),
            super::ClientConfig { token: Some(_), insecure, .. } if !insecure || url.is_https() => Self::Token,
            _ if url.is_https() => Self::Authority(None),
            _ => Self::Not,
        }
    }

    /// Whether the client has anything that is lost where it speaks plainly.
    fn is_by_secret(&self) -> bool {
        !matches!(self, Self::Not | Self::Authority(None))
    }
}

/// A connection over which nobody listens in.
pub(super) struct Protected {
    pub(super) stream: TlsStream<TcpStream>,
    /// The key that the server has proved to have.
    pub(super) key: Pin,
    /// Whether that is what proofs have to name: no authority vouches for who has it.
    pub(super) is_bound: bool,
}

/// Speaks TLS with a server that is known so.
///
/// # Errors
/// It cannot, or the server is another; with what to do.
pub(super) async fn protect(stream: TcpStream, url: &ServerUrl, known: &Known) -> Result<Protected, NoConnection> {
    let name = ServerName::try_from(url.host().to_owned());
    let name = name.map_err(|_| not_trusted(format!("{:?} is no name that a certificate could be for", url.host())))?;
    let wanted = known.clone();
    // Files are read.
    let made = spawn_blocking(move || Verifier::new(&wanted)).await;
    let verifier = Arc::new(made.map_err(|error| not_trusted(error.to_string()))?.map_err(not_trusted)?);
    let config = config(verifier.clone()).map_err(not_trusted)?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = connected.map_err(|error| explain_io(&error, known))?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let key = certificate.and_then(|certificate| pin_of(certificate).ok());
    let key = key.ok_or_else(|| not_trusted("its certificate has no key that can be read".into()))?;
    Ok(Protected { stream, key, is_bound: !verifier.is_vouched_for.load(Ordering::Relaxed) })
}

/// What TLS with a server's page is set up by, for a program that speaks HTTP with it itself: the server is known by its key (`pin`), else by the
/// authorities of a file of certificates in PEM (`ca`), else by those that this machine trusts. Reads files.
///
/// # Errors
/// The file holds no certificate, or this machine trusts nobody; with what to do.
pub fn tls_config(pin: Option<Pin>, ca: Option<PathBuf>) -> Result<Arc<ClientConfig>, String> {
    let known = pin.map_or(Known::Authority(ca), Known::Key);
    Ok(Arc::new(config(Arc::new(Verifier::new(&known)?))?))
}

/// What TLS is set up by with a server of which nothing is known, and nothing believed but what it signs: which key it has is told by [`pin_of`].
///
/// # Errors
/// The library has no ciphers.
#[cfg(feature = "mdns")]
pub(crate) fn tls_config_for_anyone() -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let is_vouched_for = AtomicBool::new(false);
    Ok(Arc::new(config(Arc::new(Verifier { provider, pin: None, trust: None, takes_anyone: true, is_vouched_for }))?))
}

fn config(verifier: Arc<Verifier>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(verifier.provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

pub(crate) fn pin_of(certificate: &CertificateDer<'_>) -> Result<Pin, Error> {
    Ok(Pin::of_public_key(&ParsedCertificate::try_from(certificate)?.subject_public_key_info()))
}

/// Looks at the server's certificate.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    pin: Option<Pin>,
    trust: Option<Trust>,
    /// Whether one that nobody vouches for is taken, too.
    takes_anyone: bool,
    is_vouched_for: AtomicBool,
}

impl Verifier {
    /// Reads whom this machine, or the file, trusts: a few hundred files at most.
    ///
    /// # Errors
    /// Nobody, with what to do.
    fn new(known: &Known) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (pin, trust) = match known {
            Known::Key(pin) => (Some(*pin), None),
            Known::Authority(Some(file)) => (None, Some(Trust::new(read_authorities(file)?, &provider)?)),
            Known::Authority(None) => (None, Some(Trust::new(authorities_of_this_machine()?, &provider)?)),
            Known::Not | Known::Token => {
                let authorities = authorities_of_this_machine().unwrap_or_default();
                (None, Trust::new(authorities, &provider).ok())
            }
        };
        let takes_anyone = *known == Known::Token;
        Ok(Self { provider, pin, trust, takes_anyone, is_vouched_for: AtomicBool::new(false) })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(pin) = self.pin {
            let theirs = pin_of(end_entity)?;
            return if theirs == pin { Ok(ServerCertVerified::assertion()) } else { Err(other_key(pin, theirs)) };
        }
        let refused = match &self.trust {
            Some(trust) => match trust.verify(end_entity, intermediates, server_name, ocsp_response, now) {
                Ok(verified) => {
                    self.is_vouched_for.store(true, Ordering::Relaxed);
                    return Ok(verified);
                }
                Err(error) => error,
            },
            None => Error::InvalidCertificate(CertificateError::UnknownIssuer),
        };
        if self.takes_anyone { Ok(ServerCertVerified::assertion()) } else { Err(refused) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The server has another key than the client's pin is of.
#[derive(Debug, thiserror::Error)]
#[error("the server's key has the pin {theirs}, and the one that is wanted is {wanted}")]
struct OtherKey {
    wanted: Pin,
    theirs: Pin,
}

fn other_key(wanted: Pin, theirs: Pin) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(OtherKey { wanted, theirs }))))
}

fn authorities_of_this_machine() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = load_native_certs();
    if found.certs.is_empty() {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
        return Err(format!(
            "this machine trusts no certificates{why}; install ca-certificates, or name a file of certificates in SSL_CERT_FILE"
        ));
    }
    Ok(found.certs)
}

fn read_authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let path = file.display();
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(format!(
            "{path} holds no certificate in PEM; name a file with the authority's, or with the server's own"
        )),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!(
            "the certificates in {path} cannot be read ({error}); check the path, and that they are in PEM"
        )),
    }
}

fn not_trusted(message: String) -> NoConnection {
    NoConnection::Distrusted(Refused::new(reason::NOT_TRUSTED, message))
}

/// Why there is no TLS with a server that is known so.
fn explain_io(error: &io::Error, known: &Known) -> NoConnection {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        // So ends, too, what a server began that is stopped, or has no place for one more: nothing is known of it yet.
        return NoConnection::Unreachable(format!(
            "the connection ended before TLS was agreed on ({error}); where that stays so, what answers there has no place for one more, or \
             speaks no TLS: have it speak TLS (leave out its --insecure, or start it with --protect)"
        ));
    };
    NoConnection::Distrusted(match tls {
        Error::InvalidMessage(why) if known.is_by_secret() && *why != InvalidMessage::HandshakePayloadTooLarge => {
            Refused::new(reason::SERVER_IS_PLAIN, server_is_plain("what answers there does not speak TLS"))
        }
        Error::InvalidCertificate(CertificateError::Other(other)) if other.0.downcast_ref::<OtherKey>().is_some() => {
            let message = format!(
                "{}; if the server was set up anew, take the join string that it prints now, and if not, another answers in its place",
                other.0
            );
            Refused::new(reason::WRONG_PIN, message)
        }
        error => Refused::new(reason::NOT_TRUSTED, explain(error)),
    })
}

fn server_is_plain(what: &str) -> String {
    format!(
        "{what}, and a client that has a token, a pin or an authority says nothing plainly; have the server speak TLS (leave out its --insecure, \
         or start it with --protect), or, where everyone on the network may listen in, give this client --insecure"
    )
}

/// What is wrong with a server's TLS or its certificate, and what to do.
fn explain(error: &Error) -> String {
    let remedy = match error {
        Error::InvalidCertificate(why) => return format!("its certificate is not trusted ({why}); {}", remedy(why)),
        Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => {
            "its certificates have more than 64 KiB: have it show its own and those that signed it, and no others"
        }
        // Whatever comes first is read as a record of TLS.
        Error::InvalidMessage(_) => {
            return format!(
                "what answers there does not speak TLS ({error}); write http:// in place of https://, or the port of the proxy that \
                 speaks TLS"
            );
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            "it speaks no TLS that is safe: have it speak TLS 1.2 or 1.3 with ciphers of today"
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
            "the two have no cipher in common: have it speak TLS 1.2 or 1.3 with ciphers of today"
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a certificate of its clients, which this one has not: have the proxy ask for none"
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "it serves another name: write the name that its certificate is for"
        }
        _ => "check the proxy's TLS",
    };
    format!("no TLS with it ({error}); {remedy}")
}

const OWN: &str = "of Framewire's own server, paste the join string that it prints (--join); where the certificate is your own, name its file (--ca, or \
                   SSL_CERT_FILE)";

fn remedy(why: &CertificateError) -> &'static str {
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "write the server's address as a name that the certificate is for, or have it made out for this one"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not for servers: have it made out for one (extended key usage serverAuth)"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "have it renewed, or set this machine's clock"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "set this machine's clock, or the one of who made it"
        }
        CertificateError::Revoked => "have another one made",
        // Bad is also the signature of an authority that has the same name and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => OWN,
        CertificateError::Other(other) if is_ca_as_server(other) => OWN,
        _ => "have it made anew, as certificates of servers are",
    }
}

#[derive(Debug)]
struct Trust {
    authorities: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Trust {
    fn new(certificates: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        // What cannot be read is no reason to trust nobody: stores of systems have such.
        roots.add_parsable_certificates(certificates.iter().cloned());
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        Ok(Self { authorities: authorities.map_err(|error| error.to_string())?, certificates })
    }
}

/// Whether a certificate is refused for nothing but being an authority's. That is found after its time, and before its name.
fn is_an_authoritys(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(other)) if is_ca_as_server(other))
}

fn is_ca_as_server(error: &OtherError) -> bool {
    matches!(error.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl Trust {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(error) if is_an_authoritys(&error) && self.certificates.iter().any(|known| known == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    fn params(is_ca: IsCa) -> CertificateParams {
        let mut params = CertificateParams::new(["cams.example".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.is_ca = is_ca;
        params
    }

    fn of_ones_own(params: &CertificateParams) -> CertificateDer<'static> {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    /// Whether who trusts `trusted` believes that `shown` is the server's of that name.
    fn is_believed(trusted: &[&CertificateDer<'static>], shown: &CertificateDer<'static>, name: &str) -> bool {
        verified(trusted, shown, name).is_ok()
    }

    fn verified(
        trusted: &[&CertificateDer<'static>],
        shown: &CertificateDer<'static>,
        name: &str,
    ) -> Result<ServerCertVerified, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let trust = Trust::new(trusted.iter().map(|certificate| (*certificate).clone()).collect(), &provider).unwrap();
        let name = ServerName::try_from(name).unwrap();
        trust.verify(shown, &[], &name, &[], UnixTime::now())
    }

    #[test]
    fn who_is_signed_by_an_authority_in_the_store_is_believed() {
        let authority = params(IsCa::Ca(BasicConstraints::Unconstrained));
        let key = KeyPair::generate().unwrap();
        let listed = authority.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(authority, key);
        let shown = params(IsCa::NoCa).signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();
        assert!(is_believed(&[&listed], &shown, "cams.example") && is_believed(&[&listed], &shown, "127.0.0.1"));
        assert!(!is_believed(&[&listed], &shown, "others.example"));
        let other = of_ones_own(&params(IsCa::Ca(BasicConstraints::Unconstrained)));
        assert!(!is_believed(&[&other], &shown, "cams.example"));
    }

    #[test]
    fn a_certificate_of_ones_own_is_believed_where_the_store_has_it_under_its_name_and_in_its_time() {
        for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
            let own = of_ones_own(&params(is_ca));
            let another = of_ones_own(&params(is_ca));
            assert!(is_believed(&[&another, &own], &own, "cams.example"), "{is_ca:?}");
            assert!(!is_believed(&[&another, &own], &own, "others.example"), "{is_ca:?}");
            assert!(!is_believed(&[&another], &own, "cams.example"), "{is_ca:?}");
            let mut old = params(is_ca);
            old.not_after = date_time_ymd(2001, 1, 1);
            let old = of_ones_own(&old);
            assert!(!is_believed(&[&old], &old, "cams.example"), "{is_ca:?}");
        }
    }

    #[test]
    fn the_remedy_for_a_certificate_is_one_that_helps_against_what_is_wrong_with_it() {
        let is_ca = IsCa::NoCa;
        let own = of_ones_own(&params(is_ca));
        let another = of_ones_own(&params(is_ca));
        let mut clients = params(is_ca);
        clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let clients = of_ones_own(&clients);
        let mut old = params(is_ca);
        old.not_after = date_time_ymd(2001, 1, 1);
        let old = of_ones_own(&old);
        let authority = of_ones_own(&params(IsCa::Ca(BasicConstraints::Unconstrained)));
        for (trusted, shown, name, says) in [
            (&another, &own, "cams.example", "SSL_CERT_FILE"),
            (&another, &authority, "cams.example", "SSL_CERT_FILE"),
            (&own, &own, "others.example", "made out for this one"),
            (&clients, &clients, "cams.example", "serverAuth"),
            (&old, &old, "cams.example", "renewed"),
        ] {
            let said = explain(&verified(&[trusted], shown, name).unwrap_err());
            assert!(said.contains(says), "{said}");
            assert_eq!(said.contains("SSL_CERT_FILE"), says == "SSL_CERT_FILE", "{said}");
        }
    }
}
