//! Every format, byte for byte, wherever its rows lie.

use framewire_ends::{Output, OutputOptions};
use framewire_transport::{FrameFormat, PixelFormat};

use gst_video::VideoMeta;

use crate::stage::{PATIENCE, Pipeline, Place, Sending, Taking, caps, noise, packed, padded, picture};

/// The formats of `video/x-raw` that the elements say they have.
fn raw_formats() -> Vec<String> {
    crate::stage::init();
    let sink = gst::ElementFactory::find("framewiresink").unwrap();
    let templates = sink.static_pad_templates();
    let caps = templates.iter().next().unwrap().caps();
    let raw = caps.iter().find(|structure| structure.name() == "video/x-raw").unwrap();
    let formats = raw.get::<gst::List>("format").unwrap();
    formats.iter().map(|format| format.get::<String>().unwrap()).collect()
}

#[test]
fn every_format_comes_out_byte_for_byte_with_any_strides() {
    let formats = raw_formats();
    assert!(formats.len() >= 20, "{formats:?}");
    for (width, height) in [(64, 48), (38, 17)] {
        for format in &formats {
            let place = Place::new();
            let hub = place.hub(format);
            let caps = caps(format, width, height);
            let sending = Sending::new(&caps, &format!("stream=cam share={hub} delivery=every"));
            // Nobody reads the first one: with it the stream begins.
            sending.begin(picture(&caps, 0));
            let taking = Taking::new(&format!("stream=cam share={hub} delivery=every"));
            sending.wait_for_readers(1);
            for seed in 1..=4_u64 {
                let buffer = if seed % 2 == 0 { padded(&caps, seed) } else { picture(&caps, seed) };
                let sent = packed(&caps, &buffer);
                sending.push(buffer);
                let got = taking.next();
                assert_eq!(got.buffer.offset(), seed, "{format}");
                assert!(got.caps.can_intersect(&caps), "{format}: {} for {caps}", got.caps);
                assert!(packed(&got.caps, &got.buffer) == sent, "{format} {width}x{height}, picture {seed} differs");
            }
        }
    }
}

#[test]
fn a_picture_whose_planes_lie_in_memories_of_their_own_or_across_two_comes_out_byte_for_byte() {
    let place = Place::new();
    let hub = place.hub("pieces");
    let caps = caps("I420", 64, 48);
    let sending = Sending::new(&caps, &format!("stream=cam share={hub} delivery=every"));
    sending.begin(picture(&caps, 0));
    let taking = Taking::new(&format!("stream=cam share={hub} delivery=every"));
    sending.wait_for_readers(1);
    // With and without a word of where they lie; cut between planes, and in the middle of them.
    for (seed, cuts) in [(1, [3072, 3840]), (2, [1000, 3100]), (3, [3072, 3840]), (4, [1000, 3100])] {
        let whole = if seed > 2 { padded(&caps, seed) } else { picture(&caps, seed) };
        let mut pieces = gst::Buffer::new();
        let bytes = whole.map_readable().unwrap().to_vec();
        let into = pieces.make_mut();
        for piece in [&bytes[..cuts[0]], &bytes[cuts[0]..cuts[1]], &bytes[cuts[1]..]] {
            into.append_memory(gst::Memory::from_slice(piece.to_vec()));
        }
        if let Some(meta) = whole.meta::<VideoMeta>() {
            let (flags, format) = (meta.video_frame_flags(), meta.format());
            VideoMeta::add_full(into, flags, format, meta.width(), meta.height(), meta.offset(), meta.stride())
                .unwrap();
        }
        sending.push(pieces);
        let got = taking.next();
        assert!(packed(&got.caps, &got.buffer) == packed(&caps, &whole), "picture {seed} differs");
    }
}

#[test]
fn an_interlaced_stream_is_called_so_and_who_takes_no_such_is_told_the_remedy() {
    let place = Place::new();
    let hub = place.hub("interlaced");
    let output = Output::publish("cam", Some(hub.parse().unwrap()), OutputOptions::new()).unwrap();
    let format = FrameFormat::new("I420".parse::<PixelFormat>().unwrap(), 64, 48).unwrap();
    let presentation = framewire_transport::frame::Presentation::UNKNOWN;
    output.begin_as(format, presentation.scan(framewire_transport::frame::Scan::TopFirst)).unwrap();
    output.send(output.frame(PATIENCE).unwrap().unwrap()).unwrap();
    let got = Taking::new(&format!("stream=cam share={hub}")).next();
    let structure = got.caps.structure(0).unwrap();
    assert_eq!(structure.get::<&str>("interlace-mode"), Ok("interleaved"));
    assert_eq!(structure.get::<&str>("field-order"), Ok("top-field-first"));
    output.send(output.frame(PATIENCE).unwrap().unwrap()).unwrap();
    let progressive = "video/x-raw,interlace-mode=progressive";
    let taking = Pipeline::playing(&format!("framewiresrc stream=cam share={hub} ! {progressive} ! fakesink"));
    let error = taking.error();
    assert!(error.contains("interleaved") && error.contains("put deinterlace behind"), "{error}");
}

