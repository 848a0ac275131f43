//! The links of `--link`: who is let on them, and what is told of that.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use framewire_budget::{Allowance, Demand, Flow, Ledger, Link, LinkFull, PRIORITY_DEFAULT, Routes, Way, routes};
use framewire_figures::snapshot::{GrantSnapshot, LinkSnapshot};
use framewire_process::lock::lock;
use framewire_signal::message::{Grant, OpenRequest, Refused, reason};
use framewire_transport::{Bitrate, Delivery, FrameFormat, LinkBudget};

use super::voice::Voice;

/// Lets streams on links, and tells their clients what they may send.
pub(super) struct Links {
    state: Mutex<State>,
    /// What leaves by each, all watchers together, goes no faster than it carries.
    outward: HashMap<String, LinkBudget>,
    voice: Voice,
}

struct State {
    ledger: Ledger,
    /// By interface.
    refused: BTreeMap<String, u64>,
    /// What is on an interface, a link that is kept account of or another.
    places: HashMap<Flow, Place>,
}

/// What something that is on an interface has there.
#[derive(Debug, Clone)]
struct Place {
    interface: String,
    demand: Demand,
    /// Its client has gone, and its frames may still come.
    is_left: bool,
}

/// By which interfaces peers are reached. The system is asked for it before the locks are taken that a watcher's wish is looked at under.
#[derive(Debug, Default)]
pub(super) struct Ways(HashMap<IpAddr, Option<String>>);

/// What a stream that is being opened has of its link.
pub(super) struct Seat {
    /// What it may send, where its link is one that is kept account of.
    pub(super) grant: Option<Grant>,
    stream: u32,
    /// What it had before.
    before: Option<Place>,
}

impl Links {
    pub(super) fn new(links: Vec<Link>, voice: Voice) -> Self {
        let outward = links.iter().filter_map(|link| {
            let rate = Bitrate::from_bits_per_second(link.rate)?;
            Some((link.name.clone(), LinkBudget::new(rate)))
        });
        let outward = outward.collect();
        let state = State { ledger: Ledger::new(links), refused: BTreeMap::new(), places: HashMap::new() };
        Self { state: Mutex::new(state), outward, voice }
    }

    /// Lets a stream in that a client at this address opens. What is refused after that is to be [given back](Self::give_back).
    ///
    /// # Errors
    /// [`reason::LINK_FULL`], with the sum and what would fit. What the stream had before it has still.
    pub(super) fn open(&self, from: IpAddr, request: &OpenRequest) -> Result<Seat, Refused> {
        let demand = Demand {
            format: request.format()?,
            frames_per_second: request.frames_per_second,
            may_be_thinned: request.delivery == Delivery::Latest,
            priority: request.priority.unwrap_or(PRIORITY_DEFAULT),
        };
        let (stream, flow) = (request.stream, Flow::In(request.stream));
        let before = lock(&self.state).places.get(&flow).cloned();
        self.admit(&Ways::default(), from, flow, &demand, false)?;
        let allowed = lock(&self.state).ledger.allowance(flow);
        Ok(Seat { grant: allowed.map(|allowed| grant(stream, &allowed)), stream, before })
    }

    /// The stream is not opened after all: it has what it had before, as it may flow, which `flows` knows.
    pub(super) fn give_back(&self, seat: Seat, flows: impl Fn(u32) -> bool) {
        let (stream, flow) = (seat.stream, Flow::In(seat.stream));
        let mut state = lock(&self.state);
        let before = seat.before.filter(|before| !before.is_left || flows(stream));
        let changed = match before {
            // It may have ended meanwhile.
            Some(before) if state.places.contains_key(&flow) => {
                let changed = state.ledger.put_back(&before.interface, flow, &before.demand);
                state.places.insert(flow, before);
                changed
            }
            _ => state.release(flow),
        };
        self.tell(&state, changed.into_iter());
    }

    /// By which interfaces these are reached now: addresses come and go.
    pub(super) fn ways(&self, peers: impl IntoIterator<Item = IpAddr>) -> Ways {
        let mut peers = peers.into_iter().peekable();
        if peers.peek().is_none() || lock(&self.state).ledger.is_empty() {
            return Ways::default();
        }
        let Ok(routes) = routes() else { return Ways::default() };
        let mut ways = HashMap::new();
        for peer in peers {
            ways.entry(peer).or_insert_with(|| interface(&routes, peer));
        }
        Ways(ways)
    }

