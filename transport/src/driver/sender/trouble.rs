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
    /// Who is there refuses the stream for now, for what a receiver by datagrams has no reason for.
    Hindered {
        /// The reason's number between the two processes.
        refusal: u8,
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

    /// Whether it is what another one is, whatever numbers stand in its words.
    fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nobody(_), Self::Nobody(_)) => true,
            (Self::Refused { reason: ours, .. }, Self::Refused { reason: theirs, .. }) => ours == theirs,
            (Self::Hindered { refusal: ours, .. }, Self::Hindered { refusal: theirs, .. }) => ours == theirs,
            _ => self == other,
        }
    }

    /// What happened, in words.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Nobody(words) | Self::Refused { words, .. } | Self::Hindered { words, .. } | Self::Failed(words) => {
                words
            }
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
    /// What the log has been told of: each cause once, also where they alternate.
    told: Vec<Trouble>,
}

/// What words a hub finds is up to it: more causes are not told.
const TOLD_MAX: usize = 8;

impl Troubles {
    pub(super) fn new(first: Trouble) -> Self {
        Self { latest: first.clone(), told: vec![first.clone()], first, more: 0 }
    }

    /// Takes one in; whether it is one that the log has not been told of.
    pub(super) fn note(&mut self, trouble: Trouble) -> bool {
        let is_news = self.told.len() < TOLD_MAX && !self.told.iter().any(|told| told.is_as(&trouble));
        if is_news {
            self.told.push(trouble.clone());
        }
        if !trouble.is_as(&self.latest) {
            self.more = self.more.saturating_add(1);
        }
        self.latest = trouble;
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

    #[test]
    fn causes_that_alternate_are_told_once_each_and_a_hubs_words_without_end_are_not() {
        let refused = |limit: u64| {
            let (reason, words) = (Some(RefuseReason::Memory), format!("{limit} bytes are left"));
            Trouble::Refused { reason, limit, words }
        };
        let pair = [Trouble::Nobody("nobody".into()), Trouble::Failed("it has not answered".into())];
        let mut troubles = Troubles::new(pair[0].clone());
        let mut told = |trouble: Trouble| u32::from(troubles.note(trouble));
        let alternating: u32 = (0..100).flat_map(|_| pair.clone()).map(&mut told).sum();
        let with_numbers: u32 = (0..100).map(|limit| told(refused(limit))).sum();
        let words: u32 = (0..100).map(|nth| told(Trouble::Failed(format!("cause {nth}")))).sum();
        assert_eq!((alternating, with_numbers, words), (1, 1, 5));
    }

    #[test]
    fn a_cause_whose_numbers_alone_differ_is_the_same_one_and_its_latest_numbers_are_told() {
        let memory = |left: u64| {
            let (reason, words) = (Some(RefuseReason::Memory), format!("{left} bytes are left"));
            Trouble::Refused { reason, limit: 9, words }
        };
        let too_often = |wait: u64| Trouble::Hindered { refusal: 18, words: format!("one more in {wait} ms") };
        let user = Trouble::Hindered { refusal: 7, words: "this user may not".into() };
        for causes in [[memory(1), memory(2), memory(3)], [too_often(1), too_often(2), too_often(3)]] {
            let mut troubles = Troubles::new(Trouble::Nobody("nobody".into()));
            assert_eq!(causes.clone().map(|cause| troubles.note(cause)), [true, false, false]);
            assert_eq!(troubles.words(), format!("nobody; and then: {}", causes[2].words()));
            assert!(troubles.note(user.clone()), "another refusal is another cause");
        }
    }
}
