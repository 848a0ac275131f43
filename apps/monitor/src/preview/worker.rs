//! Takes frames for pictures, and shows the pictures that come of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use framewire_pictures::is_pictured;
use framewire_transport::frame::{ColourRange, Frame};

use super::desk::{Desk, Made, Task};
use super::maker::make_pictures;
use super::picture::PreviewConfig;
use super::tap::Wants;
use crate::board::LiveStream;

/// Frames that the keeper has not taken in yet. It has at most one of each stream.
const OFFERED_MAX: usize = 64;
/// A frame keeps its slot for so long at most before its picture is begun.
const WAITED_MAX: Duration = Duration::from_secs(1);

/// Has the pictures of all streams made. Ends when it is dropped.
///
/// Two threads: the maker has processor time only where nothing else wants it, and touches nothing but the desk; the keeper, which
/// others may wait for, gives frames back and shows pictures, and never waits for the maker.
#[derive(Debug)]
pub struct PreviewWorker {
    config: PreviewConfig,
    jobs: Option<SyncSender<Job>>,
    keeper: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    stream: Arc<LiveStream>,
    /// `None` once it is on the desk.
    frame: Option<Frame>,
    number: u64,
    taken: Instant,
    wants: Wants,
    /// The maker has been found to have taken it from the desk.
    is_begun: bool,
}

impl PreviewWorker {
    /// Starts the threads, unless no pictures are wanted.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(config: PreviewConfig) -> std::io::Result<Self> {
        Self::start_with(config, move |desk| make_pictures(&desk, config.width))
    }

    fn start_with(config: PreviewConfig, make: impl FnOnce(Arc<Desk>) + Send + 'static) -> std::io::Result<Self> {
        if config.rate <= 0.0 {
            return Ok(Self { config, jobs: None, keeper: None });
        }
        let (jobs, offered) = sync_channel(OFFERED_MAX);
        let desk = Arc::new(Desk::default());
        let its = desk.clone();
        let maker = Builder::new().name("framewire-picture".into()).spawn(move || make(its))?;
        let thread = maker.thread().clone();
        let keeper = Keeper { desk: desk.clone(), maker, offered, waiting: VecDeque::new(), made_for: None };
        let keeper = Builder::new().name("framewire-preview".into()).spawn(move || keeper.run()).inspect_err(|_| {
            drop(desk.close());
            thread.unpark();
        })?;
        Ok(Self { config, jobs: Some(jobs), keeper: Some(keeper) })
    }

    /// Takes a frame of a stream for a picture, if one is due. Never waits.
    pub fn offer(&self, stream: &Arc<LiveStream>, frame: &Frame, now: Instant) {
        let (Some(jobs), Some(keeper)) = (&self.jobs, &self.keeper) else { return };
        // What is not of the stream's format is none of its pictures.
        let format = &stream.about.format;
        if !is_pictured(format.pixel()) || frame.len() != format.frame_bytes() {
            return;
        }
        let Some(wants) = stream.pictures.take(&self.config, now) else { return };
        let number = frame.info().number;
        let job =
            Job { stream: stream.clone(), frame: Some(frame.clone()), number, taken: now, wants, is_begun: false };
        match jobs.try_send(job) {
            Ok(()) => keeper.thread().unpark(),
            Err(_) => stream.pictures.give_up(wants),
        }
    }
}

impl Drop for PreviewWorker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(keeper) = self.keeper.take() {
            keeper.thread().unpark();
            // A panic in it has been told already.
            let _ = keeper.join();
        }
    }
}

/// Stands between those who serve and the maker.
struct Keeper {
    desk: Arc<Desk>,
    /// Never joined.
    maker: JoinHandle<()>,
    offered: Receiver<Job>,
    waiting: VecDeque<Job>,
    /// Whose frame is with the maker.
    made_for: Option<Job>,
}

impl Keeper {
    fn run(mut self) {
        self.desk.tell(std::thread::current());
        while self.take_in() {
            if self.maker.is_finished() {
                tracing::error!("no picture is made any more: the thread that made them has panicked");
                break;
            }
            self.look_at_desk();
            let now = Instant::now();
            self.give_up_old(now);
            let due = self.oldest().map(|taken| taken + WAITED_MAX);
            match due {
                Some(due) => std::thread::park_timeout(due.saturating_duration_since(now)),
                None => std::thread::park(),
            }
        }
        // The maker sees it when it has its turn, which nobody waits for.
        drop(self.desk.close());
        for job in self.made_for.into_iter().chain(self.waiting) {
            job.stream.pictures.give_up(job.wants);
        }
        self.maker.thread().unpark();
    }

    /// When the oldest frame was taken that waits, on the desk or before it.
    fn oldest(&self) -> Option<Instant> {
        let on_desk = self.made_for.as_ref().filter(|job| !job.is_begun).map(|job| job.taken);
        on_desk.into_iter().chain(self.waiting.front().map(|job| job.taken)).min()
    }

