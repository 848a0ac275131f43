//! Where frames come from, by the real programs: what a file says of itself, bytes without headers, pipes that are waited for, names
//! of any bytes.
#![allow(missing_docs)]

mod running;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use framewire_capture::{SourceOptions, SourceSpec};
use running::{Running, Server, program};

/// Runs a client of `server` to its end.
fn client(server: &Server, arguments: &[&OsStr], input: Option<&[u8]>) -> Output {
    let mut command = program("framewire-client");
    command.args(["--server", &format!("http://{}", server.signal)]).args(arguments);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command.stdin(stdin).spawn().unwrap();
    if let Some(input) = input {
        child.stdin.take().unwrap().write_all(input).unwrap();
    }
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stream(server: &Server, arguments: &[&str], input: Option<&[u8]>) -> String {
    let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
    let output = client(server, &arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// Y4M of three frames of `bytes`.
fn y4m(parameters: &str, line_end: &str, bytes: usize) -> Vec<u8> {
    let mut file = format!("YUV4MPEG2 {parameters}{line_end}").into_bytes();
    for value in 1..=3 {
        file.extend_from_slice(format!("FRAME{line_end}").as_bytes());
        file.extend(vec![value; bytes]);
    }
    file
}

fn header(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    String::from_utf8(bytes[..end].to_vec()).unwrap()
}

fn mkfifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

#[test]
fn what_a_file_says_of_itself_comes_out_as_it_went_in_and_again_when_it_is_replayed() {
    let place = tempfile::tempdir().unwrap();
    let cases = [
        ("W16 H16 F25:1 It A64:45 C420mpeg2 XCOLORRANGE=FULL", 384),
        ("W15 H15 F120000:1001 Ib A1:1 C420jpeg XCOLORRANGE=LIMITED", 353),
        ("W16 H16 F240000:1001 Ip A1:1 C420paldv", 384),
        ("W16 H16 F50:3 I? A0:0 C420", 384),
        ("W16 H16 F100:3 Ip A1:1 Cmono", 256),
        ("W16 H16 F1000:3 Ip A1:1 C444", 768),
        ("W15 H15 F90000:1 Ip A1:1 C422", 465),
        ("W16 H16 F1200000:1 Ip A1:1 Cmono XCOLORRANGE=FULL", 256),
    ];
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let server = Server::start(&["--sink", &at("{stream}.y4m"), "--sink", &at("{stream}.raw")]);
    for (nth, (parameters, bytes)) in cases.iter().enumerate() {
        std::fs::write(at("in.y4m"), y4m(parameters, "\n", *bytes)).unwrap();
        // Fast or at its rate: how fast it is sent is not what it says.
        stream(&server, &[&at("in.y4m"), "--name", &format!("first-{nth}"), "--fps", "max"], None);
    }
    server.stop();
    let server = Server::start(&["--sink", &at("{stream}.y4m")]);
    for (nth, (parameters, bytes)) in cases.iter().enumerate() {
        assert_eq!(header(&place.path().join(format!("first-{nth}.y4m"))), format!("YUV4MPEG2 {parameters}"));
        assert_eq!(std::fs::read(at(&format!("first-{nth}.y4m"))).unwrap(), y4m(parameters, "\n", *bytes));
        stream(&server, &[&at(&format!("first-{nth}.raw")), "--name", &format!("again-{nth}"), "--fps", "max"], None);
    }
    server.stop();
    for (nth, (parameters, bytes)) in cases.iter().enumerate() {
        assert_eq!(std::fs::read(at(&format!("again-{nth}.y4m"))).unwrap(), y4m(parameters, "\n", *bytes), "{nth}");
    }
}

#[test]
fn ffmpeg_reads_of_the_copy_what_it_wrote_into_the_file() {
    if Command::new("ffprobe").arg("-version").output().is_err() {
        eprintln!("skipped: ffmpeg is not installed");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (original, copy) = (at("in.y4m"), at("out.y4m"));
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=s=63x47:d=0.2:r=120000/1001", "-vf", "setsar=64/45"])
        .args(["-pix_fmt", "yuv420p", "-chroma_sample_location", "left", "-color_range", "pc", &original])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Server::start(&["--sink", &copy]);
    stream(&server, &[&original, "--fps", "max"], None);
    server.stop();
    let probe = |path: &str| {
        let fields =
            "stream=width,height,r_frame_rate,sample_aspect_ratio,field_order,chroma_location,color_range,pix_fmt";
        let output = Command::new("ffprobe").args(["-v", "error", "-show_entries", fields, path]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(header(Path::new(&copy)).contains(" A64:45 C420mpeg2 XCOLORRANGE=FULL"), "{}", header(Path::new(&copy)));
    assert_eq!(probe(&copy), probe(&original));
    let pictures = |path: &str| {
        let hash = ["-f", "md5", "-"];
        Command::new("ffmpeg").args(["-v", "error", "-i", path]).args(hash).output().unwrap().stdout
    };
    assert_eq!(pictures(&copy), pictures(&original));
}

#[test]
fn what_a_header_says_and_no_stream_carries_is_told() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("in.y4m");
    std::fs::write(&path, y4m("W4 H2 F25:1 Im Cmono Xnote", "\n", 8)).unwrap();
    let server = Server::start(&[]);
    let told = stream(&server, &[path.to_str().unwrap(), "--fps", "max"], None);
    assert!(told.contains("Xnote") && told.contains("does not travel with the stream"), "{told}");
    assert!(told.contains("progressive and interlaced"), "{told}");
}

#[test]
fn lines_that_end_with_a_carriage_return_are_read_from_a_file_and_a_pipe() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("in.y4m");
    let bytes = y4m("W4 H2 F25:1 C420jpeg", "\r\n", 12);
    std::fs::write(&path, &bytes).unwrap();
    let server = Server::start(&[]);
    stream(&server, &[path.to_str().unwrap(), "--fps", "max"], None);
    stream(&server, &["-", "--fps", "max"], Some(&bytes));
}

#[test]
fn raw_format_says_what_the_bytes_are_from_a_pipe_a_fifo_or_a_file_of_any_name() {
    const FRAMES: [u8; 3 * 24] = [7; 72];
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let server = Server::start(&["--sink", &at("{stream}.raw")]);
    let raw = ["--raw-format", "4x2:bgr24@30", "--fps", "max"];
    for name in ["frames.yuv", "frames.bgr", "frames.bin", "frames", "frames.raw", "frames.y4m"] {
        std::fs::write(at(name), FRAMES).unwrap();
        let named = format!("of-{}", name.replace('.', "-"));
        stream(&server, &[&[&at(name)[..], "--name", &named][..], &raw[..]].concat(), None);
    }
    stream(&server, &[&["-", "--name", "of-stdin"][..], &raw[..]].concat(), Some(&FRAMES));
    let pipe = at("pipe");
    mkfifo(Path::new(&pipe));
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&pipe, FRAMES).unwrap());
        stream(&server, &[&[&pipe[..], "--name", "of-fifo"][..], &raw[..]].concat(), None);
    });
    server.stop();
    for name in ["of-frames-yuv", "of-frames-bgr", "of-frames-bin", "of-frames", "of-frames-raw", "of-stdin", "of-fifo"]
    {
        assert_eq!(std::fs::read(at(&format!("{name}.raw"))).unwrap(), FRAMES, "{name}");
        let recording = SourceSpec::File(at(&format!("{name}.raw")).into());
        let source = recording.open(&SourceOptions::default()).unwrap();
        assert_eq!(
            (source.format().to_string(), source.frame_rate().unwrap().to_string()),
            ("4x2 bgr24".into(), "30".into())
        );
    }
}

