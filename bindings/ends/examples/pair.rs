//! One end of a stream, for measuring beside programs in other languages: `pair send|receive udp|shm PLACE SECONDS`. PLACE is the receiver's UDP port or the hub's
//! socket. The sender fills each 1080p frame in place; the receiver copies each out, and prints one JSON object.

use std::error::Error;
use std::time::{Duration, Instant};

use framewire_ends::{Class, OpenOptions, Output, OutputOptions, ReceiveOptions, Source};
use framewire_transport::{Delivery, FrameFormat, PixelFormat, Time};

const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [role, way, place, seconds] = arguments.as_slice() else {
        return Err("pair send|receive udp|shm PLACE SECONDS".into());
    };
    let seconds = Duration::from_secs_f64(seconds.parse()?);
    match role.as_str() {
        "send" => send(way == "shm", place, seconds),
        _ => receive(way == "shm", place, seconds),
    }
}

fn send(shared: bool, place: &str, seconds: Duration) -> Result<(), Box<dyn Error>> {
    let output = match shared {
        true => Output::publish("pair", Some(place.parse()?), OutputOptions::new().delivery(Delivery::Latest))?,
        false => Output::connect(&format!("127.0.0.1:{place}"), OutputOptions::new().delivery(Delivery::Every))?,
    };
    let format = FrameFormat::new(PixelFormat::Bgr24, 1920, 1080)?;
    output.begin(format)?;
    let pixels = vec![7; format.frame_bytes()];
    let end = Instant::now() + seconds;
    while Instant::now() < end {
        let Some(mut frame) = output.frame(PATIENCE)? else { continue };
        frame.copy_from_slice(&pixels);
        if let Err(error) = output.send(frame) {
            eprintln!("{error}");
            break;
        }
    }
    output.close(Duration::from_secs(2));
    Ok(())
}

fn receive(shared: bool, place: &str, seconds: Duration) -> Result<(), Box<dyn Error>> {
    let source = match shared {
        true => {
            let options = OpenOptions::new().hub(place.parse::<framewire_ends::Hub>()?).wait(PATIENCE);
            Source::open(Some("pair"), &options, &mut || true)?.ok_or("nobody shares it")?
        }
        false => Source::bind(&format!("127.0.0.1:{place}"), &ReceiveOptions::new())?,
    };
    let first = source.recv(PATIENCE)?.ok_or("no frame")?;
    let mut pixels = first.frame.to_vec();
    drop(first);
    let (begun, mut frames, mut looked) = (Instant::now(), 0_u64, Duration::ZERO);
    let mut ages = Vec::new();
    while begun.elapsed() < seconds {
        let waited = Instant::now();
        match source.recv(Duration::from_secs(1)) {
            Ok(Some(taken)) => {
                looked += waited.elapsed();
                ages.push(Time::now().since(taken.frame.info().captured).as_secs_f64());
                pixels.copy_from_slice(&taken.frame);
                frames += 1;
            }
            Ok(None) => break,
            Err(error) if error.class == Class::Ended => break,
            Err(error) => return Err(error.into()),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    ages.sort_by(f64::total_cmp);
    let age = ages.get(ages.len() / 2).copied().unwrap_or_default();
    println!(
        "{{\"frames\": {frames}, \"seconds\": {seconds}, \"age\": {age}, \"recv\": {}}}",
        looked.as_secs_f64() / frames.max(1) as f64
    );
    Ok(())
}
