//! A connection that asks which streams there are, and may want to hear of changes: what it has been told, and what is still to be said.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::stream::SharedStream;
use crate::share::messages::{Described, FromHub, Name, Packet};
use crate::share::socket::packet::{self, PacketError};

/// What one connection knows of the hub's streams.
pub(super) struct Listing {
    watch: bool,
    /// By name: which stream that was, and how many readers it had.
    told: BTreeMap<Arc<str>, (u64, u16)>,
    is_listed: bool,
}

/// How far a listing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It knows all there is.
    Done,
    /// It does not read what is sent: to be gone on with when it has.
    Full,
    /// It is gone.
    Gone,
}

impl Listing {
    pub(super) fn new(watch: bool) -> Self {
        Self { watch, told: BTreeMap::new(), is_listed: false }
    }

    /// Says what there is to say, as far as the other end takes it.
    pub(super) fn advance(&mut self, socket: impl AsFd, streams: &[(Arc<str>, Arc<SharedStream>)]) -> Progress {
        if self.is_listed && !self.watch {
            return Progress::Done;
        }
        match self.tell(socket.as_fd(), streams) {
            Ok(()) => Progress::Done,
            Err(PacketError::WouldBlock) => Progress::Full,
            Err(_) => Progress::Gone,
        }
    }

    fn tell(&mut self, socket: impl AsFd, streams: &[(Arc<str>, Arc<SharedStream>)]) -> Result<(), PacketError> {
        for (name, stream) in streams {
            let is = (stream.serial(), readers(stream));
            if self.told.get(name) != Some(&is) {
                let Some(described) = described(name, stream) else { continue };
                say(&socket, &FromHub::Stream(described))?;
                self.told.insert(name.clone(), is);
            }
        }
        // Both are in the order of their names.
        let mut there = streams.iter().map(|(name, _)| name).peekable();
        let mut gone = Vec::new();
        for name in self.told.keys() {
            while there.next_if(|listed| *listed < name).is_some() {}
            if there.peek() != Some(&name) {
                gone.push(name.clone());
            }
        }
        for name in gone {
            if let Some(name) = Name::new(&name) {
                say(&socket, &FromHub::Gone { name })?;
            }
            self.told.remove(&name);
        }
        if !self.is_listed {
            say(&socket, &FromHub::Listed { streams: u32::try_from(self.told.len()).unwrap_or(u32::MAX) })?;
            self.is_listed = true;
        }
        Ok(())
    }
}

fn readers(stream: &SharedStream) -> u16 {
    u16::try_from(stream.reader_count()).unwrap_or(u16::MAX)
}

/// What a stream is, for those who are not in this process.
pub(super) fn described<'a>(name: &'a str, stream: &SharedStream) -> Option<Described<'a>> {
    Some(Described { name: Name::new(name)?, open: stream.open, path: stream.path, readers: readers(stream) })
}

fn say(socket: impl AsFd, message: &FromHub<'_>) -> Result<(), PacketError> {
    packet::send(socket, Packet::from(message).bytes(), &[])
}
