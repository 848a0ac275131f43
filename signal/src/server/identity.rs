//! Who a server is to its clients: its certificate and its key, which may be renewed under it.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error as TlsError, InconsistentKeys, ServerConfig};
use thiserror::Error;

use crate::pin::Pin;
use crate::secret_file::{SecretFileError, read_secret_file};
use crate::unpoisoned::unpoisoned;

/// A chain of certificates above this is none that a client would take.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// How often files are looked at, at most.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);
/// The one protocol that is spoken over TLS.
const ALPN: &[u8] = b"http/1.1";

/// A server's certificate and key.
///
/// Those of files are read again when the files change, which is looked for when clients connect, at most once a second; a new pair that cannot be
/// used is said once in the log, and the old one stays.
#[derive(Clone)]
pub struct Identity(Arc<Shared>);

struct Shared {
    files: Option<Files>,
    state: Mutex<State>,
}

struct State {
    current: Arc<Loaded>,
    looked_at: Instant,
    /// What the files were when they were last read, whatever came of it.
    stamps: [Option<Stamp>; 2],
}

#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What tells that a file is another.
type Stamp = (SystemTime, u64, u64);

/// A pair that is in use.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    pub(super) pin: Pin,
}

/// Why there is no identity.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file with the certificates cannot be read.
    #[error("the certificate file {path} cannot be read ({source}); check the path and who may read it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file with the key cannot be read, or is open to everyone on the machine.
    #[error(transparent)]
    KeyFile(#[from] SecretFileError),
    /// It holds no certificate.
    #[error(
        "{from} holds no certificate in PEM; name the file that has the server's, with those that signed it behind it"
    )]
    NoCertificate {
        /// Where it should have been.
        from: String,
    },
    /// It holds no key.
    #[error("{from} holds no private key in PEM; name the file with the key that the certificate was made for")]
    NoKey {
        /// Where it should have been.
        from: String,
    },
    /// The two belong to different pairs.
    #[error("the key in {key} is not that of the certificate in {certificate}; name two files that were made together")]
    Mismatch {
        /// Where the certificate is.
        certificate: String,
        /// Where the key is.
        key: String,
    },
    /// TLS cannot use it.
    #[error(
        "the certificate in {certificate} and its key cannot be used ({problem}); have them made anew, for a server, with a key of P-256 or RSA of 2048 bits"
    )]
    Unusable {
        /// Where the certificate is.
        certificate: String,
        /// What is wrong with it.
        problem: String,
    },
    /// One of the names to make a certificate for is none.
    #[error(
        "no certificate can be made for these names: {0}; use names and addresses such as cam.example or 192.168.7.2"
    )]
    Names(String),
}

impl Identity {
    /// The identity in two files in PEM: the server's certificate, with those that signed it behind it, and its private key, which must not be open
    /// to everyone on the machine. Of at most 64 KiB each.
    ///
    /// # Errors
    /// One of them cannot be read or holds nothing of the kind, or they do not belong together.
    pub fn from_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, IdentityError> {
        let files = Files { certificate: certificate.into(), key: key.into() };
        // Before what they hold: a change in between is seen as one.
        let stamps = files.stamps();
        let current = Arc::new(files.load()?);
        let state = State { current, looked_at: Instant::now(), stamps };
        Ok(Self(Arc::new(Shared { files: Some(files), state: Mutex::new(state) })))
    }

