//! What the bytes of a frame mean.

use std::fmt;

use thiserror::Error;

use super::pixel_format::{PixelFormat, PlaneRule};

/// Why a frame format was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The name is that of none of [`PixelFormat::ALL`].
    #[error("unknown pixel format '{text}'; {}'framewire formats' lists all", hint(nearest))]
    UnknownPixelFormat {
        /// What was written, its first 40 characters.
        text: String,
        /// The known name most like it, if one is: the bytes may lie otherwise all the same.
        nearest: Option<&'static str>,
    },
    /// A side is zero.
    #[error("a frame of {width}x{height} has no pixels; both sides must be at least 1")]
    Empty {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A row is longer than the distance between rows.
    #[error("a stride of {stride} bytes does not fit rows of {row} bytes of {pixel}; use at least {row}")]
    Stride {
        /// The pixel format.
        pixel: PixelFormat,
        /// Bytes from row to row.
        stride: u32,
        /// Bytes of one packed row.
        row: u64,
    },
    /// Pixels of the format come in groups, and a row has whole ones.
    #[error("{pixel} has its pixels in groups of {group}, and a width of {width} is no multiple of that; use {}", u64::from(*width).next_multiple_of(u64::from(*group)))]
    Width {
        /// The pixel format.
        pixel: PixelFormat,
        /// Pixels of a group.
        group: u32,
        /// Width in pixels.
        width: u32,
    },
    /// Rows of the format begin at multiples of some bytes.
    #[error("rows of {pixel} are a multiple of {step} bytes apart, and {stride} is none; use {}", u64::from(*stride).next_multiple_of(u64::from(*step)))]
    StrideStep {
        /// The pixel format.
        pixel: PixelFormat,
        /// What a stride is a multiple of, bytes.
        step: u32,
        /// Bytes from row to row.
        stride: u32,
    },
    /// Bytes that are no picture have no rows.
    #[error("a frame of {width}x{height} bytes has no rows; its length is its width: use {}x1", u64::from(*width) * u64::from(*height))]
    Rows {
        /// Bytes of a row that were asked for.
        width: u32,
        /// Rows that were asked for.
        height: u32,
    },
    /// The frame is larger than 4 GiB - 1, which the wire cannot say.
    #[error("a frame of {bytes} bytes is larger than the 4,294,967,295 that fit a frame; use a smaller size")]
    TooLarge {
        /// What the frame would take.
        bytes: u64,
    },
}

/// What an unknown name may have been meant for. No more than that: one letter parts formats whose bytes lie otherwise.
fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("did you mean {nearest}? Its bytes must lie so; "))
}

/// Geometry of every frame of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameFormat {
    pixel: PixelFormat,
    width: u32,
    height: u32,
    stride: u32,
}

impl FrameFormat {
    /// A format whose rows follow each other without a gap, or, where the format has its rows begin at multiples of some bytes
    /// (v210: 128), with no larger one than that. One of [`PixelFormat::Bytes`] is as wide as its longest frame has bytes, and 1 high.
    ///
    /// # Errors
    /// A side of zero, a width that is no multiple of what the format groups (yuyv, uyvy, v210: 2), or more than 4 GiB - 1 bytes.
    pub fn new(pixel: PixelFormat, width: u32, height: u32) -> Result<Self, FormatError> {
        let row = row_bytes(pixel.rule(0), width).next_multiple_of(pixel.whole().1.into());
        let stride =
            u32::try_from(row).map_err(|_| FormatError::TooLarge { bytes: row.saturating_mul(height.into()) })?;
        Self::with_stride(pixel, width, height, stride)
    }

    /// A format whose rows are `stride` bytes apart in the first plane (chroma planes: `stride` divided like their width, and
    /// rounded up like it).
    ///
    /// # Errors
    /// As [`FrameFormat::new`], and a stride shorter than a row or at odds with the format.
    pub fn with_stride(pixel: PixelFormat, width: u32, height: u32, stride: u32) -> Result<Self, FormatError> {
        if width == 0 || height == 0 {
            return Err(FormatError::Empty { width, height });
        }
        let row = row_bytes(pixel.rule(0), width);
        if u64::from(stride) < row {
            return Err(FormatError::Stride { pixel, stride, row });
        }
        let (group, step) = pixel.whole();
        if !width.is_multiple_of(group) {
            return Err(FormatError::Width { pixel, group, width });
        }
        if !stride.is_multiple_of(step) {
            return Err(FormatError::StrideStep { pixel, step, stride });
        }
        if pixel == PixelFormat::Bytes && (height, stride) != (1, width) {
            return Err(FormatError::Rows { width, height });
        }
        let format = Self { pixel, width, height, stride };
        // One plane fits 64 bits; three may not, with the sizes that a peer can write into an opening.
        let bytes = (0..pixel.planes()).map(|plane| format.plane_bytes_wide(plane)).fold(0, u64::saturating_add);
        if bytes > u64::from(u32::MAX) {
            return Err(FormatError::TooLarge { bytes });
        }
        Ok(format)
    }

