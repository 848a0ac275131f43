//! Which network this process is in.

use std::os::unix::fs::MetadataExt;

/// What the network namespace of this thread is known by: its inode; 0 where the system does not tell.
pub(crate) fn own_network() -> u64 {
    std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |namespace| namespace.ino())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_knows_its_network() {
        assert_ne!(super::own_network(), 0);
        assert_eq!(super::own_network(), super::own_network());
    }
}
