//! What a program says at its end: one object, for people or as JSON.

use std::fmt;
use std::time::Duration;

use framewire_process::exit::{Failure, tell_summary};
use serde::{Deserialize, Serialize};

use crate::counts::{DatagramsDropped, FramesDropped, FramesRepaired, StreamCounts, TurnedAway};

/// The figures of a run. What a side does not know is absent.
#[derive(Debug, Clone, Default, Serialize, PartialEq)]
pub struct Summary {
    /// Frames that were given to the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_sent: Option<u64>,
    /// Frames complete at the receiver.
    pub frames_delivered: u64,
    /// Frames that were not delivered, by cause.
    pub frames_dropped: FramesDropped,
    /// Bytes of the frames delivered.
    pub bytes: u64,
    /// From the first frame to the last.
    pub seconds: f64,
    /// Frames delivered in a second.
    pub frames_per_second: f64,
    /// Gigabytes (10^9 bytes) delivered in a second.
    pub gigabytes_per_second: f64,
    /// From capture to completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<LatencyMs>,
    /// Where that time went, and how long frames then waited to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages_ms: Option<StagesMs>,
    /// What this process used of the processors.
    pub cpu_seconds: f64,
    /// Which way the frames took: `udp`, or `shm` for shared memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why that was not shared memory, or not to the end, although it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_trouble: Option<String>,
    /// Whether the datagrams were encrypted; absent where none were sent, and where some streams were and others not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// What moved the datagrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Bytes of a slice, header included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice_bytes: Option<u64>,
    /// Slices that landed elsewhere than predicted and were moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices_moved: Option<u64>,
    /// Slices sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices_resent: Option<u64>,
    /// Parity slices sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices_parity: Option<u64>,
    /// Of the incomplete frames, those that were handed on with what they have (`--partial`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_partial: Option<u64>,
    /// Of the frames delivered, those that lacked slices at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_repaired: Option<FramesRepaired>,
    /// Datagrams that came to nothing at the receiver, by cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagrams_dropped: Option<DatagramsDropped>,
    /// Who had not what lets them in; a server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turned_away: Option<TurnedAway>,
    /// Frames that the server should have recorded and did not, each of its sinks for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_unrecorded: Option<u64>,
    /// What a reader in another process took.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub reader: Option<ReaderCounts>,
    /// What was recorded, sink by sink.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkFigures>,
    /// What each server was sent, where there are several: of one source, or in turn. The figures above are of all of them together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerFigures>,
}

/// What one of a client's servers was sent, or several that took turns: sent = delivered + dropped.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct ServerFigures {
    /// The server's address; those that took turns with commas.
    pub server: String,
    /// Frames that were there for it.
    pub frames_sent: u64,
    /// Those that arrived.
    pub frames_delivered: u64,
    /// Those that did not, by cause.
    pub frames_dropped: FramesDropped,
    /// Of those that arrived, what each had that took a turn, in order; empty where it was one server all the while.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<TurnFigures>,
}

/// A server's turn.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct TurnFigures {
    /// The server's address.
    pub server: String,
    /// Frames that it has confirmed.
    pub frames_delivered: u64,
}

impl fmt::Display for ServerFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, frames_sent, frames_delivered, frames_dropped, turns } = self;
        write!(f, "{frames_delivered} of {frames_sent} frames to {server}")?;
        let mut causes = frames_dropped.causes().into_iter().filter(|(_, frames)| *frames > 0);
        causes.try_for_each(|(cause, frames)| write!(f, ", {frames} {}", cause.replace('_', " ")))?;
        turns.iter().try_for_each(|turn| write!(f, "; {} had {}", turn.server, turn.frames_delivered))
    }
}

/// What came of the frames that were offered to a reader in another process than the server: offered = taken + dropped + those that
/// still waited at the end.
#[derive(Debug, Clone, Copy, Default, Serialize, PartialEq, Eq)]
pub struct ReaderCounts {
    /// Frames that were there for it.
    pub offered: u64,
    /// Those that it took.
    pub taken: u64,
    /// Those that gave way to newer ones, because it was too slow.
    pub dropped: u64,
    /// How often its server went away and came back.
    pub reconnects: u64,
}

