//! The hubs of this machine, asked at once: one that is stopped keeps the answers of the others waiting no longer than its own.

use framewire_transport::share::Endpoint;

/// So many are asked at once, however many sockets lie there.
const AT_ONCE: usize = 32;

/// What came of asking each, in their order.
pub(crate) fn each<T: Send>(endpoints: &[Endpoint], ask: impl Fn(&Endpoint) -> T + Sync) -> Vec<T> {
    let ask = &ask;
    let few = |few: &[Endpoint]| -> Vec<T> {
        std::thread::scope(|scope| {
            let asked: Vec<_> = few.iter().map(|endpoint| scope.spawn(move || ask(endpoint))).collect();
            asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
        })
    };
    endpoints.chunks(AT_ONCE).flat_map(few).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn all_are_asked_at_once_and_answer_in_their_order() {
        let hubs: Vec<_> = (0..AT_ONCE).map(|number| Endpoint::path(format!("/{number}.sock")).unwrap()).collect();
        // Whoever waited for the one before would wait for ever.
        let barrier = Barrier::new(hubs.len());
        let asked = each(&hubs, |endpoint| {
            barrier.wait();
            endpoint.clone()
        });
        assert_eq!(asked, hubs);
    }
}
