//! The columns of the table, on the screen and as plain text.

use framewire_figures::counts::FramesDropped;
use framewire_figures::snapshot::RecentLatencyMs;

use super::streams::{Activity, Stream, activity, said};

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// One column.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Columns of the terminal that it takes; the name takes what is left, too.
    pub(super) width: usize,
    /// Numbers stand at the right.
    pub(super) is_number: bool,
    /// The lower, the later it is left out where not all fit.
    pub(super) rank: u8,
    pub(super) text: fn(&Stream) -> String,
}

/// Of a cluster alone.
const SERVER: &str = "server";

/// The first is the name.
const COLUMNS: [Column; 17] = [
    Column { title: "stream", width: 12, is_number: false, rank: 0, text: |stream| stream.name.to_string() },
    Column {
        title: SERVER,
        width: 12,
        is_number: false,
        rank: 0,
        text: |stream| said(&stream.place.node_name).to_owned(),
    },
    Column { title: "source", width: 21, is_number: false, rank: 3, text: |stream| said(&stream.source).to_owned() },
    Column { title: "format", width: 17, is_number: false, rank: 2, text: format_of },
    Column {
        title: "state",
        width: 7,
        is_number: false,
        rank: 1,
        text: |stream| activity_name(activity(stream)).into(),
    },
    Column {
        title: "frames/s",
        width: 8,
        is_number: true,
        rank: 0,
        text: |stream| decimal(stream.frames_per_second, 1),
    },
    Column {
        title: "GB/s",
        width: 6,
        is_number: true,
        rank: 0,
        text: |stream| decimal(stream.gigabytes_per_second, 3),
    },
    Column {
        title: "p50 ms",
        width: 7,
        is_number: true,
        rank: 1,
        text: |stream| latency(stream, |latency| latency.p50),
    },
    Column {
        title: "p99 ms",
        width: 7,
        is_number: true,
        rank: 1,
        text: |stream| latency(stream, |latency| latency.p99),
    },
    Column {
        title: "dropped",
        width: 8,
        is_number: true,
        rank: 0,
        text: |stream| counted(stream, stream.counts.frames_dropped.total()),
    },
    Column {
        title: "skipped",
        width: 8,
        is_number: true,
        rank: 4,
        text: |stream| dropped(stream, |drops| drops.skipped_at_source),
    },
    Column {
        title: "no credit",
        width: 9,
        is_number: true,
        rank: 4,
        text: |stream| dropped(stream, |drops| drops.no_credit),
    },
    Column { title: "lost", width: 7, is_number: true, rank: 4, text: |stream| dropped(stream, |drops| drops.lost) },
    Column {
        title: "incomplete",
        width: 10,
        is_number: true,
        rank: 4,
        text: |stream| dropped(stream, |drops| drops.incomplete),
    },
    Column {
        title: "no slot",
        width: 7,
        is_number: true,
        rank: 4,
        text: |stream| dropped(stream, |drops| drops.no_slot),
    },
    Column {
        title: "slow",
        width: 7,
        is_number: true,
        rank: 4,
        text: |stream| dropped(stream, |drops| drops.slow_consumer),
    },
    Column {
        title: "age",
        width: 7,
        is_number: true,
        rank: 1,
        text: |stream| stream.age_seconds.map_or_else(|| NOTHING.into(), age),
    },
];

/// All columns, of one server or of a cluster.
pub(super) fn all(is_cluster: bool) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(move |column| is_cluster || column.title != SERVER)
}

/// Which columns fit so many columns of a terminal, with a space between any two.
pub(super) fn fitting(width: usize, is_cluster: bool) -> Vec<&'static Column> {
    let ranked = |rank| all(is_cluster).filter(move |column| column.rank <= rank).collect::<Vec<_>>();
    let taken = |columns: &[&Column]| columns.iter().map(|column| column.width + 1).sum::<usize>().saturating_sub(1);
    (0..=4).rev().map(ranked).find(|columns| taken(columns) <= width).unwrap_or_else(|| ranked(0))
}

