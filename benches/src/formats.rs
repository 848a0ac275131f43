//! The pictures that benchmarks move.

use framewire_transport::{FrameFormat, PixelFormat};

/// Slice sizes of the matrix, header included: loopback's, and that of Ethernet.
pub const SLICE_BYTES: [u16; 2] = [65_507, 1_472];

/// A format with the name it has in the reports.
#[derive(Debug, Clone, Copy)]
pub struct Picture {
    /// As in `end_to_end/1080p-gray8`.
    pub name: &'static str,
    /// Its geometry.
    pub format: FrameFormat,
}

impl Picture {
    /// 1920×1080, one byte a pixel: 2,073,600 bytes.
    pub fn full_hd_gray() -> Self {
        Self::new("1080p-gray8", PixelFormat::Gray8, 1920, 1080)
    }

    /// 640×480, one byte a pixel: 307,200 bytes.
    pub fn vga_gray() -> Self {
        Self::new("vga-gray8", PixelFormat::Gray8, 640, 480)
    }

    /// 3840×2160, three bytes a pixel: 24,883,200 bytes.
    pub fn ultra_hd_bgr() -> Self {
        Self::new("4k-bgr24", PixelFormat::Bgr24, 3840, 2160)
    }

    fn new(name: &'static str, pixel: PixelFormat, width: u32, height: u32) -> Self {
        let format = FrameFormat::new(pixel, width, height).expect("a picture of this size can be");
        Self { name, format }
    }

    /// Bytes of a frame.
    pub fn bytes(&self) -> usize {
        self.format.frame_bytes()
    }

    /// Bytes of a frame, as the wire says them.
    pub fn wire_bytes(&self) -> u32 {
        u32::try_from(self.bytes()).expect("a format's frames fit 32 bits")
    }
}
