//! A client made of the libraries alone: frames of any format, with metadata, as a program sends them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::{Duration, Instant, SystemTime};

use framewire_signal::message::{Feedback, OpenRequest};
use framewire_signal::{ClientConfig, ClientEvent, SignalClient};
use framewire_transport::frame::MetadataKind;
use framewire_transport::{Delivery, FrameFormat, Sender, SenderConfig};

use crate::running::{PATIENCE, Server};

/// A stream that is open.
pub(crate) struct Stream {
    client: SignalClient,
    sender: Sender,
}

impl Stream {
    /// Opens a stream whose format is written as `pixel`, any name of it.
    pub(crate) fn open(server: &Server, format: FrameFormat, pixel: &str, name: &str) -> Self {
        let id = 0x5eed_cafe;
        let mut open = OpenRequest::new(id, &format, Delivery::Every).name(name).metadata_bytes_max(4_096);
        open.pixel = pixel.to_owned();
        let client = SignalClient::start(ClientConfig::new(server.url()).open(open)).unwrap();
        let opened = loop {
            match client.next_event(PATIENCE).expect("the server answers") {
                ClientEvent::Opened(opened) => break opened,
                ClientEvent::Refused(refused) => panic!("{refused}"),
                _ => {}
            }
        };
        let host = client.peer().unwrap().ip();
        let config = SenderConfig::new(format).delivery(Delivery::Every).stream(id);
        let sender = Sender::connect((host, opened.udp_port).into(), config).unwrap();
        Self { client, sender }
    }

    /// Sends a frame of these bytes; it has this time where one is given.
    pub(crate) fn send(&self, bytes: &[u8], (kind, metadata): (MetadataKind, &[u8]), utc: Option<SystemTime>) {
        let mut frame = self.sender.frame().unwrap();
        frame.set_len(bytes.len()).unwrap();
        frame.copy_from_slice(bytes);
        frame.set_metadata(kind, metadata).unwrap();
        frame.info.captured_utc = utc;
        self.sender.send(frame).unwrap();
    }

    /// What the server says of this frame.
    pub(crate) fn feedback(&self, frame: u64) -> Feedback {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(ClientEvent::Feedback(feedback)) = self.client.next_event(Duration::from_secs(1))
                && feedback.frame == frame
            {
                return feedback;
            }
        }
        panic!("no feedback of frame {frame}");
    }
}
