//! Takes frames from where they come, and gives each to its stream's topic.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use framewire_ends::{Class, Error, STEP, Source, Taken};
use framewire_process::exit::{Failure, say};
use framewire_process::lock::lock;
use framewire_process::logs;
use framewire_process::stop::Stop;
use framewire_transport::{FrameFormat, PixelFormat};

use super::origin::{AGAIN, Origin};
use super::topic::Topic;
use super::{Entry, Shared};
use crate::ros::names::TopicName;

/// How often it is said again why nothing comes.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// Follows it until somebody asks to stop: what is not there is waited for, and what went is taken again when it is back.
pub(super) fn follow(origin: &Origin, shared: &Arc<Shared>, stop: &Stop) {
    let mut following =
        Following { origin, shared, stop, topics: HashMap::new(), nameless: HashMap::new(), told: None };
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
            Ok(None) => return,
            Err(error) if is_passing(&error) => following.tell(&error.text),
            Err(error) if error.class == Class::Argument => stop.fail(Failure::usage(error)),
            Err(error) => stop.fail(Failure::runtime(error)),
        }
        stop.sleep(AGAIN);
    }
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
    /// By their streams' names; `None` for those that can have none.
    topics: HashMap<String, Option<Topic>>,
    /// Streams that were told to have a format without a name in ROS.
    nameless: HashMap<String, PixelFormat>,
    /// What was said last of why nothing comes, and when.
    told: Option<(String, Instant)>,
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
        if format.pixel().ros().is_none() {
            self.refuse();
            if self.nameless.insert(name.clone(), format.pixel()) != Some(format.pixel()) {
                warn(format_args!(
                    "stream '{}' is {}, which ROS has no encoding for: it is not published; have its source send bgr24, rgb24, gray8, yuyv, uyvy, nv12 or another that \
                     `framewire formats` has a ROS name for",
                    name.escape_debug(),
                    format.pixel()
                ));
            }
            return;
        }
        if !self.topics.contains_key(&name) {
            let topic = self.topic(&name, format);
            self.topics.insert(name.clone(), topic);
        }
        match self.topics.get_mut(&name).and_then(Option::as_mut) {
            Some(topic) => topic.publish(&taken.frame, format),
            None => self.refuse(),
        }
    }

    /// Counts a frame of a stream that has no topic.
    fn refuse(&self) {
        self.shared.homeless.frames.fetch_add(1, Ordering::Relaxed);
        self.shared.homeless.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream that was asked for by a name has that.
    fn name(&self, taken: &Taken) -> String {
        match self.origin {
            Origin::All(..) => taken.stream.name.clone(),
            Origin::Shared(name, ..) | Origin::Watched(name, ..) => name.clone(),
        }
    }

    /// The topic of a stream that has none yet; that it can have none is said.
    fn topic(&self, stream: &str, format: &FrameFormat) -> Option<Topic> {
        let shared = self.shared;
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

    /// Says why nothing comes, once and then now and then.
    fn tell(&mut self, trouble: &str) {
        let is_said = |(text, when): &(String, Instant)| text == trouble && when.elapsed() < TOLD_EVERY;
        if !self.told.as_ref().is_some_and(is_said) {
            self.told = Some((trouble.to_owned(), Instant::now()));
            tracing::warn!("waiting for {}: {trouble}", self.origin.named());
        }
    }
}

/// Tells of a stream that is not published, once each: none is left out because there are many.
fn warn(message: std::fmt::Arguments<'_>) {
    logs::say(tracing::Level::WARN, format_args!("framewire-ros2: {message}"));
}
