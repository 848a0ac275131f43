use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::proof::{Bound, Side};
use super::*;
use crate::message::{Introduction, PROOF_VERSION, Prove, Role, reason};
use crate::pin::Pin;

fn token() -> Token {
    Token::new("00112233445566778899aabbccddeeff").unwrap()
}

fn other_token() -> Token {
    Token::new("ffeeddccbbaa99887766554433221100").unwrap()
}

fn key() -> Pin {
    Pin::of_public_key(b"key")
}

fn introduction(role: Role) -> Value {
    json!({"version": PROOF_VERSION, "role": role, "nonce": "ab".repeat(16), "binding": "spki"})
}

fn begin(verifier: &Verifier, auth: &Value) -> Result<Exchange, crate::message::Refused> {
    Ok(verifier.begin(Some(auth), Some(key()))?.expect("this server asks everybody"))
}

/// What a client with this token says to a challenge.
fn answer(exchange: &Exchange, role: Role, token: &Token, key: Option<Pin>) -> Value {
    let server_nonce = exchange.challenge().nonce;
    let transcript = Transcript {
        role,
        client_nonce: "ab".repeat(16),
        server_nonce,
        bound: key.map_or(Bound::Authority, Bound::Key),
    };
    serde_json::to_value(Prove::new(transcript.proof(Side::Client, token))).unwrap()
}

#[test]
fn who_has_the_token_passes_and_who_has_another_does_not() {
    let verifier = Verifier::new(Some(token()), None, None).unwrap();
    for role in [Role::Stream, Role::View] {
        let exchange = begin(&verifier, &introduction(role)).unwrap();
        exchange.check(Some(&answer(&exchange, role, &token(), Some(key())))).unwrap();
        let refused = exchange.check(Some(&answer(&exchange, role, &other_token(), Some(key())))).unwrap_err();
        assert_eq!(refused.reason, reason::PROOF_WRONG);
        assert!(refused.message.contains("token file"), "{refused}");
    }
}

#[test]
fn a_proof_is_good_for_one_connection_whatever_is_forgotten_in_between() {
    let first = begin(&Verifier::new(Some(token()), None, None).unwrap(), &introduction(Role::Stream)).unwrap();
    let proof = answer(&first, Role::Stream, &token(), Some(key()));
    first.check(Some(&proof)).unwrap();
    // The server has started again, and remembers nothing.
    let second = begin(&Verifier::new(Some(token()), None, None).unwrap(), &introduction(Role::Stream)).unwrap();
    assert_ne!(first.challenge().nonce, second.challenge().nonce);
    assert_eq!(second.check(Some(&proof)).unwrap_err().reason, reason::PROOF_WRONG);
}

#[test]
fn a_proof_that_was_made_for_another_servers_key_is_refused() {
    let exchange = begin(&Verifier::new(Some(token()), None, None).unwrap(), &introduction(Role::Stream)).unwrap();
    for other in [Some(Pin::of_public_key(b"a rogue's")), None] {
        let relayed = answer(&exchange, Role::Stream, &token(), other);
        assert_eq!(exchange.check(Some(&relayed)).unwrap_err().reason, reason::PROOF_WRONG);
    }
}

#[test]
fn what_the_server_said_is_no_proof_of_the_client() {
    let exchange = begin(&Verifier::new(Some(token()), None, None).unwrap(), &introduction(Role::Stream)).unwrap();
    let reflected = json!({"proof": exchange.challenge().proof});
    assert_eq!(exchange.check(Some(&reflected)).unwrap_err().reason, reason::PROOF_WRONG);
}

#[test]
fn the_token_for_viewing_is_for_that_alone_and_the_one_for_streaming_for_both() {
    let verifier = Verifier::new(Some(token()), Some(other_token()), None).unwrap();
    for (role, token, passes) in [
        (Role::Stream, token(), true),
        (Role::Stream, other_token(), false),
        (Role::View, token(), true),
        (Role::View, other_token(), true),
    ] {
        let exchange = begin(&verifier, &introduction(role)).unwrap();
        let checked = exchange.check(Some(&answer(&exchange, role, &token, Some(key()))));
        assert_eq!((checked.is_ok(), exchange.role()), (passes, role));
    }
    let view_alone = Verifier::new(None, Some(token()), None).unwrap();
    let refused = begin(&view_alone, &introduction(Role::Stream)).unwrap_err();
    assert!(refused.reason == reason::VIEW_ONLY && refused.message.contains("one for streaming"), "{refused}");
    assert!(Verifier::new(None, None, None).is_none());
}

#[test]
fn a_proof_can_name_no_key_where_there_is_none() {
    let verifier = Verifier::new(Some(token()), None, None).unwrap();
    let refused = verifier.begin(Some(&introduction(Role::Stream)), None).unwrap_err();
    assert!(refused.reason == reason::NO_TLS_HERE && refused.message.contains("--ca"), "{refused}");
    // A client that knows the server by an authority, behind a proxy or not.
    let unbound = json!({"version": 2, "role": "stream", "nonce": "ab".repeat(16), "binding": "none"});
    for own in [None, Some(key())] {
        let exchange = verifier.begin(Some(&unbound), own).unwrap().unwrap();
        exchange.check(Some(&answer(&exchange, Role::Stream, &token(), None))).unwrap();
    }
}

#[test]
fn no_proof_at_all_is_told_what_to_give() {
    let verifier = Verifier::new(Some(token()), None, None).unwrap();
    for auth in [None, Some(json!(null)), Some(json!({}))] {
        let refused = verifier.begin(auth.as_ref(), Some(key())).unwrap_err();
        assert_eq!(refused.reason, reason::TOKEN_REQUIRED);
        assert!(refused.message.contains("join string or token file"), "{refused}");
    }
}

