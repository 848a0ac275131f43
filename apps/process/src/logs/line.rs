//! A line of the log that no event of `tracing` stands behind, in the form of those that have one.

use std::fmt;
use std::sync::OnceLock;

use clap::ValueEnum;
use serde_json::json;
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::queue::{Of, Queue};

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for programs: all that goes to standard error from then on.
    Json,
}

/// That which was chosen, once it is.
pub(super) static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Writes a line, if somebody still reads.
pub(super) fn write(of: Of, level: Level, target: &str, message: impl fmt::Display) {
    write_plain(of, format(chosen(), level, target, &message.to_string()));
}

/// Writes a line without a time.
pub(super) fn write_plain(of: Of, message: impl fmt::Display) {
    Queue::of_stderr().push(of, format!("{message}\n").into_bytes());
}

/// So many lines that nobody read in time, as a line.
pub(super) fn left_out(count: u64) -> String {
    let said = format!("{count} lines of the log were left out here: whoever reads standard error did not keep up");
    format!("{}\n", format(chosen(), Level::WARN, "framewire", &said))
}

fn chosen() -> LogFormat {
    FORMAT.get().copied().unwrap_or(LogFormat::Text)
}

fn format(format: LogFormat, level: Level, target: &str, message: &str) -> String {
    let mut time = String::new();
    // Fails where a string does: never.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match format {
        LogFormat::Text => format!("{time} {level:>5} {message}"),
        LogFormat::Json => {
            let fields = json!({ "message": message });
            json!({ "timestamp": time, "level": level.as_str(), "fields": fields, "target": target }).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_is_one_object_whatever_it_says() {
        let line = format(LogFormat::Json, Level::WARN, "framewire", "two\nlines and a \"quote\"");
        assert!(!line.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["fields"]["message"], "two\nlines and a \"quote\"");
        assert_eq!((&value["level"], &value["target"]), (&"WARN".into(), &"framewire".into()));
        assert!(value["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
