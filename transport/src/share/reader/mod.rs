//! Streams of another process, read in place.

mod call;
mod mapped;
mod signal;
mod standing;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use self::subscription::{Subscription, SubscriptionFrames};
use super::endpoint::Endpoint;
use super::error::ShareError;
use super::lease::Overflow;
use super::messages::{FromHub, PACKET_MAX, ToHub, Wanted};
use super::process::Process;
use super::socket::peer;
use super::subscription_config::{SharedStreamInfo, SubscriptionConfig};
use crate::frame::ConsumerPolicy;

/// Reads the streams that a hub of this machine shares: [`connect`](Self::connect), then [`subscribe`](Self::subscribe) for each.
///
/// Frames are read in the very memory that they arrived in, or were written to. A hub that ends leaves what was taken as it is, and is read on
/// from when it is back.
#[derive(Debug, Clone)]
pub struct Reader {
    endpoint: Endpoint,
    /// How long its hub may take for each answer.
    patience: Duration,
    process: Process,
}

impl Reader {
    /// Sees that a hub is there, of this version and for this user.
    ///
    /// # Errors
    /// [`ShareError::NoHub`], [`ShareError::Forbidden`], [`ShareError::Version`], [`ShareError::Silent`], and what else connecting fails
    /// with.
    pub fn connect(endpoint: Endpoint) -> Result<Self, ShareError> {
        Self::connect_within(endpoint, call::PATIENCE)
    }

    /// As [`Reader::connect`], with the time that the hub may take for each answer, to this question and to all that follow, also once it is back
    /// after it was gone; 5 s by default. It answers within a millisecond where it runs at all: 300 ms are enough to tell one that is stopped.
    ///
    /// # Errors
    /// As [`Reader::connect`]; [`ShareError::Silent`] after that time.
    pub fn connect_within(endpoint: Endpoint, patience: Duration) -> Result<Self, ShareError> {
        let reader = Self { endpoint, patience, process: Process::this() };
        reader.streams()?;
        Ok(reader)
    }

    /// The process that listens on this socket, as its system numbers it; `None` where it cannot be seen from here (another process
    /// namespace). It is asked nothing: one that is stopped, refuses this user or is of another version has a number too.
    ///
    /// # Errors
    /// [`ShareError::NoHub`], [`ShareError::Forbidden`], and what else connecting fails with; it waits for nothing, so that it is
    /// [`ShareError::Busy`] where as many as there is room for wait to be let in, as for one that has been stopped for a while.
    pub fn peer_pid(endpoint: &Endpoint) -> Result<Option<u32>, ShareError> {
        let call = call::Call::connect(endpoint, call::PATIENCE)?;
        peer::pid(&call).map_err(ShareError::System)
    }

    /// Where its hub is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The streams that the hub shares at this moment, in the order of their names.
    ///
    /// # Errors
    /// As [`Reader::connect`], and [`ShareError::HubGone`] where it has ended since.
    pub fn streams(&self) -> Result<Vec<SharedStreamInfo>, ShareError> {
        self.check_process()?;
        let call = call::Call::begin_in_turn(&self.endpoint, &ToHub::List { watch: false }, self.patience)?;
        let (mut buffer, mut streams) = ([0; PACKET_MAX], Streams::default());
        while !streams.handle(&call, call.answer(&mut buffer)?.0)? {}
        Ok(streams.there.into_values().collect())
    }

    /// The stream of this name; waits up to `timeout` for it.
    ///
    /// # Errors
    /// [`ShareError::NoStreamYet`] with those that there are; [`ShareError::HubGone`] where the hub ends meanwhile; and as
    /// [`Reader::connect`].
    pub fn wait_for(&self, name: &str, timeout: Duration) -> Result<SharedStreamInfo, ShareError> {
        self.check_process()?;
        let until = Instant::now().checked_add(timeout);
        let call = call::Call::begin_in_turn(&self.endpoint, &ToHub::List { watch: true }, self.patience)?;
        let (mut buffer, mut streams, mut is_listed) = ([0; PACKET_MAX], Streams::default(), false);
        loop {
            let answer = match is_listed {
                // All that there are are told at once, however short the time.
                false => Some(call.answer(&mut buffer)?),
                true => call.answer_until(&mut buffer, until)?,
            };
            let Some((answer, _)) = answer else {
                return Err(ShareError::NoStreamYet {
                    endpoint: self.endpoint.clone(),
                    name: name.to_owned(),
                    after: timeout,
                    streams: streams.there.into_keys().collect(),
                });
            };
            is_listed |= streams.handle(&call, answer)?;
            if let Some(found) = streams.there.remove(name) {
                return Ok(found);
            }
        }
    }

