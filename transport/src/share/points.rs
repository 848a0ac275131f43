//! Places between the steps on shared memory, at which tests kill a process, and a fault that tests must notice. Without the feature
//! `crash-points` nothing is left of either.

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident,)*) => {
        /// A place between two steps.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// Every one, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$point),*];
        }
    };
}

points! {
    /// Hub: a frame is to be offered; nothing has been done.
    Offering,
    /// Hub: the word is in its place, and the hub has not noted it.
    OfferPut,
    /// Hub: the reader is to be woken, and its pipe is still empty.
    Waking,
    /// Hub: the frame is on offer, and the reader awake.
    Offered,
    /// Hub: what came back is taken out of the page, and is not free yet.
    Collecting,
    /// Hub: all that came back is free.
    Collected,
    /// Hub: a subscription is granted, and its descriptors have not been sent.
    Granting,
    /// Hub: they have.
    Granted,
    /// Reader: the descriptors have come, and nothing is mapped.
    Received,
    /// Reader: all is mapped.
    Subscribed,
    /// Reader: a frame is to be taken.
    Taking,
    /// Reader: its word is out of the page, and it is noted nowhere.
    Taken,
    /// Reader: the last clone of a frame is dropped, and the hub cannot know.
    GivingBack,
    /// Reader: it can.
    GivenBack,
    /// Reader: the hub is to be told, and has not been.
    Telling,
    /// Reader: it is about to sleep.
    Armed,
    /// Reader: it has been woken.
    Woken,
    /// Sender: its slots are mapped, and the hub does not know.
    SlotsMapped,
    /// Sender: a granted slot is taken out of the page.
    SlotTaken,
    /// Sender: the frame is in its slot, and its record is not written.
    Recording,
    /// Sender: the record is written, and nothing committed.
    Recorded,
    /// Sender: the frame is committed, and the hub may sleep.
    Committed,
    /// Hub: commits are taken out of the page, and no frame is made of them.
    CommitsTaken,
    /// Hub: a frame is made, and nobody has it.
    FrameMade,
    /// Hub: it is published, and the sender does not know.
    FramePublished,
    /// Hub: slots are granted, and the sender may sleep.
    SlotsGranted,
    /// Sender: it has said that it closes.
    Closing,
}

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::Point;

    /// Number of the point, or this.
    static POINT: AtomicU32 = AtomicU32::new(NONE);
    const NONE: u32 = u32::MAX;
    /// How often it is passed before.
    static PASSES: AtomicU32 = AtomicU32::new(0);
    static FORGETS: AtomicBool = AtomicBool::new(false);

    /// Has this process end as by a `kill -9` where it comes to `point`, having passed it so often before.
    pub fn arm(point: Point, passes: u32) {
        PASSES.store(passes, Ordering::Release);
        POINT.store(point as u32, Ordering::Release);
    }

    /// Has this process, as a hub, forget which slot a reader has taken: a fault that a test of torn frames must notice.
    pub fn forget_leases() {
        FORGETS.store(true, Ordering::Release);
    }

    /// The process is at this point.
    #[inline]
    pub(crate) fn at(point: Point) {
        if POINT.load(Ordering::Acquire) == point as u32
            && PASSES.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_err()
        {
            let this = rustix::process::getpid();
            let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
            // Until the signal is there.
            loop {
                std::thread::park();
            }
        }
    }

    /// Whether leases are forgotten.
    pub(crate) fn forgets_leases() -> bool {
        FORGETS.load(Ordering::Acquire)
    }
}
#[cfg(feature = "crash-points")]
pub use armed::{arm, forget_leases};
#[cfg(feature = "crash-points")]
pub(crate) use armed::{at, forgets_leases};

/// Nothing is at this point.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub(crate) fn at(_: Point) {}

/// None is forgotten.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub(crate) const fn forgets_leases() -> bool {
    false
}
