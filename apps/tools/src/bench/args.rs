//! What is measured, and between whom.

use clap::Args;
use framewire_capture::RawFormat;
use framewire_process::address::Address;
use framewire_process::times::seconds;
use framewire_transport::BackendKind;
use framewire_transport::SliceSize;
use framewire_transport::frame::METADATA_MAX;

use super::contender::Contender;

/// A comparison between two processes: one that sends, and one on this machine or another that receives.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What a frame is
    #[arg(long, value_name = "WxH:PIXEL", default_value = "1920x1080:gray8")]
    pub frame: RawFormat,
    /// Bytes of metadata that each of Framewire's frames has beside the pixels, 0 to 4096; the other contenders have none
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=METADATA_MAX as i64))]
    pub metadata_bytes: u16,
    /// Bytes of a slice, header included: auto (what the path carries) or 548 to 65507
    #[arg(long, value_name = "auto|BYTES", default_value = "auto", env = "FRAMEWIRE_SLICE")]
    pub slice: SliceSize,
    /// What moves the datagrams: auto, std, mmsg
    #[arg(long, default_value = "auto", env = "FRAMEWIRE_BACKEND")]
    pub backend: BackendKind,
    /// How many times each contender is measured, all in turn; figures are medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Seconds at full rate for each contender and round; those at a steady rate come on top
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub seconds: f64,
    /// Frames a second while latency is measured, when both ends sleep between frames unless they are to --busy-poll
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Seconds at that rate for each contender and round; of 60 frames p99 is the slowest, of 1,000 it says more
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub latency_seconds: f64,
    /// Have neither end of memory, pipe, shm and shm-read sleep between frames, which takes two cores; of the others both ends sleep
    #[arg(long)]
    pub busy_poll: bool,
    /// Measure these alone: framewire, protected (the same with a key), kernel (what UDP can at best do on this machine), tcp, which are measured unless others are
    /// named; shm (frames handed over in shared memory, nothing touched), shm-read (made and read in place, every byte), memory (the
    /// same in two threads of one process: the floor of both), pipe (a bare wake of another process)
    #[arg(long, value_enum, value_name = "NAME,NAME", value_delimiter = ',', hide_possible_values = true)]
    pub only: Vec<Contender>,
    /// Measure protected streams beside plain ones, on loopback too, and what one core seals: with a key that is made for the bench and
    /// goes to the other end over its control connection, in the clear
    #[arg(long)]
    pub protect: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub json: bool,
    /// Send to a bench that receives on another host; by default to one that is started on this machine
    #[arg(long, value_name = "HOST:PORT")]
    pub to: Option<Address>,
    /// Receive what bench --to sends, over TCP and UDP; anyone who reaches the port can have frames thrown away here
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["to", "protect", "frame", "metadata_bytes", "rounds", "seconds", "rate", "latency_seconds", "busy_poll", "only", "json"])]
    pub receive: Option<Address>,
    /// End after one bench
    #[arg(long, requires = "receive")]
    pub once: bool,
    /// End when standard input does: how bench ends the process that it starts
    #[arg(long, requires = "receive", hide = true)]
    pub tied: bool,
}

impl BenchArgs {
    /// Whether neither end of this contender is to sleep between frames. A processor that has slept begins slowly, at either end.
    pub(super) fn spins(&self, contender: Contender) -> bool {
        self.busy_poll && contender.is_local()
    }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    fn bench(arguments: &[&str]) -> Result<BenchArgs, clap::Error> {
        let command = BenchArgs::augment_args(clap::Command::new("bench"));
        let matches = command.try_get_matches_from(["bench"].iter().chain(arguments))?;
        BenchArgs::from_arg_matches(&matches)
    }

    #[test]
    fn a_bench_measures_everything_unless_told_otherwise() {
        let args = bench(&[]).unwrap();
        assert_eq!((args.frame.to_string().as_str(), args.rounds, args.seconds), ("1920x1080:gray8", 3, 1.0));
        assert!(args.only.is_empty() && args.to.is_none() && args.receive.is_none());
        assert_eq!(bench(&["--only", "tcp,framewire"]).unwrap().only, [Contender::Tcp, Contender::Framewire]);
        assert_eq!(bench(&["--frame", "640x480:BayerRG12"]).unwrap().frame.to_string(), "640x480:bayer_rggb12");
        assert_eq!((args.metadata_bytes, bench(&["--metadata-bytes", "200"]).unwrap().metadata_bytes), (0, 200));
        assert_eq!(bench(&["--only", "shm-read,memory"]).unwrap().only, [Contender::ShmRead, Contender::Memory]);
        let args = bench(&["--rate", "240", "--latency-seconds", "5", "--busy-poll"]).unwrap();
        assert_eq!((args.rate, args.latency_seconds, args.busy_poll), (240, 5.0, true));
        assert!(bench(&["--protect"]).unwrap().protect);
        assert!(bench(&["--receive", "0.0.0.0:9000", "--once"]).unwrap().once);
    }

    #[test]
    fn only_what_needs_no_network_is_measured_without_sleep_and_only_where_that_was_asked_for() {
        let spinning = |args: &BenchArgs| Contender::ALL.into_iter().filter(|it| args.spins(*it)).collect::<Vec<_>>();
        let local = Contender::ALL.into_iter().filter(|it| it.is_local()).collect::<Vec<_>>();
        assert_eq!(spinning(&bench(&["--busy-poll"]).unwrap()), local);
        assert_eq!(spinning(&bench(&[]).unwrap()), []);
    }

    #[test]
    fn a_bench_refuses_what_it_cannot_do() {
        let refused = |arguments: &[&str]| bench(arguments).unwrap_err().to_string();
        assert!(refused(&["--only", "udp"]).contains("framewire, protected, kernel, tcp"));
        assert!(refused(&["--metadata-bytes", "4097"]).contains("0..=4096"));
        assert!(refused(&["--rounds", "0"]).contains("--rounds"));
        assert!(refused(&["--rate", "0"]).contains("--rate"));
        assert!(refused(&["--receive", "127.0.0.1:0", "--busy-poll"]).contains("--busy-poll"));
        assert!(refused(&["--seconds", "no"]).contains("'no' is no time"));
        assert!(refused(&["--frame", "1920x1080"]).contains("1920x1080:gray8"));
        assert!(refused(&["--receive", "127.0.0.1:0", "--to", "there:1"]).contains("--to"));
        assert!(refused(&["--once"]).contains("--receive"));
    }
}
