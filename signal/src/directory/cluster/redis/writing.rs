//! The own entry, written before its key expires, whatever becomes of what is read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::session::Session;
use super::{ANSWER_WITHIN, Again, Health, Place, Way, millis, said};
use crate::directory::cluster::Shared;
use crate::directory::node::NodeId;
use crate::directory::{GONE_AFTER, LIVE_FOR};

pub(super) async fn run(
    place: &Place,
    node: NodeId,
    mut own: watch::Receiver<Arc<[u8]>>,
    shared: &Shared,
    health: &Health,
) {
    let mut again = Again::new();
    loop {
        let problem = match Session::open(place).await {
            Ok(mut session) => {
                let problem = write(&mut session, place, node, &mut own, shared, health).await;
                session.over(problem).await
            }
            Err(problem) => problem,
        };
        health.tell(Way::Written, Err(problem));
        again.pause().await;
    }
}

/// Writes each entry as it comes, and tells of it, until that cannot be; with why.
async fn write(
    session: &mut Session<'_>,
    place: &Place,
    node: NodeId,
    own: &mut watch::Receiver<Arc<[u8]>>,
    shared: &Shared,
    health: &Health,
) -> String {
    // What was written over another connection may be gone.
    own.mark_changed();
    while own.changed().await.is_ok() {
        let entry = own.borrow_and_update().clone();
        if entry.is_empty() {
            continue;
        }
        let (id, index) = (node.to_string(), place.index());
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(place.key_of(node)).arg(&entry[..]).arg("PX").arg(millis(LIVE_FOR));
        pipeline.cmd("SADD").arg(&index).arg(&id);
        // Nothing of a cluster stays behind when all of it is gone.
        pipeline.cmd("PEXPIRE").arg(&index).arg(millis(GONE_AFTER));
        pipeline.cmd("PUBLISH").arg(place.channel()).arg(&id);
        let answers = match session.ask(&mut pipeline, ANSWER_WITHIN).await {
            Ok(answers) => answers,
            Err(problem) => return problem,
        };
        // Messages may be forbidden: there are rounds.
        let refused = answers.iter().take(3).find_map(|answer| answer.as_ref().err());
        let went = refused.map_or(Ok(()), |error| Err(said::explain(error, place)));
        if went.is_ok() {
            shared.sent_bytes.fetch_add(entry.len() as u64, Ordering::Relaxed);
        }
        health.tell(Way::Written, went);
    }
    "it is no longer needed".into()
}
