//! What is wanted of a node, and what came of it: each picture is asked for once, however many want it. No clock, no connection: time is
//! an argument, and what comes out is what to ask.

use std::time::{Duration, Instant};

use framewire_pictures::ValueRange;
use serde::Serialize;
use tokio::sync::oneshot;

use super::{Asked, PeerPicture, Wish};
use crate::pictures::Size;

/// Kinds of pictures that are wanted of one node at once: as many as it lets one page wait for.
const KINDS_MAX: usize = 128;
/// Whoever comes is shown a picture that is no older, until the next comes.
const FRESH: Duration = Duration::from_secs(1);
/// What nobody has wanted for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(5);
/// Pictures of one node that are kept for whoever comes, together.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// What is wanted of one node.
#[derive(Default)]
pub(super) struct Wanted {
    kinds: Vec<Kind>,
    /// Never given twice while one of them may still be answered.
    next_tag: u32,
}

/// One picture of one stream.
struct Kind {
    /// By which its answer is known.
    tag: u32,
    stream: u32,
    size: Size,
    range: ValueRange,
    newest: Option<PeerPicture>,
    /// The node was asked for another than this, and has not answered.
    is_asked: bool,
    asked_for: u64,
    /// Each with the number of the picture that it has.
    waiting: Vec<(u64, oneshot::Sender<Option<PeerPicture>>)>,
    used: Instant,
}

/// What is said to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Request {
    stream: u32,
    size: Size,
    seen: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    tag: u32,
}

impl Wanted {
    /// Takes a wish in. Returns what the node is to be asked. One for which there is no room is dropped, and so answered.
    pub(super) fn handle_wish(&mut self, Asked { wish, answer }: Asked, now: Instant) -> Option<Request> {
        let at = self.find(&wish).or_else(|| self.add(&wish, now))?;
        let kind = &mut self.kinds[at];
        kind.used = now;
        if let Some(newest) = kind.newest.as_ref().filter(|newest| newest.serial != wish.seen) {
            // There is no newer one where the node was asked for that.
            if kind.is_asked || now.saturating_duration_since(newest.came) < FRESH {
                // Whoever has gone meanwhile misses nothing.
                let _ = answer.send(Some(newest.clone()));
                return None;
            }
        }
        kind.waiting.retain(|(_, answer)| !answer.is_closed());
        kind.waiting.push((wish.seen, answer));
        kind.ask(wish.seen)
    }

    /// Takes an answer of the node's in; `None` where it has no such picture now. Returns what it is to be asked next.
    pub(super) fn handle_picture(&mut self, tag: u32, picture: Option<PeerPicture>, now: Instant) -> Option<Request> {
        let kind = self.kinds.iter_mut().find(|kind| kind.tag == tag)?;
        kind.is_asked = false;
        // Of a stream that stands still there is no other: whoever comes is shown its last.
        if picture.is_some() || kind.asked_for == 0 {
            kind.newest.clone_from(&picture);
        }
        let has = |seen: u64| picture.as_ref().is_some_and(|picture| picture.serial == seen);
        for (seen, answer) in std::mem::take(&mut kind.waiting) {
            match has(seen) {
                false => drop(answer.send(picture.clone())),
                true if !answer.is_closed() => kind.waiting.push((seen, answer)),
                true => {}
            }
        }
        let next = kind.waiting.first().map(|(seen, _)| *seen);
        let request = next.and_then(|seen| kind.ask(seen));
        self.forget_old(now);
        request
    }

