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
use crate::summary::{Ended, Subscribed, Unsent};

/// How long a topic may have nobody, or a server be away, before that is said; and until it is said again.
const TOLD_AFTER: Duration = Duration::from_secs(3);
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// Images that are taken before what else there is has its turn.
const IN_A_TURN: usize = 16;

/// Takes images until somebody asks it to stop, or there were so many; what became of them, and how it ended.
///
/// # Errors
/// It could not begin.
pub(crate) fn run(args: &SubscribeArgs, stop: &Stop) -> Result<Ended<Subscribed>, Failure> {
    let mut domain = Domain::join(args.place.place(), stop)?;
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
        writers: Writers::default(),
        told: Told::default(),
    };
    let taken = taking.take_all().and_then(|()| stop.outcome());
    let sent = taking.stream.end(stop);
    let summary = Subscribed {
        frames_sent: sent.sent,
        frames_delivered: sent.delivered,
        cpu_seconds: cpu_seconds(),
        ..taking.counts
    };
    let end = taken.and_then(|()| arrived(args, &summary));
    Ok(Ended { summary, end })
}

/// Whether of the images that came as many arrived as are to.
///
/// # Errors
/// None did; or, where nothing is to be lost, not all.
fn arrived(args: &SubscribeArgs, counts: &Subscribed) -> Result<(), Failure> {
    let Subscribed { images, frames_sent, frames_delivered, images_unsent, .. } = *counts;
    let target = args.target();
    if images > 0 && counts.refused() == images {
        return Err(Failure::runtime(format!(
            "none of the {images} images of {} is one that can be sent; mend what writes them as the log says, or name another topic",
            args.topic
        )));
    }
    if images > 0 && frames_delivered == 0 {
        return Err(Failure::runtime(format!(
            "nothing arrived: of {images} images {frames_sent} were sent to {target}, and none was delivered; {}",
            target.doubt()
        )));
    }
    let Unsent { no_slot, lost, .. } = images_unsent;
    let late = no_slot + frames_sent.saturating_sub(frames_delivered);
    let causes = [
        (late, format!("did not arrive, or are not confirmed, at {target}: away, or slower than they come")),
        (
            lost,
            "were lost on the way here: give sockets room, and ask with --reliability reliable and a greater --depth"
                .to_owned(),
        ),
        (counts.refused(), "are none that can be sent: mend what writes them, as the log says".to_owned()),
    ];
    let missing: u64 = causes.iter().map(|(images, _)| images).sum();
    if args.is_every() && missing > 0 {
        let causes = causes.iter().filter(|(images, _)| *images > 0).map(|(images, why)| format!("{images} {why}"));
        return Err(Failure::runtime(format!(
            "{missing} of {} images are missing, and none was to be; {}",
            images + lost,
            causes.collect::<Vec<_>>().join("; ")
        )));
    }
    Ok(())
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
    writers: Writers,
    told: Told,
}

/// Those that write the topic.
#[derive(Default)]
struct Writers {
    /// The number of the last image of each.
    numbers: HashMap<GUID, i64>,
    last: Option<GUID>,
}

/// More than write a topic at once. Each start of a program makes another.
const WRITERS_MAX: usize = 64;

