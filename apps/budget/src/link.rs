//! A link as the operator names it, and as it is on this machine.

use std::str::FromStr;

use framewire_transport::{Bitrate, BitrateError};
use thiserror::Error;

use crate::card::Card;
use crate::wire::WireCost;

/// Of a link's rate that streams may take together, unless it is said: the rest is for repairs, parity, and all else that uses
/// the link.
pub const SHARE_DEFAULT: f64 = 0.8;
/// Less is a slip of the pen.
const SHARE_MIN: f64 = 0.01;

/// `NAME=RATE[:SHARE]`, such as `eth0=10G` or `eth0=1G:0.95`: an interface, its rate, and which part of it streams may take together.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkSpec {
    /// The interface, such as `eth0`.
    pub name: String,
    /// Of the link, each way.
    pub rate: Bitrate,
    /// 0.01 to 1; [`SHARE_DEFAULT`] where it is not said.
    pub share: f64,
}

/// Why a text is no link.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum LinkSpecError {
    /// It has no name or no rate.
    #[error("'{0}' is no link; write the interface and its rate, such as eth0=10G, or eth0=1G:0.95 for 95 % of it")]
    Form(String),
    /// Its rate is none.
    #[error(transparent)]
    Rate(#[from] BitrateError),
    /// Its share is none.
    #[error("'{0}' is no share of a link; write 0.01 to 1, such as 0.8")]
    Share(String),
}

impl FromStr for LinkSpec {
    type Err = LinkSpecError;

    fn from_str(text: &str) -> Result<Self, LinkSpecError> {
        let shown = |text: &str| text.chars().take(40).collect::<String>();
        let (name, rest) = text.split_once('=').ok_or_else(|| LinkSpecError::Form(shown(text)))?;
        let (rate, share) = rest.split_once(':').map_or((rest, None), |(rate, share)| (rate, Some(share)));
        if name.is_empty() || rate.is_empty() || name.chars().any(char::is_control) {
            return Err(LinkSpecError::Form(shown(text)));
        }
        let share = match share {
            None => SHARE_DEFAULT,
            Some(share) => {
                let read = share.parse().ok().filter(|share| (SHARE_MIN..=1.0).contains(share));
                read.ok_or_else(|| LinkSpecError::Share(shown(share)))?
            }
        };
        Ok(Self { name: name.to_owned(), rate: rate.parse()?, share })
    }
}

/// A link that streams are admitted to.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The interface.
    pub name: String,
    /// What it carries each way, bits a second, all that is on the cable included.
    pub rate: u64,
    /// Which part of it streams may take together, 0.01 to 1.
    pub share: f64,
    /// What a frame is on its cable.
    pub cost: WireCost,
}

impl Link {
    /// What streams may take together, bits a second on the cable, each way.
    pub fn capacity(&self) -> u64 {
        (self.rate as f64 * self.share) as u64
    }
}

/// Why a link cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The machine has no such interface.
    #[error("there is no interface '{name}' for --link; this machine has {there}")]
    Unknown {
        /// As it was given.
        name: String,
        /// Those that there are.
        there: String,
    },
    /// It is there twice.
    #[error("--link has '{0}' twice; give each interface once")]
    Twice(String),
}

