//! How fast slices leave: not all of a frame at once where that would overrun the receiver, and never faster than the link.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::time::Time;

/// What a link may be sent at once: threads are not woken more precisely than that.
const LINK_BURST: Duration = Duration::from_millis(1);
/// IPv4 and UDP in front of a datagram.
const HEADERS_BYTES: u64 = 28;

/// Bits per second, IP and UDP headers included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bitrate(u64);

impl Bitrate {
    /// Less than this carries no video.
    pub const MIN: Self = Self(10_000);
    /// A terabit a second.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// This many bits a second; `None` where they are not between [`Bitrate::MIN`] and [`Bitrate::MAX`].
    pub fn from_bits_per_second(bits: u64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&bits).then_some(Self(bits))
    }

    /// Bits per second.
    pub fn bits_per_second(self) -> u64 {
        self.0
    }

    fn time_for(self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes.saturating_mul(8_000_000_000) / self.0)
    }
}

impl FromStr for Bitrate {
    type Err = String;

    /// A number of bits per second, with k, M or G behind it: `480M`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = match text.char_indices().next_back() {
            Some((at, 'k' | 'K')) => (&text[..at], 1e3),
            Some((at, 'm' | 'M')) => (&text[..at], 1e6),
            Some((at, 'g' | 'G')) => (&text[..at], 1e9),
            _ => (text, 1.0),
        };
        let bits = number.parse::<f64>().map_or(0.0, |number| number * unit);
        // A value that is out of range, or not a number, becomes one that is out of range.
        Self::from_bits_per_second(bits as u64).ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            format!("'{text}' is no rate; write bits per second from 10k to 1000G, such as 480M or 2.5G")
        })
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Mbit/s", self.0 as f64 / 1e6)
    }
}

/// The rate of a link, which all streams share that have a clone of it.
#[derive(Debug, Clone)]
pub struct LinkBudget {
    rate: Bitrate,
    /// When what has been sent over it will have left.
    free_at: Arc<Mutex<Time>>,
}

impl LinkBudget {
    /// For a link of this rate.
    pub fn new(rate: Bitrate) -> Self {
        Self { rate, free_at: Arc::default() }
    }

    /// The link's rate.
    pub fn rate(&self) -> Bitrate {
        self.rate
    }

    fn with_meter<T>(&self, slice_bytes: u16, train: u32, act: impl FnOnce(&mut Meter) -> T) -> T {
        let mut free_at = self.free_at.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let cost = self.rate.time_for(u64::from(slice_bytes) + HEADERS_BYTES);
        let mut meter = Meter { cost, burst: LINK_BURST.max(cost * train), free_at: *free_at };
        let result = act(&mut meter);
        *free_at = meter.free_at;
        result
    }
}

/// Lets slices through at a rate, and some of them at once (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy)]
struct Meter {
    /// The time of a slice.
    cost: Duration,
    /// What may leave at once.
    burst: Duration,
    free_at: Time,
}

impl Meter {
    /// How many slices may leave now.
    fn allowed(&self, now: Time) -> u32 {
        let left = self.burst.saturating_sub(self.free_at.since(now));
        u32::try_from(left.as_nanos() / self.cost.as_nanos().max(1)).unwrap_or(u32::MAX)
    }

    /// From when on so many may.
    fn time_for(&self, slices: u32) -> Time {
        let needs = (self.cost * slices).min(self.burst);
        self.free_at - (self.burst - needs)
    }

    fn take(&mut self, slices: u32, now: Time) {
        self.free_at = self.free_at.max(now) + self.cost * slices;
    }
}

/// Decides for one stream.
#[derive(Debug)]
pub(super) struct Pacer {
    slice_bytes: u16,
    /// Slices of a whole train: fewer are not worth a wake-up.
    train: u32,
    own: Option<Meter>,
    link: Option<LinkBudget>,
    /// When what was refused may leave.
    until: Option<Time>,
}

impl Pacer {
    /// For slices of this size, `train` of which leave together.
    pub(super) fn new(slice_bytes: u16, train: u32) -> Self {
        Self { slice_bytes, train, own: None, link: None, until: None }
    }

    /// The link is shared with other streams.
    pub(super) fn set_link(&mut self, link: LinkBudget) {
        self.link = Some(link);
    }

    /// The same link, for slices of another size.
    pub(super) fn for_slices(&self, slice_bytes: u16, train: u32) -> Self {
        Self { link: self.link.clone(), ..Self::new(slice_bytes, train) }
    }

    /// A frame of `slices` leaves over at most `spread`, and the receiver's socket takes `burst` slices at once.
    pub(super) fn set_frames(&mut self, spread: Duration, slices: u32, burst: u32) {
        let cost = spread / slices.max(1);
        let free_at = self.own.map_or(Time::ZERO, |own| own.free_at);
        self.own = (!cost.is_zero()).then(|| Meter { cost, burst: cost * burst.max(self.train), free_at });
    }

    /// Nothing waits for its turn any more, unless it is refused again.
    pub(super) fn forget_refusal(&mut self) {
        self.until = None;
    }

