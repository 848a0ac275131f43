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

/// The tables of the document's fields, and where in an entry each one's objects are.
const TABLES: [(&str, &[&str]); 4] = [
    ("## An entry", &["/"]),
    ("Of its load:", &["/load/"]),
    ("Of each link:", &["/links/0/"]),
    ("Of each stream:", &["/streams/0/", "/streams/1/"]),
];

/// The rows of the first table of fields behind these words: each field's name, and what is said of it.
fn rows(behind: &str) -> Vec<(&'static str, &'static str)> {
    let (_, after) = DOCUMENT.split_once(behind).unwrap_or_else(|| panic!("no {behind:?}"));
    let (_, after) = after.split_once("| field | what |\n|---|---|\n").unwrap();
    let rows = after.lines().map_while(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(name, what)| (name, what.trim_end_matches(" |"))).collect()
}

/// What a node says that is of this cluster, whatever it says.
fn signed(json: &serde_json::Value) -> Vec<u8> {
    use hmac::{KeyInit, Mac};
    let json = json.to_string();
    // As the document has it, by the key as it is written.
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"000102030405060708090a0b0c0d0e0f").unwrap();
    mac.update(format!("framewire-node-1\n{json}").as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("framewire-node-1 {digits}\n{json}").into_bytes()
}

fn is_taken(json: &serde_json::Value) -> bool {
    let mut other = Directory::new(own(1, 1), key()).unwrap();
    other.handle_entry(&signed(json), Duration::ZERO).is_ok()
}

fn example() -> serde_json::Value {
    let (_, json) = block("## Known answer").split_once('\n').unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn every_field_is_in_the_document() {
    let mut names = Vec::new();
    collect("/", &example(), &mut names);
    names.push("/streams_more".into());
    let told: Vec<_> = TABLES
        .iter()
        .flat_map(|(behind, places)| {
            let rows = rows(behind);
            places.iter().flat_map(move |place| rows.clone().into_iter().map(move |(name, _)| format!("{place}{name}")))
        })
        .collect();
    for name in names {
        assert!(told.contains(&name), "DIRECTORY.md does not say what {name} is");
    }
}

fn collect(place: &str, value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            names.push(format!("{place}{name}"));
            collect(&format!("{place}{name}/"), value, names);
        }),
        serde_json::Value::Array(values) => {
            values.iter().enumerate().for_each(|(nth, value)| collect(&format!("{place}{nth}/"), value, names));
        }
        _ => {}
    }
}

#[test]
fn what_an_entry_lacks_is_refused_unless_the_document_says_what_that_means() {
    assert!(is_taken(&example()));
    let mut checked = 0;
    for (behind, places) in TABLES {
        for (place, (name, what)) in
            places.iter().flat_map(|place| rows(behind).into_iter().map(move |row| (place, row)))
        {
            let mut json = example();
            let object = json.pointer_mut(place.trim_end_matches('/')).unwrap().as_object_mut().unwrap();
            let was_there = object.remove(name).is_some();
            let is_said = what.contains("absent");
            assert!(was_there || is_said, "the example has no {place}{name}");
            assert_eq!(is_taken(&json), is_said, "without {place}{name}, of which DIRECTORY.md says: {what}");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn what_is_out_of_its_bounds_is_refused_and_what_a_later_release_may_say_is_not() {
    let with = |place: &str, value: serde_json::Value| {
        let mut json = example();
        let (object, name) = place.rsplit_once('/').unwrap();
        json.pointer_mut(object).unwrap()[name] = value;
        is_taken(&json)
    };
    let nodes = |of: &str| of.chars().map(|digit| digit.to_string().repeat(32)).collect::<Vec<_>>();
    let long = |chars| serde_json::Value::from("n".repeat(chars));
    for (place, value) in [
        ("/node", "1111".into()),
        ("/sequence", (-1).into()),
        ("/name", long(65)),
        ("/name", "a\nb".into()),
        ("/url", "10.0.0.1:8080".into()),
        ("/pin", "short".into()),
        ("/load/watchers", (1_u64 << 32).into()),
        ("/links/0/name", long(65)),
        ("/streams/0/name", long(65)),
        ("/streams/0/pixel", long(33)),
        ("/streams/0/width", (1_u64 << 32).into()),
        ("/streams/0/frames_per_second", (-1.0).into()),
        ("/streams/0/hops", nodes("2345").into()),
        ("/streams/0/hops", nodes("232").into()),
    ] {
        assert!(!with(place, value.clone()), "{place} {value}");
    }
    for (place, value) in [
        ("/later", "anything".into()),
        ("/streams/0/later", 1.into()),
        ("/guard", "moated".into()),
        ("/streams/0/state", "paused".into()),
        ("/streams/0/delivery", "sometimes".into()),
        ("/name", long(64)),
        ("/streams/0/pixel", long(32)),
        ("/streams/0/hops", nodes("234").into()),
    ] {
        assert!(with(place, value.clone()), "{place} {value}");
    }
}
