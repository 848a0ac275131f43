//! A stream that is not sent, in the fields of what opens one.

use super::{Delivery, Open, SLICE_BYTES_MIN, TIME_UNKNOWN};
use crate::frame::{FrameFormat, Presentation};

/// What a stream is, in the fields of an [`Open`] that say so; the others say nothing.
pub(crate) fn open_of(format: &FrameFormat, delivery: Delivery, presentation: &Presentation, tail_max: u16) -> Open {
    let (rate, aspect) = (presentation.rate, presentation.aspect);
    Open {
        stream: 0,
        epoch: 0,
        flags: 0,
        slice_bytes: SLICE_BYTES_MIN as u16,
        cookie: 0,
        first_frame: 0,
        width: format.width(),
        height: format.height(),
        stride: format.stride(),
        // The format was checked: a frame fits 32 bits.
        frame_bytes: format.frame_bytes() as u32,
        rate_num: rate.map_or(0, |rate| rate.num()),
        rate_den: rate.map_or(0, |rate| rate.den()),
        aspect_num: aspect.map_or(0, |aspect| aspect.num()),
        aspect_den: aspect.map_or(0, |aspect| aspect.den()),
        scan: presentation.scan as u8,
        chroma: presentation.chroma as u8,
        range: presentation.range as u8,
        paced: 1,
        deadline_us: 0,
        pixel: format.pixel().code(),
        tail_max,
        parity_max: 0,
        delivery: delivery as u8,
        reserved: 0,
        clock_id: 0,
        sender_ns: 0,
        skipped: 0,
        no_credit: 0,
        utc_ns: TIME_UNKNOWN,
        utc_error_us: u32::MAX,
    }
}
