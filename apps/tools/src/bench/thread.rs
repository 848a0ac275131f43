//! The receiving end where it is a thread of this process.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use rustix::time::{ClockId, clock_gettime};

use super::contender::ReceiveLink;
use super::control::PhaseFigures;
use super::tally;

/// A thread that receives all phases of a measurement.
pub(super) struct ReadingThread {
    told: Receiver<Result<PhaseFigures, Failure>>,
}

impl ReadingThread {
    pub(super) fn start(mut link: impl ReceiveLink + Send + 'static, stop: &Stop) -> Result<Self, Failure> {
        let (tell, told) = channel();
        let stop = stop.clone();
        let receive = move || {
            let gone = |_| Failure::runtime("the making thread has ended");
            let received = tally::receive(&mut link, true, thread_cpu_seconds, &stop, |figures| {
                tell.send(Ok(figures)).map_err(gone)
            });
            if let Err(failure) = received {
                let _ = tell.send(Err(failure));
            }
        };
        std::thread::Builder::new().name("bench-reads".into()).spawn(receive).map_err(Failure::runtime)?;
        Ok(Self { told })
    }

    /// What came of the next phase; waits for it.
    ///
    /// # Errors
    /// What the thread ended with, or that it did not say anything in time.
    pub(super) fn figures(&self, patience: Duration) -> Result<PhaseFigures, Failure> {
        match self.told.recv_timeout(patience) {
            Ok(figures) => figures,
            Err(RecvTimeoutError::Timeout) => {
                Err(Failure::runtime(format!("the reading thread said nothing within {patience:?}; try again")))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Failure::runtime("the reading thread has ended")),
        }
    }
}

/// The processor time of this thread, in seconds.
pub(super) fn thread_cpu_seconds() -> f64 {
    let spec = clock_gettime(ClockId::ThreadCPUTime);
    spec.tv_sec as f64 + spec.tv_nsec as f64 / 1e9
}
