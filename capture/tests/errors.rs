//! Errors as programs tell them apart: each has a code of its own, which is documented.

use framewire_capture::codes;

#[test]
fn every_code_is_there_once_and_documented_once() {
    framewire_testing::assert_documented(codes::ALL, include_str!("../ERRORS.md"));
}

#[test]
fn every_error_has_a_code_and_can_grow() {
    let coded = include_str!("../src/codes.rs");
    let errors = framewire_testing::errors_in(env!("CARGO_MANIFEST_DIR"), &["src"]);
    for (error, can_grow) in &errors {
        let has_code = coded.contains(&format!("\n    {error} {{")) || coded.contains(&format!("impl {error} {{"));
        assert!(has_code, "{error} has no code");
        assert!(can_grow, "{error} cannot get another variant or field without breaking a caller");
    }
    assert!(errors.len() >= 5, "{}", errors.len());
}
