//! The acknowledgement that a client of Socket.IO asks for with a request.

use std::convert::Infallible;
use std::sync::Arc;

use serde::Serialize;
use socketioxide::SendError;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::AckSender;
use socketioxide::handler::{FromMessageParts, Value};
use socketioxide::socket::Socket;

/// One that was asked for. The library's own is used up by the attempt that finds the client's buffer full; this one is there for the next.
pub(super) struct Ack {
    socket: Arc<Socket<LocalAdapter>>,
    id: i64,
}

impl Ack {
    pub(super) fn send<T: Serialize + ?Sized>(&self, reply: &T) -> Result<(), SendError> {
        // What the message said has no part in it.
        let mut nothing = Value::Bytes(Default::default());
        let sender = AckSender::from_message_parts(&self.socket, &mut nothing, &Some(self.id));
        match sender {
            Ok(sender) => sender.send(reply),
            Err(never) => match never {},
        }
    }
}

/// What a message asks for, if it does.
pub(super) struct Asked(pub(super) Option<Ack>);

impl FromMessageParts<LocalAdapter> for Asked {
    type Error = Infallible;

    fn from_message_parts(
        socket: &Arc<Socket<LocalAdapter>>,
        _: &mut Value,
        id: &Option<i64>,
    ) -> Result<Self, Infallible> {
        Ok(Self(id.map(|id| Ack { socket: socket.clone(), id })))
    }
}
