//! The same over real sockets: the system cuts trains of such slices and joins them, and payloads land where they belong.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Duration;

use framewire_transport::backend::{Backend, BackendConfig, ConnectedSocket, ReceiveBatch, SendBatch, Waker, wait};
use framewire_transport::crypto::Recording;
use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
use framewire_transport::receive::{self, Reassembler, ReceiveConfig, ReceiveStats, ReceiveStream, SealedOpening};
use framewire_transport::send::{self, Fec, Publication, SendConfig, SendState, Subscriber};
use framewire_transport::wire::{AnyOpen, Cut, Delivery};
use framewire_transport::{BackendKind, Key, Time};

use super::network::picture;

/// Slices of a frame, the last one shorter.
const SLICES: usize = 50;
const FRAMES: u64 = 12;
/// Datagrams of a batch: whole trains, of whatever size slices are.
const BATCH: usize = 240;

/// Two sockets that are connected to each other.
fn sockets() -> (ConnectedSocket, ConnectedSocket) {
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut left = ConnectedSocket::connect(probe.local_addr().unwrap()).unwrap();
    let right = ConnectedSocket::connect(left.local().unwrap()).unwrap();
    left.redirect(right.local().unwrap()).unwrap();
    (left, right)
}

/// Every backend that is allowed here.
fn kinds() -> impl Iterator<Item = BackendKind> {
    BackendKind::ALL.iter().copied().filter(|kind| {
        let is_allowed = kind.open(sockets().0, &BackendConfig::new(BATCH, 1_472)).kind() == *kind;
        if !is_allowed && *kind != BackendKind::Auto {
            framewire_testing::skip(format_args!("{kind} is refused here"));
        }
        is_allowed
    })
}

fn open_backend(kind: BackendKind, socket: ConnectedSocket, slice_bytes: u16) -> Box<dyn Backend> {
    let config =
        BackendConfig { send_trains: true, receive_trains: true, ..BackendConfig::new(BATCH, slice_bytes.into()) };
    kind.open(socket, &config)
}

/// Both ends' cores, each with a socket: what their threads do, by turns and in virtual time.
struct Ends {
    now: Time,
    publication: Publication,
    source: FramePool,
    sender: Subscriber,
    sending: Box<dyn Backend>,
    batch: SendBatch,
    /// Of a protected stream.
    key: Option<Key>,
    /// Every so many slices one is not sent; 0 for none.
    lost: u64,
    /// Every so many slices one leaves behind those of its run.
    late: u64,
    slices: u64,
    receiver: Option<ReceiveStream>,
    receiving: Box<dyn Backend>,
    landings: ReceiveBatch,
    buffer_bytes: usize,
    /// Datagrams on their way to the receiver, and back: time goes on when they are there.
    there: usize,
    back: usize,
    delivered: Vec<u64>,
}

impl Ends {
    fn new(kind: BackendKind, slice_bytes: u16, key: Option<&Key>, fec: Fec) -> Self {
        let head_bytes = if key.is_some() { 68 } else { 52 };
        let frame_bytes = SLICES * (usize::from(slice_bytes) - head_bytes) - 100;
        let format = FrameFormat::new(PixelFormat::Gray8, frame_bytes as u32, 1).unwrap();
        let (left, right) = sockets();
        let buffer_bytes = right.set_receive_buffer(4 << 20).unwrap();
        let now = Time::from_nanos(1_000_000_000);
        let config = SendConfig { fec, spreads: false, ..SendConfig::new(7, 1, format, Delivery::Every, slice_bytes) };
        let publication = Publication::new(format, Delivery::Every);
        let mut sender = publication.subscribe(config, now);
        if let Some(key) = key {
            sender.protect(key.clone(), now);
        }
        let cell_bytes = usize::from(slice_bytes) - head_bytes;
        let batch = match key {
            Some(_) => SendBatch::with_scratch(BATCH, head_bytes, cell_bytes),
            None => SendBatch::new(BATCH, head_bytes),
        };
        assert_eq!((sender.cut().head_bytes(), sender.cut().slices()), (head_bytes, SLICES as u32));
        Self {
            now,
            publication,
            source: FramePool::new(4, frame_bytes).unwrap(),
            sender,
            sending: open_backend(kind, left, slice_bytes),
            batch,
            key: key.cloned(),
            lost: 0,
            late: 0,
            slices: 0,
            receiver: None,
            receiving: open_backend(kind, right, slice_bytes),
            landings: ReceiveBatch::new(BATCH, head_bytes),
            buffer_bytes,
            there: 0,
            back: 0,
            delivered: Vec::new(),
        }
    }

