//! What became of a client's frames, at each of its servers and in all.

use framewire_figures::latency::LatencyHistogram;
use framewire_figures::summary::{ServerFigures, Summary, cpu_seconds};
use framewire_process::exit::Failure;
use framewire_transport::{ClosedReport, Delivery, PathKind};

use super::fan::Fan;
use super::outlet::Outlet;
use super::talk::Said;
use super::trouble::{not_all_arrived, nothing_arrived};

/// The figures of a run, and what failed in it.
pub(super) fn of(
    fan: &Fan,
    reports: &[Option<ClosedReport>],
    said: &[Said],
    delivery: Delivery,
    frame_bytes: u64,
) -> (Summary, Option<Failure>) {
    let mut summary = Summary { frames_sent: Some(0), cpu_seconds: cpu_seconds(), ..Summary::default() };
    let (mut latency, mut failure) = (LatencyHistogram::new(), None);
    for ((outlet, said), report) in fan.outlets.iter().zip(said).zip(reports) {
        let figures = outlet.account(*report, said);
        summary.frames_sent = summary.frames_sent.map(|before| before + figures.frames_sent);
        summary.frames_delivered += figures.frames_delivered;
        summary.bytes += figures.frames_delivered * frame_bytes;
        summary.frames_dropped.add(&figures.frames_dropped);
        latency.add(&said.latency);
        let unrecorded = said.unrecorded.into_iter().chain(summary.frames_unrecorded);
        summary.frames_unrecorded = unrecorded.reduce(|one, other| one + other);
        let trouble = trouble(outlet, &figures, said, delivery, report.is_some());
        failure = failure.or(trouble.map(|trouble| match fan.is_of_several() {
            true => Failure::runtime(format!("{}: {trouble}", outlet.server)),
            false => trouble,
        }));
        if fan.is_of_several() || !figures.turns.is_empty() {
            summary.servers.push(figures);
        }
    }
    summary.latency_ms = latency.figures();
    tell_way(&mut summary, fan);
    (summary, failure)
}

/// What failed at one server.
fn trouble(
    outlet: &Outlet,
    figures: &ServerFigures,
    said: &Said,
    delivery: Delivery,
    is_confirmed: bool,
) -> Option<Failure> {
    if let Some(given_up) = outlet.given_up() {
        return Some(given_up.clone());
    }
    let (sent, delivered) = (figures.frames_sent, figures.frames_delivered);
    let Some(peer) = said.peer else {
        return Some(Failure::runtime("it was never there: no frame went there"));
    };
    let dropped = figures.frames_dropped;
    let missing = dropped.lost + dropped.incomplete + dropped.no_slot + outlet.missed();
    nothing_arrived(sent, delivered, peer).or_else(|| not_all_arrived(delivery, sent, missing, is_confirmed))
}

/// Which way frames took: what is so of every server.
fn tell_way(summary: &mut Summary, fan: &Fan) {
    let mut senders = fan.outlets.iter().filter_map(Outlet::sender).peekable();
    let by_udp = |path| path == PathKind::Udp;
    for sender in senders.clone() {
        let stats = sender.stats();
        summary.slices_resent = Some(summary.slices_resent.unwrap_or(0) + stats.slices_resent);
        summary.slices_parity = Some(summary.slices_parity.unwrap_or(0) + stats.slices_parity);
        summary.path_trouble = summary.path_trouble.take().or_else(|| sender.path_trouble());
    }
    let Some(path) = senders.peek().map(|sender| sender.path()) else { return };
    if senders.clone().any(|sender| sender.path() != path) {
        return;
    }
    summary.path = Some(path.to_string());
    // Of what moves no datagrams there is nothing to say.
    if by_udp(path) {
        summary.protected = same(senders.clone().map(|sender| sender.protection().is_some()));
        summary.backend = same(senders.clone().map(|sender| sender.backend().to_string()));
        summary.slice_bytes = same(senders.map(|sender| u64::from(sender.slice_bytes())));
    }
}

/// What all of them are.
fn same<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}
