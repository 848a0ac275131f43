//! Errors as programs tell them apart: each has a code of its own, which is documented.

use framewire_signal::codes;

#[test]
fn every_code_is_there_once_and_documented_once() {
    framewire_testing::assert_documented(codes::ALL, include_str!("../ERRORS.md"));
}

#[test]
fn every_error_has_a_code_and_can_grow() {
    framewire_testing::assert_coded(env!("CARGO_MANIFEST_DIR"), &["src"], include_str!("../src/codes.rs"), &[], 5);
}
