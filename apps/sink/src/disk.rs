//! A disk in memory, for tests of what sinks make of one that is full or fails.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use crate::output::{Destination, FrameOutput};

/// Takes this many bytes at most; what can be done with what is there is as it says.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) bytes: Arc<Mutex<Vec<u8>>>,
    pub(crate) capacity: usize,
    pub(crate) is_cuttable: bool,
    /// Whether it says that bytes in the middle can be written again.
    pub(crate) is_rewritable: bool,
    /// Whether they can.
    pub(crate) is_rewritten: bool,
}

impl Disk {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { bytes: Arc::default(), capacity, is_cuttable: true, is_rewritable: true, is_rewritten: true }
    }

    pub(crate) fn output(&self) -> FrameOutput<Self> {
        FrameOutput::new(self.clone(), "'disk'".to_owned())
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.lock().unwrap().len()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.bytes.lock().unwrap();
        let taken = bytes.len().min(self.capacity - held.len());
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        held.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Destination for Disk {
    fn take_back(&mut self, bytes: u64) -> io::Result<bool> {
        if !self.is_cuttable {
            return Err(io::Error::other("no cut here"));
        }
        let mut held = self.bytes.lock().unwrap();
        let left = held.len() - bytes as usize;
        held.truncate(left);
        Ok(true)
    }

    fn is_rewritable(&self) -> bool {
        self.is_rewritable
    }

    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if !self.is_rewritten {
            return Err(io::Error::other("no rewriting here"));
        }
        self.bytes.lock().unwrap()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}
