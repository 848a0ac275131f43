//! Sources: frames from the network, or from another process of this machine.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use framewire_ends::{Class, Error, OpenOptions, ReceiveOptions, ServerPlace, Source, Taken, WatchOptions};

use crate::border::{self, Place, call, growing, make, not_null, null, put, say, text, wait};
use crate::frame::fw_frame;
use crate::key::{fw_key, keys_of, protection_of, secret};
use crate::output::delivery_of;
use crate::result::{fw_error, fw_result, text_of};
use crate::stream::{fw_stream, fw_streams};

/// Where frames come from. Freed with fw_source_free.
pub struct fw_source {
    source: Source,
    address: Option<CString>,
}

/// What a source over the network is to be like; 0 is the default in every field.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_receiver_options {
    /// sizeof (fw_receiver_options).
    pub size: usize,
    /// Slots of each stream, 1 to 64: four frames being assembled, the others with the program. 0: 8.
    pub slots: u32,
    /// Frames of a `latest` stream that wait for the program at most. 0: the newest alone.
    pub queue: u32,
    /// Not 0: the source ends when its last stream does. 0: the next stream is waited for.
    pub no_reconnect: u32,
    /// Not 0: frames of `latest` streams are handed out too that did not become whole in time
    /// (fw_frame_missing).
    pub partial: u32,
    /// An fw_protection. 0: FW_PROTECTION_AUTO.
    pub protection: u32,
    /// How many keys there are.
    pub keys_count: u32,
    /// Bytes that all streams together may take. 0: as the transport says.
    pub memory_bytes_max: u64,
    /// The keys that senders have, too: with any, frames are encrypted, and no sender without one of them is
    /// heard. They may be freed once the receiver is open. NULL: none.
    pub keys: *const *const fw_key,
}

growing!(fw_receiver_options {
    size,
    slots,
    queue,
    no_reconnect,
    partial,
    protection,
    keys_count,
    memory_bytes_max,
    keys,
});

/// How a stream of a server is watched; 0 is the default in every field, but for one of `server` and `join`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_watch_options {
    /// sizeof (fw_watch_options).
    pub size: usize,
    /// The address of a server that nothing protects, http://HOST:PORT, or whose certificate this machine
    /// trusts, https://HOST:PORT. NULL: `join`.
    pub server: *const c_char,
    /// A protected server: the line that it prints at its start, or the path of the file that it wrote
    /// (--join-file). NULL: `server`.
    pub join: *const c_char,
    /// An fw_delivery. FW_LATEST (0): what does not come in time gives way to the next. FW_EVERY: nothing is
    /// lost for as long as the program keeps up; the server does not wait for it where it does not.
    pub delivery: u32,
    /// Slots, 1 to 64: four frames being assembled, the others with the program. 0: 8.
    pub slots: u32,
    /// Frames of a `latest` stream that wait for the program at most. 0: the newest alone.
    pub queue: u32,
    /// Not 0: the source ends when the stream does. 0: it is waited for until it is back.
    pub no_reconnect: u32,
    /// Not 0: frames are handed out too that did not become whole in time (fw_frame_missing).
    pub partial: u32,
    /// An fw_protection. FW_PROTECTION_OFF takes plain text from another machine. 0: FW_PROTECTION_AUTO.
    pub protection: u32,
    /// Frames a second that are wanted at most; those between are left out. 0: all.
    pub fps_max: f64,
    /// Bytes that the stream may take. 0: as the transport says.
    pub memory_bytes_max: u64,
    /// Where frames come in: HOST:PORT, or :PORT for all addresses of this machine, as a firewall lets them in.
    /// NULL: a port of the system's choice, on loopback where the server is there.
    pub udp: *const c_char,
}

growing!(fw_watch_options {
    size,
    server,
    join,
    delivery,
    slots,
    queue,
    no_reconnect,
    partial,
    protection,
    fps_max,
    memory_bytes_max,
    udp,
});