    /// Whether nobody waits for anything, nor has of late.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.forget_old(now);
        self.kinds.is_empty()
    }

    fn find(&self, wish: &Wish) -> Option<usize> {
        self.kinds.iter().position(|kind| kind.is_of(wish))
    }

    fn add(&mut self, wish: &Wish, now: Instant) -> Option<usize> {
        if self.kinds.len() >= KINDS_MAX {
            self.forget_old(now);
            self.make_room();
        }
        if self.kinds.len() >= KINDS_MAX {
            return None;
        }
        let Wish { stream, size, range, .. } = *wish;
        let tag = self.next_tag;
        self.next_tag = (tag + 1) & crate::pictures::TAG_MAX;
        self.kinds.push(Kind {
            tag,
            stream,
            size,
            range,
            newest: None,
            is_asked: false,
            asked_for: 0,
            waiting: Vec::new(),
            used: now,
        });
        Some(self.kinds.len() - 1)
    }

    /// What nobody waits for gives way to what somebody wants, whatever came of it: first what the node has answered, of that what was wanted least lately.
    fn make_room(&mut self) {
        let kinds = self.kinds.iter().enumerate().filter(|(_, kind)| kind.waiting.is_empty());
        let least = kinds.min_by_key(|(_, kind)| (kind.is_asked, kind.used)).map(|(at, _)| at);
        if self.kinds.len() >= KINDS_MAX
            && let Some(at) = least
        {
            self.kinds.remove(at);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        for kind in &mut self.kinds {
            kind.waiting.retain(|(_, answer)| !answer.is_closed());
        }
        self.kinds.retain(|kind| !kind.waiting.is_empty() || now.saturating_duration_since(kind.used) < FORGET_AFTER);
        let bytes = |kind: &Kind| kind.newest.as_ref().map_or(0, |picture| picture.jpeg.len());
        let mut kept: usize = self.kinds.iter().map(bytes).sum();
        while kept > KEPT_BYTES_MAX {
            let Some(largest) = self.kinds.iter_mut().max_by_key(|kind| bytes(kind)) else { return };
            kept -= bytes(largest);
            largest.newest = None;
        }
    }
}

impl Kind {
    fn is_of(&self, wish: &Wish) -> bool {
        (self.stream, self.size) == (wish.stream, wish.size) && self.range == wish.range
    }

