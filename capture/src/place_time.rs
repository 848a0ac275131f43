//! When the pictures of a file were: each at its place in the file, from when the file was opened on.

use std::time::{Duration, SystemTime};

use framewire_transport::frame::FrameRate;

/// UTC of the frames of a file that says its rate: when it was opened, and number ÷ rate. It goes on where the file starts over.
#[derive(Debug, Clone)]
pub struct PlaceTime {
    opened: SystemTime,
    rate: Option<FrameRate>,
    /// Of the next frame, counted from the first of the first time over.
    number: u64,
}

impl PlaceTime {
    /// A file that is opened now. One without a rate has no times.
    pub fn now(rate: Option<FrameRate>) -> Self {
        Self::new(SystemTime::now(), rate)
    }

    const fn new(opened: SystemTime, rate: Option<FrameRate>) -> Self {
        Self { opened, rate, number: 0 }
    }

    /// When the next frame is; `None` where the file says no rate, and beyond what the clock can say.
    pub fn next(&self) -> Option<SystemTime> {
        self.opened.checked_add(since_first(self.number, self.rate?)?)
    }

    /// The next frame has been given.
    pub fn is_given(&mut self) {
        self.number = self.number.saturating_add(1);
    }
}

/// Number ÷ rate, to the nanosecond below. Each is computed from the number alone, so that nothing adds up.
fn since_first(number: u64, rate: FrameRate) -> Option<Duration> {
    // Below 2^64 times 2^32 times 2^30.
    let nanos = u128::from(number) * u128::from(rate.den()) * 1_000_000_000 / u128::from(rate.num());
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_at_its_number_over_the_rate_exactly_after_days_too() {
        let rate = FrameRate::new(30_000, 1001).unwrap();
        let since = |number| since_first(number, rate).unwrap();
        assert_eq!(since(0), Duration::ZERO);
        assert_eq!(since(1), Duration::from_nanos(33_366_666));
        assert_eq!(since(3), Duration::from_nanos(100_100_000));
        // 30,000 frames are 1,001 seconds, and so are as many hours.
        assert_eq!(since(30_000), Duration::from_secs(1001));
        assert_eq!(since(30_000 * 3600), Duration::from_secs(1001 * 3600));
        assert_eq!(since(30_000 * 3600 + 1), Duration::new(1001 * 3600, 33_366_666));
    }

    #[test]
    fn no_number_and_no_rate_is_too_large() {
        for (num, den) in [(1, u32::MAX), (u32::MAX, 1), (1, 1)] {
            let rate = FrameRate::new(num, den).ok();
            let mut time = PlaceTime::new(SystemTime::UNIX_EPOCH, rate);
            time.number = u64::MAX;
            time.is_given();
            let _ = time.next();
        }
        let fast = FrameRate::per_second(u32::MAX).unwrap();
        assert!(since_first(u64::MAX, fast).is_some());
        assert_eq!(since_first(u64::MAX, FrameRate::new(1, u32::MAX).unwrap()), None);
    }

    #[test]
    fn what_has_no_rate_has_no_times() {
        assert_eq!(PlaceTime::now(None).next(), None);
        let opened = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let mut time = PlaceTime::new(opened, FrameRate::per_second(4).ok());
        for number in 0..9 {
            assert_eq!(time.next(), Some(opened + Duration::from_millis(250 * number)));
            time.is_given();
        }
    }
}