/// How a stream of another process is read; 0 is the default in every field.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_reader_options {
    /// sizeof (fw_reader_options).
    pub size: usize,
    /// Whose stream it is: the port of a server, the name of a publisher, or the path of a socket. NULL: it is
    /// looked for at every hub of this machine.
    pub hub: *const c_char,
    /// What the hub's operator sees of this program. NULL: the name of its file.
    pub name: *const c_char,
    /// Frames that the program may hold at once, 1 to 62, beside those that wait for it. 0: 2.
    pub slots: u32,
    /// Frames that wait for the program at most, 1 to 8. 0: the newest alone.
    pub queue: u32,
    /// Not 0: a hub that is gone is told (FW_INTERRUPTED), and a source that is gone is the end. 0: they are
    /// waited for.
    pub no_reconnect: u32,
    /// Not used: 0.
    pub reserved: u32,
    /// How long the stream is waited for where it is not there. 0: not at all. Below 0: without end.
    pub wait_ns: i64,
    /// For how long a frame is looked for before the thread sleeps. 0: not at all.
    pub busy_poll_ns: u64,
}

growing!(fw_reader_options { size, hub, name, slots, queue, no_reconnect, reserved, wait_ns, busy_poll_ns });

/// What became of the frames of a source, over all its streams.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_source_counts {
    /// sizeof (fw_source_counts), set by the caller.
    pub size: usize,
    /// Frames that this program took.
    pub taken: u64,
    /// Frames that came, and that newer ones took the place of before they were taken.
    pub dropped: u64,
    /// Frames that did not arrive whole, or not at all, or for which no slot was free; 0 by shared memory.
    pub lost: u64,
    /// Frames that their source left out, as it says itself; 0 by shared memory.
    pub skipped: u64,
    /// Bytes of pixels taken.
    pub bytes: u64,
    /// Streams that have been read, the ended ones too.
    pub streams: u64,
    /// How often a stream's hub or sender was gone, and back.
    pub reconnects: u64,
    /// Slots of the streams that are open in which there are frames that were taken and are not released yet.
    pub held: u64,
}

growing!(fw_source_counts { size, taken, dropped, lost, skipped, bytes, streams, reconnects, held });

/// What is 0 is left as it is.
fn given<T: TryFrom<u32>>(value: u32) -> Option<T> {
    T::try_from(value).ok().filter(|_| value != 0)
}

/// Listens on a UDP address of this machine, HOST:PORT, for whoever sends there; port 0 takes a free one
/// (fw_source_address). `options` may be NULL. Freed with fw_source_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_receiver_open(
    address: *const c_char,
    options: *const fw_receiver_options,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_source>> {
    make(err, || {
        // SAFETY: NULL or a text, as the header asks for.
        let address = unsafe { text(address, "address") }?.ok_or_else(|| null("address"))?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        let given_options = unsafe { border::options(options) }?;
        // SAFETY: as many keys as the caller says.
        let keys = unsafe { keys_of(given_options.keys, given_options.keys_count) }?;
        let mut options = ReceiveOptions::new()
            .queue(given(given_options.queue))
            .reconnect(given_options.no_reconnect == 0)
            .partial(given_options.partial != 0)
            .keys(keys)
            .protection(protection_of(given_options.protection)?)
            .memory_bytes_max(usize::try_from(given_options.memory_bytes_max).ok().filter(|bytes| *bytes != 0));
        if let Some(slots) = given(given_options.slots) {
            options = options.slots(slots);
        }
        Ok(listening(Source::bind(address, &options)?))
    })
}

fn listening(source: Source) -> Box<fw_source> {
    let address = source.local_addr().map(|address| text_of(&address.to_string()));
    Box::new(fw_source { source, address })
}

