//! Numbers that never go back.

/// A number that only rises: what is settled, what was granted, what has been seen. Words about them cross each other on a
/// network, and things that end out of order end within one batch; the lower one is never taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rising(u64);

impl Rising {
    /// One that begins at `from`.
    pub(crate) const fn new(from: u64) -> Self {
        Self(from)
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }

    /// Rises to `to` where that is higher. True where it was.
    pub(crate) const fn raise(&mut self, to: u64) -> bool {
        let rises = to > self.0;
        if rises {
            self.0 = to;
        }
        rises
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let mut number = Rising::new(3);
        assert!(!number.raise(3) && !number.raise(0) && number.value() == 3);
        assert!(number.raise(4) && number.value() == 4);
    }
}
