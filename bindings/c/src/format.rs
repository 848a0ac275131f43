//! Pixel formats: their codes, and what else is to be known of them.

use std::ffi::{CString, c_char};
use std::mem::{MaybeUninit, size_of};
use std::ptr;
use std::sync::OnceLock;

use framewire_ends::{Class, Error};
use framewire_transport::{FrameFormat, PixelFormat};

use crate::border::{self, call, growing, make, null, say};
use crate::result::{fw_error, fw_result, text_of};

/// How pixels are laid out in memory, by the format's code. Samples of more than 8 bits are little-endian;
/// those of 10 and 12 in 16 are in the low bits, those of p010 in the high ones. Planar formats store all of Y,
/// then all of U, then all of V. A later library may have more of them.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fw_pixel_format {
    /// One byte a pixel, luma only.
    FW_GRAY8 = 0x0108,
    /// Luma, 10 bits in 16.
    FW_GRAY10 = 0x010A,
    /// Luma, 12 bits in 16.
    FW_GRAY12 = 0x010C,
    /// Luma, 16 bits.
    FW_GRAY16 = 0x0110,
    /// Three bytes a pixel: red, green, blue.
    FW_RGB24 = 0x0201,
    /// Three bytes a pixel: blue, green, red. What OpenCV calls CV_8UC3.
    FW_BGR24 = 0x0202,
    /// Four bytes a pixel: red, green, blue, alpha.
    FW_RGBA32 = 0x0203,
    /// Four bytes a pixel: blue, green, red, alpha.
    FW_BGRA32 = 0x0204,
    /// Planar 4:2:0: chroma has half the width and half the height, rounded up.
    FW_YUV420P = 0x0308,
    /// Planar 4:2:2: chroma has half the width, rounded up.
    FW_YUV422P = 0x0408,
    /// Planar 4:4:4: chroma has the full size.
    FW_YUV444P = 0x0508,
    /// Planar 4:2:0, 10 bits in 16.
    FW_YUV420P10 = 0x030A,
    /// Planar 4:2:2, 10 bits in 16.
    FW_YUV422P10 = 0x040A,
    /// Planar 4:4:4, 10 bits in 16.
    FW_YUV444P10 = 0x050A,
    /// Planar 4:2:0, 12 bits in 16.
    FW_YUV420P12 = 0x030C,
    /// Planar 4:2:2, 12 bits in 16.
    FW_YUV422P12 = 0x040C,
    /// Planar 4:4:4, 12 bits in 16.
    FW_YUV444P12 = 0x050C,
    /// Planar 4:2:0, 16 bits.
    FW_YUV420P16 = 0x0310,
    /// Planar 4:2:2, 16 bits.
    FW_YUV422P16 = 0x0410,
    /// Planar 4:4:4, 16 bits.
    FW_YUV444P16 = 0x0510,
    /// 4:2:0 in two planes: luma, and behind it Cb and Cr in turn, half the width and half the height, rounded
    /// up.
    FW_NV12 = 0x0608,
    /// As nv12, 10 bits in the high ones of 16.
    FW_P010 = 0x060A,
    /// 4:2:2 in one plane: Y, Cb, Y, Cr. Its width is even.
    FW_YUYV = 0x0701,
    /// 4:2:2 in one plane: Cb, Y, Cr, Y. Its width is even.
    FW_UYVY = 0x0702,
    /// 4:2:2 of 10 bits, six pixels in 16 bytes, rows of whole 128 bytes. Its width is even.
    FW_V210 = 0x070A,
    /// A Bayer mosaic that begins with the rows RG and GB, one byte a pixel.
    FW_BAYER_RGGB8 = 0x1008,
    /// A Bayer mosaic that begins with the rows GR and BG, one byte a pixel.
    FW_BAYER_GRBG8 = 0x1108,
    /// A Bayer mosaic that begins with the rows GB and RG, one byte a pixel.
    FW_BAYER_GBRG8 = 0x1208,
    /// A Bayer mosaic that begins with the rows BG and GR, one byte a pixel.
    FW_BAYER_BGGR8 = 0x1308,
    /// A Bayer mosaic that begins with the rows RG and GB, 10 bits in 16.
    FW_BAYER_RGGB10 = 0x100A,
    /// A Bayer mosaic that begins with the rows GR and BG, 10 bits in 16.
    FW_BAYER_GRBG10 = 0x110A,
    /// A Bayer mosaic that begins with the rows GB and RG, 10 bits in 16.
    FW_BAYER_GBRG10 = 0x120A,
    /// A Bayer mosaic that begins with the rows BG and GR, 10 bits in 16.
    FW_BAYER_BGGR10 = 0x130A,
    /// A Bayer mosaic that begins with the rows RG and GB, 12 bits in 16.
    FW_BAYER_RGGB12 = 0x100C,
    /// A Bayer mosaic that begins with the rows GR and BG, 12 bits in 16.
    FW_BAYER_GRBG12 = 0x110C,
    /// A Bayer mosaic that begins with the rows GB and RG, 12 bits in 16.
    FW_BAYER_GBRG12 = 0x120C,
    /// A Bayer mosaic that begins with the rows BG and GR, 12 bits in 16.
    FW_BAYER_BGGR12 = 0x130C,
    /// A Bayer mosaic that begins with the rows RG and GB, 16 bits.
    FW_BAYER_RGGB16 = 0x1010,
    /// A Bayer mosaic that begins with the rows GR and BG, 16 bits.
    FW_BAYER_GRBG16 = 0x1110,
    /// A Bayer mosaic that begins with the rows GB and RG, 16 bits.
    FW_BAYER_GBRG16 = 0x1210,
    /// A Bayer mosaic that begins with the rows BG and GR, 16 bits.
    FW_BAYER_BGGR16 = 0x1310,
    /// Distances, 16 bits; millimetres with most cameras.
    FW_DEPTH16 = 0x0910,
    /// Distances as IEEE floats of 32 bits; metres with most cameras.
    FW_DEPTH32F = 0x0920,
    /// Luma of 10 bits packed without a gap, as PFNC has it (not as MIPI or GigE Vision); carried as it is.
    FW_MONO10P = 0x200A,
    /// Luma of 12 bits packed without a gap, as PFNC has it (not as MIPI or GigE Vision); carried as it is.
    FW_MONO12P = 0x200C,
    /// A Bayer mosaic (RGGB) of 10 bits packed without a gap, as PFNC has it; carried as it is.
    FW_BAYER_RGGB10P = 0x210A,
    /// A Bayer mosaic (GRBG) of 10 bits packed without a gap, as PFNC has it; carried as it is.
    FW_BAYER_GRBG10P = 0x220A,
    /// A Bayer mosaic (GBRG) of 10 bits packed without a gap, as PFNC has it; carried as it is.
    FW_BAYER_GBRG10P = 0x230A,
    /// A Bayer mosaic (BGGR) of 10 bits packed without a gap, as PFNC has it; carried as it is.
    FW_BAYER_BGGR10P = 0x240A,
    /// A Bayer mosaic (RGGB) of 12 bits packed without a gap, as PFNC has it; carried as it is.
    FW_BAYER_RGGB12P = 0x210C,
    /// A Bayer mosaic (GRBG) of 12 bits packed without a gap, as PFNC has it; carried as it is.
    FW_BAYER_GRBG12P = 0x220C,
    /// A Bayer mosaic (GBRG) of 12 bits packed without a gap, as PFNC has it; carried as it is.
    FW_BAYER_GBRG12P = 0x230C,
    /// A Bayer mosaic (BGGR) of 12 bits packed without a gap, as PFNC has it; carried as it is.
    FW_BAYER_BGGR12P = 0x240C,
    /// Any bytes: a point cloud, a tensor, an encoded picture. A frame has 1 of them to as many as the format
    /// says, and frames of a stream differ.
    FW_BYTES = 0xFF00,
}

