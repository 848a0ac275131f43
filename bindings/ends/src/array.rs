//! Frames as arrays: which shape, strides and items the pixels of a format have, and which format an array is.

use framewire_transport::frame::PixelLayout;
use framewire_transport::{FrameFormat, PixelFormat};

use crate::error::{Class, Error};

/// What an array's items are: little-endian words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// Unsigned, one byte.
    U8,
    /// Unsigned, two bytes.
    U16,
    /// A float of four bytes.
    F32,
}

impl Item {
    /// Bytes of one.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::F32 => 4,
        }
    }

    /// What NumPy calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::F32 => "float32",
        }
    }

    /// What samples of a format are in; bytes where they do not lie in whole words.
    pub const fn of(pixel: PixelFormat) -> Self {
        match pixel.sample_bytes() {
            Some(2) => Self::U16,
            Some(4) => Self::F32,
            _ => Self::U8,
        }
    }
}

/// The most dimensions that an array of pixels has.
pub const DIMENSIONS_MAX: usize = 3;

/// Where the items of an array lie in a frame's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayLayout {
    /// What they are.
    pub item: Item,
    /// Bytes from the frame's first to the array's.
    pub offset: usize,
    dimensions: usize,
    shape: [usize; DIMENSIONS_MAX],
    strides: [usize; DIMENSIONS_MAX],
}

impl ArrayLayout {
    /// A frame of `frame_bytes` bytes as one array. `None` where its planes do not make one: they are apart, or their rows differ in length.
    ///
    /// * one sample a pixel: H×W
    /// * several: H×W×C, in the order of the format's name; two bytes a pixel for `yuyv` and `uyvy`
    /// * packed ones (`mono10p`, `v210`): H × bytes of a row
    /// * planar and semi-planar YUV as OpenCV has it: (H·3/2)×W for 4:2:0, (H·2)×W for 4:2:2; 3×H×W for 4:4:4
    /// * `bytes`: as many as the frame has
    pub fn of_frame(format: &FrameFormat, frame_bytes: usize) -> Option<Self> {
        let (pixel, item) = (format.pixel(), Item::of(format.pixel()));
        if format.is_variable() {
            return Some(Self::tight(item, 0, &[frame_bytes]));
        }
        if pixel.planes() == 1 {
            return Self::of_plane(format, 0);
        }
        let (width, height) = (format.width() as usize, format.height() as usize);
        let stride = format.stride() as usize;
        let row = width * item.bytes();
        let (sizes, strides) =
            ((0..pixel.planes()).map(|plane| format.plane_size(plane)), |plane| format.plane_stride(plane));
        if sizes.clone().all(|size| size == (format.width(), format.height())) {
            let mut layout = Self::tight(item, 0, &[pixel.planes(), height, width]);
            (layout.strides[0], layout.strides[1]) = (stride * height, stride);
            return Some(layout);
        }
        let rows = match pixel.layout() {
            // Pairs of chroma lie below luma, with its stride.
            PixelLayout::YuvSemiPlanar if width % 2 == 0 && strides(1) as usize == stride => {
                sizes.map(|(_, rows)| rows as usize).sum()
            }
            PixelLayout::YuvPlanar if stride == row && frame_bytes.is_multiple_of(row) && width % 2 == 0 => {
                frame_bytes / row
            }
            _ => return None,
        };
        let mut layout = Self::tight(item, 0, &[rows, width]);
        layout.strides[0] = stride;
        Some(layout)
    }

    /// One plane of a frame. `None` for one that the format does not have.
    pub fn of_plane(format: &FrameFormat, plane: usize) -> Option<Self> {
        let pixel = format.pixel();
        if plane >= pixel.planes() {
            return None;
        }
        let item = Item::of(pixel);
        let offset = (0..plane).map(|before| format.plane_bytes(before)).sum();
        let (width, height) = format.plane_size(plane);
        let (width, height) = (width as usize, height as usize);
        let mut layout = match samples(pixel, plane) {
            Some(1) => Self::tight(item, offset, &[height, width]),
            Some(samples) => Self::tight(item, offset, &[height, width, samples]),
            None if format.is_variable() => Self::tight(item, offset, &[width]),
            None => Self::tight(item, offset, &[height, packed_row(pixel, format.width())?]),
        };
        if layout.dimensions > 1 {
            layout.strides[0] = format.plane_stride(plane) as usize;
        }
        Some(layout)
    }

