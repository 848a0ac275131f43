//! What a source is told: where its stream comes from, and how.

use framewire_ends::{Class, Error, OpenOptions, ReceiveOptions, ServerPlace, Source, WatchOptions};
use framewire_transport::Protection;

use crate::choices::{DeliveryChoice, TimestampMode};
use crate::key;

/// Slots of a stream from the network in which frames are assembled.
const ASSEMBLED: usize = 4;

/// The properties.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) stream: Option<String>,
    pub(super) share: Option<String>,
    pub(super) server: Option<String>,
    pub(super) join: Option<String>,
    pub(super) udp: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) delivery: DeliveryChoice,
    pub(super) slots: u32,
    pub(super) queue: u32,
    pub(super) partial: bool,
    pub(super) key_file: Option<String>,
    pub(super) insecure: bool,
    pub(super) reconnect: bool,
    pub(super) timestamp_mode: TimestampMode,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stream: None,
            share: None,
            server: None,
            join: None,
            udp: None,
            listen: None,
            delivery: DeliveryChoice::Latest,
            slots: 4,
            queue: 0,
            partial: false,
            key_file: None,
            insecure: false,
            reconnect: true,
            timestamp_mode: TimestampMode::Capture,
        }
    }
}

/// Where frames come from.
pub(super) enum Place {
    /// At once there: it is waited for the stream where it is used.
    Found(Source),
    /// A hub of this machine is to be asked for it.
    Hub(OpenOptions),
}

impl Settings {
    /// Frames that downstream may hold.
    pub(super) fn slots(&self) -> usize {
        self.slots as usize
    }

    /// Where they mean that frames come from.
    ///
    /// # Errors
    /// They contradict each other, or say what cannot be; an address that another program has.
    pub(super) fn place(&self) -> Result<Place, Error> {
        let places = [
            ("server", self.server.is_some()),
            ("join", self.join.is_some()),
            ("listen", self.listen.is_some()),
            ("share", self.share.is_some()),
        ];
        let said: Vec<_> = places.into_iter().filter_map(|(name, is_said)| is_said.then_some(name)).collect();
        if let [one, other, ..] = said.as_slice() {
            let text =
                format!("a stream comes from one place, and both {one} and {other} are said; leave one of them out");
            return Err(Error::new(Class::Argument, "two-places", text));
        }
        if let Some(address) = &self.listen {
            return Ok(Place::Found(Source::bind(address, &self.received()?)?));
        }
        let server = match (&self.server, &self.join) {
            (Some(url), _) => Some(ServerPlace::Url(url.clone())),
            (None, Some(join)) => Some(ServerPlace::Join(join.clone())),
            (None, None) => None,
        };
        if let Some(server) = server {
            let Some(stream) = &self.stream else {
                let text = "which stream of the server is not said; say stream=NAME, as `framewire ls` lists them";
                return Err(Error::new(Class::Argument, "no-stream", text));
            };
            let options = WatchOptions::new()
                .receive(self.received()?)
                .delivery(Some(self.delivery.into()))
                .udp(self.udp.clone());
            return Ok(Place::Found(Source::watch(stream, &server, &options)?));
        }
        let hub = self.share.as_deref().map(str::parse).transpose()?;
        let options = OpenOptions::new().hub(hub).slots(self.slots()).queue(self.queue());
        Ok(Place::Hub(options.every(self.delivery == DeliveryChoice::Every).reconnect(self.reconnect)))
    }

    fn received(&self) -> Result<ReceiveOptions, Error> {
        let keys: Vec<_> = self.key_file.as_deref().map(key::read).transpose()?.into_iter().collect();
        Ok(ReceiveOptions::new()
            .slots(self.slots() + ASSEMBLED)
            .queue(self.queue())
            .reconnect(self.reconnect)
            .partial(self.partial)
            .keys(keys)
            .protection(if self.insecure { Protection::Off } else { Protection::Auto }))
    }

    fn queue(&self) -> Option<usize> {
        usize::try_from(self.queue).ok().filter(|frames| *frames > 0)
    }
}
