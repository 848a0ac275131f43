//! The servers of a client: those that it was given, and behind them those that it was told of.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use super::address::ServerUrl;
use super::{ClientConfig, ClientError};
use crate::message::{Elsewhere, OtherServer, Resume};
use crate::pin::Pin;
use crate::unpoisoned::unpoisoned;

/// One server of the list, and what this client is to it.
#[derive(Debug)]
pub(super) struct Server {
    /// Of this server alone, whatever becomes of the list: one that was forgotten and is told of again is another. Of those that the client was given, the
    /// place in the list.
    pub(super) id: usize,
    pub(super) url: ServerUrl,
    pub(super) config: ClientConfig,
    /// Of this server alone: another learns nothing of use there.
    pub(super) resume: Resume,
    /// Where it was when it let the client in last, and the key that it proved to have.
    met: Mutex<(Option<SocketAddr>, Option<Pin>)>,
}

impl Server {
    fn new(id: usize, url: ServerUrl, config: ClientConfig) -> Result<Arc<Self>, ClientError> {
        let resume = Resume::random().map_err(ClientError::Random)?;
        Ok(Arc::new(Self { id, url, config, resume, met: Mutex::default() }))
    }

    /// Whether anything says who the server is, or that nobody may listen in.
    fn is_demanding(&self) -> bool {
        let ClientConfig { token, pin, ca, .. } = &self.config;
        token.is_some() || pin.is_some() || ca.is_some() || self.url.is_https()
    }

    /// It lets the client in at this address, by this key.
    pub(super) fn has_let_in(&self, at: Option<SocketAddr>, key: Option<Pin>) {
        *unpoisoned(self.met.lock()) = (at, key);
    }

    /// Whether it is this one, however its address is written.
    fn is(&self, url: &ServerUrl, said: &OtherServer) -> bool {
        let (at, key) = *unpoisoned(self.met.lock());
        let has_the_key = said.pin.is_some() && (self.config.pin == said.pin || key == said.pin);
        let (host, port) = url.host_and_port();
        let is_met_there =
            |at: SocketAddr| host.parse() == Ok::<IpAddr, _>(at.ip().to_canonical()) && port == at.port();
        has_the_key || self.url.host_and_port() == url.host_and_port() || at.is_some_and(is_met_there)
    }
}

/// All servers of a client, in the order in which they take turns.
#[derive(Debug)]
pub(super) struct ServerList {
    servers: Vec<Arc<Server>>,
    /// So many of them the client was given.
    given: usize,
    next_id: usize,
    /// Whether the server of this connection has told of others, or of none.
    was_told: bool,
}

impl ServerList {
    /// Those that the client was given.
    ///
    /// # Errors
    /// An address that is none; no random number.
    pub(super) fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let others = config.others.clone().into_iter().map(|other| other.of(config));
        let configs = [config.clone()].into_iter().chain(others);
        let server =
            |(id, config): (usize, ClientConfig)| Server::new(id, ServerUrl::parse(&config.server_url)?, config);
        let servers = configs.enumerate().map(server).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { given: servers.len(), next_id: servers.len(), servers, was_told: false })
    }

    pub(super) fn len(&self) -> usize {
        self.servers.len()
    }

    /// How many the client was given.
    pub(super) fn given(&self) -> usize {
        self.given
    }

    pub(super) fn at(&self, place: usize) -> &Arc<Server> {
        &self.servers[place]
    }

    /// Where this one is in the list; one that is not there is followed by the first.
    pub(super) fn place(&self, id: usize) -> usize {
        self.servers.iter().position(|server| server.id == id).unwrap_or(0)
    }

    pub(super) fn is_given(&self, id: usize) -> bool {
        id < self.given
    }

    /// The server `at` which the client is tells of others: they take the place of all that was told before, but for the one that it is at. Whoever the
    /// client is to be safe from could name a server, too: nothing that is protected goes on plainly there, or to one that is known by nothing. `random`
    /// is uniform in 0 to 1.
    pub(super) fn learn(&mut self, at: &Server, told: Elsewhere, mut random: impl FnMut() -> f64) {
        if !at.config.roams {
            return;
        }
        self.was_told = true;
        let is_demanding = self.servers[..self.given].iter().any(|server| server.is_demanding());
        let mut known = self.servers.split_off(self.given);
        self.servers.extend(known.iter().position(|server| server.id == at.id).map(|place| known.swap_remove(place)));
        for said in told.servers {
            let is_as_safe = |url: &ServerUrl| said.pin.is_some() == is_demanding && (is_demanding || !url.is_https());
            let url = ServerUrl::parse(&said.url).ok().filter(is_as_safe);
            let Some(url) = url.filter(|url| !self.servers.iter().any(|server| server.is(url, &said))) else {
                continue;
            };
            let same = known.iter().position(|server| server.url == url && server.config.pin == said.pin);
            let server = match same {
                Some(place) => Ok(known.swap_remove(place)),
                None => {
                    let config = ClientConfig { server_url: said.url, pin: said.pin, ..at.config.clone() };
                    self.next_id += 1;
                    Server::new(self.next_id - 1, url, config)
                }
            };
            match server {
                Ok(server) => self.servers.push(server),
                Err(error) => tracing::debug!("a server that this one tells of is left out: {error}"),
            }
        }
        // All clients of a server that dies are told the same, and are not all to go to the same one.
        let learned = &mut self.servers[self.given..];
        for last in (1..learned.len()).rev() {
            let other = (random().clamp(0.0, 1.0) * (last + 1) as f64) as usize;
            learned.swap(last, other.min(last));
        }
        tracing::debug!("the server tells of others: {} to go to", learned.len());
    }

    /// A connection begins.
    pub(super) fn listen(&mut self) {
        self.was_told = false;
    }

    /// The connection to the server of this id has held. One that tells of nobody knows of nobody: what was told before is over.
    pub(super) fn has_held(&mut self, id: usize) {
        let Self { given, was_told, .. } = *self;
        self.servers.retain(|server| was_told || server.id < given || server.id == id);
    }

    /// This one is of no use until it is told of again; those that the client was given stay.
    pub(super) fn forget(&mut self, id: usize) {
        self.servers.retain(|server| server.id != id || id < self.given);
    }
}

