//! What a sink is told: where its stream goes, and how.

use framewire_ends::{Class, Error, Output, OutputOptions, ServerPlace};
use framewire_transport::Protection;

use crate::choices::{DeliveryChoice, Way};
use crate::key;

/// The properties.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) stream: Option<String>,
    pub(super) server: Option<String>,
    pub(super) join: Option<String>,
    pub(super) address: Option<String>,
    pub(super) share: Option<String>,
    pub(super) delivery: DeliveryChoice,
    pub(super) path: Way,
    pub(super) slots: u32,
    pub(super) key_file: Option<String>,
    pub(super) insecure: bool,
    pub(super) reconnect: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stream: None,
            server: None,
            join: None,
            address: None,
            share: None,
            delivery: DeliveryChoice::Latest,
            path: Way::Auto,
            slots: 0,
            key_file: None,
            insecure: false,
            reconnect: true,
        }
    }
}

impl Settings {
    /// The output that they mean; the stream goes by the element's name where it has none of its own.
    ///
    /// # Errors
    /// They contradict each other, or say what cannot be; another stream of this machine has the name.
    pub(super) fn output(&self, element: &str) -> Result<Output, Error> {
        let name = self.stream.as_deref().unwrap_or(element);
        let places = [
            ("server", self.server.is_some()),
            ("join", self.join.is_some()),
            ("address", self.address.is_some()),
            ("share", self.share.is_some()),
        ];
        let said: Vec<_> = places.into_iter().filter_map(|(name, is_said)| is_said.then_some(name)).collect();
        if let [one, other, ..] = said.as_slice() {
            let text =
                format!("a stream goes to one place, and both {one} and {other} are said; leave one of them out");
            return Err(Error::new(Class::Argument, "two-places", text));
        }
        let options = self.options()?;
        if let Some(url) = &self.server {
            return Output::serve(&ServerPlace::Url(url.clone()), name, options);
        }
        if let Some(join) = &self.join {
            return Output::join(join, name, options);
        }
        if let Some(address) = &self.address {
            return Output::connect(address, options);
        }
        Output::publish(name, self.share.as_deref().map(str::parse).transpose()?, options)
    }

    fn options(&self) -> Result<OutputOptions, Error> {
        let key = self.key_file.as_deref().map(key::read).transpose()?;
        let slots = usize::try_from(self.slots).ok().filter(|slots| *slots > 0);
        Ok(OutputOptions::new()
            .delivery(self.delivery.into())
            .slots(slots)
            .key(key)
            .protection(if self.insecure { Protection::Off } else { Protection::Auto })
            .path(self.path.into()))
    }
}
