//! What belongs to a frame beside its pixels, on buffers: `GstFramewireMeta`, a custom meta whose structure has `kind` (bytes, json or cbor, as Framewire calls
//! them) and `data` (bytes, or a text). And the time of the picture as UTC: a reference timestamp of `timestamp/x-unix`.

use std::time::{Duration, SystemTime};

use framewire_transport::frame::MetadataKind;
use framewire_transport::{Frame, FrameMut};
use gst::glib;
use gst::meta::CustomMeta;

/// What it is called.
const NAME: &str = "GstFramewireMeta";

/// What nanoseconds since 1970 are called.
const UTC: &str = "timestamp/x-unix";

/// Has GStreamer know of it, once.
pub(crate) fn register() {
    if !CustomMeta::is_registered(NAME) {
        // It belongs to the picture as a whole, and goes wherever the rest of a buffer is copied to.
        CustomMeta::register_with_transform(NAME, &[], |to, meta, _from, _how| {
            let Ok(mut copied) = CustomMeta::add(to, NAME) else { return false };
            for (field, value) in meta.structure().iter() {
                copied.mut_structure().set_value(field.as_str(), value.clone());
            }
            true
        });
    }
}

/// Puts what a frame has on a buffer.
pub(crate) fn tell(frame: &Frame, buffer: &mut gst::BufferRef, utc: &gst::Caps) {
    if let Some(metadata) = frame.metadata()
        && let Ok(mut meta) = CustomMeta::add(buffer, NAME)
    {
        let structure = meta.mut_structure();
        structure.set("kind", metadata.kind.to_string());
        structure.set("data", glib::Bytes::from(metadata.bytes));
    }
    let since = frame.captured_utc().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    if let Some(nanos) = since.and_then(|since| u64::try_from(since.as_nanos()).ok()) {
        gst::meta::ReferenceTimestampMeta::add(buffer, utc, gst::ClockTime::from_nseconds(nanos), None);
    }
}

/// Puts what a buffer has into a slot, else what its caps say of every frame.
///
/// # Errors
/// It is more than a frame may have, or of no kind.
pub(crate) fn fill(slot: &mut FrameMut, buffer: &gst::BufferRef, usual: Option<&str>) -> Result<(), String> {
    slot.info.captured_utc = buffer
        .iter_meta::<gst::meta::ReferenceTimestampMeta>()
        .find(|meta| meta.reference().structure(0).is_some_and(|reference| reference.name() == UTC))
        .and_then(|meta| SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(meta.timestamp().nseconds())));
    let Ok(meta) = CustomMeta::from_buffer(buffer, NAME) else {
        let usual = usual.unwrap_or_default();
        return slot.set_metadata(MetadataKind::Json, usual.as_bytes()).map_err(|error| error.to_string());
    };
    let structure = meta.structure();
    let kind = match structure.get::<&str>("kind") {
        Ok(kind) => kind.parse::<MetadataKind>().map_err(|error| error.to_string())?,
        Err(_) => MetadataKind::Bytes,
    };
    let set = if let Ok(bytes) = structure.get::<glib::Bytes>("data") {
        slot.set_metadata(kind, &bytes)
    } else if let Ok(text) = structure.get::<&str>("data") {
        slot.set_metadata(kind, text.as_bytes())
    } else {
        return Err(format!("a {NAME} has its data as bytes or a text, and this one has neither"));
    };
    set.map_err(|error| error.to_string())
}

/// What times of UTC are called in reference timestamps.
pub(crate) fn utc() -> gst::Caps {
    gst::Caps::new_empty_simple(UTC)
}
