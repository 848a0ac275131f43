//! What the bytes of a frame mean.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Pixels of a plane as they lie in memory: `pixels` of them side by side in `bytes` bytes. Across and down the picture the
/// plane has one for each `across` × `down` pixels of the picture.
#[derive(Debug, Clone, Copy)]
struct PlaneRule {
    bytes: u32,
    pixels: u32,
    across: u32,
    down: u32,
}

/// A format is one row: its name here, its number on the wire, its name for people, its planes.
macro_rules! pixel_formats {
    ($($(#[$doc:meta])* $format:ident = $number:literal, $name:literal,
       [$($bytes:literal bytes / $pixels:literal px, 1 in $across:literal x $down:literal);+];)*) => {
        /// How pixels are laid out in memory. Planar formats store all of Y, then all of U, then all of V.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum PixelFormat {
            $($(#[$doc])* $format = $number,)*
        }

        impl PixelFormat {
            /// Every format, in the order of their numbers on the wire.
            pub const ALL: [Self; [$($number),*].len()] = [$(Self::$format),*];

            /// The name used on command lines and in messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$format => $name,)*
                }
            }

            const fn rules(self) -> &'static [PlaneRule] {
                match self {
                    $(Self::$format => const {
                        &[$(PlaneRule { bytes: $bytes, pixels: $pixels, across: $across, down: $down }),+]
                    },)*
                }
            }
        }
    };
}

pixel_formats! {
    /// One byte a pixel, luma only.
    Gray8 = 1, "gray8", [1 bytes / 1 px, 1 in 1 x 1];
    /// Three bytes a pixel: blue, green, red. What OpenCV calls `CV_8UC3`.
    Bgr24 = 2, "bgr24", [3 bytes / 1 px, 1 in 1 x 1];
    /// Planar 4:2:0: chroma has half the width and half the height, rounded up.
    Yuv420p = 3, "yuv420p", [1 bytes / 1 px, 1 in 1 x 1; 1 bytes / 1 px, 1 in 2 x 2; 1 bytes / 1 px, 1 in 2 x 2];
    /// Planar 4:2:2: chroma has half the width, rounded up.
    Yuv422p = 4, "yuv422p", [1 bytes / 1 px, 1 in 1 x 1; 1 bytes / 1 px, 1 in 2 x 1; 1 bytes / 1 px, 1 in 2 x 1];
    /// Planar 4:4:4: chroma has the full size.
    Yuv444p = 5, "yuv444p", [1 bytes / 1 px, 1 in 1 x 1; 1 bytes / 1 px, 1 in 1 x 1; 1 bytes / 1 px, 1 in 1 x 1];
}

impl PixelFormat {
    /// The format with this number on the wire.
    pub fn from_wire(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|format| *format as u8 == number)
    }

    /// Bytes from one pixel to the next in the first plane.
    pub const fn bytes_per_pixel(self) -> u32 {
        self.rules()[0].bytes
    }

    /// How many planes a frame has: one, or three for the YUV formats.
    pub const fn planes(self) -> usize {
        self.rules().len()
    }

    /// By how much chroma is smaller than luma: (horizontally, vertically).
    pub const fn chroma_divisors(self) -> (u32, u32) {
        let rules = self.rules();
        let last = rules[rules.len() - 1];
        (last.across, last.down)
    }

    /// A plane there is not has the shape of the last one.
    fn rule(self, plane: usize) -> PlaneRule {
        let rules = self.rules();
        rules[plane.min(rules.len() - 1)]
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PixelFormat {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| FormatError::UnknownPixelFormat(text.chars().take(40).collect()))
    }
}

/// Why a frame format was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The name is none of [`PixelFormat::ALL`].
    #[error("unknown pixel format '{0}'; use {names}", names = names())]
    UnknownPixelFormat(String),
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
    /// The frame is larger than 4 GiB - 1, which the wire cannot say.
    #[error("a frame of {bytes} bytes is larger than the 4,294,967,295 that fit a frame; use a smaller size")]
    TooLarge {
        /// What the frame would take.
        bytes: u64,
    },
}

/// The names of all formats, as they are told to people.
fn names() -> String {
    let names = PixelFormat::ALL.map(PixelFormat::name);
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    format!("{} or {last}", others.join(", "))
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
    /// A packed format: rows follow each other without a gap.
    ///
    /// # Errors
    /// A side of zero, or more than 4 GiB - 1 bytes.
    pub fn new(pixel: PixelFormat, width: u32, height: u32) -> Result<Self, FormatError> {
        let row = row_bytes(pixel.rule(0), width);
        let stride =
            u32::try_from(row).map_err(|_| FormatError::TooLarge { bytes: row.saturating_mul(height.into()) })?;
        Self::with_stride(pixel, width, height, stride)
    }

    /// A format whose rows are `stride` bytes apart in the first plane (chroma planes: `stride` divided like their width, and
    /// rounded up like it).
    ///
    /// # Errors
    /// As [`FrameFormat::new`], and a stride shorter than a row.
    pub fn with_stride(pixel: PixelFormat, width: u32, height: u32, stride: u32) -> Result<Self, FormatError> {
        if width == 0 || height == 0 {
            return Err(FormatError::Empty { width, height });
        }
        let row = row_bytes(pixel.rule(0), width);
        if u64::from(stride) < row {
            return Err(FormatError::Stride { pixel, stride, row });
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

    /// Bytes of a whole frame, all planes.
    pub fn frame_bytes(&self) -> usize {
        (0..self.pixel.planes()).map(|plane| self.plane_bytes(plane)).sum()
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
        let pixels = (u64::from(self.stride) * u64::from(first.pixels)).div_ceil(first.bytes.into());
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
    width.into().div_ceil(rule.pixels.into()).saturating_mul(rule.bytes.into())
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
    fn names_and_wire_numbers_read_back() {
        for format in PixelFormat::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(PixelFormat::from_wire(format as u8), Some(format));
        }
        assert_eq!(PixelFormat::from_wire(0), None);
        let error = "yuv421p".parse::<PixelFormat>().unwrap_err().to_string();
        assert_eq!(error, "unknown pixel format 'yuv421p'; use gray8, bgr24, yuv420p, yuv422p or yuv444p");
    }
}
