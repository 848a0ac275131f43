//! What the test itself has seen of a stream's frames, and how the counters of both ends are held against it.

use std::collections::BTreeSet;

use framewire_transport::send::SendState;

use super::Peer;

/// What the test itself knows of the frames at the receiver that is there, apart from what that counts.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(super) delivered: BTreeSet<u64>,
    /// A slice of it was taken in.
    pub(super) begun: BTreeSet<u64>,
    pub(super) no_slot: BTreeSet<u64>,
}

impl Peer {
    /// Holds the counters of both ends against each other, and against what the test has seen. To be called once the stream is
    /// closed; `restarted` says that an earlier receiver had a part of it.
    pub(crate) fn check_counters(&self, restarted: bool) {
        let receiver = self.receiver.as_ref().expect("a stream was open");
        let (sent, seen, source) = (*self.sender.stats(), *receiver.stats(), receiver.source());
        let settled = receiver.settled();
        let context = || format!("{sent:?}\n{seen:?}\n{source:?}, settled {settled}");
        let Truth { delivered, begun, no_slot } = &self.truth;
        // The sender: each frame was sent, or nothing of it was, or a part.
        assert_eq!(sent.frames, sent.frames_sent + sent.frames_skipped + sent.frames_abandoned, "{}", context());
        assert!(sent.frames_no_credit <= sent.frames_skipped, "{}", context());
        // The receiver: each has the fate that the test has seen, and no other.
        assert_eq!(settled, sent.frames, "{}", context());
        assert_eq!(seen.first_frame + seen.frames_passed, settled, "{}", context());
        assert_eq!(seen.frames_delivered, delivered.len() as u64, "{}", context());
        assert_eq!(seen.frames_no_slot, no_slot.len() as u64, "{}", context());
        assert!(delivered.is_disjoint(no_slot), "{delivered:?} {no_slot:?}");
        let is_incomplete = |number: &&u64| !delivered.contains(number) && !no_slot.contains(number);
        assert_eq!(seen.frames_incomplete, begun.iter().filter(is_incomplete).count() as u64, "{}", context());
        let fates = seen.frames_delivered + seen.frames_incomplete + seen.frames_no_slot;
        assert_eq!(seen.frames_passed, fates + seen.frames_unseen(), "{}", context());
        // What it heard of the sender's.
        let SendState::Closed(report) = self.sender.state() else { panic!("{:?}", self.sender.state()) };
        assert!(sent.frames_delivered <= sent.frames, "{}", context());
        if restarted {
            assert!(
                source.skipped <= sent.frames_skipped && source.no_credit <= sent.frames_no_credit,
                "{}",
                context()
            );
            // Of what came before it nothing is this receiver's to account for.
            assert_eq!(seen.frames_passed, fates + source.skipped + source.lost, "{}", context());
        } else {
            // Of those before its first one nothing was sent.
            assert!(self.has_joined || seen.first_frame == 0, "{}", context());
            let skipped = seen.first_frame + source.skipped;
            assert_eq!((skipped, source.no_credit), (sent.frames_skipped, sent.frames_no_credit), "{}", context());
            assert_eq!(sent.frames, fates + skipped + source.lost, "{}", context());
            assert_eq!((report.delivered, sent.frames_delivered), (seen.frames_delivered, seen.frames_delivered));
        }
        if !report.is_forgotten {
            let theirs = (seen.frames_incomplete, seen.frames_no_slot);
            assert_eq!((report.incomplete, report.no_slot), theirs, "{}", context());
        }
    }
}
