//! The thread: one loop over the program, the engines and time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{ClusterConfig, Shared};
use crate::directory::core::Directory;
use crate::directory::view::View;
use crate::unpoisoned::unpoisoned;

/// How old what a view says of ages may be.
const VIEWED_EVERY: Duration = Duration::from_secs(1);
/// Least time between two views that differ.
const VIEWED_APART: Duration = Duration::from_millis(20);
/// Entries on their way from the engines: each may have 256 KiB.
const HEARD_MAX: usize = 32;

/// Until the program ends it.
pub(super) async fn run(
    config: ClusterConfig,
    mut directory: Directory,
    shared: &Arc<Shared>,
    views: watch::Sender<Arc<View>>,
) {
    let begun = Instant::now();
    let (heard, mut hearing) = mpsc::channel::<Vec<u8>>(HEARD_MAX);
    let (own, _) = watch::channel::<Arc<[u8]>>(Arc::from([]));
    let (nodes, mut counted) = watch::channel(0);
    let _engines = start(&config, shared, &own, heard, nodes);
    let mut has_news = true;
    let mut viewed_at = begun;
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
            views.send_replace(Arc::new(directory.view(now)));
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
            Some(bytes) = hearing.recv() => {
                // What is wrong with it is counted.
                let _ = directory.handle_entry(&bytes, begun.elapsed());
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

/// The engines that the configuration names, until what is returned is dropped.
#[cfg_attr(
    not(all(feature = "cluster", feature = "mdns")),
    allow(unused_variables, reason = "each of them takes what it needs")
)]
fn start(
    config: &ClusterConfig,
    shared: &Arc<Shared>,
    own: &watch::Sender<Arc<[u8]>>,
    heard: mpsc::Sender<Vec<u8>>,
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
