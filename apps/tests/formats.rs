//! Pixel formats as a user writes them: the table, and every place where one is written.
#![allow(missing_docs)]

mod http;
mod running;
mod sending;

use std::time::{Duration, UNIX_EPOCH};

use framewire_testing::wait_for;
use framewire_transport::frame::MetadataKind;
use framewire_transport::{FrameFormat, PixelFormat};
use running::{Running, Server, in_dir, path_text, program, run};
use sending::Stream;
use serde_json::Value;

fn formats() -> Vec<Value> {
    let output = run("framewire", &["formats", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_table_of_formats_is_printed_for_people_and_for_programs() {
    let rows = formats();
    assert_eq!(rows.len(), PixelFormat::ALL.len());
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    let gray = row("gray8");
    assert_eq!((&gray["pfnc"], &gray["v4l2"], &gray["ros"]), (&"0x01080001".into(), &"GREY".into(), &"mono8".into()));
    let holds = |name: &str, sink: &str| row(name)["sinks"].as_array().unwrap().contains(&sink.into());
    assert!(holds("yuv420p", "y4m") && holds("bgr24", "nut") && holds("bytes", "raw"));
    assert!(!holds("bgr24", "y4m") && !holds("bytes", "nut"));
    let output = run("framewire", &["formats"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("FORMAT"), "{text}");
    assert_eq!(text.lines().count(), rows.len() + 1);
    println!("{text}");
}

/// Whether the program takes these settings; what it says where not.
fn settings(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<String, String> {
    let mut command = program(name);
    let output = command.args(arguments).arg("--print-config").envs(variables.iter().copied()).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn every_name_of_a_format_is_read_wherever_one_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = in_dir(&directory, "f.toml");
    let file = path_text(&file);
    // Another system's name in another case, a code, and this one's own.
    for name in ["MONO12", "bayerrg8", "16UC1", "YUY2", "0x0110000D", "yuv422p10le", "gray16"] {
        let [pattern, raw] = [format!("pattern:64x48:{name}"), format!("64x48:{name}@30")];
        for arguments in [vec!["--pixel", name], vec![&pattern], vec!["x", "--raw-format", &raw]] {
            settings("framewire-client", &arguments, &[]).unwrap_or_else(|said| panic!("{arguments:?}: {said}"));
        }
        let plain = format!("64x48:{name}");
        settings("framewire-server", &["--wire", "plain", "--plain-frame", &plain], &[]).unwrap();
        for (key, value) in [("PIXEL", name), ("RAW_FORMAT", &raw)] {
            let key = format!("FRAMEWIRE_{key}");
            settings("framewire-client", &[], &[(&key, value)]).unwrap_or_else(|said| panic!("{key}={value}: {said}"));
        }
        std::fs::write(file, format!("[client]\npixel = '{name}'\n[server]\nplain-frame = '{plain}'\n")).unwrap();
        for program in ["framewire-client", "framewire-server"] {
            settings(program, &["--config", file], &[]).unwrap_or_else(|said| panic!("{name} in a file: {said}"));
        }
    }
}

#[test]
fn a_format_that_is_not_known_is_refused_with_the_nearest_wherever_one_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = in_dir(&directory, "f.toml");
    let file = path_text(&file);
    std::fs::write(file, "[client]\npixel = 'yuv421p'\n").unwrap();
    for (arguments, variables) in [
        (vec!["--pixel", "yuv421p"], vec![]),
        (vec!["pattern:64x48:yuv421p"], vec![]),
        (vec!["x", "--raw-format", "64x48:yuv421p"], vec![]),
        (vec![], vec![("FRAMEWIRE_PIXEL", "yuv421p")]),
        (vec!["--config", file], vec![]),
    ] {
        let said = settings("framewire-client", &arguments, &variables).unwrap_err();
        assert!(said.contains("'yuv421p'") && said.contains("did you mean yuv420p?"), "{arguments:?}: {said}");
    }
}

#[test]
fn bench_measures_any_format_with_and_without_metadata() {
    let bench = |arguments: &[&str]| {
        let brief = ["bench", "--json", "--rounds", "1", "--seconds", "0.2", "--only", "framewire"];
        let output = run("framewire", &[&brief[..], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    for (frame, name) in
        [("320x240:Mono12", "320x240:gray12"), ("320x240:uyvy422", "320x240:uyvy"), ("96000x1:bytes", "96000x1:bytes")]
    {
        let report = bench(&["--frame", frame, "--metadata-bytes", "200"]);
        assert_eq!((&report["frame"], &report["metadata_bytes"]), (&name.into(), &200.into()));
        assert_eq!(report["contenders"][0]["frames_lost"], 0, "{report}");
    }
    assert!(bench(&["--frame", "320x240:gray8"]).get("metadata_bytes").is_none());
}

/// The one stream, once it has delivered a frame.
fn stream(server: &Server) -> Value {
    wait_for("a stream", || {
        let all: Value = serde_json::from_str(&http::get(&server.signal, "/api/streams", &[]).body).unwrap();
        let stream = all["streams"].as_array().unwrap().iter().find(|stream| stream["newest"].is_object());
        stream.cloned().ok_or(all)
    })
}

#[test]
fn figures_say_the_format_and_the_newest_frames_time_and_a_picture_can_be_had_as_a_file_by_any_range() {
    let server = Server::start(&["--preview-fps", "60"]);
    let client = Running::start(&mut server.client(&["pattern:64x48:Mono12", "--fps", "100"]));
    let stream = stream(&server);
    assert_eq!(
        (&stream["pixel"], &stream["ranged"], &stream["pictured"]),
        (&"gray12".into(), &true.into(), &true.into())
    );
    let newest = &stream["newest"];
    assert_eq!(newest["bytes"], 64 * 48 * 2);
    let utc = newest["captured_utc"].as_str().unwrap();
    assert!(utc.len() == "2026-11-22T07:00:22.123456789Z".len() && utc.ends_with('Z'), "{utc}");
    let id = &stream["id"];
    for query in ["", "?size=tile", "?range=0-4095", "?size=full&range=-5-0.5"] {
        let mut connection = http::connect(&server.signal);
        std::io::Write::write_all(
            &mut connection,
            format!("GET /api/pictures/{id}{query} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.signal)
                .as_bytes(),
        )
        .unwrap();
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut connection, &mut answer).unwrap();
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let said = String::from_utf8_lossy(&answer[..head]).into_owned();
        assert!(said.starts_with("HTTP/1.1 200") && said.contains("content-type: image/jpeg"), "{query}: {said}");
        assert!(answer[head + 4..].starts_with(&[0xff, 0xd8]) && answer.ends_with(&[0xff, 0xd9]), "{query}");
    }
    for (path, status, says) in [
        (format!("/api/pictures/{id}?range=9-1"), 400, "from 9 to 1"),
        (format!("/api/pictures/{id}?range=many"), 400, "'many' is no range"),
        ("/api/pictures/4294967295".to_owned(), 404, "no stream 4294967295"),
    ] {
        let answer = http::get(&server.signal, &path, &[]);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
    }
    client.interrupt();
    client.wait();
    server.stop();
}

#[test]
fn feedback_says_each_frames_length_that_of_its_metadata_and_when_it_was_captured() {
    let server = Server::start(&[]);
    let format = FrameFormat::new(PixelFormat::Bytes, 100_000, 1).unwrap();
    let stream = Stream::open(&server, format, "BYTES", "cloud");
    let place_in_file = UNIX_EPOCH + Duration::new(1_795_330_822, 123_456_789);
    stream.send(&[7; 3], (MetadataKind::Cbor, &[0xa0; 4_096]), Some(place_in_file));
    let first = stream.feedback(0);
    assert_eq!((first.frame_size, first.metadata_bytes, first.missing_bytes), (3, Some(4_096), 0));
    assert_eq!(first.captured_utc.unwrap().to_string(), "2026-11-22T07:00:22.123456789Z");
    assert_eq!(first.captured_utc_error_ms, None, "what a file says has no clock behind it");
    stream.send(&[9; 100_000], (MetadataKind::Bytes, &[]), None);
    let second = stream.feedback(1);
    assert_eq!((second.frame_size, second.metadata_bytes), (100_000, Some(0)));
    assert!(second.captured_utc.unwrap() > first.captured_utc.unwrap(), "the sender's clock says when");
    let newest = &self::stream(&server)["newest"];
    assert_eq!((&newest["bytes"], newest.get("metadata")), (&100_000.into(), None));
    server.stop();
}
