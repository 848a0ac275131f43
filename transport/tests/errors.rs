//! Errors as programs tell them apart: each has a code of its own, which is documented.

use framewire_transport::frame::{FramePool, RecvError};
use framewire_transport::{BindError, PixelFormat, Receiver, ReceiverConfig, codes};

#[test]
fn every_code_is_there_once_and_documented_once() {
    framewire_testing::assert_documented(codes::ALL, include_str!("../ERRORS.md"));
}

#[test]
fn errors_say_their_codes_also_where_they_hand_on_anothers() {
    assert_eq!(RecvError::HoldsAllSlots { slots: 1 }.code(), "holds-all-slots");
    assert_eq!(FramePool::new(0, 1).unwrap_err().code(), "slot-count");
    assert_eq!(BindError::from(FramePool::new(2, 0).unwrap_err()).code(), "pool-size");
    assert_eq!("rgb25".parse::<PixelFormat>().unwrap_err().code(), "unknown-pixel-format");
    let config = ReceiverConfig::new().slots(0);
    assert_eq!(Receiver::bind("127.0.0.1:0".parse().unwrap(), config).err().unwrap().code(), "config-out-of-range");
}

#[test]
fn every_error_that_is_promised_has_a_code_and_can_grow() {
    /// Of what is no promise: the cores of the protocol, back-ends, and what lands in slots.
    const HIDDEN: [&str; 8] =
        ["NotLanded", "NotTaken", "AcceptError", "BatchError", "RingError", "WireError", "Forged", "HandshakeError"];
    let coded = include_str!("../src/codes.rs");
    framewire_testing::assert_coded(env!("CARGO_MANIFEST_DIR"), &["src"], coded, &HIDDEN, 16);
}
