//! What readers are known by beside their names.

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
