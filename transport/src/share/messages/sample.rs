//! One message of each kind, in the order of their numbers.

use super::*;
use crate::frame::{FrameFormat, FrameRate, PixelFormat, Presentation};
use crate::share::lease::Overflow;
use crate::wire::{Delivery, open_of};

pub(crate) fn name(text: &str) -> Name<'_> {
    Name::new(text).unwrap()
}

pub(crate) fn described(name_of: &str) -> Described<'_> {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    let rate = FrameRate::new(60, 1).unwrap();
    let open = open_of(&format, Delivery::Latest, &Presentation::from(rate), 4104);
    Described { name: name(name_of), open, path: 1, readers: 3 }
}

pub(crate) const SHAPE: PoolShape = PoolShape { slots: 33, slot_bytes: 307_200, stride: 307_200, tail_bytes: 4104 };
pub(crate) const WANTED: Wanted = Wanted { overflow: Overflow::Wait, words: 8, hold: 2 };

pub(crate) fn to_hub(longest: &str) -> [ToHub<'_>; 7] {
    [
        ToHub::List { watch: true },
        ToHub::Subscribe { wanted: WANTED, stream: name(longest), program: name(longest) },
        ToHub::Enter { open: described("").open, nonce: 1, network: 2 },
        ToHub::Mapped,
        ToHub::Told,
        ToHub::Close,
        ToHub::Leave,
    ]
}

pub(crate) fn from_hub(longest: &str) -> [FromHub<'_>; 9] {
    [
        FromHub::Stream(described(longest)),
        FromHub::Listed { streams: 7 },
        FromHub::Gone { name: name(longest) },
        FromHub::Subscribed { stream: described(longest), shape: SHAPE, wanted: WANTED, now_ns: 9 },
        FromHub::Refused { refusal: Refusal::Slots, number: 1, limit: 24 },
        FromHub::Preparing,
        FromHub::Entered { shape: SHAPE, clock_id: 5, now_ns: 9 },
        FromHub::Closed(ClosedCounts { delivered: 1, skipped: 2, settled: 3 }),
        FromHub::Admitted,
    ]
}