    /// Items one after the other.
    fn tight(item: Item, offset: usize, shape: &[usize]) -> Self {
        let mut layout =
            Self { item, offset, dimensions: shape.len(), shape: [1; DIMENSIONS_MAX], strides: [0; DIMENSIONS_MAX] };
        layout.shape[..shape.len()].copy_from_slice(shape);
        let mut stride = item.bytes();
        for dimension in (0..shape.len()).rev() {
            layout.strides[dimension] = stride;
            stride *= shape[dimension];
        }
        layout
    }

    /// Items in each dimension, rows before columns.
    pub fn shape(&self) -> &[usize] {
        &self.shape[..self.dimensions]
    }

    /// Bytes from one item to the next in each dimension.
    pub fn strides(&self) -> &[usize] {
        &self.strides[..self.dimensions]
    }

    /// Bytes of the items alone.
    pub fn item_bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * self.item.bytes()
    }

    /// Whether the items lie one after the other, the last dimension first.
    pub fn is_contiguous(&self) -> bool {
        *self == Self::tight(self.item, self.offset, self.shape())
    }

    /// Bytes from the first item to the end of the last.
    pub fn span_bytes(&self) -> usize {
        let last = self.shape().iter().zip(self.strides()).map(|(items, stride)| (items.max(&1) - 1) * stride);
        last.sum::<usize>() + self.item.bytes()
    }
}

/// Samples of a pixel of a plane, where these lie in whole words; `None` for packed formats and for bytes.
fn samples(pixel: PixelFormat, plane: usize) -> Option<usize> {
    match pixel.layout() {
        PixelLayout::Rgb | PixelLayout::Bgr => Some(3),
        PixelLayout::Rgba | PixelLayout::Bgra => Some(4),
        PixelLayout::YuvPacked => Some(2),
        PixelLayout::YuvSemiPlanar if plane > 0 => Some(2),
        PixelLayout::Packed | PixelLayout::V210 | PixelLayout::Bytes => None,
        _ => Some(1),
    }
}

/// Bytes of a row of a packed format.
fn packed_row(pixel: PixelFormat, width: u32) -> Option<usize> {
    FrameFormat::new(pixel, width, 1).ok().map(|format| format.stride() as usize)
}

/// What an array that is to be sent looks like.
#[derive(Debug, Clone, Copy)]
pub struct ArrayShape<'a> {
    /// Items in each dimension, rows before columns.
    pub shape: &'a [usize],
    /// What they are.
    pub item: Item,
}

/// The format of an array.
///
/// Without a name, H×W is `gray8`, `gray16` or `depth32f` by its items, H×W×3 of bytes `bgr24`, H×W×4 `bgra32`, and one dimension of bytes `bytes`. With one, the
/// array has the shape that [`ArrayLayout::of_frame`] says. `width` is needed for packed formats alone, whose rows may be those of several widths: without one,
/// the widest is taken.
///
/// # Errors
/// [`Class::Format`] with what was expected.
pub fn format_of(array: ArrayShape<'_>, name: Option<PixelFormat>, width: Option<u32>) -> Result<FrameFormat, Error> {
    let pixel = match name {
        Some(pixel) => pixel,
        None => by_shape(array)?,
    };
    let wrong = || not_of_format(array, pixel);
    if array.item != Item::of(pixel) {
        return Err(wrong());
    }
    let number = |value: usize| u32::try_from(value).map_err(|_| wrong());
    let of =
        |width, height| -> Result<FrameFormat, Error> { Ok(FrameFormat::new(pixel, number(width)?, number(height)?)?) };
    match (pixel.layout(), array.shape) {
        (PixelLayout::Bytes, [bytes]) => of((*bytes).max(width.unwrap_or(0) as usize), 1),
        (PixelLayout::Packed | PixelLayout::V210, [height, row]) => {
            let width = match width {
                Some(width) => width,
                None => number(widest(pixel, *row))?,
            };
            let format = FrameFormat::new(pixel, width, number(*height)?)?;
            if format.stride() as usize == *row { Ok(format) } else { Err(wrong()) }
        }
        (PixelLayout::YuvPlanar | PixelLayout::YuvSemiPlanar, shape) => {
            let (height, width) = match (pixel.chroma_divisors(), shape) {
                ((1, 1), [3, height, width]) => (*height, *width),
                ((2, 1), [rows, width]) if rows % 2 == 0 => (rows / 2, *width),
                ((2, 2), [rows, width]) if rows % 3 == 0 => (rows / 3 * 2, *width),
                _ => return Err(wrong()),
            };
            let format = of(width, height)?;
            // An odd side has planes that make no array.
            let layout = ArrayLayout::of_frame(&format, format.frame_bytes());
            if layout.is_some_and(|layout| layout.shape() == shape) { Ok(format) } else { Err(wrong()) }
        }
        (_, shape) => match (samples(pixel, 0), shape) {
            (Some(1), [height, width] | [height, width, 1]) => of(*width, *height),
            (Some(samples), [height, width, channels]) if samples > 1 && *channels == samples => of(*width, *height),
            _ => Err(wrong()),
        },
    }
}

