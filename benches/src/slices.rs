//! Slices as a reassembler sees them, without a network.

use framewire_transport::wire::{Cut, SliceHeader};

use crate::Picture;

/// The headers of a picture's slices, in order.
pub fn headers(picture: &Picture, slice_bytes: u16) -> Vec<SliceHeader> {
    let frame_bytes = picture.wire_bytes();
    let cut = Cut::new(frame_bytes, slice_bytes.into());
    let header = |index| SliceHeader {
        stream: 1,
        epoch: 1,
        flags: 0,
        tail: 0,
        sequence: 0,
        frame: 0,
        captured_ns: 0,
        frame_bytes,
        index,
        sent_after_us: 0,
    };
    (0..cut.slices()).map(header).collect()
}

/// In which order the slices of a frame arrive.
#[derive(Debug, Clone, Copy)]
pub enum Arrivals {
    /// As they were sent.
    InOrder,
    /// Each group of four turned round: what several network paths do.
    Reordered,
    /// One in a hundred is lost and comes after all others, as a repair.
    OnePercentLost,
}

impl Arrivals {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::InOrder, Self::Reordered, Self::OnePercentLost];

    /// Its name in the reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InOrder => "in-order",
            Self::Reordered => "reordered",
            Self::OnePercentLost => "1-percent-lost",
        }
    }

    /// Fills `order` with the slices of frame `number`, of which there are `count`, in the order of their arrival.
    pub fn fill(self, number: u64, count: usize, order: &mut Vec<usize>) {
        order.clear();
        match self {
            Self::InOrder => order.extend(0..count),
            Self::Reordered => {
                order.extend(0..count);
                order.chunks_mut(4).for_each(<[usize]>::reverse);
            }
            Self::OnePercentLost => {
                // Counted over the whole stream, so that frames of few slices lose their share too.
                let first = number as usize * count;
                let is_lost = |index: &usize| (first + index) % 100 == 50;
                order.extend((0..count).filter(|index| !is_lost(index)));
                order.extend((0..count).filter(is_lost));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slice_arrives_once_in_every_order() {
        let mut order = Vec::new();
        for arrivals in Arrivals::ALL {
            for (number, count) in [(0, 32), (1, 32), (7, 1_461)] {
                arrivals.fill(number, count, &mut order);
                order.sort_unstable();
                assert_eq!(order, (0..count).collect::<Vec<_>>());
            }
        }
    }
}
