//! Which numbers have been seen: none is believed twice.

/// How far below the highest slice a slice may be that is still looked at: sequences.
pub const SLICES_BACK: u64 = 65_536;
/// The same of the counters of all others.
pub const CONTROLS_BACK: u64 = 1_024;

/// Of slices: one word more than the bits take, so that a word can be emptied for what comes while all of [`SLICES_BACK`] are still known.
pub(super) type SliceWindow = Window<{ SLICES_BACK as usize / 64 + 1 }>;
/// Of all others.
pub(super) type ControlWindow = Window<{ CONTROLS_BACK as usize / 64 + 1 }>;

/// The highest number so far, and which of those below it have been seen, as far back as `WORDS - 1` words of 64 go. What is further back
/// counts as seen.
pub(super) struct Window<const WORDS: usize> {
    words: [u64; WORDS],
    highest: Option<u64>,
}

impl<const WORDS: usize> Window<WORDS> {
    const BACK: u64 = (WORDS as u64 - 1) * 64;

    pub(super) const fn new() -> Self {
        Self { words: [0; WORDS], highest: None }
    }

    /// Whether it is neither seen nor too far back.
    #[inline]
    pub(super) fn is_new(&self, number: u64) -> bool {
        match self.highest {
            Some(highest) if number <= highest => {
                highest - number < Self::BACK && self.words[Self::word_of(number)] & Self::bit_of(number) == 0
            }
            _ => true,
        }
    }

    /// Remembers one that is new. To be called only once it is known to be genuine: a forged one would shut others out.
    #[inline]
    pub(super) fn mark(&mut self, number: u64) {
        let highest = *self.highest.get_or_insert(0);
        if number > highest {
            let passed = (number / 64 - highest / 64).min(WORDS as u64);
            (0..passed).for_each(|back| self.words[Self::word_of(number - back * 64)] = 0);
            self.highest = Some(number);
        }
        self.words[Self::word_of(number)] |= Self::bit_of(number);
    }

    #[inline]
    const fn word_of(number: u64) -> usize {
        (number / 64 % WORDS as u64) as usize
    }

    #[inline]
    const fn bit_of(number: u64) -> u64 {
        1 << (number % 64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    /// All numbers that have come, and nothing forgotten.
    #[derive(Default)]
    struct Model(BTreeSet<u64>);

    impl Model {
        fn is_new(&self, number: u64, back: u64) -> bool {
            let is_far = self.0.last().is_some_and(|highest| highest.saturating_sub(number) >= back);
            !is_far && !self.0.contains(&number)
        }
    }

    /// Steps from the highest so far: mostly near it, at times by a window and more, and to the end of all numbers.
    fn steps(back: i64) -> impl Strategy<Value = Vec<(i64, bool)>> {
        let step = prop_oneof![
            6 => -100..100_i64,
            2 => -back - 70..=-back + 70,
            2 => back - 70..=back + 70,
            2 => -back..back,
            1 => Just(i64::MAX),
        ];
        prop::collection::vec((step, prop::bool::weighted(0.9)), 1..200)
    }

    fn agrees<const WORDS: usize>(start: u64, steps: Vec<(i64, bool)>) -> Result<(), TestCaseError> {
        let (mut window, mut model) = (Box::new(Window::<WORDS>::new()), Model::default());
        for (step, is_genuine) in steps {
            let number = model.0.last().copied().unwrap_or(start).saturating_add_signed(step);
            prop_assert_eq!(window.is_new(number), model.is_new(number, Window::<WORDS>::BACK), "{}", number);
            if is_genuine && window.is_new(number) {
                window.mark(number);
                model.0.insert(number);
                prop_assert!(!window.is_new(number));
            }
        }
        // And at the end for all that were near.
        for number in model.0.iter().flat_map(|number| [number.saturating_sub(1), *number, number.saturating_add(1)]) {
            prop_assert_eq!(window.is_new(number), model.is_new(number, Window::<WORDS>::BACK), "{}", number);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_window_says_what_a_set_of_all_numbers_says(start in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], steps in steps(1_024)) {
            agrees::<{ CONTROLS_BACK as usize / 64 + 1 }>(start, steps)?;
        }

        #[test]
        fn so_does_that_of_slices(start in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], steps in steps(65_536)) {
            agrees::<{ SLICES_BACK as usize / 64 + 1 }>(start, steps)?;
        }
    }

    #[test]
    fn what_is_just_inside_the_window_is_known_and_what_is_behind_it_counts_as_seen() {
        let mut window = ControlWindow::new();
        [0, 1, 1_024].into_iter().for_each(|number| window.mark(number));
        assert_eq!(
            [0, 1, 2, 1_023, 1_024, 1_025].map(|number| window.is_new(number)),
            [false, false, true, true, false, true]
        );
        window.mark(1_087);
        assert_eq!([63, 64, 65].map(|number| window.is_new(number)), [false, true, true]);
        assert!(!window.is_new(1_024));
    }
}