#[test]
fn who_proves_in_another_version_is_told_so() {
    let verifier = Verifier::new(Some(token()), None, None).unwrap();
    let first = json!({"nonce": "ab".repeat(16), "time": 1_795_330_822, "proof": "00".repeat(32)});
    for (auth, version) in [(first, "version 1"), (json!({"version": 3, "anything": 1}), "version 3")] {
        let refused = begin(&verifier, &auth).unwrap_err();
        assert!(refused.reason == reason::PROOF_VERSION && refused.message.contains(version), "{refused}");
        assert!(refused.message.contains("the same release"), "{refused}");
    }
}

#[test]
fn what_is_not_as_documented_is_refused_without_a_panic() {
    let verifier = Verifier::new(Some(token()), None, None).unwrap();
    let with = |field: &str, value: Value| {
        let mut auth = introduction(Role::Stream);
        auth[field] = value;
        auth
    };
    let wrong = [
        json!("token"),
        json!([1, 2, 3]),
        json!({"token": "secret"}),
        with("role", json!("admin")),
        with("nonce", json!("short")),
        with("nonce", json!("z".repeat(32))),
        with("nonce", json!("a".repeat(65))),
        with("nonce", json!("é".repeat(16))),
        with("binding", json!("tls-unique")),
    ];
    for auth in wrong {
        assert_eq!(begin(&verifier, &auth).unwrap_err().reason, reason::PROOF_MALFORMED, "{auth}");
    }
    let exchange = begin(&verifier, &introduction(Role::Stream)).unwrap();
    for said in [None, Some(json!(7)), Some(json!({})), Some(json!({"proof": 7}))] {
        assert_eq!(exchange.check(said.as_ref()).unwrap_err().reason, reason::PROOF_MALFORMED, "{said:?}");
    }
    for proof in ["", "é", &"g".repeat(64), &"0".repeat(64), &"0".repeat(60_000)] {
        assert_eq!(exchange.check(Some(&json!({"proof": proof}))).unwrap_err().reason, reason::PROOF_WRONG);
    }
}

#[test]
fn who_guesses_is_looked_at_no_more_for_a_while_and_nobody_else_suffers() {
    let (mut guesses, now) = (Guesses::new(), Instant::now());
    let (guesser, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    for _ in 0..50 {
        guesses.check(guesser, now).unwrap();
        guesses.was_wrong(guesser, now);
    }
    let refused = guesses.check(guesser, now).unwrap_err();
    assert!(refused.reason == reason::TOO_MANY_PROOFS && refused.is_for_now(), "{refused}");
    guesses.check(other, now).unwrap();
    guesses.check(guesser, now + Duration::from_secs(10)).unwrap();
    for host in 0..10_000 {
        guesses.was_wrong(Ipv4Addr::from_bits(host), now);
    }
    guesses.check(guesser, now).unwrap_err();
}

#[test]
fn an_introduction_is_read_as_it_is_written() {
    let written =
        serde_json::to_value(Introduction::new(Role::View, "ab".repeat(16), crate::message::Binding::Spki)).unwrap();
    assert_eq!(introduced(Some(&written)).unwrap().unwrap().role, Role::View);
}

/// A file that nobody else reads, as an editor under a common umask makes none.
fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_token_file_gives_its_token_without_the_newline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    write_private(&path, "00112233445566778899aabbccddeeff\r\n");
    assert_eq!(Token::from_file(&path).unwrap(), token());
}

#[test]
fn a_token_file_that_is_missing_empty_or_huge_is_an_error_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let missing = Token::from_file(&path).unwrap_err();
    assert!(
        matches!(missing, TokenError::File(SecretFileError::Unreadable { .. }))
            && missing.to_string().contains(path.to_str().unwrap())
    );
    write_private(&path, " \n");
    let empty = Token::from_file(&path).unwrap_err();
    assert!(matches!(empty, TokenError::Empty(_)) && empty.to_string().contains(path.to_str().unwrap()));
    write_private(&path, &"x".repeat(4097));
    let large = Token::from_file(&path).unwrap_err();
    assert!(matches!(large, TokenError::File(SecretFileError::TooLarge { bytes_max: 4096, .. })), "{large}");
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

#[test]
fn who_says_that_it_speaks_plainly_is_not_let_in_over_tls_that_somebody_else_speaks_for_it() {
    let verifier = Verifier::new(Some(token()), None, None).unwrap();
    let mut plainly = introduction(Role::Stream);
    plainly["binding"] = "plain".into();
    let refused = verifier.begin(Some(&plainly), Some(key())).unwrap_err();
    assert_eq!(refused.reason, reason::SERVER_IS_PROTECTED);
    assert!(refused.message.contains("https://"), "{refused}");
    let exchange = verifier.begin(Some(&plainly), None).unwrap().unwrap();
    let proof = |bound| {
        let server_nonce = exchange.challenge().nonce;
        let transcript = Transcript { role: Role::Stream, client_nonce: "ab".repeat(16), server_nonce, bound };
        serde_json::to_value(Prove::new(transcript.proof(Side::Client, &token()))).unwrap()
    };
    exchange.check(Some(&proof(Bound::Plain))).unwrap();
    // What was proved to one that speaks plainly is of no use as what an authority stands for.
    assert_eq!(exchange.check(Some(&proof(Bound::Authority))).unwrap_err().reason, reason::PROOF_WRONG);
}
