//! `framewire-ros2 subscribe`: a topic as a stream.

mod image;
mod stream;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use framewire_ends::{Class, Error, STEP};
use framewire_figures::summary::cpu_seconds;
use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use rustdds::GUID;
use rustdds::mio1::{Events, Interest, Poll, Token};
use rustdds::no_key::{DeserializedCacheChange, SimpleDataReader};

use self::image::{Filling, Images, Refusal, Taken};
use self::stream::Stream;
pub(crate) use self::stream::Target;
use crate::cli::SubscribeArgs;
use crate::ros::domain::{Domain, IMAGE};
use crate::ros::matches::{News, in_ros};
use crate::ros::names::TopicName;
use crate::ros::quality::Quality;
use crate::summary::Subscribed;

/// How long a topic may have nobody, or a server be away, before that is said; and until it is said again.
const TOLD_AFTER: Duration = Duration::from_secs(3);
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// Takes images until somebody asks it to stop, or there were so many.
///
/// # Errors
/// What cannot be asked for, and what failed.
pub(crate) fn run(args: &SubscribeArgs, stop: &Stop) -> Result<Subscribed, Failure> {
    let mut domain = Domain::join(args.place.place())?;
    let reader = domain.reader::<Taken, Images>(&args.topic, IMAGE, args.quality());
    let reader = reader.map_err(|reason| Failure::runtime(format!("{} cannot be read: {reason}", args.topic)))?;
    let stream = Stream::new(args.target(), args.name(), args.options());
    let mut taking = Taking {
        topic: &args.topic,
        quality: args.quality(),
        times: domain.times,
        domain,
        reader,
        stream,
        stop,
        frames_max: args.frames,
        counts: Subscribed::default(),
        numbers: Numbers::default(),
        told: Told::default(),
    };
    taking.take_all()?;
    stop.outcome()?;
    let sent = taking.stream.end(stop);
    let counts = taking.counts;
    Ok(Subscribed { frames_sent: sent.sent, frames_delivered: sent.delivered, cpu_seconds: cpu_seconds(), ..counts })
}

struct Taking<'a> {
    topic: &'a TopicName,
    quality: Quality,
    domain: Domain,
    /// The how manieth time in the domain the reader is of.
    times: u64,
    reader: SimpleDataReader<Taken, Images>,
    stream: Stream,
    stop: &'a Stop,
    frames_max: Option<u64>,
    counts: Subscribed,
    numbers: Numbers,
    told: Told,
}

/// The number of the last image of each that writes the topic.
#[derive(Default)]
struct Numbers(HashMap<GUID, i64>);

impl Numbers {
    /// How many images did not come between the last of this writer's and this one.
    fn missed(&mut self, writer: GUID, number: i64) -> u64 {
        let Some(last) = self.0.insert(writer, number) else { return 0 };
        u64::try_from(number.saturating_sub(last).saturating_sub(1)).unwrap_or_default()
    }
}

/// What was said already.
#[derive(Default)]
struct Told {
    waiting: Option<(String, Instant)>,
    encodings: BTreeSet<String>,
    is_of_size: bool,
    is_of_unreadable: bool,
    is_of_several: bool,
}

