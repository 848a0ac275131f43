use std::fs::File;
use std::io;

use framewire_transport::Time;
use framewire_transport::frame::{FramePool, FrameRate};
use proptest::prelude::*;

use super::*;
use crate::disk::Disk;

/// As a pipe: NUT is written from front to back.
fn disk(capacity: usize) -> Disk {
    Disk { is_rewritable: false, ..Disk::new(capacity) }
}

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Rgb24, 16, 6).unwrap()
}

fn recorded() -> Recorded {
    Recorded::new(format(), FrameRate::new(25, 1).unwrap(), "cam", 7)
}

/// A frame every 40 ms of its sender's clock, which begins at `begin_ms`.
fn frames(count: u8, begin_ms: u64) -> Vec<Frame> {
    let pool = FramePool::for_format(count.into(), format()).unwrap();
    let made = (0..count).map(|number| {
        let mut frame = pool.try_acquire().unwrap();
        frame.fill(number);
        frame.info.captured = Time::from_nanos((begin_ms + 40 * u64::from(number)) * 1_000_000);
        frame.freeze()
    });
    made.collect()
}

fn sink(disk: &Disk) -> Result<NutSink<Disk>, SinkError> {
    NutSink::new(FrameOutput::new(disk.clone(), "'disk'".to_owned()), &recorded())
}

#[test]
fn a_disk_that_fills_at_any_byte_keeps_the_whole_frames_and_nothing_else() {
    let frames = frames(3, 1_000);
    let whole = disk(usize::MAX);
    let mut ends = vec![];
    let mut all = sink(&whole).unwrap();
    for frame in &frames {
        ends.push(whole.bytes().len());
        all.write(frame).unwrap();
    }
    ends.push(whole.bytes().len());
    for capacity in 0..ends[3] {
        let disk = disk(capacity);
        let Ok(mut sink) = sink(&disk).map(NutSink::with_index) else {
            assert!(capacity < ends[0] && disk.bytes().is_empty());
            continue;
        };
        let written = frames.iter().take_while(|frame| sink.write(frame).is_ok()).count();
        assert!((ends[written]..ends[written + 1]).contains(&capacity), "{written} frames in {capacity} bytes");
        assert_eq!(disk.bytes().len(), ends[written]);
        assert!(sink.write(&frames[written]).unwrap_err().is_full(), "again and again");
        let report = Box::new(sink).finish().unwrap();
        assert_eq!(report.frames, written as u64);
        // Where there is room for an index behind them, it is there.
        let bytes = disk.bytes();
        assert!(bytes.len() == ends[written] || bytes[ends[written]..].starts_with(b"NX\xDD"));
    }
}

#[test]
fn a_frame_at_the_end_of_all_time_and_those_behind_it_are_held_with_the_last_tick() {
    let disk = disk(usize::MAX);
    let mut sink = sink(&disk).unwrap().with_index();
    let pool = FramePool::for_format(1, format()).unwrap();
    for own_ns in [0, 1, u64::MAX - 1, u64::MAX, u64::MAX, 5] {
        let mut frame = pool.try_acquire().unwrap();
        frame.info.captured_utc = Some(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(own_ns));
        sink.write(&frame.freeze()).unwrap();
    }
    assert!(sink.is_last_tick_told);
    assert_eq!(sink.clock.unwrap().place(u64::MAX), TICK_MAX);
    assert_eq!(Box::new(sink).finish().unwrap().frames, 6);
}

proptest! {
    #[test]
    fn any_times_have_ticks_that_rise_to_the_last_and_an_index_without_two_of_one_time(
        times in proptest::collection::vec(any::<u64>(), 1..20), num in 1..=u32::MAX, den in 1..=u32::MAX, again in any::<u64>()
    ) {
        let base = TimeBase::of(FrameRate::new(num, den).ok());
        let (mut clock, mut index, mut last) = (Clock::new(base, times[0]), Index::default(), None);
        for (at, utc_ns) in times.iter().enumerate() {
            if at == times.len() / 2 {
                clock = clock.resumed(again);
            }
            let tick = clock.place(*utc_ns);
            prop_assert!(tick <= TICK_MAX && last.is_none_or(|last| tick > last || tick == TICK_MAX));
            let mut head = Vec::new();
            headers::put_frame_header(&mut head, tick, 0, 9);
            index.note(16 * at as u64, tick);
            last = Some(tick);
        }
        prop_assert!(index.packet().is_some());
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_closes_the_sink() {
    let (reader, writer) = io::pipe().unwrap();
    let file = File::from(std::os::fd::OwnedFd::from(writer));
    let mut sink = NutSink::new(FrameOutput::new(file, "standard output".to_owned()), &recorded()).unwrap();
    let frames = frames(2, 1_000);
    sink.write(&frames[0]).unwrap();
    drop(reader);
    let error = sink.write(&frames[1]).unwrap_err();
    assert!(matches!(&error, SinkError::Closed { frames: 1, .. }), "{error}");
}

#[test]
fn streams_that_have_an_output_in_turn_are_one_file_whose_times_go_on() {
    let (disk, turns, clock) = (disk(usize::MAX), Arc::default(), SharedClock::default());
    let in_turn = |recorded: &Recorded| {
        NutSink::new(FrameOutput::new(disk.clone(), "standard output".to_owned()).in_turn(Arc::clone(&turns)), recorded)
            .map(|sink| sink.in_turn(clock.clone()))
    };
    for _ in 0..2 {
        let mut sink = in_turn(&recorded()).unwrap();
        frames(3, 1_000).iter().for_each(|frame| sink.write(frame).unwrap());
    }
    let larger = FrameFormat::new(PixelFormat::Rgb24, 16, 7).unwrap();
    let said = in_turn(&Recorded::new(larger, None, "", 7)).err().unwrap().to_string();
    assert!(said.contains("(16x6 rgb24, 25 frames/s)") && said.contains("(16x7 rgb24)"), "{said}");
    let bytes = disk.bytes();
    assert_eq!(bytes.windows(8).filter(|word| *word == b"NMzV\x1F_\x04\xAD").count(), 1, "one header");
    assert_eq!(bytes.windows(4).filter(|word| *word == b"NK\xE4\xAD").count(), 6);
    if !framewire_testing::has_programs(&["ffprobe"], "apt-get install ffmpeg") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.nut");
    std::fs::write(&path, bytes).unwrap();
    let asked = ["-v", "fatal", "-of", "csv=p=0", "-show_entries", "packet=pts_time,size"];
    let told = std::process::Command::new("ffprobe").args(asked).arg(&path).output().unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    let packets: Vec<(f64, u64)> = told
        .lines()
        .map(|line| line.split_once(',').unwrap())
        .map(|(time, size)| (time.parse().unwrap(), size.trim_end_matches(',').parse().unwrap()))
        .collect();
    assert_eq!(packets.len(), 6);
    assert!(packets.is_sorted_by(|a, b| a.0 < b.0) && packets.iter().all(|packet| packet.1 == 288), "{told}");
}
