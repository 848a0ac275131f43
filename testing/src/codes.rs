//! Errors of a library as programs tell them apart: each has a code of its own, which is documented.

use std::collections::BTreeSet;
use std::path::Path;

/// Holds codes against the tables that document them: lines that begin with a code in backticks.
///
/// # Panics
/// A code is there twice, documented twice, not at all, or not in kebab-case.
pub fn assert_documented(codes: &[&str], document: &str) {
    let lines = document.lines();
    let documented: Vec<_> =
        lines.filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code).collect();
    let unique: BTreeSet<_> = codes.iter().copied().collect();
    assert_eq!(unique.len(), codes.len(), "two errors have the same code");
    assert_eq!(unique, documented.iter().copied().collect(), "codes, and those that are documented");
    assert_eq!(documented.len(), codes.len(), "a code is documented twice");
    for code in codes {
        let is_word = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_lowercase())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        assert!(code.split('-').all(is_word), "{code}");
    }
}

/// Holds the public errors in `folders` of a crate against the source that gives them codes; `hidden` ones are no promise. Each must have
/// a code, and be able to grow without breaking a caller.
///
/// # Panics
/// One has no code or cannot grow; there are fewer than `least`, so that they are not found any more; a folder cannot be read.
pub fn assert_coded(crate_directory: &str, folders: &[&str], coded: &str, hidden: &[&str], least: usize) {
    let mut errors = errors_in(crate_directory, folders);
    errors.retain(|(error, _)| !hidden.contains(&error.as_str()));
    for (error, can_grow) in &errors {
        let has_code = coded.contains(&format!("\n    {error} {{")) || coded.contains(&format!("impl {error} {{"));
        assert!(has_code, "{error} has no code");
        assert!(can_grow, "{error} cannot get another variant or field without breaking a caller");
    }
    assert!(errors.len() >= least, "{} errors", errors.len());
}

/// The public errors in the sources of `folders`, and whether each can grow.
fn errors_in(crate_directory: &str, folders: &[&str]) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = folders.iter().map(|folder| Path::new(crate_directory).join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder that was opened is read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source =
                    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                errors_of(&source, &mut found);
            }
        }
    }
    found
}

fn errors_of(source: &str, found: &mut Vec<(String, bool)>) {
    for item in source.split("#[derive(").skip(1) {
        if !item.split(')').next().is_some_and(|derived| derived.ends_with("Error")) {
            continue;
        }
        let Some(at) = item.lines().position(|line| line.contains("enum ") || line.contains("struct ")) else {
            continue;
        };
        let lines: Vec<_> = item.lines().collect();
        let Some(rest) = lines[at].strip_prefix("pub enum ").or_else(|| lines[at].strip_prefix("pub struct ")) else {
            continue;
        };
        let name = rest.split([' ', '(', '{', ';']).next().expect("a split has a first part");
        let is_open = lines[..at].iter().any(|line| line.contains("non_exhaustive"));
        let has_public_fields = lines[at].contains("(pub ")
            || lines[at + 1..].iter().take_while(|line| **line != "}").any(|line| line.starts_with("    pub "));
        let can_grow = is_open || !(lines[at].contains("enum ") || has_public_fields);
        found.push((name.to_owned(), can_grow));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_cannot_grow_are_found() {
        let source = "
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Open {}
#[derive(Debug, Error)]
pub enum Shut {
#[derive(Debug, thiserror::Error)]
#[error(\"x\")]
pub struct Unseen {
    text: String,
}
#[derive(Debug, Error)]
pub struct Seen {
    pub text: String,
}
#[derive(Error)]
pub struct Only(pub String);
#[derive(Debug)]
pub enum NoError {
#[derive(Error)]
pub(super) enum Inner {
";
        let mut found = Vec::new();
        errors_of(source, &mut found);
        let expected = [("Open", true), ("Shut", false), ("Unseen", true), ("Seen", false), ("Only", false)];
        assert_eq!(found, expected.map(|(name, is_open)| (name.to_owned(), is_open)));
    }

    #[test]
    #[should_panic(expected = "documented twice")]
    fn a_code_that_is_documented_twice_is_found() {
        assert_documented(&["a"], "| `a` | b |\n| `a` | c |");
    }
}
