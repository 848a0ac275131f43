//! The real programs, started, fed, read and killed.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Instant, SystemTime};

use framewire_capture::{SourceOptions, SourceSpec, pattern};
use framewire_testing::{Hosts, Signal};
use framewire_transport::frame::FramePool;
use framewire_transport::{FrameFormat, PixelFormat};

pub(crate) use framewire_testing::PATIENCE;

/// A program that runs until it ends or the test does.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
}

pub(crate) fn program(name: &str) -> Command {
    let path = match name {
        "framewire" => env!("CARGO_BIN_EXE_framewire"),
        "framewire-server" => env!("CARGO_BIN_EXE_framewire-server"),
        "framewire-client" => env!("CARGO_BIN_EXE_framewire-client"),
        other => other,
    };
    prepared(Command::new(path))
}

/// A program, to be run on a host of its own.
pub(crate) fn program_on(hosts: &Hosts, host: &str, name: &str) -> Command {
    prepared(hosts.command(host, program(name).get_program()))
}

/// With streams that are looked at, none of the variables that programs take settings from, and sockets where nobody else has theirs. Frames go
/// by UDP, which most tests are about; those of shared memory say so.
fn prepared(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("RUST_LOG").env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    // Nor is anything of what a protected server keeps this user's own.
    command.env_remove("STATE_DIRECTORY").env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FRAMEWIRE_")) {
        command.env_remove(name);
    }
    command.env("FRAMEWIRE_PATH", "udp");
    command
}

/// Runs a program to its end.
pub(crate) fn run(name: &str, arguments: &[&str]) -> Output {
    program(name).args(arguments).output().unwrap()
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, said: Vec::new() }
    }

    /// Waits for a line on standard error that contains `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.wait_for_one_of(&[text])
    }

    /// Waits for a line on standard error that contains one of these.
    pub(crate) fn wait_for_one_of(&mut self, texts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if texts.iter().any(|text| line.contains(text)) {
                        return line;
                    }
                }
                Err(_) => panic!("{texts:?} was never said; what was: {:#?}", self.said),
            }
        }
    }

    /// Looks at no line that has been said so far.
    pub(crate) fn skip_said(&mut self) {
        self.said.extend(self.lines.try_iter());
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end; returns the exit code (`None` where a signal ended it) and what was said.
    pub(crate) fn wait(mut self) -> (Option<i32>, String, Vec<u8>) {
        let mut stdout = Vec::new();
        if let Some(mut out) = self.child.stdout.take() {
            out.read_to_end(&mut stdout).unwrap();
        }
        let status = self.child.wait().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.said.push(line);
        }
        (status.code(), self.said.join("\n"), stdout)
    }

    pub(crate) fn take_stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub(crate) fn take_stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        // A shell has what it starts in the background ignore Ctrl-C, and so do these programs then.
        self.signal(if framewire_testing::is_ignored(Signal::INT) { Signal::TERM } else { Signal::INT });
    }

    /// Whether it runs no more.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// As `kill -9` does.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        framewire_testing::send(signal, self.child.id());
    }
}

/// No test leaves a program behind, whatever becomes of it.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that listens, and where.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) scheme: String,
    pub(crate) signal: String,
    pub(crate) udp: String,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", "127.0.0.1:0", arguments)
    }

    pub(crate) fn start_at(listen: &str, udp: &str, arguments: &[&str]) -> Self {
        let mut command = program("framewire-server");
        command.args(["--listen", listen, "--udp", udp]).args(arguments);
        Self::start_by(&mut command)
    }

    /// Runs what becomes a server.
    pub(crate) fn start_by(command: &mut Command) -> Self {
        let mut running = Running::start(command);
        let line = running.wait_for("listening on http");
        let (said, addresses) = line.split_once("://").unwrap();
        let scheme = said.rsplit(' ').next().unwrap().to_owned();
        let (signal, udp) = addresses.split_once(" (Socket.IO) and UDP ").unwrap();
        Self { running, scheme, signal: signal.to_owned(), udp: udp.to_owned() }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.signal)
    }

    /// A client of this server, to be run.
    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = program("framewire-client");
        command.args(["--server", &self.url()]).args(arguments);
        if arguments.contains(&"plain") {
            // That wire has no other way to say it.
            command.args(["--udp", &self.udp]);
        }
        command
    }

    /// Ends the server in order; returns its summary.
    pub(crate) fn stop(self) -> String {
        self.running.interrupt();
        let (code, said, _) = self.running.wait();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

/// A number out of a summary.
pub(crate) fn figure(json: &[u8], path: &[&str]) -> f64 {
    let value: serde_json::Value =
        serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json)));
    let found = path.iter().fold(&value, |value, key| &value[key]);
    found.as_f64().unwrap_or_else(|| panic!("no {path:?} in {value}"))
}

/// Frames of the pattern, and a Y4M file of them.
pub(crate) fn make_y4m(path: &Path, pixel: PixelFormat, (width, height): (u32, u32), frames: u64) -> Vec<u8> {
    let format = FrameFormat::new(pixel, width, height).unwrap();
    let colour = match pixel {
        PixelFormat::Gray8 => "mono",
        PixelFormat::Yuv420p => "420jpeg",
        PixelFormat::Yuv422p => "422",
        PixelFormat::Yuv444p => "444",
        other => panic!("Y4M has no {other}"),
    };
    let mut file = format!("YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C{colour}\n").into_bytes();
    let mut pictures = Vec::new();
    let mut picture = vec![0; format.frame_bytes()];
    for number in 0..frames {
        pattern::draw(&mut picture, &format, number).unwrap();
        file.extend_from_slice(b"FRAME\n");
        file.extend_from_slice(&picture);
        pictures.extend_from_slice(&picture);
    }
    std::fs::write(path, file).unwrap();
    pictures
}

/// Each frame's number, as the pattern drew it, and when it was taken, as the recording has it.
pub(crate) fn recorded_frames(recording: &Path) -> Vec<(u64, SystemTime)> {
    let mut source = SourceSpec::File(recording.to_owned()).open(&SourceOptions::default()).unwrap();
    let format = source.format();
    let pool = FramePool::for_format(1, format).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    std::iter::from_fn(|| {
        source.next_frame(&mut frame).unwrap().then(|| {
            let number = pattern::read_frame_number(&frame, &format).expect("a whole frame has its number");
            (number, frame.info.captured_utc.expect("a recording has times"))
        })
    })
    .collect()
}

/// Waits until a recorder has written so much.
pub(crate) fn wait_for_bytes(path: &Path, bytes: u64) {
    framewire_testing::wait_for(format_args!("{bytes} bytes in {}", path.display()), || {
        let written = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if written >= bytes { Ok(()) } else { Err(format!("it has {written}")) }
    });
}

pub(crate) fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn in_dir(directory: &tempfile::TempDir, name: &str) -> PathBuf {
    directory.path().join(name)
}

/// A file for this user alone, as secrets are.
pub(crate) fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
