//! Says version, date and commit to GStreamer.

fn main() {
    gst_plugin_version_helper::info();
}
