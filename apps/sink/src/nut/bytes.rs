//! How NUT writes numbers, texts and packets.

/// What every file begins with.
pub(super) const FILE_ID: &[u8] = b"nut/multimedia container\0";

/// What each kind of packet begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Startcode {
    Main = 0x4E4D_7A56_1F5F_04AD,
    Stream = 0x4E53_1140_5BF2_F9DB,
    Syncpoint = 0x4E4B_E4AD_EECA_4569,
    Info = 0x4E49_AB68_B596_BA78,
    Index = 0x4E58_DD67_2F23_E64E,
}

/// A packet longer than this has a checksum of its first fields, too.
const SHORT_PACKET: usize = 4_096;

/// Appends NUT's fields to bytes.
pub(super) trait Fields {
    /// An unsigned number: seven bits a byte, the highest first, and a bit that says that another byte follows.
    fn put_v(&mut self, value: u64);
    /// A signed number.
    fn put_s(&mut self, value: i64);
    /// Bytes, their count first.
    fn put_vb(&mut self, bytes: &[u8]);
    /// A whole packet, with what is put into it.
    fn put_packet(&mut self, startcode: Startcode, put: impl FnOnce(&mut Self));
}

impl Fields for Vec<u8> {
    fn put_v(&mut self, value: u64) {
        let groups = groups(value);
        for group in (0..groups).rev() {
            let more = if group > 0 { 0x80 } else { 0 };
            self.push(more | (value >> (7 * group)) as u8 & 0x7F);
        }
    }

    fn put_s(&mut self, value: i64) {
        self.put_v(2 * value.unsigned_abs() - u64::from(value > 0));
    }

    fn put_vb(&mut self, bytes: &[u8]) {
        self.put_v(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }

    fn put_packet(&mut self, startcode: Startcode, put: impl FnOnce(&mut Self)) {
        self.extend_from_slice(&(startcode as u64).to_be_bytes());
        let begin = self.len();
        put(self);
        let checksum = crc32(&self[begin..]);
        self.extend_from_slice(&checksum.to_be_bytes());
        // How many bytes follow stands before them.
        let (end, forward) = (self.len(), self.len() - begin);
        self.put_v(forward as u64);
        if forward > SHORT_PACKET {
            let first = [&(startcode as u64).to_be_bytes(), &self[end..]].concat();
            self.extend_from_slice(&crc32(&first).to_be_bytes());
        }
        let length = self.len() - end;
        self[begin..].rotate_right(length);
    }
}

/// Groups of seven bits that a number has.
const fn groups(value: u64) -> u32 {
    let bits = u64::BITS - value.leading_zeros();
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

/// Bytes between a packet's startcode and what it says it is long, which is `forward`.
pub(super) const fn forward_bytes(forward: usize) -> usize {
    groups(forward as u64) as usize + if forward > SHORT_PACKET { 4 } else { 0 }
}

/// NUT's checksum: CRC-32 with the polynomial 04C11DB7, the highest bit first, from zero, not inverted. Of bytes and their checksum it is 0.
pub(super) const fn crc32(bytes: &[u8]) -> u32 {
    let (mut crc, mut at) = (0, 0);
    while at < bytes.len() {
        crc = (crc << 8) ^ TABLE[((crc >> 24) as u8 ^ bytes[at]) as usize];
        at += 1;
    }
    crc
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u32) << 24, 0);
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04C1_1DB7 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn put(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes);
        bytes
    }

    #[test]
    fn numbers_take_as_few_bytes_as_hold_them() {
        for (value, bytes) in [
            (0, vec![0]),
            (127, vec![0x7F]),
            (128, vec![0x81, 0]),
            (16_384, vec![0x81, 0x80, 0]),
            (u64::MAX, vec![0x81, 255, 255, 255, 255, 255, 255, 255, 255, 0x7F]),
        ] {
            assert_eq!(put(|to| to.put_v(value)), bytes, "{value}");
        }
        for (value, byte) in [(0, 0), (1, 1), (-1, 2), (2, 3), (-2, 4)] {
            assert_eq!(put(|to| to.put_s(value)), [byte], "{value}");
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_format_and_of_itself_it_is_zero() {
        // "123456789", the usual check of a CRC, with these parameters (CRC-32/MPEG-2 begins with ones instead of zeros).
        assert_eq!(crc32(b"123456789"), 0x89A1_897F);
        let packet = put(|to| to.put_packet(Startcode::Syncpoint, |to| to.extend_from_slice(&[0, 0])));
        assert_eq!(packet[..8], *b"NK\xE4\xAD\xEE\xCA\x45\x69");
        assert_eq!((packet[8], crc32(&packet[9..])), (6, 0));
    }
}
