//! What a source says of its pictures beside their bytes: how they are to be shown.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::rate::FrameRate;
use crate::setters;

/// What a source says of itself that changes no byte: it travels with the stream, and comes out as it went in. It is made of
/// [`UNKNOWN`](Self::UNKNOWN), which is the default and says nothing, and what the source does say; a [`FrameRate`] alone is one, too.
///
/// ```
/// use framewire_transport::{ColourRange, FrameRate, Presentation, Scan};
///
/// let said = Presentation::UNKNOWN.rate(FrameRate::new(30_000, 1_001)?).scan(Scan::Progressive).range(ColourRange::Limited);
/// assert_eq!(said.aspect, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Presentation {
    /// The rate at which the pictures were taken and are to be shown; `None` where the source does not say, or has none.
    pub rate: Option<FrameRate>,
    /// Whether a picture is one moment, or two fields that were taken one after the other.
    pub scan: Scan,
    /// The shape of a pixel; `None` where the source does not say.
    pub aspect: Option<SampleAspect>,
    /// Where the chroma samples of 4:2:0 lie.
    pub chroma: ChromaPlace,
    /// Which values stand for black and white.
    pub range: ColourRange,
}

impl Presentation {
    /// Says nothing.
    pub const UNKNOWN: Self = Self {
        rate: None,
        scan: Scan::Unknown,
        aspect: None,
        chroma: ChromaPlace::Unknown,
        range: ColourRange::Unknown,
    };

    setters! {
        rate: impl Into<Option<FrameRate>>,
        scan: Scan,
        aspect: impl Into<Option<SampleAspect>>,
        chroma: ChromaPlace,
        range: ColourRange,
    }
}

impl From<Option<FrameRate>> for Presentation {
    fn from(rate: Option<FrameRate>) -> Self {
        Self { rate, ..Self::UNKNOWN }
    }
}

impl From<FrameRate> for Presentation {
    fn from(rate: FrameRate) -> Self {
        Some(rate).into()
    }
}

/// A choice with a number on the wire and a name.
macro_rules! said {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum $type {
            /// The source does not say.
            #[default]
            Unknown = 0,
            $($(#[$variant_doc])* $variant = $number,)*
        }

        impl $type {
            /// Every choice, in the order of their numbers on the wire.
            pub const ALL: &'static [Self] = &[Self::Unknown, $(Self::$variant),*];

            /// The name used in messages, recordings and over Socket.IO.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Unknown => "unknown",
                    $(Self::$variant => $name,)*
                }
            }

            /// The choice with this number on the wire.
            pub fn from_wire(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| *choice as u8 == number)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $type {
            type Err = PresentationError;

            fn from_str(text: &str) -> Result<Self, PresentationError> {
                let found = Self::ALL.iter().copied().find(|choice| choice.name() == text);
                found.ok_or_else(|| PresentationError {
                    text: text.chars().take(40).collect(),
                    choices: concat!("unknown" $(, ", ", $name)*),
                })
            }
        }
    };
}

said! {
    /// Whether a picture is one moment, or two fields that were taken one after the other and lie in its even and odd rows.
    Scan {
        /// One moment.
        Progressive = 1 "progressive",
        /// Two fields, the one with the first row is the earlier.
        TopFirst = 2 "top-first",
        /// Two fields, the one with the second row is the earlier.
        BottomFirst = 3 "bottom-first",
        /// Some pictures are one moment, others two fields.
        Mixed = 4 "mixed",
    }
}

said! {
    /// Where the chroma sample of four luma samples lies, in 4:2:0.
    ChromaPlace {
        /// In the middle of the four: JPEG, MPEG-1.
        Center = 1 "center",
        /// Between the two on the left: MPEG-2, H.264 and most files.
        Left = 2 "left",
        /// On the upper left one: PAL DV, BT.2020.
        TopLeft = 3 "top-left",
    }
}

said! {
    /// Which values stand for black and white.
    ColourRange {
        /// 0 to 255: "full", "PC", "JPEG".
        Full = 1 "full",
        /// 16 to 235, chroma 16 to 240: "limited", "TV", "MPEG".
        Limited = 2 "limited",
    }
}

/// Why a word is none of those that a [`Presentation`] is said in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{text}' is none of {choices}")]
pub struct PresentationError {
    text: String,
    choices: &'static str,
}

/// Width of a pixel to its height, in lowest terms. 1:1 is square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SampleAspect {
    num: u32,
    den: u32,
}

impl SampleAspect {
    /// Square pixels.
    pub const SQUARE: Self = Self { num: 1, den: 1 };

    /// Pixels `num` wide where they are `den` high; `None` where either is zero.
    pub const fn new(num: u32, den: u32) -> Option<Self> {
        if num == 0 || den == 0 {
            return None;
        }
        let (num, den) = super::rate::lowest_terms(num, den);
        Some(Self { num, den })
    }

    /// Width, in the unit in which [`SampleAspect::den`] is the height.
    pub const fn num(self) -> u32 {
        self.num
    }

    /// Height, in the unit in which [`SampleAspect::num`] is the width.
    pub const fn den(self) -> u32 {
        self.den
    }
}

impl fmt::Display for SampleAspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.num, self.den)
    }
}

impl FromStr for SampleAspect {
    type Err = PresentationError;

    fn from_str(text: &str) -> Result<Self, PresentationError> {
        let side = |side: &str| side.bytes().all(|byte| byte.is_ascii_digit()).then(|| side.parse().ok()).flatten();
        let sides = text.split_once(':').and_then(|(num, den)| Self::new(side(num)?, side(den)?));
        sides.ok_or_else(|| PresentationError {
            text: text.chars().take(40).collect(),
            choices: "WIDTH:HEIGHT of a pixel, such as 1:1 or 64:45",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wire_numbers_read_back() {
        for scan in Scan::ALL {
            assert_eq!((scan.name().parse(), Scan::from_wire(*scan as u8)), (Ok(*scan), Some(*scan)));
        }
        for chroma in ChromaPlace::ALL {
            assert_eq!((chroma.name().parse(), ChromaPlace::from_wire(*chroma as u8)), (Ok(*chroma), Some(*chroma)));
        }
        for range in ColourRange::ALL {
            assert_eq!((range.name().parse(), ColourRange::from_wire(*range as u8)), (Ok(*range), Some(*range)));
        }
        assert_eq!((Scan::from_wire(5), ChromaPlace::from_wire(4), ColourRange::from_wire(3)), (None, None, None));
        let error = "interlaced".parse::<Scan>().unwrap_err().to_string();
        assert_eq!(error, "'interlaced' is none of unknown, progressive, top-first, bottom-first, mixed");
    }

    #[test]
    fn an_aspect_is_in_lowest_terms_and_has_no_zero() {
        assert_eq!(SampleAspect::new(128, 90), SampleAspect::new(64, 45));
        assert_eq!(SampleAspect::new(7, 7), Some(SampleAspect::SQUARE));
        assert_eq!((SampleAspect::new(0, 1), SampleAspect::new(1, 0)), (None, None));
        assert_eq!("64:45".parse::<SampleAspect>().unwrap().to_string(), "64:45");
        for text in ["", "1", "1:", ":1", "0:1", "1:0", "-1:1", "+1:1", "1:1:1", "4294967296:1"] {
            assert!(text.parse::<SampleAspect>().is_err(), "{text}");
        }
    }
}
