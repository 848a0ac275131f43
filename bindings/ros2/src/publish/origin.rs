//! Where the streams come from that are published.

use std::collections::BTreeSet;
use std::time::Duration;

use framewire_ends::{
    Class, Error, Hub, OpenOptions, ReceiveOptions, ServerPlace, Source, WatchOptions, shared_streams,
};
use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_transport::Protection;

use crate::cli::PublishArgs;

/// One stream, or all of a hub.
pub(super) enum Origin {
    /// All streams of a hub of this machine; without one, of the only one there is.
    All(Option<Hub>, Waiting),
    /// One stream that a process of this machine shares.
    Shared(String, Option<Hub>, Waiting),
    /// One stream of a server.
    Watched(String, ServerPlace, Protection, Waiting),
}

/// Frames that wait while this program is busy.
pub(super) type Waiting = usize;

/// Frames of a stream in this program's hands: the one that is copied.
const HELD: usize = 2;
/// Slots in which frames from the network are assembled.
const ASSEMBLED: usize = 4;

/// What was asked for.
///
/// # Errors
/// What cannot be.
pub(super) fn origins(args: &PublishArgs) -> Result<Vec<Origin>, Failure> {
    let names: BTreeSet<&String> = args.streams.iter().collect();
    if names.len() < args.streams.len() {
        return Err(Failure::usage("a stream is named twice; name each once"));
    }
    if args.topic.is_some() && names.len() != 1 {
        return Err(Failure::usage(
            "--topic is the topic of one stream; name that, or leave --topic out: each stream has a topic of its own then",
        ));
    }
    let waiting = usize::from(args.queue);
    let named = || args.streams.iter().cloned();
    match args.server.place() {
        Some(_) if args.share.is_some() => Err(Failure::usage(
            "--share is a hub of this machine, and --server and --join are servers anywhere; give one of them",
        )),
        Some(_) if names.is_empty() => Err(Failure::usage(
            "which streams of the server are published? name them, as `framewire ls --server` lists them",
        )),
        Some(place) => {
            let protection = args.server.protection();
            Ok(named().map(|name| Origin::Watched(name, place.clone(), protection, waiting)).collect())
        }
        None if names.is_empty() => Ok(vec![Origin::All(args.share.clone(), waiting)]),
        None => Ok(named().map(|name| Origin::Shared(name, args.share.clone(), waiting)).collect()),
    }
}

impl Origin {
    /// Opens it; `None` where somebody asked to stop meanwhile.
    ///
    /// # Errors
    /// What is not there, or cannot be.
    pub(super) fn open(&self, stop: &Stop) -> Result<Option<Source>, Error> {
        let mut go_on = || !stop.is_stopped();
        let options =
            |waiting: Waiting| OpenOptions::new().slots(HELD).queue(Some(waiting)).name("framewire-ros2".to_owned());
        match self {
            Self::All(hub, waiting) => {
                let hub = match hub {
                    Some(hub) => hub.clone(),
                    None => match only_hub(&mut go_on)? {
                        Some(hub) => hub,
                        None => return Ok(None),
                    },
                };
                Source::open_all(&hub, &options(*waiting)).map(Some)
            }
            Self::Shared(name, hub, waiting) => {
                Source::open(Some(name), &options(*waiting).hub(hub.clone()), &mut go_on)
            }
            Self::Watched(name, place, protection, waiting) => {
                let slots = ASSEMBLED + HELD + waiting;
                let receive = ReceiveOptions::new().slots(slots).queue(Some(*waiting)).protection(*protection);
                Source::watch(name, place, &WatchOptions::new().receive(receive)).map(Some)
            }
        }
    }

    /// What it is called in what is said of it.
    pub(super) fn named(&self) -> String {
        match self {
            Self::All(None, _) => "the streams of this machine".to_owned(),
            Self::All(Some(hub), _) => format!("the streams of {hub}"),
            Self::Shared(name, ..) | Self::Watched(name, ..) => format!("stream '{}'", name.escape_debug()),
        }
    }
}

/// The only hub of this machine that has streams.
fn only_hub(go_on: &mut dyn FnMut() -> bool) -> Result<Option<Hub>, Error> {
    let Some(answers) = shared_streams(None, go_on) else { return Ok(None) };
    let hubs: BTreeSet<String> = answers.all()?.into_iter().map(|(_, endpoint)| endpoint.to_string()).collect();
    let hubs: Vec<String> = hubs.into_iter().collect();
    match hubs.as_slice() {
        [hub] => hub.parse().map(Some),
        [] => Err(Error::new(
            Class::UnknownStream,
            "unknown-stream",
            "nobody shares a stream on this machine; start a publisher, or a server with --share",
        )),
        several => Err(Error::new(
            Class::Argument,
            "several-hubs",
            format!("several hubs of this machine share streams: {}; say which by --share", several.join(", ")),
        )),
    }
}

/// How long until what was not there is looked for again.
pub(super) const AGAIN: Duration = Duration::from_millis(250);
