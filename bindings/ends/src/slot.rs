//! A slot to write the next frame into, and how many of them a program has in its hands.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use framewire_transport::FrameMut;
use framewire_transport::frame::Hold;

use crate::error::{Class, Error};

/// A slot to write the next frame into: a [`FrameMut`] that is counted as long as the program has it.
pub struct Slot {
    // Dropped first: who sees the slot free sees it counted no more.
    in_hands: Option<Arc<InHands>>,
    frame: FrameMut,
}

/// A hold on a slot for addresses in it that a program keeps beyond its sending: the slot is no other frame's before it is dropped. It gives no access.
pub struct SlotHold {
    _in_hands: Option<Arc<InHands>>,
    _hold: Hold,
}

impl Slot {
    /// Keeps the slot, and has it counted, for addresses in it that live on. Whoever writes through one once the frame is sent races with its readers.
    pub fn hold(&self) -> SlotHold {
        SlotHold { _in_hands: self.in_hands.clone(), _hold: self.frame.hold() }
    }

    /// Has it counted.
    pub(crate) fn count_in(&mut self, held: &SlotsHeld) {
        self.in_hands = Some(Arc::new(InHands::new(held)));
    }

    pub(crate) fn into_frame(self) -> FrameMut {
        self.frame
    }
}

impl From<FrameMut> for Slot {
    fn from(frame: FrameMut) -> Self {
        Self { in_hands: None, frame }
    }
}

impl Deref for Slot {
    type Target = FrameMut;

    fn deref(&self) -> &FrameMut {
        &self.frame
    }
}

impl DerefMut for Slot {
    fn deref_mut(&mut self) -> &mut FrameMut {
        &mut self.frame
    }
}

/// How many slots the program has in its hands.
#[derive(Clone, Default)]
pub(crate) struct SlotsHeld(Arc<AtomicUsize>);

impl SlotsHeld {
    /// Looks whether one can come free without the program.
    ///
    /// # Errors
    /// [`Class::SlotsHeld`]: it has all of the stream's.
    pub(crate) fn check(&self, slots: usize) -> Result<(), Error> {
        let held = self.0.load(Ordering::Acquire);
        if held < slots {
            return Ok(());
        }
        let text = format!(
            "this program holds all {held} slots of the stream, by slots that it has not sent or by arrays of those that it has; send or give them back, \
             copy what is to be kept, or ask for more slots"
        );
        Err(Error::new(Class::SlotsHeld, "holds-all-slots", text))
    }
}

/// One slot that the program has.
struct InHands(SlotsHeld);

impl InHands {
    fn new(held: &SlotsHeld) -> Self {
        held.0.fetch_add(1, Ordering::AcqRel);
        Self(held.clone())
    }
}

impl Drop for InHands {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
