//! Names with several addresses, and which of them answers.
#![cfg(all(feature = "client", feature = "server"))]

mod stage;

use framewire_signal::ClientConfig;
use stage::{await_connected, connect, listener, loopback, serve};

#[test]
fn a_client_knows_which_address_of_a_name_answered() {
    let (server, _asked) = serve(loopback());
    let port = server.local_addr().port();
    let client = connect(ClientConfig::new(format!("http://localhost:{port}")));
    await_connected(&client);
    // The name has ::1 too on most machines, where nothing listens.
    assert_eq!(client.peer(), Some(server.local_addr()));
}

#[test]
fn a_server_listens_on_each_address_it_is_given_at_one_port_and_leaves_out_those_of_other_machines() {
    let also = ["127.0.0.2:0", "192.0.2.1:0"].map(|address| address.parse().unwrap());
    let (server, _asked) = serve(loopback().listen_also(also.to_vec()));
    let mut second = also[0];
    second.set_port(server.local_addr().port());
    for address in [server.local_addr(), second] {
        let client = connect(listener(address));
        await_connected(&client);
        assert_eq!(client.peer(), Some(address));
    }
}

#[test]
fn all_ipv6_addresses_are_all_ipv4_addresses_too() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        framewire_testing::skip("there is no IPv6 here");
        return;
    }
    let (server, _asked) = serve(loopback().listen("[::]:0".parse().unwrap()));
    for host in ["127.0.0.1", "[::1]"] {
        let address = format!("{host}:{}", server.local_addr().port()).parse().unwrap();
        await_connected(&connect(listener(address)));
    }
}
