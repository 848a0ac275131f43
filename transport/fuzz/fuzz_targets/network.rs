//! Both ends with a network between them that the fuzzer commands: what it loses, doubles, cuts and holds back, and what it says
//! itself. A frame that is delivered as complete has every byte right.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::receive::ReceiveStream;
use framewire_transport::send::{CONTROL_MAX, Fec};
use framewire_transport::wire::Delivery;
use fuzzed::{Choices, Pools, answers, byte_of, sender, take_in};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static POOLS: (Pools, std::cell::RefCell<Box<[u8; CONTROL_MAX]>>) = (Pools::default(), Box::new([0; CONTROL_MAX]).into());
}

/// What is on its way in one direction.
#[derive(Default)]
struct Way(VecDeque<Vec<u8>>);

impl Way {
    fn send(&mut self, choices: &mut Choices<'_>, datagram: Vec<u8>) {
        match choices.byte() {
            0..40 => {}
            40..50 => self.0.extend([datagram.clone(), datagram]),
            50..60 => self.0.push_front(datagram),
            60..65 => self.0.push_back(datagram[..usize::from(choices.byte()).min(datagram.len())].to_vec()),
            65..70 => {
                // Bytes of the header that are not the payload's: what arrives is another datagram.
                let mut bent = datagram;
                let at = usize::from(choices.byte()) % 12;
                bent[at] ^= choices.byte() | 1;
                self.0.push_back(bent);
            }
            _ => self.0.push_back(datagram),
        }
    }

    fn arrive(&mut self, count: usize) -> Vec<Vec<u8>> {
        self.0.drain(..count.min(self.0.len())).collect()
    }
}

fuzz_target!(|bytes: &[u8]| POOLS.with(|(pools, control)| {
    let mut control = control.borrow_mut();
    let mut choices = Choices(bytes);
    let mut now = Time::from_nanos(1_000_000_000);
    let delivery = if choices.byte() & 1 == 0 { Delivery::Every } else { Delivery::Latest };
    let fec = [Fec::Off, Fec::Auto, Fec::Percent(40)][usize::from(choices.byte() % 3)];
    let choice = choices.byte();
    let (partial, is_protected) = (choice & 1 == 1, choice & 2 == 2);
    let (mut publication, mut stream) = sender(delivery, fec, is_protected);
    let mut receiver: Option<ReceiveStream> = None;
    let (mut there, mut back) = (Way::default(), Way::default());
    let mut newest = None;
    while !choices.is_empty() {
        if stream.has_room()
            && let Some(frame) = pools.frame(publication.next_number(), now)
        {
            let published = publication.publish(frame).unwrap();
            stream.handle_frame(&published, now).unwrap();
        }
        while let Some(len) = stream.poll_transmit(now, &mut control) {
            there.send(&mut choices, control[..len].to_vec());
        }
        while let Some(mut run) = stream.poll_slices(&mut publication, 4, now) {
            let datagrams: Vec<_> = (0..run.count).map(|nth| run.to_datagram(nth)).collect();
            datagrams.into_iter().for_each(|datagram| there.send(&mut choices, datagram));
        }
        let arriving = there.arrive(usize::from(choices.byte() % 8));
        let dies = choices.byte() == 0;
        if dies {
            receiver = None;
            newest = None;
        }
        match &mut receiver {
            None => receiver = arriving.iter().find_map(|datagram| pools.receiver(datagram, (partial, is_protected), now)),
            Some(receiver) => arriving.chunks(4).for_each(|batch| take_in(receiver, batch, now)),
        }
        if let Some(receiver) = &mut receiver {
            receiver.handle_timeout(now);
            for answer in answers(receiver, now) {
                back.send(&mut choices, answer);
            }
            while let Some(frame) = receiver.poll_frame() {
                let number = frame.info().number;
                assert!(newest < Some(number), "frame {number} after {newest:?}");
                newest = Some(number);
                let mut missing = frame.missing().peekable();
                for (at, byte) in frame.iter().enumerate() {
                    while missing.next_if(|range| range.end <= at).is_some() {}
                    let expected =
                        if missing.peek().is_some_and(|range| range.contains(&at)) { 0 } else { byte_of(number, at) };
                    assert_eq!(*byte, expected, "frame {number}, byte {at}");
                }
            }
        }
        for answer in back.arrive(usize::from(choices.byte() % 8)) {
            stream.handle_datagram(&answer, now);
        }
        now = now + Duration::from_micros(choices.number().min(2_000_000));
        stream.handle_timeout(now);
    }
}));
