//! Looking for a stream among the hubs of this machine, until it is there.

use std::collections::BTreeSet;

use framewire_process::exit::{Failure, say};
use framewire_process::progress::REFRESH;
use framewire_process::stop::Stop;
use framewire_transport::share::{Endpoint, Reader, ShareError, SharedStreamInfo};

use super::PROGRAM;
use super::choice::{Choice, Seen, choose};
use super::reading::Named;
use super::room;
use crate::cli::WatchArgs;
use crate::hubs::{Asked, PATIENCE_OF_NAMED, unless_stopped};

/// A stream that is read.
pub(super) struct Found {
    pub(super) frames: Named,
    pub(super) info: SharedStreamInfo,
}

/// Waits until the stream is there, and subscribes to it. `None` where somebody asked to stop before.
///
/// # Errors
/// It may be one of several, it is not there and is not waited for, or its hub refuses.
pub(super) fn wait(args: &WatchArgs, stop: &Stop) -> Result<Option<Found>, Failure> {
    let (mut was_said, mut told) = (false, BTreeSet::new());
    while !stop.is_stopped() {
        let Some(hubs) = look(args, stop)? else { break };
        let seen: Vec<_> = hubs.iter().map(|(_, seen)| seen.clone()).collect();
        let mut once = |trouble: String, what: &str| {
            if told.insert(trouble.clone()) {
                say(format_args!("{PROGRAM}: {trouble}; {what}"));
            }
        };
        match choose(args.stream.as_deref(), &seen) {
            Choice::Found(at, name) => {
                // One that does not answer may have it too; one that is not for this user is none of theirs.
                for (_, seen) in hubs.iter().filter(|(answer, _)| matches!(answer, Answer::Late)) {
                    once(seen.streams.clone().err().unwrap_or_default(), "it is passed over");
                }
                if let Some((Answer::Streams(endpoint, streams), _)) = hubs.get(at) {
                    match subscribe(args, endpoint, streams, &name, stop)? {
                        Asking::Found(found) => return Ok(Some(*found)),
                        Asking::Late(error) => once(error.to_string(), "it is waited for"),
                        Asking::Gone => {}
                    }
                }
            }
            Choice::Ambiguous(what) => return Err(Failure::usage(what)),
            Choice::NotThere(what) if args.no_wait => {
                let wanted = wanted(args);
                return Err(Failure::runtime(format!(
                    "{wanted} is not there: {what}; without --no-wait it is waited for"
                )));
            }
            Choice::NotThere(what) if !was_said => {
                was_said = true;
                say(format_args!("{PROGRAM}: waiting for {}: {what}", wanted(args)));
            }
            Choice::NotThere(_) => {}
        }
        stop.sleep(REFRESH);
    }
    Ok(None)
}

fn wanted(args: &WatchArgs) -> String {
    args.stream.as_ref().map_or_else(|| "a stream".to_owned(), |name| format!("stream {name:?}"))
}

/// What came of asking a hub.
enum Answer {
    Streams(Endpoint, Vec<SharedStreamInfo>),
    /// It is there and takes its time.
    Late,
    None,
}

/// What came of asking for a stream.
enum Asking {
    Found(Box<Found>),
    /// Its hub is there and takes its time.
    Late(ShareError),
    /// It is gone, or somebody asked to stop.
    Gone,
}

fn is_late(error: &ShareError) -> bool {
    matches!(error, ShareError::Silent { .. } | ShareError::Busy { .. })
}

/// Asks each hub for its streams; `None` where somebody asked to stop meanwhile. A socket that was left behind is nobody's.
///
/// # Errors
/// The one that was asked for does not answer as it should.
fn look(args: &WatchArgs, stop: &Stop) -> Result<Option<Vec<(Answer, Seen)>>, Failure> {
    let (asked, is_asked_for) = (Asked::of(args.share.as_ref()), args.share.is_some());
    let answers = asked.each(stop, |endpoint, patience| {
        Reader::connect_within(endpoint.clone(), patience).and_then(|reader| reader.streams())
    })?;
    let Some(answers) = answers else { return Ok(None) };
    let mut hubs = Vec::new();
    for (endpoint, answer) in asked.endpoints.iter().zip(answers) {
        let socket = endpoint.to_string();
        match answer {
            Ok(streams) => {
                let names = streams.iter().map(|stream| stream.name.clone()).collect();
                hubs.push((Answer::Streams(endpoint.clone(), streams), Seen { socket, streams: Ok(names) }));
            }
            Err(ShareError::NoHub { .. } | ShareError::HubGone { .. }) if !is_asked_for => {}
            Err(error) if is_late(&error) => {
                hubs.push((Answer::Late, Seen { socket, streams: Err(error.to_string()) }))
            }
            Err(error) if !is_asked_for || matches!(error, ShareError::NoHub { .. } | ShareError::HubGone { .. }) => {
                hubs.push((Answer::None, Seen { socket, streams: Err(error.to_string()) }));
            }
            Err(error) => return Err(Failure::runtime(error)),
        }
    }
    hubs.extend(asked.unlisted.iter().map(|folder| {
        let unlisted = folder.to_string();
        (Answer::None, Seen { socket: unlisted.clone(), streams: Err(unlisted) })
    }));
    Ok(Some(hubs))
}

/// Subscribes. That its hub was found is enough for it to be given the time that one has which was named.
///
/// # Errors
/// The hub refuses, or is late with `--no-wait`.
fn subscribe(
    args: &WatchArgs,
    endpoint: &Endpoint,
    streams: &[SharedStreamInfo],
    name: &str,
    stop: &Stop,
) -> Result<Asking, Failure> {
    let Some(info) = streams.iter().find(|stream| stream.name == name) else { return Ok(Asking::Gone) };
    let (config, may_shorten) = (room::config(args, info.delivery), args.policy.is_none());
    let (endpoint, asked_for) = (endpoint.clone(), name.to_owned());
    let answer = unless_stopped(stop, move || {
        let reader = Reader::connect_within(endpoint, PATIENCE_OF_NAMED)?;
        room::subscribe(&reader, &asked_for, config, may_shorten).map(|granted| (reader, granted))
    })?;
    let Some(granted) = answer else { return Ok(Asking::Gone) };
    match granted {
        Ok((reader, (subscription, config))) => Ok(Asking::Found(Box::new(Found {
            info: subscription.info(),
            frames: Named::new(reader, config, subscription, stop.clone()),
        }))),
        Err(ShareError::UnknownStream { .. } | ShareError::NoHub { .. } | ShareError::HubGone { .. }) => {
            Ok(Asking::Gone)
        }
        Err(error) if is_late(&error) && !args.no_wait => Ok(Asking::Late(error)),
        Err(error) => Err(room::failure(error, args.sinks.sink.len() > 1)),
    }
}
