//! What Framewire's formats are called in caps, and what caps say in Framewire's words.

use framewire_transport::frame::{ChromaPlace, ColourRange, PixelLayout, Presentation, SampleAspect, Scan};
use framewire_transport::{FrameFormat, FrameRate, PixelFormat};
use gst_video::{
    VideoChromaSite, VideoColorRange, VideoColorimetry, VideoFieldOrder, VideoFormat, VideoInfo, VideoInterlaceMode,
};

use crate::layout::Layout;

/// The caps' field that tells formats apart which GStreamer calls the same: `depth16` is `GRAY16_LE` there, and so is `gray16`.
pub(crate) const PIXEL_FIELD: &str = "framewire-pixel";

/// The caps' field with what belongs to every frame of the stream.
pub(crate) const METADATA_FIELD: &str = "framewire-metadata";

/// What caps say of pictures that Framewire carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) format: FrameFormat,
    pub(crate) presentation: Presentation,
    /// What every frame has beside its pixels that has nothing of its own.
    pub(crate) metadata: Option<String>,
    /// `None` of `video/x-bayer`, which GStreamer's video library does not know.
    pub(crate) info: Option<VideoInfo>,
}

/// How GStreamer calls a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    /// A format of `video/x-raw`.
    Raw(VideoFormat),
    /// A format of `video/x-bayer`.
    Bayer(&'static str),
}

/// How the GStreamer that runs calls a format; `None` where it has no name for it.
fn media(pixel: PixelFormat) -> Option<Media> {
    let name = pixel.gstreamer()?;
    match pixel.layout() {
        // Before 1.24 its elements know mosaics of 8 bits alone.
        PixelLayout::Bayer(_) => (pixel.bits() == 8 || gst::version() >= (1, 23, 0, 0)).then_some(Media::Bayer(name)),
        _ => name.parse().ok().filter(|format| *format != VideoFormat::Unknown).map(Media::Raw),
    }
}

/// Every format that both sides have.
pub(crate) fn known() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL.into_iter().filter(|pixel| media(*pixel).is_some())
}

/// What both sides have, as caps.
pub(crate) fn caps_of_all() -> gst::Caps {
    let (mut raw, mut bayer) = (Vec::new(), Vec::new());
    for pixel in known() {
        match media(pixel) {
            // Two formats may have one name.
            Some(Media::Raw(format)) if raw.contains(&format.to_str()) => {}
            Some(Media::Raw(format)) => raw.push(format.to_str()),
            Some(Media::Bayer(name)) => bayer.push(name),
            None => {}
        }
    }
    let shaped = |name: &str, formats: gst::List| {
        gst::Structure::builder(name)
            .field("format", formats)
            .field("width", gst::IntRange::new(1, i32::MAX))
            .field("height", gst::IntRange::new(1, i32::MAX))
            .field("framerate", gst::FractionRange::new(gst::Fraction::new(0, 1), gst::Fraction::new(i32::MAX, 1)))
            .build()
    };
    let raw = gst::List::new(raw.iter().map(|name| name.as_str()));
    gst::Caps::builder_full()
        .structure(shaped("video/x-raw", raw))
        .structure(shaped("video/x-bayer", gst::List::new(bayer)))
        .build()
}

/// The names of all of them, as GStreamer has them.
pub(crate) fn names() -> String {
    let mut names: Vec<&str> = known().filter_map(PixelFormat::gstreamer).collect();
    names.dedup();
    names.join(", ")
}

/// Reads caps that are fixed.
///
/// # Errors
/// What cannot be sent, and what to do about it.
pub(crate) fn read(caps: &gst::CapsRef) -> Result<Picture, String> {
    let structure = caps.structure(0).ok_or("the caps are empty; say a format")?;
    let metadata = structure.get::<String>(METADATA_FIELD).ok().filter(|metadata| !metadata.is_empty());
    let picture = match structure.name().as_str() {
        "video/x-raw" => raw(caps, structure)?,
        "video/x-bayer" => bayer(structure)?,
        other => return Err(format!("{other} is no raw video; decode it before")),
    };
    Ok(Picture { metadata, ..picture })
}

