//! What is logged at the most talkative level holds no secret of either end.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use framewire_signal::message::reason;
use framewire_signal::{ClientConfig, ClientEvent, Token};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use stage::{
    await_event, await_refused, connect, join_string, listener, loopback, protected, request, serve, stream_key,
};

/// Writes down all that anybody logs.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{field}={value:?}").unwrap();
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn neither_logs_nor_what_is_printed_of_anything_holds_a_secret() {
    let everything = Everything::default();
    tracing::subscriber::set_global_default(everything.clone()).unwrap();
    let config = protected();
    let other = "ffeeddccbbaa99887766554433221100";
    let mut shown = format!("{config:?}");
    let (server, _asked) = serve(config);
    let join = join_string(&server);
    let config = ClientConfig::join(&join).open(request(7).name("sealed"));
    write!(shown, "{config:?}{join:?}{join}{server:?}").unwrap();
    let client = connect(config);
    let opened = await_event(&client, |event| match event {
        ClientEvent::Opened(opened) => {
            write!(shown, "{event:?}").unwrap();
            Some(opened.clone())
        }
        _ => None,
    });
    write!(shown, "{opened:?}{client:?}").unwrap();
    // Those that fail say more.
    let wrong = ClientConfig::join(&join).token(Token::new(other).unwrap());
    let refused = await_refused(&connect(wrong));
    let (plain, _asked) = serve(loopback());
    let key_refused = await_refused(&connect(listener(plain.local_addr()).open(request(7).name("sealed"))));
    assert_eq!(key_refused.reason, reason::KEY_OVER_PLAIN);
    write!(shown, "{refused}{refused:?}{key_refused:?}").unwrap();
    client.shutdown();
    drop((server, plain));
    let logged = everything.0.lock().unwrap().clone();
    assert!(logged.contains("a stream's key was not sent"), "something is logged: {logged}");
    for secret in [stage::TOKEN, other, &stream_key().to_text(), &join.to_text()] {
        for (what, text) in [("logged", &logged), ("shown", &shown)] {
            assert!(!text.contains(secret), "{what}: {text}");
        }
    }
}
