//! One stream as a topic: its frames as messages.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use framewire_capture::ros::{ImageHead, frame_id_in};
use framewire_process::lock::lock;
use framewire_transport::frame::{Metadata, MetadataKind};
use framewire_transport::{Frame, FrameFormat};
use rustdds::GUID;
use serde_json::Value;

use super::Shared;
use super::stamp::stamp;
use super::writing::{Message, Writing};
use crate::ros::camera_info::Intrinsics;
use crate::ros::names::TopicName;
use crate::summary::{self, Unpublished};

/// What became of its frames, read by others while they come.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) frames: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) bytes: AtomicU64,
    unwatched: AtomicU64,
    pub(super) slow: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) no_topic: AtomicU64,
    incomplete: AtomicU64,
    pub(super) infos: AtomicU64,
}

impl Counts {
    /// Counts what another has counted.
    pub(super) fn take_over(&self, other: &Self) {
        let Self { frames, published, bytes, unwatched, slow, refused, no_topic, incomplete, infos } = self;
        for (own, other) in [
            (frames, &other.frames),
            (published, &other.published),
            (bytes, &other.bytes),
            (unwatched, &other.unwatched),
            (slow, &other.slow),
            (refused, &other.refused),
            (no_topic, &other.no_topic),
            (incomplete, &other.incomplete),
            (infos, &other.infos),
        ] {
            own.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Adds them to a summary; of these frames, those that were published, and those that were not.
    pub(super) fn add_to(&self, all: &mut summary::Published) -> (u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let unpublished = Unpublished {
            unwatched: count(&self.unwatched),
            slow_subscribers: count(&self.slow),
            refused: count(&self.refused),
            no_topic: count(&self.no_topic),
            incomplete: count(&self.incomplete),
            passed_over: 0,
        };
        all.frames += count(&self.frames);
        all.frames_published += count(&self.published);
        all.bytes += count(&self.bytes);
        all.camera_infos += count(&self.infos);
        let sum = &mut all.frames_unpublished;
        sum.unwatched += unpublished.unwatched;
        sum.slow_subscribers += unpublished.slow_subscribers;
        sum.refused += unpublished.refused;
        sum.no_topic += unpublished.no_topic;
        sum.incomplete += unpublished.incomplete;
        (count(&self.published), unpublished.causes().iter().map(|(_, frames)| frames).sum())
    }
}

/// One stream's topic.
pub(super) struct Topic {
    shared: Arc<Shared>,
    name: TopicName,
    stream: String,
    writing: Writing,
    counts: Arc<Counts>,
    told_of_intrinsics: bool,
}

impl Topic {
    /// The topic of a stream whose frames have this format.
    ///
    /// # Errors
    /// The middleware refuses, or the system has no thread.
    pub(super) fn new(
        shared: &Arc<Shared>,
        name: TopicName,
        stream: &str,
        format: &FrameFormat,
        counts: Arc<Counts>,
    ) -> Result<Self, String> {
        let writing = Writing::begin(shared, name.clone(), format.frame_bytes(), counts.clone())?;
        let (shared, stream) = (shared.clone(), stream.to_owned());
        Ok(Self { shared, name, stream, writing, counts, told_of_intrinsics: false })
    }

    /// No more of it comes: what it has leaves from here on, which whoever drops it waits for.
    pub(super) fn close(&self) {
        self.writing.end();
    }

    /// Ends it; its name is another's to take at once, whoever stands still.
    pub(super) fn end(self) -> Ending {
        let Self { shared, name, writing, counts, .. } = self;
        writing.end();
        lock(&shared.topics).remove(&name);
        Ending { shared, writing, counts }
    }

    /// Its writer of images, as the domain knows it.
    pub(super) fn writer(&self) -> GUID {
        self.writing.writer()
    }

    /// Has a frame published, or counts why not. It waits for nobody.
    pub(super) fn publish(&mut self, frame: &Frame, format: &FrameFormat) {
        let count = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        count(&self.counts.frames);
        if !frame.is_complete() {
            count(&self.counts.incomplete);
            return;
        }
        if self.shared.domain().matches.of(self.writing.writer()) == 0 {
            count(&self.counts.unwatched);
            return;
        }
        let metadata = frame.metadata().as_ref().and_then(json);
        let frame_id = metadata.as_ref().and_then(frame_id_in).map_or(self.frame_id(), Cow::Borrowed);
        let head = ImageHead::of(format, frame.len() as u32, stamp(frame), &frame_id);
        let info = metadata.as_ref().and_then(|metadata| self.info(metadata, &head));
        // The one copy on this side: the slot is free for the next frame from here on, however long the middleware keeps the image.
        let mut image = Vec::with_capacity(head.len() + frame.len());
        head.write(&mut image);
        image.extend_from_slice(frame);
        self.writing.push(Message { image: image.into(), pixels: frame.len(), info: info.map(Into::into) });
    }

    /// The calibration that belongs to an image.
    fn info(&mut self, metadata: &Value, head: &ImageHead<'_>) -> Option<Vec<u8>> {
        match Intrinsics::of(metadata) {
            Ok(intrinsics) => Some(intrinsics?.message(head.utc_ns, &head.frame_id, head.width, head.height)),
            Err(reason) => {
                if !std::mem::replace(&mut self.told_of_intrinsics, true) {
                    tracing::warn!("no CameraInfo of stream '{}': {reason}", self.stream.escape_debug());
                }
                None
            }
        }
    }

    fn frame_id(&self) -> Cow<'static, str> {
        Cow::Owned(self.shared.frame_id.clone().unwrap_or_else(|| self.stream.replace('\0', "")))
    }
}

/// A topic that is no more, while what it had leaves, which a subscriber that stands still makes long.
pub(super) struct Ending {
    shared: Arc<Shared>,
    writing: Writing,
    counts: Arc<Counts>,
}

impl Ending {
    /// Whether all has left, or had its time.
    pub(super) fn is_over(&self) -> bool {
        self.writing.has_ended()
    }

