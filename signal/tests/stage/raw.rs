//! Socket.IO over WebSocket by hand, to say what no library would.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::PATIENCE;

/// The nonce of every client here.
const NONCE: &str = "abababababababababababababababab";

/// What a client says at CONNECT that has a token, and no authority or key to know the server by.
pub fn introduction(role: &str) -> String {
    json!({"version": 2, "role": role, "nonce": NONCE, "binding": "none"}).to_string()
}

/// A proof as it is documented, of the client or the server.
pub fn proof(side: &str, role: &str, token: &str, server_nonce: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(format!("framewire-signal-2|{side}|{role}|{NONCE}|{server_nonce}|none").as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A connection that became a WebSocket.
pub struct Raw {
    stream: BufReader<TcpStream>,
}

/// A connection from another of loopback's addresses, as if from another host.
pub fn connect_from(from: [u8; 4], address: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((from, 0))).unwrap();
    connect(&socket, &address).unwrap();
    socket.into()
}

/// Asks for a WebSocket with extra header lines; the status line and the rest of the answer when there is none.
pub fn upgrade(address: SocketAddr, headers: &str) -> Result<Raw, String> {
    upgrade_over(TcpStream::connect(address).unwrap(), headers)
}

/// The same over a connection that is there.
pub fn upgrade_over(mut stream: TcpStream, headers: &str) -> Result<Raw, String> {
    let address = stream.peer_addr().map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(|error| error.to_string())?;
    let mut stream = BufReader::new(stream);
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        if stream.read_line(&mut answer).map_err(|error| error.to_string())? == 0 {
            return Err("the connection was closed".into());
        }
    }
    if answer.starts_with("HTTP/1.1 101") {
        return Ok(Raw { stream });
    }
    let length =
        answer.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    Err(answer + &String::from_utf8(body).unwrap())
}

/// Sends a plain GET and returns the whole answer.
pub fn http(address: SocketAddr, path: &str, headers: &str) -> String {
    http_over(TcpStream::connect(address).unwrap(), path, headers)
}

/// The same over a connection that is there.
pub fn http_over(mut stream: TcpStream, path: &str, headers: &str) -> String {
    let address = stream.peer_addr().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    let head = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

impl Raw {
    /// Connects to the namespace `/` and returns the server's answer: `40{…}` or `44{…}`.
    pub fn connect(address: SocketAddr, auth: &str) -> (Self, String) {
        Self::connect_over(TcpStream::connect(address).unwrap(), auth)
    }

    /// The same over a connection that is there.
    pub fn connect_over(stream: TcpStream, auth: &str) -> (Self, String) {
        let mut raw = upgrade_over(stream, "").unwrap();
        assert!(raw.receive().unwrap().starts_with("0{"), "Engine.IO's open comes first");
        raw.send(&format!("40{auth}"));
        let answer = raw.receive().unwrap();
        (raw, answer)
    }

    /// The same, and proves the token for streaming; the server's answer to that, as Socket.IO says it.
    pub fn prove_over(stream: TcpStream, token: &str) -> (Self, String) {
        Self::prove_as("stream", stream, token)
    }

    /// The same for what else one may be.
    pub fn prove_as(role: &str, stream: TcpStream, token: &str) -> (Self, String) {
        let (mut raw, answer) = Self::connect_over(stream, &introduction(role));
        if !answer.starts_with("40{") {
            return (raw, answer);
        }
        let challenge = raw.receive_event("challenge").unwrap();
        let nonce = challenge["nonce"].as_str().unwrap();
        raw.emit("prove", &json!({"proof": proof("client", role, token, nonce)}));
        let answer = raw.receive().unwrap();
        (raw, answer)
    }

    pub fn prove(address: SocketAddr, token: &str) -> (Self, String) {
        Self::prove_over(TcpStream::connect(address).unwrap(), token)
    }

    pub fn emit(&mut self, event: &str, data: &Value) {
        self.send(&format!("42{}", Value::Array(vec![event.into(), data.clone()])));
    }

    pub fn send(&mut self, text: &str) {
        self.send_frame(text.as_bytes()).unwrap();
    }

    /// One masked text frame. The mask is all zeros, which is allowed and leaves the bytes as they are.
    pub fn send_frame(&mut self, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = vec![0x81];
        match payload.len() {
            length @ ..=125 => frame.push(0x80 | length as u8),
            length @ ..=65_535 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.get_mut().write_all(&frame)
    }

    /// The next text, pings answered; `None` when the server ended the connection.
    pub fn receive(&mut self) -> Option<String> {
        loop {
            let text = self.receive_frame()?;
            match text.as_str() {
                "1" => return None,
                // The server may have hung up since; the next read finds out.
                "2" => drop(self.send_frame(b"3")),
                _ => return Some(text),
            }
        }
    }

    /// The next text that begins so.
    pub fn receive_that(&mut self, beginning: &str) -> Option<String> {
        loop {
            let text = self.receive()?;
            if text.starts_with(beginning) {
                return Some(text);
            }
        }
    }

    /// The data of the next event of this name.
    pub fn receive_event(&mut self, name: &str) -> Option<Value> {
        let text = self.receive_that(&format!("42[\"{name}\","))?;
        let mut parts: Vec<Value> = serde_json::from_str(&text[2..]).unwrap();
        Some(parts.remove(1))
    }

    fn receive_frame(&mut self) -> Option<String> {
        let mut head = [0; 2];
        if let Err(error) = self.stream.read_exact(&mut head) {
            let is_end = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
            assert!(is_end, "nothing came: {error}");
            return None;
        }
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).unwrap();
        match head[0] {
            0x81 => Some(String::from_utf8(payload).unwrap()),
            0x88 => None,
            other => panic!("a frame of type {other:#x} was not expected"),
        }
    }
}
