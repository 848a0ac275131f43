//! Numbers that two processes will not choose alike.

/// A number from the system's generator.
pub(crate) fn random_u32() -> u32 {
    getrandom::u32().unwrap_or_else(|_| {
        // A system without a generator: the time and the process still tell two streams apart.
        let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.subsec_nanos());
        nanos.rotate_left(16) ^ std::process::id()
    })
}
