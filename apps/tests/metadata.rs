//! What belongs to a frame, out of a file beside its source: set by the client, recorded by the server with the very frame.
#![allow(missing_docs)]

mod running;

use std::fs;
use std::process::Command;

use running::{Server, figure, in_dir, path_text, run};

/// Prints for each image of a recording the topic, the encoding and the bytes of the metadata that has its time.
const READ: &str = r#"
import sys
from mcap.reader import make_reader
images, beside = [], {}
with open(sys.argv[1], "rb") as file:
    for _, channel, message in make_reader(file).iter_messages():
        if channel.topic.endswith("/image_raw"):
            images.append(message.log_time)
        else:
            assert message.log_time not in beside
            beside[message.log_time] = f"{channel.topic} {channel.message_encoding} {message.data.hex()}"
for time in images:
    print(beside.pop(time, "none"))
assert not beside, beside
"#;

#[test]
fn each_line_is_recorded_with_its_frame_and_what_is_amiss_with_the_file_is_told() {
    let install = "pip install mcap";
    let Some(python) = framewire_testing::python("import mcap.reader", install) else { return };
    let directory = tempfile::tempdir().unwrap();
    let (lines, recording) = (in_dir(&directory, "lines.jsonl"), in_dir(&directory, "out.mcap"));
    let long = format!("\"{}\"", "x".repeat(4_094));
    let texts = ["{\"exposure_us\":  8000, \"frame_id\": \"front\"}", "", "not JSON", long.as_str(), "7"];
    fs::write(&lines, texts.join("\n")).unwrap();
    let server = Server::start(&["--sink", path_text(&recording)]);
    let pattern = ["pattern:64x48:gray16", "--delivery", "every", "--fps", "max", "--frames", "6", "--name", "front"];
    let sent = server.client(&pattern).args(["--metadata", path_text(&lines)]).output().unwrap();
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(sent.status.success(), "{said}");
    assert!(
        said.contains("lines.jsonl' (--metadata): line 3 is no JSON: ") && said.contains("it goes as bytes"),
        "{said}"
    );
    assert!(said.contains("lines.jsonl' (--metadata) has 5 lines for a source that has more frames"), "{said}");
    server.stop();
    let read = Command::new(python).args(["-c", READ]).arg(&recording).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let json = |text: &str| format!("/front/metadata json {}", hex(text));
    let bytes = format!("/front/metadata_bytes application/octet-stream {}", hex("not JSON"));
    let expected = [json(texts[0]), "none".to_owned(), bytes, json(&long), json("7"), "none".to_owned()];
    let read = String::from_utf8(read.stdout).unwrap();
    assert!(read.lines().eq(expected), "{read}");
}

#[test]
fn a_file_with_a_line_that_is_too_long_is_refused_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let lines = in_dir(&directory, "lines.jsonl");
    fs::write(&lines, format!("{{}}\n\"{}\"\n", "x".repeat(4_095))).unwrap();
    let refused = |arguments: &[&str]| {
        let done = run("framewire-client", &[&["pattern:64x48", "--metadata"], arguments].concat());
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        said
    };
    let said = refused(&[path_text(&lines)]);
    assert!(
        said.contains("lines.jsonl' (--metadata): line 2 has 4097 bytes, and a frame's metadata at most 4096"),
        "{said}"
    );
    let said = refused(&[path_text(&in_dir(&directory, "none.jsonl"))]);
    assert!(said.contains("cannot read '") && said.contains("none.jsonl' (--metadata)"), "{said}");
    let said = refused(&["x.jsonl", "--wire", "plain"]);
    assert!(said.contains("the plain wire carries no metadata"), "{said}");
}

#[test]
fn a_recording_with_metadata_goes_without_it_on_the_plain_wire_which_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let recording = in_dir(&directory, "in.raw");
    fs::write(&recording, [7; 3 * 64 * 48]).unwrap();
    let head = "{\"framewire_index\":2,\"pixel\":\"gray8\",\"width\":64,\"height\":48,\"stride\":64,\"frame_bytes\":3072,\
                \"rate\":\"50\",\"stream\":\"cam\",\"started\":\"2026-11-23T02:01:55.123Z\"}\n";
    let line = |number: u64| {
        let (taken, offset) = (number * 20_000, number * 3_072);
        format!(
            "{{\"frame\":{number},\"captured_us\":{taken},\"offset\":{offset},\
             \"metadata\":{{\"kind\":\"json\",\"value\":{number}}}}}\n"
        )
    };
    let index = head.to_owned() + &(0..3).map(line).collect::<String>();
    fs::write(recording.with_extension("raw.index"), index).unwrap();
    let server = Server::start(&["--wire", "plain", "--plain-frame", "64x48:gray8"]);
    let done = server.client(&[path_text(&recording), "--wire", "plain", "--json"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert_eq!(said.matches("are sent without it").count(), 1, "{said}");
    assert_eq!(figure(&done.stdout, &["frames_sent"]), 3.0, "{said}");
    server.stop();
}
