//! Every parser, on any bytes behind a prelude that is accepted, or in its place: none panics, and what one accepts is emitted
//! the same again.
#![no_main]

use framewire_transport::wire::{
    Accept, Challenge, Close, Closed, Cut, Feedback, MAGIC, Nack, Open, ParityHeader, Ping, Prelude, Refuse, SliceHeader,
    VERSION,
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
    parse(bytes);
    // Left to itself the fuzzer finds no prelude, and nothing behind it is ever tried.
    if let Some((kind, rest)) = bytes.split_first() {
        let [first, second] = MAGIC.to_be_bytes();
        parse(&[&[first, second, VERSION, kind % 12], rest].concat());
    }
});

fn parse(bytes: &[u8]) {
    let _ = Prelude::parse(bytes);
    again!(bytes, Accept, Challenge, Close, Closed, Feedback, Nack, Open, ParityHeader, Ping, Refuse, SliceHeader);
    for cut in [Cut::new(100_000, bytes.len()), Cut::with_tags(100_000, bytes.len())] {
        heads(bytes, &cut);
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
    // What is said on a hub's socket; behind its first bytes, too, which a fuzzer does not find by itself.
    framewire_transport::share::reread(bytes);
    if let Some((kind, rest)) = bytes.split_first() {
        framewire_transport::share::reread(&[&b"FS\x01"[..], &[*kind], rest].concat());
    }
}

/// The heads of slices, which say what lies behind them.
fn heads(bytes: &[u8], cut: &Cut) {
    if let Ok(slice) = SliceHeader::parse_checked(bytes, bytes.len(), cut) {
        let payload = slice.payload(cut);
        assert!(!payload.is_empty() && payload.end <= slice.frame_bytes as usize);
    }
    if let Ok(parity) = ParityHeader::parse_checked(bytes, bytes.len(), cut) {
        let layout = parity.layout(cut);
        assert!(layout.fits_a_block() && parity.index < layout.count());
    }
}