/// What came of one `--sink`, over all streams.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct SinkFigures {
    /// As the command line named it.
    pub sink: String,
    /// Files written, parts each for itself.
    pub files: u64,
    /// Frames in them.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Frames that came too fast for it.
    pub frames_dropped: u64,
    /// Frames that are not there because it failed.
    pub frames_failed: u64,
    /// Frames that came while another stream had it, or while nobody read or looked.
    pub frames_away: u64,
    /// How often it failed: could not be opened for a stream, or did not take a frame after it had taken others.
    pub failures: u64,
    /// How often it went on after that, for the same stream.
    pub recoveries: u64,
}

impl fmt::Display for SinkFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sink, files, frames, bytes, frames_dropped, frames_failed, frames_away, failures, recoveries } =
            self;
        write!(f, "{frames} frames, {bytes} bytes into {sink}")?;
        if *files > 1 {
            write!(f, " ({files} files)")?;
        }
        write!(f, ", {frames_dropped} dropped")?;
        if *frames_away > 0 {
            write!(f, ", {frames_away} while nobody read or another stream had it")?;
        }
        match (failures, recoveries) {
            (0, _) => Ok(()),
            (_, 0) => write!(f, ", {frames_failed} not recorded: failed {failures} times"),
            _ => write!(f, ", {frames_failed} not recorded: failed {failures} times, went on {recoveries} times"),
        }
    }
}

/// The time of a frame, stage by stage. Between two machines the first two rest on the estimated offset of their clocks.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq)]
pub struct StagesMs {
    /// From capture to the sending of the first slice: waiting for credit, for earlier frames, for the sending thread.
    pub capture_to_sent: LatencyMs,
    /// Until the first slice was taken in by the receiver: the way, and waiting for the receiving thread.
    pub sent_to_first_slice: LatencyMs,
    /// Until the last slice was.
    pub first_slice_to_complete: LatencyMs,
    /// Until the consumer had the frame.
    pub complete_to_read: LatencyMs,
}

impl StagesMs {
    fn named(&self) -> [(&'static str, LatencyMs); 4] {
        [
            ("to sent", self.capture_to_sent),
            ("to first slice", self.sent_to_first_slice),
            ("to complete", self.first_slice_to_complete),
            ("to read", self.complete_to_read),
        ]
    }
}

/// Milliseconds within which this share of the frames was through.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct LatencyMs {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Summary {
    /// Of what a receiver has counted; of its own wire what other wires have not.
    pub fn counted(counts: &StreamCounts, is_framed: bool) -> Self {
        Self {
            frames_delivered: counts.frames_delivered,
            frames_dropped: counts.frames_dropped,
            bytes: counts.bytes,
            slices_moved: is_framed.then_some(counts.slices_moved),
            frames_partial: (counts.frames_partial > 0).then_some(counts.frames_partial),
            frames_repaired: is_framed.then_some(counts.frames_repaired),
            datagrams_dropped: is_framed.then_some(counts.datagrams_dropped),
            ..Self::default()
        }
    }

