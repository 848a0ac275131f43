//! One subscriber of a publication: the sending thread of its own, and the far end.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use framewire_transport::frame::{Frame, FrameFormat};
use framewire_transport::receive::{ClosedStreams, EndReason, ReceiveStream};
use framewire_transport::send::{LinkBudget, Publication, SendConfig, SendState, Subscriber};
use framewire_transport::{Key, Time, send};

use super::batches::Batches;
use super::middle::Middle;
use super::nonces::Nonces;
use super::switch::Port;
use super::truth::Truth;
use super::way::{Towards, Way};
use super::{Random, Weather};

/// As the driver's: answers that a sending thread reads at once.
const INBOX: usize = 16;

/// A subscriber of a publication, its receiver, and the network between them.
pub(crate) struct Peer {
    pub(crate) now: Time,
    pub(crate) sender: Subscriber,
    pub(crate) receiver: Option<ReceiveStream>,
    pub(crate) weather: Weather,
    pub(crate) delivered: Vec<u64>,
    /// From capture to completion, of each frame delivered.
    pub(crate) ages: Vec<Duration>,
    pub(crate) random: Random,
    pub(super) slots: usize,
    /// Of the receiver's socket.
    pub(crate) buffer_bytes: usize,
    /// The receiver hands on what it gives up, too.
    pub(crate) partial: bool,
    /// What the receiver says is bent on its way.
    pub(crate) bend: Option<fn(Vec<u8>) -> Vec<u8>>,
    /// Whom datagrams pass on their way.
    pub(crate) middle: Option<Middle>,
    nonces: Nonces,
    /// What travels this way is kept, and does not arrive.
    withholds: Option<Towards>,
    withheld: Vec<Vec<u8>>,
    /// What came with gaps: the frame's number, and bytes that are missing.
    pub(crate) torn: Vec<(u64, usize)>,
    way: Way,
    /// What leads to the receiver, beside the way of its own.
    pub(crate) port: Option<Port>,
    /// It joins a stream that goes on already.
    pub(crate) has_joined: bool,
    steps_at_now: u32,
    pub(super) config: SendConfig,
    /// What the receiver takes the stream under alone; none where it is not protected.
    pub(super) key: Option<Key>,
    pub(super) format: FrameFormat,
    pub(super) is_stopped: bool,
    /// What has come to the sender and was not read yet.
    said: VecDeque<Vec<u8>>,
    pub(crate) batches: Batches,
    /// What has come to the receiver and was not read yet: it shares batches.
    pub(super) waiting: VecDeque<Vec<u8>>,
    /// How long the receiver is busy with other things after each look at its socket.
    pub(crate) busy: Duration,
    /// When it looks again.
    pub(super) looks: Time,
    pub(crate) truth: Truth,
    /// Streams that were opened in the receiver's process.
    pub(crate) opened: usize,
    pub(super) closed: ClosedStreams,
    /// When the receiver's socket is closed.
    pub(super) leaves: Time,
    /// Handshakes that were begun with this receiver's process.
    pub(super) ephemerals: HashSet<[u8; 32]>,
    pub(super) next_answer: Time,
    /// Consumers hold the newest frames, so many.
    pub(crate) holds: usize,
    pub(super) held: VecDeque<Frame>,
}

impl Peer {
    pub(crate) fn new(seed: u64, publication: &Publication, config: SendConfig, now: Time, weather: Weather) -> Self {
        Self::of(seed, publication.subscribe(config, now), config, now, weather)
    }

    /// The same of a subscriber that was made, by this configuration.
    pub(crate) fn of(seed: u64, sender: Subscriber, config: SendConfig, now: Time, weather: Weather) -> Self {
        Self {
            now,
            sender,
            receiver: None,
            weather,
            delivered: Vec::new(),
            ages: Vec::new(),
            random: Random::new(seed),
            slots: 6,
            buffer_bytes: 400_000,
            partial: false,
            bend: None,
            middle: None,
            nonces: Nonces::default(),
            withholds: None,
            withheld: Vec::new(),
            torn: Vec::new(),
            way: Way::new(now),
            port: None,
            has_joined: false,
            steps_at_now: 0,
            format: config.format,
            config,
            key: None,
            is_stopped: false,
            said: VecDeque::new(),
            batches: Batches::new(seed),
            waiting: VecDeque::new(),
            busy: Duration::ZERO,
            looks: now,
            truth: Truth::default(),
            opened: 0,
            closed: ClosedStreams::default(),
            leaves: Time::MAX,
            ephemerals: HashSet::new(),
            next_answer: now,
            holds: 0,
            held: VecDeque::new(),
        }
    }

