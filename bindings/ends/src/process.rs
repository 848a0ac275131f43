//! Whose an end is after a fork: its threads are in the process that made it, and nowhere else.

use framewire_transport::share::Process as Made;

use crate::error::{Class, Error};

/// The process that something was made in. To ask whether it is still the same costs a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(Made);

impl Process {
    pub(crate) fn this() -> Self {
        Self(Made::this())
    }

    pub(crate) fn is_this(self) -> bool {
        self.0.is_this()
    }

    /// # Errors
    /// [`Class::Forked`] in a child. To be asked before any lock, which a thread of the parent may have held.
    pub(crate) fn check(self, what: &str) -> Result<(), Error> {
        if self.is_this() {
            return Ok(());
        }
        let text =
            format!("this process was forked from the one that made the {what}, which alone may use it; make one here");
        Err(Error::new(Class::Forked, "forked", text))
    }
}
