//! Who is on which link, and what each may send: the sums, whom there is room for, who is thinned for whom.
//!
//! Each way of a link is counted by itself. A stream that says its rate needs that and has all of it, unless streams of higher priority
//! come: then those below are thinned, the lowest first, equals evenly, to a frame a second at the least. Those that lose nothing
//! (`every`) are never thinned. A stream that does not say its rate takes what is left, a frame a second at the least.

use framewire_transport::FrameFormat;

use crate::allowance::{Allowance, burst_bytes, cycle, phase};
use crate::link::Link;
use crate::refusal::{self, LinkFull};

/// The priority of a stream that does not say one.
pub const PRIORITY_DEFAULT: u8 = 5;
/// The highest priority; the lowest is 0.
pub const PRIORITY_MAX: u8 = 9;

/// Frames a second that a stream keeps however many others come, if it asked for as many.
const LEAST_RATE: f64 = 1.0;
/// Below what anybody can measure: sums of products are not exact.
const TOLERANCE: f64 = 1.0;

/// Something that takes a part of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    /// A stream of this id, from its sender to this machine.
    In(u32),
    /// A stream that this machine watches at another server under this id.
    From(u32),
    /// A stream of this id, from this machine to a watcher.
    Out(u32),
}

impl Flow {
    /// Which way of the link it takes.
    pub fn way(self) -> Way {
        match self {
            Self::In(_) | Self::From(_) => Way::In,
            Self::Out(_) => Way::Out,
        }
    }
}

/// Towards this machine, or away from it: a link carries its rate each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// From senders, and from servers that streams are watched at.
    In,
    /// To watchers.
    Out,
}

/// What a stream asks a link for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// Of every frame.
    pub format: FrameFormat,
    /// Finite and above 0; `None` where it is not known, or as fast as possible.
    pub frames_per_second: Option<f64>,
    /// Whether frames may be left out for those who matter more.
    pub may_be_thinned: bool,
    /// 0 to [`PRIORITY_MAX`], which what is above is taken for.
    pub priority: u8,
}

/// What a link carries one way.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LinkSum {
    /// The interface.
    pub name: String,
    /// Which way.
    pub way: Way,
    /// The link's rate, bits a second.
    pub rate: u64,
    /// What streams may take together, bits a second.
    pub capacity: u64,
    /// What they have, bits a second on the cable.
    pub taken: u64,
    /// How many there are.
    pub streams: usize,
    /// How many of them have less than they asked for.
    pub thinned: usize,
}

/// Who is on which link.
#[derive(Debug, Default)]
pub struct Ledger {
    links: Vec<Book>,
}

impl Ledger {
    /// Of these links, with nobody on them.
    pub fn new(links: Vec<Link>) -> Self {
        Self { links: links.into_iter().map(|link| Book { link, seats: Vec::new() }).collect() }
    }

    /// Whether there are no links: then everybody is admitted to all others.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Lets a stream on the link of this interface, and returns what those may send for whom that has changed, this one among them. One that
    /// was there before is moved. On an interface that is no link of the ledger's there is room for everybody, and nothing to say.
    ///
    /// # Errors
    /// There is no room: the sum, and what would fit. Nothing has changed then.
    pub fn admit(&mut self, interface: &str, flow: Flow, demand: &Demand) -> Result<Vec<(Flow, Allowance)>, LinkFull> {
        if let Some(book) = self.links.iter().find(|book| book.link.name == interface) {
            book.check(flow, demand)?;
        }
        Ok(self.put_back(interface, flow, demand))
    }

    /// Has a stream on the link of this interface, room or not: one that had this before, and goes on with it after all. Returns the same.
    pub fn put_back(&mut self, interface: &str, flow: Flow, demand: &Demand) -> Vec<(Flow, Allowance)> {
        let found = self.links.iter().position(|book| book.link.name == interface);
        let mut changed = Vec::new();
        for (at, book) in self.links.iter_mut().enumerate() {
            if Some(at) == found {
                book.seat(flow, demand);
            } else if !book.remove(flow) {
                continue;
            }
            changed.extend(book.allot(flow.way()));
        }
        changed
    }

