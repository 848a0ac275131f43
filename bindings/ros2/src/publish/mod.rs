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
use crate::summary::{self, Ended, Published, Unpublished};

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
pub(crate) fn run(args: &PublishArgs, stop: &Stop) -> Result<Ended<Published>, Failure> {
    let origins = origin::origins(args)?;
    let shared = Arc::new(Shared {
        domain: Mutex::new(Domain::join(args.place.place(), stop)?),
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
    let summary = shared.summary();
    let end = stop.outcome().and_then(|()| could_be(&summary));
    Ok(Ended { summary, end })
}

/// Whether any of the frames that came could be published; that nobody subscribed is no failure.
///
/// # Errors
/// None could.
fn could_be(published: &Published) -> Result<(), Failure> {
    let Published { frames, frames_unpublished: Unpublished { refused, no_topic, passed_over, .. }, .. } = *published;
    if refused + no_topic == 0 || refused + no_topic + passed_over < frames {
        return Ok(());
    }
    let remedies = [
        (refused, "have sources send what ROS has an encoding for"),
        (no_topic, "have streams be called so that each has a topic of its own"),
    ];
    let remedies: Vec<&str> = remedies.iter().filter(|(frames, _)| *frames > 0).map(|(_, remedy)| *remedy).collect();
    Err(Failure::runtime(format!(
        "none of the {frames} frames that came could be published; {}, as the log says",
        remedies.join(", and ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_which_none_could_be_published_are_a_failure_that_says_what_is_to_be_done_for_each_cause() {
        let end = |frames, refused, no_topic| {
            let frames_unpublished = Unpublished { refused, no_topic, passed_over: 1, ..Unpublished::default() };
            could_be(&Published { frames, frames_unpublished, ..Published::default() })
        };
        let said = |refused, no_topic| end(refused + no_topic + 1, refused, no_topic).unwrap_err().to_string();
        let (format, name) = ("what ROS has an encoding for", "a topic of its own");
        for (said, has) in [(said(2, 0), (true, false)), (said(0, 2), (false, true)), (said(1, 1), (true, true))] {
            assert_eq!((said.contains(format), said.contains(name)), has, "{said}");
        }
        assert_eq!([end(0, 0, 0), end(1, 0, 0), end(9, 2, 2)], [Ok(()), Ok(()), Ok(())]);
    }
}