    /// The frames that consumers hold, the oldest first.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Frame> {
        self.held.iter()
    }

    /// The newest frame that consumers hold.
    pub(crate) fn newest(&self) -> Option<&Frame> {
        self.held.back()
    }

    pub(crate) fn byte_of(number: u64, at: usize) -> u8 {
        (number as usize * 31 + at * 7 + at / 251) as u8
    }

    /// Lets time pass, at most to `until`; returns false once nothing happens before it.
    pub(crate) fn step(&mut self, publication: &mut Publication, until: Time) -> bool {
        self.run_sender(publication);
        let timers = [Some(self.sender.poll_timeout()), self.receiver_wakes(), self.way.next_arrival()];
        let next = timers.into_iter().flatten().min().unwrap_or(Time::MAX).max(self.now);
        if next > until {
            self.now = until;
            return false;
        }
        self.steps_at_now = if next.as_nanos() - self.now.as_nanos() < 100 { self.steps_at_now + 1 } else { 0 };
        assert!(self.steps_at_now < 10_000, "time stands still at {next:?}: {:?}", self.sender.stats());
        self.now = next;
        while let Some((towards, bytes)) = self.way.arrive(self.now) {
            match towards {
                Towards::Sender => self.said.push_back(bytes),
                Towards::Receiver => self.waiting.push_back(bytes),
            }
        }
        self.run_sender(publication);
        self.run_receiver();
        true
    }

    /// The sending thread runs until it has nothing to do: reads some answers, does what is due, sends a batch.
    fn run_sender(&mut self, publication: &mut Publication) {
        let mut bytes = Box::new([0; send::CONTROL_MAX]);
        loop {
            for answer in self.said.drain(..self.said.len().min(INBOX)) {
                self.sender.handle_datagram(&answer, self.now);
            }
            self.sender.handle_timeout(self.now);
            while let Some(len) = self.sender.poll_transmit(self.now, &mut bytes) {
                self.fly(Towards::Receiver, bytes[..len].to_vec());
            }
            let mut batch: Vec<Vec<u8>> = Vec::new();
            while batch.len() < self.batches.room() {
                let room = self.batches.room() - batch.len();
                let Some(mut run) = self.sender.poll_slices(publication, room as u32, self.now) else { break };
                batch.extend((0..run.count).map(|nth| run.to_datagram(nth)));
            }
            if batch.is_empty() && self.said.is_empty() {
                break;
            }
            for datagram in batch {
                self.fly(Towards::Receiver, datagram);
            }
        }
    }

    pub(super) fn fly(&mut self, towards: Towards, bytes: Vec<u8>) {
        self.nonces.see(towards, &bytes);
        if self.withholds == Some(towards) {
            self.withheld.push(bytes);
            return;
        }
        let passed = match &mut self.middle {
            Some(middle) => middle.pass(towards, bytes),
            None => vec![(towards, bytes)],
        };
        for (towards, bytes) in passed {
            let port = self.port.as_ref().filter(|_| towards == Towards::Receiver);
            let Some(queued) = port.map_or(Some(Duration::ZERO), |port| port.pass(self.now, bytes.len())) else {
                continue;
            };
            self.way.fly(&self.weather, &mut self.random, self.now + queued, towards, bytes);
        }
    }

    /// From now on, what travels this way is kept and does not arrive; returns what has been kept so far.
    pub(crate) fn withhold(&mut self, towards: Option<Towards>) -> Vec<Vec<u8>> {
        self.withholds = towards;
        std::mem::take(&mut self.withheld)
    }

    /// The receiver's process stops; what comes waits.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// The sender keeps to a link's rate. To be called before anything happens.
    pub(crate) fn set_link(&mut self, link: LinkBudget) {
        self.sender.set_link(link);
    }

    /// Both machines sleep for a while: time goes on, and nothing else.
    pub(crate) fn suspend_for(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// The receiver's process dies; what it had is gone.
    pub(crate) fn kill_receiver(&mut self) {
        self.receiver = None;
        self.closed = ClosedStreams::default();
        self.leaves = Time::MAX;
        self.waiting.clear();
        self.way.drop_all();
    }

    /// Speaks to the sender as anyone can who forges the receiver's address.
    pub(crate) fn forge_to_sender(&mut self, bytes: &[u8]) {
        self.sender.handle_datagram(bytes, self.now);
    }

    /// Speaks to the receiver as anyone can who forges the sender's address.
    pub(crate) fn forge_to_receiver(&mut self, bytes: &[u8]) {
        self.waiting.push_back(bytes.to_vec());
        self.run_receiver();
    }

    /// What is on its way is lost.
    pub(crate) fn drop_what_flies(&mut self) {
        self.way.drop_all();
    }

    pub(crate) fn bytes_sent(&self) -> usize {
        self.way.bytes_sent
    }

    /// How many datagrams have travelled, either way.
    pub(crate) fn datagrams_sent(&self) -> u64 {
        self.way.sent
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.sender.state(), SendState::Closed(_))
    }

    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.receiver.as_ref().and_then(ReceiveStream::ended)
    }
}
