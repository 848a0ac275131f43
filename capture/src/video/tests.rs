use framewire_transport::frame::FramePool;
use opencv::core::Size;
use opencv::imgcodecs;
use opencv::videoio::{VideoWriter, VideoWriterTrait, VideoWriterTraitConst};

use super::*;
use crate::pattern;

const FRAMES: u64 = 12;

/// An encoded video of the pattern, by OpenCV itself: its bgr24 frames as MJPG.
fn encoded(directory: &tempfile::TempDir, width: u32, height: u32) -> PathBuf {
    let path = directory.path().join("pattern.avi");
    let fourcc = VideoWriter::fourcc('M', 'J', 'P', 'G').unwrap();
    let size = Size::new(width.cast_signed(), height.cast_signed());
    let mut writer = VideoWriter::new(path.to_str().unwrap(), fourcc, 30_000.0 / 1001.0, size, true).unwrap();
    assert!(writer.is_opened().unwrap());
    let format = FrameFormat::new(PixelFormat::Bgr24, width, height).unwrap();
    let mut bytes = vec![0; format.frame_bytes()];
    for number in 0..FRAMES {
        pattern::draw(&mut bytes, &format, number).unwrap();
        let rows = height.cast_signed();
        writer.write(&Mat::new_rows_cols_with_bytes::<Vec3b>(rows, width.cast_signed(), &bytes).unwrap()).unwrap();
    }
    writer.release().unwrap();
    path
}

/// What OpenCV decodes without us.
fn reference(path: &Path) -> Vec<Vec<u8>> {
    let mut capture = VideoCapture::from_file(path, videoio::CAP_ANY).unwrap();
    let mut decoded = Mat::default();
    std::iter::from_fn(|| capture.read(&mut decoded).unwrap().then(|| decoded.data_bytes().unwrap().to_vec())).collect()
}

fn all_frames(source: &mut VideoSource) -> Vec<Vec<u8>> {
    let pool = FramePool::new(1, source.format().frame_bytes() + 1).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    std::iter::from_fn(|| source.next_frame(&mut frame).unwrap().then(|| frame.to_vec())).collect()
}

#[test]
fn a_video_is_decoded_into_the_slot_as_opencv_decodes_it_and_again_after_a_rewind() {
    let directory = tempfile::tempdir().unwrap();
    let path = encoded(&directory, 320, 180);
    let reference = reference(&path);
    let mut source = VideoSource::open_file(&path, None).unwrap();
    assert_eq!(source.format(), FrameFormat::new(PixelFormat::Bgr24, 320, 180).unwrap());
    assert_eq!(source.frame_rate(), Some(FrameRate::new(30_000, 1001).unwrap()));
    assert_eq!((source.frame_count(), source.is_live()), (Some(FRAMES), false));
    for _ in 0..2 {
        assert!(all_frames(&mut source) == reference, "pixels differ from OpenCV's");
        assert_eq!(source.copied_frames(), 1, "only the frame that opening decoded is copied");
        source.rewind().unwrap();
    }
}

#[test]
fn every_pixel_format_comes_out_with_the_frame_number_readable() {
    let directory = tempfile::tempdir().unwrap();
    let path = encoded(&directory, 640, 360);
    let (given, refused): (Vec<_>, Vec<_>) =
        PixelFormat::ALL.into_iter().partition(|pixel| VideoSource::open_file(&path, Some(*pixel)).is_ok());
    use PixelFormat::{Bgr24, Bgra32, Gray8, Rgb24, Rgba32, Yuv420p, Yuv422p, Yuv444p};
    for pixel in [Gray8, Rgb24, Bgr24, Rgba32, Bgra32, Yuv420p, Yuv422p, Yuv444p] {
        assert!(given.contains(&pixel), "{pixel}");
    }
    assert_eq!(given.len(), 8);
    for pixel in refused {
        let error = VideoSource::open_file(&path, Some(pixel)).err().unwrap();
        assert!(matches!(error, CaptureError::PixelFixed { has: Bgr24, wanted, .. } if wanted == pixel), "{error}");
    }
    for pixel in given {
        let mut source = VideoSource::open_file(&path, Some(pixel)).unwrap();
        let format = source.format();
        assert_eq!(format, FrameFormat::new(pixel, 640, 360).unwrap());
        let numbers: Vec<_> =
            all_frames(&mut source).iter().map(|frame| pattern::read_frame_number(frame, &format)).collect();
        assert_eq!(numbers, (0..FRAMES).map(Some).collect::<Vec<_>>(), "{pixel}");
    }
}

#[test]
fn opencvs_yuv420p_and_ours_agree_within_a_step_or_two() {
    let directory = tempfile::tempdir().unwrap();
    let path = encoded(&directory, 64, 48);
    let bgr = FrameFormat::new(PixelFormat::Bgr24, 64, 48).unwrap();
    let yuv = FrameFormat::new(PixelFormat::Yuv420p, 64, 48).unwrap();
    let theirs = all_frames(&mut VideoSource::open_file(&path, Some(PixelFormat::Yuv420p)).unwrap());
    let mut ours = vec![0; yuv.frame_bytes()];
    for (theirs, decoded) in theirs.iter().zip(reference(&path)) {
        bgr24_to_yuv(&decoded, &bgr, &mut ours, &yuv).unwrap();
        let luma = ..yuv.plane_bytes(0);
        assert!(theirs[luma].iter().zip(&ours[luma]).all(|(a, b)| a.abs_diff(*b) <= 2));
    }
}

