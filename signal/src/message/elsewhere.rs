//! What a server tells its clients of the others that they may go to when it is away.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::pin::Pin;

/// Most servers that one message names.
pub const ELSEWHERE_MAX: usize = 16;
/// Longest address in it, in bytes, as in the directory of a cluster.
const URL_BYTES_MAX: usize = 512;

/// Servers that a client may go to when this one is away: all of them, each time that it is said. What is read keeps the first 16 that can be one, and
/// leaves out the others, each as a whole: one whose pin is none is no server without a pin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Elsewhere {
    /// In no order that means anything.
    #[serde(deserialize_with = "read_servers")]
    pub servers: Vec<OtherServer>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OtherServer {
    /// Where its Socket.IO is, as `http://HOST:PORT` or `https://HOST:PORT`; at most 512 bytes, printable ASCII.
    pub url: String,
    /// Its key, where it speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
}

impl Elsewhere {
    /// These servers; of more than 16 the first, and none whose address cannot be one.
    pub fn new(servers: impl IntoIterator<Item = OtherServer>) -> Self {
        Self { servers: servers.into_iter().filter(OtherServer::is_within_bounds).take(ELSEWHERE_MAX).collect() }
    }
}

impl OtherServer {
    /// The server at this address, which has this key where it speaks TLS.
    pub fn new(url: impl Into<String>, pin: impl Into<Option<Pin>>) -> Self {
        Self { url: url.into(), pin: pin.into() }
    }

    fn is_within_bounds(&self) -> bool {
        let host = self.url.strip_prefix("http://").or_else(|| self.url.strip_prefix("https://"));
        let is_address = |host: &str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
        self.url.len() <= URL_BYTES_MAX && host.is_some_and(is_address)
    }
}

fn read_servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OtherServer>, D::Error> {
    let said = Vec::<Value>::deserialize(deserializer)?;
    let servers = said.into_iter().filter_map(|server| OtherServer::deserialize(server).ok());
    Ok(Elsewhere::new(servers).servers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(said: Value) -> Vec<String> {
        Elsewhere::deserialize(said).unwrap().servers.into_iter().map(|server| server.url).collect()
    }

    #[test]
    fn what_is_written_is_read_and_a_pin_that_is_not_there_is_not_said() {
        let pin = Pin::of_public_key(b"key");
        let both = Elsewhere::new([OtherServer::new("https://a:1", pin), OtherServer::new("http://[::1]:2", None)]);
        let written = serde_json::to_value(&both).unwrap();
        let expected = json!({"servers": [{"url": "https://a:1", "pin": pin.to_string()}, {"url": "http://[::1]:2"}]});
        assert_eq!(written, expected);
        assert_eq!(Elsewhere::deserialize(written).unwrap(), both);
    }

    #[test]
    fn what_cannot_be_a_server_is_left_out_as_a_whole_and_the_others_stay() {
        let long = format!("http://{}", "a".repeat(URL_BYTES_MAX));
        let said = json!({"servers": [
            {"url": "ftp://a:1"}, {"url": "http://"}, {"url": "a:1"}, {"url": "http://a\n:1"}, {"url": "http://ä:1"}, {"url": long},
            {"url": "https://a:1", "pin": "none"}, {"url": "https://a:1", "pin": 7}, {"pin": "x"}, {}, 7, null, [], "http://a:1",
            {"url": "http://b:1", "later": true},
        ]});
        assert_eq!(read(said), ["http://b:1"]);
        assert!(Elsewhere::deserialize(json!({"servers": 7})).is_err());
        assert!(Elsewhere::deserialize(json!({})).is_err());
    }

    #[test]
    fn there_are_no_more_than_sixteen() {
        let many: Vec<_> = (0..20).map(|port| json!({"url": format!("http://a:{port}")})).collect();
        let read = read(json!({"servers": many}));
        assert_eq!((read.len(), read[15].as_str()), (ELSEWHERE_MAX, "http://a:15"));
        assert_eq!(
            Elsewhere::new((0..20).map(|port| OtherServer::new(format!("http://a:{port}"), None))).servers.len(),
            16
        );
    }
}
