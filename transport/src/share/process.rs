//! Telling a process from those that were forked from it: what lies in memory shared with a hub belongs to the one that connected.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// This process, as none of its children is. To ask whether it is still the same one costs a load: the kernel wipes the page that is looked
/// at in every child (`MADV_WIPEONFORK`, Linux 4.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(u64);

/// How often a process of this line has been noted. A child begins with its parent's count.
static COUNT: AtomicU64 = AtomicU64::new(0);

impl Process {
    /// The one that calls.
    pub fn this() -> Self {
        let Some(mark) = mark() else { return Self(number()) };
        let fresh = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        // A page of zeroes is that of a process that has not been noted yet; another thread may be noting it.
        match mark.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Self(fresh),
            Err(noted) => Self(noted),
        }
    }

    /// Whether the one that calls is this one, and no child of it.
    pub fn is_this(self) -> bool {
        let now = mark().map_or_else(number, |mark| mark.load(Ordering::Relaxed));
        now == self.0
    }
}

fn number() -> u64 {
    rustix::process::getpid().as_raw_nonzero().get().unsigned_abs().into()
}

/// The word that is zero in a child; `None` where the kernel wipes no page.
fn mark() -> Option<&'static AtomicU64> {
    static MARK: OnceLock<Option<&'static AtomicU64>> = OnceLock::new();
    *MARK.get_or_init(|| {
        const BYTES: usize = 4096;
        // SAFETY: a new mapping, at a place that the kernel chooses.
        let page = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        let page = page.ok()?;
        // SAFETY: the page mapped just now, of which nobody has a reference yet; in this process the advice changes nothing.
        let advised = unsafe { rustix::mm::madvise(page, BYTES, Advice::LinuxWipeOnFork) };
        if let Err(error) = advised {
            tracing::debug!(%error, "no page is wiped when a process forks; its number is asked for instead");
            // SAFETY: as above.
            let _gone = unsafe { rustix::mm::munmap(page, BYTES) };
            return None;
        }
        // SAFETY: the page is never unmapped, is zeroes, and aligned to more than eight bytes; nobody uses it but as this word.
        Some(unsafe { AtomicU64::from_ptr(page.cast()) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_the_same_for_all_its_threads_and_another_in_a_child() {
        let this = Process::this();
        assert_eq!(std::thread::spawn(Process::this).join().unwrap(), this);
        assert!(this.is_this() && mark().is_some());
        // SAFETY: the child touches nothing but words of its own, and ends without running anything of this program.
        match unsafe { libc::fork() } {
            0 => {
                let child = Process::this();
                let is_told = !this.is_this() && child != this && child.is_this();
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(!is_told)) };
            }
            child => {
                let mut status = 0;
                // SAFETY: the pointer is to an int.
                let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
                assert_eq!((waited, status), (child, 0));
            }
        }
        assert!(this.is_this());
    }
}
