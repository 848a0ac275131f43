//! Beside the files that loom compiles, whose atomics have other sizes.

use std::mem::offset_of;

use super::control::{Control, Offer, Told};

#[test]
fn every_word_of_the_control_page_is_where_the_protocol_says() {
    let places = [
        offset_of!(Control, returned),
        offset_of!(Control, offers),
        offset_of!(Control, asleep),
        offset_of!(Control, starved),
        offset_of!(Control, told),
    ];
    assert_eq!(places, [0, 64, 128, 192, 256]);
    assert_eq!((offset_of!(Told, offered), offset_of!(Told, dropped), offset_of!(Told, ended)), (0, 8, 16));
    assert_eq!(size_of::<Control>(), 320);
}

#[test]
fn an_offer_is_a_word_that_is_not_zero() {
    for offer in [Offer { sequence: 1, slot: 0 }, Offer { sequence: 1 << 57, slot: 63 }] {
        assert_eq!(Offer::from_word(offer.to_word()), Some(offer));
    }
    assert_eq!(Offer { sequence: 1, slot: 0 }.to_word(), 64);
    assert_eq!(Offer::from_word(0), None);
}