    /// Lets a watcher at this address have a stream of this format and rate; returns the link that its frames leave by, where that is kept account of. One that
    /// was refused and waits `is_asked_for_again`, and is counted once. The system is asked for a way that is not among `ways`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn watch(
        &self,
        ways: &Ways,
        to: IpAddr,
        stream: u32,
        format: FrameFormat,
        frames_per_second: Option<f64>,
        is_asked_for_again: bool,
    ) -> Result<Option<LinkBudget>, Refused> {
        // Who watches has asked for what they need: nobody is thinned for another.
        let demand = Demand { format, frames_per_second, may_be_thinned: false, priority: PRIORITY_DEFAULT };
        let interface = self.admit(ways, to, Flow::Out(stream), &demand, is_asked_for_again)?;
        Ok(interface.and_then(|interface| self.outward.get(&interface).cloned()))
    }

    /// Lets a stream in that this server watches at another, at this address. One that was refused and `is_asked_for_again` is counted once.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn watch_elsewhere(
        &self,
        from: IpAddr,
        stream: u32,
        format: FrameFormat,
        frames_per_second: Option<f64>,
        is_asked_for_again: bool,
    ) -> Result<(), Refused> {
        // The other server has let it out as it is.
        let demand = Demand { format, frames_per_second, may_be_thinned: false, priority: PRIORITY_DEFAULT };
        self.admit(&Ways::default(), from, Flow::From(stream), &demand, is_asked_for_again).map(drop)
    }

    /// A stream is over.
    pub(super) fn close(&self, stream: u32) {
        self.release(Flow::In(stream));
    }

    /// A watcher has gone.
    pub(super) fn unwatch(&self, stream: u32) {
        self.release(Flow::Out(stream));
    }

    /// A stream is watched at another server no more.
    pub(super) fn unwatch_elsewhere(&self, stream: u32) {
        self.release(Flow::From(stream));
    }

    /// A stream's client has gone; whether its frames may still come, `flows` knows. That is asked under the lock that [`fall_silent`](Self::fall_silent) takes, which
    /// is told after they have stopped: one of the two gives the place back.
    pub(super) fn leave(&self, stream: u32, flows: impl Fn(u32) -> bool) {
        let mut state = lock(&self.state);
        match state.places.get_mut(&Flow::In(stream)) {
            Some(place) if flows(stream) => place.is_left = true,
            Some(_) => {
                let changed = state.release(Flow::In(stream));
                self.tell(&state, changed.into_iter());
            }
            None => {}
        }
    }

    /// A stream's frames come no more; they may come again as long as its client is there.
    pub(super) fn fall_silent(&self, stream: u32) {
        let mut state = lock(&self.state);
        if state.places.get(&Flow::In(stream)).is_some_and(|place| place.is_left) {
            let changed = state.release(Flow::In(stream));
            self.tell(&state, changed.into_iter());
        }
    }

    /// What a stream was granted, for who looks.
    pub(super) fn shown(&self, stream: u32) -> Option<GrantSnapshot> {
        let state = lock(&self.state);
        let place = state.places.get(&Flow::In(stream))?;
        let allowed = state.ledger.allowance(Flow::In(stream))?;
        Some(GrantSnapshot {
            link: place.interface.clone(),
            bits_per_second: allowed.bits_per_second,
            frames_per_second: allowed.frames_per_second,
            priority: place.demand.priority,
        })
    }

    /// The links, for who looks.
    pub(super) fn all_shown(&self) -> Vec<LinkSnapshot> {
        let state = lock(&self.state);
        let mut shown: Vec<LinkSnapshot> = Vec::new();
        for sum in state.ledger.sums() {
            if shown.last().is_none_or(|link| link.name != sum.name) {
                shown.push(LinkSnapshot {
                    bits_per_second: sum.rate,
                    bits_per_second_max: sum.capacity,
                    refused: state.refused.get(&sum.name).copied().unwrap_or(0),
                    name: sum.name,
                    ..LinkSnapshot::default()
                });
            }
            let Some(link) = shown.last_mut() else { continue };
            link.grants += sum.streams as u64;
            match sum.way {
                Way::In => link.received_bits_per_second = sum.taken,
                Way::Out => link.sent_bits_per_second = sum.taken,
            }
        }
        shown
    }

    /// Whether there is room; returns the interface.
    fn admit(
        &self,
        ways: &Ways,
        peer: IpAddr,
        flow: Flow,
        demand: &Demand,
        is_asked_for_again: bool,
    ) -> Result<Option<String>, Refused> {
        if lock(&self.state).ledger.is_empty() {
            return Ok(None);
        }
        let known = ways.0.get(&peer).cloned();
        let Some(by) = known.unwrap_or_else(|| interface(&routes().ok()?, peer)) else {
            tracing::debug!(%peer, "no interface is known that leads there, so that nothing is kept account of");
            return Ok(None);
        };
        self.admit_by(by, peer, flow, demand, is_asked_for_again).map(Some)
    }

    fn admit_by(
        &self,
        interface: String,
        peer: IpAddr,
        flow: Flow,
        demand: &Demand,
        is_asked_for_again: bool,
    ) -> Result<String, Refused> {
        let mut state = lock(&self.state);
        match state.ledger.admit(&interface, flow, demand) {
            Ok(changed) => {
                // On an interface that is no link as well: what its client opens anew, and is refused, goes back to where it was.
                let place = Place { interface: interface.clone(), demand: *demand, is_left: false };
                state.places.insert(flow, place);
                self.tell(&state, changed.into_iter().filter(|(told, _)| *told != flow));
                Ok(interface)
            }
            Err(full) => {
                if !is_asked_for_again {
                    *state.refused.entry(interface).or_default() += 1;
                    tracing::info!(%peer, "refused: {full}");
                }
                Err(refused(&full))
            }
        }
    }

    fn release(&self, flow: Flow) {
        let mut state = lock(&self.state);
        let changed = state.release(flow);
        self.tell(&state, changed.into_iter());
    }

    /// Told under the lock that it was decided under, which `_decided` stands for: what a client hears last holds. Nothing waits, and nobody is called back. What leaves goes by what its link carries, and what another server sends by that server's: they need be told nothing.
    fn tell(&self, _decided: &State, changed: impl Iterator<Item = (Flow, Allowance)>) {
        for (flow, allowed) in changed {
            if let Flow::In(stream) = flow {
                self.voice.say(|signal| signal.tell_grant(grant(stream, &allowed)));
            }
        }
    }
}

