//! The server's streams, shared with programs of its machine.

use framewire_figures::snapshot::ReaderSnapshot;
use framewire_process::exit::Failure;
use framewire_transport::Receiver;
use framewire_transport::frame::ConsumerPolicy;
use framewire_transport::share::{Endpoint, ReaderFigures, ShareConfig, ShareError};

use crate::cli::{Share, ShareArgs};

/// Shares the streams that are opened from here on, where they are to be. A place that nobody asked for need not be.
///
/// # Errors
/// The place that was asked for cannot be.
pub(super) fn begin(args: &ShareArgs, receiver: &Receiver) -> Result<(), Failure> {
    if let Some(idle) = args.idle(true) {
        tracing::warn!("{idle}");
    }
    let shared = match &args.share {
        Some(Share::Off) => return Ok(()),
        Some(Share::At(endpoint)) => return share(args, endpoint.clone(), receiver).map_err(Failure::runtime),
        None => Endpoint::of_port(receiver.local_addr().port()).map_err(ShareError::from),
    };
    match shared.and_then(|endpoint| share(args, endpoint, receiver)) {
        Ok(()) | Err(ShareError::Unsupported) => {}
        Err(error) => {
            tracing::warn!(
                "streams are not shared with programs of this machine: {error}; name another place with --share PATH, or say --share off"
            );
        }
    }
    Ok(())
}

fn share(args: &ShareArgs, endpoint: Endpoint, receiver: &Receiver) -> Result<(), ShareError> {
    let config = ShareConfig::new(endpoint)
        .group(args.share_group)
        .reader_slots(args.reader_slots.into())
        .block(args.share_block)
        .reader_timeout(args.reader_timeout)
        // Who knows a stream's id can send its datagrams: nobody is shown it.
        .only_named(true);
    receiver.share(&config)?;
    tracing::info!("streams are shared on {}", config.endpoint);
    Ok(())
}

/// A stream's readers, for whoever looks.
pub(super) fn told(readers: Vec<ReaderFigures>) -> Vec<ReaderSnapshot> {
    let told = |reader: ReaderFigures| ReaderSnapshot {
        seat: reader.seat as u64,
        // One that does not say is a reader all the same.
        name: if reader.name.is_empty() { "reader".to_owned() } else { reader.name },
        pid: reader.pid,
        uid: reader.uid,
        policy: match reader.policy {
            ConsumerPolicy::Queue(frames) => format!("queue:{frames}"),
            ConsumerPolicy::Block => "block".to_owned(),
            _ => "latest".to_owned(),
        },
        offered: reader.offered,
        taken: reader.taken,
        dropped: reader.dropped,
        held: reader.held as u64,
        waiting: reader.waiting as u64,
        wake_cpu_us: reader.wake_cpu.as_secs_f64() * 1e6,
        quarantined: reader.quarantined,
    };
    readers.into_iter().map(told).collect()
}