/// The links on this machine; and, for people, those whose rate is larger than their card's, which are taken down to that.
///
/// # Errors
/// An interface that the machine has not, or that is named twice.
pub fn links(specs: &[LinkSpec], cards: &[Card]) -> Result<(Vec<Link>, Vec<String>), LinkError> {
    let (mut links, mut told) = (Vec::<Link>::new(), Vec::new());
    for LinkSpec { name, rate, share } in specs {
        let Some(card) = cards.iter().find(|card| card.name == *name) else {
            let there = cards.iter().map(|card| card.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(LinkError::Unknown { name: name.escape_debug().to_string(), there });
        };
        if links.iter().any(|link| link.name == *name) {
            return Err(LinkError::Twice(name.clone()));
        }
        let (asked, most) = (rate.bits_per_second(), card.bits_per_second.unwrap_or(u64::MAX));
        if asked > most {
            told.push(format!(
                "--link {name} says {}, and its card carries {}: it is taken as that; say {name}={} to have it said",
                shown(asked),
                shown(most),
                short(most)
            ));
        }
        let cost = WireCost::of_mtu(card.mtu);
        links.push(Link { name: name.clone(), rate: asked.min(most), share: *share, cost });
    }
    Ok((links, told))
}

/// Bits a second as people say them: three figures that count.
pub(crate) fn shown(bits: u64) -> String {
    let (value, unit) = match bits {
        ..1_000_000 => (bits as f64 / 1e3, "kbit/s"),
        1_000_000..1_000_000_000 => (bits as f64 / 1e6, "Mbit/s"),
        _ => (bits as f64 / 1e9, "Gbit/s"),
    };
    format!("{} {unit}", figures(value))
}

/// As it is written on a command line.
fn short(bits: u64) -> String {
    if bits >= 1_000_000_000 { format!("{}G", bits as f64 / 1e9) } else { format!("{}M", bits as f64 / 1e6) }
}

/// Three figures that count, without zeros behind the point.
pub(crate) fn figures(value: f64) -> String {
    let places = if value >= 100.0 { 0 } else { 2 - usize::from(value >= 10.0) };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str, bits_per_second: Option<u64>) -> Card {
        Card { name: name.into(), bits_per_second, mtu: 1_500 }
    }

    fn spec(text: &str) -> LinkSpec {
        text.parse().unwrap()
    }

    #[test]
    fn a_link_is_a_name_a_rate_and_a_share() {
        assert_eq!(spec("eth0=10G"), LinkSpec { name: "eth0".into(), rate: "10G".parse().unwrap(), share: 0.8 });
        assert_eq!(spec("lan=1G:0.95").share, 0.95);
        for nonsense in ["", "eth0", "=1G", "eth0=", "eth0=fast", "eth0=1G:", "eth0=1G:0", "eth0=1G:1.1", "a=1G:nan"] {
            let error = nonsense.parse::<LinkSpec>().unwrap_err().to_string();
            assert!(error.contains("write"), "{error}");
        }
    }

    #[test]
    fn a_rate_above_the_cards_is_said_and_taken_down_to_it_and_one_of_a_card_that_does_not_say_is_believed() {
        let cards = [card("eth0", Some(1_000_000_000)), card("wlan0", None)];
        let (links, told) = links(&[spec("eth0=10G"), spec("wlan0=10G:0.5")], &cards).unwrap();
        assert_eq!((links[0].rate, links[0].capacity()), (1_000_000_000, 800_000_000));
        assert_eq!((links[1].rate, links[1].capacity()), (10_000_000_000, 5_000_000_000));
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("eth0 says 10 Gbit/s, and its card carries 1 Gbit/s"), "{}", told[0]);
        assert!(told[0].contains("eth0=1G"), "{}", told[0]);
    }

    #[test]
    fn an_interface_that_is_not_there_is_refused_with_those_that_are() {
        let cards = [card("lo", None), card("eth0", None)];
        let said = links(&[spec("eht0=1G")], &cards).unwrap_err().to_string();
        assert_eq!(said, "there is no interface 'eht0' for --link; this machine has lo, eth0");
        let twice = links(&[spec("eth0=1G"), spec("eth0=2G")], &cards).unwrap_err();
        assert_eq!(twice, LinkError::Twice("eth0".into()));
    }

    #[test]
    fn rates_are_said_with_three_figures() {
        for (bits, said) in [
            (950_000_000, "950 Mbit/s"),
            (95_340_000, "95.3 Mbit/s"),
            (1_000_000_000, "1 Gbit/s"),
            (2_488_000_000, "2.49 Gbit/s"),
            (64_000, "64 kbit/s"),
            (0, "0 kbit/s"),
        ] {
            assert_eq!(shown(bits), said);
        }
    }
}
