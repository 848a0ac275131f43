//! How a server takes part in a cluster: what a program says of it.

use std::fmt;
use std::path::{Path, PathBuf};

use framewire_transport::setters;

use super::ClusterError;
use crate::auth::TokenError;
use crate::directory::entry::OwnNode;
use crate::directory::key::ClusterKey;
use crate::secret_file::read_secret_file;

/// How a server takes part in a cluster: [`ClusterConfig::new`], and what is to be different from that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// The server.
    pub own: OwnNode,
    /// What its entries are signed with; none by default. With an engine there must be one; without, servers that are found by mDNS are not asked for theirs.
    pub key: Option<ClusterKey>,
    /// Redis or Valkey; none by default.
    pub redis: Option<RedisConfig>,
    /// Whether the server announces itself by mDNS, and asks those that do; false by default.
    pub mdns: bool,
    /// The program's version, as it is announced; empty by default.
    pub version: String,
}

impl ClusterConfig {
    /// This server, by itself.
    pub fn new(own: OwnNode) -> Self {
        Self { own, key: None, redis: None, mdns: false, version: String::new() }
    }

    setters! {
        key: impl Into<Option<ClusterKey>>,
        redis: impl Into<Option<RedisConfig>>,
        mdns: bool,
        version: impl Into<String>,
    }

    /// # Errors
    /// It cannot be.
    pub(super) fn check(&self) -> Result<(), ClusterError> {
        if self.mdns && !cfg!(feature = "mdns") {
            return Err(ClusterError::NotBuilt { what: "mDNS", feature: "mdns" });
        }
        let Some(redis) = &self.redis else { return Ok(()) };
        if !cfg!(feature = "cluster") {
            return Err(ClusterError::NotBuilt { what: "Redis", feature: "cluster" });
        }
        if self.key.is_none() {
            return Err(ClusterError::NoKey);
        }
        if !(1..=64).contains(&redis.prefix.len()) || !redis.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClusterError::Prefix { prefix: redis.prefix.clone() });
        }
        RedisUrl::parse(&redis.url).map(drop)
    }
}

/// A Redis or Valkey that carries a cluster's entries.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    /// `redis://[USER@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS; the port is 6379 by default, the database 0.
    pub url: String,
    /// What all keys and channels begin with, so that several clusters may share a Redis: 1 to 64 characters; `framewire` by default.
    pub prefix: String,
    /// Of the user in the address, or of the default user; none by default.
    pub password: Option<EnginePassword>,
    /// A file of certificates (PEM) of which one has signed the engine's, in place of those that this machine trusts; none by default.
    pub ca: Option<PathBuf>,
}

impl RedisConfig {
    /// At this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), prefix: "framewire".into(), password: None, ca: None }
    }

    setters! {
        prefix: impl Into<String>,
        password: impl Into<Option<EnginePassword>>,
        ca: impl Into<Option<PathBuf>>,
    }
}

/// The password of an engine's user: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct EnginePassword(Box<str>);

/// A password file above this is some other file.
const PASSWORD_BYTES_MAX: u64 = 4096;

impl EnginePassword {
    /// This password, white space at both ends left out.
    ///
    /// # Errors
    /// Nothing is left, or it is no text.
    pub fn new(password: impl AsRef<[u8]>) -> Result<Self, TokenError> {
        Self::from_source(password.as_ref(), "the program")
    }

    /// The password in a file, white space at both ends (such as the last newline) left out.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 4,096 bytes or open to everyone on the machine, or holds nothing.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let password = read_secret_file(path, "password", PASSWORD_BYTES_MAX)?;
        Self::from_source(&password, &path.display().to_string())
    }

    /// The password, for who sends it.
    pub fn secret(&self) -> &str {
        &self.0
    }

    fn from_source(password: &[u8], source: &str) -> Result<Self, TokenError> {
        let text = std::str::from_utf8(password).map(str::trim).unwrap_or_default();
        if text.is_empty() {
            return Err(TokenError::Empty(source.into()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for EnginePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnginePassword(…)")
    }
}

/// Where Redis is, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::directory) struct RedisUrl {
    pub(in crate::directory) has_tls: bool,
    /// A name, or an address without brackets.
    pub(in crate::directory) host: String,
    pub(in crate::directory) port: u16,
    pub(in crate::directory) user: Option<String>,
    pub(in crate::directory) database: i64,
}

impl RedisUrl {
    pub(in crate::directory) fn parse(given: &str) -> Result<Self, ClusterError> {
        let wrong = |problem: &str| ClusterError::Url { given: given.into(), problem: problem.into() };
        let url = url::Url::parse(given.trim()).map_err(|error| wrong(&error.to_string()))?;
        if url.password().is_some() {
            // What was given holds a secret, and errors end in logs.
            let problem = "passwords do not belong in an address; use FRAMEWIRE_CLUSTER_PASSWORD or a file".into();
            return Err(ClusterError::Url { given: format!("{}://…:…@…", url.scheme()), problem });
        }
        let has_tls = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(wrong("it does not begin with redis:// or rediss://")),
        };
        let host = url.host_str().map(|host| host.trim_matches(['[', ']'])).filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("it has no host"))?.to_owned();
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has more than user, host, port and database"));
        }
        let database = url.path().trim_matches('/');
        let database = if database.is_empty() { Some(0) } else { database.parse().ok().filter(|n| *n >= 0) };
        let database = database.ok_or_else(|| wrong("its database is no number"))?;
        let port = url.port().unwrap_or(6379);
        if port == 0 {
            return Err(wrong("port 0 is no port to connect to"));
        }
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(str::to_owned);
        Ok(Self { has_tls, host, port, user, database })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_engines_are_taken_with_user_and_database_and_never_with_a_password() {
        let plain = RedisUrl::parse("redis://127.0.0.1").unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.has_tls, plain.database), ("127.0.0.1", 6379, false, 0));
        let full = RedisUrl::parse("rediss://cameras@[::1]:7000/3").unwrap();
        assert_eq!((full.host.as_str(), full.port, full.has_tls, full.database), ("::1", 7000, true, 3));
        assert_eq!(full.user.as_deref(), Some("cameras"));
        let error = RedisUrl::parse("redis://me:hunter2@host").unwrap_err().to_string();
        assert!(error.contains("FRAMEWIRE_CLUSTER_PASSWORD") && !error.contains("hunter2"), "{error}");
        for (given, problem) in [
            ("http://host", "does not begin with redis://"),
            ("host:6379", "does not begin"),
            ("redis://", "no host"),
            ("redis://host/x", "no number"),
            ("redis://host:0", "port 0"),
            ("redis://host?protocol=resp3", "more than"),
        ] {
            let error = RedisUrl::parse(given).unwrap_err().to_string();
            assert!(error.contains(problem), "{given}: {error}");
        }
    }
}
