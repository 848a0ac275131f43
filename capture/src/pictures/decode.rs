//! One file of a picture: what it is by its header, and its pixels, decoded into a slot.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::Path;

use framewire_transport::frame::{FrameFormat, PixelFormat, PixelLayout};
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::{ColorType, ImageDecoder, ImageError, Limits};

use super::error::PictureFileError;
use super::jpeg;
use crate::samples::Sample;

/// What a header may take: profiles and notes, and a row.
const HEADER_BYTES_MAX: u64 = 64 << 20;

/// The longest of what a picture's kinds begin with.
const MAGIC_BYTES_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Png,
    Jpeg,
    Tiff,
}

impl Kind {
    fn of(start: &[u8]) -> Option<Self> {
        let kinds: [(&[u8], Self); 4] = [
            (b"\x89PNG\r\n\x1a\n", Self::Png),
            (b"\xff\xd8\xff", Self::Jpeg),
            (b"II*\0", Self::Tiff),
            (b"MM\0*", Self::Tiff),
        ];
        kinds.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| kind)
    }
}

/// Whether a file that begins with these bytes is a picture.
pub(crate) fn is_picture(start: &[u8]) -> bool {
    Kind::of(start).is_some()
}

/// Why a picture was not read: its file, or what is in it.
pub(super) enum Refusal {
    Io(io::Error),
    Picture(PictureFileError),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Picture(PictureFileError::Truncated),
            _ => Self::Io(error),
        }
    }
}

impl From<PictureFileError> for Refusal {
    fn from(error: PictureFileError) -> Self {
        Self::Picture(error)
    }
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        Self::Picture(match error {
            ImageError::IoError(error) => return error.into(),
            ImageError::Limits(_) => PictureFileError::TooLarge,
            ImageError::Unsupported(error) => PictureFileError::Samples(error.to_string()),
            other => PictureFileError::Damaged(other.to_string()),
        })
    }
}

fn open(path: &Path) -> Result<(BufReader<File>, Kind), Refusal> {
    let mut file = File::open(path)?;
    let mut start = Vec::with_capacity(MAGIC_BYTES_MAX);
    (&mut file).take(MAGIC_BYTES_MAX as u64).read_to_end(&mut start)?;
    let shown = || start.iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect();
    let kind = Kind::of(&start).ok_or_else(|| PictureFileError::NotOne(shown()))?;
    file.rewind()?;
    Ok((BufReader::new(file), kind))
}

/// What the picture is by its header: 16-bit gray, RGB and RGBA of 8 bits, or another format that is asked for and that such samples may
/// be of.
pub(super) fn format(path: &Path, wanted: Option<PixelFormat>) -> Result<FrameFormat, Refusal> {
    let (mut file, kind) = open(path)?;
    let (width, height, colour) = match kind {
        Kind::Png => {
            let decoder = PngDecoder::with_limits(file, limits(HEADER_BYTES_MAX))?;
            sized(&decoder)
        }
        Kind::Tiff => sized(&TiffDecoder::new(file)?),
        Kind::Jpeg => {
            let header = jpeg::frame_header(&mut file)?;
            let colour = match (header.bits, header.components) {
                (8, 1) => ColorType::L8,
                (8, 3 | 4) => ColorType::Rgb8,
                (bits, parts) => {
                    return Err(PictureFileError::Samples(format!("{parts} components of {bits} bits")).into());
                }
            };
            (header.width.into(), header.height.into(), colour)
        }
    };
    let (sample, channels) = match colour {
        ColorType::L8 => (Sample::Uint8, 1),
        ColorType::Rgb8 => (Sample::Uint8, 3),
        ColorType::Rgba8 => (Sample::Uint8, 4),
        ColorType::L16 => (Sample::Uint16, 1),
        ColorType::La8 => return Err(PictureFileError::Samples("8-bit gray with alpha".to_owned()).into()),
        ColorType::La16 => return Err(PictureFileError::Samples("16-bit gray with alpha".to_owned()).into()),
        ColorType::Rgb16 => return Err(PictureFileError::Samples("16-bit RGB".to_owned()).into()),
        ColorType::Rgba16 => return Err(PictureFileError::Samples("16-bit RGBA".to_owned()).into()),
        ColorType::Rgb32F | ColorType::Rgba32F => {
            return Err(PictureFileError::Samples("32-bit floats of RGB".to_owned()).into());
        }
        other => return Err(PictureFileError::Samples(format!("{other:?} samples")).into()),
    };
    let has = sample.pixel(channels).unwrap_or(PixelFormat::Gray8);
    let pixel = wanted.filter(|pixel| sample.may_be(channels, *pixel)).unwrap_or(has);
    Ok(FrameFormat::new(pixel, width, height).map_err(PictureFileError::from)?)
}

fn sized(decoder: &impl ImageDecoder) -> (u32, u32, ColorType) {
    let (width, height) = decoder.dimensions();
    (width, height, decoder.color_type())
}

fn limits(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}

/// Decodes the picture, whose header said `format`, into `pixels`, which has exactly its bytes. `compressed` is for the bytes of
/// a JPEG; its memory is used again and again.
pub(super) fn decode(
    path: &Path,
    format: &FrameFormat,
    compressed: &mut Vec<u8>,
    pixels: &mut [u8],
) -> Result<(), Refusal> {
    let (mut file, kind) = open(path)?;
    // No decoder needs more beside the pixels than a few times what they take.
    let bytes_max = HEADER_BYTES_MAX + 4 * pixels.len() as u64;
    match kind {
        Kind::Png => read(PngDecoder::with_limits(file, limits(bytes_max))?, format, pixels)?,
        Kind::Tiff => {
            let mut decoder = TiffDecoder::new(file)?;
            decoder.set_limits(limits(bytes_max))?;
            read(decoder, format, pixels)?;
        }
        Kind::Jpeg => {
            if file.get_ref().metadata()?.len() > bytes_max {
                return Err(PictureFileError::TooLarge.into());
            }
            compressed.clear();
            (&mut file).take(bytes_max).read_to_end(compressed)?;
            // The decoder paints what is missing gray.
            if !jpeg::has_end(compressed) {
                return Err(PictureFileError::Truncated.into());
            }
            read(JpegDecoder::new(Cursor::new(&compressed[..]))?, format, pixels)?;
        }
    }
    arrange(format.pixel(), pixels);
    Ok(())
}

fn read(decoder: impl ImageDecoder, format: &FrameFormat, pixels: &mut [u8]) -> Result<(), Refusal> {
    let (width, height) = decoder.dimensions();
    if (width, height) != (format.width(), format.height()) || decoder.total_bytes() != pixels.len() as u64 {
        let now = format!("it was {format} when it was opened, and is {width}x{height} {:?} now", decoder.color_type());
        return Err(PictureFileError::Damaged(now).into());
    }
    Ok(decoder.read_image(pixels)?)
}

/// Puts what a decoder gives, RGB and words as this machine has them, into the order of the format.
fn arrange(pixel: PixelFormat, pixels: &mut [u8]) {
    match pixel.layout() {
        PixelLayout::Bgr => pixels.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2)),
        PixelLayout::Bgra => pixels.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2)),
        _ if cfg!(target_endian = "big") && pixel.sample_bytes() == Some(2) => {
            pixels.as_chunks_mut::<2>().0.iter_mut().for_each(|sample| sample.reverse());
        }
        _ => {}
    }
}
