//! What lies between the thread that makes pictures and the one that speaks for it.
//!
//! The first runs when nothing else wants the processor, so it may stand still for long wherever it is, with a lock in its hands. It
//! touches nothing but the desk and what lies on it; who serves others never waits for the desk. What it allocates comes from an
//! arena of its own, as long as the allocator has one for each thread: glibc has eight a core.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, TryLockError};
use std::thread::Thread;

use framewire_pictures::Limits;
use framewire_process::lock::lock;
use framewire_transport::FrameFormat;
use framewire_transport::frame::Frame;

use super::picture::PictureKind;
use super::tap::Wants;

/// A frame that is to be pictured.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) frame: Frame,
    pub(super) format: FrameFormat,
    /// Whether luma and chroma go from end to end.
    pub(super) is_full_range: bool,
    /// What was black and white in the picture before.
    pub(super) automatic: Option<Limits>,
    pub(super) wants: Wants,
}

/// What was made of a frame.
#[derive(Debug, Default)]
pub(super) struct MadePictures {
    /// JPEG, those that were wanted.
    pub(super) pictures: Vec<(PictureKind, Vec<u8>)>,
    /// What is black and white where that was found by what is in the frame.
    pub(super) automatic: Option<Limits>,
}

/// What was made of a frame; or why there is nothing.
pub(super) type Made = Result<MadePictures, String>;

#[derive(Debug, Default)]
struct Papers {
    task: Option<Task>,
    seen: Option<Frame>,
    made: Option<Made>,
}

/// A place for one task and what comes of it.
#[derive(Debug, Default)]
pub(super) struct Desk {
    papers: Mutex<Papers>,
    closed: AtomicBool,
    /// Who is told when something was put here for it.
    keeper: OnceLock<Thread>,
}

impl Desk {
    /// For the maker: its next task; waits for it. `None` once the desk is closed.
    pub(super) fn next_task(&self) -> Option<Task> {
        while !self.closed.load(Ordering::Acquire) {
            if let Some(task) = self.with_papers(|papers| papers.task.take()) {
                return Some(task);
            }
            std::thread::park();
        }
        None
    }

    /// For the maker: it needs the frame no more. Giving it back may wake somebody, which is not for the maker to do.
    pub(super) fn put_frame(&self, frame: Frame) {
        self.with_papers(|papers| papers.seen = Some(frame));
    }

    /// For the maker: what came of the task.
    pub(super) fn put_made(&self, made: Made) {
        self.with_papers(|papers| papers.made = Some(made));
    }

    fn with_papers<T>(&self, change: impl FnOnce(&mut Papers) -> T) -> T {
        let result = change(&mut lock(&self.papers));
        // Always: the keeper may have found the desk in use.
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
        result
    }

    /// For the keeper: is told from now on.
    pub(super) fn tell(&self, keeper: Thread) {
        // There is one keeper.
        let _ = self.keeper.set(keeper);
    }

    /// For the keeper: takes what lies there. `None` where the maker is at the desk, which tells the keeper when it leaves.
    pub(super) fn try_take(&self) -> Option<(Option<Frame>, Option<Made>)> {
        self.try_with_papers(|papers| (papers.seen.take(), papers.made.take()))
    }

    /// For the keeper: puts a task there. It stays where it was while the maker is at the desk.
    pub(super) fn try_put_task(&self, task: &mut Option<Task>) {
        self.try_with_papers(|papers| papers.task = task.take());
    }

    fn try_with_papers<T>(&self, change: impl FnOnce(&mut Papers) -> T) -> Option<T> {
        match self.papers.try_lock() {
            Ok(mut papers) => Some(change(&mut papers)),
            Err(TryLockError::Poisoned(poisoned)) => Some(change(&mut poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// For the keeper: has a task back that the maker has not taken. `None` too while the maker is at the desk.
    pub(super) fn try_take_back(&self) -> Option<Task> {
        self.try_with_papers(|papers| papers.task.take()).flatten()
    }

    /// For the keeper: no task follows. Returns what lies there and is of no use any more.
    pub(super) fn close(&self) -> (Option<Task>, Option<Frame>) {
        self.closed.store(true, Ordering::Release);
        self.try_with_papers(|papers| (papers.task.take(), papers.seen.take())).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Drop + '_ {
        lock(&self.papers)
    }
}
