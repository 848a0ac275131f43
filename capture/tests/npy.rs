//! Arrays of NumPy's, judged by NumPy: what it saves is what is sent.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;
use std::process::Command;

use framewire_capture::{CaptureError, FrameSource, NpyError, SourceOptions, SourceSpec};
use framewire_transport::frame::{FramePool, PixelFormat};

fn open(path: &Path, pixel: Option<PixelFormat>) -> Result<Box<dyn FrameSource>, CaptureError> {
    SourceSpec::File(path.to_owned()).open(&SourceOptions::new().pixel(pixel))
}

/// All frames, one after the other, and what came after the last.
fn frames_of(source: &mut dyn FrameSource) -> (Vec<u8>, Result<bool, CaptureError>) {
    let pool = FramePool::for_format(1, source.format()).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    let mut bytes = Vec::new();
    loop {
        match source.next_frame(&mut frame) {
            Ok(true) => bytes.extend_from_slice(&frame),
            end => return (bytes, end),
        }
    }
}

/// Saves arrays of every shape and type in every version of the form, beside their bytes, and prints what each is.
const SAVE: &str = r#"
import os, sys, numpy
from numpy.lib import format
numpy.random.seed(7)
def save(name, array, version=None):
    with open(f"{name}.npy", "wb") as file:
        format.write_array(file, array, version) if version else numpy.save(file, array)
    with open(f"{name}.bin", "wb") as file:
        file.write(array.tobytes())
def numbers(shape, dtype):
    if dtype == numpy.float32:
        array = numpy.random.normal(3, 2, shape).astype(dtype)
        array.flat[0], array.flat[1] = numpy.nan, numpy.inf
        return array
    return numpy.random.randint(0, numpy.iinfo(dtype).max + 1, shape, dtype=dtype)
os.chdir(sys.argv[1])
kinds = [(numpy.uint8, 1, "gray8"), (numpy.uint16, 1, "gray16"), (numpy.float32, 1, "depth32f"), (numpy.uint8, 3, "rgb24"), (numpy.uint8, 4, "rgba32")]
height, width = 12, 17
for dtype, channels, pixel in kinds:
    shapes = [((height, width, channels), 1), ((5, height, width, channels), 5)]
    if channels == 1:
        shapes += [((height, width), 1), ((5, height, width), 5)]
    for shape, frames in shapes:
        for version in (None, (1, 0), (2, 0), (3, 0)):
            name = f"{dtype.__name__}-{'x'.join(map(str, shape))}-{version and version[0]}"
            save(name, numbers(shape, dtype), version)
            print(name, f"{width}x{height}", pixel, frames)
"#;

#[test]
fn every_shape_and_type_in_every_version_gives_the_bytes_that_numpy_saved() {
    let Some(python) = framewire_testing::python("import numpy", "pip install numpy") else { return };
    let directory = tempfile::tempdir().unwrap();
    let saved = Command::new(python).args(["-c", SAVE]).arg(directory.path()).output().unwrap();
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    let printed = String::from_utf8(saved.stdout).unwrap();
    for line in printed.lines() {
        let [name, size, pixel, frames] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let path = directory.path().join(format!("{name}.npy"));
        let mut source = open(&path, None).unwrap();
        assert_eq!(source.format().to_string(), format!("{size} {pixel}"), "{name}");
        assert_eq!((source.frame_count(), source.is_live()), (Some(frames.parse().unwrap()), false), "{name}");
        let expected = fs::read(directory.path().join(format!("{name}.bin"))).unwrap();
        for _ in 0..2 {
            let (bytes, end) = frames_of(&mut *source);
            assert!(bytes == expected && !end.unwrap(), "{name}");
            source.rewind().unwrap();
        }
    }
    assert_eq!(printed.lines().count(), (3 * 4 + 2 * 2) * 4);
}

/// Saves what cannot be sent.
const SAVE_REFUSED: &str = r#"
import os, sys, numpy, pickle
os.chdir(sys.argv[1])
class Told:
    def __reduce__(self):
        return (os.system, ("touch executed",))
numpy.save("fortran.npy", numpy.asfortranarray(numpy.zeros((4, 6), "u1")))
numpy.save("big16.npy", numpy.zeros((4, 6), ">u2"))
numpy.save("big32.npy", numpy.zeros((4, 6), ">f4"))
numpy.save("objects.npy", numpy.array([[Told()] * 6] * 4, dtype=object), allow_pickle=True)
with open("pickle.npy", "wb") as file:
    pickle.dump(Told(), file)
numpy.save("fields.npy", numpy.zeros((4, 6), [("a", "<u2"), ("b", "u1")]))
numpy.savez("archive.npz", numpy.zeros((4, 6), "u1"))
os.rename("archive.npz", "archive.npy")
for dtype in ("bool", "int8", "int16", "int32", "int64", "uint32", "uint64", "float16", "float64", "complex64", "U3", "datetime64[s]"):
    numpy.save(f"{dtype}.npy", numpy.zeros((4, 6), dtype))
numpy.save("colour16.npy", numpy.zeros((4, 6, 3), "u2"))
numpy.save("colour32.npy", numpy.zeros((2, 4, 6, 4), "f4"))
numpy.save("two.npy", numpy.zeros((2, 4, 6, 2), "u1"))
numpy.save("zero.npy", numpy.zeros((0, 4, 6), "u1"))
numpy.save("number.npy", numpy.zeros((), "u1"))
numpy.save("line.npy", numpy.zeros(24, "u1"))
numpy.save("five.npy", numpy.zeros((1, 2, 4, 6, 3), "u1"))
"#;

