//! Whether cameras and encoded video can be had.

use super::finding::Finding;

pub(super) fn finding() -> Finding {
    judge(version().as_deref())
}

#[cfg(feature = "opencv")]
fn version() -> Option<String> {
    // What runs may be newer than what this was built against.
    Some(opencv::core::get_version_string().unwrap_or_else(|_| opencv::core::CV_VERSION.to_owned()))
}

#[cfg(not(feature = "opencv"))]
fn version() -> Option<String> {
    None
}

fn judge(version: Option<&str>) -> Finding {
    const ID: &str = "opencv";
    match version {
        Some(version) => Finding::fine(ID, format!("This program has OpenCV {version}.")),
        None => Finding::advice(
            ID,
            "This program was built without OpenCV.",
            "Patterns, Y4M and raw files work; cameras, encoded video and windows do not.",
        )
        .mend("sudo apt-get install -y libopencv-dev clang libclang-dev && cargo build --release --features opencv"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn a_build_without_opencv_says_how_to_get_one_with_it() {
        let finding = judge(None);
        assert_eq!(finding.state, State::Advice);
        assert!(finding.mend.unwrap().contains("--features opencv"));
        assert!(judge(Some("4.6.0")).seen.contains("4.6.0"));
    }

    #[test]
    fn this_build_is_judged_as_it_was_made() {
        assert_eq!(finding().state == State::Fine, cfg!(feature = "opencv"));
    }
}
