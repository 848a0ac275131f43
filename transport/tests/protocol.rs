//! Holds `PROTOCOL.md` against the code: offsets, limits, timers, and every example byte for byte.
#![allow(missing_docs)]

#[path = "protocol/conversation.rs"]
mod conversation;
#[path = "protocol/document.rs"]
mod document;
#[path = "protocol/protection.rs"]
mod protection;

use document::Section;
use framewire_transport::crypto::{CONTROLS_BACK, GENERATION_SHIFT, SEAL_LEN, SLICES_BACK};
use framewire_transport::frame::{ChromaPlace, ColourRange, FrameFormat, METADATA_MAX, PixelFormat, Scan, TAIL_MAX};
use framewire_transport::receive;
use framewire_transport::wire::{
    Accept, Challenge, Close, Closed, Cut, DATAGRAM_MAX, Delivery, EPOCHS_AHEAD_MAX, FRAME_NUMBER_END, Feedback, Flags,
    Kind, MAGIC, NACK_BITMAP_MAX, Nack, OPEN_FRAMES_MAX, Open, PRELUDE_LEN, ParityHeader, Ping, Prelude, Refuse,
    RefuseReason, SLICE_BYTES_MIN, SLICE_HEADER_LEN, SliceHeader, TAG_LEN, TIME_UNKNOWN, VERSION, WireError,
};
use proptest::prelude::*;

type Fields = &'static [(&'static str, usize, usize)];

/// A datagram of the code under its name in the document.
struct Datagram {
    name: &'static str,
    kind: Kind,
    len: usize,
    fields: Fields,
    /// Builds it from the values that the document names, and emits it.
    emit: fn(&Section) -> Vec<u8>,
    /// Parses and emits again.
    again: fn(&[u8]) -> Result<Vec<u8>, WireError>,
}

macro_rules! datagrams {
    ($($type:ident as $kind:ident { $($field:ident),* })*) => {
        [$(Datagram {
            name: stringify!($kind),
            kind: Kind::$kind,
            len: $type::LEN,
            fields: $type::FIELDS,
            emit: |section| {
                #[allow(clippy::useless_conversion, reason = "the widest field has the width of the document's numbers")]
                let value = $type {
                    stream: section.value("stream").try_into().unwrap(),
                    epoch: section.value("epoch").try_into().unwrap(),
                    $($field: section.value(stringify!($field)).try_into().unwrap(),)*
                };
                assert_eq!($type::parse(&value.emit()), Ok(value));
                value.emit().to_vec()
            },
            again: |bytes| $type::parse(bytes).map(|value| value.emit().to_vec()),
        }),*]
    };
}

const DATAGRAMS: [Datagram; 11] = datagrams! {
    SliceHeader as Slice { flags, tail, sequence, frame, captured_ns, frame_bytes, index, sent_after_us }
    Feedback as Feedback {
        flags, path_bytes, report, settled, frame_limit, sequence_seen, sequence_limit, delivered, arrived, receiver_ns, echo_ns, echo_held_ns
    }
    Nack as Nack { flags, bitmap_bytes, frame, first }
    Ping as Ping { flags, length, sender_ns, sequence, frame, echo_ns, echo_held_ns, skipped, no_credit, utc_ns, utc_error_us }
    Open as Open {
        flags, slice_bytes, cookie, first_frame, width, height, stride, frame_bytes, rate_num, rate_den, aspect_num, aspect_den, scan,
        chroma, range, paced, deadline_us, pixel, tail_max, parity_max, delivery, reserved, clock_id, sender_ns, skipped,
        no_credit, utc_ns, utc_error_us
    }
    Challenge as Challenge { flags, path_bytes, cookie }
    Accept as Accept {
        flags, path_bytes, frame_limit, sequence_limit, receiver_ns, echo_ns, delivered, buffer_bytes, slots
    }
    Refuse as Refuse { flags, reason, limit }
    Close as Close { flags, reserved, frames, skipped, no_credit }
    Closed as Closed { flags, reserved, delivered, incomplete, no_slot }
    ParityHeader as Parity {
        flags, tail, sequence, frame, captured_ns, frame_bytes, index, blocks, parities, odd
    }
};

