//! Takes frames from where they come, and gives each to its stream's topic.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use framewire_ends::{Class, Error, STEP, Source, Taken};
use framewire_process::exit::{Failure, say};
use framewire_process::lock::lock;
use framewire_process::logs;
use framewire_process::stop::Stop;
use framewire_transport::{FrameFormat, PixelFormat};

use super::origin::{AGAIN, Origin};
use super::topic::{Ending, Topic};
use super::{Entry, Shared};
use crate::ros::names::TopicName;

/// How often it is said again why nothing comes.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// From so many streams on, one of which nothing has come for a while gives its topic up to a new one: a hub calls streams that have no name anew each time that
/// they are opened.
const STREAMS_KEPT: usize = 64;
const GIVEN_UP_AFTER: Duration = Duration::from_secs(60);

/// Follows it until somebody asks to stop: what is not there is waited for, and what went is taken again when it is back.
pub(super) fn follow(origin: &Origin, shared: &Arc<Shared>, stop: &Stop) {
    let mut following = Following { origin, shared, stop, streams: HashMap::new(), ending: Vec::new(), told: None };
    while !stop.is_stopped() {
        match origin.open(stop) {
            Ok(Some(source)) => {
                let end = following.take_all(&source);
                let stats = source.stats();
                shared.passed_over.fetch_add(stats.dropped + stats.lost, Ordering::Relaxed);
                match end {
                    Ok(()) => {}
                    Err(error) if is_passing(&error) => following.tell(&error.text),
                    Err(error) => stop.fail(Failure::runtime(format!("{}: {error}", origin.named()))),
                }
            }
            Ok(None) => break,
            Err(error) if is_passing(&error) => following.tell(&error.text),
            Err(error) if error.class == Class::Argument => stop.fail(Failure::usage(error)),
            Err(error) => stop.fail(Failure::runtime(error)),
        }
        stop.sleep(AGAIN);
    }
    following.end();
}

/// Whether it may be well later, by itself.
fn is_passing(error: &Error) -> bool {
    matches!(error.class, Class::UnknownStream | Class::Interrupted | Class::Ended | Class::Timeout)
        // A hub that is not there yet.
        || (error.class == Class::Refused && error.code != "server-refuses")
}

struct Following<'a> {
    origin: &'a Origin,
    shared: &'a Arc<Shared>,
    stop: &'a Stop,
    /// By their names.
    streams: HashMap<String, Stream>,
    /// Topics that were given up, until what they had has left.
    ending: Vec<Ending>,
    /// What was said last of why nothing comes, and when.
    told: Option<(String, Instant)>,
}

/// A stream that frames have come of.
#[derive(Default)]
struct Stream {
    topic: Option<Topic>,
    /// It can have no topic, which was told.
    is_refused: bool,
    /// Its format, where that was told to have no name in ROS.
    nameless: Option<PixelFormat>,
    /// When a frame came last.
    came: Option<Instant>,
}

