//! Real sequences out of ffmpeg, through client and server, back into ffmpeg: every picture is the one that went in.
#![allow(missing_docs)]

mod running;

use std::path::Path;
use std::process::Command;

use framewire_capture::{SourceOptions, SourceSpec};
use framewire_testing::{has_programs, skip};
use running::{Server, figure};
use tempfile::TempDir;

/// Frames of the clip that is made where no video is given; odd times, and what is neither flat nor still.
const OWN_CLIP: [&str; 4] = ["-f", "lavfi", "-i", "testsrc=s=322x242:r=30000/1001:d=2,noise=alls=30:allf=t"];

/// Runs ffmpeg and gives what it wrote to its standard output.
fn ffmpeg(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-y"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The hashes of all pictures that ffmpeg reads there.
fn hashes(input: &[&str]) -> Vec<String> {
    let said = ffmpeg(&[input, &["-fps_mode", "passthrough", "-f", "framemd5", "-"]].concat());
    let lines = String::from_utf8(said).unwrap();
    lines
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit(',').next().unwrap().to_owned())
        .collect()
}

/// A place to work in, and ffmpeg's arguments for the video: the one that `FRAMEWIRE_MEDIA` names, else one that ffmpeg makes.
fn clip() -> Option<(TempDir, Vec<String>)> {
    if !has_programs(&["ffmpeg", "ffprobe"], "apt-get install ffmpeg") {
        return None;
    }
    let input = match std::env::var("FRAMEWIRE_MEDIA") {
        Err(_) => OWN_CLIP.map(str::to_owned).to_vec(),
        Ok(file) if Path::new(&file).is_file() => vec!["-i".to_owned(), file],
        Ok(file) => {
            skip(format_args!("there is no video '{file}', which FRAMEWIRE_MEDIA names"));
            return None;
        }
    };
    Some((tempfile::tempdir().unwrap(), input))
}

/// Width, height and rate as ffprobe says them.
fn shape(file: &str) -> (String, String) {
    let fields = ["-v", "error", "-show_entries", "stream=width,height,r_frame_rate", "-of", "csv=p=0"];
    let said = Command::new("ffprobe").args(fields).arg(file).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    let [width, height, rate] = said.trim().split(',').collect::<Vec<_>>()[..] else { panic!("{said}") };
    (format!("{width}x{height}"), rate.to_owned())
}

/// Sends `source` into a server with these sinks; every frame must arrive.
fn sent(source: &[&str], sinks: &[&str], frames: usize) {
    let sinks: Vec<_> = sinks.iter().flat_map(|sink| ["--sink", sink]).collect();
    let server = Server::start(&sinks);
    let output = server.client(&[source, &["--fps", "max", "--json"]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(figure(&output.stdout, &["frames_delivered"]), frames as f64);
    server.stop();
}

#[test]
fn ten_bit_y4m_comes_back_into_ffmpeg_as_the_pictures_that_ffmpeg_wrote() {
    let Some((place, input)) = clip() else { return };
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (original, y4m, nut, again) = (at("in.y4m"), at("out.y4m"), at("out.nut"), at("again.y4m"));
    let input: Vec<&str> = input.iter().map(String::as_str).collect();
    let made = ["-pix_fmt", "yuv420p10le", "-strict", "-1", "-f", "yuv4mpegpipe", &original];
    ffmpeg(&[&input[..], &made].concat());
    let expected = hashes(&["-i", &original]);
    assert!(expected.len() >= 50, "{} pictures", expected.len());
    sent(&[&original], &[&y4m, &nut], expected.len());
    for copy in [&y4m, &nut] {
        assert!(hashes(&["-i", copy]) == expected, "{copy} has other pictures");
    }
    // What came out is a source as good as what went in.
    sent(&[&y4m], &[&again], expected.len());
    assert!(hashes(&["-i", &again]) == expected);
}

#[test]
fn raw_nv12_comes_back_into_ffmpeg_as_the_pictures_that_ffmpeg_wrote() {
    let Some((place, input)) = clip() else { return };
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (original, raw, nut) = (at("in.yuv"), at("out.raw"), at("out.nut"));
    let input: Vec<&str> = input.iter().map(String::as_str).collect();
    let lossless = at("clip.nut");
    ffmpeg(&[&input[..], &["-pix_fmt", "nv12", "-c:v", "rawvideo", &lossless]].concat());
    let (size, rate) = shape(&lossless);
    ffmpeg(&["-i", &lossless, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "nv12", &original]);
    let as_raw = |file| ["-f", "rawvideo", "-pix_fmt", "nv12", "-video_size", &size, "-framerate", &rate, "-i", file];
    let expected = hashes(&as_raw(&original));
    assert!(expected.len() >= 50, "{} pictures", expected.len());
    sent(&[&original, "--raw-format", &format!("{size}:NV12@{rate}")], &[&raw, &nut], expected.len());
    assert!(hashes(&as_raw(&raw)) == expected, "the recording has other pictures");
    assert!(hashes(&["-i", &nut]) == expected, "NUT has other pictures");
    // With its index, the recording says itself what it is.
    let recording = SourceSpec::File(raw.clone().into()).open(&SourceOptions::default()).unwrap();
    assert_eq!(recording.format().to_string(), format!("{size} nv12"));
    std::fs::remove_file(&original).unwrap();
    let again = at("again.nut");
    sent(&[&raw], &[&again], expected.len());
    assert!(hashes(&["-i", &again]) == expected);
}

#[test]
fn sixteen_bit_pngs_come_back_into_ffmpeg_as_the_pictures_that_ffmpeg_wrote() {
    let Some((place, input)) = clip() else { return };
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let input: Vec<&str> = input.iter().map(String::as_str).collect();
    // Without zeroes before the number: the tenth is behind the ninth all the same.
    let numbered = at("shot-%d.png");
    ffmpeg(&[&input[..], &["-pix_fmt", "gray16be", &numbered]].concat());
    let (size, _) = shape(&at("shot-1.png"));
    let words = ["-pix_fmt", "gray16le"];
    let expected = hashes(&[&["-framerate", "25", "-i", &numbered][..], &words].concat());
    assert!(expected.len() >= 50, "{} pictures", expected.len());
    for source in [place.path().to_str().unwrap().to_owned(), at("shot-*.png")] {
        let (raw, piped) = (at("out.raw"), at("piped.raw"));
        let mut server = Server::start(&["--sink", &raw, "--sink", "-:raw"]);
        let (mut out, mut file) = (server.running.take_stdout(), std::fs::File::create(&piped).unwrap());
        let copied = std::thread::spawn(move || std::io::copy(&mut out, &mut file).unwrap());
        let output = server.client(&[&source, "--fps", "max", "--json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(figure(&output.stdout, &["frames_delivered"]), expected.len() as f64);
        server.stop();
        copied.join().unwrap();
        let as_raw =
            |file| [&["-f", "rawvideo"][..], &words, &["-video_size", &size, "-framerate", "25", "-i", file]].concat();
        assert!(hashes(&as_raw(&raw)) == expected, "{source}: the recording has other pictures");
        assert!(hashes(&as_raw(&piped)) == expected, "{source}: what was piped has other pictures");
        for file in [raw.clone(), format!("{raw}.index"), piped] {
            std::fs::remove_file(file).unwrap();
        }
    }
}
