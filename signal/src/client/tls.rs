//! TLS towards a proxy in front of a server: whom this machine trusts.
//!
//! Those are the authorities in the system's store, or in what `SSL_CERT_FILE` and `SSL_CERT_DIR` name; and a certificate that
//! is in there itself is trusted also where it says that it is an authority, as those do that people sign for
//! themselves: that is what OpenSSL does.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use rustls_native_certs::load_native_certs;

/// Reads whom this machine trusts: a few hundred files at most.
///
/// # Errors
/// Nobody, with what to do.
pub(super) fn config() -> Result<ClientConfig, String> {
    let found = load_native_certs();
    if found.certs.is_empty() {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
        return Err(format!(
            "this machine trusts no certificates{why}; install ca-certificates, or name a file of certificates in SSL_CERT_FILE"
        ));
    }
    trusting(found.certs)
}

fn trusting(certificates: Vec<CertificateDer<'static>>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let trust = Trust::new(certificates, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth())
}

/// What is wrong with a server's TLS or its certificate, and what to do.
pub(super) fn explain(error: &Error) -> String {
    let remedy = match error {
        Error::InvalidCertificate(why) => return format!("its certificate is not trusted ({why}); {}", remedy(why)),
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
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "where it is your own, name its file in SSL_CERT_FILE"
        }
        CertificateError::Other(other) if is_ca_as_server(other) => {
            "where it is your own, name its file in SSL_CERT_FILE"
        }
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

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
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

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
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
        let provider = Arc::new(ring::default_provider());
        let trust = Trust::new(trusted.iter().map(|certificate| (*certificate).clone()).collect(), &provider).unwrap();
        let name = ServerName::try_from(name).unwrap();
        trust.verify_server_cert(shown, &[], &name, &[], UnixTime::now())
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
