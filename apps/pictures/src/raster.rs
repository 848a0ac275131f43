//! Samples that lie side by side in rows, and how so many of them become fewer.

/// Rows that are looked at for one row of a picture, at most: of more, so many are taken evenly.
const ROWS_MAX: usize = 16;
/// Columns that are summed for one pixel, at most: the sum of 16 bits of so many, in twice so many rows, fits 32.
const COLUMNS_MAX: usize = 1024;

/// How a row's bytes become samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Samples {
    /// One byte each.
    Bytes,
    /// Two bytes each, little-endian.
    Words,
    /// Three of ten bits in four bytes.
    V210,
}

impl Samples {
    /// Bytes of a sample; `None` where three share four.
    pub(crate) const fn bytes(self) -> Option<usize> {
        match self {
            Self::Bytes => Some(1),
            Self::Words => Some(2),
            Self::V210 => None,
        }
    }
}

/// What a sample's value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Black at 0, white where all bits are ones; or what the limits say.
    Light,
    /// Brightness of a YUV picture.
    Luma,
    /// A colour difference of a YUV picture.
    Chroma,
}

/// One value of a picture's pixels: where its samples are within a pixel of the raster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    /// Which of the picture's values.
    pub(crate) target: usize,
    pub(crate) sample: usize,
    /// Another sample of the same, as Bayer has two greens.
    pub(crate) second: Option<usize>,
}

impl Channel {
    pub(crate) const fn new(target: usize, sample: usize) -> Self {
        Self { target, sample, second: None }
    }
}

/// Pixels in rows, each of some samples; of a plane, or of a part of what is in one.
#[derive(Debug, Clone)]
pub(crate) struct Raster {
    /// Where its first row begins in the frame, in bytes.
    pub(crate) begin: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Bytes from row to row.
    pub(crate) stride: usize,
    /// Bytes of a row that are read.
    pub(crate) row_bytes: usize,
    pub(crate) samples: Samples,
    pub(crate) meaning: Meaning,
    /// Bits that a sample's full scale has.
    pub(crate) bits: u32,
    /// Samples from a pixel to the next.
    pub(crate) step: usize,
    pub(crate) channels: Vec<Channel>,
}

/// What a sample becomes: `scale` times it, and `offset`, as far as eight bits go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    pub(crate) scale: f32,
    pub(crate) offset: f32,
}

impl Level {
    /// The nearest of 0 to 255; 0 for what is no number.
    pub(crate) fn of(self, value: f32) -> u8 {
        // A cast stops at the ends of the range.
        (value * self.scale + self.offset + 0.5) as u8
    }
}

/// Which of `from` pixels the `nth` of `to` stands for: at least one.
pub(crate) fn span(nth: usize, to: usize, from: usize) -> (usize, usize) {
    let first = nth * from / to;
    (first, ((nth + 1) * from / to).max(first + 1))
}

/// The rows to look at of those from `first` to `end`.
pub(crate) fn rows(first: usize, end: usize) -> impl ExactSizeIterator<Item = usize> {
    let (all, looked_at) = (end - first, (end - first).min(ROWS_MAX));
    (0..looked_at).map(move |nth| first + nth * all / looked_at)
}

/// The spans of a row's pixels.
pub(crate) fn columns(to: usize, from: usize, spans: &mut Vec<(usize, usize)>) {
    spans.clear();
    spans.extend((0..to).map(|nth| {
        let (left, right) = span(nth, to, from);
        (left, right.min(left + COLUMNS_MAX))
    }));
}

/// Adds a row's samples to `sums`, of which there are as many.
pub(crate) fn add_row(row: &[u8], samples: Samples, sums: &mut [u32]) {
    match samples {
        Samples::Bytes => {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += u32::from(*value);
            }
        }
        Samples::Words => {
            for (sum, value) in sums.iter_mut().zip(row.as_chunks::<2>().0) {
                *sum += u32::from(u16::from_le_bytes(*value));
            }
        }
        Samples::V210 => {
            for (sums, word) in sums.as_chunks_mut::<3>().0.iter_mut().zip(row.as_chunks::<4>().0) {
                let word = u32::from_le_bytes(*word);
                sums[0] += word & 0x3ff;
                sums[1] += (word >> 10) & 0x3ff;
                sums[2] += (word >> 20) & 0x3ff;
            }
        }
    }
}

fn mean(one: u16, two: u16) -> u16 {
    (u32::from(one) + u32::from(two)).div_ceil(2) as u16
}

/// The samples of a row.
pub(crate) fn read_row(row: &[u8], samples: Samples, words: &mut Vec<u16>) {
    words.clear();
    match samples {
        Samples::Bytes => words.extend(row.iter().map(|byte| u16::from(*byte))),
        Samples::Words => words.extend(row.as_chunks::<2>().0.iter().map(|word| u16::from_le_bytes(*word))),
        Samples::V210 => words.extend(row.as_chunks::<4>().0.iter().flat_map(|word| {
            let word = u32::from_le_bytes(*word);
            [word, word >> 10, word >> 20].map(|sample| (sample & 0x3ff) as u16)
        })),
    }
}

