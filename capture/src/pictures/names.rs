//! Which files a directory or a pattern of names means, and in which order.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use glob::MatchOptions;

/// What files of pictures are called in a directory, where others lie beside them.
pub(crate) const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "tif", "tiff"];

/// The pictures in a directory by their names' ends, in natural order, and how many other files there are. Hidden files and directories
/// in it are left alone, and what is no file is another: a pipe would be waited on for ever.
pub(super) fn in_directory(directory: &Path) -> io::Result<(Vec<PathBuf>, usize)> {
    let (mut pictures, mut others) = (Vec::new(), 0);
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) || path.is_dir() {
            continue;
        }
        let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        if may_be_file(&path) && extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) {
            pictures.push(path);
        } else {
            others += 1;
        }
    }
    pictures.sort_by(|a, b| natural_order(a, b));
    Ok((pictures, others))
}

/// Whether it is a file, or a link that leads nowhere, which is to be named as such.
fn may_be_file(path: &Path) -> bool {
    path.metadata().map_or(true, |metadata| metadata.is_file())
}

/// Whether a name may be a pattern of names.
pub(crate) fn is_pattern(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// The files whose names match a pattern, in natural order: `*` and `?` stop at a `/`, `**` does not, and a leading `.` has to be
/// written. None where it is no pattern.
pub(super) fn matching(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let options =
        MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let Some(Ok(found)) = pattern.to_str().map(|pattern| glob::glob_with(pattern, options)) else {
        return Ok(Vec::new());
    };
    let mut files = found.collect::<Result<Vec<_>, _>>().map_err(io::Error::from)?;
    files.retain(|path| may_be_file(path));
    files.sort_by(|a, b| natural_order(a, b));
    Ok(files)
}

/// Compares names as people count: numbers in them by their value, so that frame-2 is before frame-10.
fn natural_order(a: &Path, b: &Path) -> Ordering {
    let (a, b) = (a.as_os_str().as_encoded_bytes(), b.as_os_str().as_encoded_bytes());
    let (mut left, mut right) = (a, b);
    while let (Some(first), Some(second)) = (left.first(), right.first()) {
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            let (one, other) = (number(&mut left), number(&mut right));
            one.len().cmp(&other.len()).then_with(|| one.cmp(other))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            first.cmp(second)
        };
        if order.is_ne() {
            return order;
        }
    }
    // Names that differ in zeroes before a number alone have an order, too.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Takes the digits at the beginning of `text`, without the zeroes before them.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    *text = rest;
    &digits[digits.iter().take_while(|byte| **byte == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[PathBuf]) -> Vec<&str> {
        paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
    }

    #[test]
    fn numbers_in_names_count_by_their_value() {
        let sorted = [
            "a",
            "a-1.png",
            "a-02.png",
            "a-2.png",
            "a-10.png",
            "a-99999999999999999999998.png",
            "a-99999999999999999999999.png",
            "a1b2",
            "a1b10",
            "a1c1",
            "a10",
            "b",
        ];
        for (at, one) in sorted.iter().enumerate() {
            for (place, other) in sorted.iter().enumerate() {
                assert_eq!(natural_order(Path::new(one), Path::new(other)), at.cmp(&place), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_directory_means_its_pictures_and_a_pattern_what_it_matches() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["f10.png", "f2.PNG", "f1.jpeg", "notes.txt", ".hidden.png", "g1.tif"] {
            fs::write(directory.path().join(name), b"").unwrap();
        }
        fs::create_dir(directory.path().join("f3.png")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(directory.path().join("f4.png")).status().unwrap();
        assert!(made.success());
        let (pictures, others) = in_directory(directory.path()).unwrap();
        assert_eq!((names(&pictures), others), (vec!["f1.jpeg", "f2.PNG", "f10.png", "g1.tif"], 2));
        let matching = |pattern| matching(&directory.path().join(pattern)).unwrap();
        assert_eq!(names(&matching("f*")), ["f1.jpeg", "f2.PNG", "f10.png"]);
        assert_eq!(names(&matching("f?.*")), ["f1.jpeg", "f2.PNG"]);
        assert_eq!(names(&matching("*.png")), ["f10.png"]);
        std::os::unix::fs::symlink("nowhere", directory.path().join("g2.png")).unwrap();
        assert_eq!(names(&in_directory(directory.path()).unwrap().0).last(), Some(&"g2.png"));
        assert_eq!(names(&matching("g*.png")), ["g2.png"]);
        assert!(matching("none*").is_empty() && matching("f[").is_empty());
        assert!(is_pattern(Path::new("a/*.png")) && !is_pattern(Path::new("a/b.png")));
    }
}