impl State {
    fn release(&mut self, flow: Flow) -> Vec<(Flow, Allowance)> {
        self.places.remove(&flow);
        self.ledger.release(flow)
    }
}

fn interface(routes: &Routes, peer: IpAddr) -> Option<String> {
    Some(routes.to(peer)?.name.clone())
}

fn refused(full: &LinkFull) -> Refused {
    Refused::new(reason::LINK_FULL, full.to_string())
}

fn grant(stream: u32, allowed: &Allowance) -> Grant {
    let micros = |time: Duration| u32::try_from(time.as_micros()).ok();
    Grant::new(stream, allowed.bits_per_second, allowed.burst_bytes)
        .frames_per_second(allowed.frames_per_second)
        .phase_us(allowed.phase.and_then(micros))
        .cycle_us(allowed.phase.and_then(|_| micros(allowed.cycle)))
}

#[cfg(test)]
mod tests {
    use framewire_budget::{Card, links};
    use framewire_transport::PixelFormat;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn vga() -> FrameFormat {
        FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap()
    }

    /// Of the 80 Mbit/s VGA in gray takes a little more than 2.5 a frame a second.
    fn of_80_megabits() -> Links {
        let card = Card { name: "lo".into(), bits_per_second: None, mtu: 65_536 };
        let (links, _) = links(&["lo=100M".parse().unwrap()], &[card]).unwrap();
        Links::new(links, Voice::default())
    }

    fn opening(stream: u32, rate: f64) -> OpenRequest {
        OpenRequest::new(stream, &vga(), Delivery::Every).frames_per_second(rate)
    }

    /// How many are on the link, and how many were refused.
    fn counts(links: &Links) -> (u64, u64) {
        let shown = &links.all_shown()[0];
        (shown.grants, shown.refused)
    }

