//! Outputs: a program's own frames, to a receiver or for other processes of this machine.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use framewire_ends::array::not_of_length;
use framewire_ends::{Class, Error, Output, OutputOptions};
use framewire_transport::{Delivery, FrameRate};

use crate::border::{self, call, growing, make, not_null, null, put, say, text, wait};
use crate::format::format_of;
use crate::key::{cipher, fw_key, fw_protection, key_of, protection_of, secret};
use crate::result::{fw_error, fw_result, text_of};
use crate::slot::{self, fw_slot};
use crate::stream::fw_delivery;

/// Where frames go. Freed with fw_output_free.
pub struct fw_output {
    output: Arc<Output>,
    target: CString,
}

/// As `metadata_max`: frames have no metadata.
pub const FW_NO_METADATA: u32 = 0xFFFF_FFFF;

/// What the frames of an output are like; 0 is the default in every field.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_output_options {
    /// sizeof (fw_output_options).
    pub size: usize,
    /// Of a publisher alone: where its hub is, a name or the path of a socket. NULL: at a hub of the stream's
    /// name.
    pub hub: *const c_char,
    /// An fw_delivery. 0: FW_LATEST.
    pub delivery: u32,
    /// Slots for frames that are written and on their way. 0: as the transport says.
    pub slots: u32,
    /// Bytes of metadata that a frame may have, at most 4,096. 0: 4,096. FW_NO_METADATA: none.
    pub metadata_max: u32,
    /// Frames a second are rate_numerator / rate_denominator, for whoever shows or records them. 0: not known.
    pub rate_numerator: u32,
    /// See rate_numerator. 0: 1.
    pub rate_denominator: u32,
    /// Of a sender alone: an fw_protection. 0: FW_PROTECTION_AUTO.
    pub protection: u32,
    /// Of a sender alone: the key that the receiver has, too. With it frames are encrypted, and both ends prove
    /// that they have it. It may be freed once the sender is open. NULL: none.
    pub key: *const fw_key,
}

growing!(fw_output_options {
    size,
    hub,
    delivery,
    slots,
    metadata_max,
    rate_numerator,
    rate_denominator,
    protection,
    key,
});

/// What belongs to one frame that is sent; 0 is the default in every field.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_send_options {
    /// sizeof (fw_send_options).
    pub size: usize,
    /// Bytes to go with the frame; NULL: none.
    pub metadata: *const u8,
    /// How many of them.
    pub metadata_bytes: usize,
    /// What they are: an fw_metadata_kind.
    pub metadata_kind: u32,
    /// Not used: 0.
    pub reserved: u32,
    /// When the picture was taken, on CLOCK_MONOTONIC. 0: now.
    pub captured_ns: u64,
    /// When it was taken as UTC, nanoseconds since 1970, where the picture has a time of its own, such as that
    /// of its place in a file. 0: by the clock of this machine.
    pub captured_utc_ns: u64,
}

growing!(fw_send_options { size, metadata, metadata_bytes, metadata_kind, reserved, captured_ns, captured_utc_ns });

/// What became of the frames of an output.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_output_counts {
    /// sizeof (fw_output_counts), set by the caller.
    pub size: usize,
    /// Frames that were handed over.
    pub sent: u64,
    /// Frames that the receiver says it has whole; of those that are published, all.
    pub delivered: u64,
    /// Frames that gave way to newer ones, or that there was no slot for.
    pub skipped: u64,
    /// Bytes handed over, as the transport counts them.
    pub bytes: u64,
    /// Readers in other processes, of published frames.
    pub readers: u64,
    /// 1 once the receiver has opened the stream, or a published one has begun; else 0.
    pub is_open: u32,
    /// Not used: 0.
    pub reserved: u32,
}

growing!(fw_output_counts { size, sent, delivered, skipped, bytes, readers, is_open, reserved });

/// Options as the library has them.
///
/// # Errors
/// A value that cannot be.
fn options_of(given: &fw_output_options) -> Result<OutputOptions, Error> {
    let delivery = delivery_of(given.delivery)?;
    let rate = match (given.rate_numerator, given.rate_denominator) {
        (0, _) => None,
        (numerator, denominator) => Some(
            FrameRate::new(numerator, denominator.max(1))
                .map_err(|error| Error::new(Class::Argument, "frame-rate", error.to_string()))?,
        ),
    };
    let mut options = OutputOptions::new().delivery(delivery).rate(rate);
    if given.slots != 0 {
        options = options.slots(given.slots as usize);
    }
    Ok(match given.metadata_max {
        0 => options,
        FW_NO_METADATA => options.metadata_max(0),
        bytes => options.metadata_max(bytes as usize),
    })
}

