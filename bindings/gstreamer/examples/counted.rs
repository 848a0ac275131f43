//! Plays a pipeline for a while, and says as JSON what came by its element `counted` and what that took: `counted SECONDS PIPELINE`. Seconds are counted from one
//! second behind the first buffer on; without a buffer in 20 seconds it is an error. Used by `compare`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;

/// How long the two ends may take to find each other.
const OPENING: Duration = Duration::from_secs(1);
/// What clock ticks are to /proc, on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(seconds), Some(description)) = (arguments.next().and_then(|text| text.parse().ok()), arguments.next())
    else {
        eprintln!("usage: counted SECONDS PIPELINE");
        std::process::exit(2);
    };
    if let Err(error) = play(seconds, &description) {
        eprintln!("counted: {error}");
        std::process::exit(1);
    }
}

fn play(seconds: f64, description: &str) -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gstframewire::plugin_register_static()?;
    let pipeline = gst::parse::launch(description)?.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let counted = pipeline.by_name("counted").ok_or("no element is called counted")?;
    let pad = counted.static_pad("sink").or_else(|| counted.static_pad("src")).ok_or("counted has no pad")?;
    let frames = Arc::new(AtomicU64::new(0));
    let bytes = Arc::new(AtomicU64::new(0));
    let (frames_there, bytes_there) = (frames.clone(), bytes.clone());
    pad.add_probe(gst::PadProbeType::BUFFER, move |_pad, info| {
        frames_there.fetch_add(1, Ordering::Relaxed);
        bytes_there.fetch_add(info.buffer().map_or(0, |buffer| buffer.size() as u64), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing)?;
    let begun = Instant::now();
    while frames.load(Ordering::Relaxed) == 0 {
        if begun.elapsed() > Duration::from_secs(20) {
            return Err("no buffer came in 20 s".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // What was painted before the other end was there is no frame of these seconds; a picture is copied at any time or never.
    std::thread::sleep(OPENING);
    let of = |name: &str| {
        let stats = pipeline.by_name("framewire")?.property::<gst::Structure>("stats");
        stats.get::<u64>(name).ok()
    };
    let not_there = ["frames-lost", "frames-dropped", "frames-skipped"];
    let left_out_before = not_there.map(of);
    let (before, bytes_before, frames_before) =
        (cpu_seconds()?, bytes.load(Ordering::Relaxed), frames.load(Ordering::Relaxed));
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let (after, bytes_after, frames_after) =
        (cpu_seconds()?, bytes.load(Ordering::Relaxed), frames.load(Ordering::Relaxed));
    let left_out = not_there.map(of);
    let bus = pipeline.bus().ok_or("no bus")?;
    if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
        && let gst::MessageView::Error(error) = message.view()
    {
        return Err(error.error().into());
    }
    let copied = of("frames-copied").map(|frames| ("frames-copied", frames));
    let counted = not_there.into_iter().zip(left_out.into_iter().zip(left_out_before));
    let counted = counted.filter_map(|(name, (now, before))| Some((name, now? - before?)));
    let stats: Vec<_> =
        copied.into_iter().chain(counted).map(|(name, frames)| format!("\"{name}\": {frames}")).collect();
    println!(
        "{{\"frames\": {}, \"bytes\": {}, \"cpu_seconds\": {:.3}, \"stats\": {{{}}}}}",
        frames_after - frames_before,
        bytes_after - bytes_before,
        after - before,
        stats.join(", ")
    );
    // Whoever takes from here has begun a little later, and counts a little longer.
    std::thread::sleep(Duration::from_secs(1));
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}

/// What this process has had of all cores.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let said = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in brackets, and may have spaces.
    let behind = said.rsplit_once(')').ok_or("no name in /proc/self/stat")?.1;
    let field = |at: usize| behind.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok());
    let (user, system) = field(11).zip(field(12)).ok_or("no times in /proc/self/stat")?;
    Ok((user + system) / TICKS_A_SECOND)
}