    fn stream(&mut self) -> ReceiveStats {
        while !matches!(self.sender.state(), SendState::Closed(_)) {
            assert!(self.now < Time::from_nanos(600_000_000_000), "stalled: {:?}", self.sender);
            while self.publication.next_number() < FRAMES
                && let Some(frame) = picture(&self.source, self.publication.next_number(), self.now)
            {
                let published = self.publication.publish(frame).unwrap();
                self.sender.handle_frame(&published, self.now).unwrap();
            }
            if self.publication.next_number() == FRAMES {
                self.sender.close(self.now);
            }
            self.run_sender();
            self.run_receiver();
            self.hear_answers();
            self.now = self.now + Duration::from_micros(100);
        }
        assert_eq!(self.delivered, (0..FRAMES).collect::<Vec<_>>());
        *self.receiver.as_ref().unwrap().stats()
    }

    fn run_sender(&mut self) {
        let now = self.now;
        self.sender.handle_timeout(now);
        let mut bytes = Box::new([0; send::CONTROL_MAX]);
        while let Some(len) = self.sender.poll_transmit(now, &mut bytes) {
            match (&self.receiver, AnyOpen::parse(&bytes[..len])) {
                // The listener's affair.
                (None, Ok(open)) => self.accept(open, len),
                _ => {
                    self.sending.send_one(&bytes[..len]).unwrap();
                    self.there += 1;
                }
            }
        }
        self.batch.clear();
        let train = self.sender.cut().train();
        while self.batch.room() >= train {
            let room = (self.batch.room() - self.batch.room() % train) as u32;
            let Some(mut run) = self.sender.poll_slices(&mut self.publication, room, now) else { break };
            let (payload, cell) = (run.payload(), run.payload_bytes());
            if (self.lost, self.late) == (0, 0) {
                if run.is_sealed() {
                    let seal = |nth, head: &mut [u8], sealed: &mut [u8]| run.seal(nth, head, sealed);
                    self.batch.push_sealed(payload.len(), cell, seal).unwrap();
                } else {
                    self.batch.push_slices(run.frame, payload, cell, |nth, head| run.emit_header(nth, head)).unwrap();
                }
                continue;
            }
            // Sealed in order, however they leave.
            let sealed: Vec<_> =
                if run.is_sealed() { (0..run.count).map(|nth| run.to_datagram(nth)).collect() } else { vec![] };
            let is_nth = |every: u64, nth: u32| every > 0 && (self.slices + u64::from(nth)).is_multiple_of(every);
            let (late, soon): (Vec<_>, Vec<_>) = (0..run.count).partition(|nth| is_nth(self.late, *nth));
            for nth in soon.into_iter().chain(late).filter(|nth| !is_nth(self.lost, *nth)) {
                if let Some(sealed) = sealed.get(nth as usize) {
                    let copy = |_, head: &mut [u8], payload: &mut [u8]| {
                        let (its_head, its_payload) = sealed.split_at(head.len());
                        head.copy_from_slice(its_head);
                        payload.copy_from_slice(its_payload);
                    };
                    self.batch.push_sealed(sealed.len() - run_head(&self.key), cell, copy).unwrap();
                    continue;
                }
                let start = payload.start + nth as usize * cell;
                let payload = start..payload.end.min(start + cell);
                self.batch.push(run.frame, payload, |head| run.emit_header(nth, head)).unwrap();
            }
            self.slices += u64::from(run.count);
        }
        while !self.batch.is_sent() {
            match self.sending.send(&mut self.batch) {
                Ok(sent) => self.there += sent,
                Err(error) => wait_for(self.sending.as_ref(), true, &error),
            }
        }
    }

