//! Every parser, on any bytes: none panics, and what one accepts is emitted the same again.
#![no_main]

use framewire_transport::wire::{
    Accept, Challenge, Close, Closed, Feedback, Nack, Open, ParityHeader, Ping, Prelude, Refuse, SliceHeader,
};
use libfuzzer_sys::fuzz_target;

macro_rules! again {
    ($bytes:expr, $($datagram:ident),*) => {$(
        if let Ok(parsed) = $datagram::parse($bytes) {
            assert_eq!(parsed.emit(), $bytes[..$datagram::LEN]);
        }
    )*};
}

fuzz_target!(|bytes: &[u8]| {
    let _ = Prelude::parse(bytes);
    again!(bytes, Accept, Challenge, Close, Closed, Feedback, Nack, Open, ParityHeader, Ping, Refuse, SliceHeader);
    if let Ok(slice) = SliceHeader::parse_checked(bytes, bytes.len()) {
        assert!(slice.offset() + slice.payload_len() <= slice.frame_bytes as usize);
    }
    if let Ok(parity) = ParityHeader::parse_checked(bytes, bytes.len()) {
        let layout = parity.layout();
        assert!(layout.fits_a_block() && parity.index < layout.count());
    }
    if let Ok(nack) = Nack::parse(bytes)
        && let Ok(bitmap) = nack.bitmap(bytes)
    {
        assert_eq!(bitmap.len(), usize::from(nack.bitmap_bytes));
    }
    if let Ok(open) = Open::parse(bytes) {
        let _ = (open.format(), open.delivery());
    }
    let _ = Close::parse_checked(bytes);
});
