//! What a frame is on the cable: its bytes, and what stands around them.

use framewire_transport::wire::{DATAGRAM_MAX, SLICE_HEADER_LEN, TAG_LEN};

/// UDP and IPv4. IPv6 has 20 bytes more: of the largest packets of Ethernet a hundredth, which is of what a link's share leaves.
const UDP_IP_BYTES: u32 = 8 + 20;
/// Ethernet: preamble 8, header 14, checksum 4, gap 12.
const ETHERNET_BYTES: u32 = 38;
/// A packet that has no room for anything is none: what every host must take.
const MTU_MIN: u32 = 576;

/// What a frame costs on a link: slices as large as its packets may be, each with a head, a tag, UDP, IP and Ethernet. At 1,500
/// bytes that is 1.083 times the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireCost {
    payload_bytes: u32,
    around_bytes: u32,
}

impl WireCost {
    /// On a link whose IP packets have at most so many bytes.
    pub fn of_mtu(mtu: u32) -> Self {
        let head = (SLICE_HEADER_LEN + TAG_LEN) as u32;
        let datagram = mtu.max(MTU_MIN).saturating_sub(UDP_IP_BYTES).min(DATAGRAM_MAX as u32);
        Self { payload_bytes: datagram - head, around_bytes: head + UDP_IP_BYTES + ETHERNET_BYTES }
    }

    /// Bits on the cable of a frame of so many bytes.
    pub fn bits_of_frame(self, frame_bytes: u64) -> u64 {
        let slices = frame_bytes.div_ceil(u64::from(self.payload_bytes)).max(1);
        frame_bytes.saturating_add(slices.saturating_mul(u64::from(self.around_bytes))).saturating_mul(8)
    }

    /// The largest datagram, in bytes.
    pub(crate) fn datagram_bytes(self) -> u32 {
        self.payload_bytes + (SLICE_HEADER_LEN + TAG_LEN) as u32
    }

    /// Of bits on the cable those that IP has, which is what senders keep their rate by.
    pub(crate) fn ip_bits(self, bits: u64) -> u64 {
        let packet = u64::from(self.payload_bytes + self.around_bytes);
        let of_ip = packet - u64::from(ETHERNET_BYTES);
        (u128::from(bits) * u128::from(of_ip) / u128::from(packet)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_hd_in_gray_at_30_frames_a_second_is_a_good_half_of_a_gigabit() {
        let bits = WireCost::of_mtu(1_500).bits_of_frame(1920 * 1080) * 30;
        assert!((530_000_000..560_000_000).contains(&bits), "{bits}");
    }

    #[test]
    fn larger_packets_cost_less_and_no_packet_is_too_small() {
        let cost = |mtu| WireCost::of_mtu(mtu).bits_of_frame(1_000_000);
        assert!(cost(1_500) > cost(9_000) && cost(9_000) > cost(65_536));
        assert_eq!(cost(0), cost(576));
        assert!(cost(u32::MAX) >= 8_000_000);
        assert_eq!(WireCost::of_mtu(1_500).bits_of_frame(u64::MAX), u64::MAX);
    }

    #[test]
    fn ip_has_a_little_less_than_the_cable() {
        let cost = WireCost::of_mtu(1_500);
        assert_eq!(cost.ip_bits(1_538_000), 1_500_000);
        assert!(cost.ip_bits(u64::MAX) < u64::MAX);
    }
}