#[test]
fn chroma_of_an_odd_side_is_rounded_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("picture_0.png");
    let bytes = vec![50; 63 * 48 * 3];
    let matrix = Mat::new_rows_cols_with_bytes::<Vec3b>(48, 63, &bytes).unwrap();
    assert!(imgcodecs::imwrite_def(path.to_str().unwrap(), &matrix).unwrap());
    assert_eq!(all_frames(&mut VideoSource::open_file(&path, None).unwrap()), [bytes]);
    let frames = all_frames(&mut VideoSource::open_file(&path, Some(PixelFormat::Yuv420p)).unwrap());
    assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [63 * 48 + 2 * 32 * 24]);
}

/// By the back end that keeps what is in a file, as those of depth cameras do; FFmpeg's turns all into BGR.
fn by_pictures(path: &Path, pixel: Option<PixelFormat>) -> Result<VideoSource, CaptureError> {
    VideoSource::open(Origin::File(path.into()), pixel, videoio::CAP_IMAGES)
}

/// Pictures that OpenCV's own reader of sequences takes, a file each.
fn pictures<T: opencv::core::DataType>(directory: &tempfile::TempDir, samples: &[T]) -> (PathBuf, Vec<Vec<u8>>) {
    let save = |number: usize| {
        let rolled: Vec<T> = (0..samples.len()).map(|at| samples[(at + number) % samples.len()]).collect();
        let matrix = Mat::new_rows_cols_with_data(48, 64, &rolled).unwrap();
        let path = directory.path().join(format!("picture_{number}.png"));
        assert!(imgcodecs::imwrite_def(path.to_str().unwrap(), &matrix).unwrap());
        matrix.data_bytes().unwrap().to_vec()
    };
    let frames = (0..3).map(save).collect();
    (directory.path().join("picture_0.png"), frames)
}

#[test]
fn sixteen_bits_come_out_as_they_are_and_as_depth_or_bayer_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let samples: Vec<u16> = (0..64 * 48_u32).map(|at| ((at * 40_503) >> 3) as u16).collect();
    let (path, frames) = pictures(&directory, &samples);
    for pixel in [None, Some(PixelFormat::Depth16), Some(PixelFormat::Gray12), Some(PixelFormat::BayerRggb16)] {
        let mut source = by_pictures(&path, pixel).unwrap();
        let expected = FrameFormat::new(pixel.unwrap_or(PixelFormat::Gray16), 64, 48).unwrap();
        assert_eq!(source.format(), expected);
        for _ in 0..2 {
            assert!(all_frames(&mut source) == frames, "{expected}");
            source.rewind().unwrap();
        }
    }
    for pixel in [PixelFormat::Gray8, PixelFormat::Bgr24, PixelFormat::Depth32f] {
        let error = by_pictures(&path, Some(pixel)).err().unwrap().to_string();
        assert!(error.contains(&format!("is gray16, and --pixel asks for {pixel}")), "{error}");
    }
}

#[test]
fn gray_and_colour_with_alpha_come_out_as_they_are_and_in_another_order_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let samples: Vec<u8> = (0..64 * 48_u32).map(|at| ((at * 40_503) >> 5) as u8).collect();
    let (path, frames) = pictures(&directory, &samples);
    for pixel in [None, Some(PixelFormat::BayerBggr8)] {
        let mut source = by_pictures(&path, pixel).unwrap();
        assert_eq!(source.format().pixel(), pixel.unwrap_or(PixelFormat::Gray8));
        assert!(all_frames(&mut source) == frames);
    }
    let directory = tempfile::tempdir().unwrap();
    let samples: Vec<Vec4b> = (0..64 * 48_u32).map(|at| (at * 40_503).to_le_bytes().into()).collect();
    let (path, frames) = pictures(&directory, &samples);
    let mut source = by_pictures(&path, None).unwrap();
    assert_eq!(source.format().pixel(), PixelFormat::Bgra32);
    assert!(all_frames(&mut source) == frames);
    let red_first =
        |frame: &Vec<u8>| frame.chunks(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0], pixel[3]]).collect();
    let red_first: Vec<Vec<u8>> = frames.iter().map(red_first).collect();
    assert!(all_frames(&mut by_pictures(&path, Some(PixelFormat::Rgba32)).unwrap()) == red_first);
}

#[test]
fn what_is_no_video_and_a_camera_that_is_not_there_are_refused_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.mp4");
    std::fs::write(&path, "nothing of the kind").unwrap();
    let error = VideoSource::open_file(&path, None).err().unwrap();
    assert!(error.to_string().contains("notes.mp4': "), "{error}");
    assert!(error.to_string().contains("check with ffprobe that it is a video"), "{error}");
    let error = VideoSource::open_camera(99, None).err().unwrap();
    assert!(error.to_string().starts_with("OpenCV cannot open camera:99: "), "{error}");
}

#[test]
fn a_videos_frames_are_at_their_number_over_the_rate_and_go_on_where_it_starts_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut source = VideoSource::open_file(&encoded(&directory, 64, 48), None).unwrap();
    let pool = FramePool::for_format(1, source.format()).unwrap();
    let mut times = Vec::new();
    while times.len() < 3 * FRAMES as usize {
        let mut frame = pool.try_acquire().unwrap();
        if source.next_frame(&mut frame).unwrap() {
            times.push(frame.info.captured_utc.unwrap());
        } else {
            source.rewind().unwrap();
        }
    }
    for (number, time) in times.iter().enumerate() {
        let since = std::time::Duration::from_nanos(number as u64 * 1001 * 1_000_000_000 / 30_000);
        assert_eq!(*time, times[0] + since, "frame {number}");
    }
}
