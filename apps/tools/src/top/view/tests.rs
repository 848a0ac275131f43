use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::top::streams::Snapshot;
use crate::top::streams::made_up::{snapshot, stream};

const SECOND: Duration = Duration::from_secs(1);

/// The screen as text, a line each.
fn screen(model: &Model, (width, height): (u16, u16)) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(model, 20 * SECOND, frame.area(), frame.buffer_mut())).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |row: &[ratatui::buffer::Cell]| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
    buffer.content.chunks(width.max(1).into()).map(|row| line(row).trim_end().to_owned()).collect()
}

fn showing(answer: Snapshot) -> Model {
    let mut model = Model::new("http://127.0.0.1:8080", SECOND);
    model.handle_answer(Ok(answer), SECOND);
    model
}

fn eight() -> Snapshot {
    snapshot((1..=8).map(|number| stream(number, &format!("cam-{number}"))).collect())
}

fn elsewhere(id: u64, name: &str, node: &str, state: &str) -> super::Stream {
    let said = |text: &str| Some(crate::top::shown::Shown::new(text));
    let mut stream = super::Stream { hearsay: true, age_seconds: None, latency_ms: None, ..stream(id, name) };
    (stream.place.node, stream.place.node_name, stream.place.state) = (said(node), said(node), said(state));
    stream.place.url = said("https://b:8080");
    stream
}

#[test]
fn of_a_cluster_each_stream_is_told_with_its_server_and_that_servers_state() {
    let mut answer = snapshot(vec![
        stream(1, "front"),
        elsewhere(1, "back", "hall-b", "stale"),
        elsewhere(1, "side", "hall-c", "unreachable"),
    ]);
    answer.streams[0].place.node_name = Some(crate::top::shown::Shown::new("hall-a"));
    let nodes = vec![framewire_figures::cluster::NodeSnapshot::default(); 3];
    answer.cluster = Some(framewire_figures::cluster::ClusterSnapshot { nodes, ..Default::default() });
    let mut model = showing(answer);
    model.select(1);
    let screen = screen(&model, (90, 24));
    assert!(screen[0].contains("3 streams at 3 servers"), "{screen:#?}");
    assert!(screen[1].contains("server") && screen[2].contains("hall-a"), "{screen:#?}");
    assert!(screen[3].contains("hall-b") && screen[3].contains("stale"), "{screen:#?}");
    assert!(screen[4].contains("hall-c") && screen[4].contains("away"), "{screen:#?}");
    assert!(screen.iter().any(|line| line.contains("told at https://b:8080")), "{screen:#?}");
    let text = text(&model);
    let back = text.lines().find(|line| line.starts_with("back")).unwrap();
    assert!(back.contains("hall-b") && !back.contains(" 0 "), "nothing that is not known is said: {back}");
}

#[test]
fn a_small_screen_has_every_stream_and_the_chosen_one_in_detail() {
    let mut model = showing(eight());
    model.select(2);
    let screen = screen(&model, (80, 24));
    assert!(screen[0].starts_with("framewire top  http://127.0.0.1:8080  8 streams  0.1.0, up 12 s"), "{screen:#?}");
    assert!(screen[0].ends_with("live"), "{screen:#?}");
    assert_eq!(screen[1], "stream                  state   frames/s   GB/s  p50 ms  p99 ms  dropped     age");
    assert_eq!(screen[4], "cam-3                   live        60.0  0.124    0.70    1.10        0   16 ms");
    assert!(screen[12].contains(" cam-3 "), "{screen:#?}");
    assert!(
        screen[13].contains("10.0.0.3:4444  gray8 1920x1080  latest  mmsg, slices of 65507  up 9 s"),
        "{screen:#?}"
    );
    assert!(screen[14].contains("dropped  none"), "{screen:#?}");
    assert!(
        screen[16].contains("frames/s") && screen[17].contains("now  60.0") && screen[17].contains('█'),
        "{screen:#?}"
    );
    assert!(screen[19].contains("p99 ms") && screen[20].contains("now  1.10"), "{screen:#?}");
    assert!(screen[23].contains("q quit"), "{screen:#?}");
}