/// How the frames of the examples are cut.
const CUT: Cut = Cut::new(500, 548);

/// Everything that a peer checks before it believes a datagram.
fn check(kind: Kind, bytes: &[u8]) -> Result<(), WireError> {
    match kind {
        Kind::Slice => SliceHeader::parse_checked(bytes, bytes.len(), &CUT).map(drop),
        Kind::Parity => ParityHeader::parse_checked(bytes, bytes.len(), &CUT).map(drop),
        Kind::Nack => Nack::parse(bytes)?.bitmap(bytes).map(drop),
        Kind::Open => {
            let open = Open::parse(bytes)?;
            open.format()?;
            open.presentation()?;
            open.delivery().map(drop)
        }
        Kind::Close => Close::parse_checked(bytes).map(drop),
        _ => {
            let datagram = DATAGRAMS.iter().find(|datagram| datagram.kind == kind).unwrap();
            (datagram.again)(bytes).map(drop)
        }
    }
}

fn documented() -> impl Iterator<Item = (Datagram, Section)> {
    let sections = document::sections();
    assert_eq!(sections.len(), DATAGRAMS.len());
    DATAGRAMS.into_iter().zip(sections)
}

#[test]
fn the_tables_name_every_field_with_its_offset_and_size() {
    for (datagram, section) in documented() {
        let written = (section.name, section.kind, section.len, &section.fields[..]);
        assert_eq!(written, (datagram.name, datagram.kind as u8, datagram.len, datagram.fields));
        let end = datagram.fields.last().map(|(_, offset, size)| offset + size);
        assert_eq!(end, Some(datagram.len));
    }
}

#[test]
fn the_examples_are_the_bytes_of_the_values_beside_them_and_read_back() {
    for (datagram, section) in documented() {
        let (fields, tail) = section.golden.split_at(datagram.len);
        assert_eq!(fields, (datagram.emit)(&section), "{}", section.name);
        assert_eq!((datagram.again)(&section.golden).unwrap(), fields, "{}", section.name);
        assert_eq!(check(datagram.kind, &section.golden), Ok(()), "{}", section.name);
        let payload = match datagram.kind {
            Kind::Slice => SliceHeader::parse(fields).unwrap().payload(&CUT).len(),
            Kind::Parity => CUT.payload_bytes().into(),
            Kind::Nack => usize::from(Nack::parse(fields).unwrap().bitmap_bytes),
            _ => 0,
        };
        assert_eq!(tail.len(), payload, "{}", section.name);
    }
}

#[test]
fn an_example_that_is_cut_short_anywhere_is_refused() {
    for (datagram, section) in documented() {
        for len in 0..section.golden.len() {
            assert!(check(datagram.kind, &section.golden[..len]).is_err(), "{} cut to {len}", section.name);
            assert_eq!(Prelude::parse(&section.golden[..len]).is_ok(), len >= PRELUDE_LEN);
        }
    }
}

#[test]
fn bytes_behind_the_fields_are_ignored_except_behind_a_payload() {
    for (datagram, mut section) in documented() {
        section.golden.push(0);
        let refused = check(datagram.kind, &section.golden).is_err();
        assert_eq!(refused, matches!(datagram.kind, Kind::Slice | Kind::Parity), "{}", section.name);
    }
}

