//! One plane of a frame or a slot: what its array is made over.

use std::ffi::c_int;

use framewire_ends::array::ArrayLayout;
use framewire_transport::FrameFormat;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::buffer;
use crate::frame::Frame;
use crate::numpy;
use crate::slot::Slot;

/// Whose plane it is.
pub(crate) enum Owner {
    Frame(Py<Frame>),
    Slot(Py<Slot>),
}

impl Owner {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Frame(frame) => Self::Frame(frame.clone_ref(py)),
            Self::Slot(slot) => Self::Slot(slot.clone_ref(py)),
        }
    }
}

/// It keeps what it is a plane of.
#[pyclass(frozen, module = "framewire._native")]
pub(crate) struct Plane {
    owner: Owner,
    layout: ArrayLayout,
}

/// Arrays over all planes, in place.
///
/// # Errors
/// There is no NumPy.
pub(crate) fn arrays<'py>(
    py: Python<'py>,
    owner: &Owner,
    format: &FrameFormat,
    bytes: usize,
) -> PyResult<Bound<'py, PyTuple>> {
    let count = format.pixel().planes();
    let layouts = (0..count).filter_map(|plane| match count {
        // Of bytes, as many as there are.
        1 => ArrayLayout::of_frame(format, bytes),
        _ => ArrayLayout::of_plane(format, plane),
    });
    let arrays = layouts.map(|layout| {
        let plane = Bound::new(py, Plane { owner: owner.clone_ref(py), layout })?;
        numpy::array(plane.as_any())
    });
    PyTuple::new(py, arrays.collect::<PyResult<Vec<_>>>()?)
}

#[pymethods]
impl Plane {
    #[allow(unsafe_code, reason = "the interpreter's protocol")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let (plane, this) = (slf.get(), slf.clone().into_any());
        match &plane.owner {
            // SAFETY: the interpreter's view; the layout is that of a plane of the frame, which this keeps.
            Owner::Frame(frame) => unsafe { buffer::give(frame.get(), plane.layout, this, view, flags) },
            // SAFETY: as above, of a slot.
            Owner::Slot(slot) => unsafe { buffer::give(slot.get(), plane.layout, this, view, flags) },
        }
    }

    #[allow(unsafe_code, reason = "the interpreter's protocol")]
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        match &self.owner {
            // SAFETY: the interpreter gives back what it was given, once.
            Owner::Frame(frame) => unsafe { buffer::take_back(frame.get(), view) },
            // SAFETY: as above.
            Owner::Slot(slot) => unsafe { buffer::take_back(slot.get(), view) },
        }
    }
}
