//! Looking for a stream among the servers of this machine, until it is there.

use framewire_process::exit::{Failure, say};
use framewire_process::progress::REFRESH;
use framewire_process::stop::Stop;
use framewire_transport::share::{Endpoint, Reader, ShareError, SharedStreamInfo};

use super::PROGRAM;
use super::choice::{Choice, Seen, choose};
use super::reading::Named;
use super::room;
use crate::cli::WatchArgs;

/// A stream that is read.
pub(super) struct Found {
    pub(super) frames: Named,
    pub(super) info: SharedStreamInfo,
}

/// Waits until the stream is there, and subscribes to it. `None` where somebody asked to stop before.
///
/// # Errors
/// It may be one of several, it is not there and is not waited for, or its server refuses.
pub(super) fn wait(args: &WatchArgs, stop: &Stop) -> Result<Option<Found>, Failure> {
    let mut was_said = false;
    while !stop.is_stopped() {
        let hubs = look(args)?;
        let seen: Vec<_> = hubs.iter().map(|(_, seen)| seen.clone()).collect();
        match choose(args.stream.as_deref(), &seen) {
            Choice::Found(at, name) => {
                let found = hubs.get(at).and_then(|(streams, _)| streams.as_ref());
                if let Some(found) =
                    found.and_then(|(reader, streams)| subscribe(args, reader, streams, &name).transpose())
                {
                    return found.map(Some);
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

/// Asks each server for its streams. A socket that was left behind is nobody's.
///
/// # Errors
/// The one that was asked for does not answer as it should.
fn look(args: &WatchArgs) -> Result<Vec<(Streams, Seen)>, Failure> {
    let (endpoints, is_asked_for) = match &args.share {
        Some(endpoint) => (vec![endpoint.clone()], true),
        None => (Endpoint::all(), false),
    };
    let mut hubs = Vec::new();
    let answers = crate::hubs::each(&endpoints, |endpoint| {
        Reader::connect(endpoint.clone()).and_then(|reader| Ok((reader.streams()?, reader)))
    });
    for (endpoint, answer) in endpoints.iter().zip(answers) {
        let socket = endpoint.to_string();
        match answer {
            Ok((streams, reader)) => {
                let names = streams.iter().map(|stream| stream.name.clone()).collect();
                hubs.push((Some((reader, streams)), Seen { socket, streams: Ok(names) }));
            }
            Err(ShareError::NoHub { .. } | ShareError::HubGone { .. }) if !is_asked_for => {}
            Err(error @ (ShareError::NoHub { .. } | ShareError::HubGone { .. } | ShareError::Silent { .. })) => {
                hubs.push((None, Seen { socket, streams: Err(error.to_string()) }));
            }
            Err(error) if is_asked_for => return Err(Failure::runtime(error)),
            Err(error) => hubs.push((None, Seen { socket, streams: Err(error.to_string()) })),
        }
    }
    Ok(hubs)
}

/// `None` where the stream has gone meanwhile.
///
/// # Errors
/// The server refuses.
fn subscribe(
    args: &WatchArgs,
    reader: &Reader,
    streams: &[SharedStreamInfo],
    name: &str,
) -> Result<Option<Found>, Failure> {
    let Some(info) = streams.iter().find(|stream| stream.name == name) else { return Ok(None) };
    let (mut config, may_shorten) = (room::config(args, info.delivery), args.policy.is_none());
    match room::subscribe(reader, name, &mut config, may_shorten) {
        Ok(subscription) => {
            Ok(Some(Found { info: subscription.info(), frames: Named::new(reader.clone(), config, subscription) }))
        }
        Err(ShareError::UnknownStream { .. } | ShareError::NoHub { .. } | ShareError::HubGone { .. }) => Ok(None),
        Err(error) => Err(room::failure(error, args.sinks.sink.len() > 1)),
    }
}