    /// How pixels are laid out.
    pub const fn pixel(&self) -> PixelFormat {
        self.pixel
    }

    /// Width in pixels.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Bytes from one row to the next in the first plane.
    pub const fn stride(&self) -> u32 {
        self.stride
    }

    /// Bytes of a whole frame, all planes; where frames differ ([`FrameFormat::is_variable`]), of the longest one.
    pub fn frame_bytes(&self) -> usize {
        (0..self.pixel.planes()).map(|plane| self.plane_bytes(plane)).sum()
    }

    /// Whether frames differ in length: those of [`PixelFormat::Bytes`], of 1 byte up to [`FrameFormat::frame_bytes`].
    pub const fn is_variable(&self) -> bool {
        matches!(self.pixel, PixelFormat::Bytes)
    }

    /// The format of one frame of so many bytes, where frames differ; else the same.
    pub(super) fn of_length(&self, bytes: usize) -> Self {
        match u32::try_from(bytes) {
            Ok(bytes) if self.is_variable() => Self { width: bytes, stride: bytes, ..*self },
            _ => *self,
        }
    }

    /// Whether a frame may have so many bytes.
    pub fn holds(&self, bytes: usize) -> bool {
        if self.is_variable() { (1..=self.frame_bytes()).contains(&bytes) } else { bytes == self.frame_bytes() }
    }

    /// Width and height of a plane in its own pixels; plane 0 is the first. Of a plane that is not there, from
    /// [`PixelFormat::planes`] on, the answer means nothing.
    pub fn plane_size(&self, plane: usize) -> (u32, u32) {
        let rule = self.pixel.rule(plane);
        (self.width.div_ceil(rule.across), self.height.div_ceil(rule.down))
    }

