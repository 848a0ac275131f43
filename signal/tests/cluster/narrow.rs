//! A Redis whose long answers do not come: a server behind a proxy that lets through what is said to it, and of what it says all but entries.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use framewire_signal::directory::ENTRY_BYTES_MAX;

use super::*;

#[derive(Default)]
struct Seen {
    /// Connections on which an entry was asked for that never comes.
    stuck: usize,
    /// Renewals since one is.
    renewed: usize,
}

#[derive(Default)]
struct Proxy {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Proxy {
    /// Takes connections to this port further, for as long as the process lives; where it listens.
    fn start(self: &Arc<Self>, port: u16) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().port();
        let proxy = self.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let proxy = proxy.clone();
                thread::spawn(move || proxy.pass(near, far));
            }
        });
        at
    }

    fn pass(&self, mut near: TcpStream, mut far: TcpStream) {
        let is_stuck = Arc::new(Mutex::new(false));
        let (mut from, mut to, stops) = (far.try_clone().unwrap(), near.try_clone().unwrap(), is_stuck.clone());
        thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            while let Ok(len @ 1..) = from.read(&mut bytes) {
                if !*stops.lock().unwrap() && to.write_all(&bytes[..len]).is_err() {
                    return;
                }
            }
        });
        let entry = format!("\r\n{ENTRY_BYTES_MAX}\r\n");
        let mut bytes = vec![0; 1 << 20];
        while let Ok(len @ 1..) = near.read(&mut bytes) {
            let said = String::from_utf8_lossy(&bytes[..len]);
            let mut seen = self.seen.lock().unwrap();
            if said.contains(&entry) && !std::mem::replace(&mut *is_stuck.lock().unwrap(), true) {
                seen.stuck += 1;
            }
            if seen.stuck > 0 && said.contains("\r\nSET\r\n") {
                seen.renewed += 1;
            }
            drop(seen);
            self.changed.notify_all();
            if far.write_all(&bytes[..len]).is_err() {
                break;
            }
        }
        if *is_stuck.lock().unwrap() {
            let mut seen = self.seen.lock().unwrap();
            seen.stuck -= 1;
            if seen.stuck == 0 {
                seen.renewed = 0;
            }
        }
    }
}

#[test]
fn a_server_is_renewed_while_what_it_reads_does_not_come() {
    let Some(redis) = Redis::start(&[]) else { return };
    let proxy = Arc::new(Proxy::default());
    let behind = proxy.start(redis.port());
    let a = node(&redis, 1);
    let b = start(2, RedisConfig::new(format!("redis://127.0.0.1:{behind}")));
    wait_for_view(&a, "the one behind", |view| sees_live(view, "cam-2", 2));
    // Between one try to read and the next: an answer is waited for 5 s, and entries are renewed every 2.
    let seen =
        proxy.changed.wait_timeout_while(proxy.seen.lock().unwrap(), PATIENCE, |seen| seen.renewed < 2).unwrap().0;
    assert!(seen.renewed >= 2, "nothing is written while something is read");
    drop(seen);
    assert!(b.view().find("cam-1").is_none(), "nothing came");
    wait_for_engine(&b, "word of it", |is_up, problem| !is_up && problem.contains("does not answer within"));
}
