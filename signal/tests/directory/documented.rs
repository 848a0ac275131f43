//! `DIRECTORY.md` against the code: an entry, byte by byte, and the names of everything.

use framewire_signal::Pin;
use framewire_signal::directory::{Guard, LinkEntry, Load, NodeProof, StreamState};
use framewire_signal::message::{Delivery, Hops};

use super::*;

const DOCUMENT: &str = include_str!("../../DIRECTORY.md");

/// The block of the document under this heading.
fn block(heading: &str) -> &'static str {
    let (_, after) = DOCUMENT.split_once(heading).unwrap_or_else(|| panic!("DIRECTORY.md has no {heading:?}"));
    let (_, after) = after.split_once("```\n").unwrap();
    after.split_once("\n```").unwrap().0
}

fn entry() -> Vec<u8> {
    let node = NodeId::new([0x11; 16]);
    let own = OwnNode::new(node, 1_790_000_000_000_000_000, "hall-1", "https://10.0.0.1:8080")
        .guard(Guard::Protected)
        .pin(Pin::of_public_key(b"key"));
    let streams = vec![
        stream(7, "front")
            .delivery(Delivery::Latest)
            .frames_per_second(30.0)
            .bytes_per_second(9_216_000)
            .incarnation(1_789_999_999_000_000_000),
        stream(8, "rear").state(StreamState::Silent).hops(Hops::new([NodeId::new([0x22; 16])]).unwrap()).idle(true),
    ];
    let load = Load::new().bytes_per_second(9_216_000).watchers(2).cores(0.25);
    let links = vec![LinkEntry::new("eth0", 8_000_000_000).received_bits_per_second(80_000_000)];
    let mut directory = Directory::new(own, key()).unwrap();
    directory.set_own(OwnState::new(streams).load(load).links(links));
    directory.poll_own(Duration::ZERO).unwrap()
}

#[test]
fn the_entry_in_the_document_is_what_a_node_says_byte_for_byte() {
    let said = String::from_utf8(entry()).unwrap();
    assert_eq!(said, block("## Known answer"), "DIRECTORY.md should have:\n{said}");
    let mut other = Directory::new(own(1, 1), key()).unwrap();
    assert_eq!(other.handle_entry(block("## Known answer").as_bytes(), Duration::ZERO), Ok(Heard::New));
}

#[test]
fn the_tokens_and_proofs_in_the_document_hold() {
    assert_eq!(key().node_token().secret(), block("### Token of nodes"));
    let proof: NodeProof = block("### Proof of a node").parse().unwrap();
    assert!(proof.is_of(&key(), Some(Pin::of_public_key(b"key"))));
}

#[test]
fn every_field_is_in_the_document() {
    let said = String::from_utf8(entry()).unwrap();
    let (_, json) = said.split_once('\n').unwrap();
    let mut names = Vec::new();
    collect(&serde_json::from_str(json).unwrap(), &mut names);
    names.push("streams_more".into());
    for name in names {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "DIRECTORY.md does not say what {name} is");
    }
}

fn collect(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            names.push(name.clone());
            collect(value, names);
        }),
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
