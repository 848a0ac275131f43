//! Figures of all streams as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use framewire_signal::{Connected, Place};
use futures_core::Stream;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::monitor::Monitor;

/// As fast as a figure can be read.
const EVERY: Duration = Duration::from_millis(250);

/// A client that takes nothing is cut off by the server's connections; nothing waits for it here.
pub(crate) async fn events(
    State(monitor): State<Arc<Monitor>>,
    Extension(connected): Extension<Connected>,
) -> Response {
    let place = match monitor.place(&connected) {
        Ok(place) => place,
        Err(none) => return none.into_response(),
    };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Sse::new(Snapshots { monitor, ticks, _place: place }).into_response()
}

struct Snapshots {
    monitor: Arc<Monitor>,
    ticks: Interval,
    _place: Place,
}

impl Stream for Snapshots {
    type Item = Result<Event, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.ticks.poll_tick(context).map(|_| {
            let json = self.monitor.snapshot();
            // serde_json writes UTF-8, in one line.
            let event = Event::default().event("streams").data(String::from_utf8_lossy(&json));
            Some(Ok(event))
        })
    }
}
