//! How fast slices leave: not all of a frame at once where that would overrun the receiver, and never faster than the link.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::setters;
use crate::time::Time;
use crate::unpoisoned::unpoisoned;

/// What a link may be sent at once: threads are not woken more precisely than that.
const LINK_BURST: Duration = Duration::from_millis(1);

/// Bits per second, IP and UDP headers included: 10 kbit/s to 1 Tbit/s.
///
/// ```
/// use framewire_transport::Bitrate;
///
/// assert_eq!("480M".parse(), Ok(Bitrate::from_bits_per_second(480_000_000).unwrap()));
/// ```
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

/// Why a text is no rate of bits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no rate; write bits per second from 10k to 1000G, such as 480M or 2.5G")]
pub struct BitrateError(String);

impl FromStr for Bitrate {
    type Err = BitrateError;

    /// A number of bits per second, with k, M or G (10^3, 10^6, 10^9) behind it: `480M`.
    fn from_str(text: &str) -> Result<Self, BitrateError> {
        let (number, unit) = match text.char_indices().next_back() {
            Some((at, 'k' | 'K')) => (&text[..at], 1e3),
            Some((at, 'm' | 'M')) => (&text[..at], 1e6),
            Some((at, 'g' | 'G')) => (&text[..at], 1e9),
            _ => (text, 1.0),
        };
        let bits = number.parse::<f64>().map_or(0.0, |number| number * unit);
        // A value that is out of range, or not a number, becomes one that is out of range.
        Self::from_bits_per_second(bits as u64).ok_or_else(|| BitrateError(text.chars().take(40).collect()))
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

    /// Has `act` look at what the link has left and take of it, in one: what one stream was shown no other one is.
    fn with_meter<T>(&self, datagram: Datagram, train: u32, act: impl FnOnce(&mut Meter) -> T) -> T {
        let mut free_at = unpoisoned(self.free_at.lock());
        let cost = self.rate.time_for(datagram.on_the_link());
        let mut meter = Meter { cost, burst: LINK_BURST.max(cost * train), free_at: *free_at };
        let result = act(&mut meter);
        *free_at = meter.free_at;
        result
    }
}

/// How a sender may send, as whoever shares out its link grants it: [`Pace::new`], and what is to be different from that. Unlike [`LinkBudget`] it may
/// change while the stream runs ([`Sender::set_pace`](crate::Sender::set_pace)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Pace {
    /// What the sender sends at most, repairs and parity included; by default whatever its link carries. In `latest`, frames that do not fit are skipped.
    pub rate_max: Option<Bitrate>,
    /// Bytes that may leave at once, IP and UDP headers included; at least a slice's, and by default what leaves in 1 ms at [`rate_max`](Self::rate_max), or a train where
    /// that is more. No train is longer. It says nothing without a rate. A thread is woken some 50 to 100 µs late: bursts that take less than that at the rate keep the
    /// sender below it.
    pub burst_bytes: Option<u32>,
    /// When frames are begun: so long after the beginning of a [`cycle`](Self::cycle), counted on the receiver's monotonic clock from its zero. Each frame is
    /// kept until then, for less than a cycle, unless others wait behind it. By default none is. It says nothing where frames come as they come.
    pub phase: Option<Duration>,
    /// From one moment at which a frame may be begun to the next; by default, and at most, the interval of the frames. It says nothing without a phase.
    pub cycle: Option<Duration>,
}

impl Pace {
    /// As fast as the link carries it.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        rate_max: impl Into<Option<Bitrate>>,
        burst_bytes: impl Into<Option<u32>>,
        phase: impl Into<Option<Duration>>,
        cycle: impl Into<Option<Duration>>,
    }
}

/// A rate that was granted to one stream.
#[derive(Debug, Clone, Copy)]
struct Granted {
    rate: Bitrate,
    burst_bytes: Option<u32>,
    free_at: Time,
    /// The rate that `free_at` was counted at: this one, or the one before it.
    counted_at: Bitrate,
}

impl Granted {
    /// What was sent before the rate changed is paid for at the new one: else one that was granted next to nothing would be silent for as long as
    /// its last slices took at that, whatever it is granted now.
    fn count_anew(&mut self, now: Time) {
        let before = std::mem::replace(&mut self.counted_at, self.rate);
        if before != self.rate {
            let owed = self.free_at.since(now).as_nanos() * u128::from(before.0) / u128::from(self.rate.0);
            self.free_at = now + Duration::from_nanos(u64::try_from(owed).unwrap_or(u64::MAX));
        }
    }

