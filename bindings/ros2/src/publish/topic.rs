//! One stream as a topic, and its calibration beside it.

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use framewire_capture::ros::{ImageHead, frame_id_in};
use framewire_process::lock::lock;
use framewire_transport::frame::{Metadata, MetadataKind};
use framewire_transport::{Frame, FrameFormat};
use rustdds::bytes::Bytes;
use rustdds::{GUID, RTPSEntity, WriteOptionsBuilder};
use serde_json::Value;

use super::Shared;
use super::stamp::stamp;
use crate::ros::camera_info::{CAMERA_INFO, Intrinsics};
use crate::ros::domain::IMAGE;
use crate::ros::names::TopicName;
use crate::ros::serialized::Writer;
use crate::summary::{self, Unpublished};

/// What became of its frames, read by others while they come.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) frames: AtomicU64,
    published: AtomicU64,
    bytes: AtomicU64,
    unwatched: AtomicU64,
    slow: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) incomplete: AtomicU64,
    infos: AtomicU64,
}

impl Counts {
    /// Adds them to a summary.
    pub(super) fn add_to(&self, all: &mut summary::Published) -> (u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let unpublished = Unpublished {
            unwatched: count(&self.unwatched),
            slow_subscribers: count(&self.slow),
            refused: count(&self.refused),
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
        sum.incomplete += unpublished.incomplete;
        (count(&self.published), unpublished.causes().iter().map(|(_, frames)| frames).sum())
    }
}

/// One stream's topic.
pub(super) struct Topic<'a> {
    shared: &'a Shared,
    name: TopicName,
    stream: String,
    /// The how manieth time in the domain its writers are of.
    times: u64,
    images: Writer,
    /// Once metadata has had intrinsics.
    infos: Option<Writer>,
    counts: Arc<Counts>,
    /// Since when there has been no room.
    full: Option<Instant>,
    told_of_slow: bool,
    told_of_intrinsics: bool,
}

/// How long there may be no room before what is on its way is let go: longer than it takes to send a little of it again, and no longer than people look at a picture
/// that stands still.
const BEGUN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How a message fared.
#[derive(Debug, PartialEq, Eq)]
enum Written {
    Yes,
    /// There is no room for it.
    Full,
}

impl<'a> Topic<'a> {
    /// The topic of a stream.
    ///
    /// # Errors
    /// The middleware refuses.
    pub(super) fn new(shared: &'a Shared, name: TopicName, stream: &str, counts: Arc<Counts>) -> Result<Self, String> {
        let mut domain = shared.domain();
        let (images, times) = (domain.writer(&name, IMAGE, shared.quality)?, domain.times);
        drop(domain);
        Ok(Self {
            shared,
            name,
            stream: stream.to_owned(),
            times,
            images,
            infos: None,
            counts,
            full: None,
            told_of_slow: false,
            told_of_intrinsics: false,
        })
    }

    /// Publishes a frame, or counts why not; how many were published. It waits for nobody.
    pub(super) fn publish(&mut self, frame: &Frame, format: &FrameFormat) -> u64 {
        self.try_to_publish(frame, format);
        self.counts.published.load(Ordering::Relaxed)
    }

    /// Its writer of images, as the domain knows it.
    pub(super) fn writer(&self) -> GUID {
        self.images.guid()
    }

    fn try_to_publish(&mut self, frame: &Frame, format: &FrameFormat) {
        let count = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        count(&self.counts.frames);
        if !frame.is_complete() {
            count(&self.counts.incomplete);
            return;
        }
        if self.subscribers() == 0 {
            count(&self.counts.unwatched);
            return;
        }
        let metadata = frame.metadata().as_ref().and_then(json);
        let frame_id = metadata.as_ref().and_then(frame_id_in).map_or(self.frame_id(), Cow::Borrowed);
        let utc_ns = stamp(frame);
        let head = ImageHead::of(format, frame.len() as u32, utc_ns, &frame_id);
        // The one copy on this side: the slot is free for the next frame from here on, however long the middleware keeps the image.
        let mut message = Vec::with_capacity(head.len() + frame.len());
        head.write(&mut message);
        message.extend_from_slice(frame);
        // Calibrations come before what they are for.
        if let Some(metadata) = &metadata {
            self.publish_intrinsics(metadata, &head);
        }
        match written(&self.images, message) {
            Written::Yes => {
                self.full = None;
                count(&self.counts.published);
                self.counts.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
            }
            Written::Full => {
                count(&self.counts.slow);
                self.tell_of_slow();
                if self.full.get_or_insert_with(Instant::now).elapsed() >= BEGUN_AGAIN_AFTER {
                    self.begin_again();
                }
            }
        }
    }