    /// Takes what was offered; false at the end. Nobody is ever waited for at the channel, so no one who offers has to wake anybody there.
    fn take_in(&mut self) -> bool {
        loop {
            match self.offered.try_recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Takes what the maker has left, and has it make the next picture.
    fn look_at_desk(&mut self) {
        let Some((seen, made)) = self.desk.try_take() else { return };
        drop(seen);
        if let Some((job, made)) = made.and_then(|made| Some((self.made_for.take()?, made))) {
            show(&job, made);
        }
        if self.made_for.is_some() {
            return;
        }
        let Some(mut job) = self.waiting.pop_front() else { return };
        let Some(frame) = job.frame.take() else { return };
        let about = &job.stream.about;
        let mut task = Some(Task {
            frame,
            format: about.format,
            is_full_range: about.presentation.range == ColourRange::Full,
            automatic: job.stream.pictures.automatic(),
            wants: job.wants,
        });
        self.desk.try_put_task(&mut task);
        match task {
            None => {
                self.made_for = Some(job);
                self.maker.thread().unpark();
            }
            Some(task) => {
                job.frame = Some(task.frame);
                self.waiting.push_front(job);
            }
        }
    }

    /// Lets go of frames that the maker has not come to.
    fn give_up_old(&mut self, now: Instant) {
        let is_old = |job: &Job| now.saturating_duration_since(job.taken) >= WAITED_MAX;
        if let Some(job) = self.made_for.as_mut().filter(|job| !job.is_begun && is_old(job)) {
            // Where the maker is at the desk, it takes it just now.
            job.is_begun = true;
            if let Some(task) = self.desk.try_take_back() {
                job.stream.pictures.give_up(task.wants);
                self.made_for = None;
            }
        }
        while let Some(job) = self.waiting.pop_front_if(|oldest| is_old(oldest)) {
            job.stream.pictures.give_up(job.wants);
        }
    }
}

fn show(Job { stream, number, taken, wants, .. }: &Job, made: Made) {
    match made {
        Ok(made) => stream.pictures.publish(*number, *taken, made),
        Err(error) => {
            tracing::debug!("no picture of {}: {error}", stream.label());
            stream.pictures.give_up(*wants);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::{about, board};
    use crate::preview::PictureKind;
    use crate::preview::desk::MadePictures;
    use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};

    fn pool(slots: usize) -> FramePool {
        FramePool::for_format(slots, FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap()).unwrap()
    }

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
        let pool = pool(1);
        let worker = PreviewWorker::start(PreviewConfig { rate: 10.0, width: 32 }).unwrap();
        worker.offer(&stream, &frame(&pool, 200), Instant::now());
        let picture = stream.pictures.next(PictureKind::TILE, 0).await.unwrap();
        assert!(picture.jpeg.starts_with(&[0xff, 0xd8]) && picture.jpeg.ends_with(&[0xff, 0xd9]));
        assert!(pool.try_acquire().is_some(), "the slot is free");
        assert_eq!(picture.serial, 1);
    }

    #[tokio::test]
    async fn nothing_that_the_maker_holds_when_it_stands_still_is_waited_for_by_anyone_who_serves() {
        let board = board();
        let streams: Vec<_> = (0..3).map(|id| board.add(about(id, "cam"), Vec::new())).collect();
        let pool = pool(4);
        let (at_desk, is_at_desk) = std::sync::mpsc::channel();
        // It gets as far as it can with a frame in its hands, and stands still in the middle of the desk.
        let stands_still = move |desk: Arc<Desk>| {
            let _task = desk.next_task().unwrap();
            let _held = desk.hold();
            at_desk.send(()).unwrap();
            loop {
                std::thread::park();
            }
        };
        let worker = PreviewWorker::start_with(PreviewConfig { rate: 10.0, width: 32 }, stands_still).unwrap();
        let begun = Instant::now();
        streams[0].pictures.take(&worker.config, begun).unwrap();
        let made = MadePictures { pictures: vec![(PictureKind::TILE, vec![1])], automatic: None };
        streams[0].pictures.publish(1, begun, made);
        for (stream, value) in streams.iter().zip(0..) {
            worker.offer(stream, &frame(&pool, value), begun + Duration::from_secs(2));
        }
        is_at_desk.recv().unwrap();
        // Who offers, who looks, and who ends.
        streams.iter().for_each(|stream| worker.offer(stream, &frame(&pool, 9), begun + Duration::from_secs(9)));
        assert_eq!(streams[0].pictures.next(PictureKind::TILE, 0).await.unwrap().frame, 1);
        drop(worker);
        // All slots are free but that of the frame in its hands.
        assert_eq!(pool.held_count(), 1);
    }

    #[test]
    fn a_frame_that_the_maker_does_not_come_to_gets_its_slot_back_and_is_wanted_still() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        let pool = pool(2);
        let never_comes = |_| loop {
            std::thread::park();
        };
        let worker = PreviewWorker::start_with(PreviewConfig { rate: 10.0, width: 32 }, never_comes).unwrap();
        // Taken long ago, as far as it knows.
        let past = Instant::now().checked_sub(WAITED_MAX).unwrap();
        worker.offer(&stream, &frame(&pool, 1), past);
        framewire_testing::wait_until("its slot comes back", || pool.held_count() == 0);
        worker.offer(&stream, &frame(&pool, 2), Instant::now() + Duration::from_secs(2));
        drop(worker);
        assert_eq!(pool.held_count(), 0, "nor does it keep one when it ends");
    }

    #[test]
    fn after_a_panic_of_the_maker_no_frame_is_kept() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        let pool = pool(1);
        let panics = |desk: Arc<Desk>| {
            let _task = desk.next_task();
            panic!("as asked for by this test");
        };
        let worker = PreviewWorker::start_with(PreviewConfig { rate: 1_000.0, width: 32 }, panics).unwrap();
        let begun = Instant::now();
        for nth in 1.. {
            if pool.held_count() == 0 {
                worker.offer(&stream, &frame(&pool, 1), begun + Duration::from_secs(nth));
            }
            if worker.keeper.as_ref().unwrap().is_finished() {
                break;
            }
            std::thread::yield_now();
        }
        drop(worker);
        assert_eq!(pool.held_count(), 0);
    }

    #[test]
    fn no_pictures_at_all_holds_no_frame() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        let pool = pool(1);
        let worker = PreviewWorker::start(PreviewConfig { rate: 0.0, width: 32 }).unwrap();
        worker.offer(&stream, &frame(&pool, 1), Instant::now());
        assert!(pool.try_acquire().is_some());
    }
}
