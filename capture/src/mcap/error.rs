//! Why an MCAP file was refused.

use framewire_transport::frame::FormatError;
use thiserror::Error;

/// Why an MCAP file, or an image in it, cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum McapError {
    /// It does not begin as one does.
    #[error(
        "it is no MCAP file: it does not begin as one does; a bag of ROS 1 or in SQLite is converted by rosbags-convert"
    )]
    Magic,
    /// It has no channel whose messages are frames.
    #[error(
        "it has no channel of images (sensor_msgs/msg/Image as CDR); it has {0}; encoded pictures are decoded where they come from, or by \
         image_transport"
    )]
    NoImages(String),
    /// No channel of images has the name that was asked for.
    #[error("it has no images under '{asked}'; it has them under {has}")]
    Topic {
        /// What was asked for.
        asked: String,
        /// Those there are.
        has: String,
    },
    /// The channel has no message.
    #[error(
        "there is no image under {0}, though there is a channel; record it again, or name another: FILE.mcap#/topic"
    )]
    Empty(String),
    /// Its chunks are compressed.
    #[error("its chunks are compressed with {0}; write it without: mcap decompress FILE.mcap -o PLAIN.mcap")]
    Compressed(String),
    /// A message is not what its channel says.
    #[error(
        "the image at byte {at} cannot be read: {reason}; the file is damaged, or what wrote it is: record it again"
    )]
    Image {
        /// Where its data begins.
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// No pixel format is called so.
    #[error(
        "its images are encoded as '{0}', which is no pixel format here; see framewire formats, and convert them to one of these"
    )]
    Encoding(String),
    /// The size and the rows do not go with the pixel format.
    #[error("its images cannot be: {0}")]
    Format(#[from] FormatError),
}
