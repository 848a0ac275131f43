//! Holds the chapter "On one machine" of `PROTOCOL.md` against the code.

use std::mem::offset_of;

use super::layout::{Control, Inlet};
use super::messages::{End, FromHub, PACKET_MAX, Packet, Refusal, ToHub, VERSION, sample};

const TEXT: &str = include_str!("../../PROTOCOL.md");

/// The rows of the table that has this heading, their cells trimmed.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let chapter = TEXT.split_once("\n## On one machine\n").expect("the chapter").1;
    let (_, table) = chapter.split_once(heading).unwrap_or_else(|| panic!("no table begins with {heading}"));
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_document_has_every_kind_of_message_under_its_name() {
    let documented: Vec<_> =
        rows("| kind | message |").iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    let name = |debug: String| debug.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    let to_hub = sample::to_hub("").map(|message: ToHub<'_>| (Packet::from(&message), name(format!("{message:?}"))));
    let from_hub =
        sample::from_hub("").map(|message: FromHub<'_>| (Packet::from(&message), name(format!("{message:?}"))));
    let in_code = to_hub.into_iter().chain(from_hub).map(|(packet, name)| (packet.bytes()[3].to_string(), name));
    assert_eq!(documented, in_code.collect::<Vec<_>>());
    assert!(TEXT.contains(&format!("at most {PACKET_MAX} bytes: `46 53` (\"FS\"), the version ({VERSION})")));
}

#[test]
fn the_document_has_every_reason_of_a_refusal_and_every_end() {
    let reasons: Vec<_> = rows("| reason | number | limit |").iter().map(|row| row[0].parse::<u8>().unwrap()).collect();
    assert_eq!(reasons, Refusal::ALL.map(|refusal| refusal as u8));
    let ended = rows("| offset in the control page |").pop().unwrap()[2];
    for end in End::ALL {
        assert!(ended.contains(&format!("{} ", end as u32)), "{end:?} is not in {ended}");
    }
}

#[test]
fn the_document_has_every_word_where_it_is() {
    let offsets = |heading: &str| -> Vec<(usize, &str)> {
        let row = |row: &Vec<&'static str>| (row[0].parse().unwrap(), row[2].split('`').nth(1).unwrap_or("records"));
        rows(heading).iter().map(row).collect()
    };
    let told = offset_of!(Control, told);
    assert_eq!(
        offsets("| offset in the control page |"),
        [
            (offset_of!(Control, returned), "returned"),
            (offset_of!(Control, offers), "offers"),
            (offset_of!(Control, asleep), "asleep"),
            (offset_of!(Control, starved), "starved"),
            (told, "offered"),
            (told + 8, "dropped"),
            (told + 16, "ended"),
        ]
    );
    let (source, account) = (offset_of!(Inlet, source), offset_of!(Inlet, account));
    assert_eq!(
        offsets("| offset in the inlet |"),
        [
            (offset_of!(Inlet, granted), "granted"),
            (offset_of!(Inlet, committed), "committed"),
            (offset_of!(Inlet, hub_asleep), "hub_asleep"),
            (offset_of!(Inlet, sender_asleep), "sender_asleep"),
            (source, "next"),
            (source + 8, "no_credit"),
            (account, "settled"),
            (account + 8, "delivered"),
            (offset_of!(Inlet, records), "records"),
        ]
    );
}