macro_rules! same_as_the_transport {
    ($($code:ident $format:ident,)*) => {
        const _: () = {
            $(assert!(fw_pixel_format::$code as u32 == PixelFormat::$format.code() as u32);)*
            assert!([$(fw_pixel_format::$code),*].len() == PixelFormat::ALL.len(), "every format of the transport is here");
        };
    };
}

same_as_the_transport! {
    FW_GRAY8 Gray8,
    FW_GRAY10 Gray10,
    FW_GRAY12 Gray12,
    FW_GRAY16 Gray16,
    FW_RGB24 Rgb24,
    FW_BGR24 Bgr24,
    FW_RGBA32 Rgba32,
    FW_BGRA32 Bgra32,
    FW_YUV420P Yuv420p,
    FW_YUV422P Yuv422p,
    FW_YUV444P Yuv444p,
    FW_YUV420P10 Yuv420p10,
    FW_YUV422P10 Yuv422p10,
    FW_YUV444P10 Yuv444p10,
    FW_YUV420P12 Yuv420p12,
    FW_YUV422P12 Yuv422p12,
    FW_YUV444P12 Yuv444p12,
    FW_YUV420P16 Yuv420p16,
    FW_YUV422P16 Yuv422p16,
    FW_YUV444P16 Yuv444p16,
    FW_NV12 Nv12,
    FW_P010 P010,
    FW_YUYV Yuyv,
    FW_UYVY Uyvy,
    FW_V210 V210,
    FW_BAYER_RGGB8 BayerRggb8,
    FW_BAYER_GRBG8 BayerGrbg8,
    FW_BAYER_GBRG8 BayerGbrg8,
    FW_BAYER_BGGR8 BayerBggr8,
    FW_BAYER_RGGB10 BayerRggb10,
    FW_BAYER_GRBG10 BayerGrbg10,
    FW_BAYER_GBRG10 BayerGbrg10,
    FW_BAYER_BGGR10 BayerBggr10,
    FW_BAYER_RGGB12 BayerRggb12,
    FW_BAYER_GRBG12 BayerGrbg12,
    FW_BAYER_GBRG12 BayerGbrg12,
    FW_BAYER_BGGR12 BayerBggr12,
    FW_BAYER_RGGB16 BayerRggb16,
    FW_BAYER_GRBG16 BayerGrbg16,
    FW_BAYER_GBRG16 BayerGbrg16,
    FW_BAYER_BGGR16 BayerBggr16,
    FW_DEPTH16 Depth16,
    FW_DEPTH32F Depth32f,
    FW_MONO10P Mono10p,
    FW_MONO12P Mono12p,
    FW_BAYER_RGGB10P BayerRggb10p,
    FW_BAYER_GRBG10P BayerGrbg10p,
    FW_BAYER_GBRG10P BayerGbrg10p,
    FW_BAYER_BGGR10P BayerBggr10p,
    FW_BAYER_RGGB12P BayerRggb12p,
    FW_BAYER_GRBG12P BayerGrbg12p,
    FW_BAYER_GBRG12P BayerGbrg12p,
    FW_BAYER_BGGR12P BayerBggr12p,
    FW_BYTES Bytes,
}

