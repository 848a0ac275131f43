//! Where a server shares its streams on its machine, as it tells the client whose stream it may be.

use std::fmt;

use framewire_transport::share::{Endpoint, Invitation};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Longest path of a socket, in bytes: what the system has room for.
pub const SHARE_PATH_BYTES_MAX: usize = 107;
/// Digits of a nonce: 64 bits.
const NONCE_DIGITS: usize = 16;

/// The socket on which a server on this machine takes the frames of the stream by shared memory, and by what it knows the client there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShareOffer {
    /// The socket's path, from the root on: 1 to [`SHARE_PATH_BYTES_MAX`] bytes.
    pub path: String,
    /// Whoever shows it there is the client: 16 hexadecimal digits, which are nobody else's.
    pub nonce: String,
}

impl ShareOffer {
    /// What a receiver's invitation says; `None` where its path is no text.
    pub fn new(invitation: &Invitation) -> Option<Self> {
        let path = invitation.endpoint().as_path().to_str()?.to_owned();
        Some(Self { path, nonce: format!("{:016x}", invitation.nonce()) }).filter(|offer| offer.invitation().is_some())
    }

    /// The invitation; `None` where the fields are out of their bounds.
    pub fn invitation(&self) -> Option<Invitation> {
        let is_path = self.path.starts_with('/') && self.path.len() <= SHARE_PATH_BYTES_MAX;
        let is_nonce = self.nonce.len() == NONCE_DIGITS && self.nonce.bytes().all(|digit| digit.is_ascii_hexdigit());
        let endpoint = Some(&self.path).filter(|_| is_path && is_nonce).and_then(|path| Endpoint::path(path).ok())?;
        Some(Invitation::new(endpoint, u64::from_str_radix(&self.nonce, 16).ok()?))
    }
}

impl fmt::Debug for ShareOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the secret.
        f.debug_struct("ShareOffer").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Reads an offer that is within its bounds; any other is none, for there is another way.
pub(crate) fn read_offer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ShareOffer>, D::Error> {
    let offer = serde_json::from_value::<ShareOffer>(Value::deserialize(deserializer)?).ok();
    Ok(offer.filter(|offer| offer.invitation().is_some()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::message::Opened;

    fn read(share: Value) -> Option<ShareOffer> {
        let value = json!({"stream": 7, "udp_port": 9, "protocol": 1, "share": share});
        serde_json::from_value::<Opened>(value).unwrap().share
    }

    #[test]
    fn an_offer_is_read_as_it_is_written_and_its_secret_is_not_shown() {
        let invitation = Invitation::new(Endpoint::path("/run/framewire/7001.sock").unwrap(), 0xab_cdef);
        let offer = ShareOffer::new(&invitation).unwrap();
        assert_eq!(
            serde_json::to_value(&offer).unwrap(),
            json!({"path": "/run/framewire/7001.sock", "nonce": "0000000000abcdef"})
        );
        assert_eq!(read(serde_json::to_value(&offer).unwrap()).unwrap().invitation(), Some(invitation));
        assert!(!format!("{offer:?}").contains("abcdef"));
    }

    #[test]
    fn an_offer_out_of_its_bounds_is_none_and_the_stream_is_opened_all_the_same() {
        let nonce = "0123456789abcdef";
        assert!(read(json!({"path": "/x", "nonce": nonce, "of_a_later_version": 1})).is_some());
        let long = format!("/{}", "x".repeat(SHARE_PATH_BYTES_MAX));
        for path in ["", "x", "/x\0", &long] {
            assert_eq!(read(json!({"path": path, "nonce": nonce})), None, "{path:?}");
        }
        for nonce in ["", "+123456789abcdef", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeg"] {
            assert_eq!(read(json!({"path": "/x", "nonce": nonce})), None, "{nonce:?}");
        }
        assert_eq!([json!(null), json!(7), json!({"path": "/x"})].map(read), [None, None, None]);
    }
}