/// A delivery as programs say it.
///
/// # Errors
/// There is no such value.
pub(crate) fn delivery_of(said: u32) -> Result<Delivery, Error> {
    match said {
        latest if latest == fw_delivery::FW_LATEST as u32 => Ok(Delivery::Latest),
        every if every == fw_delivery::FW_EVERY as u32 => Ok(Delivery::Every),
        other => {
            let text = format!("there is no delivery {other}; use FW_LATEST (0) or FW_EVERY (1)");
            Err(Error::new(Class::Argument, "delivery", text))
        }
    }
}

fn handle(output: Output) -> Box<fw_output> {
    Box::new(fw_output { target: text_of(&output.target()), output: Arc::new(output) })
}

/// Sends frames to whoever listens on a UDP address, HOST:PORT. Nobody has to listen yet. `options` may be
/// NULL. Freed with fw_output_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_sender_open(
    address: *const c_char,
    options: *const fw_output_options,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_output>> {
    make(err, || {
        // SAFETY: NULL or a text, as the header asks for.
        let address = unsafe { text(address, "address") }?.ok_or_else(|| null("address"))?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        let given = unsafe { border::options(options) }?;
        if !given.hub.is_null() {
            let text = "a sender has no hub; leave hub NULL, or open a publisher";
            return Err(Error::new(Class::Argument, "hub", text));
        }
        // SAFETY: NULL or a key, as the header asks for.
        let key = unsafe { key_of(given.key) };
        let options = options_of(&given)?.key(key).protection(protection_of(given.protection)?);
        Ok(handle(Output::connect(address, options)?))
    })
}

/// Sends frames to a protected server, which is joined by the line that it prints at its start,
/// framewire://HOST:PORT#TOKEN.PIN, or by the file that it wrote (--join-file). Both prove who they are, frames
/// are encrypted, and the server gives the key. Where it is away, or starts anew, it is waited for;
/// FW_CLASS_REFUSED where it refuses, or is not the one that was joined. `name` is what the stream is called
/// there; it may be NULL. `options` may be NULL; key and protection are left 0. Freed with fw_output_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_sender_join(
    join: *const c_char,
    name: *const c_char,
    options: *const fw_output_options,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_output>> {
    make(err, || {
        // SAFETY: NULL or a text, as the header asks for.
        let join = unsafe { secret(join, "join string") }?;
        // SAFETY: NULL or a text, as the header asks for.
        let name = unsafe { text(name, "stream's name") }?.unwrap_or_default();
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        let given = unsafe { border::options(options) }?;
        if !given.hub.is_null() || !given.key.is_null() {
            let text = "a server that is joined gives the key, and has no hub; leave hub and key NULL";
            return Err(Error::new(Class::Argument, "joined-key", text));
        }
        let options = options_of(&given)?.protection(protection_of(given.protection)?);
        Ok(handle(Output::join(join, name, options)?))
    })
}

/// Shares a stream of this name with other processes of this machine, which read its frames in place. No
/// network. `options` may be NULL. Freed with fw_output_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_publisher_open(
    name: *const c_char,
    options: *const fw_output_options,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> Option<Box<fw_output>> {
    make(err, || {
        // SAFETY: NULL or a text, as the header asks for.
        let name = unsafe { text(name, "stream's name") }?.ok_or_else(|| null("stream's name"))?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        let given = unsafe { border::options(options) }?;
        // SAFETY: NULL or a text, as the header asks for.
        let hub = unsafe { text(given.hub, "hub") }?.map(str::parse).transpose()?;
        if !given.key.is_null() || given.protection == fw_protection::FW_PROTECTION_ON as u32 {
            let text = "what is published goes by shared memory, which is not encrypted; leave key and protection 0";
            return Err(Error::new(Class::Argument, "protection", text));
        }
        Ok(handle(Output::publish(name, hub, options_of(&given)?)?))
    })
}

/// Begins the stream: its frames have this format (an fw_pixel_format), so many pixels, and rows that are
/// `stride` bytes apart in the first plane; 0: one behind the other. Of FW_BYTES, `width` is how many bytes a
/// frame has at most, and `height` is 1. Does nothing where it has begun with the same; FW_CLASS_FORMAT where
/// with another.
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_begin(
    output: Option<&fw_output>,
    format: u32,
    width: u32,
    height: u32,
    stride: u32,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        not_null(output, "output")?.output.begin(format_of(format, width, height, stride)?)?;
        Ok(fw_result::FW_OK)
    })
}

/// A slot to write the next frame into, of the stream's format; what an earlier frame left is still in it.
/// `*slot` is NULL unless FW_OK is returned, and then the caller's, who gives it back with fw_slot_send or
/// fw_slot_discard. FW_TIMEOUT where none came free in time; FW_SLOTS_HELD where the caller has them all. The
/// stream has begun (fw_output_begin).
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_frame(
    output: Option<&fw_output>,
    timeout_ns: i64,
    slot: Option<&mut MaybeUninit<Option<Box<fw_slot>>>>,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    let mut free = None;
    let result = call(err, || {
        let output = &not_null(output, "output")?.output;
        free = output.frame(wait(timeout_ns))?.map(|frame| Box::new(fw_slot::new(frame, output.clone())));
        Ok(if free.is_some() { fw_result::FW_OK } else { fw_result::FW_TIMEOUT })
    });
    put(slot, free);
    result
}

