//! The original system's far ends, written in Python as it was: a client that sends headerless datagrams, a server that
//! acknowledges each.
#![allow(missing_docs)]

mod running;

use std::process::{Command, Stdio};

use running::{Running, Server, figure, in_dir, path_text, program};

/// The interpreter, where it has the packages.
fn python(imports: &str) -> Option<String> {
    framewire_testing::python(imports, "pip install 'python-socketio[client]' websocket-client aiohttp")
}

/// Sends two frames of 200,000 bytes as the original client does and prints each acknowledgement.
const CLIENT: &str = r#"
import socket, sys, threading, socketio
signal, udp = sys.argv[1], sys.argv[2].rsplit(":", 1)
PIECE = 65507
acknowledged = threading.Semaphore(0)
client = socketio.Client()
@client.on("feedback")
def feedback(data):
    # Handlers run on threads of their own: one write a line.
    sys.stdout.write(f'{data["timestamp"]} {data["frame_size"]} {sorted(data)}\n')
    acknowledged.release()
client.connect(signal)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for shade in (1, 2):
    frame = bytes([shade]) * 200000
    for start in range(0, len(frame), PIECE):
        sock.sendto(frame[start:start + PIECE], (udp[0], int(udp[1])))
    # The original leaves seconds between its frames; an unprivileged server's buffer holds one.
    for _ in range(0, len(frame), PIECE):
        if not acknowledged.acquire(timeout=30):
            sys.exit("an acknowledgement is missing")
client.disconnect()
"#;

/// Receives datagrams and acknowledges each, as the original server does.
const SERVER: &str = r#"
import asyncio, socket, sys, time, socketio
from aiohttp import web
out = open(sys.argv[1], "wb")
sio = socketio.AsyncServer(async_mode="aiohttp")
app = web.Application()
sio.attach(app)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
sock.setblocking(False)
async def receive():
    loop = asyncio.get_running_loop()
    while True:
        data = await loop.sock_recv(sock, 65535)
        out.write(data)
        out.flush()
        await sio.emit("feedback", {"timestamp": time.ctime(), "frame_size": len(data)})
async def main():
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    print(f"listening http://127.0.0.1:{port} 127.0.0.1:{sock.getsockname()[1]}", file=sys.stderr, flush=True)
    await receive()
asyncio.run(main())
"#;

#[test]
fn a_python_client_of_the_original_streams_into_the_server() {
    let Some(python) = python("import socketio, websocket") else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = in_dir(&directory, "out.raw");
    let server = Server::start(&["--wire", "plain", "--plain-frame", "500x400:gray8", "--sink", path_text(&out)]);
    let client = Command::new(python).args(["-c", CLIENT, &server.url(), &server.udp]).output().unwrap();
    let printed = String::from_utf8_lossy(&client.stdout).into_owned();
    assert!(client.status.success(), "{printed}\n{}", String::from_utf8_lossy(&client.stderr));
    let mut sizes: Vec<u64> = Vec::new();
    for line in printed.lines() {
        // "Sun Nov 22 07:00:22 2026 65507 ['frame_size', 'timestamp']"
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words.len(), 8, "{line}");
        assert!(words[3].len() == 8 && words[4].len() == 4, "{line}");
        assert_eq!(words[6..], ["['frame_size',", "'timestamp']"], "{line}");
        sizes.push(words[5].parse().unwrap());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, [3479, 3479, 65507, 65507, 65507, 65507, 65507, 65507]);
    server.stop();
    let frames = std::fs::read(out).unwrap();
    assert!(frames[..200_000].iter().all(|byte| *byte == 1) && frames[200_000..].iter().all(|byte| *byte == 2));
    assert_eq!(frames.len(), 400_000);
}

#[test]
fn the_client_streams_into_a_python_server_of_the_original_and_hears_each_acknowledgement() {
    let Some(python) = python("import socketio, aiohttp") else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = in_dir(&directory, "out.raw");
    let mut command = Command::new(python);
    command.args(["-c", SERVER, path_text(&out)]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Running::start(&mut command);
    let line = server.wait_for("listening");
    let words: Vec<_> = line.split_whitespace().collect();
    let client = program("framewire-client")
        .args(["pattern:400x500", "--wire", "plain", "--server", words[1], "--udp", words[2]])
        .args(["--frames", "12", "--fps", "max", "-v", "--json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&client.stderr).into_owned();
    assert!(client.status.success(), "{said}");
    assert_eq!(said.matches("feedback: 65507 bytes").count(), 36, "{said}");
    assert_eq!(said.matches("feedback: 3479 bytes").count(), 12, "{said}");
    assert_eq!(figure(&client.stdout, &["frames_delivered"]), 12.0);
    server.kill();
    let format = framewire_transport::FrameFormat::new(framewire_transport::PixelFormat::Gray8, 400, 500).unwrap();
    let frames = std::fs::read(out).unwrap();
    let numbers: Vec<_> = frames
        .chunks(format.frame_bytes())
        .map(|frame| framewire_capture::pattern::read_frame_number(frame, &format))
        .collect();
    assert_eq!(numbers, (0..12).map(Some).collect::<Vec<_>>());
}
