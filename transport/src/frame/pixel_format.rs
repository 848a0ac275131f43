//! Every pixel format: one row each, with its names elsewhere and what decides where its bytes lie.

use std::fmt;
use std::str::FromStr;

use super::format::FormatError;

/// Pixels of a plane as they lie in memory: `pixels` of them side by side in `bits` bits; a row is whole bytes. Across and down the
/// picture the plane has one for each `across` × `down` pixels of the picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlaneRule {
    pub(super) bits: u32,
    pub(super) pixels: u32,
    pub(super) across: u32,
    pub(super) down: u32,
}

const fn plane(bits: u32, pixels: u32, across: u32, down: u32) -> PlaneRule {
    PlaneRule { bits, pixels, across, down }
}

/// Y, U and V, each in a plane of its own.
const fn yuv_planes(bits: u32, across: u32, down: u32) -> [PlaneRule; 3] {
    let chroma = plane(bits, 1, across, down);
    [plane(bits, 1, 1, 1), chroma, chroma]
}

/// Y in a plane of its own, U and V in turn in another; 4:2:0.
const fn semi_planar(bits: u32) -> [PlaneRule; 2] {
    [plane(bits, 1, 1, 1), plane(2 * bits, 1, 2, 2)]
}

/// What a pixel is made of, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelLayout {
    /// Luma.
    Gray,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue, alpha.
    Rgba,
    /// Blue, green, red, alpha.
    Bgra,
    /// Y, U and V in planes of their own.
    YuvPlanar,
    /// Y in a plane, U and V in turn in another.
    YuvSemiPlanar,
    /// Y, U and V in turn in one plane.
    YuvPacked,
    /// Six pixels of 4:2:2 in four words of 32 bits.
    V210,
    /// One colour a pixel.
    Bayer(BayerOrder),
    /// Distances, as integers.
    Depth,
    /// Distances, as floats.
    DepthFloat,
    /// Samples packed without a gap; carried as they are.
    Packed,
    /// Anything.
    Bytes,
}

/// Which colours the first two rows of a Bayer mosaic begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BayerOrder {
    /// Red and green, then green and blue.
    Rggb,
    /// Green and red, then blue and green.
    Grbg,
    /// Green and blue, then red and green.
    Gbrg,
    /// Blue and green, then green and red.
    Bggr,
}

/// What the table says of a format.
struct Row {
    code: u16,
    name: &'static str,
    bits: u32,
    layout: PixelLayout,
    planes: &'static [PlaneRule],
    /// The width is a multiple of the first, a stride of the second.
    whole: (u32, u32),
    pfnc: u32,
    /// As PFNC, V4L2, GStreamer, ffmpeg and ROS call it, in this order; empty where they do not know it.
    elsewhere: [&'static str; 5],
    also: &'static [&'static str],
}

