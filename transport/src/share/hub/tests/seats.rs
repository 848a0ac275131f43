//! What readers are known by beside their names, and what a hub has at its place.

use super::*;

fn seats(host: &Host) -> Vec<usize> {
    host.stream.readers().iter().map(|reader| reader.seat).collect()
}

#[test]
fn a_seat_is_the_lowest_that_is_free_and_whoever_comes_next_has_that_of_one_that_is_gone() {
    let host = Host::new(Delivery::Latest, |config| config);
    let mut readers: Vec<_> = (0..3).map(|_| host.read(LATEST)).collect();
    host.until("three readers", |host| seats(host) == [1, 2, 3]);
    drop(readers.remove(0));
    host.until("the first one's end", |host| seats(host) == [2, 3]);
    for _ in 0..20 {
        let next = host.read(LATEST);
        host.until("another in its seat", |host| seats(host) == [1, 2, 3]);
        drop(next);
        host.until("its end", |host| seats(host) == [2, 3]);
    }
}

#[test]
fn nothing_is_left_at_a_hubs_place_once_it_has_ended_whether_its_thread_has_come_round_or_not() {
    let folder = std::env::temp_dir().join(format!("framewire-hub-place-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let names = || std::fs::read_dir(&folder).unwrap().count();
    let config = ShareConfig::new(Endpoint::path(folder.join("hub.sock")).unwrap());
    // Its thread has not begun.
    let hub = Hub::bind(&config).unwrap();
    assert_eq!(names(), 2, "the socket and its lock");
    hub.end();
    assert_eq!(names(), 0);
    // What another puts there then is that one's.
    let next = Hub::bind(&config).unwrap();
    drop(hub);
    assert_eq!(names(), 2);
    drop(next);
    assert_eq!(names(), 0);
    std::fs::remove_dir_all(&folder).unwrap();
}