#[test]
fn a_large_screen_has_the_losses_by_cause_beside_each_stream() {
    let mut answer = eight();
    answer.streams[1].counts.frames_dropped.lost = 7;
    answer.streams[1].counts.frames_dropped.slow_consumer = 12;
    let mut model = showing(answer);
    model.select(1);
    let screen = screen(&model, (200, 50));
    for title in ["source", "format", "skipped", "no credit", "lost", "incomplete", "no slot", "slow"] {
        assert!(screen[1].contains(title), "{title}: {screen:#?}");
    }
    let figures: Vec<_> = screen[3].split_whitespace().collect();
    assert_eq!(figures[..4], ["cam-2", "10.0.0.3:4444", "gray8", "1920x1080"]);
    assert_eq!(figures[9..16], ["19", "0", "0", "7", "0", "0", "12"]);
    assert!(screen.iter().any(|line| line.contains("dropped  7 lost, 12 slow consumer")), "{screen:#?}");
}

#[test]
fn more_streams_than_lines_scroll_with_the_choice() {
    let many = snapshot((0..100).map(|number| stream(number, &format!("cam-{number:02}"))).collect());
    let mut model = showing(many);
    let shows = |model: &Model, name: &str| screen(model, (80, 24)).iter().any(|line| line.starts_with(name));
    assert!(shows(&model, "cam-00") && !shows(&model, "cam-99"));
    model.select(99);
    assert!(shows(&model, "cam-99") && !shows(&model, "cam-00"));
}

#[test]
fn no_stream_and_no_answer_yet_are_said() {
    let asking = Model::new("http://cams:8080", SECOND);
    assert!(screen(&asking, (80, 24))[0].ends_with("asking"));
    let model = showing(snapshot(Vec::new()));
    for size in [(80, 24), (200, 50)] {
        let screen = screen(&model, size).join("\n");
        assert!(screen.contains("0 streams") && screen.contains("No stream is open"), "{screen}");
        assert!(screen.contains("framewire-client --server http://127.0.0.1:8080"), "{screen}");
    }
}

#[test]
fn a_lost_server_is_said_above_its_last_figures() {
    let mut model = showing(eight());
    model.handle_answer(Err("http://127.0.0.1:8080 cannot be reached; is it running?".into()), 8 * SECOND);
    for size in [(80, 24), (200, 50)] {
        let screen = screen(&model, size);
        assert!(screen[0].ends_with("LOST"), "{screen:#?}");
        assert!(
            screen[1].contains("No answer for 12 s, asking again: http://127.0.0.1:8080 cannot be reached"),
            "{screen:#?}"
        );
        // What it told of now is not known any more.
        let line = screen.iter().find(|line| line.starts_with("cam-1")).unwrap();
        assert!(line.ends_with(" ?") && !line.contains("live") && line.contains("60.0"), "{screen:#?}");
    }
    // One that was never there has no figures.
    let mut never = Model::new("http://127.0.0.1:8080", SECOND);
    never.handle_answer(Err("nobody".into()), SECOND);
    let screen = screen(&never, (80, 24));
    assert!(screen[0].ends_with("LOST") && !screen[0].contains("streams"), "{screen:#?}");
    model.handle_answer(Ok(eight()), 20 * SECOND);
    assert!(self::screen(&model, (80, 24))[0].ends_with("live"));
}

