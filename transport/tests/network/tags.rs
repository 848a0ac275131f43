//! What stands in the room for tags: a sum of the fields in front of it. A tag that is taken for a payload, or that travels with
//! another slice's fields, is seen.

use framewire_transport::wire::{Kind, Prelude, SLICE_HEADER_LEN};

/// Fills the room in the head of a slice, or of a parity slice, if it has any.
pub(crate) fn put(head: &mut [u8], tag_bytes: usize) {
    if tag_bytes > 0 {
        let (fields, rest) = head.split_at_mut(SLICE_HEADER_LEN);
        rest[..tag_bytes].fill(sum(fields));
    }
}

/// Holds what has come in a head against what was put there.
pub(crate) fn check(head: &[u8], tag_bytes: usize) {
    let is_slice = Prelude::parse(head).is_ok_and(|prelude| matches!(prelude.kind, Kind::Slice | Kind::Parity));
    if tag_bytes > 0 && is_slice && head.len() >= SLICE_HEADER_LEN {
        let (fields, tag) = head.split_at(SLICE_HEADER_LEN);
        // Less where the network has cut it.
        assert!(tag.len() <= tag_bytes && tag.iter().all(|byte| *byte == sum(fields)), "{fields:?} have {tag:?}");
    }
}

fn sum(fields: &[u8]) -> u8 {
    fields.iter().fold(0x5a, |sum: u8, byte| sum.rotate_left(3) ^ byte)
}
