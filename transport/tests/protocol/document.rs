//! `PROTOCOL.md` as data: its tables and its examples.

use std::collections::HashMap;

const TEXT: &str = include_str!("../../PROTOCOL.md");

/// One datagram as the document describes it.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) kind: u8,
    pub(crate) len: usize,
    /// The fields behind the prelude: name, offset, size.
    pub(crate) fields: Vec<(&'static str, usize, usize)>,
    /// The column "example".
    values: HashMap<&'static str, u64>,
    /// The bytes below the table.
    pub(crate) golden: Vec<u8>,
}

impl Section {
    /// The value that the example has in a field; stream and epoch are in the prelude's row.
    pub(crate) fn value(&self, field: &str) -> u64 {
        *self.values.get(field).unwrap_or_else(|| panic!("{} names no value for {field}", self.name))
    }
}

/// Every datagram, in the document's order.
pub(crate) fn sections() -> Vec<Section> {
    chapter("## Datagrams").split("\n### ").skip(1).map(section).collect()
}

fn section(text: &'static str) -> Section {
    let (heading, body) = text.split_once('\n').unwrap();
    // "Feedback (kind 2, 88 bytes, receiver to sender)"
    let (name, rest) = heading.split_once(" (kind ").unwrap();
    let (kind, rest) = rest.split_once(", ").unwrap();
    let len = rest.split_once(" bytes").unwrap().0;
    let mut values = HashMap::new();
    let mut fields = Vec::new();
    for row in rows(body, "| offset |") {
        let (offset, size, field, example) = (row[0], row[1], row[2], row[row.len() - 1]);
        if field == "prelude" {
            assert_eq!((offset, size), ("0", "12"), "{name}");
            let (stream, epoch) = example.strip_prefix("stream ").unwrap().split_once(", epoch ").unwrap();
            values.extend([("stream", number(stream)), ("epoch", number(epoch))]);
        } else {
            fields.push((field, offset.parse().unwrap(), size.parse().unwrap()));
            values.insert(field, number(example));
        }
    }
    let golden = body.split_once(&format!("```golden {name}\n")).unwrap().1.split_once("\n```").unwrap().0;
    let golden = bytes(golden);
    Section { name, kind: kind.parse().unwrap(), len: len.parse().unwrap(), fields, values, golden }
}

fn bytes(text: &str) -> Vec<u8> {
    let bytes = |text: &str| {
        // "00*490": so many of them.
        let (byte, times) = text.split_once('*').unwrap_or((text, "1"));
        std::iter::repeat_n(u8::from_str_radix(byte, 16).unwrap(), times.parse().unwrap())
    };
    text.split_whitespace().flat_map(bytes).collect()
}

/// What the document says that comes out of fixed keys: names and bytes.
pub(crate) fn answers() -> HashMap<&'static str, Vec<u8>> {
    let answers = TEXT.split("\n```answer ").skip(1);
    answers
        .map(|text| text.split_once("\n```").unwrap().0.split_once('\n').unwrap())
        .map(|(name, text)| (name, bytes(text)))
        .collect()
}

/// The fields behind the prelude of the datagrams that open a protected stream: name, offset, size.
pub(crate) fn sealed_openings() -> [Vec<(&'static str, usize, usize)>; 2] {
    let chapter = TEXT.split_once("\n### Sealed openings\n").unwrap().1;
    let accept = chapter.split_once("\nAccept (kind 7)").unwrap().1;
    let field = |row: Vec<&'static str>| (row[2], row[0].parse().unwrap(), row[1].parse().unwrap());
    [chapter, accept].map(|text| rows(text, "| offset |").skip(1).map(field).collect())
}

/// The table of limits: name and value.
pub(crate) fn limits() -> Vec<(&'static str, u64)> {
    let name = |cell: &'static str| cell.trim_matches('`');
    rows(chapter("## Limits"), "| name |").map(|row| (name(row[0]), number(row[1]))).collect()
}

/// The table of timers: file, constant, and the default in nanoseconds.
pub(crate) fn timers() -> Vec<(&'static str, &'static str, u64)> {
    let timer = |row: Vec<&'static str>| {
        let (file, constant) = row[2].trim_matches('`').split_once("` `").unwrap();
        let (amount, unit) = row[1].split_once(' ').unwrap();
        (file, constant, number(amount) * unit_ns(unit))
    };
    rows(chapter("## Timers"), "| timer |").map(timer).collect()
}

/// The reasons of a refusal: number and name.
pub(crate) fn refuse_reasons() -> Vec<(u16, &'static str)> {
    let reason = |row: Vec<&'static str>| (row[0].parse().unwrap(), row[1].trim_matches('`'));
    rows(TEXT, "| reason |").map(reason).collect()
}

/// The flags: bit and name.
pub(crate) fn flags() -> Vec<(u16, &'static str)> {
    let flag = |row: Vec<&'static str>| (number(row[0]) as u16, row[1].trim_matches('`'));
    rows(TEXT, "| bit |").map(flag).collect()
}

/// A pixel format: its code, its name, its planes (bits, pixels, across, down), what width and stride are multiples of.
pub(crate) type Format = (u16, &'static str, Vec<[u32; 4]>, u32, u32);

/// The table of formats.
pub(crate) fn formats() -> Vec<Format> {
    let pair = |text: &str, by: char| {
        let (one, other) = text.split_once(by).unwrap();
        [one, other].map(|number| number.parse::<u32>().unwrap())
    };
    let plane = |text: &str| {
        let (group, of) = text.split_once(" of ").unwrap_or((text, "1x1"));
        let ([bits, pixels], [across, down]) = (pair(group, '/'), pair(of, 'x'));
        [bits, pixels, across, down]
    };
    let format = |row: Vec<&'static str>| {
        let planes = row[2].split(", ").map(plane).collect();
        (number(row[0]) as u16, row[1], planes, row[3].parse().unwrap(), row[4].parse().unwrap())
    };
    rows(chapter("## Formats"), "| code |").map(format).collect()
}

/// "1 every, 2 latest" in the meaning of a field of Open: numbers and names.
pub(crate) fn choices(field: &str) -> Vec<(u8, &'static str)> {
    let open = TEXT.split_once("\n### Open ").unwrap().1;
    let row = rows(open, "| offset |").find(|row| row[2] == field).unwrap();
    let choice = |text: &'static str| text.split_once(' ').unwrap();
    row[3].split(", ").map(choice).map(|(number, name)| (number.parse().unwrap(), name.trim_matches('`'))).collect()
}

/// From a heading to the next one of its level.
fn chapter(heading: &str) -> &'static str {
    let (_, rest) = TEXT.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no chapter '{heading}'"));
    rest.split_once("\n## ").map_or(rest, |(chapter, _)| chapter)
}

/// The cells of the first table whose heading starts so.
fn rows(text: &'static str, heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let table = text.lines().skip_while({
        let heading = heading.to_owned();
        move |line| !line.starts_with(&heading)
    });
    table
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

pub(crate) fn unit_ns(unit: &str) -> u64 {
    match unit {
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "µs" => 1_000,
        _ => panic!("no unit of time: '{unit}'"),
    }
}

fn number(text: &str) -> u64 {
    let digits = text.strip_prefix("0x");
    let number = digits.map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    number.unwrap_or_else(|_| panic!("no number: '{text}'"))
}
