//! Words that do not share a line of the cache with others.

/// A line of the cache of its own, so that what one end writes all the time does not slow down who reads its neighbour.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Line<T>(pub(crate) T);

impl<T> std::ops::Deref for Line<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
