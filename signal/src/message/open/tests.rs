use super::*;
use crate::message::Numbered;
use serde_json::json;

fn request() -> OpenRequest {
    OpenRequest {
        protocol: 1,
        stream: 7,
        name: "bench".into(),
        pixel: "gray8".into(),
        width: 640,
        height: 480,
        stride: 640,
        frames_per_second: None,
        delivery: Delivery::Every,
        slice_bytes: None,
        metadata_bytes_max: None,
        on_demand: false,
        priority: None,
        incarnation: None,
    }
}

#[test]
fn an_open_request_reads_back_as_it_was_written() {
    let numbered = Numbered { request: Some(3), body: request() };
    let value = serde_json::to_value(&numbered).unwrap();
    assert_eq!(
        value,
        json!({"request": 3, "protocol": 1, "stream": 7, "name": "bench", "pixel": "gray8", "width": 640,
            "height": 480, "stride": 640, "delivery": "every"})
    );
    assert_eq!(serde_json::from_value::<Numbered<OpenRequest>>(value).unwrap(), numbered);
}

#[test]
fn a_request_needs_neither_a_request_id_nor_a_name_and_may_have_fields_of_a_later_version() {
    let value = json!({"protocol": 1, "stream": 7, "pixel": "gray8", "width": 640, "height": 480, "stride": 640,
        "delivery": "latest", "colour_range": "full"});
    let read: Numbered<OpenRequest> = serde_json::from_value(value).unwrap();
    assert_eq!((read.request, read.body.name.as_str()), (None, ""));
    assert_eq!(read.body.delivery, Delivery::Latest);
}

#[test]
fn replies_say_which_they_are() {
    let opened = Opened { stream: 7, udp_host: None, udp_port: 9, protocol: 1, share: None, key: None, grant: None };
    let granted = Granted { opened, resume: Some(Resume("s".into())) };
    let value = serde_json::to_value(Numbered { request: Some(3), body: OpenReply::Opened(granted) }).unwrap();
    let written = json!({"request": 3, "reply": "opened", "stream": 7, "udp_port": 9, "protocol": 1, "resume": "s"});
    assert_eq!(value, written);
    let OpenReply::Opened(read) = serde_json::from_value(written).unwrap() else { panic!("it is opened") };
    assert_eq!((read.opened.udp_port, read.resume.unwrap().secret()), (9, "s"));
    let refused: OpenReply =
        serde_json::from_value(json!({"reply": "refused", "reason": "r", "message": "m"})).unwrap();
    let OpenReply::Refused(refused) = refused else { panic!("it is refused") };
    assert_eq!(refused, Refused::new("r", "m"));
}

#[test]
fn a_streams_key_is_read_as_it_is_written_and_never_printed() {
    let key = Key::from_bytes([7; 32]);
    let opened = Opened::new(7, 9).key(key.clone());
    let mut written = serde_json::to_value(&opened).unwrap();
    assert_eq!(written["key"], key.to_text());
    assert_eq!(serde_json::from_value::<Opened>(written.clone()).unwrap(), opened);
    assert!(!format!("{opened:?}").contains(&key.to_text()), "{opened:?}");
    written["key"] = json!(&key.to_text()[1..]);
    let error = serde_json::from_value::<Opened>(written.clone()).unwrap_err().to_string();
    assert!(error.contains("43 characters") && !error.contains(&key.to_text()[1..9]), "{error}");
    written["key"] = json!(null);
    assert_eq!(serde_json::from_value::<Opened>(written).unwrap().key, None);
}

#[test]
fn a_secret_to_resume_with_is_long_enough_and_never_printed() {
    let secret = Resume::random().unwrap();
    assert!(secret.secret() != Resume::random().unwrap().secret());
    #[cfg(feature = "server")]
    assert!(secret.is(&secret) && !secret.is(&Resume::random().unwrap()));
    assert_eq!((secret.secret().len(), format!("{secret:?}").as_str()), (32, "Resume(…)"));
    let opening = |resume: &str| Opening { request: request(), resume: Some(Resume(resume.into())) };
    opening(secret.secret()).check().unwrap();
    for bad in ["", "short", &"x".repeat(97), "a space in what would be long enough"] {
        let refused = opening(bad).check().unwrap_err();
        assert_eq!(refused.reason, reason::BAD_REQUEST);
        assert!(refused.message.contains("'resume'"), "{refused}");
    }
}

#[test]
fn a_pixel_format_goes_by_any_of_its_names_and_one_that_is_not_known_is_answered_with_the_nearest() {
    for name in ["gray8", "Mono8", "GREY", "mono8", "0x01080001"] {
        let request = OpenRequest { pixel: name.into(), ..request() };
        request.check().unwrap();
        assert_eq!(request.format().unwrap().pixel().name(), "gray8", "{name}");
    }
    let refused = OpenRequest { pixel: "grey9".into(), ..request() }.format().unwrap_err();
    assert_eq!(refused.reason, reason::BAD_REQUEST);
    assert!(refused.message.contains("'grey9'") && refused.message.contains("did you mean"), "{refused}");
    let long = OpenRequest { pixel: "x".repeat(1_000_000), ..request() };
    for refused in [long.check().unwrap_err(), long.format().unwrap_err()] {
        assert!(refused.message.len() < 1_000, "{} bytes of answer", refused.message.len());
    }
}

#[test]
fn what_is_out_of_range_is_named_in_the_refusal() {
    let bytes = OpenRequest { pixel: "bytes".into(), height: 1, ..request() };
    let cases: [(&str, OpenRequest); 15] = [
        ("4097 bytes of metadata", OpenRequest { metadata_bytes_max: Some(4_097), ..request() }),
        ("height 480", OpenRequest { height: 480, ..bytes.clone() }),
        ("stride 640", OpenRequest { width: 641, ..bytes.clone() }),
        ("width 0", OpenRequest { width: 0, stride: 0, ..bytes.clone() }),
        ("65 characters", OpenRequest { name: "x".repeat(65), ..request() }),
        ("control characters", OpenRequest { name: "a\u{7}b".into(), ..request() }),
        ("\"front@hall-1\" has an '@'", OpenRequest { name: "front@hall-1".into(), ..request() }),
        ("0.0000000001 frames a second", OpenRequest { frames_per_second: Some(1e-10), ..request() }),
        ("pixel format", OpenRequest { pixel: String::new(), ..request() }),
        ("pixel format", OpenRequest { pixel: "a\u{7}b".into(), ..request() }),
        ("a width of 0 pixels", OpenRequest { width: 0, ..request() }),
        ("a height of 65537 pixels", OpenRequest { height: 65_537, ..request() }),
        ("a stride of 0 bytes", OpenRequest { stride: 0, ..request() }),
        ("NaN frames a second", OpenRequest { frames_per_second: Some(f64::NAN), ..request() }),
        ("slices of 0 bytes", OpenRequest { slice_bytes: Some(0), ..request() }),
    ];
    for (said, request) in cases {
        let refused = request.check().unwrap_err();
        assert_eq!(refused.reason, reason::BAD_REQUEST);
        assert!(refused.message.contains(said), "{:?} does not say {said:?}", refused.message);
    }
    request().check().unwrap();
    let large = 5_000_000;
    OpenRequest { width: large, stride: large, metadata_bytes_max: Some(4_096), ..bytes }.check().unwrap();
    OpenRequest { name: "ü".repeat(64), frames_per_second: Some(59.94), ..request() }.check().unwrap();
}