impl Taking<'_> {
    fn take_all(&mut self) -> Result<(), Failure> {
        let mut poll = Poll::new().map_err(Failure::runtime)?;
        poll.registry().register(&mut self.reader, Token(0), Interest::READABLE).map_err(Failure::runtime)?;
        let mut events = Events::with_capacity(4);
        let began = Instant::now();
        while !self.stop.is_stopped() {
            if let Err(error) = poll.poll(&mut events, Some(STEP))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(Failure::runtime(format!("the topic cannot be waited for: {error}")));
            }
            self.attend(began);
            self.renew(&poll)?;
            self.reader.drain_read_notifications();
            while !self.stop.is_stopped() && self.take_one().map_err(failed)? {}
        }
        Ok(())
    }

    /// Reads by another reader, where the domain has been joined again.
    fn renew(&mut self, poll: &Poll) -> Result<(), Failure> {
        if self.times != self.domain.times {
            let reader = self.domain.reader::<Taken, Images>(self.topic, IMAGE, self.quality);
            self.reader =
                reader.map_err(|reason| Failure::runtime(format!("{} cannot be read: {reason}", self.topic)))?;
            self.times = self.domain.times;
            self.numbers = Numbers::default();
            poll.registry().register(&mut self.reader, Token(0), Interest::READABLE).map_err(Failure::runtime)?;
        }
        Ok(())
    }

    /// Takes an image, where there is one.
    ///
    /// # Errors
    /// The stream cannot go on.
    fn take_one(&mut self) -> Result<bool, Error> {
        // Before the image, which nothing waits for.
        if let Err(error) = self.stream.make_room(Duration::ZERO)
            && !stream::is_passing(&error)
        {
            return Err(error);
        }
        let filling = Filling { format: self.stream.format(), slot: &self.stream.slot };
        let DeserializedCacheChange { writer_guid, sequence_number, sample, .. } =
            match self.reader.try_take_one_with(filling) {
                Ok(Some(taken)) => taken,
                Ok(None) => return Ok(false),
                Err(error) => {
                    self.counts.images += 1;
                    self.refuse(Refusal::Unreadable(error.to_string()));
                    return Ok(true);
                }
            };
        if !self.domain.matches.has_type_of(self.reader.guid(), writer_guid) {
            // Whatever it looks like; that they are there is told.
            return Ok(true);
        }
        self.count(writer_guid, sequence_number.into());
        match sample {
            Taken::Filled(head) => {
                self.stream.send(&head)?;
            }
            Taken::Other(head, format, pixels) => {
                self.stream.begin(format, self.stop)?;
                // A server that has not taken the stream yet gives no slot: this one is gone.
                if let Err(error) = self.stream.make_room(STEP)
                    && !stream::is_passing(&error)
                {
                    return Err(error);
                }
                if !self.stream.fill(&head, &pixels)? {
                    self.skip();
                }
            }
            Taken::NoSlot => self.skip(),
            Taken::Refused(refusal) => self.refuse(refusal),
        }
        if self.frames_max.is_some_and(|frames| self.counts.images - self.counts.refused() >= frames) {
            self.stop.stop();
        }
        Ok(true)
    }

    fn skip(&mut self) {
        self.counts.images_unsent.no_slot += 1;
        self.stream.skip();
    }

    /// Counts an image, and those before it that did not come.
    fn count(&mut self, writer: GUID, number: i64) {
        self.counts.images += 1;
        self.counts.images_unsent.lost += self.numbers.missed(writer, number);
        if self.numbers.0.len() > 1
            && self.counts.publishers > 1
            && !std::mem::replace(&mut self.told.is_of_several, true)
        {
            tracing::warn!(
                "{} is written by several at once: the stream has the images of all of them, in turn; have one write it, or name another topic",
                self.topic
            );
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        let (unsent, told, topic) = (&mut self.counts.images_unsent, &mut self.told, self.topic);
        match refusal {
            Refusal::Encoding(encoding) => {
                unsent.encoding += 1;
                // A few are told: who writes may call each anything.
                if told.encodings.len() < 8 && told.encodings.insert(encoding.clone()) {
                    tracing::warn!(
                        "images of {topic} are encoded as '{}', which is no pixel format here, and are not sent; have them written as one that `framewire formats` has \
                         a ROS name for, such as bgr8 (image_proc and cv_bridge convert them)",
                        encoding.escape_debug()
                    );
                }
            }
            Refusal::Size(why) => {
                unsent.size += 1;
                if !std::mem::replace(&mut told.is_of_size, true) {
                    tracing::warn!(
                        "an image of {topic} cannot be, and is not sent, as no other whose step, size and data do not go together: {}; mend what writes it",
                        why.escape_debug()
                    );
                }
            }
            Refusal::Unreadable(why) => {
                unsent.unreadable += 1;
                if !std::mem::replace(&mut told.is_of_unreadable, true) {
                    tracing::warn!(
                        "a message of {topic} is no whole image, and is not sent, as no other that is none: {}; mend what writes it",
                        why.escape_debug()
                    );
                }
            }
        }
    }

    /// Tells of who came, went, or offers what cannot be; and what is waited for.
    fn attend(&mut self, began: Instant) {
        let own = self.reader.guid();
        for news in self.domain.follow() {
            match news {
                News::Changed(reader) if reader == own => {
                    tracing::info!("{} has {} publishers", self.topic, self.domain.matches.of(own));
                }
                News::Unlike(reader) if reader == own => tracing::warn!(
                    "somebody publishes {} as best-effort, and reliable images are asked for: none of theirs come; leave --reliability out, or have them publish reliably",
                    self.topic
                ),
                _ => {}
            }
        }
        self.counts.publishers = self.domain.matches.of(own);
        let trouble = match self.stream.trouble() {
            Some(trouble) => Some(trouble),
            None if self.counts.publishers == 0 => Some(self.missing()),
            None => None,
        };
        match trouble {
            None => self.told.waiting = None,
            Some(trouble) if began.elapsed() >= TOLD_AFTER => {
                let is_said = |(text, when): &(String, Instant)| *text == trouble && when.elapsed() < TOLD_EVERY;
                if !self.told.waiting.as_ref().is_some_and(is_said) {
                    tracing::warn!("waiting: {trouble}");
                    self.told.waiting = Some((trouble, Instant::now()));
                }
            }
            Some(_) => {}
        }
    }

    /// Why nobody may be there.
    fn missing(&self) -> String {
        let topic = self.topic;
        match self.domain.matches.other_type(self.reader.guid()) {
            Some(other) => format!(
                "{topic} is of {}, and images are read as sensor_msgs/msg/Image; name the topic of those (image_transport's republish decodes compressed ones)",
                in_ros(other)
            ),
            None => {
                format!("nobody publishes {topic} in this domain; see `ros2 topic list`, ROS_DOMAIN_ID and --interface")
            }
        }
    }
}

fn failed(error: Error) -> Failure {
    match error.class {
        Class::Argument => Failure::usage(error),
        _ => Failure::runtime(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_between_two_images_of_a_writer_is_lost() {
        let writers = [1_u8, 2].map(|at| GUID::from_bytes([at; 16]));
        let mut numbers = Numbers::default();
        let mut missed = |writer: usize, number| numbers.missed(writers[writer], number);
        assert_eq!([missed(0, 5), missed(1, 1), missed(0, 6), missed(0, 9), missed(1, 2)], [0, 0, 0, 2, 0]);
        // One that began anew, and numbers of somebody who means no good.
        assert_eq!([missed(0, 1), missed(0, i64::MAX), missed(0, i64::MIN)], [0, i64::MAX as u64 - 2, 0]);
    }
}
