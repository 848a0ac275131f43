//! A switch between a source and many receivers: a port to each, of one rate, and a buffer that all ports share.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use framewire_transport::Time;

/// What does not fit its buffer is dropped, whichever port it was for.
#[derive(Debug)]
pub(crate) struct Switch {
    bytes_per_second: u64,
    buffer_bytes: u64,
    /// When each port will have sent what is queued for it.
    free: Vec<Time>,
    /// Datagrams that did not fit.
    pub(crate) dropped: u64,
}

/// One port of it.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    switch: Rc<RefCell<Switch>>,
    nth: usize,
}

impl Switch {
    pub(crate) fn new(bytes_per_second: u64, buffer_bytes: u64) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { bytes_per_second, buffer_bytes, free: Vec::new(), dropped: 0 }))
    }

    /// One more port.
    pub(crate) fn port(switch: &Rc<RefCell<Self>>) -> Port {
        let mut inner = switch.borrow_mut();
        inner.free.push(Time::ZERO);
        Port { switch: switch.clone(), nth: inner.free.len() - 1 }
    }

    fn pass(&mut self, port: usize, now: Time, bytes: usize) -> Option<Duration> {
        let waiting: Duration = self.free.iter().map(|free| free.since(now)).sum();
        let queued = waiting.as_nanos() * u128::from(self.bytes_per_second) / 1_000_000_000;
        if queued + bytes as u128 > u128::from(self.buffer_bytes) {
            self.dropped += 1;
            return None;
        }
        let takes = Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.bytes_per_second);
        let free = &mut self.free[port];
        *free = (*free).max(now) + takes;
        Some(free.since(now))
    }
}

impl Port {
    /// How long a datagram takes through it; `None` where it is dropped.
    pub(super) fn pass(&self, now: Time, bytes: usize) -> Option<Duration> {
        self.switch.borrow_mut().pass(self.nth, now, bytes)
    }
}
