use std::collections::HashSet;
use std::net::IpAddr;

use super::*;
use crate::message::{Delivery, Grant, Idle, OpenRequest};

#[derive(Default)]
struct Diary {
    lines: Mutex<Vec<String>>,
    flowing: Mutex<HashSet<u32>>,
    /// Of which nothing comes, though they flow.
    silent: Mutex<HashSet<u32>>,
}

impl Diary {
    fn write(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn read(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl StreamHost for Diary {
    fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
        if request.protocol != 1 {
            return Err(Refused::new("protocol", ""));
        }
        self.write(format!("open {}", request.stream));
        Ok(Opened::new(request.stream, 1))
    }

    fn close(&self, stream: u32) {
        self.write(format!("close {stream}"));
    }

    fn replaced(&self, stream: u32, by: u32) {
        self.write(format!("{stream} replaced by {by}"));
    }

    fn client_gone(&self, streams: &[u32]) {
        self.write(format!("gone {streams:?}"));
    }

    fn is_flowing(&self, stream: u32) -> bool {
        self.flowing.lock().unwrap().contains(&stream)
    }

    fn make_room(&self, left: &[u32]) -> Option<u32> {
        let mut silent = self.silent.lock().unwrap();
        let ended = left.iter().find(|stream| silent.contains(stream)).copied()?;
        silent.remove(&ended);
        Some(ended)
    }
}

fn asker() -> Asker {
    Asker::new(([10, 0, 0, 1], 1).into(), crate::message::Role::Stream, false)
}

fn opening(stream: u32, resume: Option<&Resume>) -> Opening {
    let request = OpenRequest {
        protocol: 1,
        stream,
        name: String::new(),
        pixel: "gray8".into(),
        width: 1,
        height: 1,
        stride: 1,
        frames_per_second: None,
        delivery: Delivery::Every,
        slice_bytes: None,
        metadata_bytes_max: None,
        on_demand: false,
        priority: None,
        incarnation: None,
    };
    Opening { request, resume: resume.cloned() }
}

fn streams() -> (Arc<Diary>, Streams<char>) {
    let diary = Arc::new(Diary::default());
    (diary.clone(), Streams::new(diary))
}

fn from(last: u8) -> Neighbour {
    IpAddr::from([10, 0, 0, last]).into()
}

/// Opens a stream and returns its secret.
fn open(streams: &Streams<char>, client: char, stream: u32, resume: Option<&Resume>) -> Result<Resume, Refused> {
    streams
        .open(client, from(1), &asker(), &opening(stream, resume), || true, |_, _| ())
        .map(|granted| granted.resume.unwrap())
}

/// Whom it is told to now.
fn told(streams: &Streams<char>, news: &News) -> Option<char> {
    let mut whom = None;
    streams.tell(news.clone(), |client, told| {
        assert_eq!(told, *news);
        whom = Some(client);
    });
    whom
}

/// What a client hears once it is said that its stream is open.
fn answered(streams: &Streams<char>, client: char, stream: u32) -> Vec<News> {
    let mut heard = Vec::new();
    streams.answered(client, stream, |news| heard.push(news));
    heard
}

/// Who hears that a stream has ended.
fn ended(streams: &Streams<char>, stream: u32, end: StreamEnd) -> Option<char> {
    let mut whom = None;
    streams.end(stream, end, |client| whom = Some(client));
    whom
}

#[test]
fn a_client_that_goes_takes_its_streams_with_it() {
    let (diary, streams) = streams();
    open(&streams, 'a', 1, None).unwrap();
    open(&streams, 'b', 2, None).unwrap();
    assert_eq!(streams.client_gone('a'), [1]);
    assert_eq!(streams.client_gone('a'), [0_u32; 0]);
    assert_eq!(diary.read(), ["open 1", "open 2", "gone [1]"]);
}

#[test]
fn a_stream_opened_again_survives_the_late_departure_of_its_first_connection() {
    let (diary, streams) = streams();
    let secret = open(&streams, 'a', 1, None).unwrap();
    let again = open(&streams, 'b', 1, Some(&secret)).unwrap();
    assert!(again.is(&secret), "a secret lasts as long as its stream");
    assert!(streams.client_gone('a').is_empty());
    assert_eq!(diary.read(), ["open 1", "open 1"]);
    assert_eq!(streams.owner(1), Some('b'));
    streams.close('b', 1).unwrap();
}

#[test]
fn who_only_knows_a_streams_id_neither_opens_it_nor_closes_it() {
    let (diary, streams) = streams();
    let secret = open(&streams, 'a', 1, None).unwrap();
    let other = Resume::random().unwrap();
    for shown in [None, Some(&other)] {
        assert_eq!(open(&streams, 'b', 1, shown).unwrap_err().reason, reason::NOT_YOURS);
    }
    assert_eq!(streams.close('b', 1).unwrap_err().reason, reason::NOT_YOURS);
    assert_eq!((diary.read().len(), streams.owner(1)), (1, Some('a')), "the host was asked once");
    // Nor while its own client is away and its frames flow on.
    diary.flowing.lock().unwrap().insert(1);
    streams.client_gone('a');
    assert_eq!(open(&streams, 'b', 1, None).unwrap_err().reason, reason::NOT_YOURS);
    open(&streams, 'c', 1, Some(&secret)).unwrap();
    assert_eq!(streams.owner(1), Some('c'));
}

#[test]
fn an_id_is_free_again_once_its_client_has_gone_and_its_frames_have_ended() {
    let (diary, streams) = streams();
    diary.flowing.lock().unwrap().insert(1);
    let secret = open(&streams, 'a', 1, None).unwrap();
    streams.client_gone('a');
    diary.flowing.lock().unwrap().clear();
    assert_eq!(ended(&streams, 1, StreamEnd::Over), None);
    assert!(!open(&streams, 'b', 1, None).unwrap().is(&secret));
    // The same where frames never came.
    streams.client_gone('b');
    open(&streams, 'c', 1, None).unwrap();
}

#[test]
fn a_client_may_choose_the_secret_and_shows_it_to_a_server_that_does_not_know_the_stream_any_more() {
    let (_, streams) = streams();
    let chosen = Resume::random().unwrap();
    assert!(open(&streams, 'a', 1, Some(&chosen)).unwrap().is(&chosen));
    // Its answer was lost with the connection, and the loss has not been noticed yet.
    open(&streams, 'b', 1, Some(&chosen)).unwrap();
}

#[test]
fn a_client_that_left_while_its_stream_opened_leaves_none_behind() {
    let (diary, streams) = streams();
    streams.open('a', from(1), &asker(), &opening(1, None), || false, |_, _| ()).unwrap();
    assert!(streams.client_gone('a').is_empty() && streams.owners().of.is_empty());
    assert_eq!(diary.read(), ["open 1", "gone [1]"]);
}

#[test]
fn a_client_closes_only_what_it_opened() {
    let (diary, streams) = streams();
    open(&streams, 'a', 1, None).unwrap();
    let refused = streams.close('b', 1).unwrap_err();
    assert_eq!(refused.reason, reason::NOT_YOURS);
    assert_eq!(streams.close('a', 9).unwrap_err().reason, reason::NOT_YOURS);
    streams.close('a', 1).unwrap();
    assert_eq!(diary.read(), ["open 1", "close 1"]);
}

#[test]
fn a_stream_that_may_go_on_stays_its_clients_while_that_is_there() {
    let (_, streams) = streams();
    open(&streams, 'a', 1, None).unwrap();
    assert_eq!(ended(&streams, 1, StreamEnd::MayGoOn), Some('a'));
    assert_eq!(streams.owner(1), Some('a'), "its feedback still goes to it");
    assert_eq!(open(&streams, 'b', 1, None).unwrap_err().reason, reason::NOT_YOURS);
    streams.client_gone('a');
    assert_eq!(ended(&streams, 1, StreamEnd::MayGoOn), None);
    open(&streams, 'b', 1, None).expect("its id is free");
}

#[test]
fn a_client_has_so_many_streams_and_no_more() {
    let (_, streams) = streams();
    for stream in 0..STREAMS_A_CLIENT_MAX as u32 {
        open(&streams, 'a', stream, None).unwrap();
    }
    assert_eq!(open(&streams, 'a', 99, None).unwrap_err().reason, reason::TOO_MANY);
    open(&streams, 'a', 3, None).expect("the same stream again is not one more");
    open(&streams, 'b', 99, None).expect("another client has room of its own");
    assert_eq!(ended(&streams, 3, StreamEnd::Over), Some('a'));
    open(&streams, 'a', 98, None).unwrap();
}

#[test]
fn one_address_does_not_use_up_what_all_may_open() {
    let (_, streams) = streams();
    let clients = || ('a'..='z').flat_map(|client| std::iter::repeat_n(client, STREAMS_A_CLIENT_MAX));
    let opened = clients().zip(0..).take_while(|(client, stream)| open(&streams, *client, *stream, None).is_ok());
    assert_eq!(opened.count(), STREAMS_AN_ADDRESS_MAX);
    streams
        .open('z', from(2), &asker(), &opening(9_999, None), || true, |_, _| ())
        .expect("another address has room of its own");
}

#[test]
fn clients_that_were_killed_keep_their_address_from_no_stream_once_what_they_left_is_silent() {
    let (diary, streams) = streams();
    let last = STREAMS_AN_ADDRESS_MAX as u32 - 1;
    for stream in 0..last {
        diary.flowing.lock().unwrap().insert(stream);
        open(&streams, 'a', stream, None).unwrap();
        streams.client_gone('a');
    }
    open(&streams, 'b', last, None).unwrap();
    // Frames of all of them flow, or of those that are silent a client is there.
    diary.silent.lock().unwrap().insert(last);
    assert_eq!(open(&streams, 'c', 1_000, None).unwrap_err().reason, reason::TOO_MANY);
    diary.silent.lock().unwrap().insert(7);
    let mut of_another_version = opening(1_000, None);
    of_another_version.request.protocol = 2;
    assert_eq!(
        streams.open('c', from(1), &asker(), &of_another_version, || true, |_, _| ()).unwrap_err().reason,
        "protocol"
    );
    assert!(streams.owners().of.contains_key(&7), "no stream ends for one that is refused");
    open(&streams, 'c', 1_000, None).expect("stream 7 is as good as over");
    assert_eq!(open(&streams, 'c', 1_001, None).unwrap_err().reason, reason::TOO_MANY, "it made room once");
    assert_eq!(open(&streams, 'c', 8, None).unwrap_err().reason, reason::NOT_YOURS);
}

#[test]
fn a_stream_whose_client_comes_from_a_full_address_by_now_keeps_its_place_and_takes_none_there() {
    let (diary, streams) = streams();
    let secret = open(&streams, 'a', 9_999, None).unwrap();
    let reopen =
        |client, shown| streams.open(client, from(2), &asker(), &opening(9_999, shown), || true, |_, _| ()).map(drop);
    let fill = |first: u32| {
        let clients = ('b'..='z').flat_map(|client| std::iter::repeat_n(client, STREAMS_A_CLIENT_MAX));
        let opened = |(client, stream)| {
            streams.open(client, from(2), &asker(), &opening(stream, None), || true, |_, _| ()).is_ok()
        };
        clients.zip(first..).take_while(|both| opened(*both)).count()
    };
    assert_eq!(fill(0), STREAMS_AN_ADDRESS_MAX);
    // Its own client is still there, or has gone while frames flow.
    diary.flowing.lock().unwrap().insert(9_999);
    for client in ['A', 'B'] {
        reopen(client, Some(&secret)).unwrap();
        assert_eq!(streams.owner(9_999), Some(client));
        streams.client_gone(client);
    }
    assert!(!diary.read().contains(&"close 9999".to_owned()), "{:?}", diary.read());
    // One that is refused changes nothing.
    let before = diary.read().len();
    assert_eq!(reopen('C', None).unwrap_err().reason, reason::NOT_YOURS);
    assert_eq!((diary.read().len(), streams.owners().of[&9_999].resume.is(&secret)), (before, true));
    // Once there is room, it counts there.
    streams.close('b', 0).unwrap();
    reopen('D', Some(&secret)).unwrap();
    assert_eq!(streams.owners().of[&9_999].from, from(2));
}

/// Opens a stream of this name and incarnation, and says what is to be told of others, and of itself.
fn open_named(
    streams: &Streams<char>,
    client: char,
    stream: u32,
    name: &str,
    incarnation: Option<u64>,
) -> (Vec<(char, u32)>, Vec<News>) {
    let mut opening = opening(stream, None);
    opening.request = opening.request.name(name).incarnation(incarnation);
    streams.open(client, from(1), &asker(), &opening, || true, |_, _| ()).unwrap();
    let mut older = Vec::new();
    streams.settle_name(stream, |client, news| {
        assert!(matches!(news, News::Replaced(_)), "{news:?}");
        older.push((client, news.stream()));
    });
    (older, answered(streams, client, stream))
}

fn is_replaced(news: &[News]) -> bool {
    matches!(news, [News::Replaced(replaced)] if replaced.message.contains("\"front\""))
}

#[test]
fn of_two_streams_of_one_name_the_one_that_started_last_has_it_whichever_came_first() {
    let (diary, streams) = streams();
    assert_eq!(open_named(&streams, 'a', 1, "front", Some(10)), (vec![], vec![]));
    assert_eq!(open_named(&streams, 'b', 2, "front", Some(20)), (vec![('a', 1)], vec![]));
    let (told, own) = open_named(&streams, 'c', 3, "front", Some(15));
    assert!(told.is_empty() && is_replaced(&own), "{own:?}");
    assert_eq!(diary.read(), ["open 1", "open 2", "1 replaced by 2", "open 3", "3 replaced by 2"]);
    // It is told again when it comes back.
    let (told, own) = open_named(&streams, 'c', 3, "front", Some(15));
    assert!(told.is_empty() && is_replaced(&own), "{own:?}");
    // Until it is the newest that there is.
    streams.close('b', 2).unwrap();
    assert_eq!(open_named(&streams, 'c', 3, "front", Some(15)), (vec![('a', 1)], vec![]));
}

#[test]
fn names_that_say_no_start_are_none_or_of_one_start_stand_beside_each_other() {
    let (diary, streams) = streams();
    for (stream, name, incarnation) in
        [(1, "front", Some(10)), (2, "front", None), (3, "front", Some(10)), (4, "", Some(1)), (5, "", Some(2))]
    {
        assert_eq!(open_named(&streams, 'a', stream, name, incarnation), (vec![], vec![]), "{stream}");
    }
    assert_eq!(diary.read().len(), 5);
}

#[test]
fn what_is_told_of_a_stream_waits_for_the_answer_and_is_told_again_to_who_comes_back() {
    let (_diary, streams) = streams();
    let (idle, awake) = (News::Idle(Idle::new(1, true)), News::Idle(Idle::new(1, false)));
    let grant = News::Grant(Grant::new(1, 1_000_000, 65_536));
    assert_eq!(told(&streams, &idle), None, "there is no such stream");
    let secret = open(&streams, 'a', 1, None).unwrap();
    assert_eq!(told(&streams, &idle), None, "it is not said yet that it is open");
    assert_eq!((answered(&streams, 'b', 1), answered(&streams, 'a', 1)), (vec![], vec![idle.clone()]));
    assert_eq!(answered(&streams, 'a', 1), []);
    assert_eq!(
        (told(&streams, &awake), told(&streams, &grant), told(&streams, &idle)),
        (Some('a'), Some('a'), Some('a'))
    );
    open(&streams, 'b', 1, Some(&secret)).unwrap();
    assert_eq!(answered(&streams, 'b', 1), [idle, grant.clone()]);
    assert_eq!(told(&streams, &awake), Some('b'));
    open(&streams, 'c', 1, Some(&secret)).unwrap();
    assert_eq!(answered(&streams, 'c', 1), [grant], "that it is wanted goes without saying");
}

/// Grants something with each stream that it opens, and may tell of more meanwhile, as the account of a link does.
struct Granting {
    streams: std::sync::OnceLock<std::sync::Weak<Streams<char>>>,
    tells: Mutex<Option<Grant>>,
}

impl StreamHost for Granting {
    fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
        let streams = self.streams.get().unwrap().upgrade().unwrap();
        if let Some(grant) = self.tells.lock().unwrap().take() {
            assert_eq!(told(&streams, &News::Grant(grant)), None);
        }
        if request.protocol != 1 {
            return Err(Refused::new("protocol", ""));
        }
        Ok(Opened::new(request.stream, 1).grant(Grant::new(request.stream, 1, 1)))
    }

    fn close(&self, _stream: u32) {}
}

#[test]
fn a_grant_that_changes_while_its_stream_opens_is_not_lost_and_what_opened_says_anew_holds() {
    let newer = Grant::new(1, 2, 1);
    let host = Arc::new(Granting { streams: std::sync::OnceLock::new(), tells: Mutex::new(Some(newer)) });
    let streams = Arc::new(Streams::new(host.clone()));
    host.streams.set(Arc::downgrade(&streams)).unwrap();
    let secret = open(&streams, 'a', 1, None).unwrap();
    assert_eq!(answered(&streams, 'a', 1), [News::Grant(newer)], "it was told after what 'opened' says");
    open(&streams, 'b', 1, Some(&secret)).unwrap();
    assert_eq!(answered(&streams, 'b', 1), [], "'opened' says it");
}

#[test]
fn what_is_told_of_a_stream_while_it_is_refused_to_be_opened_again_is_told_to_who_has_it() {
    let host = Arc::new(Granting { streams: std::sync::OnceLock::new(), tells: Mutex::default() });
    let streams = Arc::new(Streams::new(host.clone()));
    host.streams.set(Arc::downgrade(&streams)).unwrap();
    let newer = |bits| Grant::new(1, bits, 1);
    let again = |client, bits, resume: &Resume| {
        let mut opening = opening(1, Some(resume));
        opening.request.protocol = 2;
        *host.tells.lock().unwrap() = Some(newer(bits));
        let mut heard = Vec::new();
        let opened = streams.open(client, from(1), &asker(), &opening, || true, |whom, news| heard.push((whom, news)));
        assert_eq!(opened.unwrap_err().reason, "protocol");
        heard
    };
    let secret = open(&streams, 'a', 1, None).unwrap();
    assert_eq!(again('a', 2, &secret), [], "it is not said yet that the stream is open");
    assert_eq!(answered(&streams, 'a', 1), [News::Grant(newer(2))]);
    assert_eq!(again('a', 3, &secret), [('a', News::Grant(newer(3)))]);
    assert_eq!(again('b', 4, &secret), [('a', News::Grant(newer(4)))], "it is still the first one's");
}
