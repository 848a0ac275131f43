//! Servers that mDNS tells of.

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use super::entry::Guard;
use super::node::NodeId;

/// A server on this network, as it announces itself: anybody there can announce anything, so that nothing of it is believed but where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Its name, for people.
    pub name: String,
    /// Where its page and its Socket.IO are: `http://ADDRESS:PORT`, or `https://` where it says that it is protected. By the address that is the likeliest to be reached:
    /// IPv4 before IPv6, link-local ones, with their interface, last.
    pub url: String,
    /// All addresses that it says it has.
    pub addresses: Vec<IpAddr>,
    /// The port of its page.
    pub port: u16,
    /// Which server it is; absent where it does not say.
    pub node: Option<NodeId>,
    /// Which run of it; 0 where it does not say.
    pub incarnation: u64,
    /// The program's version; empty where it does not say.
    pub version: String,
    /// How it lets others in.
    pub guard: Guard,
}

#[cfg(feature = "mdns")]
impl Found {
    /// The address of its page at this one of its machine's.
    pub(super) fn url_at(&self, ip: IpAddr) -> String {
        let scheme = if self.guard == Guard::Protected { "https" } else { "http" };
        format!("{scheme}://{}", std::net::SocketAddr::new(ip, self.port))
    }
}

/// Why servers could not be looked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// This program was built without mDNS.
    #[error(
        "this program was built without mDNS (feature mdns), and cannot look for servers; say which one by --server"
    )]
    NotBuilt,
    /// Nothing was asked, on any interface.
    #[error("servers cannot be looked for by mDNS on this machine ({problem}); say which one by --server")]
    NoMulticast {
        /// What the system said.
        problem: String,
    },
}

/// Looks for servers on this network by mDNS, for as long as `timeout`: most answer at once, and those that another has asked within the last second
/// to the second question, after a second. Blocks for that long. By name; each server once.
///
/// # Errors
/// Nothing can be asked: there is no interface with multicast, or the program was built without mDNS.
pub fn discover(timeout: Duration) -> Result<Vec<Found>, DiscoverError> {
    #[cfg(feature = "mdns")]
    return super::mdns::discover(timeout);
    #[cfg(not(feature = "mdns"))]
    {
        let _ = timeout;
        Err(DiscoverError::NotBuilt)
    }
}
