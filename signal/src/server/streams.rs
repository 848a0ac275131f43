//! Who opened which stream: what a client may close, and what ends when it goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StreamHost;
use crate::message::{OpenRequest, Opened, Refused, reason};

/// Streams a client may have open: more than the cameras of one machine.
pub(super) const STREAMS_A_CLIENT_MAX: usize = 16;

/// Calls the host, one call at a time, so that it sees openings and departures in an order that makes sense.
///
/// A stream belongs to the client that opened it last: one that lost its connection comes back with the same id before the
/// server notices the loss, and the late notice must not end what was opened again.
pub(super) struct Streams<C> {
    host: Arc<dyn StreamHost>,
    owners: Mutex<HashMap<u32, C>>,
}

impl<C: Copy + Eq> Streams<C> {
    pub(super) fn new(host: Arc<dyn StreamHost>) -> Self {
        Self { host, owners: Mutex::new(HashMap::new()) }
    }

    /// Opens a stream for `client`. `is_connected` is asked afterwards: a client that left meanwhile owns nothing.
    pub(super) fn open(
        &self,
        client: C,
        request: &OpenRequest,
        is_connected: impl FnOnce() -> bool,
    ) -> Result<Opened, Refused> {
        let mut owners = self.lock();
        let others = owners.iter().filter(|(stream, owner)| **owner == client && **stream != request.stream);
        if others.count() >= STREAMS_A_CLIENT_MAX {
            return Err(Refused::new(
                reason::TOO_MANY,
                format!("this client has {STREAMS_A_CLIENT_MAX} streams open, the most it may; close one first"),
            ));
        }
        let opened = self.host.open(request)?;
        if is_connected() {
            owners.insert(request.stream, client);
        } else {
            owners.remove(&request.stream);
            self.host.client_gone(&[request.stream]);
        }
        Ok(opened)
    }

    /// Ends a stream of `client`'s own.
    pub(super) fn close(&self, client: C, stream: u32) -> Result<(), Refused> {
        let mut owners = self.lock();
        if owners.get(&stream) != Some(&client) {
            return Err(Refused::new(
                reason::NOT_YOURS,
                format!("stream {stream} is not one that this client has open; close only what you opened"),
            ));
        }
        owners.remove(&stream);
        self.host.close(stream);
        Ok(())
    }

    /// Forgets a client, and returns the streams that went with it.
    pub(super) fn client_gone(&self, client: C) -> Vec<u32> {
        let mut owners = self.lock();
        let streams: Vec<u32> = owners.extract_if(|_, owner| *owner == client).map(|(stream, _)| stream).collect();
        if !streams.is_empty() {
            self.host.client_gone(&streams);
        }
        streams
    }

    /// Forgets a stream that ended on the data path, and returns who had opened it.
    pub(super) fn end(&self, stream: u32) -> Option<C> {
        self.lock().remove(&stream)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, C>> {
        // A host that panics leaves the map as it was: it changes only after the host returned.
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Delivery;

    #[derive(Default)]
    struct Diary(Mutex<Vec<String>>);

    impl StreamHost for Diary {
        fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
            self.0.lock().unwrap().push(format!("open {}", request.stream));
            Ok(Opened { stream: request.stream, udp_host: None, udp_port: 1, protocol: 1 })
        }
        fn close(&self, stream: u32) {
            self.0.lock().unwrap().push(format!("close {stream}"));
        }
        fn client_gone(&self, streams: &[u32]) {
            self.0.lock().unwrap().push(format!("gone {streams:?}"));
        }
    }

    fn request(stream: u32) -> OpenRequest {
        OpenRequest {
            protocol: 1,
            stream,
            name: String::new(),
            pixel: "gray8".into(),
            width: 1,
            height: 1,
            stride: 1,
            frames_per_second: None,
            delivery: Delivery::Every,
            slice_bytes: None,
        }
    }

    fn streams() -> (Arc<Diary>, Streams<char>) {
        let diary = Arc::new(Diary::default());
        (diary.clone(), Streams::new(diary))
    }

    #[test]
    fn a_client_that_goes_takes_its_streams_with_it() {
        let (diary, streams) = streams();
        streams.open('a', &request(1), || true).unwrap();
        streams.open('b', &request(2), || true).unwrap();
        assert_eq!(streams.client_gone('a'), [1]);
        assert_eq!(streams.client_gone('a'), [0_u32; 0]);
        assert_eq!(*diary.0.lock().unwrap(), ["open 1", "open 2", "gone [1]"]);
    }

    #[test]
    fn a_stream_opened_again_survives_the_late_departure_of_its_first_connection() {
        let (diary, streams) = streams();
        streams.open('a', &request(1), || true).unwrap();
        streams.open('b', &request(1), || true).unwrap();
        assert!(streams.client_gone('a').is_empty());
        assert_eq!(*diary.0.lock().unwrap(), ["open 1", "open 1"]);
        streams.close('b', 1).unwrap();
    }

    #[test]
    fn a_client_that_left_while_its_stream_opened_leaves_none_behind() {
        let (diary, streams) = streams();
        streams.open('a', &request(1), || false).unwrap();
        assert!(streams.client_gone('a').is_empty());
        assert_eq!(*diary.0.lock().unwrap(), ["open 1", "gone [1]"]);
    }

    #[test]
    fn a_client_closes_only_what_it_opened() {
        let (diary, streams) = streams();
        streams.open('a', &request(1), || true).unwrap();
        let refused = streams.close('b', 1).unwrap_err();
        assert_eq!(refused.reason, reason::NOT_YOURS);
        assert_eq!(streams.close('a', 9).unwrap_err().reason, reason::NOT_YOURS);
        streams.close('a', 1).unwrap();
        assert_eq!(*diary.0.lock().unwrap(), ["open 1", "close 1"]);
    }

    #[test]
    fn a_client_has_so_many_streams_and_no_more() {
        let (_, streams) = streams();
        for stream in 0..STREAMS_A_CLIENT_MAX as u32 {
            streams.open('a', &request(stream), || true).unwrap();
        }
        assert_eq!(streams.open('a', &request(99), || true).unwrap_err().reason, reason::TOO_MANY);
        streams.open('a', &request(3), || true).expect("the same stream again is not one more");
        streams.open('b', &request(99), || true).expect("another client has room of its own");
        assert_eq!(streams.end(3), Some('a'));
        streams.open('a', &request(98), || true).unwrap();
    }
}