#[test]
fn names_of_strangers_move_nothing_and_command_nothing() {
    let names = [
        "n".repeat(10_000),
        "\x1b[2J\x1b]0;title\x07\r\nevil".into(),
        "カ".repeat(5_000),
        String::new(),
        "\u{202e}gnp".into(),
    ];
    let streams: Vec<_> = names.iter().zip(1..).map(|(name, id)| stream(id, name)).collect();
    let mut model = showing(snapshot(streams));
    for size in [(80, 24), (200, 50), (40, 20)] {
        for _ in 0..names.len() {
            let screen = screen(&model, size);
            assert!(!screen.concat().contains(|character: char| character.is_control() || character == '\u{202e}'));
            // What is right of the names stands where it does in other tables.
            if size.0 == 80 {
                assert!(screen[2..7].iter().all(|line| line.ends_with("16 ms")), "{screen:#?}");
            }
            model.select(1);
        }
    }
    assert!(!text(&model).contains(|character: char| character.is_control() && character != '\n'));
}

#[test]
fn at_every_size_title_keys_and_help_are_there_as_far_as_they_fit() {
    let keys = "↑ ↓ choose   ? help   q quit";
    let [mut live, mut lost] = [Ok(eight()), Err("gone".into())].map(|answer| {
        let mut model = showing(eight());
        model.handle_answer(answer, SECOND);
        model
    });
    for width in [0, 1, 2, 10, 17, 60] {
        for height in [0, 1, 2, 3, 17, 18, 19, 41] {
            for (model, word) in [(&mut live, "live"), (&mut lost, "LOST")] {
                model.help = false;
                let lines = screen(model, (width, height));
                assert_eq!(lines.len(), if width == 0 { 0 } else { height.into() });
                assert!(lines.iter().all(|line| line.chars().count() <= width.into()), "{lines:#?}");
                // The title and the keys take what there is, and the table what they leave.
                if width >= 10 && height >= 5 {
                    assert!(lines[0].starts_with("fram") && lines[0].ends_with(word), "{lines:#?}");
                    let fitting: String = keys.chars().take(width.into()).collect();
                    assert_eq!(lines.last().map(String::as_str), Some(fitting.trim_end()), "{lines:#?}");
                    let has_details = lines.iter().any(|line| line.starts_with('┌'));
                    assert_eq!(has_details, height >= DETAILED, "{lines:#?}");
                }
                model.help = true;
                let with_help = screen(model, (width, height));
                assert_eq!(with_help.len(), lines.len());
                assert!(lines.is_empty() || with_help.iter().any(|line| line.contains('┌')), "{with_help:#?}");
            }
        }
    }
}

#[test]
fn figures_that_cannot_be_are_drawn_all_the_same() {
    let mut wild = stream(1, "wild");
    (wild.frames_per_second, wild.age_seconds, wild.uptime_seconds) = (-1e300, Some(-5.0), 1e300);
    wild.latency_ms = Some(framewire_figures::snapshot::RecentLatencyMs { p50: 1e300, p99: f64::MAX });
    let screen = screen(&showing(snapshot(vec![wild])), (80, 24));
    assert!(screen[2].starts_with("wild"), "{screen:#?}");
}

#[test]
fn help_names_the_keys() {
    let mut model = showing(eight());
    model.help = true;
    let screen = screen(&model, (80, 24)).join("\n");
    assert!(
        screen.contains("choose a stream")
            && screen.contains("q Esc Ctrl-C quit")
            && screen.contains("of the newest frame")
    );
}

#[test]
fn a_pipe_gets_a_table_that_lines_up() {
    let mut answer = eight();
    answer.streams.truncate(2);
    answer.streams[1].name = crate::top::shown::Shown::new("カメラ");
    answer.streams[1].age_seconds = None;
    answer.streams[1].latency_ms = None;
    let expected = "\
stream  source         format           state    frames/s   GB/s  p50 ms  p99 ms  dropped  skipped  no credit  lost  incomplete  no slot  slow    age
cam-1   10.0.0.3:4444  gray8 1920x1080  live         60.0  0.124    0.70    1.10        0        0          0     0           0        0     0  16 ms
カメラ  10.0.0.3:4444  gray8 1920x1080  opening      60.0  0.124       -       -        0        0          0     0           0        0     0      -
";
    assert_eq!(text(&showing(answer)), expected);
    assert_eq!(text(&showing(snapshot(Vec::new()))), "http://127.0.0.1:8080: no stream is open\n");
}

