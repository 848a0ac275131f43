//! The source's properties, as `gst-inspect-1.0` lists them.

use gst::glib;
use gst::prelude::*;

use super::settings::Settings;
use crate::choices::{DeliveryChoice, TimestampMode};

/// All of them.
pub(super) fn all() -> Vec<glib::ParamSpec> {
    let text = |name: &str, nick: &str, blurb: &str| {
        glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
    };
    let flag = |name: &str, nick: &str, blurb: &str, default: bool| {
        glib::ParamSpecBoolean::builder(name).nick(nick).blurb(blurb).default_value(default).mutable_ready().build()
    };
    vec![
        text("stream", "Stream", "What the stream is called; on this machine the only one there is where nothing is said"),
        text("share", "Share", "The hub of this machine that has the stream: the port of a server, a name, or a path; all of them are asked where nothing is said"),
        text("server", "Server", "The server that has the stream, http://HOST:PORT, or https://HOST:PORT where this machine trusts its certificate"),
        text("join", "Join", "The protected server that has the stream: the file that it wrote (--join-file), or the line that it prints, which is a secret"),
        text("udp", "UDP", "Where frames of a server come in, ADDRESS:PORT or :PORT, such as a firewall lets in; a free port where nothing is said"),
        text("listen", "Listen", "HOST:PORT to listen at for whoever sends there; port 0 takes a free one, which stats say"),
        glib::ParamSpecEnum::builder_with_default("delivery", DeliveryChoice::Latest)
            .nick("Delivery")
            .blurb("Whether the newest frame wins, or every one is asked for: from a hub that lets readers ask, or from a server. With listen it is the sender that says")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("slots")
            .nick("Slots")
            .blurb("Frames that downstream may hold where they lie; the last of them is copied")
            .minimum(1)
            .maximum(60)
            .default_value(4)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("queue")
            .nick("Queue")
            .blurb("Frames of latest that wait for the element at most, 1 to 8; 0: the newest alone")
            .maximum(8)
            .mutable_ready()
            .build(),
        flag("partial", "Partial", "Hand on frames from the network too that did not become whole in time, as corrupted", false),
        text("key-file", "Key file", "With listen, a file with the key that senders have, too, which nobody else may read: with it frames are encrypted"),
        flag("insecure", "Insecure", "Take frames from other machines that nothing protects", false),
        flag("reconnect", "Reconnect", "Wait for a stream, a hub or a server that is away, and say so on the bus; else what is away at first is an error, and the end of the stream is EOS", true),
        glib::ParamSpecEnum::builder_with_default("timestamp-mode", TimestampMode::Capture)
            .nick("Timestamp mode")
            .blurb("What the time of a buffer is")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("frames-copied")
            .nick("Frames copied")
            .blurb("Frames that were copied out of their slots, as downstream held too many, or does not read where planes lie")
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("What became of the frames: taken, dropped, lost, skipped, copied, bytes, streams, reconnects, held; and local-address")
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
        "share" => settings.share = text(),
        "server" => settings.server = text(),
        "join" => settings.join = text(),
        "udp" => settings.udp = text(),
        "listen" => settings.listen = text(),
        "delivery" => settings.delivery = value.get().unwrap_or_default(),
        "slots" => settings.slots = value.get().unwrap_or(settings.slots),
        "queue" => settings.queue = value.get().unwrap_or_default(),
        "partial" => settings.partial = value.get().unwrap_or_default(),
        "key-file" => settings.key_file = text(),
        "insecure" => settings.insecure = value.get().unwrap_or_default(),
        "reconnect" => settings.reconnect = value.get().unwrap_or(true),
        "timestamp-mode" => settings.timestamp_mode = value.get().unwrap_or_default(),
        _ => {}
    }
}

/// One of those that can be set.
pub(super) fn value(settings: &Settings, name: &str) -> glib::Value {
    match name {
        "stream" => settings.stream.to_value(),
        "share" => settings.share.to_value(),
        "server" => settings.server.to_value(),
        // It may be the line itself, and that is shown to nobody.
        "join" => settings.join.as_deref().filter(|join| !join.trim_start().starts_with("framewire:")).to_value(),
        "udp" => settings.udp.to_value(),
        "listen" => settings.listen.to_value(),
        "delivery" => settings.delivery.to_value(),
        "slots" => settings.slots.to_value(),
        "queue" => settings.queue.to_value(),
        "partial" => settings.partial.to_value(),
        "key-file" => settings.key_file.to_value(),
        "insecure" => settings.insecure.to_value(),
        "reconnect" => settings.reconnect.to_value(),
        _ => settings.timestamp_mode.to_value(),
    }
}
