use super::*;
use crate::message::{FRAMES_PER_SECOND_MIN, Numbered};
use framewire_transport::PixelFormat;
use serde_json::json;

fn request() -> WatchRequest {
    WatchRequest::new(7, "front", 9_000)
}

fn watching() -> Watching {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    Watching::new(7, "front", &format, Delivery::Latest)
}

fn refusal(request: &WatchRequest) -> Refused {
    let refused = request.check().unwrap_err();
    assert_eq!(refused.reason, reason::BAD_REQUEST);
    refused
}

#[test]
fn a_wish_is_written_as_documented_and_reads_back() {
    let written = json!({"request": 20, "protocol": PROTOCOL, "stream": 7, "name": "front", "udp_port": 9_000});
    assert_eq!(serde_json::to_value(Numbered { request: Some(20), body: request() }).unwrap(), written);
    assert_eq!(serde_json::from_value::<Numbered<WatchRequest>>(written).unwrap().body, request());
    let node = "0123456789abcdef".repeat(2);
    let hops = Hops::new([node.parse().unwrap()]).unwrap();
    let whole = request().delivery(Delivery::Every).frames_per_second_max(7.5).slice_bytes(1_472).hops(hops);
    whole.check().unwrap();
    let written = json!({"protocol": PROTOCOL, "stream": 7, "name": "front", "udp_port": 9_000, "delivery": "every",
        "frames_per_second_max": 7.5, "slice_bytes": 1_472, "hops": [node]});
    assert_eq!(serde_json::to_value(&whole).unwrap(), written);
    assert_eq!(serde_json::from_value::<WatchRequest>(written).unwrap(), whole);
}

#[test]
fn there_is_no_way_to_say_another_address_and_what_looks_like_one_is_not_read() {
    let with_more = json!({"protocol": PROTOCOL, "stream": 7, "name": "front", "udp_port": 9_000, "ip": "198.51.100.1",
        "udp_host": "198.51.100.1", "udp": "198.51.100.1:53", "delivery": null});
    assert_eq!(serde_json::from_value::<WatchRequest>(with_more).unwrap(), request());
}

#[test]
fn what_is_out_of_range_is_named_in_the_refusal() {
    let cases = [
        ("without a name", WatchRequest { name: String::new(), ..request() }),
        ("130 characters", WatchRequest { name: "ü".repeat(130), ..request() }),
        ("control characters", WatchRequest { name: "a\u{1b}[2J".into(), ..request() }),
        ("port 0", WatchRequest { udp_port: 0, ..request() }),
        ("NaN frames a second", request().frames_per_second_max(f64::NAN)),
        ("-1 frames a second", request().frames_per_second_max(-1.0)),
        ("0.0000000001 frames a second", request().frames_per_second_max(1e-10)),
        ("slices of 0 bytes", request().slice_bytes(0)),
    ];
    for (said, request) in cases {
        let refused = refusal(&request);
        assert!(refused.message.contains(said), "{:?} does not say {said:?}", refused.message);
    }
    request().frames_per_second_max(FRAMES_PER_SECOND_MIN).check().unwrap();
    WatchRequest { name: format!("{}@{}", "ü".repeat(64), "n".repeat(64)), ..request() }.check().unwrap();
}

#[test]
fn what_is_said_of_a_name_of_a_million_characters_is_short() {
    let said = refusal(&WatchRequest { name: "x".repeat(1_000_000), ..request() }).message;
    assert!(said.contains("1000000 characters") && said.len() < 200, "{} bytes of answer", said.len());
}

#[test]
fn an_answer_says_which_it_is_and_its_key_is_never_printed() {
    let key = Key::from_bytes([7; 32]);
    let sealed = watching().key(key.clone()).frames_per_second(30.0).metadata_bytes_max(16).node("n".to_owned());
    let written = json!({"reply": "watching", "stream": 7, "name": "front", "node": "n", "pixel": "gray8", "width": 640, "height": 480,
        "stride": 640, "delivery": "latest", "frames_per_second": 30.0, "metadata_bytes_max": 16, "key": key.to_text()});
    assert_eq!(serde_json::to_value(WatchReply::from(WatchAnswer::Watching(sealed.clone()))).unwrap(), written);
    assert!(!format!("{sealed:?}").contains(&key.to_text()), "{sealed:?}");
    let WatchReply::Watching(read) = serde_json::from_value(written).unwrap() else { panic!("it is watched") };
    assert_eq!(read, sealed);
    let waiting = WatchAnswer::Waiting(Waiting::new(7, "not there").nearest("front".to_owned()));
    let written = json!({"reply": "waiting", "stream": 7, "message": "not there", "nearest": "front"});
    assert_eq!(serde_json::to_value(WatchReply::from(waiting)).unwrap(), written);
    let refused: WatchReply =
        serde_json::from_value(json!({"reply": "refused", "reason": "r", "message": "m"})).unwrap();
    assert!(matches!(refused, WatchReply::Refused(refused) if refused == Refused::new("r", "m")));
}

#[test]
fn what_a_server_says_of_format_and_hops_is_not_believed_beyond_what_there_is() {
    assert_eq!(watching().format().unwrap(), FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap());
    for wrong in [
        Watching { pixel: "gray9".into(), ..watching() },
        Watching { stride: 1, ..watching() },
        Watching { height: 0, ..watching() },
        watching().metadata_bytes_max(4_097),
    ] {
        assert_eq!(wrong.format().unwrap_err().reason, reason::BAD_REQUEST, "{wrong:?}");
    }
    let mut said = serde_json::to_value(watching()).unwrap();
    let node = |digit: &str| digit.repeat(32);
    for hops in
        [json!(["a", "b", "c", "d"].map(node)), json!(["a", "a"].map(node)), json!(["a"]), json!("a"), json!([7])]
    {
        said["hops"] = hops;
        assert!(serde_json::from_value::<Watching>(said.clone()).is_err(), "{said}");
    }
}
