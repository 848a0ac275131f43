//! Arrays of Python's on their way into a slot.

use std::ffi::CStr;

use framewire_ends::array::Item;
use framewire_ends::{Class, Error};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;

use crate::errors::{is_exception, raised};

/// An array that is to be copied; it stays where it is, and is read as it is at that moment.
pub(crate) struct Source {
    buffer: PyUntypedBuffer,
    item: Item,
    /// The outer dimensions; what is inside the last of them lies in one piece.
    outer: Vec<(usize, isize)>,
    piece_bytes: usize,
}

impl Source {
    /// What the buffer of an object is; without one, what NumPy makes of it.
    ///
    /// # Errors
    /// It has none; its items are not those of any format.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let buffer = buffer_of(object)?;
        let Some(item) = item_of(buffer.format(), buffer.item_size()) else {
            let error = wrong_items(buffer.format(), object);
            return Err(raised(py, error));
        };
        if buffer.suboffsets().is_some() {
            let text = "the array lies in pieces that are pointed to; send numpy.ascontiguousarray of it";
            return Err(raised(py, Error::new(Class::Format, "array-in-pieces", text)));
        }
        let mut outer: Vec<_> = buffer.shape().iter().copied().zip(buffer.strides().iter().copied()).collect();
        let mut piece_bytes = item.bytes();
        while let Some((items, stride)) = outer.last().copied() {
            // Where there is one item, it does not matter how far the next would be.
            if items != 1 && stride != piece_bytes.cast_signed() {
                break;
            }
            piece_bytes *= items;
            outer.pop();
        }
        Ok(Self { buffer, item, outer, piece_bytes })
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }

    pub(crate) fn item(&self) -> Item {
        self.item
    }

    /// Bytes of its items.
    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len_bytes()
    }

    /// Whether its items are put in another order, rather than copied row by row.
    pub(crate) fn is_reordered(&self) -> bool {
        let row_bytes = match self.shape() {
            [_, width, samples @ 1..=4] => width * samples * self.item.bytes(),
            [.., width] => width * self.item.bytes(),
            [] => 0,
        };
        self.piece_bytes < row_bytes
    }

    /// Copies the items one after the other, the last dimension first. What does not fit is left out.
    pub(crate) fn copy_into(&self, into: &mut [u8]) {
        if into.len() < self.bytes() || self.bytes() == 0 {
            return;
        }
        let from = self.buffer.buf_ptr().cast::<u8>().cast_const();
        let mut into = into.as_mut_ptr();
        // SAFETY: the buffer's items are where its shape and strides say, as its exporter answers for, and all of them together have the length that was looked
        // at above. Who writes into the array meanwhile has bytes of both pictures sent, and nothing else: they are copied through raw pointers.
        unsafe { copy(from, &self.outer, self.piece_bytes, &mut into) };
    }
}

/// An object's buffer; without one, that of what NumPy makes of it.
///
/// # Errors
/// There is none, as of dates and of memory of another device: says what was expected.
fn buffer_of(object: &Bound<'_, PyAny>) -> PyResult<PyUntypedBuffer> {
    let py = object.py();
    let found = PyUntypedBuffer::get(object).or_else(|error| {
        // What is no error is not this function's to judge: Ctrl-C, for one.
        if !is_exception(py, &error) || !object.hasattr("__array__")? {
            return Err(error);
        }
        crate::numpy::array(object).and_then(|array| PyUntypedBuffer::get(&array))
    });
    found.or_else(|error| {
        if !is_exception(py, &error) {
            return Err(error);
        }
        let kind = object.get_type().name()?;
        let text = format!(
            "a {kind} is no array of pixels ({}); send a NumPy array, or what has a buffer, of uint8, uint16 or float32",
            error.value(py)
        );
        let told = raised(py, Error::new(Class::Format, "no-array", text));
        told.set_cause(py, Some(error));
        Err(told)
    })
}