    /// How many of `wanted` slices may leave now; repairs are not spread over the interval. Less than a train is left until
    /// there is more.
    pub(super) fn grant(&mut self, wanted: u32, is_repair: bool, now: Time) -> u32 {
        let own = self.own.as_ref().filter(|_| !is_repair);
        let least = wanted.min(self.train);
        let (mut allowed, mut from) = own.map_or((u32::MAX, now), |own| (own.allowed(now), own.time_for(least)));
        if let Some(link) = &self.link {
            let (by_link, link_from) =
                link.with_meter(self.slice_bytes, self.train, |meter| (meter.allowed(now), meter.time_for(least)));
            (allowed, from) = (allowed.min(by_link), from.max(link_from));
        }
        let granted = if allowed < least { 0 } else { wanted.min(allowed) };
        self.until = (granted == 0).then_some(from);
        granted
    }

    /// Slices leave.
    pub(super) fn take(&mut self, slices: u32, now: Time) {
        if let Some(own) = &mut self.own {
            own.take(slices, now);
        }
        if let Some(link) = &self.link {
            link.with_meter(self.slice_bytes, self.train, |meter| meter.take(slices, now));
        }
    }

    /// When slices that were refused may leave.
    pub(super) fn poll_timeout(&self) -> Time {
        self.until.unwrap_or(Time::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);

    /// Sends `slices` as soon as they may leave; returns how many left at first, and when the last did.
    fn send(pacer: &mut Pacer, mut slices: u32, mut now: Time) -> (u32, Time) {
        let first = pacer.grant(slices, false, now);
        while slices > 0 {
            match pacer.grant(slices, false, now) {
                0 => now = pacer.poll_timeout(),
                granted => {
                    pacer.take(granted, now);
                    slices -= granted;
                }
            }
        }
        (first, now)
    }

    #[test]
    fn a_frame_that_the_receiver_takes_at_once_leaves_at_once() {
        let mut pacer = Pacer::new(1_472, 44);
        pacer.set_frames(INTERVAL * 4 / 5, 1_000, 1_000);
        for nth in 0..10 {
            let begun = Time::ZERO + INTERVAL * nth;
            assert_eq!(send(&mut pacer, 1_000, begun), (1_000, begun));
        }
    }

    #[test]
    fn a_larger_one_is_spread_over_no_more_than_its_time() {
        let mut pacer = Pacer::new(1_472, 44);
        pacer.set_frames(INTERVAL * 4 / 5, 1_000, 200);
        for nth in 1..10 {
            let begun = Time::ZERO + INTERVAL * nth;
            let (at_once, last) = send(&mut pacer, 1_000, begun);
            assert_eq!(at_once, 200);
            let took = last.since(begun);
            assert!((Duration::from_millis(6)..=Duration::from_millis(8)).contains(&took), "{took:?}");
        }
        assert_eq!(pacer.grant(1_000, true, Time::ZERO + INTERVAL * 9), 1_000, "repairs are not spread");
    }

    #[test]
    fn streams_share_the_rate_of_a_link() {
        // A slice of 972 bytes takes a microsecond.
        let link = LinkBudget::new("8G".parse().unwrap());
        let mut streams = [(); 2].map(|()| Pacer::new(972, 10));
        streams.iter_mut().for_each(|stream| stream.set_link(link.clone()));
        let begun = Time::from_nanos(5_000_000);
        let (mut wakes, mut sent, mut random) = ([begun; 2], [0, 0], 1_u64);
        loop {
            let next = if wakes[0] <= wakes[1] { 0 } else { 1 };
            let now = wakes[next];
            if now.since(begun) > Duration::from_millis(100) {
                break;
            }
            loop {
                let granted = streams[next].grant(100, false, now);
                if granted == 0 {
                    break;
                }
                streams[next].take(granted, now);
                sent[next] += granted;
            }
            // Threads do not wake up in time, and now this one is late, now the other.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let late = Duration::from_nanos(20_000 + (random >> 33) % 80_000);
            wakes[next] = streams[next].poll_timeout() + late;
        }
        let [one, other] = sent;
        assert!((99_000..=101_100).contains(&(one + other)), "{sent:?}");
        assert!(one.min(other) > 20_000, "{sent:?}");
    }

    #[test]
    fn without_an_interval_and_a_link_nothing_waits() {
        let mut pacer = Pacer::new(1_472, 44);
        pacer.set_frames(Duration::ZERO, 1_000, 10);
        assert_eq!(send(&mut pacer, 1_000_000, Time::ZERO), (1_000_000, Time::ZERO));
    }

    #[test]
    fn a_rate_is_read_with_its_unit_and_nonsense_is_not() {
        assert_eq!("480M".parse(), Ok(Bitrate(480_000_000)));
        assert_eq!("2.5G".parse(), Ok(Bitrate(2_500_000_000)));
        assert_eq!("10000".parse(), Ok(Bitrate::MIN));
        for nonsense in ["", "M", "fast", "-1M", "1", "nan", "inf", "5T", "1e30", "12é"] {
            assert!(nonsense.parse::<Bitrate>().unwrap_err().contains("480M"), "{nonsense}");
        }
        assert_eq!("480M".parse::<Bitrate>().unwrap().to_string(), "480 Mbit/s");
    }
}