    /// A stream is over; returns what those may send for whom that has changed.
    pub fn release(&mut self, flow: Flow) -> Vec<(Flow, Allowance)> {
        let books = self.links.iter_mut().filter_map(|book| book.remove(flow).then(|| book.allot(flow.way())));
        books.flatten().collect()
    }

    /// What a stream may send; `None` where it is on no link.
    pub fn allowance(&self, flow: Flow) -> Option<Allowance> {
        self.links.iter().flat_map(|book| &book.seats).find(|seat| seat.flow == flow).and_then(|seat| seat.told)
    }

    /// What each link carries, each way.
    pub fn sums(&self) -> Vec<LinkSum> {
        self.links.iter().flat_map(|book| [Way::In, Way::Out].map(|way| book.sum(way))).collect()
    }
}

/// A link, and who is on it.
#[derive(Debug)]
struct Book {
    link: Link,
    seats: Vec<Seat>,
}

#[derive(Debug)]
struct Seat {
    flow: Flow,
    need: Need,
    /// Which of the phases it has.
    place: usize,
    told: Option<Allowance>,
}

/// A demand in bits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Need {
    frame_bits: f64,
    /// `None` for what is left.
    rate: Option<f64>,
    may_be_thinned: bool,
    priority: u8,
}

impl Need {
    fn of(demand: &Demand, link: &Link) -> Self {
        Self {
            // Metadata is of what the link's share leaves: most of it is far less than it may be.
            frame_bits: link.cost.bits_of_frame(demand.format.frame_bytes() as u64) as f64,
            rate: demand.frames_per_second.filter(|rate| rate.is_finite() && *rate > 0.0),
            may_be_thinned: demand.may_be_thinned,
            priority: demand.priority.min(PRIORITY_MAX),
        }
    }

    /// Bits a second.
    fn full(&self) -> f64 {
        self.rate.map_or_else(|| self.least(), |rate| self.frame_bits * rate)
    }

    /// Bits a second that nobody takes from it.
    fn least(&self) -> f64 {
        match self.rate {
            Some(rate) if !self.may_be_thinned => self.frame_bits * rate,
            rate => self.frame_bits * rate.map_or(LEAST_RATE, |rate| rate.min(LEAST_RATE)),
        }
    }

    /// Whether it keeps all of its rate when one of this priority comes.
    fn stands_before(&self, priority: u8) -> bool {
        self.rate.is_some() && self.priority >= priority
    }
}

