//! Which frames can be measured.

use framewire_capture::RawFormat;

use super::stamp::Stamp;

/// So that eight slots of a frame fit the gigabyte that a stream may have: one of 7680x4320 bgr24 does.
const FRAME_BYTES_MAX: usize = 100_000_000;

/// Whether frames like these can be measured.
///
/// # Errors
/// Why not, with the remedy.
pub(super) fn check_frame(frame: &RawFormat) -> Result<(), String> {
    let bytes = frame.format.frame_bytes();
    if frame.rate.is_some() {
        return Err(format!("'{frame}' has a rate, but a bench sets the rate itself; leave the @ out"));
    }
    if bytes < Stamp::LEN {
        let least = Stamp::LEN;
        return Err(format!("a frame of {bytes} bytes ({frame}) is too small to measure; use one of {least} or more"));
    }
    if bytes > FRAME_BYTES_MAX {
        return Err(format!(
            "a frame of {bytes} bytes ({frame}) is larger than the {FRAME_BYTES_MAX} of a bench; use a smaller one"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_cannot_be_measured_are_refused_with_the_remedy() {
        let refused = |text: &str| check_frame(&text.parse().unwrap()).unwrap_err();
        assert!(refused("5x3:gray8").contains("15 bytes (5x3:gray8) is too small"));
        assert!(refused("20000x20000:gray8").contains("400000000 bytes"));
        assert!(refused("640x480:gray8@30").contains("leave the @ out"));
        assert_eq!(check_frame(&"7680x4320:bgr24".parse().unwrap()), Ok(()));
        assert_eq!(check_frame(&"4x4:gray8".parse().unwrap()), Ok(()));
    }
}