/// Copies pieces, the last dimension first, and moves the target on.
///
/// # Safety
/// Every piece is readable, and there is room for all of them.
unsafe fn copy(from: *const u8, outer: &[(usize, isize)], piece_bytes: usize, into: &mut *mut u8) {
    match outer {
        [] => {
            // SAFETY: the caller's; the target is a slot, which no array is in that is sent.
            unsafe { std::ptr::copy(from, *into, piece_bytes) };
            *into = into.wrapping_add(piece_bytes);
        }
        [(items, stride)] if piece_bytes <= 4 => {
            // SAFETY: the caller's.
            unsafe { copy_items(from, *items, *stride, piece_bytes, into) };
        }
        [(items, stride), inner @ ..] => {
            for place in 0..*items {
                let piece = from.wrapping_offset(stride * place.cast_signed());
                // SAFETY: one of the caller's pieces.
                unsafe { copy(piece, inner, piece_bytes, into) };
            }
        }
    }
}

/// Copies single items, without a call for each.
///
/// # Safety
/// As [`copy`].
unsafe fn copy_items(from: *const u8, items: usize, stride: isize, item_bytes: usize, into: &mut *mut u8) {
    /// # Safety
    /// As [`copy`], for items of this size.
    unsafe fn of<T: Copy>(from: *const u8, items: usize, stride: isize, into: *mut u8) {
        for place in 0..items {
            let item = from.wrapping_offset(stride * place.cast_signed()).cast::<T>();
            // SAFETY: the caller's.
            let item = unsafe { item.read_unaligned() };
            // SAFETY: the caller's.
            unsafe { into.cast::<T>().wrapping_add(place).write_unaligned(item) };
        }
    }
    let copy: unsafe fn(*const u8, usize, isize, *mut u8) = match item_bytes {
        1 => of::<u8>,
        2 => of::<u16>,
        3 => of::<[u8; 3]>,
        _ => of::<[u8; 4]>,
    };
    // SAFETY: the caller's.
    unsafe { copy(from, items, stride, *into) };
    *into = into.wrapping_add(items * item_bytes);
}

/// Items by their letter in `struct`, native or little-endian.
fn item_of(format: &CStr, item_bytes: usize) -> Option<Item> {
    let text = format.to_bytes();
    let letter = text.strip_prefix(b"@").or(text.strip_prefix(b"=")).or(text.strip_prefix(b"<")).unwrap_or(text);
    match (letter, item_bytes) {
        (b"B" | b"c" | b">B" | b"!B", 1) => Some(Item::U8),
        (b"H", 2) => Some(Item::U16),
        (b"f", 4) => Some(Item::F32),
        _ => None,
    }
}

fn wrong_items(format: &CStr, array: &Bound<'_, PyAny>) -> Error {
    let format = format.to_string_lossy();
    let dimensions = array.getattr("ndim").and_then(|count| count.extract::<usize>()).unwrap_or(0);
    let remedy = match format.trim_start_matches(['@', '=', '<', '>', '!']) {
        "?" => "; use array.view(numpy.uint8), or array * numpy.uint8(255)",
        "b" => "; use array.view(numpy.uint8) where that is what they mean",
        "h" => "; use array.view(numpy.uint16) where that is what they mean",
        "i" | "l" | "q" | "I" | "L" | "Q" => "; use array.astype(numpy.uint8), or numpy.uint16",
        // What has three dimensions has colours, which are of 8 bits.
        "e" | "d" if dimensions == 3 => "; use array.astype(numpy.uint8), after array * 255 where they are 0 to 1",
        "e" | "d" => "; use array.astype(numpy.float32)",
        "H" | "f" => " in this machine's byte order; use array.astype(array.dtype.newbyteorder('='))",
        _ => "",
    };
    // As NumPy says it, where it is NumPy's.
    let dtype = array.getattr("dtype").and_then(|dtype| dtype.str()).map(|dtype| dtype.to_string());
    let is = dtype.unwrap_or_else(|_| format!("'{}'", format.escape_debug()));
    let text = format!("an array of {is} is no picture: its items are to be uint8, uint16 or float32{remedy}");
    Error::new(Class::Format, "array-items", text)
}
