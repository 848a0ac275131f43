//! Looking for a stream among the hubs of this machine, until it is there.

use std::collections::BTreeSet;

use framewire_process::exit::{Failure, say};
use framewire_process::progress::REFRESH;
use framewire_process::stop::Stop;
use framewire_transport::share::{Reader, ShareError, SharedStreamInfo};

use super::PROGRAM;
use super::choice::{Choice, Seen, choose};
use super::reading::Named;
use super::room;
use crate::cli::WatchArgs;
use crate::hubs::{Asked, unless_stopped};

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
    let (mut was_said, mut passed_over) = (false, BTreeSet::new());
    while !stop.is_stopped() {
        let Some(hubs) = look(args, stop)? else { break };
        let seen: Vec<_> = hubs.iter().map(|(_, seen)| seen.clone()).collect();
        match choose(args.stream.as_deref(), &seen) {
            Choice::Found(at, name) => {
                // One that does not answer may have it too.
                for trouble in seen.iter().filter_map(|hub| hub.streams.as_ref().err()) {
                    if passed_over.insert(trouble.clone()) {
                        say(format_args!("{PROGRAM}: {trouble}; it is passed over"));
                    }
                }
                if let Some((Some((reader, streams)), _)) = hubs.get(at)
                    && let Some(found) = subscribe(args, reader, streams, &name, stop)?
                {
                    return Ok(Some(found));
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
                let waits = Failure::runtime(format!("waiting for {}: {what}", wanted(args)));
                say(format_args!("{PROGRAM}: {waits}"));
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

type Streams = Option<(Reader, Vec<SharedStreamInfo>)>;

/// Asks each hub for its streams; `None` where somebody asked to stop meanwhile. A socket that was left behind is nobody's.
///
/// # Errors
/// The one that was asked for does not answer as it should.
fn look(args: &WatchArgs, stop: &Stop) -> Result<Option<Vec<(Streams, Seen)>>, Failure> {
    let (asked, is_asked_for) = (Asked::of(args.share.as_ref()), args.share.is_some());
    let answers = asked.each(stop, |endpoint, patience| {
        Reader::connect_within(endpoint.clone(), patience).and_then(|reader| Ok((reader.streams()?, reader)))
    })?;
    let Some(answers) = answers else { return Ok(None) };
    let mut hubs = Vec::new();
    for (endpoint, answer) in asked.endpoints.iter().zip(answers) {
        let socket = endpoint.to_string();
        match answer {
            Ok((streams, reader)) => {
                let names = streams.iter().map(|stream| stream.name.clone()).collect();
                hubs.push((Some((reader, streams)), Seen { socket, streams: Ok(names) }));
            }
            Err(ShareError::NoHub { .. } | ShareError::HubGone { .. }) if !is_asked_for => {}
            Err(
                error @ (ShareError::NoHub { .. }
                | ShareError::HubGone { .. }
                | ShareError::Silent { .. }
                | ShareError::Busy { .. }),
            ) => {
                hubs.push((None, Seen { socket, streams: Err(error.to_string()) }));
            }
            Err(error) if is_asked_for => return Err(Failure::runtime(error)),
            Err(error) => hubs.push((None, Seen { socket, streams: Err(error.to_string()) })),
        }
    }
    hubs.extend(asked.unlisted.iter().map(|folder| {
        let unlisted = folder.to_string();
        (None, Seen { socket: unlisted.clone(), streams: Err(unlisted) })
    }));
    Ok(Some(hubs))
}

/// `None` where the stream has gone meanwhile, or somebody asked to stop.
///
/// # Errors
/// The hub refuses.
fn subscribe(
    args: &WatchArgs,
    reader: &Reader,
    streams: &[SharedStreamInfo],
    name: &str,
    stop: &Stop,
) -> Result<Option<Found>, Failure> {
    let Some(info) = streams.iter().find(|stream| stream.name == name) else { return Ok(None) };
    let (config, may_shorten) = (room::config(args, info.delivery), args.policy.is_none());
    let (asks, asked_for) = (reader.clone(), name.to_owned());
    let answer = unless_stopped(stop, move || room::subscribe(&asks, &asked_for, config, may_shorten))?;
    let Some(granted) = answer else { return Ok(None) };
    match granted {
        Ok((subscription, config)) => Ok(Some(Found {
            info: subscription.info(),
            frames: Named::new(reader.clone(), config, subscription, stop.clone()),
        })),
        Err(ShareError::UnknownStream { .. } | ShareError::NoHub { .. } | ShareError::HubGone { .. }) => Ok(None),
        Err(error) => Err(room::failure(error, args.sinks.sink.len() > 1)),
    }
}