    fn accept(&mut self, open: AnyOpen, open_bytes: usize) {
        let (open, sealed) = match (open, &self.key) {
            (AnyOpen::Plain(open), None) => (open, None),
            (AnyOpen::Sealed(datagram), Some(key)) => {
                let (sealed, open) = SealedOpening::read(key, &datagram).unwrap();
                (open, Some(Arc::new(sealed)))
            }
            (open, key) => panic!("{open:?} under {key:?}"),
        };
        let config = ReceiveConfig {
            open,
            sealed,
            open_bytes,
            buffer_bytes: self.buffer_bytes,
            batch_max: BATCH,
            partial: false,
            clock_id: 0,
        };
        let pool = FramePool::new(6, Reassembler::slot_bytes(&config.cut())).unwrap();
        self.receiver = Some(ReceiveStream::new(config, pool, self.now).unwrap());
    }

    fn run_receiver(&mut self) {
        let Some(receiver) = &mut self.receiver else { return };
        let now = self.now;
        loop {
            receiver.predict(BATCH.min(self.receiving.landings()));
            self.landings.clear();
            for (arrival, run) in receiver.landings() {
                self.landings.post_cells(arrival, run.offset, run.cell, run.cells).unwrap();
            }
            let received = if self.there == 0 { Ok(0) } else { self.receiving.receive(&mut self.landings) };
            self.landings.release();
            for datagram in self.landings.datagrams() {
                receiver.handle_datagram(datagram.index, datagram.head, datagram.len, now);
            }
            receiver.end_batch(now);
            receiver.handle_timeout(now);
            while let Some(frame) = receiver.poll_frame() {
                let number = frame.info().number;
                let is_whole = frame.iter().enumerate().all(|(at, byte)| *byte == super::Pair::byte_of(number, at));
                assert!(is_whole && frame.len() == receiver.cut().frame_bytes() as usize, "frame {number}");
                self.delivered.push(number);
            }
            let mut bytes = [0; receive::CONTROL_MAX];
            while let Some(len) = receiver.poll_transmit(now, &mut bytes) {
                self.receiving.send_one(&bytes[..len]).unwrap();
                self.back += 1;
            }
            match received {
                Ok(received) => self.there -= received,
                Err(error) => wait_for(self.receiving.as_ref(), false, &error),
            }
            if self.there == 0 {
                break;
            }
        }
    }

    fn hear_answers(&mut self) {
        let mut heads = ReceiveBatch::new(16, 256);
        while self.back > 0 {
            heads.clear();
            heads.post_heads();
            match self.sending.receive(&mut heads) {
                Ok(received) => self.back -= received,
                Err(error) => wait_for(self.sending.as_ref(), false, &error),
            }
            heads.datagrams().for_each(|datagram| self.sender.handle_datagram(datagram.head, self.now));
        }
    }
}

/// Bytes of a slice's head.
fn run_head(key: &Option<Key>) -> usize {
    if key.is_some() { 68 } else { 52 }
}

/// Waits until the socket has room, or something to read.
fn wait_for(backend: &dyn Backend, to_write: bool, error: &io::Error) {
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    let (waker, began, patience) = (Waker::new().unwrap(), std::time::Instant::now(), Duration::from_secs(10));
    wait(backend.socket().as_fd(), to_write, &waker, patience, Duration::ZERO).unwrap();
    assert!(began.elapsed() < patience, "the system has lost a datagram, or takes no more");
}

