//! Servers that come later than those who want them, and protected ones that are started anew.

use framewire_testing::wait_until;
use gst::prelude::*;

use crate::program::Server;
use crate::server::until_frame;
use crate::stage::{Place, Sending, Taking, caps, nobody, packed, picture};

#[test]
fn whoever_begins_before_its_server_says_so_and_has_frames_once_it_is_there() {
    let place = Place::new();
    let caps = caps("GRAY8", 64, 48);
    for delivery in ["latest", "every"] {
        let listen = nobody().local_addr().unwrap().to_string();
        let sending = Sending::new(&caps, &format!("stream=cam server=http://{listen} delivery={delivery}"));
        let taking = [format!("share={}", place.hub("server")), format!("server=http://{listen}")]
            .map(|place| Taking::new(&format!("stream=cam {place}")));
        sending.push(picture(&caps, 1));
        for (pipeline, what) in [&sending.pipeline, &taking[1].pipeline].into_iter().zip(["the sink", "the source"]) {
            let warning = pipeline.warning();
            assert!(warning.contains(&listen), "{what} says: {warning}");
        }
        taking[0].pipeline.warning();
        let Some(_server) = Server::start(place.folder(), &listen, &[]) else { return };
        for taking in &taking {
            let got = until_frame(&sending, &caps, taking);
            assert!(packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, 1)));
            taking.pipeline.over();
        }
        sending.push(picture(&caps, 1));
        sending.pipeline.over();
    }
}

#[test]
fn a_protected_server_that_is_started_anew_has_its_streams_again() {
    let place = Place::new();
    let file = place.file("join");
    let protected = ["--protect", "--join-file", file.to_str().unwrap()];
    let caps = caps("GRAY8", 64, 48);
    let listen = nobody().local_addr().unwrap().to_string();
    for path in ["auto", "udp"] {
        let Some(server) = Server::start(place.folder(), &listen, &protected) else { return };
        wait_until("the file", || file.exists());
        let sending = Sending::new(&caps, &format!("stream={path} join={} path={path}", file.display()));
        let taking = [format!("share={}", place.hub("server")), format!("join={}", file.display())]
            .map(|place| Taking::new(&format!("stream={path} {place}")));
        for taking in &taking {
            until_frame(&sending, &caps, taking);
        }
        drop(server);
        let bus = sending.pipeline.0.bus().unwrap();
        wait_until("a warning", || {
            sending.push(picture(&caps, 1));
            bus.pop_filtered(&[gst::MessageType::Warning]).is_some()
        });
        for taking in &taking {
            taking.pipeline.warning();
            // Those that came before the end may wait still.
            while taking.soon().is_some() {}
        }
        let Some(_again) = Server::start(place.folder(), &listen, &protected) else { return };
        for taking in &taking {
            let got = until_frame(&sending, &caps, taking);
            assert!(packed(&got.caps, &got.buffer) == packed(&caps, &picture(&caps, 1)));
            taking.pipeline.over();
        }
        wait_until("the stream is open", || {
            sending.push(picture(&caps, 2));
            sending.sink.property::<gst::Structure>("stats").get::<bool>("is-open").unwrap()
        });
    }
}
