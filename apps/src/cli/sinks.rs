//! Where frames go, and how they are written: flags of the server and of `framewire watch`.

use std::num::NonZeroU64;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use framewire_sink::{RollLimit, SinkSpec, SlowSink};

/// Where frames go, and how they are written.
#[derive(Debug, Clone, Args)]
pub struct SinkArgs {
    /// Where frames go: null, - (standard output, as -:y4m or -:nut, whichever holds the stream, or -:raw; as the only sink, its
    /// reader's end or the stream's ends the program), FILE.nut, FILE.y4m, FILE.raw, FILE.mcap, NAME-{frame}.png, .jpg or .tif
    /// (pictures), with OpenCV FILE.avi, FILE.mp4, window; in a file's name, {stream}, {part}, {time} and {frame} stand for the
    /// stream's name, the part's number, when it was begun and the picture's number; a file that is there is left, and a number follows the name; may be
    /// given several times
    #[arg(long, value_name = "SINK", value_parser = sinks(), default_value = "null", allow_hyphen_values = true)]
    pub sink: Vec<SinkSpec>,
    /// Go on in another file after so many bytes or so long, such as 10GB or 10min; may be given for both
    #[arg(long, value_name = "SIZE|TIME", env = "FRAMEWIRE_ROLL", value_delimiter = ',')]
    pub roll: Vec<RollLimit>,
    /// Write .mcap files in chunks of about so many bytes, such as 4MB, which readers find by an index; by default there are none, and
    /// readers go through the file
    #[arg(long, value_name = "SIZE", value_parser = chunk, env = "FRAMEWIRE_MCAP_CHUNK")]
    pub mcap_chunk: Option<NonZeroU64>,
    /// Make a picture of every Nth frame alone (sinks .png, .jpg and .tif, whose names say where the frame's number goes, of six
    /// digits or more: shots/{stream}-{frame}.png)
    #[arg(long, value_name = "N", env = "FRAMEWIRE_PICTURE_EVERY", default_value = "1")]
    pub picture_every: NonZeroU64,
    /// When frames come faster than a sink writes: wait (the stream does), or drop (the sink goes without them, counted); by
    /// default wait for every, drop for latest
    #[arg(long, value_enum, value_name = "wait|drop", env = "FRAMEWIRE_SLOW_SINK", hide_possible_values = true)]
    pub slow_sink: Option<SlowSink>,
}

impl SinkArgs {
    /// Whether frames go to standard output.
    pub(crate) fn writes_stdout(&self) -> bool {
        self.sink.iter().any(|sink| matches!(sink, SinkSpec::Stdout(_)))
    }
}

/// A file's name is any bytes.
pub(super) fn sinks() -> impl TypedValueParser<Value = SinkSpec> {
    OsStringValueParser::new().try_map(|name| SinkSpec::from_os(&name))
}

fn chunk(text: &str) -> Result<NonZeroU64, String> {
    let bytes = match text.parse() {
        Ok(RollLimit::Bytes(bytes)) => NonZeroU64::new(bytes),
        _ => None,
    };
    bytes.ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        format!("'{text}' is no size of a chunk; write a number and B, kB, MB, GB, KiB, MiB or GiB, such as 4MB")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::ServerArgs;

    #[test]
    fn a_chunk_is_a_number_with_a_unit_of_bytes() {
        let read = |text: &str| ServerArgs::try_parse_from(["server", &format!("--mcap-chunk={text}")]);
        assert_eq!(read("4MB").unwrap().sinks.mcap_chunk, NonZeroU64::new(4_000_000));
        for nonsense in ["", "0", "0B", "10", "10s", "-1MB"] {
            let error = read(nonsense).unwrap_err().to_string();
            assert!(error.contains("is no size of a chunk"), "{error}");
        }
    }

    #[test]
    fn a_sink_that_begins_with_a_hyphen_is_a_word_of_its_own_and_a_flag_is_none() {
        for sink in ["-", "-:nut", "-:raw", "-:y4m"] {
            let args = ServerArgs::try_parse_from(["server", "--sink", sink, "--json"]).unwrap();
            assert_eq!(args.sinks.sink[0].to_string(), sink);
        }
        let error = ServerArgs::try_parse_from(["server", "--sink", "--json"]).unwrap_err().to_string();
        assert!(error.contains("--json"), "{error}");
    }
}
