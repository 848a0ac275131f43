//! `framewire-ros2 publish`: streams as topics.

mod follow;
mod origin;
mod stamp;
mod topic;
mod writing;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use framewire_ends::STEP;
use framewire_figures::summary::cpu_seconds;
use framewire_process::exit::Failure;
use framewire_process::lock::lock;
use framewire_process::stop::Stop;
use rustdds::GUID;

use self::topic::Counts;
use crate::cli::PublishArgs;
use crate::ros::domain::Domain;
use crate::ros::matches::News;
use crate::ros::names::{Namespace, TopicName};
use crate::ros::quality::{Quality, Reliable};
use crate::summary::{self, Published, Unpublished};

/// What all streams have in common.
struct Shared {
    domain: Mutex<Domain>,
    quality: Quality,
    namespace: Namespace,
    /// The topic of the only stream.
    topic: Option<TopicName>,
    frame_id: Option<String>,
    /// Which stream has which topic, and what became of its frames.
    topics: Mutex<BTreeMap<TopicName, Entry>>,
    /// Frames of streams that have no topic, or none any more.
    homeless: Counts,
    /// Frames that gave way to newer ones, or did not arrive.
    passed_over: AtomicU64,
    frames_max: Option<u64>,
    stop: Stop,
}

/// A topic that is there.
#[derive(Clone)]
struct Entry {
    stream: String,
    writer: GUID,
    counts: Arc<Counts>,
}

impl Shared {
    fn domain(&self) -> MutexGuard<'_, Domain> {
        lock(&self.domain)
    }

    /// Tells of who came, went, or asks for what cannot be.
    fn attend(&self) {
        // Whoever makes a topic has the topics first, and then the domain.
        let mut domain = self.domain();
        let news = domain.follow();
        let subscribers = |own| domain.matches.of(own);
        let news: Vec<(GUID, usize, News)> = news
            .into_iter()
            .map(|news| match news {
                News::Changed(own) | News::OtherType(own, _) | News::Unlike(own) => (own, subscribers(own), news),
            })
            .collect();
        drop(domain);
        for (own, subscribers, news) in news {
            let topics = lock(&self.topics);
            let Some((name, _)) = topics.iter().find(|(_, entry)| entry.writer == own) else { continue };
            match news {
                News::Changed(_) => tracing::info!("{name} has {subscribers} subscribers"),
                News::OtherType(_, other) => tracing::warn!(
                    "somebody subscribes to {name} as {other}, and it is sensor_msgs/msg/Image: they get nothing, and where they ask for reliable messages, others get \
                     little while they are there; have them subscribe to another topic"
                ),
                News::Unlike(_) if self.quality.reliable == Reliable::BestEffort => tracing::warn!(
                    "somebody asks for reliable images of {name}, which is best-effort, and gets none; have it ask for best-effort (qos_profile_sensor_data), or \
                     publish with --reliability reliable"
                ),
                News::Unlike(_) => tracing::warn!(
                    "somebody asks for what {name} does not promise, and gets none: it keeps nothing for those who come late (volatile); have it ask for that"
                ),
            }
        }
    }

    /// A topic is no more: what it counted is kept.
    fn forget(&self, topic: &TopicName) {
        if let Some(Entry { writer, counts, .. }) = lock(&self.topics).remove(topic) {
            self.domain().forget(writer);
            self.homeless.take_over(&counts);
        }
    }

    fn summary(&self) -> Published {
        let mut all = Published { cpu_seconds: cpu_seconds(), ..Published::default() };
        let topics = lock(&self.topics);
        let domain = self.domain();
        for (name, Entry { stream, writer, counts }) in &*topics {
            let (frames_published, frames_unpublished) = counts.add_to(&mut all);
            let (stream, subscribers) = (stream.clone(), domain.matches.of(*writer));
            let topic = summary::Topic { stream, frames_published, frames_unpublished, subscribers };
            all.topics.insert(name.to_string(), topic);
        }
        self.homeless.add_to(&mut all);
        all.frames_unpublished.passed_over = self.passed_over.load(std::sync::atomic::Ordering::Relaxed);
        all.frames += all.frames_unpublished.passed_over;
        all
    }
}

/// Publishes until somebody asks it to stop, or so many frames were; what became of them, and how it ended.
///
/// # Errors
/// What cannot be asked for; it could not begin.
pub(crate) fn run(args: &PublishArgs, stop: &Stop) -> Result<(Published, Result<(), Failure>), Failure> {
    let origins = origin::origins(args)?;
    let shared = Arc::new(Shared {
        domain: Mutex::new(Domain::join(args.place.place())?),
        quality: args.quality(),
        namespace: args.place.namespace.clone(),
        topic: args.topic.clone(),
        frame_id: args.frame_id.clone(),
        topics: Mutex::default(),
        homeless: Counts::default(),
        passed_over: AtomicU64::default(),
        frames_max: args.frames,
        stop: stop.clone(),
    });
    thread::scope(|scope| {
        for origin in origins {
            let shared = &shared;
            let follow = move || follow::follow(&origin, shared, stop);
            let thread = thread::Builder::new().name("framewire-topics".into()).spawn_scoped(scope, follow);
            if let Err(error) = thread {
                stop.fail(Failure::runtime(format!(
                    "no thread to follow a stream in: {error}; name fewer streams, or raise `ulimit -u`"
                )));
            }
        }
        while !stop.sleep(STEP) {
            shared.attend();
        }
    });
    let published = shared.summary();
    let end = stop.outcome().and_then(|()| could_be(&published));
    Ok((published, end))
}

/// Whether any of the frames that came could be published; that nobody subscribed is no failure.
///
/// # Errors
/// None could.
fn could_be(published: &Published) -> Result<(), Failure> {
    let Published { frames, frames_unpublished: Unpublished { refused, passed_over, .. }, .. } = published;
    match *refused > 0 && refused + passed_over == *frames {
        true => Err(Failure::runtime(format!(
            "none of the {frames} frames that came could be published; have their sources send what ROS has an encoding for, as the log says"
        ))),
        false => Ok(()),
    }
}