    /// Reads a stream, by this policy and else by the defaults of [`SubscriptionConfig`]. The newest frame of a `latest` stream is there at
    /// once; of an `every` stream, the next one is the first.
    ///
    /// # Errors
    /// [`ShareError::UnknownStream`] with those that there are, [`ShareError::NoReaderSlots`], [`ShareError::BlockRefused`],
    /// [`ShareError::OutOfRange`], [`ShareError::UnsafeMemory`], [`ShareError::DescriptorsLost`]; and as [`Reader::connect`].
    pub fn subscribe(&self, stream: &str, policy: ConsumerPolicy) -> Result<Subscription, ShareError> {
        self.subscribe_with(stream, SubscriptionConfig::new().policy(policy))
    }

    /// As [`Reader::subscribe`], with everything that can be asked for.
    ///
    /// # Errors
    /// As [`Reader::subscribe`].
    pub fn subscribe_with(&self, stream: &str, config: SubscriptionConfig) -> Result<Subscription, ShareError> {
        self.check_process()?;
        let overflow = match config.policy {
            ConsumerPolicy::Block => Overflow::Wait,
            ConsumerPolicy::Latest | ConsumerPolicy::Queue(_) => Overflow::Replace,
        };
        // Both are below 64.
        let wanted = Wanted { overflow, words: config.offers()? as u8, hold: config.hold as u8 };
        let request = standing::Request {
            endpoint: self.endpoint.clone(),
            stream: stream.to_owned(),
            program: config.shown_name(),
            wanted,
            patience: self.patience,
        };
        match self.granted(&request) {
            Ok(mapped) => Subscription::new(request, mapped, config.busy_poll),
            Err(ShareError::UnknownStream { endpoint, name, .. }) => {
                let streams = self.streams()?.into_iter().map(|stream| stream.name).collect();
                Err(ShareError::UnknownStream { endpoint, name, streams })
            }
            Err(error) => Err(error),
        }
    }

    fn granted(&self, request: &standing::Request) -> Result<mapped::Mapped, ShareError> {
        let call = request.begin_with(call::Call::begin_in_turn)?;
        let mut buffer = [0; PACKET_MAX];
        loop {
            match call.answer(&mut buffer) {
                Ok((FromHub::Preparing, _)) => {}
                Ok((answer, descriptors)) => {
                    let mapped = mapped::Mapped::new(call, answer, descriptors);
                    let admitted = mapped.and_then(|mapped| mapped.wait_for_admission().map(|()| mapped));
                    return admitted.map_err(|error| request.completed(error));
                }
                Err(error) => return Err(request.completed(error)),
            }
        }
    }

    fn check_process(&self) -> Result<(), ShareError> {
        match self.process.is_this() {
            true => Ok(()),
            false => Err(ShareError::Forked { endpoint: self.endpoint.clone() }),
        }
    }
}

/// The most streams of one hub that are believed.
const STREAMS_MAX: usize = 65_536;

/// Streams as a hub tells of them.
#[derive(Default)]
struct Streams {
    there: BTreeMap<String, SharedStreamInfo>,
}

impl Streams {
    /// Notes what a hub said. Whether all that there were have been told.
    fn handle(&mut self, call: &call::Call, answer: FromHub<'_>) -> Result<bool, ShareError> {
        match answer {
            FromHub::Stream(stream) if self.there.len() < STREAMS_MAX => {
                let info = mapped::described(call, &stream)?;
                self.there.insert(info.name.clone(), info);
            }
            FromHub::Gone { name } => {
                self.there.remove(name.as_str());
            }
            FromHub::Listed { .. } => return Ok(true),
            answer => return Err(call.nonsense(format!("{answer:?} to a question for its streams"))),
        }
        Ok(false)
    }
}
