//! Pipelines to be tested, and what goes in and comes out of them.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use framewire_testing::wait_until;
use framewire_transport::{FrameFormat, PixelFormat};
use gst::prelude::*;
use gst_video::{VideoInfo, VideoMeta};

pub(crate) use framewire_testing::PATIENCE;

pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstframewire::plugin_register_static().unwrap();
    });
}

/// A folder for hubs' sockets.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        init();
        Self(tempfile::Builder::new().prefix("fw").tempdir_in("/tmp").unwrap())
    }

    /// The path of a hub.
    pub(crate) fn hub(&self, name: &str) -> String {
        self.0.path().join(format!("{name}.sock")).display().to_string()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }
}

/// A pipeline, which ends with this.
pub(crate) struct Pipeline(pub(crate) gst::Pipeline);

impl Pipeline {
    pub(crate) fn new(description: &str) -> Self {
        init();
        Self(gst::parse::launch(description).unwrap().downcast().unwrap())
    }

    pub(crate) fn playing(description: &str) -> Self {
        let pipeline = Self::new(description);
        pipeline.0.set_state(gst::State::Playing).unwrap();
        pipeline
    }

    pub(crate) fn element(&self, name: &str) -> gst::Element {
        self.0.by_name(name).unwrap()
    }

    /// The first message of which something is made.
    pub(crate) fn until<T>(&self, mut wanted: impl FnMut(&gst::Message) -> Option<T>) -> T {
        let bus = self.0.bus().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = gst::ClockTime::try_from(left).unwrap();
            let message = bus.timed_pop(left).expect("no such message in time");
            if let Some(found) = wanted(&message) {
                return found;
            }
        }
    }

    /// The text of the next error.
    pub(crate) fn error(&self) -> String {
        self.until(|message| match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => None,
        })
    }

    /// The text of the next warning; an error is none.
    pub(crate) fn warning(&self) -> String {
        self.until(|message| match message.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
            gst::MessageView::Error(error) => panic!("{}", error.error()),
            _ => None,
        })
    }

    /// Forgets what was told so far, while the stream was not there yet.
    pub(crate) fn forget(&self) {
        self.0.bus().unwrap().set_flushing(true);
        self.0.bus().unwrap().set_flushing(false);
    }

    /// Waits until it is told that what was in the way is over.
    pub(crate) fn over(&self) {
        self.until(|message| match message.view() {
            gst::MessageView::Info(info) => info.error().to_string().contains("is over").then_some(()),
            _ => None,
        });
    }

    /// Has it pause, or play, and waits until it does.
    pub(crate) fn turn_to(&self, state: gst::State) {
        self.0.set_state(state).unwrap();
        let (done, now, _) = self.0.state(gst::ClockTime::from_seconds(60));
        assert!(done.is_ok() && now == state, "{done:?} {now:?}");
    }

    /// Waits for the end of the stream.
    pub(crate) fn eos(&self) {
        self.until(|message| match message.view() {
            gst::MessageView::Eos(_) => Some(()),
            gst::MessageView::Error(error) => panic!("{}", error.error()),
            _ => None,
        });
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// One of an element's statistics.
pub(crate) fn stat(element: &gst::Element, name: &str) -> u64 {
    element.property::<gst::Structure>("stats").get(name).unwrap()
}

/// A socket at a port that the system gives to nobody who asks for any: once this one is gone, a test has it for itself.
pub(crate) fn nobody() -> UdpSocket {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run beside each other are begun one after another, too: each has some for itself.
    let first = 10_000 + (std::process::id() * 64 % 20_000) as u16;
    let mut ports = std::iter::from_fn(|| Some(first + NEXT.fetch_add(1, Ordering::Relaxed))).take(1_000);
    ports.find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok()).expect("a free port")
}

/// A sink that a test pushes pictures into.
pub(crate) struct Sending {
    pub(crate) pipeline: Pipeline,
    pub(crate) sink: gst::Element,
    input: gst::Element,
}

impl Sending {
    /// `sink` is what the sink is told.
    pub(crate) fn new(caps: &gst::Caps, sink: &str) -> Self {
        let description =
            format!("appsrc name=in format=time block=false max-bytes=0 ! framewiresink name=out sync=false {sink}");
        let pipeline = Pipeline::new(&description);
        let (input, sink) = (pipeline.element("in"), pipeline.element("out"));
        input.set_property("caps", caps);
        pipeline.0.set_state(gst::State::Playing).unwrap();
        Self { pipeline, sink, input }
    }

    pub(crate) fn push(&self, buffer: gst::Buffer) {
        let flow = self.input.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        assert!(matches!(flow, gst::FlowReturn::Ok | gst::FlowReturn::Flushing | gst::FlowReturn::Eos), "{flow:?}");
    }

    /// Pushes the first one, with which the stream begins, and waits until it is gone: who comes then has it not, where nothing is to be lost.
    pub(crate) fn begin(&self, buffer: gst::Buffer) {
        self.push(buffer);
        wait_until("the first frame is sent", || stat(&self.sink, "frames-sent") == 1);
    }