    /// Sets time and rates.
    pub fn set_rates(&mut self, time: Duration) {
        self.seconds = time.as_secs_f64();
        let a_second = |count: u64| if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 };
        self.frames_per_second = a_second(self.frames_delivered);
        self.gigabytes_per_second = a_second(self.bytes) / 1e9;
    }

    /// Says it: as JSON on standard output, or for people on standard error.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        let json = json.then(|| serde_json::to_string(self).expect("numbers and names are always JSON"));
        tell_summary(self, json.as_deref())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sent) = self.frames_sent {
            write!(f, "{sent} frames sent, ")?;
        }
        write!(f, "{} delivered in {:.2} s", self.frames_delivered, self.seconds)?;
        write!(f, ": {:.1} frames/s, {:.2} GB/s", self.frames_per_second, self.gigabytes_per_second)?;
        if let Some(latency) = self.latency_ms {
            write!(f, "\n  latency   {latency}")?;
        }
        for (stage, latency) in self.stages_ms.iter().flat_map(StagesMs::named) {
            write!(f, "\n    {stage:<15} {latency}")?;
        }
        let FramesDropped { skipped_at_source, no_credit, lost, incomplete, no_slot, slow_consumer } =
            self.frames_dropped;
        if self.frames_dropped.total() == 0 {
            write!(f, "\n  dropped   none")?;
        } else {
            write!(
                f,
                "\n  dropped   {skipped_at_source} skipped at the source, {no_credit} without credit, {lost} lost, {incomplete} incomplete, \
                 {no_slot} without a slot, {slow_consumer} by a slow consumer"
            )?;
        }
        if let Some(partial) = self.frames_partial {
            write!(f, "\n  partial   {partial} of the incomplete frames were handed on with what they have")?;
        }
        if let Some(FramesRepaired { by_nack, by_fec }) =
            self.frames_repaired.filter(|repaired| *repaired != Default::default())
        {
            write!(f, "\n  repaired  {by_nack} frames by sending slices again, {by_fec} from parity")?;
        }
        if let Some(dropped) = self.datagrams_dropped.filter(|dropped| dropped.socket > 0) {
            write!(f, "\n  lost here {} datagrams for which the socket's buffer had no room", dropped.socket)?;
        }
        if let Some(dropped) = self.datagrams_dropped.filter(|dropped| dropped.forged + dropped.replayed > 0) {
            let DatagramsDropped { forged, replayed, .. } = dropped;
            write!(f, "\n  not taken {forged} datagrams with a wrong tag, {replayed} that had come before")?;
        }
        if let Some(away) = self.turned_away.filter(|away| !away.is_nobody()) {
            write!(f, "\n  refused   {away}")?;
        }
        if let Some(unrecorded) = self.frames_unrecorded.filter(|frames| *frames > 0) {
            write!(
                f,
                "\n  recorded  {unrecorded} frames are not: a sink of the server failed or was too slow, as its log says"
            )?;
        }
        if let Some(ReaderCounts { offered, taken, dropped, reconnects }) = self.reader {
            write!(f, "\n  read      {taken} of {offered} frames offered, {dropped} gave way to newer ones")?;
            if reconnects > 0 {
                let times = if reconnects == 1 { "once".to_owned() } else { format!("{reconnects} times") };
                write!(f, ", and what they come from went and came back {times}")?;
            }
        }
        for sink in &self.sinks {
            write!(f, "\n  recorded  {sink}")?;
        }
        for server in &self.servers {
            write!(f, "\n  server    {server}")?;
        }
        write!(f, "\n  cpu       {:.2} s", self.cpu_seconds)?;
        if self.bytes > 0 {
            write!(f, ", {:.2} s for each GB", self.cpu_seconds / (self.bytes as f64 / 1e9))?;
        }
        if let (Some(backend), Some(slice_bytes)) = (&self.backend, self.slice_bytes) {
            let encrypted = if self.protected == Some(true) { ", encrypted" } else { "" };
            write!(f, "\n  path      {backend}, slices of {slice_bytes} bytes{encrypted}")?;
            write!(f, ", {} moved", self.slices_moved.unwrap_or(0))?;
            write!(f, ", {} sent again", self.slices_resent.unwrap_or(0))?;
        } else if self.path.as_deref() == Some("shm") {
            write!(f, "\n  path      shared memory")?;
        }
        if let Some(trouble) = &self.path_trouble {
            write!(f, "\n  no shared memory: {trouble}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LatencyMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, p999, max } = self;
        write!(f, "p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, max {max:.2} ms")
    }
}

/// Seconds of processor time that this process has used.
pub fn cpu_seconds() -> f64 {
    let spec = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spec.tv_sec as f64 + spec.tv_nsec as f64 / 1e9
}

/// Prints what a program has come to, and then ends as it did.
///
/// # Errors
/// The failure; else, that the summary cannot be printed.
pub fn finish(json: bool, (summary, failure): (Summary, Option<Failure>)) -> Result<(), Failure> {
    let printed = summary.print(json);
    // Why it failed is told first, whoever has closed standard output.
    failure.map_or(printed, Err)
}
