//! The client's side of a proof: it shows that it has the token to nobody who has not shown the same before.

use std::io;

use serde::Deserialize;
use serde_json::Value;

use crate::auth::{Bound, Side, Token, Transcript, fill_random, to_hex};
use crate::message::{Binding, Challenge, Introduction, Prove, Refused, Role, reason};

/// One proof, of one connect.
pub(super) struct Proving<'a> {
    token: &'a Token,
    transcript: Transcript,
}

impl<'a> Proving<'a> {
    /// # Errors
    /// The system gives no random bytes.
    pub(super) fn new(token: &'a Token, role: Role) -> io::Result<Self> {
        let mut nonce = [0; 16];
        fill_random(&mut nonce)?;
        let transcript =
            Transcript { role, client_nonce: to_hex(&nonce), server_nonce: String::new(), bound: Bound::Plain };
        Ok(Self { token, transcript })
    }

    /// What is said at CONNECT, over a connection of which the proofs are to name this.
    pub(super) fn introduce(&mut self, bound: Bound) -> Introduction {
        self.transcript.bound = bound;
        let binding = match bound {
            Bound::Key(_) => Binding::Spki,
            Bound::Authority => Binding::None,
            Bound::Plain => Binding::Plain,
        };
        Introduction::new(self.transcript.role, self.transcript.client_nonce.clone(), binding)
    }

    /// The answer to what the server says to that.
    ///
    /// # Errors
    /// It has not shown that it has the token.
    pub(super) fn answer(&mut self, challenge: &Value) -> Result<Prove, Refused> {
        let Challenge { nonce, proof, stream_proof } = Challenge::deserialize(challenge)
            .map_err(|error| unproven(&format!("its challenge cannot be read ({error})")))?;
        self.transcript.server_nonce = nonce;
        let is_right = |proof: &String| self.transcript.is_proof(Side::Server, self.token, proof);
        let may_be_either = stream_proof.filter(|_| self.transcript.role == Role::View);
        if !is_right(&proof) && !may_be_either.as_ref().is_some_and(is_right) {
            return Err(unproven("it has another token"));
        }
        Ok(Prove::new(self.transcript.proof(Side::Client, self.token)))
    }
}

/// A server that is given nothing.
pub(super) fn unproven(what: &str) -> Refused {
    Refused::new(
        reason::SERVER_UNPROVEN,
        format!(
            "the server does not prove that it has this client's token: {what}; give both the same token file, or this client the join string \
             that the server prints; if they are the same, another answers in the server's place"
        ),
    )
}