    fn meter(&self, datagram: Datagram, train: u32) -> Meter {
        let cost = self.rate.time_for(datagram.on_the_link());
        let burst = match self.burst_bytes {
            Some(bytes) => self.rate.time_for(bytes.into()).max(cost),
            None => LINK_BURST.max(cost * train),
        };
        Meter { cost, burst, free_at: self.free_at }
    }
}

/// What a datagram is to the link.
#[derive(Debug, Clone, Copy)]
struct Datagram {
    bytes: u16,
    /// Of IP and UDP, in front of it.
    headers_bytes: u16,
}

impl Datagram {
    fn on_the_link(self) -> u64 {
        u64::from(self.bytes) + u64::from(self.headers_bytes)
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

    /// How many may leave at once, however long nothing has.
    fn most(&self) -> u32 {
        u32::try_from(self.burst.as_nanos() / self.cost.as_nanos().max(1)).unwrap_or(u32::MAX).max(1)
    }

    /// From when on so many may.
    fn time_for(&self, slices: u32) -> Time {
        let needs = (self.cost * slices).min(self.burst);
        self.free_at - (self.burst - needs)
    }

    fn take(&mut self, slices: u32, now: Time) {
        if slices > 0 {
            self.free_at = self.free_at.max(now) + self.cost * slices;
        }
    }
}

/// Decides for one stream.
#[derive(Debug)]
pub(super) struct Pacer {
    slice: Datagram,
    /// Slices of a whole train: fewer are not worth a wake-up.
    train: u32,
    own: Option<Meter>,
    link: Option<LinkBudget>,
    granted: Option<Granted>,
    /// When what was refused may leave.
    until: Option<Time>,
}

impl Pacer {
    /// For slices of this size, `train` of which leave together, each with so many bytes of headers of IP and UDP.
    pub(super) fn new(slice_bytes: u16, headers_bytes: u16, train: u32) -> Self {
        Self {
            slice: Datagram { bytes: slice_bytes, headers_bytes },
            train,
            own: None,
            link: None,
            granted: None,
            until: None,
        }
    }

    /// The link is shared with other streams.
    pub(super) fn set_link(&mut self, link: LinkBudget) {
        self.link = Some(link);
    }

    /// This stream alone keeps to a rate, from now on; `None` takes that back.
    pub(super) fn set_rate_max(&mut self, rate: Option<Bitrate>, burst_bytes: Option<u32>) {
        let before = self.granted;
        self.granted = rate.map(|rate| {
            let (free_at, counted_at) =
                before.map_or((Time::ZERO, rate), |granted| (granted.free_at, granted.counted_at));
            Granted { rate, burst_bytes, free_at, counted_at }
        });
    }

    /// Slices that may leave together: those of a whole train, or of what may leave at once.
    pub(super) fn train(&self) -> u32 {
        let granted = self.granted.map(|granted| granted.meter(self.slice, self.train));
        granted.map_or(self.train, |meter| self.train.min(meter.most()))
    }