#[test]
fn raw_format_beside_what_says_itself_what_it_is_is_told_as_useless() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("in.y4m");
    let bytes = y4m("W4 H2 F25:1 Cmono", "\n", 8);
    std::fs::write(&path, &bytes).unwrap();
    let server = Server::start(&[]);
    for (source, input) in [(path.to_str().unwrap(), None), ("-", Some(&bytes[..])), ("pattern:4x2", None)] {
        let told = stream(&server, &[source, "--raw-format", "640x480:bgr24", "--frames", "2"], input);
        assert!(told.contains("--raw-format does nothing here"), "{source}: {told}");
    }
}

#[test]
fn a_client_that_waits_for_its_source_ends_at_the_first_signal_with_its_summary() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let server = Server::start(&[]);
    let begun = y4m("W4 H2 F25:1 Cmono", "\n", 8);
    // No writer; one that has written nothing; one that stands still in the second frame; the same on standard input.
    for (name, written, on_stdin) in [
        ("no-writer", None, false),
        ("silent", Some(&begun[..0]), false),
        ("stalled", Some(&begun[..50]), false),
        ("standard-input", Some(&begun[..50]), true),
    ] {
        let pipe = at(name);
        mkfifo(&pipe);
        let mut command = program("framewire-client");
        command.args(["--server", &format!("http://{}", server.signal), "--name", name, "--json", "-v"]);
        // Opened for reading and writing, it waits for nobody.
        let mut writer = written.map(|_| std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap());
        if on_stdin {
            command.arg("-").stdin(std::fs::File::open(&pipe).unwrap());
        } else {
            command.arg(&pipe);
        }
        if let (Some(writer), Some(written)) = (&mut writer, written) {
            writer.write_all(written).unwrap();
        }
        let mut client = Running::start(&mut command);
        if written.is_some_and(|written| !written.is_empty()) {
            client.wait_for("feedback: frame 0");
        } else {
            client.wait_for("waiting for");
        }
        client.interrupt();
        let (code, said, summary) = client.wait();
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(String::from_utf8_lossy(&summary).contains("\"frames_sent\":"), "{name}: {said}");
        drop(writer);
    }
}

#[test]
fn a_named_pipe_ends_with_its_writer_and_with_loop_waits_for_the_next() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let server = Server::start(&["--sink", &at("{stream}.raw")]);
    let pipe = at("pipe");
    mkfifo(Path::new(&pipe));
    let bytes = y4m("W4 H2 F25:1 Cmono", "\n", 8);
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&pipe, &bytes).unwrap());
        stream(&server, &[&pipe, "--name", "once"], None);
        scope.spawn(|| {
            for _ in 0..3 {
                std::fs::write(&pipe, &bytes).unwrap();
            }
        });
        stream(&server, &[&pipe, "--name", "again", "--loop", "--frames", "9"], None);
    });
    server.stop();
    assert_eq!(std::fs::read(at("once.raw")).unwrap().len(), 3 * 8);
    assert_eq!(std::fs::read(at("again.raw")).unwrap().len(), 9 * 8);
}

#[test]
fn a_sources_name_is_any_bytes() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(OsStr::from_bytes(b"caf\xe9.y4m"));
    std::fs::write(&path, y4m("W4 H2 F25:1 Cmono", "\n", 8)).unwrap();
    let server = Server::start(&[]);
    let output = client(&server, &[path.as_os_str(), OsStr::new("--fps"), OsStr::new("max")], None);
    assert!(output.status.success(), "{}", said(&output));
}