    /// Waits until it is over; what was counted is kept.
    pub(super) fn finish(self) {
        let Self { shared, writing, counts } = self;
        let writer = writing.finish();
        shared.domain().forget(writer);
        shared.homeless.take_over(&counts);
    }
}

/// Metadata that is JSON.
fn json(metadata: &Metadata<'_>) -> Option<Value> {
    let Metadata { kind: MetadataKind::Json, bytes, .. } = metadata else { return None };
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use framewire_process::stop::Stop;

    use super::super::Entry;
    use super::*;
    use crate::ros::domain::{Domain, Place};
    use crate::ros::graph::IdBytes;
    use crate::ros::quality::{Quality, Reliable};

    fn shared() -> Arc<Shared> {
        let namespace: crate::ros::names::Namespace = "/".parse().unwrap();
        let place = Place {
            domain: 231,
            interfaces: vec![Ipv4Addr::LOCALHOST],
            namespace: namespace.clone(),
            node: "framewire".parse().unwrap(),
            ids: IdBytes::Sixteen,
        };
        let stop = Stop::new();
        Arc::new(Shared {
            domain: Mutex::new(Domain::join(place, &stop).unwrap()),
            quality: Quality { reliable: Reliable::Reliable, depth: 1 },
            namespace,
            topic: None,
            frame_id: None,
            topics: Mutex::default(),
            homeless: Counts::default(),
            passed_over: AtomicU64::default(),
            frames_max: None,
            stop,
        })
    }

    #[test]
    fn a_topic_whose_subscriber_stands_still_ends_without_being_waited_for_and_its_name_is_free_at_once() {
        let shared = shared();
        let name: TopicName = "/front/image_raw".parse().unwrap();
        let (has_left, leaves) = mpsc::channel::<()>();
        // It leaves once it may; where it is waited for, much later.
        let writing = Writing::doing(move || {
            let _ = leaves.recv_timeout(Duration::from_secs(20));
        });
        let (stream, counts) = ("front".to_owned(), Arc::<Counts>::default());
        let entry = Entry { stream: stream.clone(), writer: writing.writer(), counts: counts.clone() };
        lock(&shared.topics).insert(name.clone(), entry);
        let topic =
            Topic { shared: shared.clone(), name, stream, writing, counts: counts.clone(), told_of_intrinsics: false };
        let ending = topic.end();
        assert!(!ending.is_over(), "it was waited for");
        assert!(lock(&shared.topics).is_empty());
        // What is written meanwhile is counted.
        counts.published.fetch_add(3, Ordering::Relaxed);
        has_left.send(()).unwrap();
        ending.finish();
        assert_eq!(shared.homeless.published.load(Ordering::Relaxed), 3);
    }
}
