//! Frames of which a part does not arrive.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::stage::{PATIENCE, Sending, Taking, caps, packed, picture};

/// What pixels have that never arrive.
const STAINED: u8 = 0xA5;

/// Stands in the way of a receiver, and leaves out every datagram with stained pixels, however often it is sent.
struct Sieve {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Sieve {
    fn before(receiver: &str) -> Self {
        let socket = || Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let (front, back) = (socket(), socket());
        back.connect(receiver).unwrap();
        let address = front.local_addr().unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let sender = Arc::new(Mutex::new(None));
        let (there, out) = (sender.clone(), back.clone());
        let to_receiver = pass(front.clone(), ends.clone(), move |datagram, from| {
            *there.lock().unwrap() = Some(from);
            if !is_stained(datagram) {
                let _ = out.send(datagram);
            }
        });
        let to_sender = pass(back, ends.clone(), move |datagram, _| {
            if let Some(sender) = *sender.lock().unwrap() {
                let _ = front.send_to(datagram, sender);
            }
        });
        Self { address, ends, threads: vec![to_receiver, to_sender] }
    }
}

impl Drop for Sieve {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn pass(
    from: Arc<UdpSocket>,
    ends: Arc<AtomicBool>,
    mut on: impl FnMut(&[u8], SocketAddr) + Send + 'static,
) -> std::thread::JoinHandle<()> {
    from.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    std::thread::spawn(move || {
        let mut datagram = vec![0; 1 << 16];
        while !ends.load(Ordering::Acquire) {
            if let Ok((bytes, peer)) = from.recv_from(&mut datagram) {
                on(&datagram[..bytes], peer);
            }
        }
    })
}

fn is_stained(datagram: &[u8]) -> bool {
    datagram.chunks_exact(32).any(|pixels| pixels.iter().all(|pixel| *pixel == STAINED))
}

#[test]
fn a_frame_that_does_not_become_whole_is_corrupted_where_that_is_wanted() {
    // So seldom that none is given up, and what is lost on the way is asked for again, until the next is whole, however long a thread is kept waiting.
    let mut caps = caps("GRAY8", 640, 240);
    caps.make_mut().set("framerate", gst::Fraction::new(1, 20));
    let sound = picture(&caps, 1);
    let mut torn = packed(&caps, &sound);
    let half = torn.len() / 2;
    torn[half..].fill(STAINED);
    for is_wanted in [true, false] {
        let taking = Taking::new(&format!("listen=127.0.0.1:0 queue=8 partial={is_wanted}"));
        let sieve = Sieve::before(&taking.address());
        let sending = Sending::new(&caps, &format!("address={} path=udp", sieve.address));
        let deadline = Instant::now() + PATIENCE;
        let (mut corrupted, mut whole) = (0, 0);
        while whole < 3 || (is_wanted && corrupted == 0) {
            assert!(Instant::now() < deadline, "partial={is_wanted}: {corrupted} corrupted, {whole} whole");
            for pixels in [torn.clone(), packed(&caps, &sound)] {
                sending.push(gst::Buffer::from_mut_slice(pixels));
                while let Some(got) = taking.soon() {
                    let came = packed(&got.caps, &got.buffer);
                    if !got.buffer.flags().contains(gst::BufferFlags::CORRUPTED) {
                        whole += 1;
                        assert!(came == packed(&caps, &sound), "whole, and not as it was sent");
                        continue;
                    }
                    corrupted += 1;
                    assert!(came[half..] != torn[half..], "what never arrives is there");
                    // What is missing is black. More may be than what is kept back: frames of `latest` are not waited for.
                    assert!(came.iter().zip(&torn).all(|(came, sent)| came == sent || *came == 0));
                    assert!(came.iter().any(|pixel| *pixel != 0));
                }
            }
        }
        assert!(is_wanted || corrupted == 0);
    }
}
