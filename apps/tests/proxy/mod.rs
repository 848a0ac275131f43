//! A reverse proxy that has the server below a path, as `location /cams/ { proxy_pass http://server/; }` does.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

/// Serves until the test ends; returns where.
pub(crate) fn below(path: &'static str, server: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = server.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = server.clone();
            // What one end breaks off is of no interest to the proxy.
            std::thread::spawn(move || drop(pass_on(client, path, &server)));
        }
    });
    format!("http://{address}{path}")
}

/// Passes on one request and all that follows it.
fn pass_on(mut client: TcpStream, path: &str, server: &str) -> std::io::Result<()> {
    let mut from_client = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if from_client.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        head.push(line);
    }
    let (method, target) = head[0].split_once(' ').unwrap();
    let Some(inner) = target.strip_prefix(path).filter(|inner| inner.starts_with('/')) else {
        return client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    head[0] = format!("{method} {inner}");
    let is_upgrade = head.iter().any(|line| line.to_ascii_lowercase().starts_with("upgrade:"));
    if !is_upgrade {
        head.retain(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        head.push("Connection: close\r\n".into());
    }
    let mut server = TcpStream::connect(server)?;
    server.write_all((head.concat() + "\r\n").as_bytes())?;
    let mut to_server = server.try_clone()?;
    let upwards = std::thread::spawn(move || {
        copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = upwards.join();
    Ok(())
}

fn copy(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}
