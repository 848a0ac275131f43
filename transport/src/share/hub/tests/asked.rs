//! What a hub answers: which streams there are, what it refuses, and whom it hands on.

use super::*;

#[test]
fn what_is_refused_is_refused_with_the_number_and_leaves_nothing_behind() {
    let host = Host::new(Delivery::Latest, |config| config.reader_slots(5));
    let refused = |stream: &str, wanted| TestReader::subscribe(host.socket(), stream, wanted).err().unwrap();
    assert_eq!(refused("front", QUEUE), (Refusal::Slots, 5, 5));
    assert_eq!(refused("front", BLOCK).0, Refusal::Block);
    assert_eq!(refused("rear", LATEST).0, Refusal::NoSuchStream);
    let first = host.read(LATEST);
    assert_eq!(refused("front", LATEST), (Refusal::Slots, 2, 5));
    drop(first);
    host.until_gone();
    let (socket, mut bytes) = (host.socket(), [0; PACKET_MAX]);
    packet::send(&socket, b"FS\x09\x01\x01", &[]).unwrap();
    let (len, _) = receive(&socket, &mut bytes).unwrap();
    let version = FromHub::Refused { refusal: Refusal::Version, number: 1, limit: 0 };
    assert_eq!(FromHub::parse(&bytes[..len]), Ok(version));
    assert!(receive(&socket, &mut bytes).is_none());
}

#[test]
fn who_watches_hears_of_streams_that_appear_and_go() {
    let host = Host::new(Delivery::Latest, |config| config);
    let hub = host.hub.as_ref().unwrap();
    let (socket, mut bytes) = (host.socket(), [0; PACKET_MAX]);
    say(&socket, &ToHub::List { watch: true });
    let mut heard = || {
        let (len, _) = receive(&socket, &mut bytes).unwrap();
        match FromHub::parse(&bytes[..len]).unwrap() {
            FromHub::Stream(stream) => format!("+{} {}", stream.name.as_str(), stream.readers),
            FromHub::Listed { streams } => format!("={streams}"),
            FromHub::Gone { name } => format!("-{}", name.as_str()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([heard(), heard()], ["+front 0", "=1"]);
    let rear = hub.share(Some("rear"), to_share(&host.pool, 5, Delivery::Latest)).unwrap();
    assert_eq!(heard(), "+rear 0");
    hub.rename(&rear, "back").unwrap();
    assert_eq!([heard(), heard()], ["+back 0", "-rear"]);
    crate::frame::Outlet::end(&*rear);
    assert_eq!(heard(), "-back");
    for wrong in ["", "a\nb", &"x".repeat(257)] {
        assert!(matches!(hub.rename(&rear, wrong), Err(ShareError::Name(_))), "{wrong:?}");
    }
}

#[test]
fn a_local_sender_is_handed_on_with_its_connection_or_refused() {
    let host = Host::new(Delivery::Latest, |config| config);
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 64).unwrap();
    let open = open_of(&format, Delivery::Every, &Presentation::default(), 0);
    let enter = ToHub::Enter { open, nonce: 5, network: 6 };
    let (socket, mut bytes) = (host.socket(), [0; PACKET_MAX]);
    say(&socket, &enter);
    let (len, _) = receive(&socket, &mut bytes).unwrap();
    let refused = FromHub::Refused { refusal: Refusal::NoSenders, number: 0, limit: 0 };
    assert_eq!(FromHub::parse(&bytes[..len]), Ok(refused));
    let (taken, takes) = std::sync::mpsc::channel();
    host.hub.as_ref().unwrap().set_entrance(Arc::new(move |entering| taken.send(entering).unwrap()));
    let socket = host.socket();
    say(&socket, &enter);
    let entering = takes.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!((entering.open, entering.nonce, entering.network), (open, 5, 6));
    assert_eq!(entering.peer.pid, std::process::id());
    packet::send(&entering.socket, Packet::from(&FromHub::Preparing).bytes(), &[]).unwrap();
    assert_eq!(receive(&socket, &mut bytes).unwrap().0, 4);
}
