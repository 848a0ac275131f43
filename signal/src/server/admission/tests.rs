use std::net::IpAddr;

use super::*;

fn gate() -> Gate {
    Gate::new(&["https://Monitor.example/".into()], 8, Duration::from_secs(10))
}

fn judge_lines(path: &str, lines: &[(&str, &str)]) -> Result<Origin, String> {
    let name = |name: &str| header::HeaderName::from_bytes(name.as_bytes()).unwrap();
    let headers = lines.iter().map(|(line, value)| (name(line), value.parse().unwrap())).collect();
    gate().judge(&Method::GET, &path.parse().unwrap(), &headers, false)
}

fn judge(origin: Option<&str>, host: &str) -> Result<Origin, String> {
    let mut lines = vec![("host", host)];
    lines.extend(origin.map(|origin| ("origin", origin)));
    judge_lines("/socket.io/", &lines)
}

#[test]
fn what_is_no_browser_passes_and_so_does_a_page_of_the_same_host() {
    assert_eq!(judge(None, "10.0.0.1:8080"), Ok(Origin::None));
    for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "cam.localhost:8080"] {
        assert_eq!(judge(Some(&format!("http://{host}")), host), Ok(Origin::Same), "{host}");
    }
}

#[test]
fn where_tls_is_spoken_a_page_that_came_without_it_is_a_stranger() {
    let judge = |origin: &str, is_protected| {
        let lines = [("host", "127.0.0.1:8080"), ("origin", origin)];
        let headers =
            lines.iter().map(|(line, value)| (header::HeaderName::from_static(line), value.parse().unwrap())).collect();
        gate().judge(&Method::GET, &"/socket.io/".parse().unwrap(), &headers, is_protected)
    };
    assert_eq!(judge("https://127.0.0.1:8080", true), Ok(Origin::Same));
    assert_eq!(judge("https://127.0.0.1:8080", false), Ok(Origin::Same), "a proxy speaks TLS for it");
    assert!(judge("http://127.0.0.1:8080", true).unwrap_err().contains("--allow-origin http://127.0.0.1:8080"));
}

#[test]
fn a_page_of_the_list_passes_in_whatever_case_it_was_written() {
    assert_eq!(judge(Some("https://monitor.example"), "127.0.0.1:1"), Ok(Origin::Other));
    let lines = [("host", "127.0.0.1"), ("origin", "https://monitor.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(judge_lines("/socket.io/", &lines), Ok(Origin::Other));
}

#[test]
fn a_strangers_page_is_refused_with_its_name_and_the_remedy() {
    for origin in ["http://evil.example", "null", "", "http://127.0.0.1:9", "https://monitor.example.evil"] {
        let message = judge(Some(origin), "127.0.0.1:8080").unwrap_err();
        assert!(message.contains(&format!("{origin:?}")) && message.contains("allowed origins"), "{message}");
    }
}

#[test]
fn a_name_that_was_pointed_here_is_refused_whatever_is_asked_for_and_the_remedy_is_named() {
    for path in ["/", "/socket.io/", "/metrics"] {
        let message = judge_lines(path, &[("host", "evil.example:8080")]).unwrap_err();
        assert!(message.contains("--allow-origin http://evil.example:8080"), "{message}");
    }
    judge(Some("http://evil.example:8080"), "evil.example:8080").unwrap_err();
    judge_lines("/", &[]).unwrap_err();
}

#[test]
fn a_program_opens_a_web_socket_under_any_name_and_a_page_does_not() {
    let program = [("host", "cam.example"), ("upgrade", "WebSocket")];
    assert_eq!(judge_lines("/socket.io/", &program), Ok(Origin::None));
    let page = [program[0], program[1], ("origin", "http://cam.example")];
    assert!(judge_lines("/socket.io/", &page).is_err());
}

#[test]
fn what_a_page_of_another_site_asks_for_is_refused_and_a_link_from_it_is_followed() {
    let image = [("host", "127.0.0.1"), ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "image")];
    let link = [image[0], image[1], ("sec-fetch-dest", "document")];
    for path in ["/", "/socket.io/?EIO=4&transport=polling", "/api/streams"] {
        assert!(judge_lines(path, &image).unwrap_err().contains("--allow-origin"), "{path}");
    }
    assert_eq!(judge_lines("/", &link), Ok(Origin::None));
    assert!(judge_lines("/socket.io/?EIO=4&transport=polling", &link).is_err());
    for site in ["same-origin", "same-site", "none"] {
        assert_eq!(judge_lines("/", &[image[0], ("sec-fetch-site", site)]), Ok(Origin::None), "{site}");
    }
}

#[test]
fn handshakes_are_bounded_in_a_window_of_time_for_all_and_for_each_address() {
    let gate = gate();
    let mut handshakes = gate.handshakes.lock().unwrap();
    let start = Instant::now();
    let mut admitted = |last: u8, after: u64| {
        let from = Neighbour::from(IpAddr::from([10, 0, 0, last]));
        (0..20).filter(|_| handshakes.admit(Some(from), start + Duration::from_millis(after))).count()
    };
    assert_eq!((admitted(1, 0), admitted(2, 5_000), admitted(3, 9_999)), (6, 2, 0));
    assert_eq!((admitted(1, 10_000), admitted(2, 10_000), admitted(2, 20_000)), (6, 0, 6));
}

#[test]
fn only_polls_without_a_session_leave_one_behind() {
    let web_socket: HeaderMap = [(header::UPGRADE, HeaderValue::from_static("websocket"))].into_iter().collect();
    for (uri, leaves) in [
        ("/socket.io/?EIO=4&transport=polling", true),
        ("/socket.io/", true),
        ("/socket.io/?EIO=4&transport=polling&sid=abc", false),
        ("/", false),
    ] {
        for headers in [&HeaderMap::new(), &web_socket] {
            assert_eq!(leaves_session(&uri.parse().unwrap(), headers), leaves, "{uri}, {headers:?}");
        }
    }
    let uri = "/socket.io/?EIO=4&transport=websocket".parse().unwrap();
    assert!(leaves_session(&uri, &HeaderMap::new()) && !leaves_session(&uri, &web_socket));
}
