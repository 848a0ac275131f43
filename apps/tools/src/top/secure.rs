//! TLS with a server that is known by its key, or by authorities, below the HTTP that [`super::poll`] speaks.

use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use framewire_process::exit::Failure;
use framewire_signal::{Pin, tls_config};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

/// Wraps connections to `https://` in TLS, and leaves others as they are.
pub(super) struct Secure(Arc<ClientConfig>);

impl Secure {
    /// Known by its key where there is a pin, else by the authorities in a file, else by those that this machine trusts.
    ///
    /// # Errors
    /// The file cannot be used, or this machine trusts nobody.
    pub(super) fn new(pin: Option<Pin>, ca: Option<PathBuf>) -> Result<Self, Failure> {
        Ok(Self(tls_config(pin, ca).map_err(Failure::usage)?))
    }
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secure")
    }
}

impl<In: Transport> Connector<In> for Secure {
    type Out = Either<In, Secured>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|_| ureq::Error::Tls("the host is no name for a certificate"))?;
        let mut connection = ClientConnection::new(self.0.clone(), name).map_err(to_io)?;
        let mut below = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        below.set_timeout(details.timeout);
        connection.complete_io(&mut below)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Secured { buffers, stream: StreamOwned { conn: connection, sock: below } })))
    }
}

fn to_io(error: rustls::Error) -> ureq::Error {
    ureq::Error::Io(std::io::Error::other(error))
}

/// A connection over TLS.
pub(super) struct Secured {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secured")
    }
}

impl Transport for Secured {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let amount = self.stream.read(input)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