impl Following<'_> {
    /// Publishes what comes until there is no more.
    ///
    /// # Errors
    /// Why there is no more.
    fn take_all(&mut self, source: &Source) -> Result<(), Error> {
        while !self.stop.is_stopped() {
            match source.recv(STEP) {
                Ok(Some(taken)) => self.take(&taken),
                Ok(None) => {
                    if let Some(trouble) = source.trouble() {
                        self.tell(&trouble);
                    }
                }
                // Of one of several streams: the others go on.
                Err(error) if matches!(self.origin, Origin::All(..)) && error.class == Class::Refused => {
                    tracing::warn!("{error}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, taken: &Taken) {
        self.told = None;
        let name = self.name(taken);
        let format = &taken.stream.format;
        if !self.streams.contains_key(&name) {
            self.give_one_up();
        }
        let stream = self.streams.entry(name.clone()).or_default();
        stream.came = Some(Instant::now());
        if format.pixel().ros().is_none() {
            if stream.nameless.replace(format.pixel()) != Some(format.pixel()) {
                warn(format_args!(
                    "stream '{}' is {}, which ROS has no encoding for: it is not published; have its source send bgr24, rgb24, gray8, yuyv, uyvy or another that \
                     `framewire formats` has a ROS name for",
                    name.escape_debug(),
                    format.pixel()
                ));
            }
            self.refuse(&self.shared.homeless.refused);
            return;
        }
        if stream.topic.is_none() && !stream.is_refused {
            stream.topic = topic(self.shared, &name, format);
            stream.is_refused = stream.topic.is_none();
        }
        match &mut stream.topic {
            Some(topic) => topic.publish(&taken.frame, format),
            None => self.refuse(&self.shared.homeless.no_topic),
        }
    }

    /// Makes room for a new stream, where there are many. Frames of the others come meanwhile: nobody is waited for.
    fn give_one_up(&mut self) {
        self.ending.extract_if(.., |ending| ending.is_over()).for_each(Ending::finish);
        if self.streams.len() < STREAMS_KEPT {
            return;
        }
        let came = self.streams.iter().filter_map(|(name, stream)| Some((name.as_str(), stream.came?)));
        let Some(name) = longest_silent(came, Instant::now()).map(str::to_owned) else { return };
        if let Some(topic) = self.streams.remove(&name).and_then(|stream| stream.topic) {
            self.ending.push(topic.end());
            tracing::info!("stream '{}' has sent nothing for long: its topic is no more", name.escape_debug());
        }
    }

    /// Ends all topics, at once: where several have a subscriber that stands still, the time of each is the same.
    fn end(self) {
        self.streams.values().filter_map(|stream| stream.topic.as_ref()).for_each(Topic::close);
        self.ending.into_iter().for_each(Ending::finish);
    }

    /// Counts a frame of a stream that has no topic, by why.
    fn refuse(&self, why: &AtomicU64) {
        self.shared.homeless.frames.fetch_add(1, Ordering::Relaxed);
        why.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream that was asked for by a name has that.
    fn name(&self, taken: &Taken) -> String {
        match self.origin {
            Origin::All(..) => taken.stream.name.clone(),
            Origin::Shared(name, ..) | Origin::Watched(name, ..) => name.clone(),
        }
    }

    /// Says why nothing comes, once and then now and then.
    fn tell(&mut self, trouble: &str) {
        let is_said = |(text, when): &(String, Instant)| text == trouble && when.elapsed() < TOLD_EVERY;
        if !self.told.as_ref().is_some_and(is_said) {
            self.told = Some((trouble.to_owned(), Instant::now()));
            tracing::warn!("waiting for {}: {trouble}", self.origin.named());
        }
    }
}

/// The topic of a stream that has none yet; that it can have none is said.
fn topic(shared: &Arc<Shared>, stream: &str, format: &FrameFormat) -> Option<Topic> {
    let shown = stream.escape_debug();
    let name = match &shared.topic {
        Some(name) => name.clone(),
        None => {
            let token = framewire_capture::ros::topic_name(stream, 0);
            match TopicName::within(shared.namespace.as_str(), &format!("{token}/image_raw")) {
                Ok(name) => name,
                Err(reason) => {
                    warn(format_args!("stream '{shown}' is not published: {reason}"));
                    return None;
                }
            }
        }
    };
    let mut topics = lock(&shared.topics);
    if let Some(other) = topics.get(&name) {
        warn(format_args!(
            "stream '{shown}' is not published: its topic would be {name}, and that is the one of stream '{}'; give it another name, or publish it by a program \
             of its own with --topic",
            other.stream.escape_debug()
        ));
        return None;
    }
    let counts = Arc::default();
    let topic = match Topic::new(shared, name.clone(), stream, format, Arc::clone(&counts)) {
        Ok(topic) => topic,
        Err(reason) => {
            warn(format_args!("stream '{shown}' is not published: {name} cannot be written ({reason})"));
            return None;
        }
    };
    topics.insert(name.clone(), Entry { stream: stream.to_owned(), writer: topic.writer(), counts });
    say(format_args!("framewire-ros2: stream '{shown}' is {name}"));
    Some(topic)
}

/// The stream of which nothing has come for longest, where that is long.
fn longest_silent<'a>(came: impl Iterator<Item = (&'a str, Instant)>, now: Instant) -> Option<&'a str> {
    let (name, last) = came.min_by_key(|(_, last)| *last)?;
    (now.saturating_duration_since(last) >= GIVEN_UP_AFTER).then_some(name)
}

/// Tells of a stream that is not published, once each: none is left out because there are many.
fn warn(message: std::fmt::Arguments<'_>) {
    logs::say(tracing::Level::WARN, format_args!("framewire-ros2: {message}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_streams_the_one_that_is_silent_for_longest_gives_way_and_none_that_lives() {
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let came = [("front", at(100)), ("stream-1", at(20)), ("stream-2", at(30))];
        assert_eq!(longest_silent(came.into_iter(), at(80)), Some("stream-1"));
        assert_eq!(longest_silent(came.into_iter(), at(79)), None);
        assert_eq!(longest_silent([].into_iter(), at(80)), None);
    }
}
