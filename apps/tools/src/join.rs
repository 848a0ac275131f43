//! Reading the line by which a server is joined. It is a secret: it comes from a file or from standard input, never from where others see
//! it, and no error repeats it.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use framewire_process::exit::{Failure, say};
use framewire_signal::{Join, JoinError};

/// What it begins with.
const SCHEME: &str = "framewire://";
/// Far longer than any.
const LINE_BYTES_MAX: u64 = 4096;

/// The join string in a file, or in the first line of standard input where the file is `-`.
///
/// # Errors
/// It is none, cannot be read, can be read by others, or was given itself in place of a file.
pub fn read_join(from: &Path) -> Result<Join, Failure> {
    check_no_join_string("--join", &from.to_string_lossy())?;
    if from.as_os_str() == "-" {
        return read_line(std::io::stdin().lock()).map_err(Failure::usage);
    }
    Join::from_file(from).map_err(|error| match error {
        JoinError::File(error) => Failure::usage(error),
        error => Failure::usage(format!("{}: {error}", from.display())),
    })
}

/// That a flag has no join string for its value: whoever lists processes would see it.
///
/// # Errors
/// It has.
pub fn check_no_join_string(flag: &str, value: &str) -> Result<(), Failure> {
    if !value.trim_start().starts_with(SCHEME) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{flag} was given the join string itself, which everyone sees who lists the processes of this machine; write it into a file \
         (chmod 600) and give --join FILE, or give --join - and paste it"
    )))
}

fn read_line(input: impl BufRead) -> Result<Join, String> {
    if std::io::stdin().is_terminal() {
        say(format_args!("paste the line that begins with {SCHEME}, and press Enter:"));
    }
    let mut line = Vec::new();
    let read = input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
    read.map_err(|error| format!("the join string cannot be read from standard input: {error}"))?;
    if line.trim_ascii().is_empty() {
        return Err(
            "no join string came on standard input; paste the line that the server prints at its start".to_owned()
        );
    }
    let line = String::from_utf8_lossy(&line);
    line.parse().map_err(|error: JoinError| format!("standard input: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODw";

    fn line() -> String {
        format!("framewire://10.0.0.7:8080#{TOKEN}.{}", "A".repeat(43))
    }

    #[test]
    fn the_first_line_of_what_comes_is_read_and_half_of_one_is_told_without_its_secret() {
        let join = read_line(format!("  {}\r\nframes", line()).as_bytes()).unwrap();
        assert_eq!(join.authority(), "10.0.0.7:8080");
        for (text, says) in [
            ("", "no join string came"),
            ("\n", "no join string came"),
            ("http://10.0.0.7:8080\n", "begins with framewire://"),
            (&line()[..30], "copy the whole"),
            (&line()[..60], "copy the whole"),
        ] {
            let said = read_line(text.as_bytes()).unwrap_err();
            assert!(said.contains(says) && !said.contains(&TOKEN[..8]), "{text}: {said}");
        }
    }

    #[test]
    fn a_join_string_in_place_of_its_file_is_refused_and_not_repeated() {
        let said = read_join(Path::new(&line())).unwrap_err().to_string();
        assert!(said.contains("--join FILE") && said.contains("--join -") && !said.contains(TOKEN), "{said}");
        check_no_join_string("--server", "http://10.0.0.7:8080").unwrap();
    }

    #[test]
    fn a_file_is_named_with_what_is_wrong_and_one_that_others_read_with_what_to_type() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("join");
        let refused = || read_join(&path).unwrap_err().to_string();
        assert!(refused().contains("cannot be read"));
        std::fs::write(&path, line() + "\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refused().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_join(&path).unwrap().port, 8080);
        std::fs::write(&path, &line()[..40]).unwrap();
        assert!(refused().contains(path.to_str().unwrap()) && !refused().contains(TOKEN), "{}", refused());
    }
}