#[test]
fn frames_arrive_byte_for_byte_over_every_backend_and_their_payloads_land_where_they_belong() {
    for kind in kinds() {
        for slice_bytes in [1_472, 1_471, 548, 9_000, 65_507] {
            let [bare, tagged] = [None, Some(Key::random().unwrap())].map(|key| {
                let mut ends = Ends::new(kind, slice_bytes, key.as_ref(), Fec::Off);
                let seen = ends.stream();
                assert_eq!(seen.rejected.total(), 0, "{seen:?}");
                assert_eq!((seen.slices, ends.sender.stats().slices_resent), (FRAMES * SLICES as u64, 0), "{seen:?}");
                seen.slices_moved
            });
            // A system that is busy may hand a batch over in parts: a frame's slices more or less.
            assert!(
                tagged <= bare + SLICES as u64,
                "{kind}, slices of {slice_bytes}: {tagged} moved, without tags {bare}"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_trains_are_refused_the_same_bytes_go_out_one_by_one_and_none_is_sealed_again() {
    let recording = Recording::begin();
    for kind in kinds() {
        let mut ends = Ends::new(kind, 1_472, Some(&Key::random().unwrap()), Fec::Off);
        // A socket without checksums is one of the cases in which the kernel refuses to segment.
        let off: libc::c_int = 1;
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        let socket = ends.sending.socket().as_fd().as_raw_fd();
        // SAFETY: setsockopt(socket: open, level and option as named, value: an int that lives over the call, its size).
        let set =
            unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const off).cast(), size) };
        assert_eq!(set, 0);
        let seen = ends.stream();
        assert_eq!((seen.slices, seen.rejected.total()), (FRAMES * SLICES as u64, 0), "{kind}: {seen:?}");
        assert_eq!(ends.sender.stats().slices_resent, 0);
    }
    let (sealed, again) = recording.seen();
    assert!(again == 0 && (sealed > 0 || !Recording::IS_LIVE), "{again} of {sealed}");
}

#[test]
fn what_is_lost_and_what_comes_late_is_repaired_or_restored_over_every_backend() {
    for kind in kinds() {
        for (slice_bytes, fec) in
            [(1_472, Fec::Off), (1_471, Fec::Percent(20)), (548, Fec::Percent(10)), (9_000, Fec::Off)]
        {
            let mut ends = Ends::new(kind, slice_bytes, Some(&Key::random().unwrap()), fec);
            (ends.lost, ends.late) = (23, 7);
            let seen = ends.stream();
            let sent = *ends.sender.stats();
            let made_good = if fec == Fec::Off { sent.slices_resent } else { seen.frames_restored };
            assert!(made_good > 0, "{kind}, {slice_bytes}: {sent:?} {seen:?}");
        }
    }
}

/// A socket whose system hands a train on as it came.
#[cfg(target_os = "linux")]
fn take_trains_whole(socket: &UdpSocket) {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    let socket = socket.as_raw_fd();
    // SAFETY: setsockopt(socket: open, level and option as named, value: an int that lives over the call, its size).
    let set = unsafe { libc::setsockopt(socket, libc::SOL_UDP, libc::UDP_GRO, (&raw const on).cast(), size) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

#[cfg(target_os = "linux")]
#[test]
fn a_train_of_slices_with_tags_leaves_as_one_message_of_as_many_slices_as_one_without() {
    let frame_bytes = 100_000;
    for slice_bytes in [548, 1_472, 9_000] {
        let cut = Cut::with_tags(frame_bytes, slice_bytes);
        assert_eq!(cut.train(), Cut::new(frame_bytes, slice_bytes).train());
        let right = UdpSocket::bind("127.0.0.1:0").unwrap();
        let left = ConnectedSocket::connect(right.local_addr().unwrap()).unwrap();
        take_trains_whole(&right);
        right.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut sending = open_backend(BackendKind::Mmsg, left, slice_bytes as u16);
        let pool = FramePool::new(1, frame_bytes as usize).unwrap();
        let frame = picture(&pool, 0, Time::ZERO).unwrap();
        let cell = cut.payload_bytes().into();
        let mut batch = SendBatch::with_scratch(cut.train(), cut.head_bytes(), cell);
        let payload = cut.bytes_of(0, cut.train() as u32);
        let seal = |nth: u32, head: &mut [u8], sealed: &mut [u8]| {
            head.fill(nth as u8);
            sealed.copy_from_slice(&frame[cut.bytes_of(nth, 1)]);
        };
        batch.push_sealed(payload.len(), cell, seal).unwrap();
        assert_eq!(sending.send(&mut batch).unwrap(), cut.train());
        let mut message = vec![0; 65_536];
        let len = right.recv(&mut message).unwrap();
        assert_eq!(len, cut.train() * slice_bytes);
        for (nth, slice) in (0..).zip(message[..len].chunks(slice_bytes)) {
            let (head, payload) = slice.split_at(68);
            assert_eq!((head, payload), (&[nth as u8; 68][..], &frame[cut.bytes_of(nth, 1)]));
        }
    }
}
