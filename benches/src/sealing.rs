//! What one core seals: nothing is sent.

use std::time::{Duration, Instant};

use framewire_transport::Key;
use framewire_transport::backend::SendBatch;
use framewire_transport::crypto::{
    CONTEXT_LEN, Initiator, PAYLOAD_1_LEN, PAYLOAD_2_LEN, ReceiverSession, Responder, SenderSession, Suites,
};
use framewire_transport::wire::Cut;

use crate::{Link, Picture};

/// Trains, or datagrams as long as one, that a sender seals before it sends them.
const TRAINS: usize = 4;

/// The keys of a stream between two ends on this machine.
///
/// # Panics
/// The system has no random numbers.
pub fn sessions() -> (SenderSession, ReceiverSession) {
    let key = Key::random().expect("random numbers");
    let suites = Suites::supported();
    let mut context = [0; CONTEXT_LEN];
    context[32..34].copy_from_slice(&suites.bits().to_be_bytes());
    let begun = Initiator::start(&key, &context, &[0; PAYLOAD_1_LEN]);
    let (mut initiator, asked) = begun.expect("random numbers");
    let (responder, _) = Responder::read(&key, &context, &asked).expect("it was made under this key");
    let suite = suites.choose(suites).expect("one that both have");
    let (receiver, answer) = responder.accept(suite, &[0; PAYLOAD_2_LEN]).expect("random numbers");
    let (sender, _) = initiator.finish(&answer).expect("it is the answer");
    (sender, receiver)
}

/// Seals the slices of frames into a batch's scratch, as a sender does, and sends none.
pub struct SealingLink {
    session: SenderSession,
    frame: Vec<u8>,
    cut: Cut,
    batch: SendBatch,
    sequence: u64,
}

impl SealingLink {
    /// For frames of a picture, in slices of so many bytes.
    pub fn new(picture: &Picture, slice_bytes: u16) -> Self {
        let cut = Cut::with_tags(picture.bytes() as u32, slice_bytes.into());
        let batch = SendBatch::with_scratch(TRAINS * cut.train(), cut.head_bytes(), cut.payload_bytes().into());
        Self { session: sessions().0, frame: vec![0x5a; picture.bytes()], cut, batch, sequence: 0 }
    }
}

impl Link for SealingLink {
    fn transfer(&mut self, frames: u64) -> Duration {
        let Self { session, frame, cut, batch, sequence } = self;
        let cell = usize::from(cut.payload_bytes());
        let started = Instant::now();
        for _ in 0..frames {
            for bytes in frame.chunks(cell * batch.room()) {
                let pushed = batch.push_sealed(bytes.len(), cell, |nth, head, sealed| {
                    let payload = &bytes[nth as usize * cell..][..sealed.len()];
                    let (fields, tag) = head.split_first_chunk_mut().expect("a head has them");
                    let tag = tag.first_chunk_mut().expect("and a tag");
                    session.slices.seal(*sequence, fields, payload, sealed, tag);
                    *sequence += 1;
                });
                pushed.expect("as many as there is room for");
                batch.clear();
            }
        }
        started.elapsed()
    }
}
