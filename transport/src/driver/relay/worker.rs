//! A relay's thread: takes frames from the consumers of its streams, hands them to their watchers, and moves what those send and say.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::config::RelayConfig;
use super::leg::Shared;
use super::poller::{EVENTS_MAX, Poller, Ready};
use super::post::{Post, Task};
use super::sent_on::{SentOn, Source};
use crate::backend::wall_clock;
use crate::driver::threads::stay_on;
use crate::time::Time;

/// Frames that are taken before watchers have their turn, however fast they come.
const FRAMES_AT_ONCE: usize = 3;
/// How long the thread sleeps at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often the wall clock is looked at, whether it has been set.
const COMPARE_CLOCKS_EVERY: Duration = Duration::from_secs(1);
/// What wakes the thread for its tasks.
const TASKS: u64 = u64::MAX;
/// Set in the token of a stream's consumer; without it a token is a watcher's id.
const STREAM: u64 = 1 << 63;

/// Starts it.
///
/// # Errors
/// No descriptor or thread.
pub(super) fn start(post: Arc<Post>, config: &RelayConfig) -> io::Result<JoinHandle<()>> {
    let (config, poller) = (config.clone(), Poller::new()?);
    poller.add(post.waker(), TASKS)?;
    let poller = poller.into_descriptor();
    Builder::new().name("framewire-relay".into()).spawn(move || {
        // Behind all that the thread has, also where it panics.
        let _end = EndNoted(post.clone());
        stay_on(config.threads.cpus.as_ref());
        let worker = Worker {
            post,
            config,
            with: Shared::new(Poller::of(poller)),
            streams: HashMap::new(),
            watchers: HashMap::new(),
            stopping: None,
            tasks: Vec::new(),
            ready: Vec::with_capacity(EVENTS_MAX),
            clocks_compared: Time::now(),
        };
        worker.run();
    })
}

/// Tells who has something sent on by the thread that it is no more.
struct EndNoted(Arc<Post>);

impl Drop for EndNoted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a relay's thread panicked: what it sent on has ended; start another relay");
        }
        self.0.close();
    }
}

struct Worker {
    post: Arc<Post>,
    config: RelayConfig,
    with: Shared,
    streams: HashMap<u64, SentOn>,
    /// Of each watcher, its stream, and its place there.
    watchers: HashMap<u64, (u64, usize)>,
    /// Since when all is being closed.
    stopping: Option<Time>,
    tasks: Vec<Task>,
    ready: Vec<Ready>,
    clocks_compared: Time,
}

impl Worker {
    fn run(mut self) {
        loop {
            self.take_tasks();
            if let Some(since) = self.stopping
                && (self.streams.is_empty() || Time::now().since(since) >= self.config.linger)
            {
                return;
            }
            self.wait();
            self.note_ready();
            self.look_at_the_wall_clock();
            let is_more = self.take_frames();
            let mut is_over = false;
            for stream in self.streams.values_mut() {
                is_over |= stream.run(&self.config, &mut self.with);
            }
            if is_over {
                self.bury();
            }
            if is_over || is_more {
                self.note_places();
            }
        }
    }

    /// Takes the frames that there are, and hands them to all who are to have them. Whether there are more places now.
    fn take_frames(&mut self) -> bool {
        let mut is_more = false;
        // More would only replace what has not left; those that are left are told of again.
        for _ in 0..FRAMES_AT_ONCE {
            let mut are_taken = false;
            for stream in self.streams.values_mut() {
                are_taken |= stream.take_frame(&mut self.with);
            }
            if !are_taken {
                break;
            }
            // Whoever was added before a frame was published gets it: it may be the only one there is.
            self.take_tasks();
            for stream in self.streams.values_mut() {
                is_more |= stream.hand_on(&self.config, &mut self.with);
            }
        }
        is_more
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self) {
        let next = self.streams.values().map(SentOn::due).min().unwrap_or(Time::MAX);
        let timeout = next.since(Time::now()).min(LOOK_AGAIN);
        self.ready.clear();
        if let Err(error) = self.with.poller.wait(timeout, self.config.threads.busy_poll, &mut self.ready) {
            tracing::error!(%error, "a relay cannot wait for its sockets at present");
            self.post.waker().sleep(Duration::from_millis(100));
        }
    }

    fn take_tasks(&mut self) {
        let (now, mut tasks) = (Time::now(), std::mem::take(&mut self.tasks));
        // Looked at before them: whatever was asked for before it is to stop is among them.
        let is_to_stop = self.post.is_stopping() && self.stopping.is_none();
        self.post.take(&mut tasks);
        let are_there = !tasks.is_empty();
        for task in tasks.drain(..) {
            match task {
                Task::Stream { id, consumer, readiness, feed } => {
                    let added = self.with.poller.add(&readiness, STREAM | id);
                    if let Err(error) = &added {
                        tracing::error!(%error, "a stream is not sent on");
                        feed.end();
                    }
                    let source = added.is_ok().then_some(Source { consumer, readiness });
                    self.streams.insert(id, SentOn::new(source, feed));
                }
                Task::Watcher(new) => {
                    if let Some(stream) = self.streams.get_mut(&new.stream) {
                        stream.add(*new, &self.config, now);
                    }
                }
                Task::EndStream { id } => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.let_go(&mut self.with, now);
                    }
                }
                Task::EndWatcher { stream, id } => {
                    if let Some(stream) = self.streams.get_mut(&stream) {
                        stream.close(id, now);
                    }
                }
                #[cfg(test)]
                Task::Panic => panic!("as a test wants it"),
            }
        }
        self.tasks = tasks;
        if is_to_stop {
            self.stopping = Some(now);
            self.streams.values_mut().for_each(|stream| stream.let_go(&mut self.with, now));
        }
        if are_there || is_to_stop {
            self.bury();
            self.note_places();
        }
    }

    /// Has who is ready run.
    fn note_ready(&mut self) {
        for ready in &self.ready {
            match ready.token {
                TASKS => self.post.waker().clear(),
                token if token & STREAM != 0 => {
                    if let Some(stream) = self.streams.get_mut(&(token & !STREAM)) {
                        stream.note_readable();
                    }
                }
                id => {
                    let Some((stream, place)) = self.watchers.get(&id) else { continue };
                    if let Some(stream) = self.streams.get_mut(stream) {
                        stream.note_ready(*place, ready.readable, ready.writable);
                    }
                }
            }
        }
    }

    /// It may have been set, which nothing tells.
    fn look_at_the_wall_clock(&mut self) {
        let now = Time::now();
        if now.since(self.clocks_compared) >= COMPARE_CLOCKS_EVERY {
            self.clocks_compared = now;
            if let Some(utc) = wall_clock::compare() {
                self.streams.values_mut().for_each(|stream| stream.set_utc(utc));
            }
        }
    }

    /// Forgets the streams that nobody gets any more.
    fn bury(&mut self) {
        self.streams.retain(|_, stream| !stream.is_done());
    }

    /// Notes where each watcher is.
    fn note_places(&mut self) {
        self.watchers.clear();
        for (id, stream) in &self.streams {
            self.watchers.extend(stream.watchers().enumerate().map(|(place, watcher)| (watcher, (*id, place))));
        }
    }
}
