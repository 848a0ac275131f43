//! Frames as a sink needs them: rows packed, in the sink's pixel format.

use framewire_capture::colour::{bgr24_to_yuv, yuv_to_bgr24};
use framewire_transport::frame::{FrameFormat, PixelFormat};

use crate::error::SinkError;

/// Hands frames through where they are as needed, and through one buffer of its own where they are not.
pub(crate) struct Picture {
    name: String,
    from: FrameFormat,
    to: FrameFormat,
    scratch: Vec<u8>,
}

impl Picture {
    /// Turns frames of `from` into packed ones of `pixel`: itself, yuv444p out of bgr24, or bgr24 out of any.
    ///
    /// # Errors
    /// A picture that is too large in `pixel`.
    ///
    /// # Panics
    /// For any other pair.
    pub(crate) fn new(name: &str, from: &FrameFormat, pixel: PixelFormat) -> Result<Self, SinkError> {
        let possible = pixel == from.pixel()
            || pixel == PixelFormat::Bgr24
            || (from.pixel() == PixelFormat::Bgr24 && pixel == PixelFormat::Yuv444p);
        assert!(possible, "there is no way from {} to {pixel}", from.pixel());
        let to = FrameFormat::new(pixel, from.width(), from.height())
            .map_err(|source| SinkError::Format { name: name.to_owned(), source })?;
        let scratch = if to == *from { Vec::new() } else { vec![0; to.frame_bytes()] };
        Ok(Self { name: name.to_owned(), from: *from, to, scratch })
    }

    /// The packed picture in `frame`.
    ///
    /// # Errors
    /// A frame that has not the size of the format.
    pub(crate) fn packed<'a>(&'a mut self, frame: &'a [u8]) -> Result<&'a [u8], SinkError> {
        let expected = self.from.frame_bytes();
        if frame.len() != expected {
            return Err(SinkError::FrameSize { name: self.name.clone(), bytes: frame.len(), expected });
        }
        if self.from == self.to {
            return Ok(frame);
        }
        let converted = match (self.from.pixel(), self.to.pixel()) {
            (from, to) if from == to => return Ok(self.pack(frame)),
            (PixelFormat::Bgr24, _) => bgr24_to_yuv(frame, &self.from, &mut self.scratch, &self.to),
            (PixelFormat::Gray8, _) => return Ok(self.gray_to_bgr24(frame)),
            _ => yuv_to_bgr24(frame, &self.from, &mut self.scratch, &self.to),
        };
        converted.map_err(|source| SinkError::Picture { name: self.name.clone(), source })?;
        Ok(&self.scratch)
    }

    fn pack(&mut self, mut frame: &[u8]) -> &[u8] {
        let mut packed = &mut self.scratch[..];
        for plane in 0..self.from.pixel().planes() {
            let (stride, row) = (self.from.plane_stride(plane) as usize, self.to.plane_stride(plane) as usize);
            let (source, frame_rest) = frame.split_at(self.from.plane_bytes(plane));
            let (target, packed_rest) = packed.split_at_mut(self.to.plane_bytes(plane));
            for (source, target) in source.chunks_exact(stride).zip(target.chunks_exact_mut(row)) {
                target.copy_from_slice(&source[..row]);
            }
            (frame, packed) = (frame_rest, packed_rest);
        }
        &self.scratch
    }

    fn gray_to_bgr24(&mut self, frame: &[u8]) -> &[u8] {
        let rows = self.scratch.chunks_exact_mut(self.to.stride() as usize);
        for (source, target) in frame.chunks_exact(self.from.stride() as usize).zip(rows) {
            for (gray, pixel) in source.iter().zip(target.chunks_exact_mut(3)) {
                pixel.fill(*gray);
            }
        }
        &self.scratch
    }
}
