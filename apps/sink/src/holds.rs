//! Which formats each sink can hold, and what is to be used for the others.

use framewire_transport::frame::FrameFormat;

use crate::error::SinkError;
use crate::spec::{PictureKind, Piped, SinkSpec};
use crate::{nut, pictures, y4m};

impl SinkSpec {
    /// Whether frames of `format` come out of this sink as they went in; for sinks that show or encode, whether they can at all.
    ///
    /// # Errors
    /// [`SinkError::CannotHold`] with what to use instead.
    pub fn holds(&self, format: &FrameFormat) -> Result<(), SinkError> {
        let is_held = match self {
            Self::Null | Self::Raw(_) | Self::Mcap(..) | Self::Stdout(Piped::Raw) => true,
            Self::Y4m(_) | Self::Stdout(Piped::Y4m) => y4m::holds(format),
            Self::Nut(_) | Self::Stdout(Piped::Nut) => nut::holds(format),
            Self::Stdout(Piped::Fitting) => y4m::holds(format) || nut::holds(format),
            Self::Pictures(_, kind, _) => pictures::holds(*kind, format),
            // Encoders halve the chroma.
            Self::Video(..) if !format.width().is_multiple_of(2) || !format.height().is_multiple_of(2) => {
                let (width, height, remedy) = (format.width(), format.height(), remedy(format));
                return Err(SinkError::OddSize { width, height, remedy });
            }
            Self::Video(..) | Self::Window => framewire_pictures::is_pictured(format.pixel()),
        };
        if is_held {
            return Ok(());
        }
        if let Self::Pictures(_, kind @ PictureKind::Jpeg, _) = self
            && framewire_pictures::is_pictured(format.pixel())
        {
            // It is too large for that alone.
            let remedy = "NAME-{frame}.png or .tif, FILE.raw or FILE.mcap";
            return Err(SinkError::CannotHold { kind: kind.name(), format: *format, remedy });
        }
        let kind = match self {
            Self::Y4m(_) | Self::Stdout(Piped::Y4m) => "Y4M",
            Self::Stdout(Piped::Fitting) => "standard output as Y4M or NUT",
            Self::Pictures(_, kind, _) => kind.name(),
            Self::Video(..) => "encoded video",
            Self::Window => "a window",
            _ => "NUT",
        };
        Err(cannot_hold(kind, format))
    }
}

/// That `kind` cannot hold a format, and what can.
pub(crate) fn cannot_hold(kind: &'static str, format: &FrameFormat) -> SinkError {
    SinkError::CannotHold { kind, format: *format, remedy: remedy(format) }
}

/// What holds a format.
fn remedy(format: &FrameFormat) -> &'static str {
    if nut::holds(format) { "FILE.nut, -:nut, FILE.raw or FILE.mcap" } else { "FILE.raw, -:raw or FILE.mcap" }
}

impl Piped {
    /// What a stream of `format` is written as.
    pub(crate) fn of(self, format: &FrameFormat) -> Self {
        match self {
            Self::Fitting if y4m::holds(format) => Self::Y4m,
            Self::Fitting => Self::Nut,
            chosen => chosen,
        }
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::frame::PixelFormat;

    use super::*;

    fn format(pixel: PixelFormat) -> FrameFormat {
        let (width, height) = if pixel == PixelFormat::Bytes { (9_000, 1) } else { (64, 48) };
        FrameFormat::new(pixel, width, height).unwrap()
    }

    #[test]
    fn every_format_is_held_by_some_sink_and_refused_by_each_that_would_change_it() {
        const SINKS: [&str; 8] = ["null", "x.raw", "-:raw", "x.y4m", "-:y4m", "x.nut", "-:nut", "-"];
        println!("{:<16}{}", "format", SINKS.map(|sink| format!("{sink:<8}")).concat());
        for pixel in PixelFormat::ALL {
            let format = format(pixel);
            let holds = SINKS.map(|sink| sink.parse::<SinkSpec>().unwrap().holds(&format).is_ok());
            println!(
                "{:<16}{}",
                pixel.name(),
                holds.map(|holds| format!("{:<8}", if holds { "yes" } else { "-" })).concat()
            );
            let name = pixel.name();
            // Gray and planar YUV; their names say so.
            let in_y4m = name.starts_with("gray") || name.starts_with("yuv4");
            let out_of_nut =
                ["p010", "depth32f", "bytes"].contains(&name) || name.ends_with("10p") || name.ends_with("12p");
            let (y4m, nut) = (in_y4m, !out_of_nut);
            assert_eq!(holds, [true, true, true, y4m, y4m, nut, nut, y4m || nut], "{name}");
            let piped = Piped::Fitting.of(&format);
            assert_eq!(piped, if y4m { Piped::Y4m } else { Piped::Nut }, "{name}");
        }
    }

    #[test]
    fn a_refusal_reads_as_a_sentence_names_no_file_and_says_what_holds_the_format() {
        let said = |sink: SinkSpec, format: &FrameFormat| sink.holds(format).unwrap_err().to_string();
        let video = || SinkSpec::Video("/srv/secret/out.avi".into(), crate::VideoCodec::Mjpg);
        assert_eq!(
            said("-".parse().unwrap(), &format(PixelFormat::P010)),
            "standard output as Y4M or NUT cannot hold 64x48 p010 unchanged; use FILE.raw, -:raw or FILE.mcap"
        );
        assert_eq!(
            said(video(), &FrameFormat::new(PixelFormat::Bgr24, 63, 48).unwrap()),
            "encoded video cannot hold frames of 63x48: encoders want even sides; use FILE.nut, -:nut, FILE.raw or FILE.mcap"
        );
        for sink in [video(), SinkSpec::Window, "/srv/secret/{frame}.jpg".parse().unwrap()] {
            let said = said(sink, &format(PixelFormat::Bytes));
            assert!(!said.contains("secret") && said.ends_with("use FILE.raw, -:raw or FILE.mcap"), "{said}");
        }
    }

    #[test]
    fn a_picture_that_is_too_wide_for_jpeg_is_one_for_the_other_kinds() {
        let wide = FrameFormat::new(PixelFormat::Gray8, 65_536, 1).unwrap();
        let of = |kind: &str| format!("a-{{frame}}{kind}").parse::<SinkSpec>().unwrap().holds(&wide);
        assert!(of(".png").is_ok() && of(".tif").is_ok());
        let said = of(".jpg").unwrap_err().to_string();
        assert_eq!(
            said,
            "JPEG cannot hold 65536x1 gray8 unchanged; use NAME-{frame}.png or .tif, FILE.raw or FILE.mcap"
        );
    }

    #[test]
    fn a_frame_that_is_too_large_for_readers_of_nut_is_refused_by_its_size() {
        let large = |height| FrameFormat::new(PixelFormat::Gray8, 65_536, height).unwrap();
        let nut: SinkSpec = "x.nut".parse().unwrap();
        assert!(nut.holds(&large(32_767)).is_ok());
        let error = nut.holds(&large(32_768)).unwrap_err();
        let expected = "NUT cannot hold 65536x32768 gray8 unchanged; use FILE.raw, -:raw or FILE.mcap";
        assert!(error.to_string() == expected && error.is_lasting(), "{error}");
    }
}
