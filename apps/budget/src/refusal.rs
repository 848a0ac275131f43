//! What is said to a stream for which a link has no room.

use std::fmt;

use framewire_transport::{FrameFormat, PixelFormat};

use crate::ledger::Way;
use crate::link::{Link, figures, shown};

/// A link has no room for a stream: the sum, and what would fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub struct LinkFull {
    /// The interface.
    pub link: String,
    /// Towards this machine, or away from it.
    pub way: Way,
    /// What streams may take together, bits a second.
    pub capacity: u64,
    /// Which part of the link's rate that is.
    pub share: f64,
    /// The link's rate, bits a second.
    pub rate: u64,
    /// How many streams it has that way.
    pub streams: usize,
    /// What they keep, bits a second: those of lower priority might be thinned, and count with the least that is left to them.
    pub taken: u64,
    /// What this one needs, bits a second.
    pub needs: u64,
    /// Frames a second at which it would fit.
    pub fits_at: Option<f64>,
    /// Formats in which it would fit at the rate that was asked for, such as `640x480 gray8`.
    pub fits_as: Vec<String>,
    /// The lowest priority at which others would be thinned for it.
    pub fits_with_priority: Option<u8>,
}

impl LinkFull {
    /// What is left to a stream like this one, bits a second.
    pub fn left(&self) -> u64 {
        self.capacity.saturating_sub(self.taken)
    }
}

impl fmt::Display for LinkFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, streams, .. } = self;
        let (capacity, rate, percent) = (shown(self.capacity), shown(self.rate), figures(self.share * 100.0));
        let way = if self.way == Way::In { "to this server" } else { "from this server" };
        let (taken, needs, left) = (shown(self.taken), shown(self.needs), shown(self.left()));
        let (streams, have) =
            if *streams == 1 { ("1 stream".to_owned(), "has") } else { (format!("{streams} streams"), "have") };
        write!(
            f,
            "the link {link} is full: it carries {capacity} {way} ({percent} % of {rate}), {streams} {have} {taken}, and this \
             one needs {needs} where {left} are left; "
        )?;
        let mut ways = Vec::new();
        if let Some(rate) = self.fits_at {
            ways.push(format!("at up to {rate} frames/s"));
        }
        ways.extend(self.fits_as.iter().map(|format| format!("as {format}")));
        if let Some(priority) = self.fits_with_priority {
            ways.push(format!("with priority {priority}, as others are thinned then"));
        }
        if ways.is_empty() {
            return f.write_str("close another, or use another link");
        }
        write!(f, "it fits {}", ways.join(", or "))
    }
}

/// Formats of less that may be said to fit: the same picture in gray, and the half, the quarter, the eighth of its sides; the largest
/// of each kind for which `fits` says so.
pub(crate) fn smaller(format: &FrameFormat, fits: impl Fn(&FrameFormat) -> bool) -> Vec<String> {
    let (pixel, width, height) = (format.pixel(), format.width(), format.height());
    if pixel == PixelFormat::Bytes {
        return Vec::new();
    }
    let of = |pixel, by| FrameFormat::new(pixel, width / by, height / by).ok();
    let is_less = |smaller: &FrameFormat| smaller.frame_bytes() < format.frame_bytes();
    let first = |pixel, divisors: &[u32]| {
        divisors.iter().filter_map(|by| of(pixel, *by)).find(|smaller| is_less(smaller) && fits(smaller))
    };
    let in_gray = first(PixelFormat::Gray8, &[1]);
    let of_less = first(pixel, &[2, 4, 8]);
    in_gray.iter().chain(&of_less).map(ToString::to_string).collect()
}

/// What of a rate is said: rounded down, so that it does fit.
pub(crate) fn rate_said(rate: f64) -> Option<f64> {
    let said = if rate >= 10.0 { rate.floor() } else { (rate * 10.0).floor() / 10.0 };
    (said > 0.0).then_some(said)
}

/// A refusal without what would fit.
pub(crate) fn of(link: &Link, way: Way, (streams, taken): (usize, f64), needs: f64) -> LinkFull {
    LinkFull {
        link: link.name.clone(),
        way,
        capacity: link.capacity(),
        share: link.share,
        rate: link.rate,
        streams,
        taken: taken.ceil() as u64,
        needs: needs.ceil() as u64,
        fits_at: None,
        fits_as: Vec::new(),
        fits_with_priority: None,
    }
}
