//! `sensor_msgs/msg/Image`, as ROS 2 defines it.

/// The message's definition with those that it names, as ROS 2 joins them.
pub(super) const DEFINITION: &str = "\
# An uncompressed image; (0, 0) is its top left corner
std_msgs/Header header # Time of acquisition, and the frame of the camera
uint32 height # Rows
uint32 width # Columns
string encoding # Channels, their order and size
uint8 is_bigendian # Whether the samples are big-endian
uint32 step # Bytes from row to row
uint8[] data # step * rows bytes
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
";
