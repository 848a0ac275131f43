//! What goes wrong at either end, sorted by what a program does about it.

use framewire_transport::frame::{FormatError, MetadataTooLong, PoolError};
use framewire_transport::share::EndpointError;
use framewire_transport::{
    AcceptStreamError, BindError, ConnectError, KeyError, NotSent, RecvError, SendError, ShareError,
};
use thiserror::Error as ThisError;

/// What a program does about an error: each is a class of its own in languages that have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A value that cannot be: an address, a number, a name. The program is to be changed.
    Argument,
    /// An array or a format that is not what the stream carries.
    Format,
    /// Nothing came, or nobody answered, in the time given: wait on.
    Timeout,
    /// The stream has ended.
    Ended,
    /// The program itself has closed it.
    Closed,
    /// The program holds every slot that it may: drop frames, or copy them.
    SlotsHeld,
    /// No stream of this name, or several.
    UnknownStream,
    /// The process that shares the stream is gone; reading goes on when it is back.
    Interrupted,
    /// What is at the other end refuses, or cannot be reached.
    Refused,
    /// The system has no more of something, or lacks it.
    System,
    /// This is a child of the process that made it.
    Forked,
}

/// What went wrong: the [code](framewire_transport::codes) and text of the transport's error, and the class.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{text}")]
pub struct Error {
    /// What a program does about it.
    pub class: Class,
    /// The same in every version.
    pub code: &'static str,
    /// What happened, with the value, and what to do about it.
    pub text: String,
}

impl Error {
    /// One of this library's own.
    pub fn new(class: Class, code: &'static str, text: impl Into<String>) -> Self {
        Self { class, code, text: text.into() }
    }

    /// The end was closed by this program.
    pub fn closed(what: &str) -> Self {
        Self::new(Class::Closed, "closed", format!("this {what} was closed; make a new one"))
    }

    /// The text in the words of a language: of each pair the first, an item of Rust's or a program's option, is said as the second. Those that others begin with come behind them.
    pub fn in_words(self, words: &[(&str, &str)]) -> String {
        // Most of what is told, and all of it that is told often, names none.
        if !self.text.contains("::") && !self.text.contains("--") {
            return self.text;
        }
        words.iter().fold(self.text, |text, (item, word)| text.replace(item, word))
    }

    fn of(class: Class, code: &'static str, error: &dyn std::error::Error) -> Self {
        Self::new(class, code, error.to_string())
    }
}

impl From<RecvError> for Error {
    fn from(error: RecvError) -> Self {
        let class = match error {
            RecvError::Timeout => Class::Timeout,
            RecvError::Ended => Class::Ended,
            RecvError::HoldsAllSlots { .. } => Class::SlotsHeld,
            RecvError::HubGone => Class::Interrupted,
            RecvError::Forked => Class::Forked,
            _ => Class::Refused,
        };
        Self::of(class, error.code(), &error)
    }
}

impl From<AcceptStreamError> for Error {
    fn from(error: AcceptStreamError) -> Self {
        let class = match error {
            AcceptStreamError::Timeout => Class::Timeout,
            _ => Class::Closed,
        };
        Self::of(class, error.code(), &error)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        let class = match error {
            SendError::Unanswered { .. } => Class::Timeout,
            SendError::Closed => Class::Closed,
            SendError::Forked => Class::Forked,
            SendError::Length { .. } | SendError::Metadata { .. } => Class::Format,
            SendError::Gaps { .. } | SendError::Foreign => Class::Argument,
            _ => Class::Refused,
        };
        Self::of(class, error.code(), &error)
    }
}

impl From<NotSent> for Error {
    fn from(not_sent: NotSent) -> Self {
        not_sent.error.into()
    }
}

impl From<BindError> for Error {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Share(error) => error.into(),
            BindError::Pool(error) => error.into(),
            error => {
                let class = match error {
                    BindError::InUse(_) => Class::Refused,
                    BindError::System(_) => Class::System,
                    _ => Class::Argument,
                };
                Self::of(class, error.code(), &error)
            }
        }
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Pool(error) => error.into(),
            error => {
                let class = match error {
                    ConnectError::SliceBytes(_)
                    | ConnectError::LengthsDiffer(_)
                    | ConnectError::Unprotected { .. }
                    | ConnectError::NoKey
                    | ConnectError::KeyUnused => Class::Argument,
                    _ => Class::System,
                };
                Self::of(class, error.code(), &error)
            }
        }
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        let class = match error {
            PoolError::Memory { .. } | PoolError::MemoryFiles(_) => Class::System,
            _ => Class::Argument,
        };
        Self::of(class, error.code(), &error)
    }
}

impl From<ShareError> for Error {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Endpoint(error) => error.into(),
            ShareError::Pool(error) => error.into(),
            error => {
                let class = match error {
                    ShareError::UnknownStream { .. } | ShareError::NoStreamYet { .. } => Class::UnknownStream,
                    ShareError::OutOfRange { .. } | ShareError::Name(_) => Class::Argument,
                    ShareError::Silent { .. } => Class::Timeout,
                    ShareError::HubGone { .. } => Class::Interrupted,
                    ShareError::Forked { .. } => Class::Forked,
                    ShareError::System(_)
                    | ShareError::Unsupported
                    | ShareError::Unsealed
                    | ShareError::DescriptorsLost { .. } => Class::System,
                    ShareError::Connect { ref source, .. } if is_lack(source) => Class::System,
                    _ => Class::Refused,
                };
                Self::of(class, error.code(), &error)
            }
        }
    }
}

/// Whether the system refused for want of descriptors or memory.
fn is_lack(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::AGAIN];
    Errno::from_io_error(error).is_some_and(|error| lacks.contains(&error))
}

impl From<EndpointError> for Error {
    fn from(error: EndpointError) -> Self {
        let class = match error {
            EndpointError::TooLong { .. } | EndpointError::Path { .. } => Class::Argument,
            _ => Class::System,
        };
        Self::of(class, error.code(), &error)
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        Self::of(Class::Argument, error.code(), &error)
    }
}

impl From<FormatError> for Error {
    fn from(error: FormatError) -> Self {
        Self::of(Class::Format, error.code(), &error)
    }
}

impl From<MetadataTooLong> for Error {
    fn from(error: MetadataTooLong) -> Self {
        Self::of(Class::Argument, error.code(), &error)
    }
}