/// A stream that a server has, by its name: its frames come here, from this machine or another. Returns at
/// once. A stream that is not there yet is waited for, and so are a server that is away and a stream that went
/// (fw_source_trouble). `options` says the server. Where that refuses, or is not the one that was joined,
/// fw_source_next says so: FW_CLASS_REFUSED. Freed with fw_source_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_source_watch(
    name: *const c_char,
    options: *const fw_watch_options,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_source>> {
    make(err, || {
        // SAFETY: NULL or a text, as the header asks for.
        let name = unsafe { text(name, "stream's name") }?.ok_or_else(|| null("stream's name"))?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        let given_options = unsafe { border::options(options) }?;
        // SAFETY: NULL or a text, as the header asks for.
        let server = unsafe { text(given_options.server, "server's address") }?;
        let server = match (server, given_options.join.is_null()) {
            (Some(url), true) => ServerPlace::Url(url.to_owned()),
            // SAFETY: a text, as the header asks for.
            (None, false) => ServerPlace::Join(unsafe { secret(given_options.join, "join string") }?.to_owned()),
            _ => {
                let text = "a stream is watched at a server: set server or join of fw_watch_options, one of the two";
                return Err(Error::new(Class::Argument, "invalid-address", text));
            }
        };
        let mut receive = ReceiveOptions::new()
            .queue(given(given_options.queue))
            .reconnect(given_options.no_reconnect == 0)
            .partial(given_options.partial != 0)
            .protection(protection_of(given_options.protection)?)
            .memory_bytes_max(usize::try_from(given_options.memory_bytes_max).ok().filter(|bytes| *bytes != 0));
        if let Some(slots) = given(given_options.slots) {
            receive = receive.slots(slots);
        }
        // SAFETY: NULL or a text, as the header asks for.
        let udp = unsafe { text(given_options.udp, "address of udp") }?;
        let options = WatchOptions::new()
            .receive(receive)
            .udp(udp.map(str::to_owned))
            .delivery(delivery_of(given_options.delivery)?)
            .frames_per_second_max(Some(given_options.fps_max).filter(|fps| *fps != 0.0));
        Ok(listening(Source::watch(name, &server, &options)?))
    })
}

/// Why nothing comes of a stream that is watched, where something is known: its server is away, or has no stream
/// of that name, or sends it and no datagram comes in. Its text is for people; its class is
/// FW_CLASS_TIMEOUT. NULL where nothing is known, and of other sources. Freed with fw_error_free.
#[unsafe(no_mangle)]
pub extern "C" fn fw_source_trouble(source: Option<&fw_source>) -> Option<Box<fw_error>> {
    let trouble = say(source, None, |source| source.source.trouble());
    trouble.map(|trouble| Box::new(Error::new(Class::Timeout, "timeout", trouble).into()))
}

/// Reads a stream of another process of this machine, in place. `stream` is its name; NULL: the only one that
/// there is. `options` may be NULL. FW_CLASS_UNKNOWN_STREAM where it is not there. Freed with fw_source_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_reader_open(
    stream: *const c_char,
    options: *const fw_reader_options,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_source>> {
    make(err, || {
        // SAFETY: NULL or a text, as the header asks for.
        let stream = unsafe { text(stream, "stream's name") }?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        let given_options = unsafe { border::options(options) }?;
        // SAFETY: NULL or a text, as the header asks for.
        let hub = unsafe { text(given_options.hub, "hub") }?.map(str::parse).transpose()?;
        // SAFETY: NULL or a text, as the header asks for.
        let name = unsafe { text(given_options.name, "program's name") }?;
        let mut options = OpenOptions::new()
            .hub(hub)
            .queue(given(given_options.queue))
            .reconnect(given_options.no_reconnect == 0)
            .wait(wait(given_options.wait_ns))
            .busy_poll(Duration::from_nanos(given_options.busy_poll_ns))
            .name(name.map(str::to_owned));
        if let Some(slots) = given(given_options.slots) {
            options = options.slots(slots);
        }
        let source = Source::open(stream, &options, &mut || true)?;
        let source = source.ok_or_else(|| Error::closed("reader"))?;
        Ok(Box::new(fw_source { source, address: None }))
    })
}

