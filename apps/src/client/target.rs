//! Which server a client speaks to, how it knows that one again, and what it takes for granted there.

use framewire_capture::SourceSpec;
use framewire_process::exit::{Failure, say};
use framewire_signal::message::Opened;
use framewire_signal::{ClientConfig, Token};
use framewire_tools::join::{check_no_join_string, read_join};
use framewire_transport::crypto::Key;
use framewire_transport::{PathKind, Protection};

use crate::cli::ClientArgs;
use crate::credentials::token;

/// A server, as the command line says it.
pub(crate) struct Target {
    /// As people are told of it: never with a secret.
    pub(crate) server: String,
    config: ClientConfig,
    /// Something says who the server is, or that it is to be protected: then nothing goes to it plainly.
    is_demanding: bool,
    /// Nothing was given, not even an address of TLS.
    is_plain: bool,
    protect: bool,
    insecure: bool,
}

impl Target {
    /// # Errors
    /// A join string that cannot be read or is given where others see it, a token that cannot be read, what cannot be said together.
    pub(crate) fn of(args: &ClientArgs) -> Result<Self, Failure> {
        check_no_join_string("--server", &args.server)?;
        if let SourceSpec::File(path) = &args.stream.source {
            check_no_join_string("the source", &path.to_string_lossy())?;
        }
        if args.insecure && args.protect {
            return Err(Failure::usage("--insecure and --protect say the opposite of each other; leave one out"));
        }
        let given = token(&args.common)?;
        let config = match &args.join {
            Some(from) => joined(args, from.as_path(), given)?,
            None => ClientConfig::new(args.server.as_str()).token(given).ca(args.ca.clone()),
        };
        let config = config.insecure(args.insecure);
        let has_secret = config.token.is_some() || config.pin.is_some() || config.ca.is_some();
        let is_https = is_https(&config.server_url);
        if args.protect && !has_secret && !is_https {
            return Err(Failure::usage(
                "--protect needs something by which the server is known; give the line that it prints at its start with --join -, or in a \
                 file with --join FILE",
            ));
        }
        Ok(Self {
            server: config.server_url.clone(),
            is_demanding: (has_secret || args.protect) && !args.insecure,
            is_plain: !has_secret && !is_https,
            protect: args.protect,
            insecure: args.insecure,
            config,
        })
    }

    /// What the connection is set up by.
    pub(crate) fn config(&self) -> ClientConfig {
        self.config.clone()
    }

    /// The key for a stream that the server has opened, and how it is to be sent.
    ///
    /// # Errors
    /// It gave none, and something asks for one.
    pub(crate) fn protection(&self, opened: &Opened) -> Result<(Option<Key>, Protection), Failure> {
        match &opened.key {
            Some(key) => Ok((Some(key.clone()), if self.protect { Protection::On } else { Protection::Auto })),
            None if self.is_demanding => Err(Failure::runtime(format!(
                "{} gives no key for the frames, so that anyone on the way could read and change them; start it without --insecure, \
                 or, on a network that you trust, give this client --insecure",
                self.server
            ))),
            None if self.is_plain || self.insecure => Ok((None, Protection::Off)),
            None => Ok((None, Protection::Auto)),
        }
    }

    /// Tells people, once, of a stream that leaves this machine as it is.
    pub(crate) fn tell(&self, peer: std::net::SocketAddr, path: PathKind, key: Option<&Key>) {
        if key.is_none() && path == PathKind::Udp && !peer.ip().to_canonical().is_loopback() {
            say(format_args!(
                "framewire-client: nothing protects this stream: {} offers nothing else, so that anyone on the way can read and change it",
                self.server
            ));
        }
    }
}

/// Whether TLS is asked for, however that is written: an address is read so, too.
fn is_https(server_url: &str) -> bool {
    let scheme = server_url.trim_start().split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// The server of a join string. It says all that there is to say.
fn joined(args: &ClientArgs, from: &std::path::Path, given: Option<Token>) -> Result<ClientConfig, Failure> {
    if from.as_os_str() == "-" && matches!(args.stream.source, SourceSpec::Stdin) {
        return Err(Failure::usage(
            "both the frames and the join string would come from standard input; give the string in a file: --join FILE",
        ));
    }
    if args.ca.is_some() {
        return Err(Failure::usage("the join string says by what key the server is known; leave --ca out"));
    }
    let join = read_join(from)?;
    // Whoever has both means the one that comes with the server.
    if given.is_some_and(|given| given != join.token) {
        tracing::info!("the token of the join string is taken, not the other that is given");
    }
    Ok(ClientConfig::join(&join))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_asked_for_however_it_is_written() {
        for url in ["https://cams.example", "HTTPS://cams.example:8443", " Https://cams.example/a"] {
            assert!(is_https(url), "{url}");
        }
        for url in ["http://cams.example", "HTTP://https:80", "https", ""] {
            assert!(!is_https(url), "{url}");
        }
    }
}
