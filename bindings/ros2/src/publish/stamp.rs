//! When an image was taken, in UTC, as ROS stamps it.

use std::time::{Duration, SystemTime};

use framewire_transport::{Frame, Time};

/// Nanoseconds since 1970: what its source or its sender's machine says; where neither does, its capture by this machine's clocks.
pub(crate) fn stamp(frame: &Frame) -> u64 {
    let utc = frame.captured_utc().unwrap_or_else(|| by_this_clock(frame, Time::now(), SystemTime::now()));
    let since = utc.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The monotonic moment of the capture, or of the arrival where that is not known, on the wall clock.
fn by_this_clock(frame: &Frame, now: Time, wall: SystemTime) -> SystemTime {
    let info = frame.info();
    let known = [info.captured, info.completed].into_iter().find(|time| *time != Time::ZERO);
    let ago = known.map_or(Duration::ZERO, |time| now.since(time));
    wall.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use framewire_transport::frame::FramePool;
    use framewire_transport::{FrameFormat, PixelFormat};

    use super::*;

    fn frame(set: impl FnOnce(&mut framewire_transport::frame::FrameInfo)) -> Frame {
        let format = FrameFormat::new(PixelFormat::Gray8, 4, 4).unwrap();
        let mut frame = FramePool::for_format(1, format).unwrap().try_acquire().unwrap();
        set(&mut frame.info);
        frame.freeze()
    }

    #[test]
    fn the_frames_own_time_is_exact_and_else_its_capture_is_put_on_the_wall_clock() {
        let utc = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_795_000_000_123_456_789);
        assert_eq!(stamp(&frame(|info| info.captured_utc = Some(utc))), 1_795_000_000_123_456_789);
        let (now, second) = (Time::from_nanos(10_000_000_000), Duration::from_secs(1));
        let captured = frame(|info| {
            info.captured = Time::from_nanos(9_000_000_000);
            info.completed = Time::from_nanos(9_500_000_000);
        });
        assert_eq!(by_this_clock(&captured, now, utc), utc - second);
        let arrived = frame(|info| info.completed = Time::from_nanos(9_500_000_000));
        assert_eq!(by_this_clock(&arrived, now, utc), utc - second / 2);
        assert_eq!(by_this_clock(&frame(|_| {}), now, utc), utc);
    }
}
