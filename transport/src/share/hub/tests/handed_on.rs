//! What readers are handed, whatever those before them did with it.

use rustix::fs::{Mode, OFlags, fchmod, fcntl_getfl};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::*;

/// The descriptors of pool and records, as they come.
fn handed(host: &Host) -> (OwnedFd, [OwnedFd; 2]) {
    let socket = host.socket();
    let (stream, program) = (Name::new("front").unwrap(), Name::new("test").unwrap());
    say(&socket, &ToHub::Subscribe { wanted: LATEST, stream, program });
    let mut bytes = [0; PACKET_MAX];
    let (len, mut descriptors) = receive(&socket, &mut bytes).unwrap();
    assert!(matches!(FromHub::parse(&bytes[..len]), Ok(FromHub::Subscribed { .. })));
    let mut next = || descriptors.take().unwrap();
    (socket, [next(), next()])
}

#[test]
fn a_reader_that_takes_the_mode_of_the_memory_away_has_the_next_one_get_it_as_before() {
    // Root opens whatever it likes: not without these. A thread of its own lets go of them, and the hub's, which it begins, has none either:
    // the tests after this one have what they had.
    std::thread::spawn(take_the_mode_away).join().unwrap();
}

fn take_the_mode_away() {
    let all = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(all);
    set_capabilities(None, sets).unwrap();
    let host = Host::new(Delivery::Latest, |config| config);
    let mut readers = Vec::new();
    for mode in [0, 0o200, 0o666] {
        let (socket, files) = handed(&host);
        for file in &files {
            assert_eq!(fcntl_getfl(file).unwrap() & OFlags::RWMODE, OFlags::RDONLY);
            fchmod(file, Mode::from_raw_mode(mode)).unwrap();
        }
        readers.push(socket);
    }
    assert!(host.read(LATEST).take().is_none(), "and it is all that a reader needs");
}
