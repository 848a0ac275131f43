//! Which lines are written: by their level, and the part of the program that says them.
//!
//! `RUST_LOG` is as everywhere in Rust: `LEVEL`, `TARGET`, `TARGET=LEVEL` and `TARGET[{FIELD}]=LEVEL`, several of them with commas
//! between them. Not by spans, of which there are none, nor by what fields hold: that takes regular expressions, which took
//! longer to compile than Framewire's own transport.

use std::ffi::OsStr;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// What is written, and what was to be said of that.
pub(super) struct Filter {
    pub(super) targets: Targets,
    /// Why `RUST_LOG` is not followed, if it cannot be.
    pub(super) unread: Option<String>,
}

impl Filter {
    /// `verbose` counts the `-v`; what `RUST_LOG` says wins.
    pub(super) fn of(verbose: u8, rust_log: Option<&OsStr>) -> Self {
        let unread = match rust_log.map(|said| said.to_str().ok_or("it is no text".into()).and_then(parse)) {
            None => None,
            Some(Ok(targets)) => return Self { targets, unread: None },
            Some(Err(why)) => Some(format!(
                "RUST_LOG={:?} is not followed: {why}; write LEVEL or TARGET=LEVEL, such as info,framewire_transport=debug",
                rust_log.unwrap_or_default()
            )),
        };
        let targets = match verbose {
            0 => Targets::new().with_default(LevelFilter::WARN),
            1 => Targets::new().with_default(LevelFilter::INFO),
            // Every package of Framewire's: a target is meant with all that begin like it.
            _ => Targets::new().with_default(LevelFilter::INFO).with_target("framewire", LevelFilter::DEBUG),
        };
        Self { targets, unread }
    }
}

fn parse(said: &str) -> Result<Targets, String> {
    let mut whole = String::new();
    for part in said.split(',').filter(|part| !part.is_empty()) {
        if part.contains('[') && !part.contains("[{") {
            return Err(format!("{part:?} names a span, and there are none"));
        }
        whole.push_str(if whole.is_empty() { "" } else { "," });
        whole.push_str(part.strip_suffix('=').unwrap_or(part));
        if part.ends_with(']') {
            whole.push_str("=trace");
        }
    }
    // Nothing at all is said of nothing but errors.
    whole.parse().map_err(|error| format!("{error}"))
}

/// Libraries that repeat what is said over connections, in which there are tokens of streams and of pages; and the most that is written of
/// what they say, whatever was asked for.
const REPEATING: [(&str, Level); 6] = [
    ("engineioxide", Level::INFO),
    ("socketioxide", Level::INFO),
    ("tungstenite", Level::DEBUG),
    ("tokio_tungstenite", Level::DEBUG),
    ("hyper", Level::DEBUG),
    ("rustls", Level::DEBUG),
];

/// Whether a line of this part of the program, at this level, repeats nothing that is secret.
pub(super) fn is_discreet(target: &str, level: Level) -> bool {
    // A library's other packages begin like it: `socketioxide_core`.
    let most = REPEATING.iter().find(|(library, _)| target.starts_with(library)).map(|(_, most)| *most);
    most.is_none_or(|most| level <= most)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn filter(verbose: u8, rust_log: Option<&str>) -> Filter {
        Filter::of(verbose, rust_log.map(OsStr::new))
    }

    /// The most that is written of what these parts say.
    fn most<const N: usize>(filter: &Filter, of: [&str; N]) -> [Option<Level>; N] {
        let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
        of.map(|target| levels.into_iter().find(|level| filter.targets.would_enable(target, level)))
    }

    #[test]
    fn each_v_says_more_and_the_second_all_that_framewire_says_itself() {
        let parts = ["framewire::server", "framewire_transport::driver", "framewire_sink", "hyper::proto"];
        for (verbose, own, others) in [
            (0, Level::WARN, Level::WARN),
            (1, Level::INFO, Level::INFO),
            (2, Level::DEBUG, Level::INFO),
            (9, Level::DEBUG, Level::INFO),
        ] {
            let expected = [own, own, own, others].map(Some);
            assert_eq!(most(&filter(verbose, None), parts), expected, "{verbose}");
        }
    }

    #[test]
    fn what_repeats_what_is_said_over_connections_is_not_traced_whoever_asks() {
        for (target, level, is_written) in [
            ("tungstenite::protocol", Level::TRACE, false),
            ("tungstenite::protocol", Level::DEBUG, true),
            ("socketioxide_core::packet", Level::DEBUG, false),
            ("engineioxide::socket", Level::WARN, true),
            ("framewire_signal::client", Level::TRACE, true),
        ] {
            assert_eq!(is_discreet(target, level), is_written, "{target} {level}");
        }
    }

    #[test]
    fn rust_log_wins_and_is_read_as_everywhere() {
        let parts = ["framewire_transport::driver", "framewire_signal", "hyper"];
        let (trace, debug, info, error) =
            (Some(Level::TRACE), Some(Level::DEBUG), Some(Level::INFO), Some(Level::ERROR));
        for (said, expected) in [
            ("debug", [debug, debug, debug]),
            ("DEBUG", [debug, debug, debug]),
            ("3", [info, info, info]),
            ("off", [None, None, None]),
            ("", [error, error, error]),
            (",", [error, error, error]),
            ("info,,", [info, info, info]),
            ("framewire_transport", [trace, None, None]),
            ("framewire_transport=", [trace, None, None]),
            ("info,framewire_transport=debug", [debug, info, info]),
            ("framewire_transport=debug,info", [debug, info, info]),
            ("framewire_transport::driver=trace,framewire_transport=off,hyper=error", [trace, None, error]),
            ("framewire=debug", [debug, debug, None]),
        ] {
            let filter = filter(2, Some(said));
            assert_eq!(most(&filter, parts), expected, "{said}");
            assert_eq!(filter.unread, None, "{said}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_and_the_flags_hold() {
        for said in ["framewire=loud", "a=b=c", "[span]=info", "framewire[span{field=1}]=info,a=b=c"] {
            let filter = filter(1, Some(said));
            let unread = filter.unread.clone().expect(said);
            assert!(unread.contains(said) && unread.contains("TARGET=LEVEL"), "{unread}");
            assert_eq!(most(&filter, ["anything"]), [Some(Level::INFO)], "{said}");
        }
    }
}
