//! Makes the connection to a server that a name may have several addresses for, and keeps which of them answered: frames
//! go to the same one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::address::ServerUrl;
use crate::pin::Pin;
use crate::unpoisoned::unpoisoned;

/// How long an address may take to answer before the next one is tried beside it, as RFC 8305 advises.
const STAGGER: Duration = Duration::from_millis(250);

/// How the other end was reached last, and when it was last heard.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Debug, Default, Clone, Copy)]
struct State {
    peer: Option<SocketAddr>,
    /// The address of this machine that the connection goes out from.
    own: Option<IpAddr>,
    heard: Option<Instant>,
    key: Option<Pin>,
}

impl Line {
    pub(super) fn reached(&self, peer: SocketAddr, own: Option<IpAddr>) {
        *self.lock() = State { peer: Some(peer), own, heard: None, key: None };
    }

    /// TLS has proved that the other end has this key.
    pub(super) fn protected(&self, key: Pin) {
        self.lock().key = Some(key);
    }

    pub(super) fn key(&self) -> Option<Pin> {
        self.lock().key
    }

    pub(super) fn heard(&self) {
        self.lock().heard = Some(Instant::now());
    }

    pub(super) fn lost(&self) {
        self.lock().heard = None;
    }

    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.lock().peer
    }

    pub(super) fn own(&self) -> Option<IpAddr> {
        self.lock().own
    }

    pub(super) fn last_heard(&self) -> Option<Instant> {
        self.lock().heard
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        unpoisoned(self.0.lock())
    }
}

/// Connects to the first address of a server that answers.
pub(super) async fn dial(url: &ServerUrl) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = first_to_answer(addresses_of(url.host_and_port()).await?).await?;
    // Each message is small and wanted at once.
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

async fn addresses_of((host, port): (String, u16)) -> io::Result<Vec<SocketAddr>> {
    // Whatever a machine's list of names has for it, and some have no list: this name is loopback in both families
    // (RFC 6761), and a server listens on it so.
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    Ok(lookup_host((host, port)).await?.collect())
}

/// One address after the other, the next as soon as one refuses or is slow; the slow ones go on trying meanwhile.
async fn first_to_answer(addresses: Vec<SocketAddr>) -> io::Result<(TcpStream, SocketAddr)> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut left = addresses.into_iter();
    let mut attempts = JoinSet::new();
    loop {
        let has_more = match left.next() {
            Some(address) => {
                attempts.spawn(async move { TcpStream::connect(address).await.map(|stream| (stream, address)) });
                left.len() > 0
            }
            None => false,
        };
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(connected))) => return Ok(connected),
                Some(Ok(Err(error))) => failure = error,
                // A task of connecting does not panic, and nobody ends it but this function.
                Some(Err(error)) => failure = io::Error::other(error),
                None => return Err(failure),
            },
            () = sleep(STAGGER), if has_more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[tokio::test]
    async fn localhost_is_loopback_in_both_families_whatever_the_machine_has_for_the_name() {
        let both = ["127.0.0.1:9".parse().unwrap(), "[::1]:9".parse().unwrap()];
        for given in ["http://localhost:9", "http://LOCALHOST:9/behind/a/proxy"] {
            let url = ServerUrl::parse(given).unwrap();
            assert_eq!(addresses_of(url.host_and_port()).await.unwrap(), both, "{given}");
        }
    }

    #[tokio::test]
    async fn of_a_name_with_a_dead_address_the_one_that_answers_is_taken_and_known() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // It has a backlog and never accepts: connected all the same, and told by its address.
        let open = TcpListener::bind("127.0.0.2:0").unwrap();
        let good = open.local_addr().unwrap();
        for addresses in [vec![closed, good], vec![good, closed], vec![good]] {
            assert_eq!(first_to_answer(addresses).await.unwrap().1, good);
        }
    }

    /// Of the addresses that are kept for documents, none is ever routed: such a one stays silent, or is refused at once.
    #[tokio::test]
    async fn an_address_that_stays_silent_does_not_hold_up_the_next_one() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = open.local_addr().unwrap();
        let silent = "192.0.2.1:9".parse().unwrap();
        assert_eq!(first_to_answer(vec![silent, good]).await.unwrap().1, good);
    }

    #[tokio::test]
    async fn where_none_answers_the_reason_is_that_of_the_last_and_without_any_it_is_said() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = first_to_answer(vec![closed, closed]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(first_to_answer(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
