//! What anyone says over Socket.IO: it is read or refused, what passes the check is within its bounds and is written as it was read, and no refusal is long.
#![no_main]

use framewire_signal::message::{
    ELSEWHERE_MAX, Elsewhere, Grant, HOPS_MAX, Numbered, OpenReply, Opening, Refused, UnwatchRequest, Unwatched,
    WATCH_NAME_CHARS_MAX, WatchReply, WatchRequest,
};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;

fuzz_target!(|bytes: &[u8]| {
    if let Some(Numbered { body, .. }) = read::<Numbered<WatchRequest>>(bytes)
        && passes(body.check())
    {
        assert!((1..=WATCH_NAME_CHARS_MAX).contains(&body.name.chars().count()));
        assert!(body.udp_port > 0 && body.hops.len() <= HOPS_MAX);
        let written = serde_json::to_vec(&body).expect("it has no keys but texts");
        assert_eq!(read::<WatchRequest>(&written), Some(body));
    }
    if let Some(Numbered { body, .. }) = read::<Numbered<Opening>>(bytes)
        && passes(body.check())
    {
        passes(body.request.format().map(drop));
    }
    if let Some(Numbered { body: WatchReply::Watching(watching), .. }) = read(bytes) {
        assert!(watching.hops.len() <= HOPS_MAX);
        passes(watching.format().map(drop));
    }
    if let Some(elsewhere) = read::<Elsewhere>(bytes) {
        assert!(
            elsewhere.servers.len() <= ELSEWHERE_MAX && elsewhere.servers.iter().all(|server| server.url.len() <= 512)
        );
        let written = serde_json::to_vec(&elsewhere).expect("it has no keys but texts");
        assert_eq!(read::<Elsewhere>(&written), Some(elsewhere));
    }
    let _ = read::<Numbered<OpenReply>>(bytes);
    let _ = read::<Numbered<UnwatchRequest>>(bytes);
    let _ = read::<Numbered<Unwatched>>(bytes);
    if let Some(grant) = read::<Grant>(bytes).filter(Grant::is_usable) {
        assert!(grant.bits_per_second > 0 && grant.frames_per_second.is_none_or(f64::is_finite));
    }
});

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

fn passes(checked: Result<(), Refused>) -> bool {
    checked.inspect_err(|refused| assert!(refused.message.len() < 2_000, "{}", refused.message.len())).is_ok()
}
