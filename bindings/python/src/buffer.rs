//! Python's buffer protocol: memory with a shape, which whoever has a view of it keeps.

use std::ffi::{CStr, c_int};
use std::ptr;

use framewire_ends::array::{ArrayLayout, DIMENSIONS_MAX, Item};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

/// Memory to make a view of. It stays where it is, and is nobody else's, until the view is given back.
pub(crate) struct Memory {
    pub(crate) first: *mut u8,
    pub(crate) layout: ArrayLayout,
    /// What is said to who asks to write; `None` where that is allowed.
    pub(crate) read_only: Option<&'static str>,
}

/// What a view points to besides the memory.
struct Sides {
    shape: [ffi::Py_ssize_t; DIMENSIONS_MAX],
    strides: [ffi::Py_ssize_t; DIMENSIONS_MAX],
}

/// What views are made of. While it has one, its memory stays.
pub(crate) trait Viewed {
    /// Counts a view of a part of it.
    ///
    /// # Errors
    /// The memory was given back.
    fn add_view(&self, py: Python<'_>, layout: ArrayLayout) -> PyResult<Memory>;

    /// Counts one less.
    fn remove_view(&self);
}

/// Gives a view out that `owner` keeps alive: `__getbuffer__`.
///
/// # Errors
/// `BufferError` where the memory is not as the flags ask for it; it was given back.
///
/// # Safety
/// `view` is one that the interpreter hands to `__getbuffer__` of `owner`, which keeps `viewed`; the layout is inside the memory of that.
pub(crate) unsafe fn give(
    viewed: &impl Viewed,
    layout: ArrayLayout,
    owner: Bound<'_, PyAny>,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    let memory = viewed.add_view(owner.py(), layout)?;
    // SAFETY: the caller's view; the memory stays while it has one.
    let filled = unsafe { fill(view, flags, owner, &memory) };
    filled.inspect_err(|_| viewed.remove_view())
}

/// Takes a view back: `__releasebuffer__`.
///
/// # Safety
/// `view` is one that [`give`] gave for the same, and is taken back once.
pub(crate) unsafe fn take_back(viewed: &impl Viewed, view: *mut ffi::Py_buffer) {
    // SAFETY: the interpreter's.
    let sides = unsafe { (*view).internal }.cast::<Sides>();
    if !sides.is_null() {
        // SAFETY: `fill` made it, and nobody has freed it.
        drop(unsafe { Box::from_raw(sides) });
    }
    viewed.remove_view();
}

/// Fills a view as it was asked for.
///
/// # Errors
/// `BufferError` where the memory is not as the flags ask for it.
///
/// # Safety
/// `view` is one that the interpreter hands to `__getbuffer__`; the memory holds what its layout says, and `owner` keeps it until it is taken back.
unsafe fn fill(view: *mut ffi::Py_buffer, flags: c_int, owner: Bound<'_, PyAny>, memory: &Memory) -> PyResult<()> {
    if view.is_null() {
        return Err(PyBufferError::new_err("there is no view to fill"));
    }
    // SAFETY: the interpreter's; an error leaves it without an owner.
    unsafe { (*view).obj = ptr::null_mut() };
    let layout = &memory.layout;
    let asks = |flag: c_int| flags & flag == flag;
    if let Some(why) = memory.read_only.filter(|_| asks(ffi::PyBUF_WRITABLE)) {
        return Err(PyBufferError::new_err(why));
    }
    let is_one_row = layout.shape().len() == 1;
    if !layout.is_contiguous() {
        let needs_it = asks(ffi::PyBUF_C_CONTIGUOUS) || asks(ffi::PyBUF_ANY_CONTIGUOUS) || !asks(ffi::PyBUF_STRIDES);
        if needs_it {
            let text = format!(
                "rows are {} bytes apart and {} long: ask for a view with strides, as NumPy does, or copy them",
                layout.strides()[0],
                layout.shape()[1..].iter().product::<usize>() * layout.item.bytes()
            );
            return Err(PyBufferError::new_err(text));
        }
    }
    if asks(ffi::PyBUF_F_CONTIGUOUS) && !is_one_row {
        return Err(PyBufferError::new_err("columns lie in rows here, not rows in columns (no Fortran order)"));
    }
    let mut sides = Box::new(Sides { shape: [0; DIMENSIONS_MAX], strides: [0; DIMENSIONS_MAX] });
    for (place, (items, stride)) in layout.shape().iter().zip(layout.strides()).enumerate() {
        (sides.shape[place], sides.strides[place]) = (items.cast_signed(), stride.cast_signed());
    }
    let sides = Box::into_raw(sides);
    let has_shape = asks(ffi::PyBUF_ND);
    // SAFETY: just made.
    let shape = unsafe { &raw mut (*sides).shape };
    // SAFETY: as above.
    let strides = unsafe { &raw mut (*sides).strides };
    let filled = ffi::Py_buffer {
        buf: memory.first.cast(),
        obj: owner.into_ptr(),
        len: layout.item_bytes().cast_signed(),
        itemsize: layout.item.bytes().cast_signed(),
        readonly: c_int::from(memory.read_only.is_some()),
        // Without a shape it is one row of bytes.
        ndim: if has_shape { layout.shape().len() as c_int } else { 1 },
        format: if asks(ffi::PyBUF_FORMAT) { letter(layout.item).as_ptr().cast_mut() } else { ptr::null_mut() },
        shape: if has_shape { shape.cast() } else { ptr::null_mut() },
        strides: if asks(ffi::PyBUF_STRIDES) { strides.cast() } else { ptr::null_mut() },
        suboffsets: ptr::null_mut(),
        internal: sides.cast(),
    };
    // SAFETY: the interpreter's, and writable.
    unsafe { ptr::write(view, filled) };
    Ok(())
}

/// As `struct` writes it.
fn letter(item: Item) -> &'static CStr {
    match item {
        Item::U8 => c"B",
        Item::U16 => c"H",
        Item::F32 => c"f",
    }
}
