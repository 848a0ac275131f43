//! The hubs of this machine, asked at once: one that is stopped keeps the answers of the others waiting no longer than its own, and nobody
//! who wants to stop waits for any.

use std::time::Duration;

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_transport::share::{Endpoint, EndpointError};

/// So many are asked at once, however many sockets lie there.
const AT_ONCE: usize = 32;

/// How long each is waited for where nobody named one. One that runs answers within a millisecond.
const PATIENCE_OF_ANY: Duration = Duration::from_millis(300);

/// How long one is waited for that was named, or that has what is looked for.
pub(crate) const PATIENCE_OF_NAMED: Duration = Duration::from_secs(5);

/// Which are asked, and for how long.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) patience: Duration,
    /// Where there may be more of them.
    pub(crate) unlisted: Vec<EndpointError>,
}

impl Asked {
    /// The one that was named, or all of this machine.
    pub(crate) fn of(named: Option<&Endpoint>) -> Self {
        match named {
            Some(endpoint) => {
                Self { endpoints: vec![endpoint.clone()], patience: PATIENCE_OF_NAMED, unlisted: Vec::new() }
            }
            None => {
                let (endpoints, unlisted) = Endpoint::all_and_unlisted();
                Self { endpoints, patience: PATIENCE_OF_ANY, unlisted }
            }
        }
    }

    /// What came of asking each, in their order; `None` where somebody asked to stop meanwhile.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn each<T: Send + 'static>(
        &self,
        stop: &Stop,
        ask: impl Fn(&Endpoint, Duration) -> T + Send + Sync + 'static,
    ) -> Result<Option<Vec<T>>, Failure> {
        let (endpoints, patience) = (self.endpoints.clone(), self.patience);
        unless_stopped(stop, move || each(&endpoints, |endpoint| ask(endpoint, patience)))
    }
}

/// What a hub may take its time for; `None` where somebody asked to stop meanwhile.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn unless_stopped<T: Send + 'static>(
    stop: &Stop,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, Failure> {
    stop.unless_asked(work).map_err(|error| {
        Failure::runtime(format!(
            "no thread to ask a hub in: {error}; stop other programs, or raise the limit of threads"
        ))
    })
}

fn each<T: Send>(endpoints: &[Endpoint], ask: impl Fn(&Endpoint) -> T + Sync) -> Vec<T> {
    let ask = &ask;
    let few = |few: &[Endpoint]| -> Vec<T> {
        std::thread::scope(|scope| {
            let asked: Vec<_> = few
                .iter()
                .map(|endpoint| {
                    let thread = std::thread::Builder::new().spawn_scoped(scope, move || ask(endpoint));
                    // Without a thread for it, it is asked here.
                    thread.map_err(|_| ask(endpoint))
                })
                .collect();
            let answer = |asked: Result<std::thread::ScopedJoinHandle<'_, T>, T>| match asked {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(answer) => answer,
            };
            asked.into_iter().map(answer).collect()
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
        let endpoints: Vec<_> = (0..AT_ONCE).map(|number| Endpoint::path(format!("/{number}.sock")).unwrap()).collect();
        let asked = Asked { endpoints: endpoints.clone(), patience: PATIENCE_OF_ANY, unlisted: Vec::new() };
        // Whoever waited for the one before would wait for ever.
        let barrier = Barrier::new(endpoints.len());
        let answers = asked.each(&Stop::new(), move |endpoint, patience| {
            barrier.wait();
            (endpoint.clone(), patience)
        });
        let expected = endpoints.into_iter().map(|endpoint| (endpoint, PATIENCE_OF_ANY)).collect();
        assert_eq!(answers.unwrap(), Some(expected));
    }

    #[test]
    fn one_that_was_named_has_more_time_and_nobody_who_stops_waits_for_it() {
        let named = Endpoint::path("/x.sock").unwrap();
        let asked = Asked::of(Some(&named));
        assert_eq!((asked.endpoints.as_slice(), asked.patience), ([named].as_slice(), PATIENCE_OF_NAMED));
        let (stop, (end, never)) = (Stop::new(), std::sync::mpsc::channel::<()>());
        let (asks, never) = (stop.clone(), std::sync::Mutex::new(never));
        let answers = asked.each(&stop, move |_, _| {
            asks.interrupt();
            never.lock().map(|never| never.recv().is_ok()).is_ok()
        });
        assert_eq!(answers.unwrap(), None);
        drop(end);
    }
}
