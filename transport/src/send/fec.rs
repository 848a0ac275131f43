//! Whether, and how much, frames are protected ahead of losses.

use std::str::FromStr;
use std::time::Duration;

use super::config::SendConfig;
use super::loss_meter::LossMeter;
use crate::time::Time;
use crate::wire::{Delivery, ParityLayout};

/// The least and the most that `auto` adds, percent of a frame's slices.
const PERCENT_MIN: u32 = 10;
const PERCENT_MAX: u32 = 30;
/// `auto` begins above this loss, slices in a million.
const LOST_MANY: u64 = 20_000;
/// Above this one where asking again takes a large part of a frame's time: a way that loses nothing needs no parity.
const LOST_SOME: u64 = 1_000;
/// What part (one in so many) of a frame's time asking again may take.
const ROUND_TRIP_SHARE: u32 = 3;
/// What it takes to restore a block of slices, however few of them are missing; and how often a frame's last slices have to be
/// asked for until they are there. Where that is faster, parity is only in the way.
const BLOCK_TIME: Duration = Duration::from_micros(400);
const QUESTIONS: u32 = 3;
/// `auto` ends where the loss has fallen to one in so many of what it began at.
const FALLEN: u64 = 2;

/// Whether frames are sent with parity slices, from which lost ones are restored without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fec {
    /// Never: lost slices are asked for and sent again.
    Off,
    /// In `latest`, where it pays: where more than 2 % of the slices are lost, or more than 0.1 % and asking for them takes
    /// more than a third of the deadline (the interval, where none is set), unless to ask is faster than to restore, or the way is slower than
    /// the camera. 10 to 30 % of a frame's slices, by the loss that is measured.
    #[default]
    Auto,
    /// Always this much, 1 to 100 percent of a frame's slices, rounded up; what is outside of that becomes the nearest of them.
    Percent(u8),
}

impl Fec {
    /// The most parity that a frame may get, percent.
    fn percent_max(self) -> u32 {
        match self {
            Self::Off => 0,
            Self::Auto => PERCENT_MAX,
            Self::Percent(percent) => u32::from(percent.clamp(1, 100)),
        }
    }
}

/// Why a text is no share of parity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no share of parity; write off, auto, or 1 to 100 (percent of a frame)")]
pub struct FecError(String);

impl FromStr for Fec {
    type Err = FecError;

    fn from_str(text: &str) -> Result<Self, FecError> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            _ => match text.strip_suffix('%').unwrap_or(text).parse() {
                Ok(percent @ 1..=100) => Ok(Self::Percent(percent)),
                _ => Err(FecError(text.chars().take(40).collect())),
            },
        }
    }
}

/// How much parity a loss of so many slices in a million calls for, percent: what is lost in the mean, and some of its
/// standard deviations in a block.
fn percent_for(lost_ppm: u64) -> u32 {
    // 5 and 1.7 for each percent lost. A million at most, so it fits.
    let percent = 5 + lost_ppm.min(1_000_000) * 17 / 100_000;
    (percent as u32).clamp(PERCENT_MIN, PERCENT_MAX)
}

/// What is known of the way to the receiver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    /// The shortest.
    pub(super) round_trip: Duration,
    /// It carries fewer frames than the camera takes.
    pub(super) is_slow: bool,
}

/// Decides for one stream, and makes the parity.
#[derive(Debug)]
pub(super) struct FecControl {
    fec: Fec,
    meter: LossMeter,
    /// In `auto`: whether frames have parity at present.
    is_on: bool,
}

impl FecControl {
    pub(super) fn new(fec: Fec, now: Time) -> Self {
        Self { fec, meter: LossMeter::new(now), is_on: false }
    }

    /// The most parity slices that a frame will have; 0 where that cannot be announced, and so none are made.
    pub(super) fn parity_max(&self, config: &SendConfig) -> u16 {
        let layout = ParityLayout::new(config.cut().slices(), self.percent_max(config));
        layout.and_then(|layout| u16::try_from(layout.count()).ok()).unwrap_or(0)
    }

    /// The most parity that a frame may get here, percent of its slices.
    pub(super) fn percent_max(&self, config: &SendConfig) -> u32 {
        match self.fec {
            // Without a deadline, asking again costs least.
            Fec::Auto if config.delivery == Delivery::Every => 0,
            fec => fec.percent_max(),
        }
    }

    /// What the receiver counts begins anew.
    pub(super) fn start_epoch(&mut self, now: Time) {
        self.meter.start_epoch(now);
    }

    /// Slices below `seen` have arrived or been lost, and so many have arrived.
    pub(super) fn handle_report(
        &mut self,
        (seen, arrived): (u64, u64),
        Way { round_trip, is_slow }: Way,
        config: &SendConfig,
        now: Time,
    ) {
        self.meter.handle_report(seen, arrived, now);
        let repair_time = config.repair_time();
        let is_far = !repair_time.is_zero() && round_trip * ROUND_TRIP_SHARE > repair_time;
        let begins_at = if is_far { LOST_SOME } else { LOST_MANY };
        let lost = self.meter.lost_ppm(now);
        let blocks = ParityLayout::new(config.cut().slices(), PERCENT_MAX).map_or(0, |layout| layout.blocks);
        let asking_is_faster = !is_far && round_trip * QUESTIONS < BLOCK_TIME * u32::from(blocks);
        // What a full link drops, more to carry does not mend.
        self.is_on = !asking_is_faster && !is_slow && lost > if self.is_on { begins_at / FALLEN } else { begins_at };
    }

