//! What every call has in common: no panic leaves it, errors go where its caller says, and structs are as large as its caller knows them.

use std::ffi::{CStr, c_char};
use std::mem::{MaybeUninit, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use framewire_ends::{Class, Error};

use crate::result::{fw_error, fw_result};

/// Where a caller wants something put; nowhere where it passed NULL.
pub(crate) type Place<'a, T> = Option<&'a mut MaybeUninit<T>>;

/// Where a caller wants an error put.
pub(crate) type ErrorPlace<'a> = Place<'a, Option<Box<fw_error>>>;

pub(crate) fn put<T>(place: Place<'_, T>, value: T) {
    // Where there is no place, what is handed out is given back.
    if let Some(place) = place {
        place.write(value);
    }
}

/// Does what a call does; says what became of it.
pub(crate) fn call(err: ErrorPlace<'_>, run: impl FnOnce() -> Result<fw_result, Error>) -> fw_result {
    let (result, error) = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(result)) => (result, None),
        Ok(Err(error)) => (fw_result::of(error.class), Some(Box::new(error.into()))),
        Err(panic) => (fw_result::FW_ERROR_PANIC, Some(Box::new(fw_error::of_panic(&*panic)))),
    };
    put(err, error);
    result
}

/// Makes something that the caller is to have.
pub(crate) fn make<T>(err: ErrorPlace<'_>, run: impl FnOnce() -> Result<T, Error>) -> Option<T> {
    let mut made = None;
    call(err, || {
        made = Some(run()?);
        Ok(fw_result::FW_OK)
    });
    made
}

/// Says something of a handle that cannot go wrong; of NULL, and where it does, `otherwise`.
pub(crate) fn say<H, T>(handle: Option<&H>, otherwise: T, run: impl FnOnce(&H) -> T) -> T {
    let Some(handle) = handle else { return otherwise };
    catch_unwind(AssertUnwindSafe(|| run(handle))).unwrap_or(otherwise)
}

/// A handle that is not NULL.
///
/// # Errors
/// It is.
pub(crate) fn not_null<'a, T>(handle: Option<&'a T>, what: &str) -> Result<&'a T, Error> {
    handle.ok_or_else(|| null(what))
}

/// The same of one that is changed.
///
/// # Errors
/// It is NULL.
pub(crate) fn not_null_mut<'a, T>(handle: Option<&'a mut T>, what: &str) -> Result<&'a mut T, Error> {
    handle.ok_or_else(|| null(what))
}

pub(crate) fn null(what: &str) -> Error {
    let text = format!("the {what} is NULL; pass one (was the call that made it looked at for an error?)");
    Error::new(Class::Argument, "null-pointer", text)
}

/// How long to wait: without end below 0.
pub(crate) fn wait(timeout_ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(timeout_ns).unwrap_or(i64::MAX as u64))
}

/// A text that may be NULL.
///
/// # Errors
/// It is not UTF-8.
///
/// # Safety
/// `text` is NULL or ends with a zero, and stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>, Error> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: as this function asks for.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| {
        let text = format!("the {what} '{}' is not UTF-8; use UTF-8", text.to_string_lossy().escape_debug());
        Error::new(Class::Argument, "not-utf-8", text)
    })
}

/// Bytes that may be none.
///
/// # Errors
/// NULL, though there should be some.
///
/// # Safety
/// There are `bytes` bytes from `data` on that stay as they are for `'a`, unless it is NULL.
pub(crate) unsafe fn bytes<'a>(data: *const u8, bytes: usize, what: &str) -> Result<&'a [u8], Error> {
    if bytes == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(what));
    }
    if isize::try_from(bytes).is_err() {
        let text = format!("the {what} of {bytes} bytes cannot be; pass how many there are");
        return Err(Error::new(Class::Argument, "length", text));
    }
    // SAFETY: as this function asks for; the length has been checked.
    Ok(unsafe { std::slice::from_raw_parts(data, bytes) })
}

/// A struct that begins with its size, as the caller knows it.
///
/// # Safety
/// It begins with a `usize`, has no padding, all bytes zero are a value of it, and so is whatever a program may put into its fields.
pub(crate) unsafe trait Growing: Copy {
    /// What it is called.
    const NAME: &'static str;

    /// Where its fields end, bytes from its first.
    const ENDS: &'static [usize];

    /// All bytes zero.
    fn zero() -> Self {
        // SAFETY: a value, as the trait says.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }
}

/// Says that a struct is [`Growing`], with all of its fields in their order. Of integers, arrays of them and pointers that may be NULL alone, the first a
/// `usize` for its size. That it has no padding, which programs leave as it is, is checked.
macro_rules! growing {
    ($struct:ident { $($field:ident),+ $(,)? }) => {
        // SAFETY: as this macro asks for; the padding is looked at below.
        unsafe impl $crate::border::Growing for $struct {
            const NAME: &'static str = stringify!($struct);
            const ENDS: &'static [usize] = &[
                $(std::mem::offset_of!($struct, $field) + $crate::border::bytes_of(|all: &$struct| &raw const all.$field)),+
            ];
        }

        const _: () = assert!(
            $crate::border::are_in_one_piece(
                &[$(std::mem::offset_of!($struct, $field)),+],
                <$struct as $crate::border::Growing>::ENDS,
                size_of::<$struct>(),
            ),
            "a struct with padding, or with a field that is not named"
        );
    };
}