impl Writers {
    /// Notes an image: how many did not come between the last of its writer's and this one, and whether another's came between them.
    fn note(&mut self, writer: GUID, number: i64) -> (u64, bool) {
        if self.numbers.len() >= WRITERS_MAX {
            self.numbers.clear();
        }
        let is_after_another = self.last.replace(writer).is_some_and(|last| last != writer);
        // One that is new has mostly taken the place of the other.
        let Some(last) = self.numbers.insert(writer, number) else { return (0, false) };
        let missed = number.saturating_sub(last).saturating_sub(1);
        // Below zero it began anew; beyond 32 bits somebody makes it up.
        (u32::try_from(missed).map_or(0, u64::from), is_after_another)
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
        let mut has_more = false;
        while !self.stop.is_stopped() {
            let patience = if has_more { Duration::ZERO } else { STEP };
            if let Err(error) = poll.poll(&mut events, Some(patience))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(Failure::runtime(format!("the topic cannot be waited for: {error}")));
            }
            self.attend(began);
            self.renew(&poll)?;
            self.reader.drain_read_notifications();
            has_more = self.take_some().map_err(failed)?;
        }
        Ok(())
    }

    /// Takes a few images, where there are; whether there may be more.
    ///
    /// # Errors
    /// The stream cannot go on.
    fn take_some(&mut self) -> Result<bool, Error> {
        for _ in 0..IN_A_TURN {
            if self.stop.is_stopped() || !self.take_one()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads by another reader, where the domain has been joined again.
    fn renew(&mut self, poll: &Poll) -> Result<(), Failure> {
        if self.times != self.domain.times {
            let reader = self.domain.reader::<Taken, Images>(self.topic, IMAGE, self.quality);
            self.reader =
                reader.map_err(|reason| Failure::runtime(format!("{} cannot be read: {reason}", self.topic)))?;
            self.times = self.domain.times;
            self.writers = Writers::default();
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
                    // Whose it is, and its number, are not said: it is not to be counted as lost too.
                    self.writers = Writers::default();
                    self.refuse(Refusal::Unreadable(format!("it is no plain CDR, as ROS has it ({error})")));
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
        let (missed, is_after_another) = self.writers.note(writer, number);
        self.counts.images_unsent.lost += missed;
        if is_after_another && !std::mem::replace(&mut self.told.is_of_several, true) {
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
    use clap::Parser;

    use super::*;
    use crate::cli::{Command, RosArgs};

    /// How a run ends that was asked for so, and has counted this.
    fn end(options: &str, counts: Subscribed) -> Result<(), String> {
        let words = format!("framewire-ros2 subscribe /camera/image_raw {options}");
        let Command::Subscribe(args) = RosArgs::parse_from(words.split_whitespace()).command else { unreachable!() };
        arrived(&args, &counts).map_err(|failure| failure.to_string())
    }

    #[test]
    fn where_none_is_to_be_lost_each_that_is_missing_is_a_failure_with_why() {
        let counts = |images_unsent: Unsent, frames_delivered| Subscribed {
            images: 10,
            images_unsent,
            frames_sent: 9,
            frames_delivered,
            ..Subscribed::default()
        };
        for (unsent, delivered, why) in [
            (
                Unsent { no_slot: 1, ..Unsent::default() },
                9,
                "1 of 10 images are missing, and none was to be; 1 did not arrive",
            ),
            (
                Unsent { lost: 3, ..Unsent::default() },
                9,
                "3 of 13 images are missing, and none was to be; 3 were lost on the way here",
            ),
            (Unsent { size: 1, ..Unsent::default() }, 9, "1 are none that can be sent"),
            (Unsent::default(), 7, "2 did not arrive, or are not confirmed, at this machine's programs"),
        ] {
            let said = end("--delivery every", counts(unsent, delivered)).unwrap_err();
            assert!(said.contains(why), "{said}");
            assert_eq!(end("--delivery latest", counts(unsent, delivered)), Ok(()));
        }
        assert_eq!(end("--delivery every", Subscribed { images: 9, ..counts(Unsent::default(), 9) }), Ok(()));
    }

    #[test]
    fn where_nothing_arrives_at_this_machines_programs_nobody_is_sent_to_look_at_a_network() {
        let said = |options| end(options, Subscribed { images: 3, ..Subscribed::default() }).unwrap_err();
        let (here, there) = (said(""), said("--to 192.0.2.1:9"));
        assert!(!here.contains("UDP") && here.contains("hold"), "{here}");
        assert!(there.contains("is UDP dropped on the way?"), "{there}");
    }

    #[test]
    fn what_is_missing_between_two_images_of_a_writer_is_lost() {
        let writers = [1_u8, 2].map(|at| GUID::from_bytes([at; 16]));
        let mut noted = Writers::default();
        let mut missed = |writer: usize, number| noted.note(writers[writer], number).0;
        assert_eq!([missed(0, 5), missed(1, 1), missed(0, 6), missed(0, 9), missed(1, 2)], [0, 0, 0, 2, 0]);
        // One that began anew, and numbers of somebody who means no good.
        assert_eq!([missed(0, 1), missed(0, i64::MAX), missed(0, i64::MIN), missed(0, i64::MAX)], [0; 4]);
    }

    #[test]
    fn two_write_a_topic_where_images_of_both_come_in_turn_and_not_where_one_took_the_others_place() {
        let writers = [1_u8, 2].map(|at| GUID::from_bytes([at; 16]));
        let mut noted = Writers::default();
        let mut is_after_another = |writer: usize, number| noted.note(writers[writer], number).1;
        assert_eq!(
            [(0, 1), (0, 2), (1, 1), (1, 2)].map(|(writer, number)| is_after_another(writer, number)),
            [false; 4]
        );
        assert!(is_after_another(0, 3));
    }

    #[test]
    fn however_many_write_a_topic_a_few_are_kept() {
        let mut noted = Writers::default();
        for at in 0..=u8::MAX {
            noted.note(GUID::from_bytes([at; 16]), 1);
            assert!(noted.numbers.len() <= WRITERS_MAX);
        }
    }
}
