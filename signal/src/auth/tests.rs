use serde_json::{Value, json};

use super::verifier::NONCES_MAX;
use super::*;
use crate::message::{Refused, reason};

const NOW: i64 = 1_795_330_822;

fn token() -> Token {
    Token::new("00112233445566778899aabbccddeeff").unwrap()
}

fn proof(nonce: u8, time: i64) -> Value {
    serde_json::to_value(Proof::new(&token(), [nonce; 16], time)).unwrap()
}

fn refusal(auth: Option<&Value>, now: i64) -> Refused {
    Verifier::new(token()).verify(auth, now).unwrap_err()
}

#[test]
fn a_proof_is_the_documented_hash() {
    // By: printf 'framewire-signal-1|%s|1795330822' $nonce | openssl dgst -sha256 -hmac '00112233445566778899aabbccddeeff'
    let proof = Proof::new(&token(), [0xab; 16], NOW);
    assert_eq!(proof.nonce, "ab".repeat(16));
    assert_eq!(proof.proof, "bf86ca4d0ad3ff6777e233eb7cdedbf83749ec806a739b953d9ce270a4452209");
}

#[test]
fn a_proof_passes_once() {
    let mut verifier = Verifier::new(token());
    verifier.verify(Some(&proof(1, NOW)), NOW).unwrap();
    let replayed = verifier.verify(Some(&proof(1, NOW)), NOW + 1).unwrap_err();
    assert_eq!(replayed.reason, reason::PROOF_REPLAYED);
    assert!(replayed.message.contains("fresh random nonce"));
    verifier.verify(Some(&proof(2, NOW)), NOW).unwrap();
}

#[test]
fn a_nonce_is_remembered_for_as_long_as_its_proof_would_pass() {
    let mut verifier = Verifier::new(token());
    let ahead = proof(1, NOW + 60);
    verifier.verify(Some(&ahead), NOW).unwrap();
    for later in [60, 119, 120] {
        assert_eq!(verifier.verify(Some(&ahead), NOW + later).unwrap_err().reason, reason::PROOF_REPLAYED);
    }
    assert_eq!(verifier.verify(Some(&ahead), NOW + 121).unwrap_err().reason, reason::CLOCK_SKEW);
    verifier.verify(Some(&proof(2, NOW + 121)), NOW + 121).unwrap();
    assert_eq!(verifier.nonces.len(), 1, "the first is forgotten");
}

#[test]
fn a_clock_off_by_a_minute_passes_and_by_more_is_told_how_much() {
    for time in [NOW - 60, NOW + 60] {
        Verifier::new(token()).verify(Some(&proof(1, time)), NOW).unwrap();
    }
    for time in [NOW - 61, NOW + 61] {
        let refused = refusal(Some(&proof(1, time)), NOW);
        assert_eq!(refused.reason, reason::CLOCK_SKEW);
        assert!(refused.message.contains("61 seconds") && refused.message.contains("NTP"), "{refused}");
    }
    assert_eq!(refusal(Some(&proof(1, i64::MIN)), i64::MAX).reason, reason::CLOCK_SKEW);
}

#[test]
fn another_token_is_refused() {
    let other = Token::new("ffeeddccbbaa99887766554433221100").unwrap();
    let auth = serde_json::to_value(Proof::new(&other, [1; 16], NOW)).unwrap();
    assert_eq!(refusal(Some(&auth), NOW).reason, reason::PROOF_WRONG);
}

#[test]
fn no_proof_at_all_is_told_what_to_give() {
    for auth in [None, Some(json!(null)), Some(json!({}))] {
        let refused = refusal(auth.as_ref(), NOW);
        assert_eq!(refused.reason, reason::TOKEN_REQUIRED);
        assert!(refused.message.contains("token file"));
    }
}

