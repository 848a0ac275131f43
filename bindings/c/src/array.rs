//! Pixels as an array.

use framewire_ends::array::{ArrayLayout, DIMENSIONS_MAX, Item};

use crate::border::growing;

/// What the items of an array are: little-endian words.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fw_item {
    /// Unsigned, one byte.
    FW_U8 = 1,
    /// Unsigned, two bytes.
    FW_U16 = 2,
    /// A float of four bytes.
    FW_F32 = 4,
}

/// Where the items of an array lie in a frame's bytes.
///
/// - one sample a pixel: height, width
/// - several: height, width, samples, in the order of the format's name; two bytes a pixel for yuyv and uyvy
/// - packed formats (mono10p, v210): height, bytes of a row
/// - planar and semi-planar YUV as OpenCV has it: (height * 3 / 2), width for 4:2:0; (height * 2), width for 4:2:2; 3, height, width for 4:4:4
/// - bytes: as many as the frame has
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_array {
    /// sizeof (fw_array), set by the caller.
    pub size: usize,
    /// Bytes from the frame's first to the array's.
    pub offset: usize,
    /// What the items are: an fw_item, which is also how many bytes one has.
    pub item: u32,
    /// How many dimensions there are, 1 to 3.
    pub dimensions: u32,
    /// Items in each dimension, rows before columns; 1 in those that there are not.
    pub shape: [usize; 3],
    /// Bytes from one item to the next in each dimension; 0 in those that there are not.
    pub strides: [usize; 3],
}

const _: () = assert!(DIMENSIONS_MAX == 3);

growing!(fw_array { size, offset, item, dimensions, shape, strides });

impl From<ArrayLayout> for fw_array {
    fn from(layout: ArrayLayout) -> Self {
        let item = match layout.item {
            Item::U8 => fw_item::FW_U8,
            Item::U16 => fw_item::FW_U16,
            Item::F32 => fw_item::FW_F32,
        };
        let dimensions = layout.shape().len();
        let (mut shape, mut strides) = ([1; DIMENSIONS_MAX], [0; DIMENSIONS_MAX]);
        shape[..dimensions].copy_from_slice(layout.shape());
        strides[..dimensions].copy_from_slice(layout.strides());
        Self { size: 0, offset: layout.offset, item: item as u32, dimensions: dimensions as u32, shape, strides }
    }
}
