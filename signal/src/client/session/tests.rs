use super::*;
use crate::ServerTarget;
use crate::message::{Delivery, OpenRequest};

#[tokio::test(start_paused = true)]
async fn what_a_server_said_before_it_closed_is_heard_after_a_write_has_failed() {
    let url = ServerUrl::parse("http://127.0.0.1:1").unwrap();
    let config = ClientConfig::new(url.to_string()).plain(true);
    let (events, wishes, line) = (EventQueue::default(), Wishes::default(), Arc::default());
    let mut list = ServerList::new(&config).unwrap();
    let server = list.at(0).clone();
    let mut incarnation = Incarnation::default();
    let mut session = Session::new(&server, &mut list, &events, &wishes, &line, &mut incarnation);
    let (sender, mut signals) = mpsc::channel(8);
    let server = async {
        for size in 0..3 {
            let data = serde_json::json!({"timestamp": "", "frame_size": size});
            sender.send(Signal::Said { name: event::FEEDBACK.into(), data }).await.unwrap();
            tokio::time::sleep(LAST_WORDS / 4).await;
        }
    };
    tokio::join!(session.hear_last_words(&mut signals), server);
    let sizes = std::iter::from_fn(|| match events.next(Duration::ZERO)? {
        ClientEvent::PlainFeedback(plain) => Some(plain.frame_size),
        other => panic!("{other:?}"),
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn an_answer_to_open_that_cannot_be_understood_ends_the_session_with_what_is_wrong_with_it() {
    let url = ServerUrl::parse("http://127.0.0.1:1").unwrap();
    let config = ClientConfig::new(url.to_string());
    let (events, wishes, line) = (EventQueue::default(), Wishes::default(), Arc::default());
    let mut list = ServerList::new(&config).unwrap();
    let server = list.at(0).clone();
    let mut incarnation = Incarnation::default();
    let mut session = Session::new(&server, &mut list, &events, &wishes, &line, &mut incarnation);
    let answer = |request: u64, port: Value| serde_json::json!({"request": request, "reply": "opened", "stream": 1, "udp_port": port, "protocol": 2});
    session.open_deadline = Some(Instant::now() + OPEN_TIMEOUT);
    // Of another request it says nothing about this one.
    assert!(session.hear(event::OPENED, answer(9, 99_999.into())).is_ok());
    for (port, says) in [(Value::from(99_999), "99999"), ("x".into(), "\"x\""), (Value::Null, "null")] {
        match session.hear(event::OPENED, answer(OPEN_ID, port)) {
            Err(End::Lost { reason }) => {
                assert!(reason.contains("cannot be understood") && reason.contains(says), "{reason}");
            }
            _ => panic!("{says} was taken"),
        }
    }
    assert!(session.hear(event::OPENED, answer(OPEN_ID, 12_345.into())).is_ok());
    assert!(matches!(events.next(Duration::ZERO), Some(ClientEvent::Opened(opened)) if opened.udp_port == 12_345));
}

#[test]
fn a_server_whose_heart_beats_and_that_answers_nothing_is_no_server_to_come_back_to() {
    let url = ServerUrl::parse("http://127.0.0.1:1").unwrap();
    let config = ClientConfig::new(url.to_string());
    let (events, wishes, line) = (EventQueue::default(), Wishes::default(), Arc::default());
    let mut list = ServerList::new(&config).unwrap();
    let server = list.at(0).clone();
    let mut incarnation = Incarnation::default();
    let mut session = Session::new(&server, &mut list, &events, &wishes, &line, &mut incarnation);
    let begun = Instant::now();
    session.open_deadline = Some(begun + OPEN_TIMEOUT);
    let late = begun + OPEN_TIMEOUT + Duration::from_millis(1);
    session.last_answer = Some(late);
    assert_eq!(session.owed(begun + OPEN_TIMEOUT), None);
    assert!(session.owed(late).unwrap().contains("\"open\""));
    assert!(session.owed(late + SILENCE_MAX + HEARTBEAT).unwrap().contains("silent"));
}

#[test]
fn a_connection_has_held_once_the_client_had_what_it_is_there_for_however_long_the_server_took_to_refuse_it() {
    let url = ServerUrl::parse("http://127.0.0.1:1").unwrap();
    let (events, line) = (EventQueue::default(), Arc::default());
    let format = framewire_transport::FrameFormat::new(framewire_transport::PixelFormat::Gray8, 8, 8).unwrap();
    let open = OpenRequest::new(1, &format, Delivery::Latest);
    let refused = || End::TurnedAway(Refused::new("full", ""));
    let config = || ClientConfig::new(url.to_string()).others(vec![ServerTarget::new("http://127.0.0.1:2")]);
    let opened = serde_json::json!({"request": OPEN_ID, "reply": "opened", "stream": 1, "udp_port": 1, "protocol": 2});
    let no = serde_json::json!({"request": OPEN_ID, "reply": "refused", "reason": "full", "message": ""});
    // What it is there for, what the server says, and whether that holds.
    for (open, said, holds) in [
        (None, None, true),
        (Some(open.clone()), None, false),
        (Some(open.clone()), Some((event::REFUSED, no)), false),
        (Some(open), Some((event::OPENED, opened)), true),
    ] {
        let mut config = config();
        config.open = open;
        let (wishes, mut incarnation) = (Wishes::default(), Incarnation::default());
        let mut list = ServerList::new(&config).unwrap();
        let server = list.at(0).clone();
        let mut session = Session::new(&server, &mut list, &events, &wishes, &line, &mut incarnation);
        session.connected(Instant::now());
        session.open_deadline = Some(Instant::now() + OPEN_TIMEOUT);
        let what = format!("{said:?}");
        if let Some((name, data)) = said {
            assert_eq!(session.hear(name, data).is_err(), !holds, "{what}");
        }
        let late = Instant::now() + HELD;
        assert_eq!(session.has_held(&refused(), late), holds, "{what}");
        assert!(!session.has_held(&refused(), late - 2 * HELD), "{what}: that was no time");
        assert!(session.has_held(&End::Moved { reason: String::new() }, late), "it was there");
    }
}
