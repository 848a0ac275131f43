//! The keys of streams that clients have opened: what their frames are encrypted under.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;

use framewire_process::lock::lock;
use framewire_transport::crypto::Key;

/// As many streams as a receiver may have announced; a key beyond them belongs to one that is long gone.
const KEYS_MAX: usize = 256;

/// Keys by stream id.
#[derive(Debug, Default)]
pub(super) struct StreamKeys(Mutex<HashMap<u32, Key>>);

impl StreamKeys {
    /// The key of a stream that is being opened: another each time, but for one whose frames flow (`flows`). Its client has come back,
    /// and what it sends goes on under the key that it has.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn of_opening(&self, stream: u32, flows: impl Fn(u32) -> bool) -> io::Result<Key> {
        let mut keys = lock(&self.0);
        if let Some(key) = keys.get(&stream).filter(|_| flows(stream)) {
            return Ok(key.clone());
        }
        let key = Key::random()?;
        if keys.len() >= KEYS_MAX {
            keys.retain(|stream, _| flows(*stream));
        }
        keys.insert(stream, key.clone());
        Ok(key)
    }

    /// The stream is over: whoever opens one of its id gets another key.
    pub(super) fn forget(&self, stream: u32) {
        lock(&self.0).remove(&stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_keeps_its_key_while_it_flows_and_gets_another_each_other_time() {
        let keys = StreamKeys::default();
        let of = |flows: bool| keys.of_opening(7, |_| flows).unwrap();
        let first = of(false);
        assert_eq!(of(true), first);
        let second = of(false);
        assert_ne!(second, first);
        keys.forget(7);
        assert_ne!(of(true), second, "there is none to keep");
        assert_ne!(keys.of_opening(8, |_| false).unwrap(), keys.of_opening(9, |_| false).unwrap());
    }

    #[test]
    fn clients_that_come_and_go_make_it_no_larger_and_those_that_flow_keep_theirs() {
        let keys = StreamKeys::default();
        let flows = |stream: u32| stream == 0;
        let kept = keys.of_opening(0, flows).unwrap();
        for stream in 1..2_000 {
            keys.of_opening(stream, flows).unwrap();
        }
        assert_eq!(keys.of_opening(0, flows).unwrap(), kept);
        assert!(keys.0.lock().unwrap().len() <= KEYS_MAX);
    }
}
