//! A server that refuses for now is asked again; one that refuses for good is not.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use framewire_signal::message::{OpenRequest, Opened, Refused, reason};
use framewire_signal::{ClientEvent, SignalServer, StreamHost};

use stage::{await_event, await_opened, await_refused, connect, listener, loopback, request};

/// Opens the fourth that asks.
struct Full {
    asked: AtomicU32,
    says: &'static str,
}

impl StreamHost for Full {
    fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
        if self.asked.fetch_add(1, Ordering::SeqCst) < 3 {
            return Err(Refused::new(self.says, "others have the places"));
        }
        Ok(Opened::new(request.stream, 12_345))
    }

    fn close(&self, _: u32) {}
}

fn serve(says: &'static str) -> (SignalServer, Arc<Full>) {
    let host = Arc::new(Full { asked: AtomicU32::new(0), says });
    (SignalServer::start(loopback(), host.clone()).unwrap(), host)
}

#[test]
fn a_stream_that_is_refused_for_now_is_asked_for_again_over_the_same_connection() {
    for says in [reason::TOO_MANY, reason::SERVER_FULL] {
        let (server, host) = serve(says);
        let client = connect(listener(server.local_addr()).open(Some(request(7))));
        for _ in 0..3 {
            let refused = await_refused(&client);
            assert!(refused.is_for_now() && refused.reason == says, "{refused}");
        }
        let mut has_left = false;
        await_event(&client, |event| {
            has_left |= matches!(event, ClientEvent::Disconnected { .. } | ClientEvent::Connected);
            matches!(event, ClientEvent::Opened(_)).then_some(())
        });
        assert!(!has_left, "it kept its place");
        assert_eq!(host.asked.load(Ordering::SeqCst), 4);
    }
}

#[test]
fn a_stream_that_is_refused_for_good_is_not_asked_for_again_over_the_same_connection() {
    let (server, host) = serve("delivery");
    let client = connect(listener(server.local_addr()).open(Some(request(7))));
    assert!(!await_refused(&client).is_for_now());
    // Another's three are granted or refused in order: whatever the first one asks meanwhile would be among them.
    for stream in 8..10 {
        await_refused(&connect(listener(server.local_addr()).open(Some(request(stream)))));
    }
    await_opened(&connect(listener(server.local_addr()).open(Some(request(10)))));
    assert_eq!(host.asked.load(Ordering::SeqCst), 4);
}