#[test]
fn another_magic_version_kind_or_flag_is_refused() {
    for (datagram, section) in documented() {
        let bent = |at: usize, byte: u8| {
            let mut bytes = section.golden.clone();
            bytes[at] = byte;
            check(datagram.kind, &bytes).unwrap_err()
        };
        assert_eq!((bent(0, 0), bent(1, 0)), (WireError::Magic, WireError::Magic));
        assert_eq!(bent(2, VERSION + 1), WireError::Version(VERSION + 1));
        for kind in [0, 12, 255] {
            assert_eq!(bent(3, kind), WireError::Kind(kind));
        }
        let other = 1 + datagram.kind as u8 % 11;
        assert_eq!(bent(3, other), WireError::Kind(other));
        for bit in (0..16).map(|bit| 1_u16 << bit).filter(|bit| bit & Flags::KNOWN == 0) {
            let mut bytes = section.golden.clone();
            bytes[PRELUDE_LEN..PRELUDE_LEN + 2].copy_from_slice(&bit.to_be_bytes());
            assert_eq!(check(datagram.kind, &bytes), Err(WireError::Flags(bit)));
        }
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    let code: [(&str, u64); 17] = [
        ("VERSION", VERSION.into()),
        ("PRELUDE_LEN", PRELUDE_LEN as u64),
        ("SLICE_HEADER_LEN", SLICE_HEADER_LEN as u64),
        ("DATAGRAM_MAX", DATAGRAM_MAX as u64),
        ("SLICE_BYTES_MIN", SLICE_BYTES_MIN as u64),
        ("NACK_BITMAP_MAX", NACK_BITMAP_MAX as u64),
        ("OPEN_FRAMES_MAX", OPEN_FRAMES_MAX as u64),
        ("EPOCHS_AHEAD_MAX", EPOCHS_AHEAD_MAX.into()),
        ("FRAME_NUMBER_END", FRAME_NUMBER_END),
        ("METADATA_MAX", METADATA_MAX as u64),
        ("TAIL_MAX", TAIL_MAX as u64),
        ("TIME_UNKNOWN", TIME_UNKNOWN),
        ("TAG_LEN", TAG_LEN as u64),
        ("SEAL_LEN", SEAL_LEN as u64),
        ("GENERATION_SHIFT", GENERATION_SHIFT.into()),
        ("SLICES_BACK", SLICES_BACK),
        ("CONTROLS_BACK", CONTROLS_BACK),
    ];
    assert_eq!(document::limits(), code);
    assert_eq!(MAGIC.to_be_bytes(), *b"FW");
    const { assert!(Nack::LEN + NACK_BITMAP_MAX + SEAL_LEN <= SLICE_BYTES_MIN) };
    const { assert!(Challenge::LEN < Open::LEN && Accept::LEN < Open::LEN && Refuse::LEN < Open::LEN) };
    assert_eq!(document::flags(), [(Flags::TAGGED, "TAGGED"), (Flags::REPAIR, "REPAIR")]);
    for (number, name) in document::refuse_reasons() {
        assert_eq!(format!("{:?}", RefuseReason::from_wire(number).unwrap()), name);
    }
    assert_eq!(RefuseReason::from_wire(document::refuse_reasons().len() as u16 + 1), None);
    let said = |field, from_wire: fn(u8) -> Option<&'static str>| {
        for (number, name) in document::choices(field) {
            assert_eq!(from_wire(number), Some(name), "{field}");
        }
        assert_eq!(from_wire(document::choices(field).len() as u8), None, "{field}");
    };
    said("scan", |number| Scan::from_wire(number).map(Scan::name));
    said("chroma", |number| ChromaPlace::from_wire(number).map(ChromaPlace::name));
    said("range", |number| ColourRange::from_wire(number).map(ColourRange::name));
    for (number, name) in document::choices("delivery") {
        assert_eq!(Delivery::from_wire(number).unwrap().name(), name);
    }
}

#[test]
fn the_formats_are_those_of_the_code_and_their_bytes_lie_as_the_table_says() {
    let formats = document::formats();
    let names: Vec<_> = formats.iter().map(|(code, name, ..)| (*code, *name)).collect();
    assert_eq!(names, PixelFormat::ALL.map(|format| (format.code(), format.name())));
    for (code, name, planes, group, step) in formats {
        let pixel = PixelFormat::from_wire(code).unwrap();
        assert_eq!(pixel.planes(), planes.len(), "{name}");
        for (width, height) in [(1, 1), (2, 2), (5, 3), (48, 2), (50, 7), (641, 481)] {
            let height = if pixel == PixelFormat::Bytes { 1 } else { height };
            let format = FrameFormat::new(pixel, width, height);
            assert_eq!(format.is_ok(), width % group == 0, "{name} {width}x{height}");
            let Ok(format) = format else { continue };
            let [bits, pixels, ..] = planes[0];
            let row = (width.div_ceil(pixels) * bits).div_ceil(8).next_multiple_of(step);
            assert_eq!(format.stride(), row, "{name} {width}x{height}");
            let stretched = (row * 8 * pixels).div_ceil(bits);
            for (plane, [bits, pixels, across, down]) in planes.iter().enumerate() {
                let row = (stretched.div_ceil(*across).div_ceil(*pixels) * bits).div_ceil(8);
                let stride = if plane == 0 { format.stride() } else { row };
                let bytes = stride * height.div_ceil(*down);
                assert_eq!(format.plane_bytes(plane), bytes as usize, "{name} {width}x{height}, plane {plane}");
            }
        }
    }
}