/// What is to be known of a format.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_format {
    /// sizeof (fw_format), set by the caller.
    pub size: usize,
    /// Its code: an fw_pixel_format.
    pub code: u32,
    /// Planes of a frame, 1 to 3.
    pub planes: u32,
    /// Significant bits of a sample.
    pub bits: u32,
    /// Bytes of a sample, 1, 2 or 4; 0 where samples do not lie in whole words.
    pub sample_bytes: u32,
    /// Its code in the GenICam Pixel Format Naming Convention; 0 where it has none.
    pub pfnc: u32,
    /// Not used: 0.
    pub reserved: u32,
    /// Its name, such as "bgr24". A static text, as are the others.
    pub name: *const c_char,
    /// Its four characters in Video4Linux; NULL where it has none.
    pub v4l2: *const c_char,
    /// Its name in GStreamer; NULL where it has none.
    pub gstreamer: *const c_char,
    /// Its name in ffmpeg; NULL where it has none.
    pub ffmpeg: *const c_char,
    /// The encoding of a ROS image with the same bytes; NULL where there is none.
    pub ros: *const c_char,
}

growing!(fw_format { size, code, planes, bits, sample_bytes, pfnc, reserved, name, v4l2, gstreamer, ffmpeg, ros });

/// A format's names, each with a zero behind it.
struct Names {
    pixel: PixelFormat,
    name: CString,
    elsewhere: [Option<CString>; 4],
}

