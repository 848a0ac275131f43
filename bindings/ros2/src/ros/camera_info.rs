//! `sensor_msgs/msg/CameraInfo`, of what a frame's metadata says of its camera.

use framewire_capture::ros::CdrWriter;
use serde_json::Value;

/// The message's type in DDS.
pub(crate) const CAMERA_INFO: &str = "sensor_msgs::msg::dds_::CameraInfo_";

/// How a camera sees, in the words of the keys `intrinsics`, `distortion` and `distortion_model` of a frame's JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Intrinsics {
    /// Focal lengths and centre in pixels, row by row: fx 0 cx, 0 fy cy, 0 0 1.
    matrix: [f64; 9],
    distortion: Vec<f64>,
    model: String,
}

impl Intrinsics {
    /// Those that metadata has; `None` where it has none.
    ///
    /// # Errors
    /// What it has in their place.
    pub(crate) fn of(metadata: &Value) -> Result<Option<Self>, String> {
        let Some(matrix) = metadata.get("intrinsics") else { return Ok(None) };
        let numbers = |value: &Value| value.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
        let matrix = numbers(matrix).and_then(|matrix| matrix.try_into().ok()).ok_or_else(|| {
            format!(
                "\"intrinsics\" is {}, and is to be nine numbers, row by row: fx, 0, cx, 0, fy, cy, 0, 0, 1",
                short(matrix)
            )
        })?;
        let distortion = match metadata.get("distortion") {
            None => Vec::new(),
            Some(value) => {
                numbers(value).ok_or_else(|| format!("\"distortion\" is {}, and is to be numbers", short(value)))?
            }
        };
        let model = match metadata.get("distortion_model").and_then(Value::as_str) {
            Some(model) => model.replace('\0', ""),
            // As calibrations have them.
            None => match distortion.len() {
                0 => String::new(),
                8 => "rational_polynomial".to_owned(),
                _ => "plumb_bob".to_owned(),
            },
        };
        Ok(Some(Self { matrix, distortion, model }))
    }

    /// The message, for an image of this size, time and frame.
    pub(crate) fn message(&self, utc_ns: u64, frame_id: &str, width: u32, height: u32) -> Vec<u8> {
        let mut message = Vec::new();
        let mut cdr = CdrWriter::new(&mut message);
        cdr.word(u32::try_from(utc_ns / 1_000_000_000).map_or(i32::MAX as u32, |seconds| seconds.min(i32::MAX as u32)));
        cdr.word((utc_ns % 1_000_000_000) as u32);
        cdr.text(frame_id);
        cdr.word(height);
        cdr.word(width);
        cdr.text(&self.model);
        cdr.word(self.distortion.len() as u32);
        self.distortion.iter().for_each(|number| cdr.double(*number));
        let [fx, skew, cx, ky, fy, cy, kx, kz, one] = self.matrix;
        self.matrix.iter().for_each(|number| cdr.double(*number));
        // Not rectified: seen as it is.
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0].iter().for_each(|number| cdr.double(*number));
        [fx, skew, cx, 0.0, ky, fy, cy, 0.0, kx, kz, one, 0.0].iter().for_each(|number| cdr.double(*number));
        // Binning, and the region of interest: the whole picture.
        (0..2 + 4).for_each(|_| cdr.word(0));
        cdr.byte(0);
        message
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn intrinsics_are_nine_numbers_and_what_is_none_is_told() {
        let matrix = [600.5, 0.0, 320.0, 0.0, 601.0, 240.0, 0.0, 0.0, 1.0];
        let of = |metadata: &Value| Intrinsics::of(metadata);
        assert_eq!(of(&json!({"gain": 2})), Ok(None));
        assert_eq!(of(&json!([1])), Ok(None));
        let found = of(&json!({"intrinsics": matrix, "distortion": [0.1, 0.2, 0, 0, 0]})).unwrap().unwrap();
        assert_eq!((found.matrix, found.distortion.len(), found.model.as_str()), (matrix, 5, "plumb_bob"));
        let eight = of(&json!({"intrinsics": matrix, "distortion": [0, 0, 0, 0, 0, 0, 0, 0]})).unwrap().unwrap();
        assert_eq!(eight.model, "rational_polynomial");
        let named = of(&json!({"intrinsics": matrix, "distortion_model": "equidistant"})).unwrap().unwrap();
        assert_eq!((named.model.as_str(), named.distortion.len()), ("equidistant", 0));
        for wrong in [
            json!({"intrinsics": [1, 2]}),
            json!({"intrinsics": "x"}),
            json!({"intrinsics": [1, 2, 3, 4, 5, 6, 7, 8, null]}),
        ] {
            assert!(of(&wrong).unwrap_err().contains("nine numbers"), "{wrong}");
        }
        assert!(of(&json!({"intrinsics": matrix, "distortion": 1})).unwrap_err().contains("is to be numbers"));
    }
}
