//! What the machine says of its interfaces.

use std::path::Path;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Such as `eth0`.
    pub name: String,
    /// What its cable carries each way; `None` where it does not say, as loopback, radio and many virtual ones do not.
    pub bits_per_second: Option<u64>,
    /// The largest IP packet, in bytes; 1,500 where it does not say.
    pub mtu: u32,
}

/// Where the kernel says it.
const CLASS_NET: &str = "/sys/class/net";
/// That of Ethernet.
const MTU_DEFAULT: u32 = 1_500;

/// The interfaces of this machine, by name; none where the system does not tell.
pub fn cards() -> Vec<Card> {
    cards_in(Path::new(CLASS_NET))
}

fn cards_in(directory: &Path) -> Vec<Card> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut cards: Vec<Card> = entries
        .flatten()
        // What bonding has there is a file.
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            // Reading the speed of one that is down fails, and of one that has none it is -1.
            let speed = number(&entry.path().join("speed")).filter(|megabits| *megabits > 0);
            let mtu = number(&entry.path().join("mtu")).and_then(|mtu| u32::try_from(mtu).ok());
            Some(Card {
                name,
                bits_per_second: speed.and_then(|megabits| u64::try_from(megabits).ok()?.checked_mul(1_000_000)),
                mtu: mtu.filter(|mtu| *mtu > 0).unwrap_or(MTU_DEFAULT),
            })
        })
        .collect();
    cards.sort_by(|a, b| a.name.cmp(&b.name));
    cards
}

fn number(file: &Path) -> Option<i64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_says_its_rate_or_does_not() {
        let directory = tempfile::tempdir().unwrap();
        for (name, speed, mtu) in [("eth0", "1000\n", "9000\n"), ("lo", "", "65536\n"), ("veth", "-1\n", "")] {
            let card = directory.path().join(name);
            std::fs::create_dir(&card).unwrap();
            std::fs::write(card.join("speed"), speed).unwrap();
            std::fs::write(card.join("mtu"), mtu).unwrap();
        }
        std::fs::write(directory.path().join("bonding_masters"), "").unwrap();
        let card = |name: &str, bits_per_second, mtu| Card { name: name.into(), bits_per_second, mtu };
        let expected = [card("eth0", Some(1_000_000_000), 9_000), card("lo", None, 65_536), card("veth", None, 1_500)];
        assert_eq!(cards_in(directory.path()), expected);
        assert!(cards_in(&directory.path().join("none")).is_empty());
    }
}