/// The timers are private to the modules that keep them, so the sources themselves are read.
#[test]
fn the_timers_are_those_of_the_sources() {
    let sources = [
        ("clock.rs", include_str!("../src/clock.rs")),
        ("driver/opening/cookie.rs", include_str!("../src/driver/opening/cookie.rs")),
        ("driver/opening/ended.rs", include_str!("../src/driver/opening/ended.rs")),
        ("driver/opening/patience.rs", include_str!("../src/driver/opening/patience.rs")),
        ("driver/errors.rs", include_str!("../src/driver/errors.rs")),
        ("driver/listener.rs", include_str!("../src/driver/listener.rs")),
        ("driver/plain/receiver.rs", include_str!("../src/driver/plain/receiver.rs")),
        ("driver/plain/sender.rs", include_str!("../src/driver/plain/sender.rs")),
        ("driver/rebind.rs", include_str!("../src/driver/rebind.rs")),
        ("driver/receive_loop.rs", include_str!("../src/driver/receive_loop.rs")),
        ("path_model.rs", include_str!("../src/path_model.rs")),
        ("receive/loss.rs", include_str!("../src/receive/loss.rs")),
        ("receive/reorder.rs", include_str!("../src/receive/reorder.rs")),
        ("receive/stream.rs", include_str!("../src/receive/stream.rs")),
        ("send/fec.rs", include_str!("../src/send/fec.rs")),
        ("send/loss_meter.rs", include_str!("../src/send/loss_meter.rs")),
        ("send/pace.rs", include_str!("../src/send/pace.rs")),
        ("send/path.rs", include_str!("../src/send/path.rs")),
        ("send/subscriber/reports.rs", include_str!("../src/send/subscriber/reports.rs")),
        ("send/subscriber.rs", include_str!("../src/send/subscriber.rs")),
        ("send/subscriber/protected.rs", include_str!("../src/send/subscriber/protected.rs")),
        ("send/subscriber/doubt.rs", include_str!("../src/send/subscriber/doubt.rs")),
    ];
    for (file, constant, default_ns) in document::timers() {
        let source = sources.iter().find(|(name, _)| *name == file).unwrap_or_else(|| panic!("{file} is not read")).1;
        let declared = source
            .split_once(&format!("const {constant}: Duration = Duration::from_"))
            .unwrap_or_else(|| panic!("{file} has no {constant}"))
            .1;
        let (unit, rest) = declared.split_once('(').unwrap();
        let amount: u64 = rest.split_once(')').unwrap().0.parse().unwrap();
        let unit = match unit {
            "secs" => "s",
            "millis" => "ms",
            "micros" => "µs",
            _ => panic!("{file} gives {constant} in {unit}"),
        };
        assert_eq!(amount * document::unit_ns(unit), default_ns, "{constant} in {file}");
    }
    let silence =
        document::timers().into_iter().find(|(file, name, _)| (*file, *name) == ("receive/stream.rs", "SILENCE_MAX"));
    assert_eq!(silence.map(|(_, _, ns)| u128::from(ns)), Some(receive::SILENCE_MAX.as_nanos()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_emitted_reads_back_the_same(noise in proptest::collection::vec(any::<u8>(), 128), repair in any::<bool>()) {
        for (datagram, section) in documented() {
            // Any values in all fields, behind a prelude and flags that are valid.
            let mut bytes = [&section.golden[..4], &noise[4..datagram.len]].concat();
            let flags = if repair { Flags::REPAIR } else { 0 };
            bytes[PRELUDE_LEN..PRELUDE_LEN + 2].copy_from_slice(&flags.to_be_bytes());
            prop_assert_eq!((datagram.again)(&bytes), Ok(bytes));
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(
        // Half of the bytes all ones: sums and products of such fields overflow first.
        noise in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xff)], 0..700),
        kept in 0_usize..60,
        which in 0_usize..11,
        datagram_len in any::<usize>(),
    ) {
        let (_, section) = documented().nth(which).unwrap();
        let mut bytes = noise;
        // The first bytes are a true datagram's, so that the checks behind the prelude are reached.
        let kept = kept.min(bytes.len()).min(section.golden.len());
        bytes[..kept].copy_from_slice(&section.golden[..kept]);
        let _ = Prelude::parse(&bytes);
        let _ = SliceHeader::parse_checked(&bytes, datagram_len, &CUT);
        let _ = ParityHeader::parse_checked(&bytes, datagram_len, &CUT);
        for datagram in DATAGRAMS {
            let _ = check(datagram.kind, &bytes);
        }
    }

    #[test]
    fn a_bitmap_lies_inside_its_datagram(bitmap_bytes in 0_u16..600, behind in 0_usize..600) {
        let nack = Nack { stream: 1, epoch: 1, flags: 0, bitmap_bytes, frame: 0, first: 0 };
        let mut bytes = nack.emit().to_vec();
        bytes.resize(Nack::LEN + behind, 0xff);
        let bitmap = Nack::parse(&bytes).unwrap().bitmap(&bytes);
        let len = usize::from(bitmap_bytes);
        prop_assert_eq!(bitmap.is_ok(), len <= NACK_BITMAP_MAX && len <= behind);
        if let Ok(bitmap) = bitmap {
            prop_assert_eq!(bitmap.len(), len);
        }
    }

    #[test]
    fn slices_that_pass_the_check_cut_their_frame_without_gap_or_overlap(
        longest in 1_u32..200_000,
        shorter in 0_u32..5_000,
        slice_bytes in 0_usize..70_000,
        tail in 0_u16..4_000,
        frame in 0..FRAME_NUMBER_END,
    ) {
        let cut = Cut::new(longest, slice_bytes);
        let frame_bytes = longest.saturating_sub(shorter).max(1);
        let tail = tail.min(u16::try_from(frame_bytes - 1).unwrap_or(u16::MAX));
        let count = cut.of(frame_bytes).slices();
        let header = |index| SliceHeader {
            stream: 1, epoch: 2, flags: 0, tail, sequence: 3, frame, captured_ns: 4, frame_bytes, index, sent_after_us: 5,
        };
        let read = |header: SliceHeader, len| SliceHeader::parse_checked(&header.emit(), len, &cut);
        let mut end = 0;
        for index in 0..count.min(64) {
            let slice = header(index);
            let payload = slice.payload(&cut);
            prop_assert_eq!(payload.start, end);
            end = payload.end;
            let len = SLICE_HEADER_LEN + payload.len();
            prop_assert_eq!(read(slice, len), Ok(slice));
            prop_assert!(read(slice, len - 1).is_err());
            prop_assert!(read(slice, len + 1).is_err());
        }
        prop_assert!(end == frame_bytes as usize || count > 64);
        // No slice is behind the frame, whatever its length says; the length of such a one is that of its header.
        for index in [count, count.saturating_add(1), u32::MAX] {
            prop_assert_eq!(read(header(index), SLICE_HEADER_LEN), Err(WireError::Value("index")));
        }
        let first = SLICE_HEADER_LEN + header(0).payload(&cut).len();
        let odd = [
            (SliceHeader { frame: FRAME_NUMBER_END, ..header(0) }, "frame"),
            (SliceHeader { frame_bytes: longest + 1, ..header(0) }, "frame_bytes"),
            (SliceHeader { frame_bytes: 0, tail: 0, ..header(0) }, "tail"),
            (SliceHeader { tail: 4_097, ..header(0) }, "tail"),
            (SliceHeader { tail: 0x6001, ..header(0) }, "tail"),
            (SliceHeader { frame_bytes: 1.max(frame_bytes.min(4_096)), tail: 4_096, ..header(0) }, "tail"),
        ];
        for (header, field) in odd {
            prop_assert_eq!(read(header, first), Err(WireError::Value(field)), "{:?}", header);
        }
    }
}
