//! Errors as programs tell them apart: each has a code of its own, which is documented.

use std::collections::BTreeSet;
use std::path::Path;

use framewire_transport::frame::{FramePool, RecvError};
use framewire_transport::{BindError, PixelFormat, Receiver, ReceiverConfig, codes};

fn documented() -> Vec<&'static str> {
    let lines = include_str!("../ERRORS.md").lines();
    lines.filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code).collect()
}

#[test]
fn every_code_is_there_once_and_documented_once() {
    let unique: BTreeSet<_> = codes::ALL.iter().copied().collect();
    assert_eq!(unique.len(), codes::ALL.len(), "two errors have the same code");
    assert_eq!(documented().len(), codes::ALL.len(), "a code is documented twice, or not at all");
    assert_eq!(unique, documented().into_iter().collect());
}

#[test]
fn a_code_is_in_kebab_case() {
    for code in codes::ALL {
        let words = || code.split('-');
        assert!(words().all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())), "{code}");
    }
}

#[test]
fn errors_say_their_codes_also_where_they_hand_on_anothers() {
    assert_eq!(RecvError::HoldsAllSlots { slots: 1 }.code(), "holds-all-slots");
    assert_eq!(FramePool::new(0, 1).unwrap_err().code(), "slot-count");
    assert_eq!(BindError::from(FramePool::new(2, 0).unwrap_err()).code(), "pool-size");
    assert_eq!("rgb".parse::<PixelFormat>().unwrap_err().code(), "unknown-pixel-format");
    let config = ReceiverConfig::new().slots(0);
    assert_eq!(Receiver::bind("127.0.0.1:0".parse().unwrap(), config).err().unwrap().code(), "config-out-of-range");
}

/// Names of the types in a source that derive `Error` and are public.
fn errors_in(source: &str) -> impl Iterator<Item = &str> {
    source
        .split("#[derive(")
        .skip(1)
        .filter(|item| item.split(')').next().is_some_and(|derived| derived.ends_with("Error")))
        .filter_map(|item| item.lines().find(|line| line.contains("enum ") || line.contains("struct ")))
        .filter_map(|line| line.strip_prefix("pub enum ").or_else(|| line.strip_prefix("pub struct ")))
        .filter_map(|rest| rest.split([' ', '(', '{', ';']).next())
}

#[test]
fn no_error_of_frames_senders_and_receivers_is_without_a_code() {
    /// Of what is no promise.
    const HIDDEN: [&str; 1] = ["NotLanded"];
    let coded = include_str!("../src/codes.rs");
    let mut found = 0;
    let mut folders = vec!["frame".to_owned(), "driver".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(&folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(format!("{folder}/{}", entry.file_name().display()));
                continue;
            }
            let source = std::fs::read_to_string(entry.path()).unwrap();
            for error in errors_in(&source).filter(|error| !HIDDEN.contains(error)) {
                found += 1;
                let has_code =
                    coded.contains(&format!("\n    {error} {{")) || coded.contains(&format!("impl {error} {{"));
                assert!(has_code, "{error} in {} has no code", entry.path().display());
            }
        }
    }
    assert!(found >= 14, "{found}");
}
