//! Messages that say where to look: a connection of their own, as the older of Redis' protocols has it. They may come late, twice or never.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::line::{self, Ration};
use super::{COMPARED_MAX, Place};
use crate::directory::LIVE_FOR;
use crate::directory::node::NodeId;
use crate::unpoisoned::unpoisoned;

/// For the channel to be listened to.
const LISTENED_WITHIN: Duration = Duration::from_secs(1);

/// Nodes that have said something.
pub(super) struct Looks {
    come: Arc<Come>,
    task: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Come {
    nodes: Mutex<BTreeSet<NodeId>>,
    news: Notify,
}

impl Looks {
    /// Listens where that is allowed; else none ever come.
    pub(super) async fn start(place: &Place) -> Self {
        let come = Arc::new(Come::default());
        let ration = Ration::new();
        let listening = async {
            let stream = line::dial(place, &ration).await.ok()?;
            let mut listening = PubSub::new(&line::info(place), stream).await.ok()?;
            listening.subscribe(place.channel()).await.ok()?;
            Some(listening)
        };
        let listening = timeout(LISTENED_WITHIN, listening).await.ok().flatten();
        let task = listening.map(|listening| tokio::spawn(listen(listening, come.clone(), ration)));
        Self { come, task }
    }

    /// Once there are any.
    pub(super) async fn come(&self) {
        self.come.news.notified().await;
    }

    /// All that came; the own is among them, for another server may have said it.
    pub(super) fn take(&self) -> Vec<NodeId> {
        std::mem::take(&mut *unpoisoned(self.come.nodes.lock())).into_iter().collect()
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Until it is silent: the own messages come back, every 2 s.
async fn listen(listening: PubSub, come: Arc<Come>, ration: Ration) {
    let mut messages = listening.into_on_message();
    while let Ok(Some(message)) = timeout(LIVE_FOR, messages.next()).await {
        ration.renew();
        let node = std::str::from_utf8(message.get_payload_bytes()).ok().and_then(|text| text.parse::<NodeId>().ok());
        let Some(node) = node else { continue };
        let mut nodes = unpoisoned(come.nodes.lock());
        // More are found by the next round.
        if nodes.len() < COMPARED_MAX {
            nodes.insert(node);
        }
        come.news.notify_one();
    }
}