    /// Whether slices have been lost of late.
    pub(super) fn is_losing(&self, now: Time) -> bool {
        self.meter.lost_ppm(now) > 0
    }

    /// How much parity a frame gets now, percent of its slices.
    pub(super) fn percent(&self, config: &SendConfig, now: Time) -> u32 {
        match self.fec {
            _ if self.parity_max(config) == 0 => 0,
            Fec::Off => 0,
            Fec::Auto if self.is_on => percent_for(self.meter.lost_ppm(now)),
            Fec::Auto => 0,
            Fec::Percent(percent) => u32::from(percent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameFormat, FrameRate, PixelFormat, Presentation};

    fn config(fec: Fec, delivery: Delivery) -> SendConfig {
        let format = FrameFormat::new(PixelFormat::Gray8, 1_000, 100).unwrap();
        let presentation =
            Presentation { rate: FrameRate::from_interval(Duration::from_millis(30)), ..Presentation::UNKNOWN };
        SendConfig { fec, presentation, ..SendConfig::new(1, 1, format, delivery, 1_472) }
    }

    #[test]
    fn auto_begins_where_much_is_lost_or_asking_takes_long_and_ends_later() {
        let config = config(Fec::Auto, Delivery::Latest);
        let mut control = FecControl::new(Fec::Auto, Time::ZERO);
        let (mut now, mut seen, mut arrived) = (Time::ZERO, 0, 0);
        let mut percent = |lost_of_a_thousand: u64, round_trip_us, is_slow| {
            for _ in 0..30 {
                now = now + Duration::from_millis(100);
                seen += 1_000;
                arrived += 1_000 - lost_of_a_thousand;
                let way = Way { round_trip: Duration::from_micros(round_trip_us), is_slow };
                control.handle_report((seen, arrived), way, &config, now);
            }
            control.percent(&config, now)
        };
        // (lost of a thousand, round trip in microseconds, slower than the camera) and percent.
        let cases = [
            ((0, 1_000, false), 0),
            ((15, 1_000, false), 0),
            ((50, 1_000, false), 13),
            ((50, 1_000, true), 0),
            ((50, 100, false), 0),
            ((50, 1_000, false), 13),
            ((15, 1_000, false), 10),
            ((9, 1_000, false), 0),
            ((9, 11_000, false), 10),
            ((0, 11_000, false), 0),
            ((100, 1_000, false), 22),
            ((300, 1_000, false), 30),
        ];
        for ((lost, round_trip, is_slow), expected) in cases {
            let percent = percent(lost, round_trip, is_slow);
            assert_eq!(percent, expected, "{lost} in 1000, {round_trip} us, slow: {is_slow}");
        }
    }

    #[test]
    fn a_frame_of_many_blocks_is_protected_where_asking_takes_too_long() {
        let config = SendConfig {
            format: FrameFormat::new(PixelFormat::Bgr24, 3_840, 2_160).unwrap(),
            ..config(Fec::Auto, Delivery::Latest)
        };
        // 69 blocks, which take longer to restore than three round trips of 9 ms; but 11 ms is a third of a frame's time.
        for (round_trip_ms, is_on) in [(9, false), (11, true)] {
            let mut control = FecControl::new(Fec::Auto, Time::ZERO);
            let way = Way { round_trip: Duration::from_millis(round_trip_ms), is_slow: false };
            for nth in 1..=30 {
                let now = Time::ZERO + Duration::from_millis(100) * nth;
                control.handle_report((1_000 * u64::from(nth), 950 * u64::from(nth)), way, &config, now);
            }
            assert_eq!(control.percent(&config, Time::ZERO + Duration::from_secs(3)) > 0, is_on, "{round_trip_ms} ms");
        }
    }

    #[test]
    fn what_is_not_announced_is_not_made() {
        for (fec, delivery, parity_max, percent) in [
            (Fec::Off, Delivery::Latest, 0, 0),
            (Fec::Auto, Delivery::Every, 0, 0),
            (Fec::Auto, Delivery::Latest, 22, 0),
            (Fec::Percent(20), Delivery::Every, 15, 20),
        ] {
            let config = config(fec, delivery);
            let control = FecControl::new(fec, Time::ZERO);
            assert_eq!(
                (control.parity_max(&config), control.percent(&config, Time::ZERO)),
                (parity_max, percent),
                "{fec:?}"
            );
        }
        let mut large = config(Fec::Percent(100), Delivery::Latest);
        large.format = FrameFormat::new(PixelFormat::Gray8, 20_000, 5_000).unwrap();
        assert_eq!(FecControl::new(large.fec, Time::ZERO).percent(&large, Time::ZERO), 0);
    }

    #[test]
    fn a_share_is_read_and_nonsense_is_not() {
        assert_eq!(("off".parse(), "auto".parse(), "20".parse()), (Ok(Fec::Off), Ok(Fec::Auto), Ok(Fec::Percent(20))));
        assert_eq!("100%".parse(), Ok(Fec::Percent(100)));
        for nonsense in ["", "0", "101", "-1", "some"] {
            assert!(nonsense.parse::<Fec>().unwrap_err().to_string().contains("1 to 100"), "{nonsense}");
        }
    }
}
