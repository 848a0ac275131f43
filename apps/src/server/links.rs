//! The links of `--link`: who is let on them, and what is told of that.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use framewire_budget::{Allowance, Demand, Flow, Ledger, Link, LinkFull, PRIORITY_DEFAULT, Way, routes};
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
    /// The interface and the priority of what is on a link.
    places: HashMap<Flow, (String, u8)>,
    /// Streams whose clients have gone, and whose frames may still come.
    left: HashSet<u32>,
}

impl Links {
    pub(super) fn new(links: Vec<Link>, voice: Voice) -> Self {
        let outward = links.iter().filter_map(|link| {
            let rate = Bitrate::from_bits_per_second(link.rate)?;
            Some((link.name.clone(), LinkBudget::new(rate)))
        });
        let outward = outward.collect();
        let state = State {
            ledger: Ledger::new(links),
            refused: BTreeMap::new(),
            places: HashMap::new(),
            left: HashSet::new(),
        };
        Self { state: Mutex::new(state), outward, voice }
    }

    /// Lets a stream in that a client at this address opens; returns what it may send, where its link is one that is kept account of.
    ///
    /// # Errors
    /// [`reason::LINK_FULL`], with the sum and what would fit.
    pub(super) fn open(&self, from: IpAddr, request: &OpenRequest) -> Result<Option<Grant>, Refused> {
        let demand = Demand {
            format: request.format()?,
            frames_per_second: request.frames_per_second,
            may_be_thinned: request.delivery == Delivery::Latest,
            priority: request.priority.unwrap_or(PRIORITY_DEFAULT),
        };
        lock(&self.state).left.remove(&request.stream);
        self.admit(from, Flow::In(request.stream), &demand)?;
        let allowed = lock(&self.state).ledger.allowance(Flow::In(request.stream));
        Ok(allowed.map(|allowed| grant(request.stream, &allowed)))
    }

    /// Lets a watcher at this address have a stream of this format and rate; returns the link that its frames leave by, where that is kept account of.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn watch(
        &self,
        to: IpAddr,
        stream: u32,
        format: FrameFormat,
        frames_per_second: Option<f64>,
    ) -> Result<Option<LinkBudget>, Refused> {
        // Who watches has asked for what they need: nobody is thinned for another.
        let demand = Demand { format, frames_per_second, may_be_thinned: false, priority: PRIORITY_DEFAULT };
        let interface = self.admit(to, Flow::Out(stream), &demand)?;
        Ok(interface.and_then(|interface| self.outward.get(&interface).cloned()))
    }

    /// Whether a stream has its place on a link.
    pub(super) fn has(&self, stream: u32) -> bool {
        lock(&self.state).places.contains_key(&Flow::In(stream))
    }

    /// A stream is over.
    pub(super) fn close(&self, stream: u32) {
        self.release(Flow::In(stream));
    }

    /// A watcher has gone.
    pub(super) fn unwatch(&self, stream: u32) {
        self.release(Flow::Out(stream));
    }

    /// A stream's client has gone; whether its frames may still come is known.
    pub(super) fn leave(&self, stream: u32, is_flowing: bool) {
        if is_flowing {
            lock(&self.state).left.insert(stream);
        } else {
            self.close(stream);
        }
    }

    /// A stream's frames come no more; they may come again as long as its client is there.
    pub(super) fn fall_silent(&self, stream: u32) {
        let has_left = lock(&self.state).left.contains(&stream);
        if has_left {
            self.close(stream);
        }
    }

    /// What a stream was granted, for who looks.
    pub(super) fn shown(&self, stream: u32) -> Option<GrantSnapshot> {
        let state = lock(&self.state);
        let (link, priority) = state.places.get(&Flow::In(stream)).cloned()?;
        let allowed = state.ledger.allowance(Flow::In(stream))?;
        Some(GrantSnapshot {
            link,
            bits_per_second: allowed.bits_per_second,
            frames_per_second: allowed.frames_per_second,
            priority,
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
    fn admit(&self, peer: IpAddr, flow: Flow, demand: &Demand) -> Result<Option<String>, Refused> {
        if lock(&self.state).ledger.is_empty() {
            return Ok(None);
        }
        // Asked each time: addresses come and go.
        let Some(interface) = routes().to(peer).map(str::to_owned) else {
            tracing::debug!(%peer, "no interface is known that leads there, so that nothing is kept account of");
            return Ok(None);
        };
        let mut state = lock(&self.state);
        match state.ledger.admit(&interface, flow, demand) {
            Ok(changed) => {
                if changed.iter().any(|(told, _)| *told == flow) {
                    state.places.insert(flow, (interface.clone(), demand.priority));
                } else {
                    state.places.remove(&flow);
                }
                drop(state);
                self.tell(changed.into_iter().filter(|(told, _)| *told != flow));
                Ok(Some(interface))
            }
            Err(full) => {
                *state.refused.entry(interface).or_default() += 1;
                tracing::info!(%peer, "refused: {full}");
                Err(refused(&full))
            }
        }
    }

    fn release(&self, flow: Flow) {
        let mut state = lock(&self.state);
        state.places.remove(&flow);
        if let Flow::In(stream) = flow {
            state.left.remove(&stream);
        }
        let changed = state.ledger.release(flow);
        drop(state);
        self.tell(changed.into_iter());
    }

    /// What leaves goes by what its link carries, and need be told nothing.
    fn tell(&self, changed: impl Iterator<Item = (Flow, Allowance)>) {
        for (flow, allowed) in changed {
            if let Flow::In(stream) = flow {
                self.voice.say(|signal| signal.tell_grant(grant(stream, &allowed)));
            }
        }
    }
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