/// Copies a frame into a slot and sends it: `bytes` bytes that lie as the stream's format says, all planes one
/// behind the other. `options` may be NULL. `*number` is the frame's number. FW_TIMEOUT where no slot came free
/// in time; the picture is then counted as skipped. FW_SLOTS_HELD where the caller has them all. The stream has
/// begun (fw_output_begin).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_output_send(
    output: Option<&fw_output>,
    data: *const u8,
    bytes: usize,
    options: *const fw_send_options,
    timeout_ns: i64,
    number: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    let mut sent = 0;
    let result = call(err, || {
        let output = &not_null(output, "output")?.output;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        let given = unsafe { border::options(options) }?;
        // SAFETY: as many bytes as the caller says.
        let pixels = unsafe { border::bytes(data, bytes, "frame's data") }?;
        // SAFETY: as many bytes as the caller says.
        let metadata = unsafe { border::bytes(given.metadata, given.metadata_bytes, "metadata") }?;
        let kind = slot::kind_of(given.metadata_kind)?;
        if let Some(format) = output.format().filter(|format| !format.holds(pixels.len())) {
            return Err(not_of_length(&format, pixels.len()));
        }
        let Some(mut frame) = output.frame_to_fill(wait(timeout_ns))? else {
            output.skip();
            return Ok(fw_result::FW_TIMEOUT);
        };
        slot::set_length(&mut frame, pixels.len())?;
        frame.copy_from_slice(pixels);
        frame.set_metadata(kind, metadata)?;
        slot::set_times(&mut frame, given.captured_ns, given.captured_utc_ns);
        sent = output.send(frame)?;
        Ok(fw_result::FW_OK)
    });
    put(number, sent);
    result
}

/// Counts a picture that there was no slot for, so that a gap in the numbers has a cause.
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_skip(output: Option<&fw_output>) {
    say(output, (), |output| output.output.skip());
}

/// Waits until the receiver has opened the stream. One that is published is open. FW_TIMEOUT where it has not
/// in time; FW_ERROR with FW_CLASS_REFUSED where it refuses.
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_wait_open(
    output: Option<&fw_output>,
    timeout_ns: i64,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || in_time(not_null(output, "output")?.output.wait_until_open(wait(timeout_ns))?))
}

/// Waits until the fate of every frame sent so far is known at the receiver. What is published has arrived.
/// FW_TIMEOUT where it is not in time.
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_wait_settled(
    output: Option<&fw_output>,
    timeout_ns: i64,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || in_time(not_null(output, "output")?.output.wait_until_settled(wait(timeout_ns))?))
}

fn in_time(is_so: bool) -> Result<fw_result, Error> {
    Ok(if is_so { fw_result::FW_OK } else { fw_result::FW_TIMEOUT })
}

/// What became of the frames so far. `counts->size` is set before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_output_stats(
    output: Option<&fw_output>,
    counts: *mut fw_output_counts,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        let stats = not_null(output, "output")?.output.stats();
        let all = fw_output_counts {
            size: 0,
            sent: stats.sent,
            delivered: stats.delivered,
            skipped: stats.skipped,
            bytes: stats.bytes,
            readers: stats.readers as u64,
            is_open: stats.is_open.into(),
            reserved: 0,
        };
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        unsafe { border::write(counts, &all) }?;
        Ok(fw_result::FW_OK)
    })
}

/// Where frames go: HOST:PORT of the receiver, or the path of the hub's socket. NULL of NULL. Borrowed from the
/// output.
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_target(output: Option<&fw_output>) -> *const c_char {
    output.map_or(ptr::null(), |output| output.target.as_ptr())
}

/// The cipher that its datagrams are protected by, such as "AES-128-GCM"; NULL where they are plain, by shared
/// memory, and while the stream is not open. A static text.
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_protection(output: Option<&fw_output>) -> *const c_char {
    say(output, ptr::null(), |output| cipher(output.output.stats().protection))
}

/// Ends the stream: waits at most `timeout_ns` for what was sent to arrive; FW_TIMEOUT where it did not. From
/// then on no frame is taken, and whoever waits for a slot is told. Closing twice is closing once, and says the
/// same.
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_close(
    output: Option<&fw_output>,
    timeout_ns: i64,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || in_time(not_null(output, "output")?.output.close(wait(timeout_ns))))
}

/// Whether it was closed; true of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_is_closed(output: Option<&fw_output>) -> bool {
    say(output, true, |output| output.output.is_closed())
}

/// Frees an output, which nobody uses any more: what has not arrived need not (fw_output_close waits). Slots
/// that are still written into stay until they are given back. It may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_output_free(output: Option<Box<fw_output>>) {
    say(Some(&()), (), |()| drop(output));
}