    pub(crate) fn set_caps(&self, caps: &gst::Caps) {
        self.input.set_property("caps", caps);
    }

    pub(crate) fn end(&self) {
        let flow = self.input.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
        assert_eq!(flow, gst::FlowReturn::Ok);
    }

    /// Waits until so many programs of this machine read the stream.
    pub(crate) fn wait_for_readers(&self, readers: u64) {
        wait_until("readers", || stat(&self.sink, "readers") == readers);
    }
}

/// What came out of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) caps: gst::Caps,
    pub(crate) buffer: gst::Buffer,
}

/// A source, and what comes out of it.
pub(crate) struct Taking {
    pub(crate) pipeline: Pipeline,
    pub(crate) source: gst::Element,
    got: Receiver<Got>,
}

impl Taking {
    /// `source` is what the source is told, `between` what is between it and the end.
    pub(crate) fn new(source: &str) -> Self {
        let description = format!(
            "framewiresrc name=src {source} ! fakesink name=end sync=false async=false enable-last-sample=false"
        );
        let pipeline = Pipeline::new(&description);
        let (tell, got) = mpsc::channel();
        let pad = pipeline.element("end").static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let (Some(buffer), Some(caps)) = (info.buffer(), pad.current_caps()) {
                // Nobody listens once the test is over.
                let _ = tell.send(Got { caps, buffer: buffer.clone() });
            }
            gst::PadProbeReturn::Ok
        });
        let source = pipeline.element("src");
        pipeline.0.set_state(gst::State::Playing).unwrap();
        Self { pipeline, source, got }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.source.property::<gst::Structure>("stats").get("local-address").unwrap()
    }

    /// The next buffer.
    pub(crate) fn next(&self) -> Got {
        self.got.recv_timeout(PATIENCE).expect("no buffer in time")
    }

    /// The next buffer, if one comes in a moment.
    pub(crate) fn soon(&self) -> Option<Got> {
        self.got.recv_timeout(Duration::from_millis(300)).ok()
    }
}

pub(crate) fn caps(format: &str, width: i32, height: i32) -> gst::Caps {
    init();
    gst::Caps::builder("video/x-raw")
        .field("format", format)
        .field("width", width)
        .field("height", height)
        .field("framerate", gst::Fraction::new(30, 1))
        .build()
}

/// Bytes that no other seed has.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// A buffer of a picture, laid out as GStreamer does by itself.
pub(crate) fn picture(caps: &gst::Caps, seed: u64) -> gst::Buffer {
    let info = VideoInfo::from_caps(caps).unwrap();
    let mut buffer = gst::Buffer::from_mut_slice(noise(info.size(), seed));
    buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(33 * seed));
    buffer
}

/// The same with rows and planes that are further apart.
pub(crate) fn padded(caps: &gst::Caps, seed: u64) -> gst::Buffer {
    let info = VideoInfo::from_caps(caps).unwrap();
    let strides: Vec<i32> = info.stride().iter().map(|stride| stride + 128).collect();
    let (mut offsets, mut bytes) = (Vec::new(), 0);
    for plane in 0..info.n_planes() {
        bytes += 64;
        offsets.push(bytes);
        bytes += strides[plane as usize] as usize * rows(&info, plane);
    }
    let mut buffer = gst::Buffer::from_mut_slice(noise(bytes, seed));
    let flags = gst_video::VideoFrameFlags::empty();
    let said = buffer.make_mut();
    VideoMeta::add_full(said, flags, info.format(), info.width(), info.height(), &offsets, &strides).unwrap();
    said.set_pts(gst::ClockTime::from_mseconds(33 * seed));
    buffer
}

fn rows(info: &VideoInfo, plane: u32) -> usize {
    let pixel: PixelFormat = info.name().parse().unwrap();
    FrameFormat::new(pixel, info.width(), info.height()).unwrap().plane_size(plane as usize).1 as usize
}

/// The rows of a picture without what is between them, whatever its buffer says of where they are.
pub(crate) fn packed(caps: &gst::CapsRef, buffer: &gst::BufferRef) -> Vec<u8> {
    let info = VideoInfo::from_caps(caps).unwrap();
    let pixel: PixelFormat = info.name().parse().unwrap();
    let format = FrameFormat::new(pixel, info.width(), info.height()).unwrap();
    let (offsets, strides) = match buffer.meta::<VideoMeta>() {
        Some(meta) => (meta.offset().to_vec(), meta.stride().to_vec()),
        None => (info.offset().to_vec(), info.stride().to_vec()),
    };
    let bytes = buffer.map_readable().unwrap();
    let mut packed = Vec::new();
    for plane in 0..pixel.planes() {
        let row = format.plane_stride(plane) as usize;
        for at in 0..format.plane_size(plane).1 as usize {
            let from = offsets[plane] + at * strides[plane] as usize;
            packed.extend_from_slice(&bytes[from..from + row]);
        }
    }
    packed
}
