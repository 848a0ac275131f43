//! What became of the frames that did not come, as their sender tells it.

use super::stats::{ReceiveStats, SourceCounts};
use crate::rising::Rising;

/// Takes in the sender's reports.
#[derive(Debug, Default)]
pub(super) struct SourceAccount {
    counts: SourceCounts,
    /// Skipped, and without credit, before this receiver was there: for an earlier one to account for.
    before: (u64, u64),
    /// Every frame below it has been sent, or skipped, as of the newest report.
    sent: Rising,
}

impl SourceAccount {
    /// For a receiver before whose first frame so many frames had been skipped, and of these so many for want of credit.
    pub(super) fn new(skipped: u64, no_credit: u64) -> Self {
        Self { before: (skipped, no_credit), ..Self::default() }
    }

    pub(super) const fn counts(&self) -> SourceCounts {
        self.counts
    }

    /// A report: every frame below `sent` has been sent, or has been skipped, as `skipped` have; of these `no_credit` for want of
    /// credit. Frames of which nothing came are lost where the sender did not skip them; it may have skipped others
    /// since, so this counts too few rather than too many, and never takes a loss back. More than there were frames of this receiver's
    /// is not believed: what is skipped beyond `sent` is said again by a later report.
    pub(super) fn handle_report(&mut self, stats: &ReceiveStats, sent: u64, skipped: u64, no_credit: u64) {
        let frames = sent.saturating_sub(stats.first_frame);
        let skipped = skipped.saturating_sub(self.before.0).min(frames);
        let no_credit = no_credit.saturating_sub(self.before.1);
        let counts = &mut self.counts;
        counts.skipped = counts.skipped.max(skipped);
        counts.no_credit = counts.no_credit.max(no_credit.min(skipped));
        self.sent.raise(sent);
        self.handle_passed(stats);
    }

    /// Frames have passed at this end.
    pub(super) fn handle_passed(&mut self, stats: &ReceiveStats) {
        if stats.first_frame.saturating_add(stats.frames_passed) <= self.sent.value() {
            let counts = &mut self.counts;
            counts.lost = counts.lost.max(stats.frames_unseen().saturating_sub(counts.skipped));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(first_frame: u64, frames_passed: u64, frames_delivered: u64) -> ReceiveStats {
        ReceiveStats { first_frame, frames_passed, frames_delivered, ..ReceiveStats::default() }
    }

    fn counts(account: &SourceAccount) -> (u64, u64, u64) {
        let SourceCounts { skipped, no_credit, lost } = account.counts();
        (skipped, no_credit, lost)
    }

    #[test]
    fn what_was_not_skipped_is_lost_and_stays_so() {
        let mut account = SourceAccount::default();
        account.handle_report(&stats(0, 10, 7), 10, 2, 1);
        assert_eq!(counts(&account), (2, 1, 1));
        // Others have been skipped meanwhile, of frames that have not passed here.
        account.handle_report(&stats(0, 10, 7), 12, 4, 1);
        assert_eq!(counts(&account), (4, 1, 1));
    }

    #[test]
    fn a_report_that_does_not_reach_what_has_passed_says_nothing_of_losses() {
        let mut account = SourceAccount::default();
        account.handle_report(&stats(0, 10, 5), 9, 0, 0);
        assert_eq!(counts(&account), (0, 0, 0));
    }

    #[test]
    fn what_was_skipped_before_a_receiver_was_there_is_none_of_its_business() {
        let mut account = SourceAccount::new(1_800, 1_700);
        account.handle_report(&stats(2_000, 10, 8), 2_010, 1_802, 1_700);
        assert_eq!(counts(&account), (2, 0, 0));
        account.handle_report(&stats(2_000, 30, 25), 2_030, 1_803, 1_700);
        assert_eq!(counts(&account), (3, 0, 2));
    }

    #[test]
    fn no_more_was_skipped_than_there_were_frames() {
        let mut account = SourceAccount::default();
        account.handle_report(&stats(3, 5, 5), 8, u64::MAX, u64::MAX);
        assert_eq!(counts(&account), (5, 5, 0));
        // Before any frame of this receiver's.
        account = SourceAccount::default();
        account.handle_report(&stats(3, 0, 0), 3, u64::MAX, u64::MAX);
        assert_eq!(counts(&account), (0, 0, 0));
    }

    #[test]
    fn absurd_numbers_are_no_reason_to_panic() {
        let mut account = SourceAccount::default();
        account.handle_report(&stats(u64::MAX, 9, 0), u64::MAX, u64::MAX, u64::MAX);
        account.handle_report(&stats(u64::MAX, 9, 0), 0, 0, u64::MAX);
        assert!(account.counts().no_credit <= account.counts().skipped);
    }
}
