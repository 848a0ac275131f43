//! ffmpeg judges what the sinks write: every frame byte for byte, every time to the tick.

use std::fs;
use std::path::Path;
use std::process::Command;

use framewire_sink::{Recorded, SinkError, SinkSpec};
use framewire_transport::frame::{Frame, FrameFormat, FramePool, FrameRate, PixelFormat, Presentation};
use framewire_transport::{ChromaPlace, ColourRange, SampleAspect, Time};

/// Even, and no multiple of what rows are padded to anywhere.
const SIZE: (u32, u32) = (66, 38);
const FRAMES: u64 = 3;

fn has_ffmpeg() -> bool {
    framewire_testing::has_programs(&["ffmpeg", "ffprobe", "md5sum"], "apt-get install ffmpeg")
}

fn run(program: &str, arguments: &[&str], path: &Path) -> String {
    let arguments =
        arguments.iter().map(|argument| if *argument == "FILE" { path.as_os_str() } else { argument.as_ref() });
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{program}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What framemd5 says of each frame: its time, and the checksum of its bytes.
fn frame_md5(path: &Path, options: &[&str]) -> Vec<(u64, String)> {
    let arguments = [&["-v", "error", "-i", "FILE"], options, &["-f", "framemd5", "-"]].concat();
    let said = run("ffmpeg", &arguments, path);
    let lines = said.lines().filter(|line| !line.starts_with('#'));
    let fields = lines.map(|line| line.split(',').map(str::trim).collect::<Vec<_>>());
    fields.map(|fields| (fields[2].parse().unwrap(), fields[5].to_owned())).collect()
}

fn md5(directory: &Path, frames: &[Vec<u8>]) -> Vec<String> {
    let names: Vec<String> =
        (0..frames.len()).map(|at| directory.join(format!("frame{at}")).display().to_string()).collect();
    names.iter().zip(frames).for_each(|(name, frame)| fs::write(name, frame).unwrap());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    run("md5sum", &names, directory).lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Frames of noise at these moments of the sender's clock, and the bytes of their rows.
fn noise(format: &FrameFormat, moments_ns: &[u64]) -> (Vec<Frame>, Vec<Vec<u8>>) {
    let pool = FramePool::for_format(moments_ns.len(), *format).unwrap();
    let packed = FrameFormat::new(format.pixel(), format.width(), format.height()).unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let made = moments_ns.iter().map(|moment_ns| {
        let mut frame = pool.try_acquire().unwrap();
        frame.set_len(format.frame_bytes()).unwrap();
        frame.fill_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        });
        frame.info.captured = Time::from_nanos(1_000_000_000 + moment_ns);
        let frame = frame.freeze();
        let rows = (0..format.pixel().planes()).scan(0, |begin, plane| {
            let bytes = &frame[*begin..*begin + format.plane_bytes(plane)];
            *begin += bytes.len();
            let row = packed.plane_stride(plane) as usize;
            Some(bytes.chunks(format.plane_stride(plane) as usize).flat_map(|line| &line[..row]).copied().collect())
        });
        let rows = rows.collect::<Vec<Vec<u8>>>().concat();
        (frame, rows)
    });
    made.collect()
}

fn write(path: &Path, recorded: &Recorded, frames: &[Frame]) -> Result<(), SinkError> {
    let _ = fs::remove_file(path);
    let spec: SinkSpec = path.to_str().unwrap().parse().unwrap();
    let mut sink = spec.open_alone(recorded)?;
    for frame in frames {
        sink.write(frame)?;
    }
    assert_eq!(sink.finish()?.bytes, fs::metadata(path).unwrap().len());
    Ok(())
}

fn rate() -> FrameRate {
    FrameRate::new(30_000, 1001).unwrap()
}

/// Nanoseconds of a frame's place in a file, rounded as every clock of nanoseconds must.
fn place_ns(number: u64) -> u64 {
    (number * 1001 * 1_000_000_000 + 15_000) / 30_000
}

