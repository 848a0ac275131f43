//! What a sink has counted, over all its streams.

use framewire_ends::OutputStats;

/// What is counted beside the outputs' own.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    /// Of streams that have ended.
    pub(super) past: OutputStats,
    /// Buffers that were copied into slots.
    pub(super) copied: u64,
    /// Buffers that are no frames of their caps, or that have too much metadata.
    pub(super) refused: u64,
    /// Buffers that there was no slot for.
    pub(super) without_slot: u64,
}

impl Counts {
    /// Adds what a stream that has ended counted.
    pub(super) fn end(&mut self, ended: &OutputStats) {
        self.past.sent += ended.sent;
        self.past.delivered += ended.delivered;
        self.past.skipped += ended.skipped;
        self.past.bytes += ended.bytes;
    }

    /// As the property `stats` has them.
    pub(super) fn structure(&self, open: Option<&OutputStats>) -> gst::Structure {
        let none = OutputStats::default();
        let open = open.unwrap_or(&none);
        gst::Structure::builder("framewire-sink-stats")
            .field("frames-sent", self.past.sent + open.sent)
            .field("frames-delivered", self.past.delivered + open.delivered)
            .field("frames-skipped", self.past.skipped + open.skipped)
            .field("frames-copied", self.copied)
            .field("frames-refused", self.refused)
            .field("bytes", self.past.bytes + open.bytes)
            .field("readers", open.readers as u64)
            .field("is-open", open.is_open)
            .field("protection", open.protection.unwrap_or("none"))
            .build()
    }
}
