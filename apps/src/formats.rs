//! `framewire formats`: every pixel format, with its names elsewhere and the sinks that hold it.

use clap::Args;
use framewire_process::exit::Failure;
use framewire_sink::SinkSpec;
use framewire_transport::{FrameFormat, PixelFormat};
use serde::Serialize;

use crate::table;

/// How the table is printed.
#[derive(Debug, Clone, Args)]
pub struct FormatsArgs {
    /// Print one JSON array instead of the table
    #[arg(long)]
    pub json: bool,
}

/// Sinks that keep frames, by what a file of theirs is called; those that this build does not have are left out.
const SINKS: [&str; 7] = ["raw", "mcap", "nut", "y4m", "png", "avi", "mp4"];

/// A format, and what is known of it.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    /// On the wire.
    code: u16,
    /// Significant ones of a sample.
    bits: u32,
    planes: usize,
    pfnc: Option<String>,
    pfnc_name: Option<&'static str>,
    v4l2: Option<&'static str>,
    gstreamer: Option<&'static str>,
    ffmpeg: Option<&'static str>,
    ros: Option<&'static str>,
    /// All other names that are read as this format, whatever their case.
    aliases: Vec<&'static str>,
    /// Which of the server's sinks hold it.
    sinks: Vec<&'static str>,
}

impl Row {
    fn new(pixel: PixelFormat) -> Self {
        Self {
            name: pixel.name(),
            code: pixel.code(),
            bits: pixel.bits(),
            planes: pixel.planes(),
            pfnc: pixel.pfnc().map(|code| format!("0x{code:08X}")),
            pfnc_name: pixel.pfnc_name(),
            v4l2: pixel.v4l2(),
            gstreamer: pixel.gstreamer(),
            ffmpeg: pixel.ffmpeg(),
            ros: pixel.ros(),
            aliases: pixel.aliases().collect(),
            sinks: sinks(pixel),
        }
    }

    /// What the table has in its columns. Names that stand in one of them are not said again in the last.
    fn cells(&self) -> [String; 11] {
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let columns = [self.pfnc_name, self.v4l2, self.gstreamer, self.ffmpeg, self.ros];
        let also: Vec<_> = self.aliases.iter().copied().filter(|alias| !columns.contains(&Some(alias))).collect();
        [
            self.name.to_owned(),
            format!("0x{:04X}", self.code),
            self.bits.to_string(),
            self.planes.to_string(),
            self.pfnc.as_ref().map_or_else(
                || "-".to_owned(),
                |code| format!("{code} {}", self.pfnc_name.unwrap_or_default()).trim_end().to_owned(),
            ),
            or_dash(self.v4l2),
            or_dash(self.gstreamer),
            or_dash(self.ffmpeg),
            or_dash(self.ros),
            self.sinks.join(" "),
            also.join(" "),
        ]
    }
}

const HEADS: [&str; 11] =
    ["FORMAT", "CODE", "BITS", "PLANES", "PFNC", "V4L2", "GSTREAMER", "FFMPEG", "ROS", "SINKS", "ALSO"];

fn sinks(pixel: PixelFormat) -> Vec<&'static str> {
    // Of a size that every format can have.
    let (width, height) = if pixel == PixelFormat::Bytes { (9_216, 1) } else { (96, 96) };
    let Ok(format) = FrameFormat::new(pixel, width, height) else { return Vec::new() };
    let holds = |kind: &&str| {
        // By turns, as pictures are.
        let spec = format!("x-{{stream}}-{{frame}}.{kind}").parse::<SinkSpec>();
        spec.or_else(|_| format!("x.{kind}").parse()).is_ok_and(|spec| spec.holds(&format).is_ok())
    };
    SINKS.into_iter().filter(holds).collect()
}

/// Prints the table of formats.
///
/// # Errors
/// Standard output takes nothing.
pub fn run(args: &FormatsArgs) -> Result<(), Failure> {
    let rows: Vec<_> = PixelFormat::ALL.into_iter().map(Row::new).collect();
    let text = if args.json {
        serde_json::to_string(&rows).map(|json| json + "\n").map_err(Failure::runtime)?
    } else {
        table(&rows)
    };
    table::print(&text, "the formats")
}

fn table(rows: &[Row]) -> String {
    let lines: Vec<_> = std::iter::once(HEADS.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    table::aligned(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_format_with_a_sink_and_every_name_that_is_read() {
        let rows: Vec<_> = PixelFormat::ALL.into_iter().map(Row::new).collect();
        let text = table(&rows);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), PixelFormat::ALL.len() + 1);
        for (row, line) in rows.iter().zip(&lines[1..]) {
            assert!(row.sinks.contains(&"raw"), "{}", row.name);
            let words: Vec<_> = line.split_whitespace().collect();
            assert_eq!(words[0].parse::<PixelFormat>().unwrap().code(), row.code);
            for alias in &row.aliases {
                assert_eq!(alias.parse::<PixelFormat>().unwrap().name(), row.name);
                assert!(words.contains(alias), "{alias} is not in {line}");
            }
        }
        let nv12 = Row::new(PixelFormat::Nv12);
        assert_eq!((nv12.pfnc.as_deref(), nv12.ffmpeg, nv12.planes), (Some("0x020C0112"), Some("nv12"), 2));
    }
}
