use super::*;
use crate::frame::{FrameRate, PixelFormat};
use crate::share::lease::Overflow;

fn name(text: &str) -> Name<'_> {
    Name::new(text).unwrap()
}

fn described(name_of: &str) -> Described<'_> {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    let rate = FrameRate::new(60, 1).unwrap();
    let open = open_of(&format, Delivery::Latest, &Presentation::from(rate), 4104);
    Described { name: name(name_of), open, path: 1, readers: 3 }
}

const SHAPE: PoolShape = PoolShape { slots: 33, slot_bytes: 307_200, stride: 307_200, tail_bytes: 4104 };
const WANTED: Wanted = Wanted { overflow: Overflow::Wait, words: 8, hold: 2 };

fn to_hub(longest: &str) -> [ToHub<'_>; 6] {
    [
        ToHub::List { watch: true },
        ToHub::Subscribe { wanted: WANTED, stream: name(longest), program: name(longest) },
        ToHub::Enter { open: described("").open, nonce: 1, network: 2 },
        ToHub::Mapped,
        ToHub::Told,
        ToHub::Close,
    ]
}

fn from_hub(longest: &str) -> [FromHub<'_>; 8] {
    [
        FromHub::Stream(described(longest)),
        FromHub::Listed { streams: 7 },
        FromHub::Gone { name: name(longest) },
        FromHub::Subscribed { stream: described(longest), shape: SHAPE, wanted: WANTED, now_ns: 9 },
        FromHub::Refused { refusal: Refusal::Slots, number: 1, limit: 24 },
        FromHub::Preparing,
        FromHub::Entered { shape: SHAPE },
        FromHub::Closed(ClosedCounts { delivered: 1, skipped: 2, settled: 3 }),
    ]
}

#[test]
fn every_message_is_read_as_it_was_written_with_the_longest_names_and_cut_off_nowhere() {
    let longest = "\u{1f4f7}".repeat(64);
    assert_eq!(longest.len(), NAME_BYTES_MAX);
    for message in to_hub(&longest) {
        let packet = Packet::from(&message);
        assert_eq!(ToHub::parse(packet.bytes()), Ok(message));
        for len in 0..packet.bytes().len() {
            assert_eq!(ToHub::parse(&packet.bytes()[..len]), Err(MessageError::Short(len)), "{message:?}");
        }
    }
    for message in from_hub(&longest) {
        let packet = Packet::from(&message);
        assert_eq!(FromHub::parse(packet.bytes()), Ok(message));
        for len in 0..packet.bytes().len() {
            assert_eq!(FromHub::parse(&packet.bytes()[..len]), Err(MessageError::Short(len)), "{message:?}");
        }
    }
}

#[test]
fn what_lies_where_on_the_socket_stays_so() {
    let subscribe = ToHub::Subscribe { wanted: WANTED, stream: name("front"), program: name("viewer") };
    assert_eq!(Packet::from(&subscribe).bytes(), b"FS\x01\x02\x01\x08\x02\0\x05front\0\x06viewer");
    let refused = FromHub::Refused { refusal: Refusal::Slots, number: 1, limit: 24 };
    assert_eq!(Packet::from(&refused).bytes(), b"FS\x01\x85\x03\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x18");
    let entered = Packet::from(&FromHub::Entered { shape: SHAPE });
    assert_eq!(entered.bytes()[..4], *b"FS\x01\x87");
    assert_eq!(entered.bytes()[4..12], 33_u64.to_be_bytes());
    let subscribed =
        Packet::from(&FromHub::Subscribed { stream: described("front"), shape: SHAPE, wanted: WANTED, now_ns: 9 });
    let at = 4 + 3 + 8 + 4 * 8;
    assert_eq!(subscribed.bytes()[at..at + Open::LEN], described("front").open.emit());
    assert_eq!(subscribed.bytes()[at + Open::LEN..], *b"\x01\0\x03\0\x05front");
}

#[test]
fn what_no_program_says_is_refused_with_what_is_wrong() {
    let wrong = |message: ToHub<'_>, at: usize, byte: u8| {
        let mut bytes = Packet::from(&message).bytes().to_vec();
        bytes[at] = byte;
        ToHub::parse(&bytes).unwrap_err()
    };
    let subscribe = ToHub::Subscribe { wanted: WANTED, stream: name("front"), program: name("viewer") };
    assert_eq!(wrong(subscribe, 0, b'G'), MessageError::Magic);
    assert_eq!(wrong(subscribe, 2, 9), MessageError::Version(9));
    assert_eq!(wrong(subscribe, 3, 132), MessageError::Kind(132));
    assert_eq!(wrong(subscribe, 4, 2), MessageError::Value("policy"));
    assert_eq!(wrong(subscribe, 5, 9), MessageError::Value("queue"));
    assert_eq!(wrong(subscribe, 6, 0), MessageError::Value("hold"));
    assert_eq!(wrong(subscribe, 9, 0xff), MessageError::Value("name"));
    assert_eq!(wrong(subscribe, 9, b'\n'), MessageError::Value("name"));
    assert_eq!(wrong(subscribe, 7, 0xff), MessageError::Short(22));
    let enter = ToHub::Enter { open: described("").open, nonce: 1, network: 2 };
    assert_eq!(wrong(enter, 4, 0), MessageError::Value("open"));
    let mut shape = SHAPE;
    shape.slots = 65;
    let packet = Packet::from(&FromHub::Entered { shape });
    assert_eq!(FromHub::parse(packet.bytes()), Err(MessageError::Value("pool")));
    shape = PoolShape { stride: 8192, ..SHAPE };
    let packet = Packet::from(&FromHub::Entered { shape });
    assert_eq!(FromHub::parse(packet.bytes()), Err(MessageError::Value("pool")));
}

#[test]
fn a_refusal_is_understood_in_any_version() {
    let refused = FromHub::Refused { refusal: Refusal::Version, number: 2, limit: 0 };
    let mut bytes = Packet::from(&refused).bytes().to_vec();
    bytes[2] = 2;
    assert_eq!(FromHub::parse(&bytes), Ok(refused));
}
