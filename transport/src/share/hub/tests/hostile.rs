//! Readers that do what no reader does.

use super::*;

#[test]
fn garbage_on_the_socket_harms_nobody_and_a_flood_is_shown_out() {
    let mut host = Host::new(Delivery::Every, |config| config);
    let reader = host.read(LATEST);
    let garbage: [&[u8]; 6] = [b"x", b"FS", b"FS\x01\x05", b"FS\x01\xff", &[0xff; PACKET_MAX], &[7; 4 * PACKET_MAX]];
    for bytes in garbage {
        let (socket, mut answer) = (host.socket(), [0; PACKET_MAX]);
        // Where the system lets nobody pass a descriptor (Linux 6.16), it goes without.
        let descriptor = [host.pool.descriptor().unwrap()];
        packet::send(&socket, bytes, &descriptor).or_else(|_| packet::send(&socket, bytes, &[])).unwrap();
        while receive(&socket, &mut answer).is_some() {}
    }
    // A reader that is not done saying things is heard no more, and keeps what it holds as long as it is there.
    let flood = host.read(LATEST);
    host.publish();
    let held = flood.take().unwrap();
    host.until("the flood's end", |host| {
        // More than a hub hears at once, unless its socket is full before.
        let _ = (0..10_000).all(|_| packet::send(&flood.socket, Packet::from(&ToHub::Told).bytes(), &[]).is_ok());
        host.stream.readers().iter().any(|reader| reader.quarantined)
    });
    assert!(flood.has_end_of_pipe() && flood.end() == Some(End::Misconduct));
    for _ in 0..50 {
        assert!(host.publish());
        assert_eq!(reader.take().unwrap().info().number, host.next - 1);
    }
    assert!(held.iter().all(|byte| *byte == 0), "what it holds was written to");
    let figures = host.stream.readers();
    assert_eq!(figures.iter().filter(|reader| reader.quarantined).count(), 1);
    drop((flood, held));
    host.until("its end", |host| host.stream.readers().len() == 1);
}

#[test]
fn hostile_words_on_a_control_page_cost_their_writer_the_stream_and_nobody_else_anything() {
    let mut host = Host::new(Delivery::Every, |config| config.reader_slots(60).block(true));
    let honest = host.read(QUEUE);
    let mut random = 0x1234_5678_9abc_def1_u64;
    for round in 0..200 {
        let hostile = host.read([LATEST, QUEUE, BLOCK][round % 3]);
        for _ in 0..20 {
            assert!(host.publish());
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let control = &hostile.control[0];
            match random >> 60 {
                0..4 => control.returned.store(random, Ordering::Release),
                4..9 => control.offers[(random >> 32) as usize % 8].store(random >> (random >> 58), Ordering::Release),
                9 => control.asleep.store(random as u32, Ordering::Release),
                10 => control.starved.store(random as u32, Ordering::Release),
                11 => control.told.ended.store(random as u32, Ordering::Release),
                12 => control.told.offered.store(random, Ordering::Release),
                _ => drop(hostile.borrower.take(control)),
            }
            assert_eq!(honest.take().unwrap().info().number, host.next - 1);
        }
        for figures in host.stream.readers() {
            assert_eq!(figures.offered, figures.taken + figures.dropped + figures.waiting as u64, "{figures:?}");
        }
        drop(hostile);
        host.until("its end", |host| host.stream.readers().len() == 1);
    }
    drop(honest);
    host.until_gone();
    assert_eq!(host.pool.held_count(), 0);
}