#[test]
fn a_recording_that_fails_is_said_for_the_server_and_at_its_stream_and_no_longer_once_it_works() {
    let degraded = r#"{"server":{"version":"0.1.0","uptime_seconds":1,"health":"degraded: recording fails at 1 of 2 sinks"},
        "streams":[{"id":1,"name":"cam","pixel":"gray8","width":4,"height":4,"backend":"mmsg","uptime_seconds":1,
        "age_seconds":0.01,"frames_per_second":60,"gigabytes_per_second":0,"latency_ms":null,"frames_delivered":9,
        "frames_dropped":{},"sinks":[{"sink":"a.raw","state":"failed","reason":"the disk is full","frames":2,"frames_failed":7},
        {"sink":"b.raw","state":"recording","frames":9,"frames_failed":0}]}]}"#;
    let mut model = showing(crate::top::streams::parse(degraded.as_bytes()).unwrap());
    for size in [(80, 24), (200, 50)] {
        let screen = screen(&model, size);
        assert_eq!(screen[1], "degraded: recording fails at 1 of 2 sinks");
        let told = |line: &String| line.contains("recording fails  a.raw (the disk is full), 7 frames");
        assert!(screen.iter().any(told), "{screen:#?}");
        assert!(screen.iter().all(|line| !line.contains("b.raw")), "{screen:#?}");
        assert!(screen.iter().any(|line| line.contains("frames/s") && line.contains("│")), "{screen:#?}");
    }
    let told = "degraded: recording fails at 1 of 2 sinks\ncam: recording fails  a.raw (the disk is full), 7 frames\n";
    assert!(text(&model).ends_with(told), "{}", text(&model));
    model.handle_answer(Ok(snapshot(vec![stream(1, "cam")])), SECOND);
    assert!(screen(&model, (80, 24)).iter().all(|line| !line.contains("recording fails")));
    assert!(!text(&model).contains("fails"));
}

#[test]
fn who_reads_a_stream_in_place_is_said_with_what_became_of_its_frames_and_a_crowd_is_counted() {
    let mut answer = snapshot(vec![stream(1, "cam")]);
    let reader = |name: &str| framewire_figures::snapshot::ReaderSnapshot {
        seat: 1,
        name: crate::top::shown::Shown::new(name),
        pid: 4_242,
        uid: 1_000,
        policy: crate::top::shown::Shown::new("queue:4"),
        offered: 1_000,
        taken: 990,
        dropped: 9,
        waiting: 1,
        held: 2,
        wake_cpu_us: 3.0,
        quarantined: name == "slow",
    };
    answer.streams[0].readers = vec![reader("view\x1b[2J"), reader("slow")];
    let model = showing(answer.clone());
    let account = "990 taken, 9 dropped, 1 waiting, 2 held";
    let told = format!("{account}  queue:4  3.0 µs to wake  (process 4242, user 1000)");
    let screen = screen(&model, (140, 30));
    assert!(screen.iter().any(|line| line.contains("read by  view") && line.contains(&told)), "{screen:#?}");
    assert!(screen.iter().any(|line| line.contains("read by  slow") && line.contains("given no more")), "{screen:#?}");
    assert!(screen.iter().any(|line| line.contains("p99 ms")), "{screen:#?}");
    let narrow = self::screen(&model, (80, 30));
    let slow = |line: &String| line.contains("read by  slow, given no more  990 taken, 9 dropped, 1 waiting, 2 held");
    assert!(narrow.iter().any(slow), "{narrow:#?}");
    let text = text(&model);
    assert!(text.contains("cam: read by  slow, given no more") && !text.contains('\x1b'), "{text}");
    answer.streams[0].readers = vec![reader("view"); 40];
    let screen = self::screen(&showing(answer), (80, 24));
    assert!(screen.iter().any(|line| line.contains("read by  36 more")), "{screen:#?}");
    assert!(screen[2].starts_with("cam") && screen[23].contains("q quit"), "{screen:#?}");
}