    /// The same link, for slices of another size, or over the other version of IP.
    pub(super) fn for_slices(&self, slice_bytes: u16, headers_bytes: u16, train: u32) -> Self {
        Self { link: self.link.clone(), granted: self.granted, ..Self::new(slice_bytes, headers_bytes, train) }
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

    /// Lets some of `wanted` slices leave now: `choose` is told how many may, and says how many of these do, which are taken off
    /// at once. Repairs are not spread over the interval. Less than a train is left until there is more.
    pub(super) fn take(&mut self, wanted: u32, is_repair: bool, now: Time, choose: impl FnOnce(u32) -> u32) -> u32 {
        let least = wanted.min(self.train());
        if let Some(granted) = &mut self.granted {
            granted.count_anew(now);
        }
        let mut granted = self.granted.map(|granted| granted.meter(self.slice, self.train));
        let own = self.own.as_ref().filter(|_| !is_repair);
        let (own_allows, own_from) = own.map_or((u32::MAX, now), |own| (own.allowed(now), own.time_for(least)));
        let (may, may_from) = granted.map_or((u32::MAX, now), |meter| (meter.allowed(now), meter.time_for(least)));
        let mut until = None;
        let pick = |allowed: u32, from: Time| {
            let allowed = own_allows.min(may).min(allowed);
            if allowed < least {
                until = Some(own_from.max(may_from).max(from));
                return 0;
            }
            choose(wanted.min(allowed))
        };
        let taken = match &self.link {
            None => pick(u32::MAX, now),
            Some(link) => link.with_meter(self.slice, self.train, |meter| {
                let taken = pick(meter.allowed(now), meter.time_for(least));
                meter.take(taken, now);
                taken
            }),
        };
        self.until = until;
        if let Some(own) = &mut self.own {
            own.take(taken, now);
        }
        if let (Some(meter), Some(granted)) = (&mut granted, &mut self.granted) {
            meter.take(taken, now);
            granted.free_at = meter.free_at;
        }
        taken
    }

    /// A datagram of fields leaves. It does not wait, and what comes after it pays for it.
    pub(super) fn handle_control(&mut self, bytes: usize, now: Time) {
        let datagram = Datagram { bytes: u16::try_from(bytes).unwrap_or(u16::MAX), ..self.slice };
        if let Some(link) = &self.link {
            link.with_meter(datagram, 1, |meter| meter.take(1, now));
        }
        if let Some(granted) = &mut self.granted {
            granted.count_anew(now);
            let mut meter = granted.meter(datagram, 1);
            meter.take(1, now);
            granted.free_at = meter.free_at;
        }
    }

    /// Whether what was last asked for has to wait.
    pub(super) fn is_refused(&self) -> bool {
        self.until.is_some()
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
        let mut first = None;
        while slices > 0 {
            let taken = pacer.take(slices, false, now, |allowed| allowed);
            first.get_or_insert(taken);
            slices -= taken;
            if taken == 0 {
                now = pacer.poll_timeout();
            }
        }
        (first.unwrap_or(0), now)
    }

    #[test]
    fn a_frame_that_the_receiver_takes_at_once_leaves_at_once() {
        let mut pacer = Pacer::new(1_472, 28, 44);
        pacer.set_frames(INTERVAL * 4 / 5, 1_000, 1_000);
        for nth in 0..10 {
            let begun = Time::ZERO + INTERVAL * nth;
            assert_eq!(send(&mut pacer, 1_000, begun), (1_000, begun));
        }
    }

    #[test]
    fn a_larger_one_is_spread_over_no_more_than_its_time() {
        let mut pacer = Pacer::new(1_472, 28, 44);
        pacer.set_frames(INTERVAL * 4 / 5, 1_000, 200);
        for nth in 1..10 {
            let begun = Time::ZERO + INTERVAL * nth;
            let (at_once, last) = send(&mut pacer, 1_000, begun);
            assert_eq!(at_once, 200);
            let took = last.since(begun);
            assert!((Duration::from_millis(6)..=Duration::from_millis(8)).contains(&took), "{took:?}");
        }
        assert_eq!(pacer.take(1_000, true, Time::ZERO + INTERVAL * 9, |all| all), 1_000, "repairs are not spread");
    }

    #[test]
    fn streams_share_the_rate_of_a_link() {
        // A slice of 972 bytes takes a microsecond.
        let link = LinkBudget::new("8G".parse().unwrap());
        let mut streams = [(); 2].map(|()| Pacer::new(972, 28, 10));
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
                let taken = streams[next].take(100, false, now, |allowed| allowed);
                if taken == 0 {
                    break;
                }
                sent[next] += taken;
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
    fn what_the_link_has_left_is_shown_to_one_stream_at_a_time() {
        // 1 ms of this link is 125 slices of 1,000 bytes with their headers.
        let link = LinkBudget::new("1G".parse().unwrap());
        let now = Time::from_nanos(5_000_000);
        let (asked, all_asked) = (std::sync::atomic::AtomicU32::new(0), std::sync::Barrier::new(16));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                let mut pacer = Pacer::new(972, 28, 10);
                pacer.set_link(link.clone());
                let (asked, all_asked) = (&asked, &all_asked);
                scope.spawn(move || {
                    all_asked.wait();
                    while pacer.take(10, false, now, |allowed| allowed) > 0 {
                        asked.fetch_add(10, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(asked.into_inner(), 120);
    }

    #[test]
    fn headers_are_those_of_the_version_of_ip_and_what_is_left_of_a_choice_is_not_paid_for() {
        for (headers_bytes, fit) in [(28, 125), (48, 122)] {
            let mut pacer = Pacer::new(972, headers_bytes, 1);
            pacer.set_link(LinkBudget::new("1G".parse().unwrap()));
            let now = Time::from_nanos(5_000_000);
            assert_eq!(pacer.take(1_000, false, now, |_| 0), 0);
            assert_eq!(pacer.poll_timeout(), Time::MAX, "it was not the link that refused");
            assert_eq!(pacer.take(1_000, false, now, |allowed| allowed), fit);
            assert_eq!(pacer.take(1_000, false, now, |allowed| allowed), 0);
            assert!(pacer.poll_timeout() > now);
        }
    }

    #[test]
    fn a_datagram_of_fields_does_not_wait_and_slices_pay_for_it() {
        let mut pacer = Pacer::new(972, 28, 1);
        pacer.set_link(LinkBudget::new("1G".parse().unwrap()));
        let now = Time::from_nanos(5_000_000);
        pacer.handle_control(65_507, now);
        assert_eq!(pacer.take(1_000, false, now, |allowed| allowed), 125 - 66);
    }

    #[test]
    fn a_rate_that_is_granted_while_a_stream_runs_holds_from_then_on_for_repairs_too_and_can_be_taken_back() {
        // A slice of 972 bytes with its headers takes 100 µs at 80 Mbit/s, and 3,500 bytes are three of them.
        let mut pacer = Pacer::new(972, 28, 44);
        let begun = Time::from_nanos(5_000_000);
        assert_eq!(send(&mut pacer, 1_000, begun), (1_000, begun));
        pacer.set_rate_max(Some("80M".parse().unwrap()), Some(3_500));
        assert_eq!(pacer.train(), 3);
        let (at_once, last) = send(&mut pacer, 1_000, begun);
        assert_eq!(at_once, 3);
        let took = last.since(begun);
        assert!((Duration::from_micros(99_600)..=Duration::from_micros(100_000)).contains(&took), "{took:?}");
        assert_eq!(pacer.take(10, true, last, |all| all), 0, "a repair is no exception");
        // Of smaller slices more leave at once, and a datagram of fields is paid for.
        let mut smaller = pacer.for_slices(472, 28, 44);
        assert_eq!(smaller.train(), 7);
        let later = last + Duration::from_secs(1);
        smaller.handle_control(972, later);
        assert_eq!(smaller.take(100, false, later, |all| all), 0, "a train of seven is waited for");
        assert_eq!(smaller.take(4, false, later, |all| all), 4);
        // Less than a slice is a slice; without a word, a millisecond.
        pacer.set_rate_max(Some("80M".parse().unwrap()), Some(1));
        assert_eq!(pacer.train(), 1);
        pacer.set_rate_max(Some("800M".parse().unwrap()), None);
        assert_eq!(pacer.take(1_000, false, later, |all| all), 100);
        pacer.set_rate_max(None, None);
        assert_eq!(pacer.take(1_000, false, later, |all| all), 1_000);
    }

    #[test]
    fn what_was_sent_at_a_low_rate_keeps_nobody_silent_once_a_higher_one_is_granted_nor_is_it_forgotten() {
        // A slice takes 100 ms at 80 kbit/s, and 100 µs at 80 Mbit/s.
        let mut pacer = Pacer::new(972, 28, 44);
        let now = Time::from_nanos(5_000_000);
        let rate = |text: &str| Some(text.parse().unwrap());
        pacer.set_rate_max(rate("80k"), Some(10_000));
        assert_eq!(pacer.take(1_000, false, now, |all| all), 10);
        assert_eq!(pacer.take(1_000, false, now, |all| all), 0);
        // Whatever was said in between.
        pacer.set_rate_max(rate("10k"), Some(10_000));
        pacer.set_rate_max(rate("80M"), Some(10_000));
        assert_eq!(pacer.take(1_000, false, now, |all| all), 0, "ten slices have just left");
        assert_eq!(pacer.poll_timeout(), now + Duration::from_millis(1));
        // And the other way round: what is owed is as many bytes.
        pacer.set_rate_max(rate("80k"), Some(10_000));
        assert_eq!(pacer.take(1_000, false, now, |all| all), 0);
        assert_eq!(pacer.poll_timeout(), now + Duration::from_secs(1));
    }

    #[test]
    fn without_an_interval_and_a_link_nothing_waits() {
        let mut pacer = Pacer::new(1_472, 28, 44);
        pacer.set_frames(Duration::ZERO, 1_000, 10);
        assert_eq!(send(&mut pacer, 1_000_000, Time::ZERO), (1_000_000, Time::ZERO));
    }

    #[test]
    fn a_rate_is_read_with_its_unit_and_nonsense_is_not() {
        assert_eq!("480M".parse(), Ok(Bitrate(480_000_000)));
        assert_eq!("2.5G".parse(), Ok(Bitrate(2_500_000_000)));
        assert_eq!("10000".parse(), Ok(Bitrate::MIN));
        for nonsense in ["", "M", "fast", "-1M", "1", "nan", "inf", "5T", "1e30", "12é"] {
            assert!(nonsense.parse::<Bitrate>().unwrap_err().to_string().contains("480M"), "{nonsense}");
        }
        assert_eq!("480M".parse::<Bitrate>().unwrap().to_string(), "480 Mbit/s");
    }
}
