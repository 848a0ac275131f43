//! What is sent, shown in a window of the client's own.

use std::thread::JoinHandle;

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_sink::{Recorded, SinkError, SinkSpec};
use framewire_transport::FrameFormat;
use framewire_transport::frame::{ConsumerPolicy, FrameMut, FramePool, FrameRing};

/// Shows copies of frames: the slots of the stream belong to the network.
pub(crate) struct Window {
    pool: FramePool,
    ring: FrameRing,
    thread: Option<JoinHandle<()>>,
}

impl Window {
    /// Opens the window if it was asked for.
    pub(crate) fn open(wanted: bool, format: FrameFormat, stop: &Stop) -> Result<Option<Self>, Failure> {
        if !wanted {
            return Ok(None);
        }
        // Says what is missing in a build without OpenCV.
        let spec: SinkSpec = "window".parse().map_err(Failure::usage)?;
        let pool = FramePool::new(3, format.frame_bytes()).map_err(Failure::runtime)?;
        let ring = FrameRing::new();
        let (consumer, stop) = (ring.subscribe(ConsumerPolicy::Latest), stop.clone());
        let show = move || {
            let opened = spec.open_alone(&Recorded::new(format, None, "", 0));
            let shown =
                opened.and_then(|mut window| consumer.frames().flatten().try_for_each(|frame| window.write(&frame)));
            match shown {
                Ok(()) => {}
                Err(SinkError::Closed { .. }) => stop.stop(),
                Err(error) => stop.fail(Failure::runtime(error)),
            }
        };
        let thread =
            std::thread::Builder::new().name("framewire-window".into()).spawn(show).map_err(Failure::runtime)?;
        Ok(Some(Self { pool, ring, thread: Some(thread) }))
    }

    /// Shows a frame, if the window is not still busy with others.
    pub(crate) fn show(&self, frame: &FrameMut) {
        if let Some(mut copy) = self.pool.try_acquire() {
            copy.set_len(frame.len()).expect("the pool's slots are made for frames of this size");
            copy.copy_from_slice(frame);
            self.ring.publish(&copy.freeze());
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.ring.end();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
