//! What a stream is, whichever way its frames come.

use std::net::SocketAddr;

use framewire_transport::crypto::Suite;
use framewire_transport::frame::Presentation;
use framewire_transport::{Delivery, Frame, FrameFormat, PathKind, SharedStreamInfo, StreamInfo};

/// A stream that frames come from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stream {
    /// What it is called at its hub; over the network the number that its sender gave it.
    pub name: String,
    /// Its frames.
    pub format: FrameFormat,
    /// Whether its source loses nothing, or has the newest frame win.
    pub delivery: Delivery,
    /// How its pictures are to be shown, as its source said.
    pub presentation: Presentation,
    /// Bytes of metadata that each of its frames may have.
    pub metadata_max: usize,
    /// Who sends it; `None` by shared memory.
    pub peer: Option<SocketAddr>,
    /// How its frames come to whoever hands them out; `None` where they are made there.
    pub path: Option<PathKind>,
    /// The cipher that its datagrams are protected by, such as AES-128-GCM; `None` where they are plain, and by shared memory.
    pub protection: Option<&'static str>,
}

impl From<&StreamInfo> for Stream {
    fn from(info: &StreamInfo) -> Self {
        Self {
            name: info.stream.to_string(),
            format: info.format,
            delivery: info.delivery,
            presentation: info.presentation,
            metadata_max: info.metadata_max,
            peer: Some(info.peer),
            path: Some(info.path),
            protection: info.protection.map(Suite::name),
        }
    }
}

impl From<SharedStreamInfo> for Stream {
    fn from(info: SharedStreamInfo) -> Self {
        Self {
            name: info.name,
            format: info.format,
            delivery: info.delivery,
            presentation: info.presentation,
            metadata_max: info.metadata_max,
            peer: None,
            path: info.path,
            protection: None,
        }
    }
}

/// A frame, and the stream that it is of.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The frame: its slot is held until it and its clones are dropped.
    pub frame: Frame,
    /// What it is of.
    pub stream: std::sync::Arc<Stream>,
}