fn all() -> &'static [Names] {
    static ALL: OnceLock<Vec<Names>> = OnceLock::new();
    ALL.get_or_init(|| {
        let names = |pixel: PixelFormat| {
            let elsewhere = [pixel.v4l2(), pixel.gstreamer(), pixel.ffmpeg(), pixel.ros()];
            Names { pixel, name: text_of(pixel.name()), elsewhere: elsewhere.map(|name| name.map(text_of)) }
        };
        PixelFormat::ALL.into_iter().map(names).collect()
    })
}

/// The name of a format, as a static text.
pub(crate) fn name_of(pixel: PixelFormat) -> *const c_char {
    all().iter().find(|names| names.pixel == pixel).map_or(ptr::null(), |names| names.name.as_ptr())
}

impl From<&Names> for fw_format {
    fn from(names: &Names) -> Self {
        let pixel = names.pixel;
        let [v4l2, gstreamer, ffmpeg, ros] =
            [0, 1, 2, 3].map(|at| names.elsewhere[at].as_ref().map_or(ptr::null(), |name: &CString| name.as_ptr()));
        Self {
            size: size_of::<Self>(),
            code: pixel.code().into(),
            planes: pixel.planes() as u32,
            bits: pixel.bits(),
            sample_bytes: pixel.sample_bytes().unwrap_or(0),
            pfnc: pixel.pfnc().unwrap_or(0),
            reserved: 0,
            name: names.name.as_ptr(),
            v4l2,
            gstreamer,
            ffmpeg,
            ros,
        }
    }
}

/// How many formats there are.
#[unsafe(no_mangle)]
pub extern "C" fn fw_format_count() -> usize {
    PixelFormat::ALL.len()
}

/// What is to be known of the format at this place, from 0 to fw_format_count() less one. `format->size` is set
/// before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_format_at(
    index: usize,
    format: *mut fw_format,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        let names = all().get(index).ok_or_else(|| {
            let text = format!("there is no format {index}; use 0 to {}", all().len() - 1);
            Error::new(Class::Argument, "index", text)
        })?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        unsafe { border::write(format, &names.into()) }?;
        Ok(fw_result::FW_OK)
    })
}

/// The code of the format with this name: ours, or that of PFNC, Video4Linux, GStreamer, ffmpeg or ROS,
/// whatever its case. 0 and an error where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_format_code(
    name: *const c_char,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> u32 {
    let code = make(err, || {
        // SAFETY: NULL or a text, as the header asks for.
        let name = unsafe { border::text(name, "format") }?.ok_or_else(|| null("format"))?;
        Ok(name.parse::<PixelFormat>()?.code())
    });
    code.map_or(0, u32::from)
}

/// The name of the format with this code, such as "bgr24"; NULL where there is none. A static text.
#[unsafe(no_mangle)]
pub extern "C" fn fw_format_name(code: u32) -> *const c_char {
    say(Some(&code), ptr::null(), |code| of_code(*code).map_or(ptr::null(), name_of))
}

fn of_code(code: u32) -> Option<PixelFormat> {
    u16::try_from(code).ok().and_then(PixelFormat::from_wire)
}

/// The format of frames that a caller describes.
///
/// # Errors
/// There is none such.
pub(crate) fn format_of(code: u32, width: u32, height: u32, stride: u32) -> Result<FrameFormat, Error> {
    let pixel = of_code(code).ok_or_else(|| {
        let text = format!("there is no format {code:#06x}; use one of fw_pixel_format, or what fw_format_code says");
        Error::new(Class::Format, "unknown-pixel-format", text)
    })?;
    Ok(match stride {
        0 => FrameFormat::new(pixel, width, height)?,
        stride => FrameFormat::with_stride(pixel, width, height, stride)?,
    })
}