fn raw(caps: &gst::CapsRef, structure: &gst::StructureRef) -> Result<Picture, String> {
    let info = VideoInfo::from_caps(caps).map_err(|_| format!("{caps} say no whole format"))?;
    if info.is_interlaced() {
        return Err(format!(
            "the pictures are interlaced ({}), and frames are whole moments; put deinterlace before",
            structure.get::<&str>("interlace-mode").unwrap_or("interlaced")
        ));
    }
    let media = Media::Raw(info.format());
    let hinted = structure.get::<&str>(PIXEL_FIELD).ok().and_then(|name| name.parse().ok());
    let pixel = hinted
        .filter(|pixel| self::media(*pixel) == Some(media))
        .or_else(|| known().find(|pixel| self::media(*pixel) == Some(media)))
        .ok_or_else(|| {
            format!("Framewire has no {}; put videoconvert before, for one of {}", info.format(), names())
        })?;
    // As GStreamer has them by itself, so that every element can write into a slot; where Framewire's planes lie otherwise, without a gap.
    let stride = info.stride().first().and_then(|stride| u32::try_from(*stride).ok()).unwrap_or_default();
    let format = FrameFormat::with_stride(pixel, info.width(), info.height(), stride)
        .ok()
        .filter(|format| Layout::of(format) == Layout::of_info(&info))
        .map_or_else(|| FrameFormat::new(pixel, info.width(), info.height()), Ok)
        .map_err(|error| error.to_string())?;
    Ok(Picture { format, presentation: presentation(&info), metadata: None, info: Some(info) })
}

fn bayer(structure: &gst::StructureRef) -> Result<Picture, String> {
    let name = structure.get::<&str>("format").map_err(|_| "a mosaic without a format; say which".to_owned())?;
    let pixel = known()
        .find(|pixel| media(*pixel).is_some_and(|media| matches!(media, Media::Bayer(known) if known == name)))
        .ok_or_else(|| format!("Framewire has no mosaic {name}; it has {}", names()))?;
    let side = |field| structure.get::<i32>(field).ok().and_then(|side| u32::try_from(side).ok()).unwrap_or_default();
    let format = FrameFormat::new(pixel, side("width"), side("height")).map_err(|error| error.to_string())?;
    let rate = structure.get::<gst::Fraction>("framerate").ok().and_then(rate);
    Ok(Picture { format, presentation: rate.into(), metadata: None, info: None })
}

/// Of a rate of 0/1 nothing is known.
fn rate(fraction: gst::Fraction) -> Option<FrameRate> {
    FrameRate::new(u32::try_from(fraction.numer()).ok()?, u32::try_from(fraction.denom()).ok()?).ok()
}

fn presentation(info: &VideoInfo) -> Presentation {
    let (width, height) = (info.par().numer(), info.par().denom());
    let aspect = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    let chroma = match info.chroma_site() {
        site if site == VideoChromaSite::MPEG2 => ChromaPlace::Left,
        site if site == VideoChromaSite::JPEG => ChromaPlace::Center,
        site if site == VideoChromaSite::COSITED => ChromaPlace::TopLeft,
        _ => ChromaPlace::Unknown,
    };
    let range = match info.colorimetry().range() {
        VideoColorRange::Range0_255 => ColourRange::Full,
        VideoColorRange::Range16_235 => ColourRange::Limited,
        _ => ColourRange::Unknown,
    };
    Presentation::UNKNOWN
        .rate(rate(info.fps()))
        .scan(Scan::Progressive)
        .aspect(aspect.and_then(|(width, height)| SampleAspect::new(width, height)))
        .chroma(chroma)
        .range(range)
}