#[test]
fn ffmpeg_gives_back_every_format_that_nut_and_y4m_hold_byte_for_byte_and_both_refuse_the_others() {
    if !has_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let moments: Vec<u64> = (0..FRAMES).map(place_ns).collect();
    println!("{:<16}{:<16}y4m", "format", "nut");
    for pixel in PixelFormat::ALL {
        if pixel == PixelFormat::Bytes {
            continue;
        }
        let packed = FrameFormat::new(pixel, SIZE.0, SIZE.1).unwrap();
        let wider = packed.stride() + 128;
        let strided = FrameFormat::with_stride(pixel, SIZE.0, SIZE.1, wider).unwrap();
        let mut cells = [String::new(), String::new()];
        for (cell, name) in cells.iter_mut().zip(["out.nut", "out.y4m"]) {
            let path = directory.path().join(name);
            for format in [packed, strided] {
                let recorded = Recorded::new(format, rate(), "cam", 7);
                let (frames, rows) = noise(&format, &moments);
                match write(&path, &recorded, &frames) {
                    Ok(()) => {
                        let asked = ["-v", "error", "-of", "csv=p=0", "-show_entries", "stream=pix_fmt", "FILE"];
                        if format == packed {
                            *cell = run("ffprobe", &asked, &path).trim().to_owned();
                        }
                        let expected: Vec<_> = (0..).zip(md5(directory.path(), &rows)).collect();
                        // v210 is decoded to planes on its way; as it is in the file it is what was sent.
                        let options: &[&str] = if pixel == PixelFormat::V210 { &["-c:v", "copy"] } else { &[] };
                        let mut told = frame_md5(&path, options);
                        if pixel == PixelFormat::V210 {
                            (0..).zip(&mut told).for_each(|(number, frame)| frame.0 = number);
                        }
                        assert_eq!(told, expected, "{pixel} in {name}");
                    }
                    Err(SinkError::CannotHold { remedy, .. }) => {
                        assert!(remedy.ends_with("or FILE.mcap"), "{remedy}");
                        assert!(!path.exists());
                        *cell = "refused".to_owned();
                    }
                    Err(error) => panic!("{pixel} in {name}: {error}"),
                }
            }
        }
        println!("{:<16}{:<16}{}", pixel.name(), cells[0], cells[1]);
    }
}

#[test]
fn ffmpeg_reads_times_to_the_tick_and_what_is_said_of_the_pictures() {
    if !has_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.nut");
    let format = FrameFormat::new(PixelFormat::Yuv420p, 64, 48).unwrap();
    // No rate: a camera's own moments, with a pause of 50 minutes, two frames of one moment and one a nanosecond later.
    let moments = [0, 33_333_334, 66_666_601, 3_000_000_000_000, 3_000_000_000_000, 3_000_000_000_002];
    let (frames, _) = noise(&format, &moments);
    write(&path, &Recorded::new(format, None, "", 7), &frames).unwrap();
    let pts = |path: &Path| -> Vec<u64> {
        let arguments = ["-v", "error", "-of", "csv=p=0", "-show_entries", "packet=pts", "FILE"];
        run("ffprobe", &arguments, path).lines().map(|line| line.trim_end_matches(',').parse().unwrap()).collect()
    };
    let mut expected = moments;
    expected[4] += 1;
    assert_eq!(pts(&path), expected, "in nanoseconds");

    let said = Presentation::UNKNOWN
        .rate(rate())
        .aspect(SampleAspect::new(64, 45))
        .chroma(ChromaPlace::Left)
        .range(ColourRange::Full);
    // At the rate, but for one that is 5 µs late.
    let moments: Vec<u64> = (0..20).map(|number| place_ns(number) + if number == 7 { 5_000 } else { 0 }).collect();
    let (frames, _) = noise(&format, &moments);
    write(&path, &Recorded::new(format, said, "front door", 7), &frames).unwrap();
    let per_second = 30_000 * (u64::from(i32::MAX as u32) / 30_000);
    let tick = per_second / 30_000 * 1001;
    let expected: Vec<u64> =
        (0..20).map(|number| number * tick + if number == 7 { per_second / 200_000 } else { 0 }).collect();
    let told = pts(&path);
    for (told, expected) in told.iter().zip(&expected) {
        assert!(
            told.abs_diff(*expected) <= u64::from(*expected == 7 * tick + per_second / 200_000),
            "{told} {expected}"
        );
    }
    assert_eq!(told.len(), 20);
    let asked = "stream=width,height,time_base,r_frame_rate,sample_aspect_ratio:stream_tags:format_tags";
    let said = run("ffprobe", &["-v", "error", "-of", "flat", "-show_entries", asked, "FILE"], &path);
    for line in [
        "streams.stream.0.width=64",
        "streams.stream.0.sample_aspect_ratio=\"64:45\"",
        "streams.stream.0.r_frame_rate=\"30000/1001\"",
        &format!("streams.stream.0.time_base=\"1/{per_second}\""),
        "streams.stream.0.tags.color_range=\"pc\"",
        "streams.stream.0.tags.chroma_location=\"left\"",
        "format.tags.title=\"front door\"",
        "format.tags.creation_time=\"20",
    ] {
        assert!(said.contains(line), "{line} in\n{said}");
    }
}