    fn ask(&mut self, seen: u64) -> Option<Request> {
        if std::mem::replace(&mut self.is_asked, true) {
            return None;
        }
        self.asked_for = seen;
        let range = (self.range != ValueRange::Automatic).then(|| self.range.to_string());
        Some(Request { stream: self.stream, size: self.size, seen, range, tag: self.tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    type Answer = oneshot::Receiver<Option<PeerPicture>>;

    fn wish(wanted: &mut Wanted, stream: u32, seen: u64, now: Instant) -> (Option<Request>, Answer) {
        let (answer, answered) = oneshot::channel();
        let wish = Wish { stream, size: Size::Tile, range: ValueRange::Automatic, seen };
        (wanted.handle_wish(Asked { wish, answer }, now), answered)
    }

    fn picture(serial: u64, bytes: usize, came: Instant) -> Option<PeerPicture> {
        Some(PeerPicture { serial, frame: serial, taken: came, came, jpeg: Bytes::from(vec![0; bytes]) })
    }

    fn serial(answer: &mut Answer) -> Option<u64> {
        answer.try_recv().expect("it is answered").map(|picture| picture.serial)
    }

    #[test]
    fn what_many_want_is_asked_for_once_and_each_gets_it() {
        let (mut wanted, now) = (Wanted::default(), Instant::now());
        let (request, mut first) = wish(&mut wanted, 7, 0, now);
        let request = request.unwrap();
        assert_eq!((request.stream, request.seen), (7, 0));
        let (none, mut second) = wish(&mut wanted, 7, 3, now);
        assert_eq!(none, None);
        assert_eq!(wanted.handle_picture(request.tag, picture(4, 1, now), now), None);
        assert_eq!((serial(&mut first), serial(&mut second)), (Some(4), Some(4)));
        // The next is asked for when somebody wants it, and not before.
        let (next, _third) = wish(&mut wanted, 7, 4, now);
        assert_eq!(next.unwrap().seen, 4);
    }

    #[test]
    fn whoever_has_the_picture_that_comes_waits_for_the_next() {
        let (mut wanted, now) = (Wanted::default(), Instant::now());
        let (request, mut has_none) = wish(&mut wanted, 7, 0, now);
        let (_, mut has_it) = wish(&mut wanted, 7, 4, now);
        let tag = request.unwrap().tag;
        let next = wanted.handle_picture(tag, picture(4, 1, now), now).unwrap();
        assert_eq!((serial(&mut has_none), next.seen), (Some(4), 4));
        assert!(has_it.try_recv().is_err());
        wanted.handle_picture(tag, picture(5, 1, now), now);
        assert_eq!(serial(&mut has_it), Some(5));
    }

    #[test]
    fn of_a_stream_that_stands_still_whoever_comes_is_shown_its_last_picture() {
        let (mut wanted, now) = (Wanted::default(), Instant::now());
        let (request, _) = wish(&mut wanted, 7, 0, now);
        wanted.handle_picture(request.unwrap().tag, picture(4, 1, now), now);
        let later = now + 3 * FRESH;
        let (next, mut waits) = wish(&mut wanted, 7, 4, later);
        assert!(next.is_some());
        let (none, mut comes) = wish(&mut wanted, 7, 0, later);
        assert_eq!((none, serial(&mut comes)), (None, Some(4)));
        assert!(waits.try_recv().is_err());
        // Where nobody waits, the node says whether it is still the last.
        let (mut other, now) = (Wanted::default(), now);
        let (request, _) = wish(&mut other, 7, 0, now);
        other.handle_picture(request.unwrap().tag, picture(4, 1, now), now);
        assert_eq!(wish(&mut other, 7, 0, now + 3 * FRESH).0.unwrap().seen, 0);
    }

    #[test]
    fn a_stream_that_is_not_there_is_answered_so_to_all() {
        let (mut wanted, now) = (Wanted::default(), Instant::now());
        let (request, mut first) = wish(&mut wanted, 7, 0, now);
        let (_, mut second) = wish(&mut wanted, 7, 9, now);
        assert_eq!(wanted.handle_picture(request.unwrap().tag, None, now), None);
        assert_eq!((serial(&mut first), serial(&mut second)), (None, None));
    }

    #[test]
    fn what_nobody_wants_is_forgotten_and_the_rest_is_bounded() {
        let (mut wanted, now) = (Wanted::default(), Instant::now());
        let mut held = Vec::new();
        for stream in 0..2 * KINDS_MAX as u32 {
            held.push(wish(&mut wanted, stream, 0, now).1);
        }
        assert_eq!(wanted.kinds.len(), KINDS_MAX);
        assert!(held.pop().unwrap().try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
        assert!(!wanted.is_idle(now + 2 * FORGET_AFTER), "they wait still");
        held.clear();
        assert!(wanted.is_idle(now + 2 * FORGET_AFTER), "they have gone");
        for stream in 0..40 {
            let (request, _) = wish(&mut wanted, stream, 0, now);
            wanted.handle_picture(request.unwrap().tag, picture(1, 1 << 20, now), now);
        }
        let kept: usize = wanted.kinds.iter().flat_map(|kind| &kind.newest).map(|picture| picture.jpeg.len()).sum();
        assert!(kept <= KEPT_BYTES_MAX, "{kept}");
        assert_eq!(wanted.handle_picture(1 << 20, picture(1, 1, now), now), None, "nobody asked for this");
    }

    #[test]
    fn what_the_node_has_no_picture_of_keeps_no_place_from_what_it_has() {
        let (mut wanted, now) = (Wanted::default(), Instant::now());
        for stream in 0..KINDS_MAX as u32 {
            let (request, _) = wish(&mut wanted, stream, 0, now);
            // All but the last of which it says nothing, and for which nobody waits any more.
            if stream + 1 < KINDS_MAX as u32 {
                wanted.handle_picture(request.unwrap().tag, None, now);
            }
        }
        for stream in 1_000..1_000 + KINDS_MAX as u32 {
            let (request, mut answer) = wish(&mut wanted, stream, 0, now);
            let request = request.unwrap_or_else(|| panic!("{stream} is not asked for"));
            wanted.handle_picture(request.tag, picture(1, 1, now), now);
            assert_eq!(serial(&mut answer), Some(1));
        }
        assert_eq!(wanted.kinds.len(), KINDS_MAX);
    }

    #[test]
    fn the_last_picture_of_a_stream_that_stands_still_is_kept_when_there_is_none_after_it() {
        let (mut wanted, now) = (Wanted::default(), Instant::now());
        let (request, _) = wish(&mut wanted, 7, 0, now);
        let tag = request.unwrap().tag;
        wanted.handle_picture(tag, picture(4, 1, now), now);
        let (next, mut waits) = wish(&mut wanted, 7, 4, now);
        assert_eq!(next.unwrap().seen, 4);
        wanted.handle_picture(tag, None, now);
        assert_eq!(serial(&mut waits), None, "it may ask again");
        let (again, _waits) = wish(&mut wanted, 7, 4, now);
        assert!(again.is_some());
        assert_eq!(serial(&mut wish(&mut wanted, 7, 0, now).1), Some(4));
    }

    #[test]
    fn a_request_is_one_that_a_node_takes() {
        let (mut wanted, now) = (Wanted::default(), Instant::now());
        let (answer, _held) = oneshot::channel();
        let wish = Wish { stream: 7, size: Size::Full, range: "0-4095".parse().unwrap(), seen: 3 };
        let request = wanted.handle_wish(Asked { wish, answer }, now).unwrap();
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(text, r#"{"stream":7,"size":"full","seen":3,"range":"0-4095","tag":0}"#);
    }
}