/// What a stream's pictures are.
pub(super) fn format_of(stream: &Stream) -> String {
    format!("{} {}x{}", stream.pixel, stream.width, stream.height)
}

fn activity_name(activity: Activity) -> &'static str {
    match activity {
        Activity::Opening => "opening",
        Activity::Live => "live",
        Activity::Silent => "silent",
        Activity::Stale => "stale",
        Activity::Away => "away",
    }
}

fn latency(stream: &Stream, part: fn(&RecentLatencyMs) -> f64) -> String {
    stream.latency_ms.as_ref().map_or_else(|| NOTHING.into(), |latency| decimal(part(latency), 2))
}

fn dropped(stream: &Stream, cause: fn(&FramesDropped) -> u64) -> String {
    counted(stream, cause(&stream.counts.frames_dropped))
}

/// What another server's stream counts, that server knows.
fn counted(stream: &Stream, frames: u64) -> String {
    if stream.hearsay { NOTHING.to_owned() } else { count(frames) }
}

/// A number that stays within its column, whatever it is.
pub(super) fn decimal(number: f64, digits: usize) -> String {
    match number {
        number if number.abs() < 99.0 => format!("{number:.digits$}"),
        number if number.abs() < 999.0 => format!("{number:.digits$}", digits = digits.min(2)),
        number if number.abs() < 9_999.0 => format!("{number:.digits$}", digits = digits.min(1)),
        number if number.abs() < 999_999.0 => format!("{number:.0}"),
        number => format!("{number:.0e}"),
    }
}

/// As many digits as are read at a glance.
pub(super) fn count(count: u64) -> String {
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..1_000_000_000 => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.0e}", count as f64),
    }
}

/// How long ago something was.
pub(super) fn age(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds.max(0.0) * 1e3),
        seconds if seconds < 10.0 => format!("{seconds:.1} s"),
        seconds => duration(seconds),
    }
}

/// A time in its two largest units at most.
pub(super) fn duration(seconds: f64) -> String {
    // Saturates.
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        172_800..86_400_000 => format!("{} d", seconds / 86_400),
        _ => ">999 d".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::streams::made_up::stream;
    use framewire_process::shown::columns_of;

    #[test]
    fn what_fits_is_shown_and_the_name_always() {
        let titles = |width| fitting(width, false).iter().map(|column| column.title).collect::<Vec<_>>();
        assert_eq!(titles(80), ["stream", "state", "frames/s", "GB/s", "p50 ms", "p99 ms", "dropped", "age"]);
        assert!(titles(100).contains(&"format") && !titles(100).contains(&"source"));
        assert_eq!(titles(200).len(), COLUMNS.len() - 1, "all but the server, which is of a cluster");
        assert_eq!(titles(0), ["stream", "frames/s", "GB/s", "dropped"]);
    }

    #[test]
    fn figures_stay_within_their_columns_whatever_they_are() {
        let mut wild = stream(u64::MAX, "wild");
        let drops = u64::MAX;
        wild.counts.frames_dropped = FramesDropped {
            skipped_at_source: drops,
            no_credit: drops,
            lost: drops,
            incomplete: drops,
            no_slot: drops,
            slow_consumer: drops,
        };
        for number in [0.0, 59.94, 9_999.96, 123_456.7, 999_999.9, 1e9, 1e300] {
            wild.frames_per_second = number;
            wild.gigabytes_per_second = number / 1e3;
            wild.latency_ms = Some(RecentLatencyMs { p50: number, p99: number });
            wild.age_seconds = Some(number);
            for column in COLUMNS.iter().filter(|column| column.is_number) {
                let text = (column.text)(&wild);
                assert!(columns_of(&text) <= column.width, "{}: {text}", column.title);
            }
        }
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!([0.0164, 1.25, 12.0, 300.0].map(age), ["16 ms", "1.2 s", "12 s", "5 min"]);
        assert_eq!([119.0, 7_200.0, 200_000.0].map(duration), ["119 s", "2 h", "2 d"]);
        assert_eq!([-1.0, f64::INFINITY].map(duration)[0], "0 s");
    }
}
