//! The thread that makes pictures, when nothing else wants the processor.

use super::desk::{Desk, Made, Task};
use super::jpeg;
use super::picture::FULL_WIDTH_MAX;
use super::scale::Scaled;

/// Makes pictures of what is put on the desk, until that is closed. Touches nothing else: it writes no log and gives no slot back.
pub(super) fn make_pictures(desk: &Desk, tile_width: u32) {
    yield_to_all_else();
    let (mut tile, mut full) = (Scaled::new(), Scaled::new());
    while let Some(Task { frame, format, wants }) = desk.next_task() {
        for (is_wanted, picture, width) in
            [(wants.tile, &mut tile, tile_width), (wants.full, &mut full, FULL_WIDTH_MAX)]
        {
            if is_wanted {
                picture.take(&frame, &format, width);
            }
        }
        // The slot is free again before the long part begins.
        desk.put_frame(frame);
        desk.put_made(encoded(wants.tile.then_some(&tile), wants.full.then_some(&full)));
    }
}

fn encoded(tile: Option<&Scaled>, full: Option<&Scaled>) -> Made {
    let encode = |picture: Option<&Scaled>| picture.map(jpeg::encode).transpose().map_err(|error| error.to_string());
    Ok((encode(tile)?, encode(full)?))
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
