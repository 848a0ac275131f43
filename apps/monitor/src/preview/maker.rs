//! The thread that makes pictures, when nothing else wants the processor.

use framewire_pictures::{Limits, Look, Picture, ValueRange, is_ranged};

use super::desk::{Desk, MadePictures, Task};
use super::jpeg;
use super::picture::{FULL_WIDTH_MAX, PictureKind, PictureSize};

/// Pictures whose memory is kept for the next frame: a tile and a full one.
const KEPT: usize = 2;

/// Makes pictures of what is put on the desk, until that is closed. Touches nothing else: it writes no log and gives no slot back.
pub(super) fn make_pictures(desk: &Desk, tile_width: u32) {
    yield_to_all_else();
    let mut pictures = Vec::new();
    while let Some(task) = desk.next_task() {
        let automatic = automatic(&task);
        let kinds: Vec<PictureKind> = task.wants.kinds().collect();
        pictures.resize_with(kinds.len().max(KEPT), Picture::new);
        let mut is_pictured = true;
        for (kind, picture) in kinds.iter().zip(&mut pictures) {
            let side_max = match kind.size {
                PictureSize::Tile => tile_width,
                PictureSize::Full => FULL_WIDTH_MAX,
            };
            let limits = match kind.range {
                ValueRange::Automatic => automatic,
                ValueRange::Given(limits) => Some(limits),
            };
            let look = Look { limits, is_full_range: task.is_full_range };
            is_pictured &= picture.take(&task.frame, &task.format, side_max, look);
        }
        // The slot is free again before the long part begins.
        let format = task.format;
        desk.put_frame(task.frame);
        let made = if is_pictured { encoded(&kinds, &pictures) } else { Err(format!("{format} has no pictures")) };
        desk.put_made(made.map(|pictures| MadePictures { pictures, automatic }));
        pictures.truncate(KEPT);
    }
}

/// What is black and what is white in pictures of the frame, unless all that are wanted have a range that was given.
fn automatic(task: &Task) -> Option<Limits> {
    let is_wanted = task.wants.kinds().any(|kind| kind.range == ValueRange::Automatic);
    (is_wanted && is_ranged(task.format.pixel())).then(|| {
        let measured = Limits::measured(&task.frame, &task.format);
        task.automatic.map_or(measured, |before| before.followed_by(measured))
    })
}

fn encoded(kinds: &[PictureKind], pictures: &[Picture]) -> Result<Vec<(PictureKind, Vec<u8>)>, String> {
    let encode = |(kind, picture): (&PictureKind, &Picture)| jpeg::encode(picture).map(|jpeg| (*kind, jpeg));
    kinds.iter().zip(pictures).map(encode).collect()
}

/// Takes processor time that nothing else wants. A thread that is merely nice still finishes its turn, some milliseconds, before
/// one that a datagram wakes. Where the system refuses, pictures are made with the priority of all else.
#[cfg(target_os = "linux")]
fn yield_to_all_else() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };

    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
}

#[cfg(not(target_os = "linux"))]
fn yield_to_all_else() {}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn pictures_are_made_when_nothing_else_wants_the_processor() {
        use thread_priority::{NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy};

        let policy = std::thread::spawn(|| {
            super::yield_to_all_else();
            thread_schedule_policy().unwrap()
        });
        assert_eq!(policy.join().unwrap(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
    }
}