#[test]
fn malformed_proofs_are_refused_without_a_panic() {
    let good = proof(1, NOW);
    let with = |key: &str, value: Value| {
        let mut auth = good.clone();
        auth[key] = value;
        auth
    };
    let cases = [
        json!("token"),
        json!([1, 2, 3]),
        json!({"token": "secret"}),
        with("nonce", json!("short")),
        with("nonce", json!("z".repeat(32))),
        with("nonce", json!("a".repeat(65))),
        with("time", json!("now")),
        with("time", json!(1e300)),
        with("proof", json!("")),
        with("proof", json!("é".repeat(32))),
        with("proof", json!("g".repeat(64))),
    ];
    for auth in cases {
        assert_eq!(refusal(Some(&auth), NOW).reason, reason::PROOF_MALFORMED, "{auth}");
    }
}

#[test]
fn the_memory_for_nonces_is_bounded_and_frees_itself() {
    let mut verifier = Verifier::new(token());
    for count in 0..NONCES_MAX {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&(count as u64).to_le_bytes());
        let auth = serde_json::to_value(Proof::new(&token(), nonce, NOW)).unwrap();
        verifier.verify(Some(&auth), NOW).unwrap();
    }
    assert_eq!(verifier.verify(Some(&proof(0xff, NOW)), NOW).unwrap_err().reason, reason::SERVER_FULL);
    verifier.verify(Some(&proof(0xff, NOW + 61)), NOW + 61).unwrap();
    assert_eq!((verifier.nonces.len(), verifier.order.len()), (1, 1));
}

#[test]
fn a_token_file_gives_its_token_without_the_newline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "00112233445566778899aabbccddeeff\r\n").unwrap();
    assert_eq!(Token::from_file(&path).unwrap(), token());
}

#[test]
fn a_token_file_that_is_missing_empty_or_huge_is_an_error_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let missing = Token::from_file(&path).unwrap_err();
    assert!(matches!(missing, TokenError::Unreadable { .. }) && missing.to_string().contains(path.to_str().unwrap()));
    fs::write(&path, " \n").unwrap();
    let empty = Token::from_file(&path).unwrap_err();
    assert!(matches!(empty, TokenError::Empty(_)) && empty.to_string().contains(path.to_str().unwrap()));
    fs::write(&path, "x".repeat(4097)).unwrap();
    assert!(matches!(Token::from_file(&path).unwrap_err(), TokenError::TooLarge { bytes: 4097, .. }));
}

#[cfg(unix)]
#[test]
fn a_file_everyone_may_read_is_noticed() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    for (mode, everyone) in [(0o600, false), (0o640, false), (0o644, true)] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(is_readable_by_everyone(&file.as_file().metadata().unwrap()), everyone);
    }
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let error = Token::from_environment("FRAMEWIRE_TOKEN_THAT_NOBODY_SETS").unwrap_err();
    assert!(error.to_string().contains("FRAMEWIRE_TOKEN_THAT_NOBODY_SETS is not set"), "{error}");
}

#[test]
fn a_token_does_not_show_itself() {
    assert_eq!(format!("{:?}", token()), "Token(…)");
}

#[test]
fn a_token_below_128_bits_is_refused_with_the_command_that_makes_one() {
    let weak = [
        "x",
        "secret",
        "0123456789abcdef0123456789abcde",
        "correct horse battery staple",
        "kCpVUAk0lZlcKPXqdcE7g",
        "!",
    ];
    for weak in weak {
        let error = Token::new(weak).unwrap_err();
        assert!(
            matches!(error, TokenError::Weak(_)) && error.to_string().contains("framewire token"),
            "{weak}: {error}"
        );
        assert!(!error.to_string().contains(weak) || weak.len() < 3, "a token is not repeated: {error}");
    }
    for strong in [
        "0123456789abcdef0123456789abcdef",
        "0123456789ABCDEF0123456789ABCDEF0123456789abcdef0123456789abcdef",
        "kCpVUAk0lZlcKPXqdcE7gQ",
        "kCpVUAk0lZlcKPXqdcE7gQ==",
        "/+pVUAk0lZlcKPXqdcE7gQabcdefgh==",
        "kC-VUAk0lZlc_PXqdcE7gQabcdefgh",
    ] {
        Token::new(strong).unwrap();
    }
    let (one, other) = (Token::random_text().unwrap(), Token::random_text().unwrap());
    Token::new(&one).unwrap();
    assert_ne!(one, other);
}