/// The next frame. Waits for `timeout_ns`: below 0 without end; 0 takes what is there. `*frame` is NULL unless
/// FW_OK is returned, and then the caller's, who gives it back with fw_frame_release. FW_TIMEOUT (without an
/// error), FW_ENDED, FW_SLOTS_HELD where this program has held every slot for 80 ms, FW_INTERRUPTED, FW_ERROR.
/// A signal does not end it: programs that handle one wait in steps, or by fw_source_fd, or close the source in
/// another thread.
#[unsafe(no_mangle)]
pub extern "C" fn fw_source_next(
    source: Option<&fw_source>,
    timeout_ns: i64,
    frame: Option<&mut MaybeUninit<Option<Box<fw_frame>>>>,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    take(source, frame, err, |source| source.recv(wait(timeout_ns)))
}

/// The newest frame of those that wait, the others given back; as fw_source_next where none does.
#[unsafe(no_mangle)]
pub extern "C" fn fw_source_latest(
    source: Option<&fw_source>,
    timeout_ns: i64,
    frame: Option<&mut MaybeUninit<Option<Box<fw_frame>>>>,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    take(source, frame, err, |source| source.latest(wait(timeout_ns)))
}

fn take(
    source: Option<&fw_source>,
    frame: Place<'_, Option<Box<fw_frame>>>,
    err: border::ErrorPlace<'_>,
    take: impl FnOnce(&Source) -> Result<Option<Taken>, Error>,
) -> fw_result {
    let mut taken = None;
    let result = call(err, || {
        taken = take(&not_null(source, "source")?.source)?.map(|taken| Box::new(fw_frame::new(taken)));
        Ok(if taken.is_some() { fw_result::FW_OK } else { fw_result::FW_TIMEOUT })
    });
    put(frame, taken);
    result
}

/// A descriptor for poll, epoll and what is built on it: readable while there may be a frame to take or an end
/// to learn of. Once it is, call fw_source_next with a timeout of 0 until that returns FW_TIMEOUT. It is only
/// to be waited for; the source's, which closes it. That all slots are held is told by fw_source_next alone. -1
/// where there is none.
#[unsafe(no_mangle)]
pub extern "C" fn fw_source_fd(
    source: Option<&fw_source>,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> i32 {
    make(err, || Ok(not_null(source, "source")?.source.descriptor()?.as_raw_fd())).unwrap_or(-1)
}

/// What became of the frames so far. `counts->size` is set before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_source_stats(
    source: Option<&fw_source>,
    counts: *mut fw_source_counts,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        let stats = not_null(source, "source")?.source.stats();
        let all = fw_source_counts {
            size: 0,
            taken: stats.taken,
            dropped: stats.dropped,
            lost: stats.lost,
            skipped: stats.skipped,
            bytes: stats.bytes,
            streams: stats.streams,
            reconnects: stats.reconnects,
            held: stats.held as u64,
        };
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        unsafe { border::write(counts, &all) }?;
        Ok(fw_result::FW_OK)
    })
}

/// The streams that are open at this moment. Freed with fw_streams_free.
#[unsafe(no_mangle)]
pub extern "C" fn fw_source_streams(
    source: Option<&fw_source>,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_streams>> {
    make(err, || {
        let streams = not_null(source, "source")?.source.streams();
        Ok(Box::new(streams.into_iter().map(|stream| fw_stream::new(Arc::new(stream), None)).collect()))
    })
}

/// HOST:PORT listened on, with the real port; NULL by shared memory. Borrowed from the source.
#[unsafe(no_mangle)]
pub extern "C" fn fw_source_address(source: Option<&fw_source>) -> *const c_char {
    source.and_then(|source| source.address.as_ref()).map_or(ptr::null(), |address| address.as_ptr())
}

/// Ends it: who waits for a frame of it is told (FW_CLASS_CLOSED), and so is whoever asks later. Frames that
/// were taken stay. It may be called from any thread, though not in a signal's handler. Closing twice is
/// closing once.
#[unsafe(no_mangle)]
pub extern "C" fn fw_source_close(source: Option<&fw_source>) {
    say(source, (), |source| source.source.close());
}

/// Whether it was closed; true of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_source_is_closed(source: Option<&fw_source>) -> bool {
    say(source, true, |source| source.source.is_closed())
}

/// Closes and frees a source, which nobody uses any more. Frames that were taken stay. It may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_source_free(source: Option<Box<fw_source>>) {
    say(Some(&()), (), |()| drop(source));
}