/// At which of its servers a client is, for who asks.
#[derive(Debug)]
pub(super) struct Whereabouts(Mutex<Arc<Server>>);

impl Whereabouts {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self(Mutex::new(server))
    }

    pub(super) fn set(&self, server: Arc<Server>) {
        *self.lock() = server;
    }

    pub(super) fn url(&self) -> ServerUrl {
        self.lock().url.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Server>> {
        unpoisoned(self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Token;
    use crate::client::ServerTarget;

    fn pin(of: &str) -> Pin {
        Pin::of_public_key(of.as_bytes())
    }

    fn plain(url: &str) -> OtherServer {
        OtherServer::new(url, None)
    }

    fn list(config: ClientConfig) -> ServerList {
        ServerList::new(&config.roams(true)).unwrap()
    }

    /// Learns at this place of the list; the last of those that are left is drawn each time, so that the order stays.
    fn learn(list: &mut ServerList, place: usize, told: impl IntoIterator<Item = OtherServer>) {
        let at = list.at(place).clone();
        list.learn(&at, Elsewhere::new(told), || 1.0);
    }

    fn urls(list: &ServerList) -> Vec<String> {
        list.servers.iter().map(|server| server.url.to_string()).collect()
    }

    fn ids(list: &ServerList) -> Vec<usize> {
        list.servers.iter().map(|server| server.id).collect()
    }

    #[test]
    fn what_a_server_tells_of_stands_behind_what_was_given_and_is_known_as_the_own_one_is() {
        let token = Token::new("00112233445566778899aabbccddeeff").unwrap();
        let mut list = list(ClientConfig::new("https://a:1").token(token.clone()).pin(pin("a")).insecure(true));
        learn(&mut list, 0, [OtherServer::new("https://b:1", pin("b")), OtherServer::new("https://c:1", pin("c"))]);
        assert_eq!(urls(&list), ["https://a:1", "https://b:1", "https://c:1"]);
        assert_eq!(ids(&list), [0, 1, 2]);
        let ClientConfig { token: theirs, pin: key, insecure, server_url, .. } = &list.at(1).config;
        assert_eq!((theirs, key, insecure, server_url.as_str()), (&Some(token), &Some(pin("b")), &true, "https://b:1"));
        assert!(list.is_given(0) && !list.is_given(1));
    }

    #[test]
    fn each_is_there_once_and_none_that_was_given_however_it_is_written() {
        let mut list = list(ClientConfig::new("http://a:80").others(vec![ServerTarget::new("http://b:1")]));
        let told = ["http://A/", "http://b:1", "http://c:1", "http://C:1/", "https://c:1", "http://d:1"];
        learn(&mut list, 0, told.map(plain));
        assert_eq!(urls(&list), ["http://a", "http://b:1", "http://c:1", "http://d:1"]);
        let mut joined = ServerList::new(&ClientConfig::new("https://hall:1").pin(pin("a")).roams(true)).unwrap();
        let told = [OtherServer::new("https://10.0.0.1:1", pin("a")), OtherServer::new("https://10.0.0.2:1", pin("b"))];
        learn(&mut joined, 0, told);
        assert_eq!(urls(&joined), ["https://hall:1", "https://10.0.0.2:1"], "by its key it is the one that was given");
    }

    #[test]
    fn one_that_was_given_by_its_name_is_known_by_where_it_was_met_and_by_its_key() {
        let mut list = list(ClientConfig::new("https://hall:1"));
        list.at(0).has_let_in(Some("[::ffff:10.0.0.1]:8080".parse().unwrap()), Some(pin("a")));
        let told = [("https://10.0.0.1:8080", "x"), ("https://10.0.0.9:1", "a"), ("https://10.0.0.1:8081", "b")];
        learn(&mut list, 0, told.map(|(url, key)| OtherServer::new(url, pin(key))));
        assert_eq!(urls(&list), ["https://hall:1", "https://10.0.0.1:8081"]);
    }

    #[test]
    fn what_was_told_once_is_over_when_a_connection_held_that_told_of_nobody() {
        let mut list = list(ClientConfig::new("http://a:1"));
        list.listen();
        learn(&mut list, 0, ["http://b:1", "http://c:1"].map(plain));
        list.has_held(0);
        assert_eq!(list.len(), 3, "it has told of them");
        list.listen();
        list.has_held(1);
        assert_eq!(urls(&list), ["http://a:1", "http://b:1"], "the one that it is at stays");
        list.listen();
        list.has_held(0);
        assert_eq!(urls(&list), ["http://a:1"]);
    }

    #[test]
    fn the_newest_replaces_what_was_told_before_and_who_stays_stays_the_same() {
        let mut list = list(ClientConfig::new("http://a:1"));
        learn(&mut list, 0, ["http://b:1", "http://c:1"].map(plain));
        learn(&mut list, 0, ["http://c:1", "http://d:1"].map(plain));
        assert_eq!(
            (urls(&list), ids(&list)),
            (["http://a:1", "http://c:1", "http://d:1"].map(String::from).to_vec(), vec![0, 2, 3])
        );
        learn(&mut list, 0, []);
        assert_eq!(urls(&list), ["http://a:1"]);
        learn(&mut list, 0, [plain("http://c:1")]);
        assert_eq!(ids(&list), [0, 4], "one that comes again is another");
    }

    #[test]
    fn the_one_that_the_client_is_at_stays_though_it_tells_of_others_alone() {
        let mut list = list(ClientConfig::new("http://a:1"));
        learn(&mut list, 0, ["http://b:1", "http://c:1"].map(plain));
        learn(&mut list, 1, ["http://a:1", "http://d:1", "http://b:1"].map(plain));
        assert_eq!(
            (urls(&list), ids(&list)),
            (["http://a:1", "http://b:1", "http://d:1"].map(String::from).to_vec(), vec![0, 1, 3])
        );
        assert_eq!(list.place(1), 1);
    }

    #[test]
    fn the_order_of_those_that_are_told_of_is_drawn_and_those_that_were_given_keep_theirs() {
        let mut list = list(ClientConfig::new("http://a:1").others(vec![ServerTarget::new("http://b:1")]));
        let at = list.at(0).clone();
        list.learn(&at, Elsewhere::new(["http://c:1", "http://d:1", "http://e:1"].map(plain)), || 0.0);
        assert_eq!(urls(&list), ["http://a:1", "http://b:1", "http://d:1", "http://e:1", "http://c:1"]);
        for random in [-1.0, 2.0, f64::NAN] {
            list.learn(&at, Elsewhere::new(["http://c:1", "http://d:1", "http://e:1"].map(plain)), || random);
            assert_eq!(list.len(), 5);
        }
    }

    #[test]
    fn one_that_is_forgotten_is_gone_until_it_is_told_of_again_and_one_that_was_given_never_is() {
        let mut list = list(ClientConfig::new("http://a:1"));
        learn(&mut list, 0, ["http://b:1", "http://c:1"].map(plain));
        list.forget(1);
        list.forget(0);
        assert_eq!(urls(&list), ["http://a:1", "http://c:1"]);
        assert_eq!((list.place(1), list.place(2)), (0, 1));
        learn(&mut list, 0, [plain("http://b:1")]);
        assert_eq!((urls(&list), ids(&list)), (["http://a:1", "http://b:1"].map(String::from).to_vec(), vec![0, 3]));
    }

    #[test]
    fn who_has_anything_to_lose_goes_to_none_that_nothing_is_known_by_and_who_has_nothing_to_no_protected_one() {
        let token = Token::new("00112233445566778899aabbccddeeff").unwrap();
        let told = || [plain("http://b:1"), plain("https://c:1"), OtherServer::new("https://d:1", pin("d"))];
        for config in [
            ClientConfig::new("http://a:1").token(token.clone()),
            ClientConfig::new("http://a:1").token(token).insecure(true),
            ClientConfig::new("http://a:1").pin(pin("a")),
            ClientConfig::new("http://a:1").ca(std::path::PathBuf::from("ca.pem")),
            ClientConfig::new("https://a:1"),
            ClientConfig::new("http://a:1").others(vec![ServerTarget::new("https://e:1")]),
        ] {
            let mut list = list(config);
            learn(&mut list, 0, told());
            assert_eq!(urls(&list)[list.given()..], ["https://d:1"]);
        }
        let mut list = list(ClientConfig::new("http://a:1"));
        learn(&mut list, 0, told());
        assert_eq!(urls(&list), ["http://a:1", "http://b:1"]);
    }

    #[test]
    fn who_does_not_roam_learns_nothing() {
        let mut list = ServerList::new(&ClientConfig::new("http://a:1")).unwrap();
        learn(&mut list, 0, [plain("http://b:1")]);
        assert_eq!(list.len(), 1);
    }
}
