//! Images as the frames of one stream.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, SystemTime};

use framewire_capture::ros::ImageHead;
use framewire_ends::{Class, Error, Hub, Output, OutputOptions, STEP, ServerPlace, Slot};
use framewire_process::exit::say;
use framewire_process::stop::Stop;
use framewire_transport::frame::MetadataKind;
use framewire_transport::{FrameFormat, Time};

/// Where the stream goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Processes of this machine, by a hub of its own or the one that is named.
    Readers(Option<Hub>),
    /// A server.
    Server(ServerPlace),
    /// Whoever listens there.
    Receiver(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Readers(_) => f.write_str("this machine's programs"),
            Self::Server(ServerPlace::Url(url)) => f.write_str(url),
            // The line may be a secret.
            Self::Server(ServerPlace::Join(_)) => f.write_str("the server that is joined"),
            Self::Receiver(address) => f.write_str(address),
        }
    }
}

impl Target {
    /// What is to be asked where nothing arrives there.
    pub(super) fn doubt(&self) -> &'static str {
        match self {
            Self::Readers(_) => "do those that read it hold all frames that there are?",
            Self::Server(_) | Self::Receiver(_) => "is it there, and is UDP dropped on the way?",
        }
    }
}

/// How long what was sent may take to arrive once there is no more.
const FAREWELL: Duration = Duration::from_secs(5);

/// The stream, which is begun by its first image, and again by the first of another format.
pub(super) struct Stream {
    target: Target,
    name: String,
    options: OutputOptions,
    output: Option<(Output, FrameFormat)>,
    /// Where the next image goes, once one came free.
    pub(super) slot: RefCell<Option<Slot>>,
    /// Of those that were ended.
    past: Sent,
}

/// What became of the frames.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sent {
    pub(super) sent: u64,
    pub(super) delivered: u64,
}

impl Stream {
    /// One that has not begun.
    pub(super) fn new(target: Target, name: String, options: OutputOptions) -> Self {
        Self { target, name, options, output: None, slot: RefCell::new(None), past: Sent::default() }
    }

    /// Its format, once it has begun.
    pub(super) fn format(&self) -> Option<FrameFormat> {
        self.output.as_ref().map(|(_, format)| *format)
    }

    /// Has a slot for the next image, where one comes free in time.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub(super) fn make_room(&self, timeout: Duration) -> Result<(), Error> {
        let Some((output, _)) = &self.output else { return Ok(()) };
        let mut slot = self.slot.borrow_mut();
        if slot.is_none() {
            *slot = output.frame_to_fill(timeout)?;
        }
        Ok(())
    }

    /// Begins, where it has not in this format; what was sent before has arrived then, or has had its time.
    ///
    /// # Errors
    /// It cannot be.
    pub(super) fn begin(&mut self, format: FrameFormat, stop: &Stop) -> Result<(), Error> {
        let before = self.format();
        self.end(stop);
        let output = match &self.target {
            Target::Readers(hub) => Output::publish(&self.name, hub.clone(), self.options.clone())?,
            Target::Server(server) => Output::serve(server, &self.name, self.options.clone())?,
            Target::Receiver(address) => Output::connect(address, self.options.clone())?,
        };
        output.begin(format)?;
        let shown = self.name.escape_debug();
        match before {
            None => say(format_args!("framewire-ros2: stream '{shown}' is {format}, at {}", output.target())),
            // Which may be so with each image, where two write the topic.
            Some(before) => tracing::warn!("stream '{shown}' was {before}, and is {format} from now on"),
        }
        self.output = Some((output, format));
        Ok(())
    }

    /// Sends an image whose pixels came before its slot.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub(super) fn fill(&self, head: &ImageHead<'_>, pixels: &[u8]) -> Result<bool, Error> {
        if let Some(slot) = self.slot.borrow_mut().as_mut() {
            if slot.set_len(pixels.len()).is_err() {
                return Ok(false);
            }
            slot.copy_from_slice(pixels);
        }
        self.send(head)
    }

    /// Sends what is in the slot; whether there was one.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub(super) fn send(&self, head: &ImageHead<'_>) -> Result<bool, Error> {
        let (Some((output, _)), Some(mut slot)) = (&self.output, self.slot.take()) else { return Ok(false) };
        let (captured, utc) = when(head.utc_ns, Time::now(), SystemTime::now());
        slot.info.captured = captured;
        slot.info.captured_utc = utc;
        let metadata = serde_json::json!({ "frame_id": head.frame_id }).to_string();
        // One that finds no room is left out: the slot may have none for metadata.
        let kept = slot.set_metadata(MetadataKind::Json, metadata.as_bytes());
        if kept.is_err() {
            let _ = slot.set_metadata(MetadataKind::Json, &[]);
        }
        output.send(slot)?;
        Ok(true)
    }

    /// Counts an image that found no slot.
    pub(super) fn skip(&self) {
        if let Some((output, _)) = &self.output {
            output.skip();
        }
    }

    /// Why a server has not taken it yet, or not again.
    pub(super) fn trouble(&self) -> Option<String> {
        self.output.as_ref().and_then(|(output, _)| output.trouble())
    }

    /// Ends it: what was sent may arrive, unless somebody is in a hurry.
    pub(super) fn end(&mut self, stop: &Stop) -> Sent {
        self.slot.take();
        if let Some((output, _)) = self.output.take() {
            let mut waited = Duration::ZERO;
            output.close_while(FAREWELL, &mut || {
                waited += STEP;
                !stop.is_stopped() || waited < FAREWELL / 2
            });
            let stats = output.stats();
            self.past.sent += stats.sent;
            self.past.delivered += stats.delivered;
        }
        self.past
    }
}

/// Whether it may be well later, by itself.
pub(super) fn is_passing(error: &Error) -> bool {
    matches!(error.class, Class::Timeout | Class::SlotsHeld)
}

/// An image whose stamp is this far from now is stamped by another clock: a simulation's, or a recording's.
const LIVE: Duration = Duration::from_secs(10);

/// When an image was taken that is stamped so, on the monotonic clock, and as UTC; a stamp of 0 is none.
fn when(utc_ns: u64, now: Time, wall: SystemTime) -> (Time, Option<SystemTime>) {
    if utc_ns == 0 {
        return (now, None);
    }
    let utc = SystemTime::UNIX_EPOCH + Duration::from_nanos(utc_ns);
    let ago = wall.duration_since(utc).ok().filter(|ago| *ago < LIVE);
    let captured = ago.map_or(now, |ago| Time::from_nanos(now.as_nanos().saturating_sub(ago.as_nanos() as u64)));
    (captured, Some(utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_frames_utc_and_one_of_just_now_is_its_capture_too() {
        let (now, wall) =
            (Time::from_nanos(9_000_000_000), SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000));
        let at = |ns: u64| Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(ns));
        let just = 1_795_000_000_000_000_000 - 30_000_000;
        assert_eq!(when(just, now, wall), (Time::from_nanos(8_970_000_000), at(just)));
        for other in [12_000_000_000, 1_795_000_001_000_000_000, 1_794_000_000_000_000_000] {
            assert_eq!(when(other, now, wall), (now, at(other)), "a simulation's, one ahead, a recording's");
        }
        assert_eq!(when(0, now, wall), (now, None));
    }
}
