//! Unix sockets between processes of one machine: messages with descriptors, the hub's place in the file system, who is at the other end.

pub(crate) mod listening;
pub(crate) mod packet;
pub(crate) mod peer;