    /// Subscribers of its images; of new writers, where the domain has been joined again.
    fn subscribers(&mut self) -> usize {
        let domain = self.shared.domain();
        if domain.times == self.times {
            return domain.matches.of(self.images.guid());
        }
        drop(domain);
        self.infos = None;
        self.begin_again();
        0
    }

    /// Lets what is on its way go, and its writer with it: whoever stands still has none of the next one's room, for a moment, and what takes long to be sent again
    /// holds up nothing any more.
    fn begin_again(&mut self) {
        let mut domain = self.shared.domain();
        domain.forget(self.images.guid());
        (self.times, self.full) = (domain.times, None);
        let images = domain.writer(&self.name, IMAGE, self.shared.quality);
        drop(domain);
        match images {
            Ok(images) => {
                self.images = images;
                if let Some(entry) = lock(&self.shared.topics).get_mut(&self.name) {
                    entry.writer = self.images.guid();
                }
            }
            Err(reason) => {
                tracing::warn!("{} cannot be written any more: {reason}; start this program again", self.name)
            }
        }
    }

    fn publish_intrinsics(&mut self, metadata: &Value, head: &ImageHead<'_>) {
        let intrinsics = match Intrinsics::of(metadata) {
            Ok(Some(intrinsics)) => intrinsics,
            Ok(None) => return,
            Err(reason) => {
                if !std::mem::replace(&mut self.told_of_intrinsics, true) {
                    tracing::warn!("no CameraInfo of stream '{}': {reason}", self.stream.escape_debug());
                }
                return;
            }
        };
        if self.infos.is_none() {
            let name = self.name.beside("camera_info");
            match self.shared.domain().writer(&name, CAMERA_INFO, self.shared.quality) {
                Ok(writer) => self.infos = Some(writer),
                Err(reason) => {
                    if !std::mem::replace(&mut self.told_of_intrinsics, true) {
                        tracing::warn!("{name} cannot be published: {reason}");
                    }
                }
            }
        }
        if let Some(infos) = &self.infos {
            let message = intrinsics.message(head.utc_ns, &head.frame_id, head.width, head.height);
            if written(infos, message) == Written::Yes {
                self.counts.infos.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn frame_id(&self) -> Cow<'static, str> {
        Cow::Owned(self.shared.frame_id.clone().unwrap_or_else(|| self.stream.replace('\0', "")))
    }

    fn tell_of_slow(&mut self) {
        if !std::mem::replace(&mut self.told_of_slow, true) {
            tracing::warn!(
                "{}: a subscriber is slow or stands still, and has {} images on their way: what comes meanwhile is not published, and counted; make it faster, have \
                 it ask for best-effort images, or give more room by --depth",
                self.name,
                self.shared.quality.depth
            );
        }
    }
}

/// Metadata that is JSON.
fn json(metadata: &Metadata<'_>) -> Option<Value> {
    let Metadata { kind: MetadataKind::Json, bytes, .. } = metadata else { return None };
    serde_json::from_slice(bytes).ok()
}

/// Hands a message to the middleware, which takes it at once or not at all.
fn written(writer: &Writer, message: Vec<u8>) -> Written {
    // Without this, what is best-effort is cut wherever the socket is full, which each large image is once; it waits in the history as reliable ones do.
    let options = WriteOptionsBuilder::new().best_effort_may_block(true).build();
    let write = pin!(writer.async_write_with_options(Bytes::from(message), options));
    match write.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(_)) => Written::Yes,
        Poll::Ready(Err(_)) | Poll::Pending => Written::Full,
    }
}
