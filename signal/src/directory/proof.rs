//! How a node that asks another for its entry over HTTP shows that it is one, without giving anything away.

use std::fmt;
use std::io;
use std::str::FromStr;

use hmac::Mac;
use thiserror::Error;

use super::hex::from_hex;
use super::key::{ClusterKey, keyed};
use crate::auth::{fill_random, to_hex};
use crate::pin::Pin;

/// The scheme in the header `Authorization`.
const SCHEME: &str = "Framewire-Node";
/// Digits of a nonce.
const NONCE_DIGITS: usize = 32;

/// What a node says in the header `Authorization` of `GET /api/node`: `Framewire-Node NONCE.PROOF`.
///
/// `NONCE` is 32 digits of hexadecimal, random, new for each request; `PROOF` is HMAC-SHA256 in 64 digits, keyed with the nodes' token
/// ([`ClusterKey::node_token`]) as it is written, over `framewire-node-1|NONCE|BINDING`. `BINDING` is the pin of the key that the server has shown over TLS, or
/// `plain` where there is no TLS. Over TLS, whoever plays a server cannot show the proof to another. A plain one can be shown to any server that is spoken to plainly:
/// it is good for the signed entry, and for nothing else.
///
/// The token itself is never sent, and the answer is signed: neither end gives a stranger more than that it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeProof {
    nonce: String,
    mac: [u8; 32],
}

/// A header that is no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is not what nodes of a cluster show to each other: Authorization: Framewire-Node NONCE.PROOF")]
#[non_exhaustive]
pub struct NodeProofError;

impl NodeProof {
    /// For one request to the server that has shown this key, or none where it is spoken to plainly.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(key: &ClusterKey, server: Option<Pin>) -> io::Result<Self> {
        let mut nonce = [0; NONCE_DIGITS / 2];
        fill_random(&mut nonce)?;
        let nonce = to_hex(&nonce);
        let mac = mac(key, &nonce, server).finalize().into_bytes().into();
        Ok(Self { nonce, mac })
    }

    /// Whether whoever shows it is of this cluster, and shows it to this server: one of this key, or one that is spoken to plainly.
    pub fn is_of(&self, key: &ClusterKey, server: Option<Pin>) -> bool {
        mac(key, &self.nonce, server).verify_slice(&self.mac).is_ok()
    }
}

fn mac(key: &ClusterKey, nonce: &str, server: Option<Pin>) -> hmac::Hmac<sha2::Sha256> {
    let binding = server.map_or_else(|| "plain".to_owned(), |pin| pin.to_string());
    keyed(&key.node_token(), &[format!("framewire-node-1|{nonce}|{binding}").as_bytes()])
}

/// As the header has it.
impl fmt::Display for NodeProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME} {}.{}", self.nonce, to_hex(&self.mac))
    }
}

impl FromStr for NodeProof {
    type Err = NodeProofError;

    /// The header's value.
    fn from_str(header: &str) -> Result<Self, NodeProofError> {
        let (scheme, rest) = header.split_once(' ').ok_or(NodeProofError)?;
        let (nonce, digits) = rest.trim().split_once('.').ok_or(NodeProofError)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) || from_hex::<{ NONCE_DIGITS / 2 }>(nonce.as_bytes()).is_none() {
            return Err(NodeProofError);
        }
        let mac = from_hex(digits.as_bytes()).ok_or(NodeProofError)?;
        Ok(Self { nonce: nonce.to_owned(), mac })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_one_cluster_and_one_server() {
        let key = ClusterKey::new("000102030405060708090a0b0c0d0e0f").unwrap();
        let other = ClusterKey::new("000102030405060708090a0b0c0d0e00").unwrap();
        let (a, b) = (Some(Pin::of_public_key(b"a")), Some(Pin::of_public_key(b"b")));
        let shown = NodeProof::new(&key, a).unwrap().to_string();
        let proof: NodeProof = shown.parse().unwrap();
        assert!(proof.is_of(&key, a));
        assert!(!proof.is_of(&key, b) && !proof.is_of(&key, None) && !proof.is_of(&other, a));
        assert_ne!(NodeProof::new(&key, a).unwrap().to_string(), shown);
        let plain: NodeProof = NodeProof::new(&key, None).unwrap().to_string().parse().unwrap();
        assert!(plain.is_of(&key, None) && !plain.is_of(&key, a));
    }

    #[test]
    fn anything_else_in_the_header_is_no_proof() {
        let nonce = "0".repeat(32);
        for header in [
            "",
            "Framewire-Node",
            "Bearer 0.0",
            "Framewire-Node é.é",
            &format!("Framewire-Node {nonce}."),
            &format!("Framewire-Node {nonce}.{}", "é".repeat(32)),
        ] {
            assert_eq!(header.parse::<NodeProof>(), Err(NodeProofError), "{header}");
        }
    }
}
