//! The thread: one loop over the program, the engines and time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{ClusterConfig, Shared};
use crate::directory::core::{Directory, Heard};
use crate::directory::node::NodeId;
use crate::directory::signed::EntryError;
use crate::directory::view::View;
use crate::unpoisoned::unpoisoned;

/// How old what a view says of ages may be.
const VIEWED_EVERY: Duration = Duration::from_secs(1);
/// Least time between two views that differ.
const VIEWED_APART: Duration = Duration::from_millis(20);
/// Entries on their way from the engines: each may have 256 KiB.
const HEARD_MAX: usize = 32;

/// What an engine brings.
pub(super) struct Brought {
    pub(super) bytes: Vec<u8>,
    /// For an engine that goes by what became of it.
    pub(super) became: Option<oneshot::Sender<Result<Heard, EntryError>>>,
}

/// Until the program ends it.
pub(super) async fn run(
    config: ClusterConfig,
    mut directory: Directory,
    shared: &Arc<Shared>,
    views: watch::Sender<Arc<View>>,
) {
    let begun = Instant::now();
    let (heard, mut hearing) = mpsc::channel::<Brought>(HEARD_MAX);
    let (own, _) = watch::channel::<Arc<[u8]>>(Arc::from([]));
    let (nodes, mut counted) = watch::channel(0);
    let _engines = start(&config, shared, &own, heard, nodes);
    let mut has_news = true;
    let mut viewed_at = begun;
    let mut twins = BTreeSet::new();
    loop {
        let now = begun.elapsed();
        if let Some(bytes) = directory.poll_own(now) {
            let bytes: Arc<[u8]> = bytes.into();
            *unpoisoned(shared.own_entry.lock()) = bytes.clone();
            own.send_replace(bytes);
            has_news = true;
        }
        let view_at = viewed_at + if has_news { VIEWED_APART } else { VIEWED_EVERY };
        if Instant::now() >= view_at {
            let view = Arc::new(directory.view(now));
            tell_of_twins(&view, &mut twins);
            views.send_replace(view);
            *unpoisoned(shared.counters.lock()) = directory.counters();
            (viewed_at, has_news) = (Instant::now(), false);
            continue;
        }
        tokio::select! {
            () = shared.ends.notified() => return,
            () = shared.news.notified() => {
                if let Some(state) = unpoisoned(shared.own.lock()).take() {
                    directory.set_own(state);
                    has_news = true;
                }
            }
            Some(Brought { bytes, became }) = hearing.recv() => {
                // What is wrong with it is counted.
                let heard = directory.handle_entry(&bytes, begun.elapsed());
                // Whoever has gone meanwhile need not know.
                became.map(|became| became.send(heard));
                has_news = true;
            }
            Ok(()) = counted.changed() => {
                directory.handle_count(*counted.borrow_and_update());
                has_news = true;
            }
            () = sleep_until(view_at.min(begun + directory.own_is_due_at())) => {}
        }
    }
}

/// Logs each twin once, for as long as it is there.
fn tell_of_twins(view: &View, told: &mut BTreeSet<NodeId>) {
    let twins = view.nodes.iter().filter(|seen| seen.has_twin);
    let now: BTreeSet<_> = twins.map(|seen| seen.entry.node).collect();
    for node in now.difference(told) {
        let name = view.node(*node).map_or("", |seen| &seen.entry.name);
        tracing::warn!(
            %node,
            name,
            "two servers call themselves by this node's id, for a state directory was copied: of their streams only those of the one that was started last are \
             seen elsewhere; delete the file `node` in the state directory of one of them, and start it again"
        );
    }
    *told = now;
}

/// The engines that the configuration names, until what is returned is dropped.
#[cfg_attr(
    not(all(feature = "cluster", feature = "mdns")),
    allow(unused_variables, reason = "each of them takes what it needs")
)]
fn start(
    config: &ClusterConfig,
    shared: &Arc<Shared>,
    own: &watch::Sender<Arc<[u8]>>,
    heard: mpsc::Sender<Brought>,
    nodes: watch::Sender<u64>,
) -> JoinSet<()> {
    #[cfg_attr(
        not(any(feature = "cluster", feature = "mdns")),
        allow(unused_mut, reason = "without engines there is nothing to add to it")
    )]
    let mut engines = JoinSet::new();
    #[cfg(feature = "cluster")]
    if let Some(redis) = &config.redis {
        shared.add_engine(super::redis::ENGINE);
        let carried = super::redis::Carried {
            node: config.own.node,
            own: own.subscribe(),
            heard: heard.clone(),
            nodes,
            shared: shared.clone(),
        };
        engines.spawn(super::redis::run(redis.clone(), carried));
    }
    #[cfg(feature = "mdns")]
    if config.mdns {
        shared.add_engine(super::peers::ENGINE);
        engines.spawn(super::peers::run(config.clone(), heard.clone(), shared.clone()));
    }
    engines
}
