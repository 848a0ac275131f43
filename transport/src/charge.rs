//! What the system charges for datagrams that wait.

/// What a socket buffer is charged for a datagram, at most: the memory behind it (`truesize`), not its bytes.
///
/// Up to a page the driver may spend a page on it. Up to 16 KiB it is one power-of-two allocation. Beyond that it is
/// made of page fragments.
pub const fn charged_bytes(datagram_bytes: usize) -> usize {
    const SKB_BYTES: usize = 512;
    const SMALL_MAX: usize = 3_500;
    const LINEAR_MAX: usize = 16_000;
    match datagram_bytes {
        0..=SMALL_MAX => 4_096 + SKB_BYTES,
        _ if datagram_bytes <= LINEAR_MAX => (datagram_bytes + SKB_BYTES).next_power_of_two() + SKB_BYTES,
        _ => datagram_bytes + 4_096,
    }
}