#[test]
fn mosaics_come_out_byte_for_byte_with_and_without_gaps_between_rows() {
    for (format, width) in [("rggb", 64_usize), ("grbg", 30), ("gbrg", 61), ("bggr", 63)] {
        let (place, height) = (Place::new(), 10_usize);
        let hub = place.hub("mosaic");
        let caps = gst::Caps::builder("video/x-bayer")
            .field("format", format)
            .field("width", width as i32)
            .field("height", height as i32)
            .field("framerate", gst::Fraction::new(30, 1))
            .build();
        let sending = Sending::new(&caps, &format!("stream=cam share={hub} delivery=every"));
        sending.begin(gst::Buffer::from_mut_slice(noise(width * height, 0)));
        let taking = Taking::new(&format!("stream=cam share={hub} delivery=every"));
        sending.wait_for_readers(1);
        for stride in [width, width.next_multiple_of(4)] {
            let bytes = noise(stride * height, stride as u64);
            sending.push(gst::Buffer::from_mut_slice(bytes.clone()));
            let got = taking.next();
            assert!(got.caps.can_intersect(&caps), "{} for {caps}", got.caps);
            // As GStreamer's own elements read mosaics.
            let usual = width.next_multiple_of(4);
            let came = got.buffer.map_readable().unwrap();
            assert_eq!(came.len(), usual * height);
            for row in 0..height {
                assert_eq!(came[row * usual..][..width], bytes[row * stride..][..width], "{format}, row {row}");
            }
        }
    }
}

#[test]
fn what_gstreamer_calls_the_same_stays_apart() {
    let place = Place::new();
    let hub = place.hub("depth");
    let mut caps = caps("GRAY16_LE", 16, 8);
    caps.make_mut().set("framewire-pixel", "depth16");
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 0));
    let taking = Taking::new(&format!("stream=cam share={hub}"));
    sending.wait_for_readers(1);
    let got = taking.next();
    let structure = got.caps.structure(0).unwrap();
    assert_eq!(structure.get::<&str>("format"), Ok("GRAY16_LE"));
    assert_eq!(structure.get::<&str>("framewire-pixel"), Ok("depth16"));
}

#[test]
fn a_stream_whose_format_gstreamer_does_not_have_is_an_error_that_names_both_sides() {
    let place = Place::new();
    let hub = place.hub("gray12");
    let output = Output::publish("cam", Some(hub.parse().unwrap()), OutputOptions::new()).unwrap();
    let format = FrameFormat::new(PixelFormat::Mono12p, 16, 8).unwrap();
    output.begin(format).unwrap();
    let slot = output.frame(PATIENCE).unwrap().unwrap();
    output.send(slot).unwrap();
    let taking = Pipeline::playing(&format!("framewiresrc stream=cam share={hub} ! fakesink"));
    let error = taking.error();
    assert!(error.contains("mono12p") && error.contains("GStreamer 1.") && error.contains("NV12"), "{error}");
}

#[test]
fn what_the_source_says_of_its_pictures_comes_out_as_it_went_in() {
    let place = Place::new();
    let hub = place.hub("said");
    let mut caps = caps("I420", 64, 48);
    let said = caps.make_mut();
    said.set("framerate", gst::Fraction::new(30_000, 1_001));
    said.set("pixel-aspect-ratio", gst::Fraction::new(64, 45));
    said.set("chroma-site", "jpeg");
    said.set("colorimetry", "1:4:0:0");
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 0));
    let got = Taking::new(&format!("stream=cam share={hub}")).next();
    let structure = got.caps.structure(0).unwrap();
    assert_eq!(structure.get("framerate"), Ok(gst::Fraction::new(30_000, 1_001)));
    assert_eq!(structure.get("pixel-aspect-ratio"), Ok(gst::Fraction::new(64, 45)));
    assert_eq!(structure.get::<&str>("chroma-site"), Ok("jpeg"));
    assert!(structure.get::<&str>("colorimetry").unwrap().starts_with("1:"), "{structure}");
}

#[test]
fn a_stream_without_a_rate_has_none_at_the_other_end() {
    let place = Place::new();
    let hub = place.hub("rate");
    let mut caps = caps("GRAY8", 16, 8);
    caps.make_mut().set("framerate", gst::Fraction::new(0, 1));
    let sending = Sending::new(&caps, &format!("stream=cam share={hub}"));
    sending.push(picture(&caps, 1));
    let got = Taking::new(&format!("stream=cam share={hub}")).next();
    assert_eq!(got.caps.structure(0).unwrap().get("framerate"), Ok(gst::Fraction::new(0, 1)));
    assert_eq!(got.buffer.duration(), None);
}
