//! One connection, until something is wrong with it.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult, Value};
use tokio::time::timeout;

use super::line::{self, Ration};
use super::{Place, said};

pub(super) struct Session<'a> {
    place: &'a Place,
    connection: MultiplexedConnection,
    ration: Ration,
    was_answered: bool,
}

impl<'a> Session<'a> {
    /// Connects, and is let in.
    ///
    /// # Errors
    /// Why not, for people, with what to do.
    pub(super) async fn open(place: &'a Place) -> Result<Self, String> {
        let (connection, ration) = line::connect(place).await?;
        Ok(Self { place, connection, ration, was_answered: false })
    }

    /// One answer to each command.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub(super) async fn ask(
        &mut self,
        pipeline: &mut Pipeline,
        within: Duration,
    ) -> Result<Vec<RedisResult<Value>>, String> {
        pipeline.ignore_errors();
        self.ration.renew();
        let asked = timeout(within, pipeline.query_async(&mut self.connection)).await;
        let Ok(answers) = asked else { return Err(said::silent(self.place, within)) };
        self.was_answered |= answers.is_ok();
        answers.map_err(|error| said::explain(&error, self.place))
    }

    /// Why it ended, with this. One that turns everybody away says why before it is asked, and is gone when it is.
    pub(super) async fn over(self, problem: String) -> String {
        let greeting = if self.was_answered { None } else { line::greeting(self.place).await };
        greeting.map_or(problem, |said| said::explain_text(None, &said, self.place))
    }
}
