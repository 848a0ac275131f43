//! For tests alone: sees to it that no key ever seals two things under one nonce, which would give both away, and the key of the tags.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often each key has sealed under each nonce.
type Seals = HashMap<(u64, [u8; 12]), u32>;

/// Whether one is going on: sealing asks this, and nothing else, while none is.
static IS_RECORDING: AtomicBool = AtomicBool::new(false);
static SEALS: Mutex<Option<Seals>> = Mutex::new(None);
/// One at a time.
static ONE: Mutex<()> = Mutex::new(());

/// All that the process seals while it is there: which key, under which nonce. In builds without debug assertions it sees nothing
/// ([`Recording::IS_LIVE`]), and sealing knows nothing of it.
///
/// A key that is derived twice is one key: a program that opens a known handshake twice has sealed twice under its nonces. Tests that record
/// are in a program of their own.
pub struct Recording {
    _one: MutexGuard<'static, ()>,
}

impl Recording {
    /// Whether recordings see anything in this build.
    pub const IS_LIVE: bool = cfg!(debug_assertions);

    /// Begins one, once any other has ended.
    pub fn begin() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        *seals() = Some(HashMap::new());
        IS_RECORDING.store(true, Ordering::Release);
        Self { _one: one }
    }

    /// How often something was sealed, and how often under a key and nonce that had been before: never, in a right program.
    pub fn seen(&self) -> (usize, usize) {
        let seals = seals();
        let counts = seals.as_ref().map(|seals| seals.values().map(|times| *times as usize));
        let (all, distinct) =
            counts.map_or((0, 0), |counts| counts.fold((0, 0), |(all, one), times| (all + times, one + 1)));
        (all, all - distinct)
    }

    /// How many keys sealed something.
    pub fn keys(&self) -> usize {
        let seals = seals();
        let keys = seals.iter().flat_map(HashMap::keys).map(|(key, _)| key);
        keys.collect::<HashSet<_>>().len()
    }

    #[inline]
    pub(super) fn seals(key: u64, nonce: &[u8; 12]) {
        if IS_RECORDING.load(Ordering::Acquire)
            && let Some(seals) = &mut *seals()
        {
            *seals.entry((key, *nonce)).or_default() += 1;
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        IS_RECORDING.store(false, Ordering::Release);
        *seals() = None;
    }
}

fn seals() -> MutexGuard<'static, Option<Seals>> {
    SEALS.lock().unwrap_or_else(PoisonError::into_inner)
}
