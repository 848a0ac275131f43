//! HTTP by hand, so that tests can say what no client would.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::running::PATIENCE;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A connection from another of loopback's addresses, as if from another host.
pub(crate) fn connect_from(from: [u8; 4], address: &str) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((from, 0))).unwrap();
    connect(&socket, &address.parse::<SocketAddr>().unwrap()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Asks for a path, with more header lines.
pub(crate) fn get(address: &str, path: &str, lines: &[&str]) -> Answer {
    get_over(connect(address), path, lines)
}

/// Sends a form.
pub(crate) fn post(address: &str, path: &str, form: &str, lines: &[&str]) -> Answer {
    ask(connect(address), "POST", path, lines, form)
}

/// As [`get`], over a connection that is there.
pub(crate) fn get_over(stream: TcpStream, path: &str, lines: &[&str]) -> Answer {
    ask(stream, "GET", path, lines, "")
}

fn ask(mut stream: TcpStream, method: &str, path: &str, lines: &[&str], form: &str) -> Answer {
    let address = stream.peer_addr().unwrap();
    let host =
        if lines.iter().any(|line| line.starts_with("Host:")) { String::new() } else { format!("Host: {address}\r\n") };
    let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let content = match method {
        "POST" => {
            format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", form.len())
        }
        _ => String::new(),
    };
    write!(stream, "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{content}{more}\r\n{form}").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Shorter than the server waits before it closes a WebSocket that is silent: what closes within it was refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

/// A WebSocket, open; `None` where the server refuses it.
pub(crate) fn web_socket(address: &str, path: &str, lines: &[&str]) -> Option<TcpStream> {
    let mut stream = connect(address);
    let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
    .unwrap();
    stream.set_read_timeout(Some(REFUSED_WITHIN)).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    head.starts_with(b"HTTP/1.1 101").then_some(stream)
}

/// Sends a text, masked with zeroes as a client must.
pub(crate) fn send_text(stream: &mut TcpStream, text: &str) {
    let len = u16::try_from(text.len()).unwrap();
    let head = match u8::try_from(len).ok().filter(|len| *len < 126) {
        Some(short) => vec![0x81, 0x80 | short],
        None => [&[0x81, 0x80 | 126], &len.to_be_bytes()[..]].concat(),
    };
    let frame = [head.as_slice(), &[0; 4], text.as_bytes()].concat();
    stream.write_all(&frame).unwrap();
}

/// The next message that is no ping; `None` where the server has closed. Fails where it does neither.
pub(crate) fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 2];
        if let Err(error) = stream.read_exact(&mut head) {
            assert!(
                !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "the server neither answers nor closes"
            );
            return None;
        }
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                stream.read_exact(&mut len).ok()?;
                u64::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                stream.read_exact(&mut len).ok()?;
                u64::from_be_bytes(len)
            }
            len => u64::from(len),
        };
        let mut message = vec![0; usize::try_from(len).unwrap()];
        stream.read_exact(&mut message).ok()?;
        match head[0] & 0xf {
            8 => return None,
            9 => {}
            _ => return Some(message),
        }
    }
}