impl Raster {
    /// Samples of a row that is read.
    fn row_samples(&self) -> usize {
        self.samples.bytes().map_or(self.row_bytes / 4 * 3, |bytes| self.row_bytes / bytes)
    }

    /// Fills its values of `target`, a picture of `size` pixels of `values` bytes each. `sums` and `spans` are memory to use again.
    pub(crate) fn shrink(
        &self,
        frame: &[u8],
        level: Level,
        size: (usize, usize),
        values: usize,
        target: &mut [u8],
        memory: &mut Memory,
    ) {
        if self.width <= size.0 && self.height <= size.1 {
            self.show_each(frame, level, size, values, target, memory);
            return;
        }
        let Memory { sums, spans, .. } = memory;
        columns(size.0, self.width, spans);
        sums.resize(self.row_samples(), 0);
        for (nth, target) in target.chunks_exact_mut(size.0 * values).enumerate() {
            let (first, end) = span(nth, size.1, self.height);
            sums.fill(0);
            let rows = rows(first, end);
            let count = rows.len();
            for row in rows {
                add_row(&frame[self.begin + row * self.stride..][..self.row_bytes], self.samples, sums);
            }
            self.put_row(sums, spans, count, level, values, target);
        }
    }

    /// As [`Raster::shrink`], where each pixel of the picture stands for one of the raster: what a sample becomes is looked up.
    fn show_each(
        &self,
        frame: &[u8],
        level: Level,
        size: (usize, usize),
        values: usize,
        target: &mut [u8],
        memory: &mut Memory,
    ) {
        let Memory { spans, words: [words, ..], shades, .. } = memory;
        columns(size.0, self.width, spans);
        // Of every word there can be, so that none has to be checked.
        shades.clear();
        shades.extend((0..=u16::MAX).map(|value| level.of(f32::from(value))));
        let Ok(shades) = <&[u8; 1 << 16]>::try_from(&shades[..]) else { return };
        let shade = |sample: u16| shades[usize::from(sample)];
        for (nth, target) in target.chunks_exact_mut(size.0 * values).enumerate() {
            let (row, _) = span(nth, size.1, self.height);
            read_row(&frame[self.begin + row * self.stride..][..self.row_bytes], self.samples, words);
            for channel in &self.channels {
                let target = target[channel.target..].iter_mut().step_by(values);
                let first = &words[channel.sample..];
                let is_each = self.width == size.0;
                match channel.second.map(|second| &words[second..]) {
                    None if is_each => {
                        for (value, sample) in target.zip(first.iter().step_by(self.step)) {
                            *value = shade(*sample);
                        }
                    }
                    Some(second) if is_each => {
                        let both = first.iter().step_by(self.step).zip(second.iter().step_by(self.step));
                        for (value, (one, two)) in target.zip(both) {
                            *value = shade(mean(*one, *two));
                        }
                    }
                    None => {
                        for (value, (left, _)) in target.zip(&*spans) {
                            *value = shade(first[left * self.step]);
                        }
                    }
                    Some(second) => {
                        for (value, (left, _)) in target.zip(&*spans) {
                            *value = shade(mean(first[left * self.step], second[left * self.step]));
                        }
                    }
                }
            }
        }
    }

    /// Puts a row of means where they belong.
    pub(crate) fn put_row(
        &self,
        sums: &[u32],
        spans: &[(usize, usize)],
        rows: usize,
        level: Level,
        values: usize,
        target: &mut [u8],
    ) {
        match self.channels[..] {
            [one] => self.put(sums, spans, rows, level, [one], values, target),
            [one, two] => self.put(sums, spans, rows, level, [one, two], values, target),
            [one, two, three] => self.put(sums, spans, rows, level, [one, two, three], values, target),
            _ => unreachable!("a raster has one to three channels"),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the inner loop, once for each number of channels")]
    fn put<const CHANNELS: usize>(
        &self,
        sums: &[u32],
        spans: &[(usize, usize)],
        rows: usize,
        level: Level,
        channels: [Channel; CHANNELS],
        values: usize,
        target: &mut [u8],
    ) {
        for (&(left, right), pixel) in spans.iter().zip(target.chunks_exact_mut(values)) {
            let scale = level.scale / (rows * (right - left)) as f32;
            for channel in channels {
                let total = |sample: usize| {
                    let (mut at, mut total) = (left * self.step + sample, 0);
                    for _ in left..right {
                        total += sums[at];
                        at += self.step;
                    }
                    total
                };
                let mean = match channel.second {
                    None => total(channel.sample) as f32,
                    Some(second) => (total(channel.sample) + total(second)) as f32 * 0.5,
                };
                pixel[channel.target] = Level { scale, offset: level.offset }.of(mean);
            }
        }
    }
}

/// Memory that is used again for the next picture.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) sums: Vec<u32>,
    pub(crate) spans: Vec<(usize, usize)>,
    /// Rows of Bayer, and the one that is made of them.
    pub(crate) words: [Vec<u16>; 4],
    /// What each value of a sample becomes.
    pub(crate) shades: Vec<u8>,
    /// Sums of depths, and how many there are.
    pub(crate) depths: Vec<(f64, u32)>,
}
