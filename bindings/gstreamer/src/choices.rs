//! Properties that are one of a few words.

use framewire_transport::{Delivery, PathChoice};
use gst::glib;

/// What becomes of frames that cannot go on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstFramewireDelivery")]
pub enum DeliveryChoice {
    /// The newest frame wins.
    #[default]
    #[enum_value(name = "Nothing is stale: what cannot leave in time gives way to the next", nick = "latest")]
    Latest,
    /// All are kept, and whoever makes them waits.
    #[enum_value(name = "Nothing is lost: whoever makes frames waits", nick = "every")]
    Every,
}

impl From<DeliveryChoice> for Delivery {
    fn from(choice: DeliveryChoice) -> Self {
        match choice {
            DeliveryChoice::Latest => Self::Latest,
            DeliveryChoice::Every => Self::Every,
        }
    }
}

/// Which ways frames take to a server or a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstFramewirePath")]
pub enum Way {
    /// Whichever is best.
    #[default]
    #[enum_value(name = "Shared memory where that is on this machine, else UDP", nick = "auto")]
    Auto,
    /// Datagrams.
    #[enum_value(name = "UDP, on this machine too", nick = "udp")]
    Udp,
    /// Shared memory.
    #[enum_value(name = "Shared memory, and nothing else", nick = "shm")]
    Shm,
}

impl From<Way> for PathChoice {
    fn from(way: Way) -> Self {
        match way {
            Way::Auto => Self::Auto,
            Way::Udp => Self::Udp,
            Way::Shm => Self::Shm,
        }
    }
}

/// What the time of a buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstFramewireTimestampMode")]
pub enum TimestampMode {
    /// That of the picture.
    #[default]
    #[enum_value(name = "When the picture was taken, on the pipeline's clock", nick = "capture")]
    Capture,
    /// That of its arrival.
    #[enum_value(name = "When the frame came out of the element", nick = "receive")]
    Receive,
}
