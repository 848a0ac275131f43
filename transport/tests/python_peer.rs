//! Protected streams with a peer that was written in Python from `PROTOCOL.md` alone: it streams to our receiver, and our sender to it,
//! while somebody without the key speaks in between.
#![allow(missing_docs)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{ChildStdout, Command, Stdio};

use framewire_testing::{Guard, PATIENCE};
use framewire_transport::crypto::{Suite, Suites};
use framewire_transport::{
    Delivery, FrameFormat, Key, PathChoice, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig, SliceSize,
};
use sha2::{Digest, Sha256};

const FRAMES: u64 = 3;

/// Starts the peer, which is told the key on its input; `None` where there is no Python for it.
fn peer(key: &Key, arguments: &[&str]) -> Option<(Guard, Lines<BufReader<ChildStdout>>)> {
    let python = framewire_testing::python("import cryptography", "pip install cryptography")?;
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/peer.py")).args(arguments);
    let mut child = Guard(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    writeln!(child.0.stdin.take().unwrap(), "{}", key.to_text()).unwrap();
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    Some((child, lines))
}

fn frame(number: u64) -> Vec<u8> {
    (0..320 * 240).map(|at| ((31 * number + 7 * at) % 251) as u8).collect()
}

/// What the peer has, as the bits of the wire, and what comes of it with all that we have.
const SUITES: [(&str, Suite); 2] = [("3", Suite::Aes128Gcm), ("2", Suite::ChaCha20Poly1305)];

/// What both ends take: on a machine without instructions for AES that is never AES.
fn taken(suite: Suite) -> Option<Suite> {
    Some(if Suites::supported().has(suite) { suite } else { Suite::ChaCha20Poly1305 })
}

#[test]
fn our_receiver_takes_the_stream_of_a_peer_and_nothing_of_what_comes_between() {
    for (suites, suite) in SUITES {
        let key = Key::random().unwrap();
        let config = ReceiverConfig::new().keys(vec![key.clone()]);
        let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        let port = receiver.local_addr().port().to_string();
        let Some((mut child, mut said)) = peer(&key, &["send", "127.0.0.1", &port, suites]) else { return };
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        assert_eq!(stream.info().protection, taken(suite));
        for number in 0..FRAMES {
            let taken = stream.recv_timeout(PATIENCE).unwrap();
            assert!(taken[..] == frame(number), "frame {number} is not what was sent");
        }
        assert_eq!(said.next().unwrap().unwrap(), format!("closed {FRAMES} 0 0"));
        assert!(child.0.wait().unwrap().success());
        let stats = stream.stats();
        assert_eq!(stats.frames_delivered, FRAMES);
        // One a slice at least, of each kind.
        assert!(stats.rejected.forged + stats.rejected.malformed > 100, "{:?}", stats.rejected);
        assert!(stats.rejected.replayed > 100, "{:?}", stats.rejected);
    }
}

#[test]
fn our_sender_streams_to_a_peer_and_believes_nothing_of_what_comes_between() {
    let slices = [SliceSize::Auto, SliceSize::Bytes(1_472)];
    for (slice, (suites, suite)) in slices.into_iter().zip(SUITES) {
        let key = Key::random().unwrap();
        let Some((mut child, mut said)) = peer(&key, &["receive", suites]) else { return };
        let port: u16 = said.next().unwrap().unwrap().parse().unwrap();
        let format = FrameFormat::new(PixelFormat::Gray8, 320, 240).unwrap();
        let config = SenderConfig::new(format).delivery(Delivery::Every).path(PathChoice::Udp).slice(slice).key(key);
        let sender = Sender::connect(([127, 0, 0, 1], port).into(), config).unwrap();
        sender.wait_until_open(PATIENCE).unwrap();
        assert_eq!(sender.protection(), taken(suite));
        for number in 0..FRAMES {
            let mut slot = sender.frame_timeout(PATIENCE).unwrap().expect("a slot comes free");
            slot.copy_from_slice(&frame(number));
            sender.send(slot).unwrap();
        }
        let report = sender.finish(PATIENCE).unwrap();
        assert_eq!((report.delivered, report.incomplete, report.no_slot), (FRAMES, 0, 0));
        assert!(child.0.wait().unwrap().success());
        let said: Vec<String> = said.map(Result::unwrap).filter(|line| line.starts_with("frame")).collect();
        let hex = |number| Sha256::digest(frame(number)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let sent: Vec<String> = (0..FRAMES).map(|number| format!("frame {number} {}", hex(number))).collect();
        assert_eq!(said, sent);
    }
}
