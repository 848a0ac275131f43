use super::*;
use crate::message::{Delivery, OpenRequest, Opened, Waiting};
use framewire_transport::{FrameFormat, PixelFormat};

/// A host that has every stream but "refuse" and "panic", and notes what it was asked.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Diary {
    fn write(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl StreamHost for Diary {
    fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
        Ok(Opened::new(request.stream, 1))
    }

    fn close(&self, _stream: u32) {}

    fn watch(&self, _asker: &Asker, request: &WatchRequest) -> Result<WatchAnswer, Refused> {
        match request.name.as_str() {
            "refuse" => return Err(Refused::new("no", "no")),
            "panic" => panic!("the host panics as the test wants it"),
            _ => {}
        }
        self.write(format!("watch {}", request.stream));
        Ok(WatchAnswer::Waiting(Waiting::new(request.stream, "")))
    }

    fn unwatch(&self, stream: u32) {
        self.write(format!("unwatch {stream}"));
    }
}

fn watchers() -> (Arc<Diary>, Watchers<char>) {
    let diary = Arc::new(Diary::default());
    (diary.clone(), Watchers::new(diary))
}

fn asker(last: u8) -> Asker {
    Asker::new(([10, 0, 0, last], 50_000).into(), Role::View, false)
}

fn node(last: u8) -> Asker {
    Asker { role: Role::Node, ..asker(last) }
}

/// Says that it was answered, too.
fn watch(watchers: &Watchers<char>, client: char, asker: Asker, stream: u32) -> Result<(), Refused> {
    watchers.watch(client, &asker, &WatchRequest::new(stream, "front", 9), || true)?;
    answered(watchers, stream);
    Ok(())
}

/// Whom it is told to now.
fn told(watchers: &Watchers<char>, word: Word) -> Option<(char, Word)> {
    let mut whom = None;
    watchers.tell(word, |client, word| whom = Some((client, word)));
    whom
}

/// What is told once the answer was said, and to whom.
fn answered(watchers: &Watchers<char>, stream: u32) -> Option<(char, Word)> {
    let mut whom = None;
    watchers.answered(stream, |client, word| whom = Some((client, word)));
    whom
}

fn watching(stream: u32) -> Word {
    let format = FrameFormat::new(PixelFormat::Gray8, 1, 1).unwrap();
    Word::Watching(Watching::new(stream, "front", &format, Delivery::Latest))
}

fn unwatched(stream: u32) -> Word {
    Word::Unwatched(Unwatched::new(stream, ""))
}

#[test]
fn a_wish_is_ended_by_its_client_alone() {
    let (diary, watchers) = watchers();
    watch(&watchers, 'a', asker(1), 1).unwrap();
    assert_eq!(watchers.unwatch('b', 1).unwrap_err().reason, reason::NOT_YOURS);
    assert_eq!(watchers.unwatch('a', 2).unwrap_err().reason, reason::NOT_YOURS);
    watchers.unwatch('a', 1).unwrap();
    assert_eq!(watchers.unwatch('a', 1).unwrap_err().reason, reason::NOT_YOURS);
    assert_eq!((diary.read(), watchers.len()), (vec!["watch 1".to_owned(), "unwatch 1".into()], 0));
}

#[test]
fn a_client_that_has_gone_has_two_seconds_to_ask_again_from_where_it_was() {
    let (diary, watchers) = watchers();
    for stream in [1, 2] {
        watch(&watchers, 'a', asker(1), stream).unwrap();
    }
    let before = Instant::now();
    assert!(watchers.leave('a') && !watchers.leave('a'));
    let after = Instant::now();
    watchers.end_of_grace(before + GRACE - Duration::from_millis(1));
    assert_eq!(watchers.len(), 2, "the grace is not over");
    assert_eq!(told(&watchers, watching(1)), None, "nobody is there");
    // Who only knows its id, or is something else, does not get it.
    for stranger in [asker(2), node(1)] {
        assert_eq!(watch(&watchers, 'b', stranger, 1).unwrap_err().reason, reason::NOT_YOURS);
    }
    watch(&watchers, 'b', asker(1), 1).unwrap();
    assert_eq!(told(&watchers, watching(1)), Some(('b', watching(1))));
    diary.read();
    watchers.end_of_grace(after + GRACE);
    assert_eq!((diary.read(), watchers.len()), (vec!["unwatch 2".to_owned()], 1));
}