    #[test]
    fn one_that_has_left_and_is_refused_when_it_comes_back_gives_its_place_up_when_its_frames_stop() {
        let links = of_80_megabits();
        links.open(HERE, &opening(7, 20.0)).unwrap();
        links.leave(7, |_| true);
        let Err(refused) = links.open(HERE, &opening(7, 60.0)) else { panic!("there is no room for it") };
        assert_eq!(refused.reason, reason::LINK_FULL);
        assert_eq!(counts(&links), (1, 1), "its frames may still come");
        links.fall_silent(7);
        assert_eq!(counts(&links), (0, 1));
    }

    #[test]
    fn what_is_given_back_is_what_it_had_before_for_as_long_as_its_frames_come() {
        let links = of_80_megabits();
        let bits = |links: &Links| links.all_shown()[0].received_bits_per_second;
        links.open(HERE, &opening(7, 10.0)).unwrap();
        let had = bits(&links);
        for is_left in [false, true] {
            let seat = links.open(HERE, &opening(7, 20.0)).unwrap();
            assert!(bits(&links) > had);
            links.give_back(seat, |_| true);
            assert_eq!(bits(&links), had, "left: {is_left}");
            links.fall_silent(7);
            assert_eq!(counts(&links).0, u64::from(!is_left), "its client is there, or is not");
            links.leave(7, |_| true);
        }
        // One that was not there before is not there, and neither is one whose frames have stopped meanwhile.
        links.give_back(links.open(HERE, &opening(8, 10.0)).unwrap(), |_| false);
        links.open(HERE, &opening(9, 10.0)).unwrap();
        links.leave(9, |_| true);
        links.give_back(links.open(HERE, &opening(9, 20.0)).unwrap(), |_| false);
        assert_eq!(counts(&links).0, 0);
    }

    #[test]
    fn one_that_is_opened_anew_over_no_link_and_refused_by_the_host_has_its_place_on_the_link_again() {
        let links = of_80_megabits();
        links.open(HERE, &opening(7, 20.0)).unwrap();
        let seat = links.open(HERE, &opening(7, 20.0)).unwrap();
        let demand = seat.before.as_ref().unwrap().demand;
        links.admit_by("another".into(), HERE, Flow::In(7), &demand, false).unwrap();
        assert_eq!((counts(&links).0, links.shown(7)), (0, None));
        links.give_back(seat, |_| true);
        assert_eq!(counts(&links).0, 1, "its frames come by it");
        links.close(7);
        assert!(lock(&links.state).places.is_empty());
    }

    #[test]
    fn one_that_comes_back_keeps_its_place_when_its_frames_stop_for_a_while() {
        let links = of_80_megabits();
        links.open(HERE, &opening(7, 20.0)).unwrap();
        links.leave(7, |_| true);
        links.open(HERE, &opening(7, 20.0)).unwrap();
        links.fall_silent(7);
        assert_eq!(counts(&links).0, 1);
        links.leave(7, |_| false);
        assert_eq!(counts(&links).0, 0);
    }

    #[test]
    fn a_watcher_that_waits_for_room_is_refused_once_however_often_it_is_looked_for() {
        let links = of_80_megabits();
        for again in [false, true, true, true] {
            assert!(links.watch(&links.ways([HERE]), HERE, 7, vga(), Some(60.0), again).is_err());
        }
        assert_eq!(counts(&links), (0, 1));
    }

    #[test]
    fn what_is_watched_at_another_server_takes_its_part_of_the_way_in() {
        let links = of_80_megabits();
        links.watch_elsewhere(HERE, 7, vga(), Some(20.0), false).unwrap();
        assert!(links.all_shown()[0].received_bits_per_second > 20 * 640 * 480 * 8);
        assert!(links.open(HERE, &opening(7, 20.0)).is_err(), "that is another, whatever its id");
        for again in [false, true, true] {
            assert!(links.watch_elsewhere(HERE, 8, vga(), Some(20.0), again).is_err());
        }
        links.unwatch_elsewhere(7);
        links.open(HERE, &opening(7, 20.0)).unwrap();
        assert_eq!(counts(&links), (1, 2));
    }
}