/// The format of an array that nobody named.
fn by_shape(array: ArrayShape<'_>) -> Result<PixelFormat, Error> {
    match (array.shape, array.item) {
        ([_, _] | [_, _, 1], Item::U8) => Ok(PixelFormat::Gray8),
        ([_, _] | [_, _, 1], Item::U16) => Ok(PixelFormat::Gray16),
        ([_, _] | [_, _, 1], Item::F32) => Ok(PixelFormat::Depth32f),
        ([_, _, 3], Item::U8) => Ok(PixelFormat::Bgr24),
        ([_, _, 4], Item::U8) => Ok(PixelFormat::Bgra32),
        ([_], Item::U8) => Ok(PixelFormat::Bytes),
        _ => Err(Error::new(
            Class::Format,
            "array-shape",
            format!(
                "an array of {} {} is no picture; use HxW of uint8, uint16 or float32, HxWx3 or HxWx4 of uint8, or say its format",
                times(array.shape),
                array.item.name()
            ),
        )),
    }
}

/// The most pixels that a row of so many bytes has.
fn widest(pixel: PixelFormat, row: usize) -> usize {
    match pixel.layout() {
        // 128 bytes have 48 pixels.
        PixelLayout::V210 => row / 128 * 48,
        _ => row * 8 / pixel.bits().max(1) as usize,
    }
}

/// An array is not what frames of a format look like.
pub fn not_of_format(array: ArrayShape<'_>, pixel: PixelFormat) -> Error {
    let wanted = match pixel.layout() {
        PixelLayout::Bytes => "one dimension".to_owned(),
        PixelLayout::V210 => "H x (128 bytes for each 48 pixels of the width, rounded up)".to_owned(),
        PixelLayout::Packed => format!("H x (W x {} / 8, rounded up)", pixel.bits()),
        PixelLayout::YuvPlanar | PixelLayout::YuvSemiPlanar => match pixel.chroma_divisors() {
            (1, 1) => "3xHxW".to_owned(),
            (2, 1) => "(H*2)xW, W even".to_owned(),
            _ => "(H*3/2)xW, both even".to_owned(),
        },
        _ => match samples(pixel, 0) {
            Some(1) | None => "HxW".to_owned(),
            Some(samples) => format!("HxWx{samples}"),
        },
    };
    Error::new(
        Class::Format,
        "array-shape",
        format!(
            "an array of {} {} is no frame of {pixel}, which is {wanted} of {}; convert it, or say another format",
            times(array.shape),
            array.item.name(),
            Item::of(pixel).name()
        ),
    )
}

/// The format of one frame of so many bytes, of a stream whose frames may differ: one of bytes is as wide as it is long.
pub fn of_length(format: FrameFormat, bytes: usize) -> FrameFormat {
    match u32::try_from(bytes) {
        Ok(bytes) if format.is_variable() => FrameFormat::new(format.pixel(), bytes, 1).unwrap_or(format),
        _ => format,
    }
}

/// Frames of a stream do not have so many bytes.
pub fn not_of_length(format: &FrameFormat, bytes: usize) -> Error {
    let text = match format.is_variable() {
        true => {
            format!("frames of this stream have 1 to {} bytes, and not {bytes}; send as many", format.frame_bytes())
        }
        false => format!(
            "a frame of {format} with rows of {} bytes has {} bytes, and not {bytes}; send as many, or begin the stream with another format or stride",
            format.stride(),
            format.frame_bytes()
        ),
    };
    Error::new(Class::Format, "frame-length", text)
}