/// What pictures of a stream are in caps.
///
/// # Errors
/// The GStreamer that runs has no such format.
pub(crate) fn picture_of(format: FrameFormat, presentation: Presentation) -> Result<(Picture, gst::Caps), String> {
    let pixel = format.pixel();
    let (major, minor, _, _) = gst::version();
    let media = media(pixel).ok_or_else(|| {
        format!("GStreamer {major}.{minor} has no {pixel}; have the stream's source send one of {}", names())
    })?;
    let wrong = |side: &str| format!("a picture of {format} is larger than GStreamer's caps can say ({side})");
    let width = i32::try_from(format.width()).map_err(|_| wrong("width"))?;
    let height = i32::try_from(format.height()).map_err(|_| wrong("height"))?;
    let (info, mut caps) = match media {
        Media::Raw(video) => {
            let info = info_of(video, &format, presentation)
                .ok_or_else(|| format!("GStreamer {major}.{minor} makes no picture of {format}"))?;
            let caps = info.to_caps().map_err(|error| error.to_string())?;
            (Some(info), caps)
        }
        Media::Bayer(name) => {
            let caps = gst::Caps::builder("video/x-bayer").field("format", name);
            let caps = caps.field("width", width).field("height", height);
            (None, caps.field("framerate", fraction(presentation.rate)).build())
        }
    };
    if known().find(|known| self::media(*known) == Some(media)) != Some(pixel) {
        caps.make_mut().set(PIXEL_FIELD, pixel.name());
    }
    Ok((Picture { format, presentation, metadata: None, info }, caps))
}

fn info_of(video: VideoFormat, format: &FrameFormat, presentation: Presentation) -> Option<VideoInfo> {
    let plain = VideoInfo::builder(video, format.width(), format.height()).build().ok()?;
    let (interlace_mode, field_order) = match presentation.scan {
        Scan::TopFirst => (VideoInterlaceMode::Interleaved, Some(VideoFieldOrder::TopFieldFirst)),
        Scan::BottomFirst => (VideoInterlaceMode::Interleaved, Some(VideoFieldOrder::BottomFieldFirst)),
        Scan::Mixed => (VideoInterlaceMode::Mixed, None),
        _ => (VideoInterlaceMode::Progressive, None),
    };
    let chroma = match presentation.chroma {
        ChromaPlace::Left => Some(VideoChromaSite::MPEG2),
        ChromaPlace::Center => Some(VideoChromaSite::JPEG),
        ChromaPlace::TopLeft => Some(VideoChromaSite::COSITED),
        _ => None,
    };
    let range = match presentation.range {
        ColourRange::Full => Some(VideoColorRange::Range0_255),
        ColourRange::Limited => Some(VideoColorRange::Range16_235),
        _ => None,
    };
    // The others are what GStreamer takes for pictures of this size and kind.
    let usual = plain.colorimetry();
    let colorimetry =
        range.map(|range| VideoColorimetry::new(range, usual.matrix(), usual.transfer(), usual.primaries()));
    let aspect = presentation.aspect.unwrap_or(SampleAspect::SQUARE);
    let par = i32::try_from(aspect.num()).ok().zip(i32::try_from(aspect.den()).ok());
    VideoInfo::builder(video, format.width(), format.height())
        .fps(fraction(presentation.rate))
        .par_if_some(par.map(|(num, den)| gst::Fraction::new(num, den)))
        .interlace_mode(interlace_mode)
        .field_order_if_some(field_order)
        .chroma_site_if_some(chroma)
        .colorimetry_if_some(colorimetry.as_ref())
        .build()
        .ok()
}

/// Where the rate is not known, or is beyond what caps can say, 0/1.
fn fraction(rate: Option<FrameRate>) -> gst::Fraction {
    rate.and_then(|rate| Some((i32::try_from(rate.num()).ok()?, i32::try_from(rate.den()).ok()?)))
        .map_or(gst::Fraction::new(0, 1), |(num, den)| gst::Fraction::new(num, den))
}