impl Book {
    fn of_way(&self, way: Way) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(move |seat| seat.flow.way() == way)
    }

    /// Whether there is room.
    fn check(&self, flow: Flow, demand: &Demand) -> Result<(), LinkFull> {
        let others: Vec<Need> =
            self.of_way(flow.way()).filter(|seat| seat.flow != flow).map(|seat| seat.need).collect();
        let capacity = self.link.capacity() as f64;
        // One that takes what is left has nobody thinned.
        let taken_for = |need: &Need| -> f64 {
            let kept = |other: &Need| match need.rate {
                Some(_) if !other.stands_before(need.priority) => other.least(),
                _ => other.full(),
            };
            others.iter().map(kept).sum()
        };
        let fits = |need: &Need| taken_for(need) + need.full() <= capacity + TOLERANCE;
        let need = Need::of(demand, &self.link);
        // One that has its seat keeps it, thinned or not: its client was away for a moment.
        let has_seat = self.seats.iter().any(|seat| seat.flow == flow && seat.need == need);
        if has_seat || fits(&need) {
            return Ok(());
        }
        let taken = taken_for(&need);
        let mut refusal = refusal::of(&self.link, flow.way(), (others.len(), taken), need.full());
        if need.rate.is_some() {
            refusal.fits_at = refusal::rate_said((capacity - taken) / need.frame_bits);
            refusal.fits_as = refusal::smaller(&demand.format, |format| {
                fits(&Need::of(&Demand { format: *format, ..*demand }, &self.link))
            });
            refusal.fits_with_priority =
                (need.priority + 1..=PRIORITY_MAX).find(|priority| fits(&Need { priority: *priority, ..need }));
        }
        Err(refusal)
    }

    fn seat(&mut self, flow: Flow, demand: &Demand) {
        let need = Need::of(demand, &self.link);
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.flow == flow) {
            seat.need = need;
            // Its client may be another run, which has been told nothing.
            seat.told = None;
            return;
        }
        let is_taken = |place: usize| self.of_way(flow.way()).any(|seat| seat.place == place);
        let place = (0..).find(|place| !is_taken(*place)).expect("places do not run out");
        self.seats.push(Seat { flow, need, place, told: None });
    }

    fn remove(&mut self, flow: Flow) -> bool {
        let before = self.seats.len();
        self.seats.retain(|seat| seat.flow != flow);
        self.seats.len() < before
    }

    /// What each of a way has, bits a second on the cable, in the order of their seats.
    fn granted(&self, way: Way) -> Vec<f64> {
        let needs: Vec<Need> = self.of_way(way).map(|seat| seat.need).collect();
        let mut granted: Vec<f64> = needs.iter().map(Need::least).collect();
        // What is beside the least of all is given from the highest priority down.
        let mut beside = (self.link.capacity() as f64 - granted.iter().sum::<f64>()).max(0.0);
        for priority in (0..=PRIORITY_MAX).rev() {
            let equals: Vec<usize> =
                (0..needs.len()).filter(|at| needs[*at].rate.is_some() && needs[*at].priority == priority).collect();
            let lacking: f64 = equals.iter().map(|at| needs[*at].full() - granted[*at]).sum();
            if lacking <= 0.0 {
                continue;
            }
            let part = (beside / lacking).min(1.0);
            for at in equals {
                // Exactly what it asked for, where that is there.
                let more = needs[at].full() - granted[at];
                granted[at] = if part < 1.0 { granted[at] + more * part } else { needs[at].full() };
            }
            beside -= lacking * part;
        }
        let takers: Vec<usize> = (0..needs.len()).filter(|at| needs[*at].rate.is_none()).collect();
        for at in &takers {
            granted[*at] += beside.max(0.0) / takers.len() as f64;
        }
        granted
    }

    /// Says what has changed for those of a way.
    fn allot(&mut self, way: Way) -> Vec<(Flow, Allowance)> {
        let granted = self.granted(way);
        let sum: f64 = granted.iter().sum();
        let (link, streams) = (&self.link, granted.len());
        let cycle = cycle(link.cost.ip_bits(link.rate));
        // What nobody has is everybody's to send faster with.
        let faster = (link.rate as f64 / sum.max(1.0)).max(1.0);
        let mut changed = Vec::new();
        let seats = self.seats.iter_mut().filter(|seat| seat.flow.way() == way);
        for (seat, granted) in seats.zip(granted) {
            let need = &seat.need;
            let rate = granted / need.frame_bits;
            let is_less = need.rate.is_none_or(|asked| rate < asked * (1.0 - 1e-9));
            let pace = if need.rate.is_some() { granted * faster } else { granted };
            let allowance = Allowance {
                bits_per_second: link.cost.ip_bits(pace as u64).max(1),
                burst_bytes: burst_bytes(streams, link.cost.datagram_bytes()),
                frames_per_second: is_less.then_some(rate),
                phase: need.rate.map(|_| phase(seat.place, cycle)),
                cycle,
            };
            if seat.told != Some(allowance) {
                seat.told = Some(allowance);
                changed.push((seat.flow, allowance));
            }
        }
        changed
    }

    fn sum(&self, way: Way) -> LinkSum {
        let granted = self.granted(way);
        let thinned = self.of_way(way).zip(&granted).filter(|(seat, granted)| **granted + TOLERANCE < seat.need.full());
        LinkSum {
            name: self.link.name.clone(),
            way,
            rate: self.link.rate,
            capacity: self.link.capacity(),
            taken: granted.iter().sum::<f64>().ceil() as u64,
            streams: granted.len(),
            thinned: thinned.count(),
        }
    }
}

#[cfg(test)]
mod tests;