macro_rules! pixel_formats {
    ($($(#[$doc:meta])* $format:ident = $code:literal $name:literal, $bits:literal, $layout:ident $(($order:ident))?, $planes:expr,
       whole $width:literal $stride:literal;
       $pfnc:literal $pfnc_name:literal, $v4l2:literal, $gstreamer:literal, $ffmpeg:literal, $ros:literal, [$($also:literal)*];)*) => {
        /// How pixels are laid out in memory. Samples of more than 8 bits are little-endian; those of 10 and 12 in 16 are in the low
        /// bits, those of `p010` in the high ones. Planar formats store all of Y, then all of U, then all of V.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        #[non_exhaustive]
        pub enum PixelFormat {
            $($(#[$doc])* $format = $code,)*
        }

        impl PixelFormat {
            /// Every format, in the order of the table.
            pub const ALL: [Self; [$($code),*].len()] = [$(Self::$format),*];

            const fn row(self) -> &'static Row {
                match self {
                    $(Self::$format => const { &Row {
                        code: $code,
                        name: $name,
                        bits: $bits,
                        layout: PixelLayout::$layout $((BayerOrder::$order))?,
                        planes: &$planes,
                        whole: ($width, $stride),
                        pfnc: $pfnc,
                        elsewhere: [$pfnc_name, $v4l2, $gstreamer, $ffmpeg, $ros],
                        also: &[$($also),*],
                    } },)*
                }
            }
        }
    };
}

// Code on the wire and name; significant bits; layout; planes; what width and stride are multiples of. Then the names
// elsewhere: PFNC (code and name), V4L2, GStreamer, ffmpeg, ROS, and more.
pixel_formats! {
    /// One byte a pixel, luma only.
    Gray8 = 0x0108 "gray8", 8, Gray, [plane(8, 1, 1, 1)], whole 1 1;
        0x01080001 "Mono8", "GREY", "GRAY8", "gray", "mono8", ["grey8" "y8" "y800" "8UC1"];
    /// Luma, 10 bits in 16.
    Gray10 = 0x010A "gray10", 10, Gray, [plane(16, 1, 1, 1)], whole 1 2;
        0x01100003 "Mono10", "Y10", "GRAY10_LE16", "gray10le", "mono16", [];
    /// Luma, 12 bits in 16.
    Gray12 = 0x010C "gray12", 12, Gray, [plane(16, 1, 1, 1)], whole 1 2;
        0x01100005 "Mono12", "Y12", "", "gray12le", "mono16", [];
    /// Luma, 16 bits.
    Gray16 = 0x0110 "gray16", 16, Gray, [plane(16, 1, 1, 1)], whole 1 2;
        0x01100007 "Mono16", "Y16", "GRAY16_LE", "gray16le", "mono16", [];
    /// Three bytes a pixel: red, green, blue.
    Rgb24 = 0x0201 "rgb24", 8, Rgb, [plane(24, 1, 1, 1)], whole 1 1;
        0x02180014 "RGB8", "RGB3", "RGB", "rgb24", "rgb8", [];
    /// Three bytes a pixel: blue, green, red. What OpenCV calls `CV_8UC3`.
    Bgr24 = 0x0202 "bgr24", 8, Bgr, [plane(24, 1, 1, 1)], whole 1 1;
        0x02180015 "BGR8", "BGR3", "BGR", "bgr24", "bgr8", ["8UC3"];
    /// Four bytes a pixel: red, green, blue, alpha.
    Rgba32 = 0x0203 "rgba32", 8, Rgba, [plane(32, 1, 1, 1)], whole 1 1;
        0x02200016 "RGBa8", "AB24", "RGBA", "rgba", "rgba8", [];
    /// Four bytes a pixel: blue, green, red, alpha.
    Bgra32 = 0x0204 "bgra32", 8, Bgra, [plane(32, 1, 1, 1)], whole 1 1;
        0x02200017 "BGRa8", "AR24", "BGRA", "bgra", "bgra8", ["8UC4"];
    /// Planar 4:2:0: chroma has half the width and half the height, rounded up.
    Yuv420p = 0x0308 "yuv420p", 8, YuvPlanar, yuv_planes(8, 2, 2), whole 1 1;
        0 "", "YU12", "I420", "yuv420p", "", ["yuv420p8" "iyuv"];
    /// Planar 4:2:2: chroma has half the width, rounded up.
    Yuv422p = 0x0408 "yuv422p", 8, YuvPlanar, yuv_planes(8, 2, 1), whole 1 1;
        0 "", "422P", "Y42B", "yuv422p", "", ["yuv422p8"];
    /// Planar 4:4:4: chroma has the full size.
    Yuv444p = 0x0508 "yuv444p", 8, YuvPlanar, yuv_planes(8, 1, 1), whole 1 1;
        0 "", "", "Y444", "yuv444p", "", ["yuv444p8"];
    /// Planar 4:2:0, 10 bits in 16.
    Yuv420p10 = 0x030A "yuv420p10", 10, YuvPlanar, yuv_planes(16, 2, 2), whole 1 2;
        0 "", "", "I420_10LE", "yuv420p10le", "", [];
    /// Planar 4:2:2, 10 bits in 16.
    Yuv422p10 = 0x040A "yuv422p10", 10, YuvPlanar, yuv_planes(16, 2, 1), whole 1 2;
        0 "", "", "I422_10LE", "yuv422p10le", "", [];
    /// Planar 4:4:4, 10 bits in 16.
    Yuv444p10 = 0x050A "yuv444p10", 10, YuvPlanar, yuv_planes(16, 1, 1), whole 1 2;
        0 "", "", "Y444_10LE", "yuv444p10le", "", [];
    /// Planar 4:2:0, 12 bits in 16.
    Yuv420p12 = 0x030C "yuv420p12", 12, YuvPlanar, yuv_planes(16, 2, 2), whole 1 2;
        0 "", "", "I420_12LE", "yuv420p12le", "", [];
    /// Planar 4:2:2, 12 bits in 16.
    Yuv422p12 = 0x040C "yuv422p12", 12, YuvPlanar, yuv_planes(16, 2, 1), whole 1 2;
        0 "", "", "I422_12LE", "yuv422p12le", "", [];
    /// Planar 4:4:4, 12 bits in 16.
    Yuv444p12 = 0x050C "yuv444p12", 12, YuvPlanar, yuv_planes(16, 1, 1), whole 1 2;
        0 "", "", "Y444_12LE", "yuv444p12le", "", [];
    /// Planar 4:2:0, 16 bits.
    Yuv420p16 = 0x0310 "yuv420p16", 16, YuvPlanar, yuv_planes(16, 2, 2), whole 1 2;
        0 "", "", "", "yuv420p16le", "", [];
    /// Planar 4:2:2, 16 bits.
    Yuv422p16 = 0x0410 "yuv422p16", 16, YuvPlanar, yuv_planes(16, 2, 1), whole 1 2;
        0 "", "", "", "yuv422p16le", "", [];
    /// Planar 4:4:4, 16 bits.
    Yuv444p16 = 0x0510 "yuv444p16", 16, YuvPlanar, yuv_planes(16, 1, 1), whole 1 2;
        0 "", "", "Y444_16LE", "yuv444p16le", "", [];
    /// 4:2:0 in two planes: luma, and behind it Cb and Cr in turn, half the width and half the height, rounded up.
    Nv12 = 0x0608 "nv12", 8, YuvSemiPlanar, semi_planar(8), whole 1 1;
        0x020C0112 "YCbCr420_8_YY_CbCr_Semiplanar", "NV12", "NV12", "nv12", "nv12", [];
    /// As nv12, 10 bits in the high ones of 16.
    P010 = 0x060A "p010", 10, YuvSemiPlanar, semi_planar(16), whole 1 2;
        0 "", "P010", "P010_10LE", "p010le", "", [];
    /// 4:2:2 in one plane: Y, Cb, Y, Cr. Its width is even.
    Yuyv = 0x0701 "yuyv", 8, YuvPacked, [plane(32, 2, 1, 1)], whole 2 1;
        0x02100032 "YUV422_8", "YUYV", "YUY2", "yuyv422", "yuv422_yuy2", [];
    /// 4:2:2 in one plane: Cb, Y, Cr, Y. Its width is even.
    Uyvy = 0x0702 "uyvy", 8, YuvPacked, [plane(32, 2, 1, 1)], whole 2 1;
        0x0210001F "YUV422_8_UYVY", "UYVY", "UYVY", "uyvy422", "yuv422", [];
    /// 4:2:2 of 10 bits, six pixels in 16 bytes, rows of whole 128 bytes. Its width is even.
    V210 = 0x070A "v210", 10, V210, [plane(1024, 48, 1, 1)], whole 2 128;
        0 "", "", "v210", "", "", [];
    /// A Bayer mosaic that begins with the rows RG and GB, one byte a pixel.
    BayerRggb8 = 0x1008 "bayer_rggb8", 8, Bayer(Rggb), [plane(8, 1, 1, 1)], whole 1 1;
        0x01080009 "BayerRG8", "RGGB", "rggb", "bayer_rggb8", "bayer_rggb8", [];
    /// A Bayer mosaic that begins with the rows GR and BG, one byte a pixel.
    BayerGrbg8 = 0x1108 "bayer_grbg8", 8, Bayer(Grbg), [plane(8, 1, 1, 1)], whole 1 1;
        0x01080008 "BayerGR8", "GRBG", "grbg", "bayer_grbg8", "bayer_grbg8", [];
    /// A Bayer mosaic that begins with the rows GB and RG, one byte a pixel.
    BayerGbrg8 = 0x1208 "bayer_gbrg8", 8, Bayer(Gbrg), [plane(8, 1, 1, 1)], whole 1 1;
        0x0108000A "BayerGB8", "GBRG", "gbrg", "bayer_gbrg8", "bayer_gbrg8", [];
    /// A Bayer mosaic that begins with the rows BG and GR, one byte a pixel.
    BayerBggr8 = 0x1308 "bayer_bggr8", 8, Bayer(Bggr), [plane(8, 1, 1, 1)], whole 1 1;
        0x0108000B "BayerBG8", "BA81", "bggr", "bayer_bggr8", "bayer_bggr8", [];
    /// A Bayer mosaic that begins with the rows RG and GB, 10 bits in 16.
    BayerRggb10 = 0x100A "bayer_rggb10", 10, Bayer(Rggb), [plane(16, 1, 1, 1)], whole 1 2;
        0x0110000D "BayerRG10", "RG10", "rggb10le", "", "bayer_rggb16", [];
    /// A Bayer mosaic that begins with the rows GR and BG, 10 bits in 16.
    BayerGrbg10 = 0x110A "bayer_grbg10", 10, Bayer(Grbg), [plane(16, 1, 1, 1)], whole 1 2;
        0x0110000C "BayerGR10", "BA10", "grbg10le", "", "bayer_grbg16", [];
    /// A Bayer mosaic that begins with the rows GB and RG, 10 bits in 16.
    BayerGbrg10 = 0x120A "bayer_gbrg10", 10, Bayer(Gbrg), [plane(16, 1, 1, 1)], whole 1 2;
        0x0110000E "BayerGB10", "GB10", "gbrg10le", "", "bayer_gbrg16", [];
    /// A Bayer mosaic that begins with the rows BG and GR, 10 bits in 16.
    BayerBggr10 = 0x130A "bayer_bggr10", 10, Bayer(Bggr), [plane(16, 1, 1, 1)], whole 1 2;
        0x0110000F "BayerBG10", "BG10", "bggr10le", "", "bayer_bggr16", [];
    /// A Bayer mosaic that begins with the rows RG and GB, 12 bits in 16.
    BayerRggb12 = 0x100C "bayer_rggb12", 12, Bayer(Rggb), [plane(16, 1, 1, 1)], whole 1 2;
        0x01100011 "BayerRG12", "RG12", "rggb12le", "", "bayer_rggb16", [];
    /// A Bayer mosaic that begins with the rows GR and BG, 12 bits in 16.
    BayerGrbg12 = 0x110C "bayer_grbg12", 12, Bayer(Grbg), [plane(16, 1, 1, 1)], whole 1 2;
        0x01100010 "BayerGR12", "BA12", "grbg12le", "", "bayer_grbg16", [];
    /// A Bayer mosaic that begins with the rows GB and RG, 12 bits in 16.
    BayerGbrg12 = 0x120C "bayer_gbrg12", 12, Bayer(Gbrg), [plane(16, 1, 1, 1)], whole 1 2;
        0x01100012 "BayerGB12", "GB12", "gbrg12le", "", "bayer_gbrg16", [];
    /// A Bayer mosaic that begins with the rows BG and GR, 12 bits in 16.
    BayerBggr12 = 0x130C "bayer_bggr12", 12, Bayer(Bggr), [plane(16, 1, 1, 1)], whole 1 2;
        0x01100013 "BayerBG12", "BG12", "bggr12le", "", "bayer_bggr16", [];
    /// A Bayer mosaic that begins with the rows RG and GB, 16 bits.
    BayerRggb16 = 0x1010 "bayer_rggb16", 16, Bayer(Rggb), [plane(16, 1, 1, 1)], whole 1 2;
        0x0110002F "BayerRG16", "RG16", "rggb16le", "bayer_rggb16le", "bayer_rggb16", [];
    /// A Bayer mosaic that begins with the rows GR and BG, 16 bits.
    BayerGrbg16 = 0x1110 "bayer_grbg16", 16, Bayer(Grbg), [plane(16, 1, 1, 1)], whole 1 2;
        0x0110002E "BayerGR16", "GR16", "grbg16le", "bayer_grbg16le", "bayer_grbg16", [];
    /// A Bayer mosaic that begins with the rows GB and RG, 16 bits.
    BayerGbrg16 = 0x1210 "bayer_gbrg16", 16, Bayer(Gbrg), [plane(16, 1, 1, 1)], whole 1 2;
        0x01100030 "BayerGB16", "GB16", "gbrg16le", "bayer_gbrg16le", "bayer_gbrg16", [];
    /// A Bayer mosaic that begins with the rows BG and GR, 16 bits.
    BayerBggr16 = 0x1310 "bayer_bggr16", 16, Bayer(Bggr), [plane(16, 1, 1, 1)], whole 1 2;
        0x01100031 "BayerBG16", "BYR2", "bggr16le", "bayer_bggr16le", "bayer_bggr16", [];
    /// Distances, 16 bits; millimetres with most cameras.
    Depth16 = 0x0910 "depth16", 16, Depth, [plane(16, 1, 1, 1)], whole 1 2;
        0x011000B8 "Coord3D_C16", "Z16", "GRAY16_LE", "gray16le", "16UC1", [];
    /// Distances as IEEE floats of 32 bits; metres with most cameras.
    Depth32f = 0x0920 "depth32f", 32, DepthFloat, [plane(32, 1, 1, 1)], whole 1 4;
        0x012000BF "Coord3D_C32f", "", "", "grayf32le", "32FC1", [];
    /// Luma of 10 bits packed without a gap, as PFNC has it (not as MIPI or GigE Vision); carried as it is.
    Mono10p = 0x200A "mono10p", 10, Packed, [plane(10, 1, 1, 1)], whole 1 1;
        0x010A0046 "Mono10p", "", "", "", "", [];
    /// Luma of 12 bits packed without a gap, as PFNC has it (not as MIPI or GigE Vision); carried as it is.
    Mono12p = 0x200C "mono12p", 12, Packed, [plane(12, 1, 1, 1)], whole 1 1;
        0x010C0047 "Mono12p", "", "", "", "", [];
    /// A Bayer mosaic (RGGB) of 10 bits packed without a gap, as PFNC has it; carried as it is.
    BayerRggb10p = 0x210A "bayer_rggb10p", 10, Packed, [plane(10, 1, 1, 1)], whole 1 1;
        0x010A0058 "BayerRG10p", "", "", "", "", [];
    /// A Bayer mosaic (GRBG) of 10 bits packed without a gap, as PFNC has it; carried as it is.
    BayerGrbg10p = 0x220A "bayer_grbg10p", 10, Packed, [plane(10, 1, 1, 1)], whole 1 1;
        0x010A0056 "BayerGR10p", "", "", "", "", [];
    /// A Bayer mosaic (GBRG) of 10 bits packed without a gap, as PFNC has it; carried as it is.
    BayerGbrg10p = 0x230A "bayer_gbrg10p", 10, Packed, [plane(10, 1, 1, 1)], whole 1 1;
        0x010A0054 "BayerGB10p", "", "", "", "", [];
    /// A Bayer mosaic (BGGR) of 10 bits packed without a gap, as PFNC has it; carried as it is.
    BayerBggr10p = 0x240A "bayer_bggr10p", 10, Packed, [plane(10, 1, 1, 1)], whole 1 1;
        0x010A0052 "BayerBG10p", "", "", "", "", [];
    /// A Bayer mosaic (RGGB) of 12 bits packed without a gap, as PFNC has it; carried as it is.
    BayerRggb12p = 0x210C "bayer_rggb12p", 12, Packed, [plane(12, 1, 1, 1)], whole 1 1;
        0x010C0059 "BayerRG12p", "", "", "", "", [];
    /// A Bayer mosaic (GRBG) of 12 bits packed without a gap, as PFNC has it; carried as it is.
    BayerGrbg12p = 0x220C "bayer_grbg12p", 12, Packed, [plane(12, 1, 1, 1)], whole 1 1;
        0x010C0057 "BayerGR12p", "", "", "", "", [];
    /// A Bayer mosaic (GBRG) of 12 bits packed without a gap, as PFNC has it; carried as it is.
    BayerGbrg12p = 0x230C "bayer_gbrg12p", 12, Packed, [plane(12, 1, 1, 1)], whole 1 1;
        0x010C0055 "BayerGB12p", "", "", "", "", [];
    /// A Bayer mosaic (BGGR) of 12 bits packed without a gap, as PFNC has it; carried as it is.
    BayerBggr12p = 0x240C "bayer_bggr12p", 12, Packed, [plane(12, 1, 1, 1)], whole 1 1;
        0x010C0053 "BayerBG12p", "", "", "", "", [];
    /// Any bytes: a point cloud, a tensor, an encoded picture. A frame has 1 of them to as many as the format says, and frames of a stream differ.
    Bytes = 0xFF00 "bytes", 8, Bytes, [plane(8, 1, 1, 1)], whole 1 1;
        0 "", "", "", "", "", [];
}

impl PixelFormat {
    /// Its number on the wire.
    pub const fn code(self) -> u16 {
        self.row().code
    }

    /// The format with this number on the wire.
    pub fn from_wire(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.code() == code)
    }

    /// The name used on command lines and in messages.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Significant bits of a sample.
    pub const fn bits(self) -> u32 {
        self.row().bits
    }

    /// What a pixel is made of.
    pub const fn layout(self) -> PixelLayout {
        self.row().layout
    }

    /// Bytes of a sample, 1, 2 or 4; `None` where samples do not lie in whole little-endian words (v210, packed formats), and for
    /// bytes that are no samples.
    pub const fn sample_bytes(self) -> Option<u32> {
        match self.layout() {
            PixelLayout::V210 | PixelLayout::Packed | PixelLayout::Bytes => None,
            _ => Some(self.bits().next_power_of_two().div_ceil(8)),
        }
    }

    /// Its code in the GenICam Pixel Format Naming Convention.
    pub const fn pfnc(self) -> Option<u32> {
        match self.row().pfnc {
            0 => None,
            code => Some(code),
        }
    }

    /// Its name in the GenICam Pixel Format Naming Convention.
    pub const fn pfnc_name(self) -> Option<&'static str> {
        self.elsewhere(0)
    }

    /// Its four characters in Video4Linux, without spaces at the end.
    pub const fn v4l2(self) -> Option<&'static str> {
        self.elsewhere(1)
    }

    /// Its name in GStreamer: of `video/x-raw`, or of `video/x-bayer`.
    pub const fn gstreamer(self) -> Option<&'static str> {
        self.elsewhere(2)
    }

    /// Its name in ffmpeg, `-pix_fmt`.
    pub const fn ffmpeg(self) -> Option<&'static str> {
        self.elsewhere(3)
    }

    /// The encoding of a `sensor_msgs/msg/Image` with the same bytes. Several formats may share one: 10 and 12 bits are in 16.
    pub const fn ros(self) -> Option<&'static str> {
        self.elsewhere(4)
    }

    const fn elsewhere(self, which: usize) -> Option<&'static str> {
        let name = self.row().elsewhere[which];
        if name.is_empty() { None } else { Some(name) }
    }

    /// Every other name that is read as this format, each once.
    pub fn aliases(self) -> impl Iterator<Item = &'static str> {
        let row = self.row();
        let names = row.elsewhere.iter().chain(row.also).copied();
        names
            .enumerate()
            .filter(move |(at, name)| {
                let is_repeated = || row.elsewhere.iter().chain(row.also).take(*at).any(|before| before == name);
                !name.is_empty() && *name != row.name && !is_repeated() && Self::called(name) == Some(self)
            })
            .map(|(_, name)| name)
    }

    /// Bytes from one pixel to the next in the first plane, where pixels lie side by side in whole bytes; of those that are packed, what
    /// one takes, rounded up.
    pub const fn bytes_per_pixel(self) -> u32 {
        let first = self.rules()[0];
        first.bits.div_ceil(8 * first.pixels)
    }

    /// How many planes a frame has: one, two for nv12 and p010, three for the planar YUV formats.
    pub const fn planes(self) -> usize {
        self.rules().len()
    }

    /// By how much chroma is smaller than luma: (horizontally, vertically).
    pub const fn chroma_divisors(self) -> (u32, u32) {
        match self.layout() {
            PixelLayout::YuvPacked | PixelLayout::V210 => (2, 1),
            _ => {
                let rules = self.rules();
                let last = rules[rules.len() - 1];
                (last.across, last.down)
            }
        }
    }

    /// What the width, and what a stride, are multiples of.
    pub(super) const fn whole(self) -> (u32, u32) {
        self.row().whole
    }

    pub(super) const fn rules(self) -> &'static [PlaneRule] {
        self.row().planes
    }

    /// A plane there is not has the shape of the last one.
    pub(super) fn rule(self, plane: usize) -> PlaneRule {
        let rules = self.rules();
        rules[plane.min(rules.len() - 1)]
    }

    /// The format with this name, here or elsewhere, whatever its case. A name that several have is that of the one with the most
    /// bits, of several of these the first: `mono16` is gray16, though ROS has nothing else for gray10.
    fn called(name: &str) -> Option<Self> {
        let own = Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name));
        own.or_else(|| {
            let row = |format: &Self| format.row();
            let knows = |format: &Self| {
                let names = row(format).elsewhere.iter().chain(row(format).also);
                !name.is_empty() && names.into_iter().any(|known| known.eq_ignore_ascii_case(name))
            };
            let named = Self::ALL.into_iter().filter(knows);
            named.reduce(|best, format| if format.bits() > best.bits() { format } else { best })
        })
    }

    /// The name most like this one; `None` for a number, and for nothing.
    fn nearest(name: &str) -> Option<&'static str> {
        if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || name.starts_with("0x") {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let names = Self::ALL.into_iter().flat_map(|format| std::iter::once(format.name()).chain(format.aliases()));
        let distance = |known: &&str| strsim::damerau_levenshtein(&name, &known.to_ascii_lowercase());
        names.min_by_key(distance)
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PixelFormat {
    type Err = FormatError;

    /// Reads a name of the table, whatever its case: ours, or that of PFNC (as a name, or as a code: `0x01080001`), V4L2, GStreamer,
    /// ffmpeg or ROS.
    fn from_str(text: &str) -> Result<Self, FormatError> {
        // A V4L2 code of three characters has a space behind them.
        let name = text.trim();
        let code = name.strip_prefix("0x").or_else(|| name.strip_prefix("0X"));
        let by_code = code
            .filter(|code| !code.starts_with('+'))
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .filter(|code| *code != 0);
        let found = match by_code {
            Some(code) => Self::ALL.into_iter().find(|format| format.pfnc() == Some(code)),
            None => Self::called(name),
        };
        found.ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            FormatError::UnknownPixelFormat { nearest: Self::nearest(&text), text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wire_numbers_read_back() {
        for format in PixelFormat::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(format.name().to_ascii_uppercase().parse(), Ok(format));
            assert_eq!(PixelFormat::from_wire(format.code()), Some(format));
            assert_eq!(PixelFormat::from_wire(format as u16), Some(format));
            if let Some(code) = format.pfnc() {
                assert_eq!(format!("0x{code:08X}").parse(), Ok(format));
            }
            for alias in format.aliases() {
                assert_eq!(alias.parse(), Ok(format), "{alias}");
            }
        }
        assert_eq!(PixelFormat::from_wire(0), None);
    }

    #[test]
    fn every_name_elsewhere_is_read_as_a_format_with_the_same_bytes() {
        let shape = |format: PixelFormat| format.rules().iter().map(|rule| rule.bits).collect::<Vec<_>>();
        for format in PixelFormat::ALL {
            let row = format.row();
            for name in row.elsewhere.iter().chain(row.also).filter(|name| !name.is_empty()) {
                let read: PixelFormat = name.parse().unwrap();
                assert_eq!((shape(read), read.row().whole), (shape(format), row.whole), "{name}");
            }
        }
        let named = |name: &str| name.parse::<PixelFormat>().unwrap();
        assert_eq!(named("yuv422"), PixelFormat::Uyvy, "what ROS calls so is UYVY");
        assert_eq!(named("mono16"), PixelFormat::Gray16);
        assert_eq!(named("16UC1"), PixelFormat::Depth16);
        assert_eq!(named("AR24"), PixelFormat::Bgra32, "V4L2 names a word, whose bytes are the other way round");
        assert_eq!(named("bayer_rggb16"), PixelFormat::BayerRggb16);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_one() {
        let refused = |name: &str| name.parse::<PixelFormat>().unwrap_err().to_string();
        assert_eq!(
            refused("yuv421p"),
            "unknown pixel format 'yuv421p'; did you mean yuv420p? Its bytes must lie so; 'framewire formats' lists all"
        );
        assert!(refused("Mono12Packed").contains("did you mean mono12p? Its bytes must lie so"));
        assert!(refused("BayerRG9").contains("did you mean BayerRG8?"));
        assert!(refused("").contains("unknown pixel format ''; 'framewire"));
        assert!(refused("0x01080002").contains("'0x01080002'; 'framewire"));
        assert!(refused(&"x".repeat(1_000)).len() < 200);
    }

    #[test]
    fn a_sample_has_whole_bytes_where_it_has_an_own_word() {
        let bytes = |name: &str| name.parse::<PixelFormat>().unwrap().sample_bytes();
        assert_eq!([bytes("gray8"), bytes("gray10"), bytes("p010"), bytes("depth32f")], [1, 2, 2, 4].map(Some));
        assert_eq!([bytes("v210"), bytes("mono12p"), bytes("bytes")], [None; 3]);
    }
}
