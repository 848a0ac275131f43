use std::fs;

use super::*;

fn parse(text: &str) -> SourceSpec {
    text.parse().unwrap()
}

fn refused(spec: &str, options: SourceOptions) -> String {
    let Err(error) = parse(spec).open(&options) else { panic!("{spec} opened") };
    error.to_string()
}

#[test]
fn a_source_reads_as_the_command_line_writes_it() {
    assert_eq!(parse("pattern"), SourceSpec::Pattern { size: (1920, 1080), pixel: None });
    assert_eq!(parse("pattern:640x480"), SourceSpec::Pattern { size: (640, 480), pixel: None });
    let yuv = SourceSpec::Pattern { size: (640, 480), pixel: Some(PixelFormat::Yuv422p) };
    assert_eq!(parse("pattern:640x480:yuv422p"), yuv);
    assert_eq!(parse("camera:2"), SourceSpec::Camera(2));
    assert_eq!(parse("-"), SourceSpec::Stdin);
    for file in ["video.mp4", "./-", "./pattern", "a:b.y4m", "patterns", "C:\\video.y4m"] {
        assert_eq!(parse(file), SourceSpec::File(file.into()));
        assert_eq!(parse(file).to_string(), file);
    }
    for text in ["pattern:640x480", "pattern:640x480:bgr24", "camera:0", "-"] {
        assert_eq!(parse(text).to_string(), text);
    }
}

#[test]
fn names_that_cannot_be_are_refused_with_the_value_and_the_form() {
    let message = |text: &str| text.parse::<SourceSpec>().unwrap_err().to_string();
    assert!(message("").contains("use pattern, camera:N, - for Y4M"));
    assert!(message("pattern:").contains("'pattern:' is no pattern: '' is no frame size"));
    assert!(message("pattern:640").contains("'640' is no frame size"));
    assert!(message("pattern:640x480:rgb25").contains("unknown pixel format 'rgb25'; did you mean rgb24?"));
    assert!("pattern:641x479:yuv420p".parse::<SourceSpec>().is_ok());
    assert!(message("pattern:0x480").contains("no pixels"));
    for camera in ["camera", "camera:", "camera:first", "camera:-1", "camera:+1", "camera:2147483648"] {
        assert!(message(camera).contains(&format!("'{camera}' is no camera; write camera:N")));
    }
}

#[test]
fn the_pattern_takes_its_pixel_format_from_its_name_or_the_option_and_they_must_agree() {
    let open = |text: &str, pixel| {
        parse(text).open(&SourceOptions { pixel, ..SourceOptions::default() }).map(|source| source.format().pixel())
    };
    assert_eq!(open("pattern", None).unwrap(), PixelFormat::Gray8);
    assert_eq!(open("pattern", Some(PixelFormat::Bgr24)).unwrap(), PixelFormat::Bgr24);
    assert_eq!(open("pattern:64x48:yuv444p", Some(PixelFormat::Yuv444p)).unwrap(), PixelFormat::Yuv444p);
    let error = open("pattern:64x48:yuv444p", Some(PixelFormat::Gray8)).unwrap_err();
    assert!(error.to_string().contains("is yuv444p, and --pixel asks for gray8"), "{error}");
    assert_eq!(open("pattern:65x47", Some(PixelFormat::Yuv420p)).unwrap(), PixelFormat::Yuv420p);
}

#[test]
fn content_decides_before_the_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("video.raw");
    fs::write(&path, b"YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcd").unwrap();
    let source = SourceSpec::File(path).open(&SourceOptions::default()).unwrap();
    assert_eq!(source.format(), FrameFormat::new(PixelFormat::Gray8, 2, 2).unwrap());
    assert_eq!((source.frame_count(), source.is_live()), (Some(1), false));
}

#[test]
fn a_raw_file_needs_its_format() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Video.RAW");
    fs::write(&path, b"abcdefgh").unwrap();
    let name = path.to_str().unwrap();
    assert!(refused(name, SourceOptions::default()).contains("such as --raw-format 1920x1080:gray8@30"));
    let raw_format = Some("2x2:gray8@12.5".parse().unwrap());
    let source = parse(name).open(&SourceOptions { raw_format, pixel: None }).unwrap();
    assert_eq!((source.frame_count(), source.frame_rate().unwrap().to_string()), (Some(2), "25/2".to_owned()));
    let wrong = SourceOptions { raw_format, pixel: Some(PixelFormat::Bgr24) };
    assert!(refused(name, wrong).contains("is gray8, and --pixel asks for bgr24"));
}

#[test]
fn files_that_cannot_be_read_are_refused_with_the_path_and_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let options = SourceOptions::default();
    let missing = refused(&path("missing.mp4"), options);
    assert!(missing.contains("missing.mp4'; check the path, or use pattern"), "{missing}");
    assert!(refused(directory.path().to_str().unwrap(), options).contains("is a directory with no pictures in it"));
    fs::write(path("empty.mp4"), b"").unwrap();
    assert!(refused(&path("empty.mp4"), options).contains("is empty"));
    fs::write(path("wrong.y4m"), b"nothing of the kind\n").unwrap();
    assert!(refused(&path("wrong.y4m"), options).contains("begins with 'nothing of the kind'"));
}

#[cfg(unix)]
#[test]
fn a_device_is_refused_and_a_named_pipe_is_read_as_a_stream() {
    use std::process::Command;

    assert!(refused("/dev/null", SourceOptions::default()).contains("is a device, not a file"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    std::thread::scope(|scope| {
        scope.spawn(|| fs::write(&path, b"YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcd").unwrap());
        let source = SourceSpec::File(path.clone()).open(&SourceOptions::default()).unwrap();
        assert_eq!(source.frame_count(), None);
    });
}

#[cfg(not(feature = "opencv"))]
#[test]
fn what_only_opencv_reads_names_the_feature_and_the_packages() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("video.mp4");
    fs::write(&path, b"\0\0\0\x18ftypmp42").unwrap();
    for source in [path.to_str().unwrap(), "camera:0"] {
        let message = refused(source, SourceOptions::default());
        assert!(message.contains("install libopencv-dev, clang and libclang-dev"), "{message}");
        assert!(message.contains("--features opencv"), "{message}");
    }
}
