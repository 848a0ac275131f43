//! How many of a hub's slots are asked for, and what is asked for where it has not so many left.

use framewire_process::exit::{Failure, say};
use framewire_sink::SinkSpec;
use framewire_transport::Delivery;
use framewire_transport::frame::ConsumerPolicy;
use framewire_transport::share::{Reader, ShareError, Subscription, SubscriptionConfig};

use super::PROGRAM;
use crate::cli::{QUEUE_MAX, WatchArgs};

/// So many sinks have a slot each; more of them share these.
pub(super) const SINKS_WITH_A_SLOT: usize = 3;

/// By which policy frames wait for this program: as for its server's own sinks, none is lost of a stream that loses none, as far as eight
/// can wait.
pub(super) fn policy(args: &WatchArgs, delivery: Delivery) -> ConsumerPolicy {
    args.policy.unwrap_or(match delivery {
        Delivery::Every => ConsumerPolicy::Queue(QUEUE_MAX),
        Delivery::Latest => ConsumerPolicy::Latest,
    })
}

/// What is asked for: one frame is in hand, and each sink writes one.
pub(super) fn config(args: &WatchArgs, delivery: Delivery) -> SubscriptionConfig {
    let sinks = args.sinks.sink.iter().filter(|sink| **sink != SinkSpec::Null).count();
    let hold = 1 + sinks.clamp(1, SINKS_WITH_A_SLOT);
    SubscriptionConfig::new().policy(policy(args, delivery)).hold(hold).name(PROGRAM).busy_poll(args.busy_poll)
}

/// What fits into the slots that are left, and how many frames wait then: first less is held, then a queue that nobody asked for is shorter.
fn smaller(
    config: &SubscriptionConfig,
    offers: usize,
    left: usize,
    may_shorten: bool,
) -> Option<(SubscriptionConfig, usize)> {
    let hold = left.saturating_sub(offers).min(config.hold);
    if hold >= 1 {
        return Some((config.clone().hold(hold), offers));
    }
    match config.policy {
        ConsumerPolicy::Queue(_) if may_shorten && left >= 2 => {
            let hold = config.hold.min(left / 2);
            let offers = left - hold;
            Some((config.clone().hold(hold).policy(ConsumerPolicy::Queue(offers)), offers))
        }
        _ => None,
    }
}

/// Subscribes, with fewer slots where the hub has not so many left: with what was then granted.
///
/// # Errors
/// As of subscribing.
pub(super) fn subscribe(
    reader: &Reader,
    name: &str,
    mut config: SubscriptionConfig,
    may_shorten: bool,
) -> Result<(Subscription, SubscriptionConfig), ShareError> {
    loop {
        let refusal = match reader.subscribe_with(name, config.clone()) {
            Err(error @ ShareError::NoReaderSlots { .. }) => error,
            other => return other.map(|subscription| (subscription, config)),
        };
        let ShareError::NoReaderSlots { offers, hold, left, .. } = refusal else { return Err(refusal) };
        // Each takes less than the one before, so that this ends.
        let fits =
            smaller(&config, offers, left, may_shorten).filter(|(fewer, waiting)| waiting + fewer.hold < offers + hold);
        let Some((fewer, waiting)) = fits else { return Err(refusal) };
        say(format_args!(
            "{PROGRAM}: the hub has {left} slots left for readers of stream {name:?}: {waiting} frames wait and {} are held, where it was \
             to be {offers} and {hold} (more by --reader-slots of framewire-server)",
            fewer.hold
        ));
        config = fewer;
    }
}

/// What to tell whose subscription was refused.
pub(super) fn failure(error: ShareError, has_several_sinks: bool) -> Failure {
    let ShareError::NoReaderSlots { name, offers, hold, reader_slots, left } = error else {
        return Failure::runtime(error);
    };
    let shorter = if offers > 1 { "read with --policy latest, which needs two, " } else { "" };
    let sinks = if has_several_sinks { "name fewer --sink, " } else { "" };
    Failure::runtime(format!(
        "stream {name:?} has {reader_slots} slots for readers, {left} are left, and {offers} frames that wait and {hold} that are held need \
         {}; {shorter}{sinks}end another reader, or start its hub with more (framewire-server --reader-slots)",
        offers + hold
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_taken_and_only_a_queue_that_nobody_asked_for_is_shortened() {
        let of = |policy| SubscriptionConfig::new().policy(policy).hold(3);
        let fits = |policy, offers, left, may_shorten| {
            smaller(&of(policy), offers, left, may_shorten)
                .map(|(config, waiting)| (config.policy, waiting, config.hold))
        };
        let queue = ConsumerPolicy::Queue;
        assert_eq!(fits(queue(8), 8, 10, true), Some((queue(8), 8, 2)));
        assert_eq!(fits(queue(8), 8, 4, true), Some((queue(2), 2, 2)));
        assert_eq!(fits(queue(8), 8, 2, true), Some((queue(1), 1, 1)));
        assert_eq!(fits(queue(8), 8, 4, false), None);
        assert_eq!(fits(ConsumerPolicy::Latest, 1, 2, true), Some((ConsumerPolicy::Latest, 1, 1)));
        assert_eq!(fits(ConsumerPolicy::Block, 4, 5, true), Some((ConsumerPolicy::Block, 4, 1)));
        for policy in [queue(8), ConsumerPolicy::Latest, ConsumerPolicy::Block] {
            assert_eq!(fits(policy, 4, 1, true), None);
        }
    }

    #[test]
    fn who_finds_no_slots_is_told_by_which_of_its_own_flags_it_needs_fewer() {
        let refusal =
            |offers| ShareError::NoReaderSlots { name: "cam".into(), offers, hold: 3, reader_slots: 24, left: 1 };
        let said = failure(refusal(8), true).to_string();
        for part in
            ["24 slots for readers, 1 are left", "need 11; ", "--policy latest", "fewer --sink", "--reader-slots"]
        {
            assert!(said.contains(part), "{said}");
        }
        let said = failure(refusal(1), false).to_string();
        assert!(
            !said.contains("--policy") && !said.contains("--sink") && said.contains("end another reader"),
            "{said}"
        );
    }
}
