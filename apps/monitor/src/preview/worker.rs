//! The thread that makes pictures.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use framewire_transport::frame::Frame;

use super::jpeg;
use super::picture::{FULL_WIDTH_MAX, PreviewConfig};
use super::scale::Scaled;
use super::tap::Wants;
use crate::board::LiveStream;

/// Frames that wait for the thread, at most one of a stream.
const WAITING_MAX: usize = 64;

/// Makes the pictures of all streams. Ends when it is dropped.
#[derive(Debug)]
pub struct PreviewWorker {
    config: PreviewConfig,
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    stream: Arc<LiveStream>,
    frame: Frame,
    taken: Instant,
    wants: Wants,
}

impl PreviewWorker {
    /// Starts the thread, unless no pictures are wanted.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(config: PreviewConfig) -> std::io::Result<Self> {
        if config.rate <= 0.0 {
            return Ok(Self { config, jobs: None, thread: None });
        }
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("framewire-preview".into())
            .spawn(move || make_pictures(&waiting, config.width))?;
        Ok(Self { config, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Takes a frame of a stream for a picture, if one is due. Never waits.
    pub fn offer(&self, stream: &Arc<LiveStream>, frame: &Frame, now: Instant) {
        let Some(jobs) = &self.jobs else { return };
        let Some(wants) = stream.pictures.take(&self.config, now) else { return };
        let job = Job { stream: stream.clone(), frame: frame.clone(), taken: now, wants };
        if jobs.try_send(job).is_err() {
            stream.pictures.give_up(wants);
        }
    }
}

impl Drop for PreviewWorker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It holds nothing that others need; a panic in it has been told already.
            let _ = thread.join();
        }
    }
}

fn make_pictures(jobs: &Receiver<Job>, tile_width: u32) {
    yield_to_all_else();
    let (mut tile, mut full) = (Scaled::new(), Scaled::new());
    for Job { stream, frame, taken, wants } in jobs {
        let (number, format) = (frame.info().number, stream.about.format);
        if frame.len() != format.frame_bytes() {
            stream.pictures.give_up(wants);
            continue;
        }
        for (is_wanted, picture, width) in
            [(wants.tile, &mut tile, tile_width), (wants.full, &mut full, FULL_WIDTH_MAX)]
        {
            if is_wanted {
                picture.take(&frame, &format, width);
            }
        }
        // The slot is free again before the long part begins.
        drop(frame);
        let made = |is_wanted: bool, picture: &Scaled| is_wanted.then(|| jpeg::encode(picture)).transpose();
        match (made(wants.tile, &tile), made(wants.full, &full)) {
            (Ok(tile), Ok(full)) => stream.pictures.publish(number, taken, tile, full),
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!("no picture of {}: {error}", stream.label());
                stream.pictures.give_up(wants);
            }
        }
    }
}

/// Takes processor time that nothing else wants. A thread that is merely nice still finishes its turn, some milliseconds, before
/// one that a datagram wakes.
#[cfg(target_os = "linux")]
fn yield_to_all_else() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };

    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy) {
        tracing::debug!("pictures are made with the priority of all else: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
fn yield_to_all_else() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::{about, board};
    use crate::preview::PictureSize;
    use framewire_transport::frame::FramePool;

    fn frame(pool: &FramePool, value: u8) -> Frame {
        let mut frame = pool.try_acquire().unwrap();
        frame.set_len(64 * 48).unwrap();
        frame.fill(value);
        frame.freeze()
    }

    #[tokio::test]
    async fn a_frame_becomes_a_jpeg_and_its_slot_is_given_back() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        let pool = FramePool::new(1, 64 * 48).unwrap();
        let worker = PreviewWorker::start(PreviewConfig { rate: 10.0, width: 32 }).unwrap();
        worker.offer(&stream, &frame(&pool, 200), Instant::now());
        let picture = stream.pictures.next(PictureSize::Tile, 0).await.unwrap();
        assert!(picture.jpeg.starts_with(&[0xff, 0xd8]) && picture.jpeg.ends_with(&[0xff, 0xd9]));
        assert!(pool.try_acquire().is_some(), "the slot is free");
        assert_eq!(picture.serial, 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn pictures_are_made_when_nothing_else_wants_the_processor() {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy};

        let policy = std::thread::spawn(|| {
            yield_to_all_else();
            thread_schedule_policy().unwrap()
        });
        assert_eq!(policy.join().unwrap(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
    }

    #[test]
    fn no_pictures_at_all_holds_no_frame() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        let pool = FramePool::new(1, 64 * 48).unwrap();
        let worker = PreviewWorker::start(PreviewConfig { rate: 0.0, width: 32 }).unwrap();
        worker.offer(&stream, &frame(&pool, 1), Instant::now());
        assert!(pool.try_acquire().is_some());
    }
}