pub(crate) use growing;

/// Bytes of a field.
pub(crate) const fn bytes_of<T, F>(_: fn(&T) -> *const F) -> usize {
    size_of::<F>()
}

/// Whether each field begins where the one before ends, from the struct's first byte to its last. Where addresses have 32 bits there may be gaps within it.
pub(crate) const fn are_in_one_piece(starts: &[usize], ends: &[usize], bytes: usize) -> bool {
    let (mut end, mut field) = (0, 0);
    while field < starts.len() {
        if starts[field] != end && cfg!(target_pointer_width = "64") {
            return false;
        }
        end = ends[field];
        field += 1;
    }
    end == bytes
}

/// The most that a struct may grow to: what is larger was not set.
const SIZE_MAX: usize = 4_096;

/// Options as the caller gives them: what it does not know of, and all of NULL, is zero.
///
/// # Errors
/// A size that cannot be; something is asked for that only a later version knows.
///
/// # Safety
/// `options` is NULL or points to a `usize` that says how many bytes there are from it on.
pub(crate) unsafe fn options<T: Growing>(options: *const T) -> Result<T, Error> {
    let mut known = T::zero();
    if options.is_null() {
        return Ok(known);
    }
    // SAFETY: as this function asks for: at least a `usize`.
    let size = unsafe { options.cast::<usize>().read() };
    check_size::<T>(size)?;
    // SAFETY: as many bytes as its size says, which has been looked at.
    let given = unsafe { std::slice::from_raw_parts(options.cast::<u8>(), size) };
    let (head, tail) = given.split_at(size.min(size_of::<T>()));
    if tail.iter().any(|byte| *byte != 0) {
        let text = format!(
            "{} of {size} bytes asks for what this version ({}) does not know; leave its last fields 0, or use a later library",
            T::NAME,
            env!("CARGO_PKG_VERSION")
        );
        return Err(Error::new(Class::Argument, "unknown-option", text));
    }
    // SAFETY: no more bytes than it has, and any are a value.
    unsafe { std::ptr::copy_nonoverlapping(head.as_ptr(), (&raw mut known).cast::<u8>(), head.len()) };
    Ok(known)
}

/// Writes as much of a struct as the caller knows of; its size stays.
///
/// # Errors
/// NULL, or a size that cannot be.
///
/// # Safety
/// `place` is NULL or points to a `usize` that says how many bytes there are from it on.
pub(crate) unsafe fn write<T: Growing>(place: *mut T, value: &T) -> Result<(), Error> {
    if place.is_null() {
        return Err(null(T::NAME));
    }
    // SAFETY: as this function asks for: at least a `usize`.
    let size = unsafe { place.cast::<usize>().read() };
    check_size::<T>(size)?;
    // SAFETY: neither of the two is that short.
    let from = unsafe { (&raw const *value).cast::<u8>().add(size_of::<usize>()) };
    // SAFETY: neither of the two is that short.
    let to = unsafe { place.cast::<u8>().add(size_of::<usize>()) };
    // SAFETY: both have as many bytes behind their size.
    unsafe { std::ptr::copy_nonoverlapping(from, to, size.min(size_of::<T>()) - size_of::<usize>()) };
    Ok(())
}

fn check_size<T: Growing>(size: usize) -> Result<(), Error> {
    // What a program of an earlier version knows ends with a field; of a later one's, that is not known here.
    let is_whole = if size < size_of::<T>() { T::ENDS.contains(&size) } else { size <= SIZE_MAX };
    if is_whole && size.is_multiple_of(4) {
        return Ok(());
    }
    let text = format!("the size of {} cannot be {size}; set its field size to sizeof ({})", T::NAME, T::NAME);
    Err(Error::new(Class::Argument, "struct-size", text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fw_output_options;

    #[test]
    fn a_size_is_that_of_whole_fields() {
        let is_taken = |size| check_size::<fw_output_options>(size).is_ok();
        let all = size_of::<fw_output_options>();
        assert!([size_of::<usize>(), all, all + align_of::<usize>(), SIZE_MAX].into_iter().all(is_taken));
        for wrong in [0, 1, size_of::<usize>() + 1, all - 1, all + 1, all + 3, SIZE_MAX + 8] {
            assert!(!is_taken(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_is_behind_the_last_field_that_is_known_is_zero() {
        let mut given = [fw_output_options::zero(); 2];
        given[0].size = size_of_val(&given);
        // SAFETY: as many bytes as its size says.
        assert!(unsafe { options(given.as_ptr()) }.is_ok());
        given[1].protection = 1;
        // SAFETY: as above.
        assert_eq!(unsafe { options(given.as_ptr()) }.unwrap_err().code, "unknown-option");
    }
}
