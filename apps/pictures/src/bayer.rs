//! Bayer at its full size: each pixel has one colour, and the mean of its neighbours for the two others.

use framewire_transport::frame::BayerOrder;

use crate::raster::{Level, Memory, Raster, columns, read_row, rows, span};

/// Fills `target` with an RGB picture of `size` pixels. `plane` has a width and a height of at least two.
pub(crate) fn demosaic(
    plane: &Raster,
    order: BayerOrder,
    frame: &[u8],
    level: Level,
    size: (usize, usize),
    target: &mut [u8],
    memory: &mut Memory,
) {
    let Memory { sums, spans, words: [above, here, below, made], .. } = memory;
    // What a made row is read as.
    let made_row = Raster { step: 3, ..plane.clone() };
    columns(size.0, plane.width, spans);
    sums.resize(plane.width * 3, 0);
    made.resize(plane.width * 3, 0);
    let row_of = |row: usize, words: &mut Vec<u16>| {
        read_row(&frame[plane.begin + row * plane.stride..][..plane.row_bytes], plane.samples, words);
    };
    for (nth, target) in target.chunks_exact_mut(size.0 * 3).enumerate() {
        let (first, end) = span(nth, size.1, plane.height);
        sums.fill(0);
        let rows = rows(first, end);
        let count = rows.len();
        for row in rows {
            // At an edge the row on the other side stands for the one that is not there: it has the same colours.
            let next = if row + 1 < plane.height { row + 1 } else { row - 1 };
            row_of(row.checked_sub(1).unwrap_or(1), above);
            row_of(row, here);
            row_of(next, below);
            make_row(&colours(order, row), [above, here, below], made);
            for (sum, value) in sums.iter_mut().zip(&*made) {
                *sum += u32::from(*value);
            }
        }
        made_row.put_row(sums, spans, count, level, 3, target);
    }
}

/// Which colours a row's own pixels have, even and odd: 0 red, 1 green, 2 blue.
fn colours(order: BayerOrder, row: usize) -> [usize; 2] {
    let (even, odd) = match order {
        BayerOrder::Rggb => ([0, 1], [1, 2]),
        BayerOrder::Grbg => ([1, 0], [2, 1]),
        BayerOrder::Gbrg => ([1, 2], [0, 1]),
        BayerOrder::Bggr => ([2, 1], [1, 0]),
    };
    if row.is_multiple_of(2) { even } else { odd }
}

fn make_row(own: &[usize; 2], [above, here, below]: [&Vec<u16>; 3], made: &mut [u16]) {
    let mean = |values: &[u16]| {
        let sum: u32 = values.iter().map(|value| u32::from(*value)).sum();
        ((sum + values.len() as u32 / 2) / values.len() as u32) as u16
    };
    for (at, pixel) in made.chunks_exact_mut(3).enumerate() {
        let (left, right) = (at.checked_sub(1).unwrap_or(1), if at + 1 < here.len() { at + 1 } else { at - 1 });
        let colour = own[at % 2];
        pixel[colour] = here[at];
        if colour == 1 {
            // Beside it is the row's other colour, above and below the third.
            let beside = own[(at + 1) % 2];
            pixel[beside] = mean(&[here[left], here[right]]);
            pixel[2 - beside] = mean(&[above[at], below[at]]);
        } else {
            pixel[1] = mean(&[here[left], here[right], above[at], below[at]]);
            pixel[2 - colour] = mean(&[above[left], above[right], below[left], below[right]]);
        }
    }
}
