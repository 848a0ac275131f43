//! Which ciphers there are, and which of them two ends take.

use aws_lc_rs::aead::{AES_128_GCM, Algorithm, CHACHA20_POLY1305};

/// A cipher for what follows an opening, with the number that names it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// AES-128-GCM: the fastest where the processor has instructions for it.
    Aes128Gcm = 1,
    /// ChaCha20-Poly1305: for all others.
    ChaCha20Poly1305 = 2,
}

impl Suite {
    /// The suite with this number on the wire.
    pub const fn from_wire(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Aes128Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AES-128-GCM",
            Self::ChaCha20Poly1305 => "ChaCha20-Poly1305",
        }
    }

    pub(super) fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes128Gcm => &AES_128_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Aes128Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }
}

/// Those of the suites that an end has, a bit each. Bits that stand for nothing yet are kept, and chosen by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suites(u16);

impl Suites {
    /// What this machine seals with at speed: AES where the processor has instructions for it and for GCM, ChaCha20 always.
    pub fn supported() -> Self {
        if has_aes() {
            Self::of(&[Suite::Aes128Gcm, Suite::ChaCha20Poly1305])
        } else {
            Self::of(&[Suite::ChaCha20Poly1305])
        }
    }

    /// These alone.
    pub fn of(suites: &[Suite]) -> Self {
        Self(suites.iter().fold(0, |bits, suite| bits | suite.bit()))
    }

    /// The set with these bits on the wire.
    pub const fn from_wire(bits: u16) -> Self {
        Self(bits)
    }

    /// Its bits on the wire.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether this one is among them.
    pub const fn has(self, suite: Suite) -> bool {
        self.0 & suite.bit() != 0
    }

    /// What two ends take: AES where both have it, else ChaCha20 where both have that. `None` where they have none in common.
    pub fn choose(self, offered: Self) -> Option<Suite> {
        [Suite::Aes128Gcm, Suite::ChaCha20Poly1305].into_iter().find(|suite| self.has(*suite) && offered.has(*suite))
    }
}

/// Without instructions for it AES is several times slower than ChaCha20.
fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_is_taken_where_both_have_it_and_nothing_that_only_one_has() {
        let (aes, chacha) = (Suites::of(&[Suite::Aes128Gcm]), Suites::of(&[Suite::ChaCha20Poly1305]));
        let both = Suites::from_wire(aes.bits() | chacha.bits());
        assert_eq!(both.choose(both), Some(Suite::Aes128Gcm));
        assert_eq!(
            (both.choose(chacha), chacha.choose(both)),
            (Some(Suite::ChaCha20Poly1305), Some(Suite::ChaCha20Poly1305))
        );
        assert_eq!((aes.choose(chacha), both.choose(Suites::from_wire(0xfffc))), (None, None));
        assert!(Suites::supported().has(Suite::ChaCha20Poly1305));
        for suite in [Suite::Aes128Gcm, Suite::ChaCha20Poly1305] {
            assert_eq!(Suite::from_wire(suite as u8), Some(suite));
        }
        assert_eq!((Suite::from_wire(0), Suite::from_wire(3)), (None, None));
    }
}