    /// The identity in two texts in PEM, as [`generate`](Self::generate) makes them.
    ///
    /// # Errors
    /// One of them holds nothing of the kind, or they do not belong together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, IdentityError> {
        let current = Arc::new(load(certificate.as_bytes(), key.as_bytes(), "the certificate given", "the key given")?);
        let state = State { current, looked_at: Instant::now(), stamps: [None; 2] };
        Ok(Self(Arc::new(Shared { files: None, state: Mutex::new(state) })))
    }

    /// Makes a key (P-256) and a certificate of its own for these names and addresses of the server, from 2020 to 2120: a client that knows the key by
    /// its [`Pin`] looks neither at names nor at times. Returns the certificate and the key, in PEM.
    ///
    /// # Errors
    /// One of the names is none.
    pub fn generate(names: &[String]) -> Result<(String, String), IdentityError> {
        let wrong = |error: rcgen::Error| IdentityError::Names(error.to_string());
        let mut params = CertificateParams::new(names).map_err(wrong)?;
        params.distinguished_name.push(DnType::CommonName, "Framewire");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(wrong)?;
        let certificate = params.self_signed(&key).map_err(wrong)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// The pin of the key in use.
    pub fn pin(&self) -> Pin {
        self.lock().current.pin
    }

    /// The pair for a connection that begins now.
    pub(super) fn current(&self, now: Instant) -> Arc<Loaded> {
        let mut state = self.lock();
        if let Some(files) = &self.0.files
            && now.saturating_duration_since(state.looked_at) >= LOOKED_AT_EVERY
        {
            state.looked_at = now;
            let stamps = files.stamps();
            if stamps != state.stamps {
                state.stamps = stamps;
                match files.load() {
                    Ok(loaded) => {
                        if loaded.pin == state.current.pin {
                            tracing::info!("the certificate was renewed; its key is the same");
                        } else {
                            tracing::warn!(pin = %loaded.pin, "the certificate was renewed with another key: join strings with the old pin are of no use now");
                        }
                        state.current = Arc::new(loaded);
                    }
                    Err(error) => tracing::error!("the certificate stays as it was: {error}"),
                }
            }
        }
        state.current.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.0.state.lock())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("pin", &self.pin()).field("files", &self.0.files).finish()
    }
}

impl Files {
    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.certificate, &self.key].map(|path| fs::metadata(path).ok().as_ref().map(stamp))
    }

    fn load(&self) -> Result<Loaded, IdentityError> {
        let certificate = read_certificate(&self.certificate)?;
        let key = read_secret_file(&self.key, "TLS key", FILE_BYTES_MAX)?;
        load(&certificate, &key, &self.certificate.display().to_string(), &self.key.display().to_string())
    }
}

fn stamp(file: &Metadata) -> Stamp {
    #[cfg(unix)]
    let id = std::os::unix::fs::MetadataExt::ino(file);
    #[cfg(not(unix))]
    let id = 0;
    (file.modified().unwrap_or(SystemTime::UNIX_EPOCH), file.len(), id)
}

fn read_certificate(path: &Path) -> Result<Vec<u8>, IdentityError> {
    use std::io::Read;
    let unreadable = |source| IdentityError::Unreadable { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let problem = format!("it has more than {FILE_BYTES_MAX} bytes, which no client takes");
        return Err(IdentityError::Unusable { certificate: path.display().to_string(), problem });
    }
    Ok(bytes)
}

fn load(certificate: &[u8], key: &[u8], certificate_from: &str, key_from: &str) -> Result<Loaded, IdentityError> {
    let unusable = |problem: String| IdentityError::Unusable { certificate: certificate_from.into(), problem };
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|error| unusable(error.to_string()))?;
    let Some(own) = chain.first() else { return Err(IdentityError::NoCertificate { from: certificate_from.into() }) };
    let pin = pin_of(own).map_err(|error| unusable(error.to_string()))?;
    // What is wrong with a key is not repeated.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::NoKey { from: key_from.into() })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pair = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            IdentityError::Mismatch { certificate: certificate_from.into(), key: key_from.into() }
        }
        error => unusable(error.to_string()),
    })?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| unusable(error.to_string()))?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Each connection proves the key anew, and nothing is kept of those that have gone.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Loaded { config: Arc::new(config), pin })
}

/// The pin of the key of a certificate.
pub(super) fn pin_of(certificate: &CertificateDer<'_>) -> Result<Pin, TlsError> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(Pin::of_public_key(&parsed.subject_public_key_info()))
}

#[cfg(test)]
mod tests;
