use super::*;
use crate::message::{Delivery, Refused, Waiting, reason};
use framewire_transport::{FrameFormat, PixelFormat};

fn request(stream: u32) -> WatchRequest {
    WatchRequest::new(stream, "front", 9_000)
}

fn watching(stream: u32) -> Watching {
    let format = FrameFormat::new(PixelFormat::Gray8, 1, 1).unwrap();
    Watching::new(stream, "front", &format, Delivery::Latest)
}

fn granted(stream: u32) -> WatchReply {
    WatchReply::Watching(watching(stream))
}

fn all(watches: &mut Watches, now: Instant) -> Vec<Say> {
    std::iter::from_fn(|| watches.say(now)).collect()
}

#[test]
fn what_is_wished_is_asked_for_once_and_ended_once() {
    let (mut watches, now) = (Watches::default(), Instant::now());
    for _ in 0..2 {
        watches.want(&[request(1)]);
    }
    assert_eq!(all(&mut watches, now), [Say::Watch(16, request(1))]);
    assert!(watches.waits_for(16) && !watches.waits_for(17));
    assert_eq!(watches.answered(16, granted(1), now), Some(ClientEvent::Watching(watching(1))));
    assert_eq!(watches.answered(16, granted(1), now), None, "it was answered");
    watches.want(&[]);
    assert_eq!(all(&mut watches, now), [Say::Unwatch(17, 1)]);
    let over = Unwatched::new(1, "over");
    assert_eq!(watches.unwatched(Some(17), over.clone()), Some(ClientEvent::Unwatched(over.clone())));
    assert!(watches.entries.is_empty());
    assert_eq!((watches.unwatched(None, over), watches.watching(watching(1))), (None, None), "that is nobody's");
}

#[test]
fn few_requests_are_under_way_at_once_however_much_is_wished() {
    let (mut watches, now) = (Watches::default(), Instant::now());
    let wished: Vec<WatchRequest> = (0..16).map(request).collect();
    watches.want(&wished);
    let mut asked = 0;
    let mut waiting: Vec<Say> = all(&mut watches, now);
    while !waiting.is_empty() {
        assert!(waiting.len() <= UNDER_WAY_MAX);
        for say in std::mem::take(&mut waiting) {
            let Say::Watch(number, request) = say else { panic!("{say:?}") };
            assert!(watches.answered(number, granted(request.stream), now).is_some());
            asked += 1;
        }
        waiting = all(&mut watches, now);
    }
    assert_eq!(asked, 16);
}

#[test]
fn a_refusal_for_now_is_asked_about_again_with_growing_waits_and_one_for_good_is_not() {
    let (mut watches, mut now) = (Watches::default(), Instant::now());
    watches.want(&[request(1)]);
    let refused = Refused::new(reason::TOO_MANY, "");
    for wait in [100, 200, 400, 800, 1600, 2000, 2000] {
        let [Say::Watch(number, _)] = all(&mut watches, now)[..] else { panic!("it asks once") };
        let event = watches.answered(number, WatchReply::Refused(refused.clone()), now);
        assert_eq!(event, Some(ClientEvent::WatchRefused { stream: 1, refused: refused.clone() }));
        let due = watches.due().unwrap();
        assert!(due > now && due <= now + Duration::from_millis(wait), "{:?}", due - now);
        assert_eq!(all(&mut watches, now), [], "not yet");
        now = due;
    }
    let [Say::Watch(number, _)] = all(&mut watches, now)[..] else { panic!("it asks once") };
    watches.answered(number, WatchReply::Refused(Refused::new(reason::NO_WATCHERS, "")), now);
    assert_eq!((watches.due(), all(&mut watches, now + ANSWER_TIMEOUT)), (None, vec![]));
    // What is wished anew is asked for anew.
    let other = request(1).frames_per_second_max(1.0);
    watches.want(std::slice::from_ref(&other));
    assert_eq!(all(&mut watches, now), [Say::Watch(number + 1, other)]);
}

#[test]
fn a_wish_that_changes_or_ends_while_it_is_asked_is_said_again_after_the_answer() {
    let (mut watches, now) = (Watches::default(), Instant::now());
    watches.want(&[request(1), request(2)]);
    assert_eq!(all(&mut watches, now).len(), 2);
    let other = request(1).slice_bytes(1_472);
    watches.want(std::slice::from_ref(&other));
    assert_eq!(all(&mut watches, now), [], "both are under way");
    assert!(watches.answered(16, granted(1), now).is_some());
    assert_eq!(watches.answered(17, WatchReply::Waiting(Waiting::new(2, "")), now), None, "it is wished no more");
    assert_eq!(all(&mut watches, now), [Say::Watch(18, other.clone()), Say::Unwatch(19, 2)]);
    // Wished again before the end of it was answered.
    watches.want(&[other, request(2)]);
    assert_eq!(watches.unwatched(Some(19), Unwatched::new(2, "")), None);
    assert_eq!(all(&mut watches, now), [Say::Watch(20, request(2))]);
}

#[test]
fn an_answer_of_another_stream_or_to_nothing_is_not_passed_on() {
    let (mut watches, now) = (Watches::default(), Instant::now());
    watches.want(&[request(1)]);
    all(&mut watches, now);
    assert_eq!(watches.answered(99, granted(1), now), None);
    assert_eq!(watches.unwatched(Some(16), Unwatched::new(2, "")), None);
    assert_eq!(watches.answered(16, granted(2), now), None);
    assert_eq!(watches.watching(watching(2)), None);
    assert_eq!(watches.watching(watching(1)), Some(ClientEvent::Watching(watching(1))));
}

#[test]
fn a_server_that_does_not_answer_is_known_by_that() {
    let (mut watches, now) = (Watches::default(), Instant::now());
    watches.want(&[request(1)]);
    assert!(!watches.is_late(now + 2 * ANSWER_TIMEOUT), "it was not asked");
    all(&mut watches, now);
    assert!(!watches.is_late(now + ANSWER_TIMEOUT) && watches.is_late(now + ANSWER_TIMEOUT + Duration::from_millis(1)));
}
