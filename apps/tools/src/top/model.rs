//! What there is to show: the last answer, what came before it, and what the user has chosen. No clock: time is an argument.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::shown::Shown;
use super::streams::{Snapshot, Stream, key};

/// How far the graphs go back.
pub(super) const SPAN: Duration = Duration::from_secs(300);

/// Everything that is shown. Times are since the program's start.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) server: Shown,
    /// How often the server is asked.
    pub(super) interval: Duration,
    pub(super) link: Link,
    pub(super) snapshot: Snapshot,
    pub(super) help: bool,
    /// Where the selection is; where its stream has gone, the one that took its place.
    selected: usize,
    histories: HashMap<(Option<Shown>, u64), History>,
    /// Answers so far, and answers that should have been.
    ticks: u64,
}

/// How it stands with the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// Nothing has been heard yet.
    Asking,
    /// The last question was answered.
    Live,
    /// It was not.
    Lost {
        /// Why, and what to do.
        why: Shown,
        since: Duration,
    },
}

impl Model {
    pub(super) fn new(server: &str, interval: Duration) -> Self {
        Self {
            server: Shown::new(server),
            interval,
            link: Link::Asking,
            snapshot: Snapshot::default(),
            help: false,
            selected: 0,
            histories: HashMap::new(),
            ticks: 0,
        }
    }

    /// Takes in an answer, or why there is none.
    pub(super) fn handle_answer(&mut self, answer: Result<Snapshot, String>, now: Duration) {
        self.ticks += 1;
        match answer {
            Ok(snapshot) => {
                let selected = self.selected().map(key);
                self.link = Link::Live;
                self.snapshot = snapshot;
                self.note_figures();
                let streams = &self.snapshot.streams;
                let followed = streams.iter().position(|stream| Some(key(stream)) == selected);
                self.selected = followed.unwrap_or_else(|| self.selected.min(streams.len().saturating_sub(1)));
            }
            Err(why) => {
                let since = match self.link {
                    Link::Lost { since, .. } => since,
                    Link::Asking | Link::Live => now,
                };
                self.link = Link::Lost { why: Shown::new(&why), since };
            }
        }
    }

    fn note_figures(&mut self) {
        let span = (SPAN.as_secs_f64() / self.interval.as_secs_f64()).ceil() as u64;
        let streams = &self.snapshot.streams;
        let there: HashSet<_> = streams.iter().map(key).collect();
        self.histories.retain(|key, _| there.contains(key));
        for stream in streams {
            let history = self.histories.entry(key(stream)).or_default();
            history.samples.push_back(Sample {
                tick: self.ticks,
                rate: stream.frames_per_second,
                p99: stream.latency_ms.map(|latency| latency.p99),
            });
            while history.samples.front().is_some_and(|sample| sample.tick + span <= self.ticks) {
                history.samples.pop_front();
            }
        }
    }

    /// The stream that is looked at.
    pub(super) fn selected(&self) -> Option<&Stream> {
        self.snapshot.streams.get(self.selected)
    }

    /// Its place in the table.
    pub(super) fn selected_row(&self) -> usize {
        self.selected
    }

    /// Moves the selection by so many rows, as far as there are any.
    pub(super) fn select(&mut self, rows: isize) {
        let last = self.snapshot.streams.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(rows).min(last);
    }

    /// A figure of a stream over the time that the graphs show, newest last, each the greatest of its share of the time;
    /// `None` where nothing is known.
    pub(super) fn graph(
        &self,
        stream: &Stream,
        figure: fn(&Sample) -> Option<f64>,
        columns: usize,
    ) -> Vec<Option<f64>> {
        let mut graph = vec![None; columns];
        let Some(history) = self.histories.get(&key(stream)).filter(|_| columns > 0) else { return graph };
        let span = (SPAN.as_secs_f64() / self.interval.as_secs_f64()).ceil() as u64;
        // Shares begin at fixed ticks, so that the graph moves on as a whole.
        let share = span.div_ceil(columns as u64).max(1);
        for sample in &history.samples {
            let back = (self.ticks / share - sample.tick / share) as usize;
            let Some(column) = columns.checked_sub(1 + back) else { continue };
            let cell: &mut Option<f64> = &mut graph[column];
            *cell = match (*cell, figure(sample)) {
                (Some(one), Some(other)) => Some(one.max(other)),
                (one, other) => one.or(other),
            };
        }
        graph
    }
}

