//! The sink's properties, as `gst-inspect-1.0` lists them.

use gst::glib;
use gst::prelude::*;

use super::settings::Settings;
use crate::choices::{DeliveryChoice, Way};

/// All of them.
pub(super) fn all() -> Vec<glib::ParamSpec> {
    let text = |name: &str, nick: &str, blurb: &str| {
        glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
    };
    vec![
        text("stream", "Stream", "What the stream is called; the element's name where nothing is said"),
        text("server", "Server", "A server that the stream goes to, http://HOST:PORT, or https://HOST:PORT where this machine trusts its certificate"),
        text("join", "Join", "A protected server that the stream goes to: the file that it wrote (--join-file), or the line that it prints, which is a secret"),
        text("address", "Address", "A program that the stream goes to, which listens at HOST:PORT"),
        text("share", "Share", "The hub at which programs of this machine read the stream where neither server, join nor address is said: a name or a path; one of the stream's name where nothing is said"),
        glib::ParamSpecEnum::builder_with_default("delivery", DeliveryChoice::Latest)
            .nick("Delivery")
            .blurb("Whether the newest frame wins, or none is lost and upstream waits")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("path", Way::Auto)
            .nick("Path")
            .blurb("Which way frames take to a server or an address")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("slots")
            .nick("Slots")
            .blurb("Slots for frames that are written and on their way, 1 to 39; 0: as many as the way needs")
            .maximum(39)
            .mutable_ready()
            .build(),
        text("key-file", "Key file", "A file with the key that the program at address has, too, which nobody else may read: with it frames are encrypted"),
        glib::ParamSpecBoolean::builder("insecure")
            .nick("Insecure")
            .blurb("Send frames to other machines that nothing protects")
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("reconnect")
            .nick("Reconnect")
            .blurb("Wait for a server or a program that is away, and say so on the bus; else that is an error")
            .default_value(true)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("frames-copied")
            .nick("Frames copied")
            .blurb("Buffers that were copied into slots, as upstream did not write them there, or others had them too")
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("What became of the frames: sent, delivered, skipped, copied, refused, bytes, readers, is-open, protection")
            .read_only()
            .build(),
    ]
}

/// Sets one.
pub(super) fn set(settings: &mut Settings, value: &glib::Value, name: &str) {
    // GObject gives no other type than the declared one.
    let text = || value.get::<Option<String>>().ok().flatten().filter(|text| !text.is_empty());
    match name {
        "stream" => settings.stream = text(),
        "server" => settings.server = text(),
        "join" => settings.join = text(),
        "address" => settings.address = text(),
        "share" => settings.share = text(),
        "delivery" => settings.delivery = value.get().unwrap_or_default(),
        "path" => settings.path = value.get().unwrap_or_default(),
        "slots" => settings.slots = value.get().unwrap_or_default(),
        "key-file" => settings.key_file = text(),
        "insecure" => settings.insecure = value.get().unwrap_or_default(),
        "reconnect" => settings.reconnect = value.get().unwrap_or(true),
        _ => {}
    }
}

/// One of those that can be set.
pub(super) fn value(settings: &Settings, name: &str) -> glib::Value {
    match name {
        "stream" => settings.stream.to_value(),
        "server" => settings.server.to_value(),
        // It may be the line itself, and that is shown to nobody.
        "join" => settings.join.as_deref().filter(|join| !join.trim_start().starts_with("framewire:")).to_value(),
        "address" => settings.address.to_value(),
        "share" => settings.share.to_value(),
        "delivery" => settings.delivery.to_value(),
        "path" => settings.path.to_value(),
        "slots" => settings.slots.to_value(),
        "key-file" => settings.key_file.to_value(),
        "insecure" => settings.insecure.to_value(),
        _ => settings.reconnect.to_value(),
    }
}
