//! Which server is meant, whatever its name, address and run.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::hex::from_hex;
use crate::auth::{fill_random, to_hex};

/// A server in a cluster: 16 bytes, written as 32 lower-case digits of hexadecimal. It stays the same over restarts, and is no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId([u8; 16]);

/// A text that is no node's id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "a node's id has 32 lower-case digits of hexadecimal, this has {chars} characters, or others; copy the whole of it"
)]
#[non_exhaustive]
pub struct NodeIdError {
    chars: usize,
}

impl NodeId {
    /// These bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A new one.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        from_hex(text.as_bytes()).map(Self).ok_or_else(|| NodeIdError { chars: text.chars().count() })
    }
}

impl TryFrom<String> for NodeId {
    type Error = NodeIdError;

    fn try_from(text: String) -> Result<Self, NodeIdError> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(node: NodeId) -> Self {
        node.to_string()
    }
}

/// The file in a state directory that keeps who its servers are.
const FILE: &str = "node";
/// What the file holds is far less.
const FILE_BYTES_MAX: u64 = 4096;

/// Who a server is, as its state directory keeps it from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptNode {
    /// The same in each run.
    pub node: NodeId,
    /// Of this run: above that of every run before, even where the system's clock was set back in between.
    pub incarnation: u64,
}

impl KeptNode {
    /// The node of this state directory that `which` tells from others there, such as the address that it listens at; made where there is none.
    /// `now` is the system's time: the incarnation is its nanoseconds since 1970, or more where an earlier run had as many.
    ///
    /// # Errors
    /// The file `node` in the directory cannot be read or written, or holds something else; it says which, and the file may be deleted.
    pub fn of_state_directory(directory: &Path, which: &str, now: SystemTime) -> io::Result<Self> {
        let path = directory.join(FILE);
        let explain =
            |problem: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{} {problem}", path.display()));
        let kept = read(&path)?;
        let (seed, last) = match &kept {
            Some(text) => {
                let mut words = text.split_whitespace();
                let seed = words.next().and_then(|word| word.parse::<NodeId>().ok());
                let last = words.next().and_then(|word| word.parse::<u64>().ok());
                seed.zip(last)
                    .ok_or_else(|| explain("holds something else than a node; delete it, and another is made"))?
            }
            None => (NodeId::random()?, 0),
        };
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        let incarnation = now.max(last.saturating_add(1));
        write(directory, &path, &format!("{seed} {incarnation}\n"))?;
        let digest = Sha256::new().chain_update(seed.as_bytes()).chain_update(which).finalize();
        let mut node = [0; 16];
        node.copy_from_slice(&digest[..16]);
        Ok(Self { node: NodeId(node), incarnation })
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Whole or not at all.
fn write(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    let new = directory.join(format!(".{FILE}.{}", std::process::id()));
    let written = File::create(&new).and_then(|mut file| {
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    });
    written.inspect_err(|_| {
        // Perhaps it was never made.
        let _ = fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let node = NodeId::new(*b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff");
        assert_eq!(node.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(node.to_string().parse(), Ok(node));
        for other in [
            "",
            "000102030405060708090a0b0c0d0eFF",
            "000102030405060708090a0b0c0d0ef",
            "é00102030405060708090a0b0c0d0ef",
        ] {
            assert!(other.parse::<NodeId>().unwrap_err().to_string().contains("32 lower-case"), "{other}");
        }
        assert_ne!(NodeId::random().unwrap(), NodeId::random().unwrap());
    }

    #[test]
    fn a_state_directory_keeps_its_nodes_and_no_run_is_older_than_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let kept = |which, seconds| KeptNode::of_state_directory(directory.path(), which, at(seconds)).unwrap();
        let first = kept(":8080", 1_000);
        assert_eq!(first.incarnation, 1_000_000_000_000);
        let back = kept(":8080", 10);
        assert_eq!((back.node, back.incarnation), (first.node, first.incarnation + 1), "the clock was set back");
        assert_eq!(kept(":8080", 2_000).incarnation, 2_000_000_000_000);
        assert_ne!(kept(":8081", 3_000).node, first.node, "two servers of one directory are two");
        fs::write(directory.path().join("node"), "something else").unwrap();
        let error = KeptNode::of_state_directory(directory.path(), ":8080", at(1)).unwrap_err().to_string();
        assert!(error.contains("delete it"), "{error}");
    }
}