#[test]
fn what_cannot_be_sent_is_refused_with_its_reason_and_nothing_in_it_is_executed() {
    let Some(python) = framewire_testing::python("import numpy", "pip install numpy") else { return };
    let directory = tempfile::tempdir().unwrap();
    let saved = Command::new(python).args(["-c", SAVE_REFUSED]).arg(directory.path()).output().unwrap();
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    for (name, reason) in [
        ("fortran", "in Fortran order, in which rows do not lie in one piece; save numpy.ascontiguousarray(array)"),
        ("big16", "its numbers (>u2) are big-endian"),
        ("big32", "its numbers (>f4) are big-endian"),
        ("objects", "holds pickled objects (|O), which are never executed here"),
        ("pickle", "begins with '\\x80"),
        ("fields", "a record of fields"),
        ("archive", "begins with 'PK\\x03\\x04"),
        ("bool", "'|b1' (bool)"),
        ("int8", "'|i1' (int8)"),
        ("int16", "'<i2' (int16)"),
        ("int32", "'<i4' (int32)"),
        ("int64", "'<i8' (int64)"),
        ("uint32", "'<u4' (uint32)"),
        ("uint64", "'<u8' (uint64)"),
        ("float16", "'<f2' (float16)"),
        ("float64", "'<f8' (float64)"),
        ("complex64", "'<c8' (complex64)"),
        ("U3", "'<U3'"),
        ("datetime64[s]", "'<M8[s]'"),
        ("colour16", "(4, 6, 3) of uint16, and there is no pixel format of 3 such samples"),
        ("colour32", "(2, 4, 6, 4) of float32, and there is no pixel format of 4 such samples"),
        ("two", "(2, 4, 6, 2): a pixel has 1, 3 or 4 numbers"),
        ("zero", "(0, 4, 6): there is nothing in it"),
        ("number", "(): pictures have 2 to 4 dimensions"),
        ("line", "(24,): pictures have 2 to 4 dimensions"),
        ("five", "(1, 2, 4, 6, 3): pictures have 2 to 4 dimensions"),
    ] {
        let error = open(&directory.path().join(format!("{name}.npy")), None).err().expect(name).to_string();
        assert!(error.contains(&format!("{name}.npy': ")) && error.contains(reason), "{name}: {error}");
    }
    assert!(!directory.path().join("executed").exists());
}

/// A file of version 1.0 with this literal and these bytes.
fn file(literal: &str, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(literal.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], literal.as_bytes(), bytes].concat()
}

const THREE: &str = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 4, 2), }\n";

#[test]
fn a_file_that_is_cut_anywhere_gives_its_whole_pictures_and_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cut.npy");
    let pixels: Vec<u8> = (0..24).collect();
    let whole = file(THREE, &pixels);
    let first = whole.len() - pixels.len();
    for cut in 1..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut source = match open(&path, None) {
            Ok(source) => source,
            Err(CaptureError::Npy { source: NpyError::HeaderTruncated(bytes), .. }) => {
                assert_eq!((bytes, cut < first), (cut as u64, true));
                continue;
            }
            // Not a whole picture: nobody makes room for what is only said.
            Err(CaptureError::Truncated { frame: 0, bytes, expected: 8, .. }) => {
                assert_eq!((bytes + first as u64, bytes < 8), (cut as u64, true));
                continue;
            }
            Err(other) => panic!("cut at {cut}: {other}"),
        };
        let there = cut - first;
        assert!(there >= 8, "cut at {cut}");
        assert_eq!(source.frame_count(), Some(there as u64 / 8));
        let (bytes, end) = frames_of(&mut *source);
        assert_eq!(bytes, pixels[..there / 8 * 8]);
        match end {
            Ok(more) => assert!(!more && there == 24, "cut at {cut}"),
            Err(CaptureError::Truncated { frame, bytes, expected, .. }) => {
                assert_eq!((frame, bytes, expected), (there as u64 / 8, there as u64 % 8, 8));
            }
            Err(other) => panic!("cut at {cut}: {other}"),
        }
    }
}

#[test]
fn bytes_behind_the_array_are_not_sent_and_the_content_decides_before_the_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("array.data");
    fs::write(&path, file(THREE, &[7; 30])).unwrap();
    let mut source = open(&path, None).unwrap();
    assert_eq!((source.format().to_string(), source.frame_count()), ("2x4 gray8".to_owned(), Some(3)));
    assert_eq!(frames_of(&mut *source).0, [7; 24]);
    let raw_format = "2x4:gray8".parse().unwrap();
    assert!(SourceSpec::File(path).open(&SourceOptions::new().raw_format(Some(raw_format))).is_ok());
}

#[test]
fn a_format_that_is_asked_for_says_what_the_numbers_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("array.npy");
    let literal = "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 2, 4), }\n";
    fs::write(&path, file(literal, &[9; 48])).unwrap();
    let error = open(&path, None).err().unwrap().to_string();
    assert!(error.contains("(3, 2, 4) of uint16, and there is no pixel format of 4 such samples"), "{error}");
    for pixel in [PixelFormat::Gray12, PixelFormat::Depth16, PixelFormat::BayerBggr10] {
        let mut source = open(&path, Some(pixel)).unwrap();
        assert_eq!((source.format().to_string(), source.frame_count()), (format!("4x2 {pixel}"), Some(3)));
        assert_eq!(frames_of(&mut *source).0, [9; 48]);
    }
    let error = open(&path, Some(PixelFormat::Rgba32)).err().unwrap().to_string();
    assert!(error.contains("no pixel format of 4 such samples; save one plane of it, or uint8"), "{error}");
}
