//! What is wrong with a Redis, for people, with what to do.

use std::io;
use std::time::Duration;

use redis::RedisError;

use super::Place;

/// Characters of what a stranger says that are repeated.
const REPEATED_CHARS_MAX: usize = 160;

/// What it answered, or what became of the connection.
pub(super) fn explain(error: &RedisError, place: &Place) -> String {
    explain_text(error.code(), &error.to_string(), place)
}

pub(super) fn explain_text(code: Option<&str>, said: &str, place: &Place) -> String {
    let said = harmless(said);
    let at = at(place);
    let is = |words: &[&str]| words.iter().any(|word| code == Some(word) || said.contains(word));
    let prefix = &place.config.prefix;
    if is(&["protected mode", "DENIED"]) {
        format!(
            "{at} is in protected mode, and lets in its own machine alone; switch its default user off (user default off resetpass), give it one with a \
             password for this, and say that by redis://USER@HOST and FRAMEWIRE_CLUSTER_PASSWORD"
        )
    } else if is(&["NOAUTH", "WRONGPASS", "AuthenticationFailed", "invalid password", "Password authentication failed"])
    {
        format!(
            "{at} refuses the user or the password ({said}); set FRAMEWIRE_CLUSTER_PASSWORD, and the user in the address: redis://USER@HOST"
        )
    } else if is(&["NOPERM"]) {
        format!(
            "{at} allows its user too little ({said}); it takes: ACL SETUSER NAME ~{prefix}:* &{prefix}:* +set +getrange +sadd +srem +scard +srandmember +pexpire \
             +publish +subscribe"
        )
    } else if is(&["WRONGTYPE"]) {
        format!("{at} has something else under {prefix}:nodes; use another prefix, or delete that key")
    } else if is(&["READONLY"]) {
        format!("{at} is a replica that takes nothing ({said}); name the one that does")
    } else {
        format!("{at}: {said}")
    }
}

pub(super) fn silent(place: &Place, within: Duration) -> String {
    format!("{} does not answer within {} s; is it frozen, or a firewall in the way?", at(place), within.as_secs())
}

pub(super) fn unreachable(place: &Place, error: &io::Error) -> String {
    format!("{} cannot be reached ({error}); is it running, and does it listen at that address?", at(place))
}

pub(super) fn not_protected(place: &Place, error: &io::Error) -> String {
    let said = harmless(&error.to_string());
    format!(
        "{} does not prove itself by TLS ({said}); name the authority of its certificate, or use redis:// where nobody else listens",
        at(place)
    )
}

fn at(place: &Place) -> String {
    let host = &place.url.host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    format!("Redis at {host}:{}", place.url.port)
}

/// What a stranger said goes into logs and onto a page.
fn harmless(said: &str) -> String {
    said.chars().take(REPEATED_CHARS_MAX).map(|char| if char.is_control() { ' ' } else { char }).collect()
}