/// The figures of a stream over the last minutes.
#[derive(Debug, Default)]
struct History {
    samples: VecDeque<Sample>,
}

/// The figures of one answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    tick: u64,
    /// Frames a second.
    pub(super) rate: f64,
    /// Milliseconds.
    pub(super) p99: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::streams::made_up::{snapshot, stream};

    const SECOND: Duration = Duration::from_secs(1);

    fn model() -> Model {
        Model::new("http://cams", SECOND)
    }

    fn named(names: &[(u64, &str)]) -> Snapshot {
        snapshot(names.iter().map(|(id, name)| stream(*id, name)).collect())
    }

    fn rates(model: &Model, columns: usize) -> Vec<Option<f64>> {
        model.graph(model.selected().unwrap(), |sample| Some(sample.rate), columns)
    }

    #[test]
    fn the_selection_follows_its_stream_and_stays_in_place_when_that_goes() {
        let mut model = model();
        model.handle_answer(Ok(named(&[(1, "a"), (2, "b"), (3, "c")])), SECOND);
        model.select(1);
        model.handle_answer(Ok(named(&[(9, "0"), (1, "a"), (2, "b"), (3, "c")])), SECOND);
        assert_eq!((model.selected().unwrap().id, model.selected_row()), (2, 2));
        model.handle_answer(Ok(named(&[(9, "0"), (1, "a"), (3, "c")])), SECOND);
        assert_eq!(model.selected().unwrap().id, 3);
        model.handle_answer(Ok(named(&[(9, "0")])), SECOND);
        assert_eq!(model.selected().unwrap().id, 9);
        model.handle_answer(Ok(named(&[])), SECOND);
        assert!(model.selected().is_none());
        model.select(1);
        model.select(-5);
        assert_eq!(model.selected_row(), 0);
    }

    #[test]
    fn a_lost_server_keeps_the_figures_and_the_moment_and_is_forgotten_when_it_is_back() {
        let mut model = model();
        model.handle_answer(Ok(named(&[(1, "a")])), SECOND);
        model.handle_answer(Err("gone\x1b[2J".into()), 2 * SECOND);
        model.handle_answer(Err("still gone".into()), 3 * SECOND);
        assert_eq!(model.link, Link::Lost { why: Shown::new("still gone"), since: 2 * SECOND });
        assert_eq!(model.snapshot.streams.len(), 1);
        model.handle_answer(Ok(named(&[(1, "a")])), 4 * SECOND);
        assert_eq!(model.link, Link::Live);
        // The time without an answer is a gap.
        assert_eq!(rates(&model, 300)[295..], [None, Some(60.0), None, None, Some(60.0)]);
    }

    #[test]
    fn graphs_hold_the_last_minutes_and_the_greatest_of_each_share() {
        let mut model = model();
        for tick in 1..=1_000 {
            let mut answer = named(&[(1, "a")]);
            answer.streams[0].frames_per_second = f64::from(tick);
            model.handle_answer(Ok(answer), SECOND * tick);
        }
        assert_eq!(model.histories[&(None, 1)].samples.len(), 300);
        let graph = rates(&model, 300);
        assert_eq!((graph[0], graph[299]), (Some(701.0), Some(1_000.0)));
        // Five to a column; the newest has begun with the thousandth.
        let graph = rates(&model, 60);
        assert_eq!(graph[57..], [Some(994.0), Some(999.0), Some(1_000.0)]);
        assert!(rates(&model, 0).is_empty());
    }

    #[test]
    fn streams_that_are_gone_leave_nothing_behind() {
        let mut model = model();
        for id in 0..100 {
            model.handle_answer(Ok(named(&[(id, "a")])), SECOND);
        }
        assert_eq!(model.histories.len(), 1);
    }
}
