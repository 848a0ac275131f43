//! A frame's rows without what is between them, where they are: nothing is copied.

use framewire_transport::frame::FrameFormat;

use crate::error::SinkError;

/// How a stream's frames are written without the bytes between rows.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    name: String,
    format: FrameFormat,
    packed: FrameFormat,
}

impl Rows {
    /// Of frames of `format`, for a sink that messages call `name`.
    ///
    /// # Errors
    /// Never for a format that there is: packed, it has no more bytes than with its stride.
    pub(crate) fn new(name: &str, format: &FrameFormat) -> Result<Self, SinkError> {
        let name = name.to_owned();
        match FrameFormat::new(format.pixel(), format.width(), format.height()) {
            Ok(packed) => Ok(Self { name, format: *format, packed }),
            Err(source) => Err(SinkError::Format { name, source }),
        }
    }

    /// Bytes of a frame's rows.
    pub(crate) fn bytes(&self) -> usize {
        self.packed.frame_bytes()
    }

    /// The rows of a frame, one after the other: all at once where there is nothing between them.
    ///
    /// # Errors
    /// A frame that has not the size of the format.
    pub(crate) fn of<'a>(
        &self,
        frame: &'a [u8],
    ) -> Result<impl Iterator<Item = &'a [u8]> + Clone + use<'a>, SinkError> {
        let expected = self.format.frame_bytes();
        if frame.len() != expected {
            return Err(SinkError::FrameSize { name: self.name.clone(), bytes: frame.len(), expected });
        }
        let (whole, rows) = if self.format == self.packed { (frame, &[][..]) } else { (&[][..], frame) };
        let (format, packed) = (self.format, self.packed);
        let rows = (0..format.pixel().planes()).flat_map(move |plane| {
            let begin: usize = (0..plane).map(|before| format.plane_bytes(before)).sum();
            let (stride, row_bytes) = (format.plane_stride(plane) as usize, packed.plane_stride(plane) as usize);
            let plane = rows.get(begin..begin + format.plane_bytes(plane)).unwrap_or_default();
            plane.chunks_exact(stride).map(move |row| &row[..row_bytes])
        });
        Ok(std::iter::once(whole).chain(rows))
    }
}
