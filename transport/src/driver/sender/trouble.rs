//! Why a stream does not go by shared memory.

use crate::wire::RefuseReason;

/// Why a way cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody is there who could be asked.
    Nobody(String),
    /// Who is there refuses the stream.
    Refused {
        reason: Option<RefuseReason>,
        /// The limit that was hit, if any.
        limit: u64,
        /// In words.
        words: String,
    },
    /// Anything else.
    Failed(String),
}

impl Trouble {
    /// Whether it stays while both ends are as they are.
    pub(crate) fn is_final(&self) -> bool {
        let passing = [RefuseReason::Memory, RefuseReason::TooManyStreams, RefuseReason::Resources];
        matches!(self, Self::Refused { reason, .. } if reason.is_none_or(|reason| !passing.contains(&reason)))
    }

    /// What happened, in words.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Nobody(words) | Self::Refused { words, .. } | Self::Failed(words) => words,
        }
    }
}

/// All that has kept a stream from shared memory since it last went that way: what came first, which is why it left, is not lost by what
/// follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Troubles {
    first: Trouble,
    latest: Trouble,
    /// Others after the first; one that stays as it is counts once.
    more: u32,
}

impl Troubles {
    pub(super) fn new(first: Trouble) -> Self {
        Self { latest: first.clone(), first, more: 0 }
    }

    /// Takes one in; whether it is another one than the latest.
    pub(super) fn note(&mut self, trouble: Trouble) -> bool {
        let is_news = trouble != self.latest;
        if is_news {
            self.more = self.more.saturating_add(1);
            self.latest = trouble;
        }
        is_news
    }

    pub(super) fn latest(&self) -> &Trouble {
        &self.latest
    }

    /// All of it in words: the first one, and, where others came, how many and the latest.
    pub(super) fn words(&self) -> String {
        let (first, latest, more) = (self.first.words(), self.latest.words(), self.more);
        match more {
            0 => first.to_owned(),
            1 => format!("{first}; and then: {latest}"),
            _ => format!("{first}; and then {more} times something else, the latest: {latest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_trouble_and_the_latest_are_told_however_many_there_were() {
        let failed = |words: &str| Trouble::Failed(words.to_owned());
        let mut troubles = Troubles::new(failed("it has ended"));
        assert!(!troubles.note(failed("it has ended")));
        assert_eq!(troubles.words(), "it has ended");
        assert!(troubles.note(Trouble::Nobody("nobody is there".into())));
        assert!(!troubles.note(Trouble::Nobody("nobody is there".into())));
        assert_eq!(troubles.words(), "it has ended; and then: nobody is there");
        assert!(troubles.note(failed("it is silent")));
        assert_eq!(troubles.words(), "it has ended; and then 2 times something else, the latest: it is silent");
        assert_eq!(troubles.latest(), &failed("it is silent"));
    }
}