    /// Bytes from row to row in a plane. Of a plane that is not there, from
    /// [`PixelFormat::planes`] on, the answer means nothing.
    pub fn plane_stride(&self, plane: usize) -> u32 {
        if plane == 0 {
            return self.stride;
        }
        let (first, rule) = (self.pixel.rule(0), self.pixel.rule(plane));
        // As if the picture were so wide that its first plane fills its stride.
        let pixels = (8 * u64::from(self.stride) * u64::from(first.pixels)).div_ceil(first.bits.into());
        let bytes = row_bytes(rule, pixels.div_ceil(rule.across.into()));
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Bytes of a plane. Of a plane that is not there, from
    /// [`PixelFormat::planes`] on, the answer means nothing.
    pub fn plane_bytes(&self, plane: usize) -> usize {
        // Fits: the constructor has checked that the sum of all planes fits 32 bits.
        self.plane_bytes_wide(plane) as usize
    }

    fn plane_bytes_wide(&self, plane: usize) -> u64 {
        u64::from(self.plane_stride(plane)) * u64::from(self.plane_size(plane).1)
    }
}

/// Bytes of `width` pixels of a plane side by side.
fn row_bytes(rule: PlaneRule, width: impl Into<u64>) -> u64 {
    width.into().div_ceil(rule.pixels.into()).saturating_mul(rule.bits.into()).div_ceil(8)
}

impl fmt::Display for FrameFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {}", self.width, self.height, self.pixel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_bytes_follow_the_chroma_layout() {
        let bytes = |pixel, width, height| FrameFormat::new(pixel, width, height).unwrap().frame_bytes();
        assert_eq!(bytes(PixelFormat::Gray8, 1920, 1080), 2_073_600);
        assert_eq!(bytes(PixelFormat::Bgr24, 641, 3), 641 * 3 * 3);
        assert_eq!(bytes(PixelFormat::Yuv420p, 176, 144), 38_016);
        assert_eq!(bytes(PixelFormat::Yuv422p, 4, 3), 24);
        assert_eq!(bytes(PixelFormat::Yuv444p, 3840, 2160), 24_883_200);
    }

    #[test]
    fn chroma_of_an_odd_side_is_rounded_up() {
        let planes = |pixel, width, height| {
            let format = FrameFormat::new(pixel, width, height).unwrap();
            (format.plane_size(1), format.plane_stride(1), format.frame_bytes())
        };
        assert_eq!(planes(PixelFormat::Yuv420p, 63, 47), ((32, 24), 32, 63 * 47 + 2 * 32 * 24));
        assert_eq!(planes(PixelFormat::Yuv420p, 1, 1), ((1, 1), 1, 3));
        assert_eq!(planes(PixelFormat::Yuv422p, 63, 47), ((32, 47), 32, 63 * 47 + 2 * 32 * 47));
        assert_eq!(planes(PixelFormat::Yuv422p, 64, 47), ((32, 47), 32, 64 * 47 + 2 * 32 * 47));
        assert_eq!(planes(PixelFormat::Yuv444p, 63, 47), ((63, 47), 63, 3 * 63 * 47));
        let odd_stride = FrameFormat::with_stride(PixelFormat::Yuv420p, 6, 3, 7).unwrap();
        assert_eq!((odd_stride.plane_stride(1), odd_stride.frame_bytes()), (4, 7 * 3 + 2 * 4 * 2));
    }

    #[test]
    fn a_stride_widens_every_plane_alike() {
        let format = FrameFormat::with_stride(PixelFormat::Yuv420p, 6, 4, 8).unwrap();
        assert_eq!((format.plane_bytes(0), format.plane_bytes(1), format.plane_bytes(2)), (32, 8, 8));
        assert_eq!(format.frame_bytes(), 48);
    }

    #[test]
    fn the_largest_sizes_that_can_be_written_are_too_large_and_do_not_wrap_around() {
        for pixel in [PixelFormat::Gray8, PixelFormat::Bgr24, PixelFormat::Yuv444p] {
            let too_large = |format| matches!(format, Err(FormatError::TooLarge { .. }));
            assert!(too_large(FrameFormat::new(pixel, u32::MAX, u32::MAX)));
            assert!(too_large(FrameFormat::with_stride(pixel, 1, u32::MAX, u32::MAX)));
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_with_the_remedy() {
        assert!(matches!(FrameFormat::new(PixelFormat::Gray8, 0, 9), Err(FormatError::Empty { .. })));
        assert!(matches!(FrameFormat::new(PixelFormat::Bgr24, 65_536, 65_536), Err(FormatError::TooLarge { .. })));
        assert!(matches!(FrameFormat::new(PixelFormat::Bgr24, u32::MAX, 1), Err(FormatError::TooLarge { .. })));
        assert!(matches!(
            FrameFormat::with_stride(PixelFormat::Bgr24, 10, 10, 29),
            Err(FormatError::Stride { row: 30, .. })
        ));
        assert!(FrameFormat::with_stride(PixelFormat::Yuv420p, 6, 4, 5).is_err());
    }

    #[test]
    fn rows_have_the_bytes_that_their_samples_take() {
        let format = |pixel, width, height| FrameFormat::new(pixel, width, height).unwrap();
        let row = |pixel, width| format(pixel, width, 1).stride();
        assert_eq!(row(PixelFormat::Gray12, 5), 10);
        assert_eq!(row(PixelFormat::Rgba32, 5), 20);
        assert_eq!(row(PixelFormat::Depth32f, 5), 20);
        assert_eq!((row(PixelFormat::Mono10p, 4), row(PixelFormat::Mono10p, 5)), (5, 7));
        assert_eq!((row(PixelFormat::BayerGrbg12p, 2), row(PixelFormat::BayerGrbg12p, 3)), (3, 5));
        assert_eq!(
            (row(PixelFormat::V210, 2), row(PixelFormat::V210, 48), row(PixelFormat::V210, 50)),
            (128, 128, 256)
        );
        assert_eq!(format(PixelFormat::Uyvy, 6, 3).frame_bytes(), 36);
        assert_eq!(format(PixelFormat::Nv12, 5, 3).frame_bytes(), 5 * 3 + 6 * 2);
        assert_eq!(format(PixelFormat::P010, 5, 3).frame_bytes(), 2 * (5 * 3 + 6 * 2));
        assert_eq!(format(PixelFormat::Yuv422p10, 5, 3).frame_bytes(), 2 * (5 * 3 + 2 * 3 * 3));
        let wide = FrameFormat::with_stride(PixelFormat::Nv12, 6, 4, 16).unwrap();
        assert_eq!((wide.plane_stride(1), wide.plane_size(1), wide.frame_bytes()), (16, (3, 2), 96));
    }

    #[test]
    fn rows_that_are_not_whole_are_refused_with_the_next_that_is() {
        let refused = |format: Result<FrameFormat, FormatError>| format.unwrap_err().to_string();
        for pixel in [PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::V210] {
            assert!(refused(FrameFormat::new(pixel, 5, 2)).ends_with("a width of 5 is no multiple of that; use 6"));
        }
        assert!(refused(FrameFormat::with_stride(PixelFormat::V210, 48, 2, 200)).ends_with("use 256"));
        assert!(refused(FrameFormat::with_stride(PixelFormat::Gray16, 4, 2, 9)).ends_with("use 10"));
        assert!(refused(FrameFormat::new(PixelFormat::Bytes, 100, 3)).ends_with("use 300x1"));
    }

    #[test]
    fn frames_of_bytes_have_up_to_the_agreed_length() {
        let bytes = FrameFormat::new(PixelFormat::Bytes, 100, 1).unwrap();
        let holds = |format: FrameFormat, bytes| format.holds(bytes);
        assert_eq!([0, 1, 100, 101].map(|length| holds(bytes, length)), [false, true, true, false]);
        let gray = FrameFormat::new(PixelFormat::Gray8, 10, 10).unwrap();
        assert_eq!([99, 100, 101].map(|length| holds(gray, length)), [false, true, false]);
    }
}
