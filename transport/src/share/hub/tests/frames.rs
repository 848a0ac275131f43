//! Frames on their way to readers: who gets which, and who is woken.

use super::*;

#[test]
fn a_reader_takes_frames_where_they_lie_and_its_account_is_exact() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(LATEST);
    assert!(reader.take().is_none());
    for _ in 0..100 {
        assert!(host.publish());
    }
    let frame = reader.take().unwrap();
    assert_eq!(frame.info().number, 99);
    let figures = host.figures();
    assert_eq!((figures.offered, figures.taken, figures.dropped, figures.held), (100, 1, 99, 1));
    assert_eq!(
        (figures.name.as_str(), figures.pid, figures.policy),
        ("test", std::process::id(), ConsumerPolicy::Latest)
    );
    drop(frame);
    let figures = host.figures();
    assert_eq!((figures.held, figures.waiting, figures.quarantined), (0, 0, false));
    assert_eq!(host.pool.held_count(), 0);
}

#[test]
fn four_readers_each_by_its_policy_none_of_which_slows_another() {
    let mut host = Host::new(Delivery::Every, |config| config.block(true).reader_slots(32));
    let readers: Vec<_> = [LATEST, QUEUE, BLOCK].map(|wanted| host.read(wanted)).into_iter().collect();
    let stopped = host.read(QUEUE);
    let sums = std::thread::scope(|scope| {
        let threads: Vec<_> = readers
            .iter()
            .map(|reader| {
                scope.spawn(move || std::iter::from_fn(|| reader.next()).map(|frame| frame.info().number).collect())
            })
            .collect();
        while host.next < 3000 {
            if !host.publish() {
                // The one that has every frame wait holds the others up, as it asked for.
                std::thread::yield_now();
            }
        }
        host.stream.set_closed();
        host.ring.end();
        threads.into_iter().map(|thread| -> Vec<u64> { thread.join().unwrap() }).collect::<Vec<_>>()
    });
    assert!(
        sums.iter().all(|numbers| numbers.is_sorted() && numbers.last() == Some(&2999)),
        "the last one is taken by all"
    );
    assert_eq!(sums[2], (0..3000).collect::<Vec<_>>(), "with block all are");
    assert_eq!(readers[0].end(), Some(End::Closed));
    assert!(readers.iter().all(TestReader::has_end_of_pipe));
    for figures in host.stream.readers() {
        assert_eq!(figures.offered, figures.taken + figures.dropped + figures.waiting as u64, "{figures:?}");
        assert_eq!(figures.offered, 3000);
    }
    assert_eq!(
        std::iter::from_fn(|| stopped.take()).map(|frame| frame.info().number).collect::<Vec<_>>(),
        [2996, 2997, 2998, 2999]
    );
}

#[test]
fn whoever_comes_late_to_a_stream_of_the_latest_gets_the_newest_frame_at_once() {
    let mut host = Host::new(Delivery::Latest, |config| config);
    for _ in 0..3 {
        host.publish();
    }
    assert_eq!(host.read(LATEST).take().unwrap().info().number, 2);
    let mut every = Host::new(Delivery::Every, |config| config);
    every.publish();
    let late = every.read(LATEST);
    assert!(late.take().is_none(), "of a stream of every frame, from the next one on");
    every.publish();
    assert_eq!(late.take().unwrap().info().number, 1);
}

#[test]
fn a_sleeping_reader_is_woken_by_a_frame_and_what_that_costs_is_known() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(LATEST);
    for number in 0..50 {
        Borrower::arm(&reader.control[0]);
        assert!(!reader.has_end_of_pipe());
        host.publish();
        assert_eq!(poll(&mut [PollFd::new(&reader.pipe, PollFlags::IN)], None).unwrap(), 1);
        assert!(Borrower::disarm(&reader.control[0]));
        assert_eq!(rustix::io::read(&reader.pipe, &mut [0; 8]), Ok(1));
        assert_eq!(reader.take().unwrap().info().number, number);
    }
    assert!(host.figures().wake_cpu > Duration::ZERO);
}

#[test]
fn a_reader_that_has_frames_wait_and_takes_none_is_quarantined_after_the_timeout() {
    let mut host = Host::new(Delivery::Every, |config| config.block(true).reader_timeout(Duration::from_secs(1)));
    let stuck = host.read(BLOCK);
    host.publish();
    let held = stuck.take().unwrap();
    while host.publish() {}
    assert!(host.pool.free_count() == 0, "frames that wait hold their slots");
    host.until("its quarantine", |host| host.figures().quarantined);
    assert_eq!(stuck.end(), Some(End::TooSlow));
    let figures = host.figures();
    assert_eq!((figures.taken, figures.waiting, figures.held), (1, 0, 1));
    for _ in 0..100 {
        assert!(host.publish());
    }
    assert_eq!(held.first(), Some(&0), "its slot was used anew");
    assert_eq!(host.pool.held_count(), 1);
    drop((held, stuck));
    host.until_gone();
    assert_eq!(host.pool.held_count(), 0);
}

#[test]
fn a_reader_that_makes_each_of_its_wakes_dear_is_woken_no_more() {
    use rustix::event::epoll::{CreateFlags, EventData, EventFlags, add, create};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const WATCHERS: u64 = 12_000;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = WATCHERS + 4_096;
    if maximum.is_some_and(|maximum| maximum < wanted) {
        framewire_testing::skip(format_args!("this process may have {maximum:?} files open, and {wanted} are needed"));
        return;
    }
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).unwrap();
    }
    let mut host = Host::new(Delivery::Every, |config| config);
    let (dear, cheap) = (host.read(LATEST), host.read(LATEST));
    let watchers: Vec<_> = (0..WATCHERS)
        .map(|_| {
            let watcher = create(CreateFlags::CLOEXEC).unwrap();
            add(&watcher, &dear.pipe, EventData::new_u64(0), EventFlags::IN).unwrap();
            watcher
        })
        .collect();
    for _ in 0..200 {
        for reader in [&dear, &cheap] {
            Borrower::arm(&reader.control[0]);
        }
        host.publish();
        for reader in [&dear, &cheap] {
            let _empty = rustix::io::read(&reader.pipe, &mut [0; 64]);
            reader.take();
        }
    }
    assert_eq!((dear.end(), cheap.end()), (Some(End::Costly), None));
    let quarantined: Vec<_> = host.stream.readers().iter().map(|reader| reader.quarantined).collect();
    assert_eq!(quarantined, [true, false]);
    drop(watchers);
}
