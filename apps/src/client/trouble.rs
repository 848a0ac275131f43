//! How a client ends that reached nobody.

use std::net::SocketAddr;
use std::time::Duration;

use framewire_process::exit::Failure;

/// A job of which nothing arrived did not succeed, whatever the mode.
pub(crate) fn nothing_arrived(sent: u64, delivered: u64, peer: SocketAddr) -> Option<Failure> {
    (sent > 0 && delivered == 0).then(|| {
        Failure::runtime(format!(
            "nothing arrived: none of {sent} frames that were sent was delivered; is UDP to {peer} dropped on the way, and is \
             that where the server receives (--udp, and the server's --announce-udp)?"
        ))
    })
}

/// That the first connection took longer than the user wants to wait.
pub(crate) fn too_late(waited: Duration, server: &str, reason: Option<&str>) -> Failure {
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Failure::runtime(format!("{server} has not answered within {waited:?} (--connect-timeout){reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_which_nothing_arrived_has_failed_and_one_that_sent_nothing_has_not() {
        let peer = "10.0.0.1:12345".parse().unwrap();
        let said = nothing_arrived(30, 0, peer).unwrap().to_string();
        assert!(said.contains("none of 30 frames") && said.contains("10.0.0.1:12345"), "{said}");
        assert_eq!((nothing_arrived(30, 1, peer), nothing_arrived(0, 0, peer)), (None, None));
    }
}