/// A shape as it is said: 480x640x3.
pub fn times(shape: &[usize]) -> String {
    let sides: Vec<_> = shape.iter().map(ToString::to_string).collect();
    if sides.is_empty() { "no dimension".to_owned() } else { sides.join("x") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even sides, groups of every packed format.
    const SIZE: (u32, u32) = (96, 8);

    #[test]
    fn the_array_of_every_format_has_all_its_bytes_and_is_that_format_again() {
        for pixel in PixelFormat::ALL {
            let height = if pixel == PixelFormat::Bytes { 1 } else { SIZE.1 };
            let format = FrameFormat::new(pixel, SIZE.0, height).unwrap();
            let layout = ArrayLayout::of_frame(&format, format.frame_bytes()).unwrap();
            assert_eq!(layout.item_bytes(), format.frame_bytes(), "{pixel}");
            assert!(layout.is_contiguous(), "{pixel}");
            let array = ArrayShape { shape: layout.shape(), item: layout.item };
            let width = matches!(pixel.layout(), PixelLayout::V210).then_some(SIZE.0);
            assert_eq!(format_of(array, Some(pixel), width).unwrap(), format, "{pixel}");
        }
    }

    #[test]
    fn planes_of_every_format_lie_one_after_the_other_and_end_where_the_frame_does() {
        for pixel in PixelFormat::ALL {
            let height = if pixel == PixelFormat::Bytes { 1 } else { 5 };
            let format = FrameFormat::new(pixel, SIZE.0, height).unwrap();
            let mut end = 0;
            for plane in 0..pixel.planes() {
                let layout = ArrayLayout::of_plane(&format, plane).unwrap();
                assert_eq!(layout.offset, end, "{pixel}");
                assert!(layout.span_bytes() <= format.plane_bytes(plane), "{pixel}");
                end += format.plane_bytes(plane);
            }
            assert_eq!(end, format.frame_bytes(), "{pixel}");
            assert_eq!(ArrayLayout::of_plane(&format, pixel.planes()), None);
        }
    }

    #[test]
    fn rows_that_are_apart_have_their_stride_and_planes_that_are_apart_make_no_array() {
        let padded = |pixel| FrameFormat::with_stride(pixel, 6, 4, 24).unwrap();
        let layout = |format: &FrameFormat| ArrayLayout::of_frame(format, format.frame_bytes());
        let bgr = layout(&padded(PixelFormat::Bgr24)).unwrap();
        assert_eq!((bgr.shape(), bgr.strides(), bgr.is_contiguous()), (&[4, 6, 3][..], &[24, 3, 1][..], false));
        let nv12 = layout(&padded(PixelFormat::Nv12)).unwrap();
        assert_eq!((nv12.shape(), nv12.strides()), (&[6, 6][..], &[24, 1][..]));
        assert_eq!(layout(&padded(PixelFormat::Yuv420p)), None);
        assert_eq!(layout(&FrameFormat::new(PixelFormat::Yuv420p, 5, 4).unwrap()), None);
    }

    #[test]
    fn a_frame_of_bytes_is_as_wide_as_it_is_long_and_others_are_what_they_are() {
        let bytes = FrameFormat::new(PixelFormat::Bytes, 100, 1).unwrap();
        assert_eq!((of_length(bytes, 7).width(), of_length(bytes, 0)), (7, bytes));
        let gray = FrameFormat::new(PixelFormat::Gray8, 10, 10).unwrap();
        assert_eq!(of_length(gray, 7), gray);
        assert!(not_of_length(&bytes, 101).text.contains("1 to 100 bytes, and not 101"));
        assert!(not_of_length(&gray, 101).text.contains("has 100 bytes, and not 101"));
    }

    #[test]
    fn an_array_that_is_no_frame_is_refused_with_what_was_expected() {
        let refused = |shape: &[usize], item, name: Option<PixelFormat>| {
            format_of(ArrayShape { shape, item }, name, None).unwrap_err().to_string()
        };
        assert!(refused(&[2, 2, 2, 2], Item::U8, None).contains("2x2x2x2 uint8 is no picture"));
        assert!(refused(&[4, 4, 3], Item::U16, None).contains("uint16"));
        assert!(refused(&[], Item::U8, None).contains("no dimension"));
        assert!(refused(&[4, 4], Item::U8, Some(PixelFormat::Bgr24)).contains("HxWx3 of uint8"));
        assert!(refused(&[4, 4], Item::U8, Some(PixelFormat::Gray16)).contains("HxW of uint16"));
        assert!(refused(&[5, 4], Item::U8, Some(PixelFormat::Nv12)).contains("(H*3/2)xW"));
        assert!(refused(&[0, 4], Item::U8, None).contains('0'));
    }
}
