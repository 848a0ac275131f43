//! Tables on standard output.

use std::io::{self, Write};

use framewire_process::exit::Failure;
use framewire_process::shown::{columns_of, fitted};

/// Lines whose columns stand under each other, two spaces apart.
pub(crate) fn aligned<const COLUMNS: usize>(lines: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| lines.iter().map(|line| columns_of(&line[column])).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(widths) {
            row.push_str(cell);
            row.extend(std::iter::repeat_n(' ', width.saturating_sub(columns_of(cell)) + 2));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// The same in lines of at most `columns`, under heads: the first column, which is a name, is cut to what the others leave, and never to less than its head.
pub(crate) fn fitting<const COLUMNS: usize>(
    heads: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
    columns: usize,
) -> String {
    let mut lines: Vec<_> = std::iter::once(heads.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| columns_of(&line[column])).max().unwrap_or(0);
    let rest: usize = (1..COLUMNS).map(|column| 2 + width(column)).sum();
    let left = columns.saturating_sub(rest).max(heads[0].len());
    lines.iter_mut().for_each(|line| line[0] = fitted(&line[0], left));
    aligned(&lines)
}

/// Prints it.
///
/// # Errors
/// Standard output takes nothing; `what` cannot be printed then.
pub(crate) fn print(text: &str, what: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Who reads the first lines alone has what they wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(|error| Failure::runtime(format!("{what} cannot be printed: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_lines_end_with_their_last_word() {
        let lines = [["NAME", "N"], ["é", "12"], ["カ", "3"], ["long", ""]].map(|line| line.map(str::to_owned));
        assert_eq!(aligned(&lines), "NAME  N\né     12\nカ    3\nlong\n");
    }

    #[test]
    fn a_long_name_is_cut_to_what_the_other_columns_leave_and_never_to_less_than_its_head() {
        let rows = || [["front of the hall", "12"]].map(|row| row.map(str::to_owned)).into_iter();
        for (columns, widest) in [(30, 17), (14, 10), (0, 4)] {
            let text = fitting(["NAME", "N"], rows(), columns);
            let name = text.lines().nth(1).unwrap().strip_suffix("  12").unwrap();
            assert_eq!(columns_of(name), widest, "{text}");
        }
    }
}
