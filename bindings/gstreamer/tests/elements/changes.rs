//! Streams at a server that change in mid-stream.

use framewire_testing::{wait_for, wait_until};

use crate::program::Server;
use crate::server::{ANY, until_frame};
use crate::stage::{Got, Place, Sending, Taking, caps, packed, picture, stat};

/// Pushes pictures of these caps until one comes of them; those of before may still be on their way.
fn until_frame_in(caps: &gst::Caps, sending: &Sending, taking: &Taking) -> Got {
    wait_for(format_args!("a frame of {caps}"), || {
        let got = until_frame(sending, caps, taking);
        if got.caps.can_intersect(caps) { Ok(got) } else { Err(got.caps) }
    })
}

#[test]
fn another_size_in_mid_stream_goes_on_by_the_same_name_at_a_server() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let sizes = [caps("GRAY8", 64, 48), caps("GRAY8", 322, 240), caps("GRAY8", 32, 20), caps("BGR", 32, 20)];
    for path in ["auto", "udp", "shm"] {
        for delivery in ["latest", "every"] {
            let name = format!("{path}-{delivery}");
            let to = format!("stream={name} server={} path={path} delivery={delivery}", server.url);
            let sending = Sending::new(&sizes[0], &to);
            let taking = [format!("share={}", place.hub("server")), format!("server={}", server.url)]
                .map(|place| Taking::new(&format!("stream={name} {place}")));
            for caps in &sizes {
                sending.set_caps(caps);
                for taking in &taking {
                    let got = until_frame_in(caps, &sending, taking);
                    assert!(packed(&got.caps, &got.buffer) == packed(caps, &picture(caps, 1)), "{name}: {caps}");
                }
            }
        }
    }
}

#[test]
fn in_every_another_size_in_mid_stream_loses_nothing_at_a_server() {
    let place = Place::new();
    let Some(server) = Server::start(place.folder(), ANY, &[]) else { return };
    let sizes = [caps("GRAY8", 64, 48), caps("GRAY8", 322, 240), caps("GRAY8", 32, 20)];
    for path in ["udp", "shm"] {
        let sending =
            Sending::new(&sizes[0], &format!("stream={path} server={} path={path} delivery=every", server.url));
        for caps in &sizes {
            sending.set_caps(caps);
            for seed in 0..20 {
                sending.push(picture(caps, seed));
            }
        }
        sending.end();
        sending.pipeline.eos();
        wait_until("all frames", || stat(&sending.sink, "frames-delivered") == 60);
        assert_eq!(stat(&sending.sink, "frames-sent"), 60, "{path}");
    }
}
