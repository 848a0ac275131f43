//! Figures of all streams as server-sent events; where the whole cluster is looked at, what is known of that, too.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use framewire_signal::{Connected, Place};
use futures_core::Stream;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::monitor::Monitor;
use crate::scope::Scope;

/// As fast as a figure can be read.
const EVERY: Duration = Duration::from_millis(250);
/// Of so many events one is followed by what is known of the cluster: other nodes speak every two seconds.
const CLUSTER_EACH: u32 = 4;

/// A client that takes nothing is cut off by the server's connections; nothing waits for it here.
pub(crate) async fn events(
    State(monitor): State<Arc<Monitor>>,
    Extension(connected): Extension<Connected>,
    scope: Scope,
) -> Response {
    let place = match monitor.place(&connected) {
        Ok(place) => place,
        Err(none) => return none.into_response(),
    };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Sse::new(Snapshots { monitor, ticks, scope, told: 0, owes_cluster: false, _place: place }).into_response()
}

struct Snapshots {
    monitor: Arc<Monitor>,
    ticks: Interval,
    scope: Scope,
    /// Events of the server's own streams so far.
    told: u32,
    /// What is known of the cluster comes next.
    owes_cluster: bool,
    _place: Place,
}

impl Stream for Snapshots {
    type Item = Result<Event, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        // serde_json writes UTF-8, in one line.
        let event =
            |name: &str, json: &[u8]| Some(Ok(Event::default().event(name).data(String::from_utf8_lossy(json))));
        if std::mem::take(&mut self.owes_cluster)
            && let Some(elsewhere) = self.monitor.elsewhere()
        {
            return std::task::Poll::Ready(event("cluster", &elsewhere.json));
        }
        self.ticks.poll_tick(context).map(|_| {
            self.owes_cluster = self.scope == Scope::Cluster && self.told.is_multiple_of(CLUSTER_EACH);
            self.told = self.told.wrapping_add(1);
            event("streams", &self.monitor.snapshot(Instant::now()))
        })
    }
}
