//! The numbers that streams are shown by, to those who may look and not send.
//!
//! Whoever knows a stream's id can send its datagrams, so nobody but its client is told the id. The number that stands for it
//! elsewhere is the id under a permutation of all 32-bit numbers that only this run of the server knows: each id has one,
//! no two have the same, and nothing needs to be kept.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Rounds of the Feistel network: as many as NIST SP 800-38G asks of FF1.
const ROUNDS: u8 = 10;

/// The permutation.
pub(super) struct ShownIds {
    keyed: Hmac<Sha256>,
}

impl ShownIds {
    /// # Errors
    /// The system gives no random bytes.
    pub(super) fn new() -> std::io::Result<Self> {
        let mut key = [0; 32];
        crate::auth::fill_random(&mut key)?;
        Ok(Self { keyed: Hmac::new_from_slice(&key).expect("HMAC takes a key of any length") })
    }

    /// The number that the stream of this id is shown by.
    pub(super) fn shown(&self, stream: u32) -> u32 {
        let [a, b, c, d] = stream.to_be_bytes();
        let (mut left, mut right) = ([a, b], [c, d]);
        for round in 0..ROUNDS {
            let mut mac = self.keyed.clone();
            mac.update(&[round, right[0], right[1]]);
            let mask = mac.finalize().into_bytes();
            (left, right) = (right, [left[0] ^ mask[0], left[1] ^ mask[1]]);
        }
        u32::from_be_bytes([left[0], left[1], right[0], right[1]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_id_is_shown_by_a_number_of_its_own_that_another_run_does_not_know() {
        let (ids, others) = (ShownIds::new().unwrap(), ShownIds::new().unwrap());
        let shown: HashSet<u32> = (0..20_000).map(|stream| ids.shown(stream)).collect();
        assert_eq!(shown.len(), 20_000, "no two are the same");
        assert_eq!(ids.shown(7), ids.shown(7));
        // Of chance, one in four thousand million would be.
        assert!((0..1_000).filter(|stream| ids.shown(*stream) == *stream).count() <= 1);
        assert!((0..1_000).filter(|stream| ids.shown(*stream) == others.shown(*stream)).count() <= 1);
    }
}
