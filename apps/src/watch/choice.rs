//! Which stream is meant, of those that there are.

use std::fmt;

/// A hub's socket, and the names of its streams; or why they cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) socket: String,
    pub(super) streams: Result<Vec<String>, String>,
}

/// What was made of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// The stream of this hub, by number, and this name.
    Found(usize, String),
    /// It may be one of several: what to write instead.
    Ambiguous(String),
    /// It is not there: what is, as a sentence.
    NotThere(String),
}

/// Finds a stream by its name, or the only one there is.
pub(super) fn choose(wanted: Option<&str>, hubs: &[Seen]) -> Choice {
    let all = hubs.iter().enumerate().flat_map(|(at, hub)| {
        let streams = hub.streams.as_deref().unwrap_or_default();
        streams.iter().map(move |name| (at, name.as_str()))
    });
    let meant: Vec<_> = all.filter(|(_, name)| wanted.is_none_or(|wanted| wanted == *name)).collect();
    match (meant.as_slice(), wanted) {
        ([], _) => Choice::NotThere(There(hubs).to_string()),
        ([(at, name)], _) => Choice::Found(*at, (*name).to_owned()),
        (_, Some(wanted)) => Choice::Ambiguous(format!(
            "several hubs share a stream {wanted:?}: {}; say which with --share",
            listed(meant.iter().map(|(at, _)| hubs[*at].socket.clone()))
        )),
        (_, None) => Choice::Ambiguous(format!("several streams are shared: {}; say which", There(hubs).names())),
    }
}

/// What there is.
struct There<'a>(&'a [Seen]);

impl There<'_> {
    /// The streams, each with its socket where there are several.
    fn names(&self) -> String {
        let is_one = self.0.len() == 1;
        listed(self.0.iter().flat_map(|hub| {
            hub.streams.iter().flatten().map(move |name| match is_one {
                true => format!("{name:?}"),
                false => format!("{name:?} on {}", hub.socket),
            })
        }))
    }
}

impl fmt::Display for There<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let troubles: Vec<_> = self.0.iter().filter_map(|hub| hub.streams.as_ref().err().map(String::as_str)).collect();
        let names = self.names();
        match (self.0.len() - troubles.len(), names.is_empty()) {
            (0, _) if troubles.is_empty() => f.write_str("no hub shares streams on this machine"),
            (0, _) => f.write_str("no hub can be asked"),
            (_, true) => f.write_str("no stream is shared"),
            (_, false) => write!(f, "these are shared: {names}"),
        }?;
        troubles.iter().try_for_each(|trouble| write!(f, "; {trouble}"))
    }
}

/// So many names are told; who has more is shown them by `framewire ls`.
const NAMED_MAX: usize = 20;

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(socket: &str, streams: &[&str]) -> Seen {
        Seen { socket: socket.into(), streams: Ok(streams.iter().map(|name| (*name).to_owned()).collect()) }
    }

    fn ambiguous(choice: Choice) -> String {
        let Choice::Ambiguous(text) = choice else { panic!("{choice:?}") };
        text
    }

    #[test]
    fn without_a_name_the_only_stream_is_meant_and_several_are_named() {
        let (one, two) = (hub("/a.sock", &["front"]), hub("/b.sock", &[]));
        assert_eq!(choose(None, &[two.clone(), one.clone()]), Choice::Found(1, "front".into()));
        let several = ambiguous(choose(None, &[hub("/a.sock", &["front", "rear"])]));
        assert_eq!(several, "several streams are shared: \"front\", \"rear\"; say which");
        let several = ambiguous(choose(None, &[one, hub("/b.sock", &["side"])]));
        assert!(several.contains("\"front\" on /a.sock, \"side\" on /b.sock"), "{several}");
    }

    #[test]
    fn a_name_that_two_hubs_have_asks_for_the_socket() {
        let hubs = [hub("/a.sock", &["front"]), hub("/b.sock", &["front", "rear"])];
        assert_eq!(
            ambiguous(choose(Some("front"), &hubs)),
            "several hubs share a stream \"front\": /a.sock, /b.sock; say which with --share"
        );
        assert_eq!(choose(Some("rear"), &hubs), Choice::Found(1, "rear".into()));
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is_and_why_some_cannot_be_asked() {
        let not_there = |wanted, hubs: &[Seen]| match choose(wanted, hubs) {
            Choice::NotThere(text) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(not_there(None, &[]), "no hub shares streams on this machine");
        assert_eq!(not_there(None, &[hub("/a.sock", &[])]), "no stream is shared");
        assert_eq!(not_there(Some("x"), &[hub("/a.sock", &["front"])]), "these are shared: \"front\"");
        let closed = Seen { socket: "/c.sock".into(), streams: Err("/c.sock: permission denied".into()) };
        assert_eq!(not_there(None, std::slice::from_ref(&closed)), "no hub can be asked; /c.sock: permission denied");
        let both = not_there(Some("x"), &[hub("/a.sock", &["front"]), closed]);
        assert_eq!(both, "these are shared: \"front\" on /a.sock; /c.sock: permission denied");
    }

    #[test]
    fn names_are_quoted_so_that_no_terminal_obeys_them_and_a_thousand_are_not_all_told() {
        let names: Vec<String> = (0..1_000).map(|number| format!("cam\u{1b}{number}")).collect();
        let hub = Seen { socket: "/a.sock".into(), streams: Ok(names) };
        let text = ambiguous(choose(None, &[hub]));
        assert!(!text.contains('\u{1b}') && text.contains("and 980 more") && text.len() < 1_000, "{text}");
    }
}
