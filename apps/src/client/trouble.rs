//! How a client ends that reached nobody, or not with everything.

use std::net::SocketAddr;
use std::time::Duration;

use framewire_process::exit::Failure;
use framewire_transport::Delivery;

/// A job of which nothing arrived did not succeed, whatever the mode.
pub(crate) fn nothing_arrived(sent: u64, delivered: u64, peer: SocketAddr) -> Option<Failure> {
    (sent > 0 && delivered == 0).then(|| {
        Failure::runtime(format!(
            "nothing arrived: none of {sent} frames that were sent was delivered; is UDP to {peer} dropped on the way, and is \
             that where the server receives (--udp, and the server's --announce-udp)?"
        ))
    })
}

/// A job that was to deliver every frame did not succeed while it is not known of some that they arrived: `lost` were lost, or nobody
/// has confirmed them before the end.
pub(crate) fn not_all_arrived(delivery: Delivery, sent: u64, lost: u64, is_confirmed: bool) -> Option<Failure> {
    (delivery == Delivery::Every && lost > 0).then(|| {
        let what = if is_confirmed { "were lost" } else { "are not confirmed: they may be lost" };
        Failure::runtime(format!("{lost} of {sent} frames that were sent {what}"))
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

    #[test]
    fn a_job_that_was_to_deliver_every_frame_has_failed_where_one_is_lost_or_not_confirmed() {
        let said = |is_confirmed| not_all_arrived(Delivery::Every, 30, 4, is_confirmed).unwrap().to_string();
        assert!(said(false).contains("4 of 30 frames") && said(false).contains("not confirmed"), "{}", said(false));
        assert!(said(true).contains("4 of 30 frames") && said(true).contains("were lost"), "{}", said(true));
        assert_eq!(not_all_arrived(Delivery::Every, 30, 0, false), None);
        assert_eq!(not_all_arrived(Delivery::Latest, 30, 4, false), None, "what is older than the newest may be lost");
    }
}
