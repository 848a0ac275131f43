//! Plays a pipeline for a while, and says as JSON when the pictures that came to its element `timed` were taken and when they were handed off by it: `timed SECONDS PIPELINE`.
//! A picture is `[number, taken, handed_off]`: its buffer's offset, null where it has none, and two times in nanoseconds of the pipeline's clock; `latency_ns` is what
//! the pipeline answers to who asks. Used by `times`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

/// A picture that came by.
struct Picture {
    number: Option<u64>,
    taken: u64,
    handed_off: u64,
}

impl Picture {
    /// As JSON.
    fn said(&self) -> String {
        let number = self.number.map_or_else(|| "null".to_owned(), |number| number.to_string());
        format!("[{number}, {}, {}]", self.taken, self.handed_off)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(seconds), Some(description)) = (arguments.next().and_then(|text| text.parse().ok()), arguments.next())
    else {
        eprintln!("usage: timed SECONDS PIPELINE");
        std::process::exit(2);
    };
    if let Err(error) = play(seconds, &description) {
        eprintln!("timed: {error}");
        std::process::exit(1);
    }
}

fn play(seconds: f64, description: &str) -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gstframewire::plugin_register_static()?;
    let pipeline = gst::parse::launch(description)?.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let pictures = Arc::new(Mutex::new(Vec::<Picture>::new()));
    let element = pipeline.by_name("timed").ok_or("no element is called timed")?;
    // A sink hands it off at the moment at which it is to be seen, anything else once it has it.
    let (there, clocked) = (pictures.clone(), pipeline.clone());
    element.connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().ok()?;
        let (clock, base) = clocked.clock().zip(clocked.base_time())?;
        let taken = buffer.pts()? + base;
        // The greatest means that it has none.
        let number = Some(buffer.offset()).filter(|number| *number != u64::MAX);
        let handed_off = clock.time().nseconds();
        there.lock().unwrap().push(Picture { number, taken: taken.nseconds(), handed_off });
        None
    });
    pipeline.set_state(gst::State::Playing)?;
    let bus = pipeline.bus().ok_or("no bus")?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs_f64(seconds) {
        let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(50)) else { continue };
        match message.view() {
            gst::MessageView::Error(error) => return Err(error.error().into()),
            // As gst-launch does, and every program that plays.
            gst::MessageView::Latency(_) => pipeline.recalculate_latency()?,
            _ => {}
        }
    }
    let mut latency = gst::query::Latency::new();
    if !pipeline.query(&mut latency) {
        return Err("nobody answers how old pictures are (the latency query)".into());
    }
    let latency_ns = latency.result().1.nseconds();
    let pictures = std::mem::take(&mut *pictures.lock().unwrap());
    if pictures.is_empty() {
        return Err("no buffer came".into());
    }
    let said: Vec<_> = pictures.iter().map(Picture::said).collect();
    println!("{{\"latency_ns\": {latency_ns}, \"pictures\": [{}]}}", said.join(", "));
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}
