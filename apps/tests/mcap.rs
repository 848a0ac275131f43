//! MCAP recordings of the real programs: what a server that was killed leaves is read by others, and sent again by the client.
#![allow(missing_docs)]

mod running;

use std::process::Command;

use running::{Running, Server, figure, in_dir, path_text, recorded_frames, wait_for_bytes};

/// Prints the log time of each whole image, as a reader of streams finds them.
const READER: &str = r#"
import sys
from mcap.stream_reader import StreamReader
from mcap.records import Channel, Message
topics = {}
try:
    for record in StreamReader(open(sys.argv[1], "rb")).records:
        if isinstance(record, Channel):
            topics[record.id] = record.topic
        if isinstance(record, Message) and topics[record.channel_id] == "/cam/image_raw":
            print(record.log_time)
except Exception as error:
    print(type(error).__name__, file=sys.stderr)
"#;

#[test]
fn a_server_that_is_killed_leaves_mcap_files_that_others_read_and_that_the_client_sends_again_with_their_times() {
    let directory = tempfile::tempdir().unwrap();
    let python = framewire_testing::python("import mcap", "pip install mcap, and set FRAMEWIRE_PYTHON");
    for chunk in [None, Some("1MB")] {
        let out = in_dir(&directory, if chunk.is_some() { "chunked.mcap" } else { "out.mcap" });
        let mut arguments = vec!["--sink", path_text(&out), "-v"];
        arguments.extend(chunk.iter().flat_map(|size| ["--mcap-chunk", size]));
        let mut server = Server::start(&arguments);
        let stream = ["pattern:640x480:gray12", "--delivery", "every", "--fps", "max", "--name", "cam"];
        let client = Running::start(&mut server.client(&stream));
        server.running.wait_for("open");
        wait_for_bytes(&out, 50 * 640 * 480 * 2);
        server.running.kill();
        client.kill();
        let recorded = recorded_frames(&out);
        assert!(recorded.len() >= 49 && recorded.is_sorted_by(|a, b| a.0 + 1 == b.0 && a.1 <= b.1), "{recorded:?}");
        let nanos: Vec<String> = recorded
            .iter()
            .map(|(_, utc)| utc.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_nanos().to_string())
            .collect();
        if let Some(python) = &python {
            let read = Command::new(python).args(["-c", READER]).arg(&out).output().unwrap();
            let times = String::from_utf8(read.stdout).unwrap();
            assert_eq!(times.lines().collect::<Vec<_>>(), nanos);
        }
        // Sent again, into a file of the other kind.
        let again = in_dir(&directory, "again.raw");
        let replay = Server::start(&["--sink", path_text(&again)]);
        let sent = replay.client(&[path_text(&out), "--fps", "max", "--json"]).output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        assert_eq!(figure(&sent.stdout, &["frames_delivered"]), recorded.len() as f64);
        replay.stop();
        assert!(recorded_frames(&again) == recorded, "numbers and times are those of the recording");
        for file in [again.clone(), framewire_capture::index_path(&again)] {
            std::fs::remove_file(file).unwrap();
        }
    }
}