#[test]
fn a_wish_made_again_before_the_loss_was_noticed_survives_the_late_departure() {
    let (diary, watchers) = watchers();
    watch(&watchers, 'a', asker(1), 1).unwrap();
    watch(&watchers, 'b', asker(1), 1).unwrap();
    assert!(!watchers.leave('a'));
    watchers.end_of_grace(Instant::now() + 2 * GRACE);
    assert_eq!((watchers.len(), diary.read().len()), (1, 2));
    assert_eq!(watchers.unwatch('a', 1).unwrap_err().reason, reason::NOT_YOURS);
    watchers.unwatch('b', 1).unwrap();
}

#[test]
fn a_client_that_left_while_the_host_was_at_work_has_the_same_grace() {
    let (diary, watchers) = watchers();
    watchers.watch('a', &asker(1), &WatchRequest::new(1, "front", 9), || false).unwrap();
    assert!(!watchers.leave('a'), "it is known to have gone");
    watchers.end_of_grace(Instant::now() + GRACE);
    assert_eq!((diary.read(), watchers.len()), (vec!["watch 1".to_owned(), "unwatch 1".into()], 0));
}

#[test]
fn what_is_refused_is_no_wish_and_ends_the_one_that_was() {
    let (diary, watchers) = watchers();
    let refuse = |stream| watchers.watch('a', &asker(1), &WatchRequest::new(stream, "refuse", 9), || true).unwrap_err();
    assert_eq!((refuse(1).reason.as_str(), watchers.len(), diary.read().len()), ("no", 0, 0));
    watch(&watchers, 'a', asker(1), 1).unwrap();
    refuse(1);
    assert_eq!((diary.read(), watchers.len()), (vec!["watch 1".to_owned(), "unwatch 1".into()], 0));
}

#[test]
fn a_host_that_panics_leaves_no_wish_behind_and_is_asked_again() {
    let (_diary, watchers) = watchers();
    let asked =
        std::panic::AssertUnwindSafe(|| watchers.watch('a', &asker(1), &WatchRequest::new(1, "panic", 9), || true));
    std::panic::catch_unwind(asked).unwrap_err();
    assert_eq!(watchers.len(), 0);
    watch(&watchers, 'a', asker(1), 1).unwrap();
}

#[test]
fn a_client_an_address_and_all_together_have_so_many_wishes_and_no_more() {
    let (_diary, watchers) = watchers();
    let mut stream = 0;
    let mut fill = |client: char, asker: Asker| {
        let mut granted = 0;
        loop {
            stream += 1;
            match watch(&watchers, client, asker, stream) {
                Ok(()) => granted += 1,
                Err(refused) => {
                    assert!(refused.is_for_now(), "{refused}");
                    return granted;
                }
            }
        }
    };
    let by_clients: Vec<usize> = ('a'..='e').map(|client| fill(client, asker(1))).collect();
    assert_eq!(by_clients, [16, 16, 16, 16, 0]);
    assert_eq!([fill('n', node(2)), fill('o', node(2))], [64, 0], "a node asks for many");
    assert_eq!((fill('p', node(3)), fill('q', node(4)), fill('r', asker(5))), (64, 64, 0));
    assert_eq!(watchers.len(), WISHES_MAX);
    // What stands may be asked for again, and one that ends makes room.
    watch(&watchers, 'a', asker(1), 1).unwrap();
    watchers.unwatch('a', 2).unwrap();
    assert_eq!(fill('s', asker(6)), 1);
}

#[test]
fn what_is_told_while_an_answer_is_under_way_is_told_after_it_and_the_last_of_it_alone() {
    let (_diary, watchers) = watchers();
    assert_eq!(told(&watchers, watching(1)), None, "nobody has such a wish");
    watchers.watch('a', &asker(1), &WatchRequest::new(1, "front", 9), || true).unwrap();
    assert_eq!([unwatched(1), watching(1), unwatched(1)].map(|word| told(&watchers, word)), [None, None, None]);
    assert_eq!(answered(&watchers, 1), Some(('a', unwatched(1))));
    assert_eq!(answered(&watchers, 1), None);
    assert_eq!(told(&watchers, watching(1)), Some(('a', watching(1))));
}
