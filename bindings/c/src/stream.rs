//! Streams: what frames are of.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use framewire_ends::{Hub, Stream, shared_streams};
use framewire_transport::{Delivery, PathKind};

use crate::border::{make, say, text};
use crate::format::name_of;
use crate::key::cipher;
use crate::result::{fw_error, text_of};

/// Whether a stream loses nothing.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fw_delivery {
    /// The newest frame wins; what cannot leave in time gives way to the next. The default.
    FW_LATEST = 0,
    /// Nothing is lost: whoever sends waits.
    FW_EVERY = 1,
}

/// What a stream is. Borrowed: from a list of streams, or from a frame.
pub struct fw_stream {
    stream: Arc<Stream>,
    name: CString,
    peer: Option<CString>,
    hub: Option<CString>,
}

impl fw_stream {
    pub(crate) fn new(stream: Arc<Stream>, hub: Option<&str>) -> Self {
        let peer = stream.peer.map(|peer| text_of(&peer.to_string()));
        Self { name: text_of(&stream.name), peer, hub: hub.map(text_of), stream }
    }
}

/// Streams as they were when they were asked for. Freed with fw_streams_free.
pub struct fw_streams {
    all: Vec<fw_stream>,
}

impl FromIterator<fw_stream> for fw_streams {
    fn from_iter<T: IntoIterator<Item = fw_stream>>(streams: T) -> Self {
        Self { all: streams.into_iter().collect() }
    }
}

/// The streams that processes of this machine share: at every hub, or at the one that is named. `hub` may be
/// NULL; else it is the port of a server, the name of a publisher, or the path of a socket. It takes a
/// millisecond, and up to 0.6 s where a hub does not answer; one that is named and is not there, or does not
/// answer within 5 s, is an error. Freed with fw_streams_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_shared_streams(
    hub: *const c_char,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_streams>> {
    make(err, || {
        // SAFETY: NULL or a text, as the header asks for.
        let hub: Option<Hub> = unsafe { text(hub, "hub") }?.map(str::parse).transpose()?;
        let streams = shared_streams(hub.as_ref(), &mut || true).unwrap_or_default().all()?;
        let stream = |(info, endpoint): (_, framewire_transport::Endpoint)| {
            fw_stream::new(Arc::new(Stream::from(info)), Some(&endpoint.to_string()))
        };
        Ok(Box::new(streams.into_iter().map(stream).collect()))
    })
}

/// How many streams there are in a list.
#[unsafe(no_mangle)]
pub extern "C" fn fw_streams_count(streams: Option<&fw_streams>) -> usize {
    say(streams, 0, |streams| streams.all.len())
}

/// The stream at this place of a list, from 0 on; NULL where there is none. Borrowed from the list.
#[unsafe(no_mangle)]
pub extern "C" fn fw_streams_at(streams: Option<&fw_streams>, index: usize) -> Option<&fw_stream> {
    streams.and_then(|streams| streams.all.get(index))
}

/// Frees a list of streams. It may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_streams_free(streams: Option<Box<fw_streams>>) {
    drop(streams);
}

/// What it is called at its hub; of one that comes over the network, its number.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_name(stream: Option<&fw_stream>) -> *const c_char {
    stream.map_or(ptr::null(), |stream| stream.name.as_ptr())
}

/// The code of its format: an fw_pixel_format.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_format(stream: Option<&fw_stream>) -> u32 {
    say(stream, 0, |stream| stream.stream.format.pixel().code().into())
}

/// The name of its format, such as "bgr24". A static text.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_format_name(stream: Option<&fw_stream>) -> *const c_char {
    say(stream, ptr::null(), |stream| name_of(stream.stream.format.pixel()))
}

/// Width in pixels.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_width(stream: Option<&fw_stream>) -> u32 {
    say(stream, 0, |stream| stream.stream.format.width())
}

/// Height in pixels.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_height(stream: Option<&fw_stream>) -> u32 {
    say(stream, 0, |stream| stream.stream.format.height())
}

/// Bytes from row to row of the first plane.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_stride(stream: Option<&fw_stream>) -> u32 {
    say(stream, 0, |stream| stream.stream.format.stride())
}

/// Frames a second, as its source said: `*numerator` / `*denominator`. False, and 0 / 1, where it did not say.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_rate(
    stream: Option<&fw_stream>,
    numerator: Option<&mut MaybeUninit<u32>>,
    denominator: Option<&mut MaybeUninit<u32>>,
) -> bool {
    let rate = say(stream, None, |stream| stream.stream.presentation.rate);
    crate::border::put(numerator, rate.map_or(0, |rate| rate.num()));
    crate::border::put(denominator, rate.map_or(1, |rate| rate.den()));
    rate.is_some()
}

/// Whether it loses nothing: an fw_delivery.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_delivery(stream: Option<&fw_stream>) -> u32 {
    say(stream, 0, |stream| match stream.stream.delivery {
        Delivery::Latest => fw_delivery::FW_LATEST as u32,
        Delivery::Every => fw_delivery::FW_EVERY as u32,
    })
}

/// Bytes of metadata that each of its frames may have.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_metadata_max(stream: Option<&fw_stream>) -> usize {
    say(stream, 0, |stream| stream.stream.metadata_max)
}

/// HOST:PORT of its sender; NULL by shared memory.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_peer(stream: Option<&fw_stream>) -> *const c_char {
    stream.and_then(|stream| stream.peer.as_ref()).map_or(ptr::null(), |peer| peer.as_ptr())
}

/// Where the socket of its hub is, in what fw_shared_streams says; NULL elsewhere.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_hub(stream: Option<&fw_stream>) -> *const c_char {
    stream.and_then(|stream| stream.hub.as_ref()).map_or(ptr::null(), |hub| hub.as_ptr())
}

/// The cipher that its datagrams are protected by, such as "AES-128-GCM"; NULL where they are plain, and by
/// shared memory. A static text.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_protection(stream: Option<&fw_stream>) -> *const c_char {
    say(stream, ptr::null(), |stream| cipher(stream.stream.protection))
}

/// How its frames come to whoever hands them out: "udp" or "shm"; NULL where they are made there. A static
/// text.
#[unsafe(no_mangle)]
pub extern "C" fn fw_stream_path(stream: Option<&fw_stream>) -> *const c_char {
    say(stream, ptr::null(), |stream| match stream.stream.path {
        Some(PathKind::Udp) => c"udp".as_ptr(),
        Some(PathKind::Shm) => c"shm".as_ptr(),
        _ => ptr::null(),
    })
}
