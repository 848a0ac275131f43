//! Which servers a client speaks to, how it knows each again, and what it takes for granted there.

use std::path::Path;
use std::time::{Duration, Instant};

use framewire_capture::SourceSpec;
use framewire_process::exit::{Failure, say};
use framewire_process::stop::Stop;
use framewire_signal::directory::{Guard, discover};
use framewire_signal::message::Opened;
use framewire_signal::{ClientConfig, Role, Token};
use framewire_tools::join::{check_no_join_string, read_join};
use framewire_transport::crypto::Key;
use framewire_transport::{PathKind, Protection};

use crate::cli::ClientArgs;
use crate::credentials::token;

/// Most servers of one command line: each has a connection, a thread or two, and frames that are held for it.
const SERVERS_MAX: usize = 16;

/// In place of a server: those that are found on this network.
const AUTO: &str = "auto";
/// How long servers are looked for at a time: most answer within a second.
const LOOK_FOR: Duration = Duration::from_millis(1_500);
const SHORTEST_LOOK: Duration = Duration::from_millis(200);

/// The servers that a client has its frames go to, all at once.
pub(crate) type Targets = Vec<InTurn>;

/// One server, and those that are asked, one after the other, where it is gone. Never empty.
pub(crate) type InTurn = Vec<Target>;

/// By what a program knows its servers, and they it.
pub(crate) struct Credentials<'a> {
    pub(crate) token: Option<Token>,
    /// What to be to a server that asks for a token.
    pub(crate) role: Role,
    pub(crate) ca: Option<&'a Path>,
    pub(crate) protect: bool,
    pub(crate) insecure: bool,
    /// Standard input has something else than a join string.
    pub(crate) stdin_is_taken: bool,
}

/// The servers of a client's command line: of each `--server` or `--join` one, with those that take its place behind commas.
///
/// # Errors
/// As of [`in_turn`]; more servers than a client speaks to.
pub(crate) fn targets(args: &ClientArgs, stop: &Stop) -> Result<Targets, Failure> {
    if let SourceSpec::File(path) = &args.stream.source {
        check_no_join_string("the source", &path.to_string_lossy())?;
    }
    if args.insecure && args.protect {
        return Err(Failure::usage("--insecure and --protect say the opposite of each other; leave one out"));
    }
    args.server.iter().try_for_each(|server| check_no_join_string("--server", server))?;
    let credentials = Credentials {
        token: token(&args.common)?,
        role: Role::Stream,
        ca: args.ca.as_deref(),
        protect: args.protect,
        insecure: args.insecure,
        stdin_is_taken: matches!(args.stream.source, SourceSpec::Stdin),
    };
    let targets = match args.join.as_slice() {
        [] => args
            .server
            .iter()
            .map(|servers| in_turn("--server", servers, &credentials, (args.connect_timeout, stop)))
            .collect::<Result<Targets, _>>()?,
        files => files
            .iter()
            .map(|files| in_turn("--join", &files.to_string_lossy(), &credentials, (args.connect_timeout, stop)))
            .collect::<Result<Targets, _>>()?,
    };
    let servers: Vec<_> = targets.iter().flatten().map(|target| target.server.as_str()).collect();
    if servers.len() > SERVERS_MAX {
        return Err(Failure::usage(format!(
            "{} servers are too many; name at most {SERVERS_MAX}, and let others watch the stream there",
            servers.len()
        )));
    }
    if let Some((_, twice)) = servers.iter().enumerate().find(|(at, server)| servers[..*at].contains(server)) {
        return Err(Failure::usage(format!("{twice} is named twice; a server has a stream once, so name it once")));
    }
    Ok(targets)
}

/// One server, and behind commas those that take its place; of `auto` those that are found.
///
/// # Errors
/// As of [`Target::of`]; a list with a gap, or of servers of which some are protected and some not.
pub(crate) fn in_turn(
    flag: &str,
    value: &str,
    credentials: &Credentials<'_>,
    patience: (Option<Duration>, &Stop),
) -> Result<InTurn, Failure> {
    if flag == "--server" && value.trim() == AUTO {
        return found(credentials, patience);
    }
    let turn = value.split(',').map(str::trim).map(|one| match one {
        "" => Err(Failure::usage(format!("{flag} {value:?} has no server before or behind a comma; write A,B"))),
        AUTO if flag == "--server" => {
            Err(Failure::usage("--server auto stands alone: it is all servers that are found, in turn"))
        }
        one => Target::of(flag, one, credentials),
    });
    let turn = turn.collect::<Result<InTurn, _>>()?;
    match turn.iter().find(|other| other.is_plain != turn[0].is_plain) {
        None => Ok(turn),
        Some(other) => {
            let (protected, plain) = if turn[0].is_plain { (other, &turn[0]) } else { (&turn[0], other) };
            Err(Failure::usage(format!(
                "{} is protected and {} is not: what goes to one in the other's place must be as safe there; join both, or name both by \
                 --server",
                protected.server, plain.server
            )))
        }
    }
}

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
    /// A join string that cannot be read or is given where others see it, what cannot be said together.
    fn of(flag: &str, value: &str, credentials: &Credentials<'_>) -> Result<Self, Failure> {
        check_no_join_string(flag, value)?;
        let &Credentials { ref token, role, ca, protect, insecure, .. } = credentials;
        let config = match flag {
            "--join" => joined(Path::new(value), credentials)?,
            _ => ClientConfig::new(value).token(token.clone()).ca(ca.map(Path::to_owned)),
        };
        let config = config.role(role).insecure(insecure);
        let has_secret = config.token.is_some() || config.pin.is_some() || config.ca.is_some();
        let is_https = is_https(&config.server_url);
        if protect && !has_secret && !is_https {
            return Err(Failure::usage(
                "--protect needs something by which the server is known; give the line that it prints at its start with --join -, or in a \
                 file with --join FILE",
            ));
        }
        Ok(Self {
            server: config.server_url.clone(),
            is_demanding: (has_secret || protect) && !insecure,
            is_plain: !has_secret && !is_https,
            protect,
            insecure,
            config,
        })
    }

    /// Whether nothing at all says who the server is, or somebody has said that it does not matter.
    pub(crate) fn may_be_plain(&self) -> bool {
        self.is_plain || self.insecure
    }

    /// Whether a connection to `server`, as the client of it writes addresses, is one to this.
    pub(crate) fn is(&self, server: &str) -> bool {
        /// As addresses are read: the host in lower case, without what goes without saying.
        fn plainest(url: &str) -> String {
            let url = url.trim().trim_end_matches('/').to_lowercase();
            let (scheme, rest) = url.split_once("://").unwrap_or(("http", &url));
            let usual = if scheme == "https" { ":443" } else { ":80" };
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            format!("{scheme}://{}/{path}", host.strip_suffix(usual).unwrap_or(host))
        }
        plainest(&self.server) == plainest(server)
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
fn joined(from: &Path, credentials: &Credentials<'_>) -> Result<ClientConfig, Failure> {
    if from.as_os_str() == "-" && credentials.stdin_is_taken {
        return Err(Failure::usage(
            "both the frames and the join string would come from standard input; give the string in a file: --join FILE",
        ));
    }
    if credentials.ca.is_some() {
        return Err(Failure::usage("the join string says by what key the server is known; leave --ca out"));
    }
    let join = read_join(from)?;
    // Whoever has both means the one that comes with the server.
    if credentials.token.as_ref().is_some_and(|given| *given != join.token) {
        tracing::info!("the token of the join string is taken, not the other that is given");
    }
    Ok(ClientConfig::join(&join))
}

/// The servers of this network, in the order of their names: whoever is there first has it. Waited for as long as a server may take to answer.
///
/// # Errors
/// None can be looked for, or none was found in time.
fn found(credentials: &Credentials<'_>, (limit, stop): (Option<Duration>, &Stop)) -> Result<InTurn, Failure> {
    let begun = Instant::now();
    let mut is_told = false;
    loop {
        let round =
            limit.map_or(LOOK_FOR, |limit| limit.saturating_sub(begun.elapsed()).clamp(SHORTEST_LOOK, LOOK_FOR));
        let looked = stop.unless_asked(move || discover(round)).map_err(|error| {
            Failure::runtime(format!(
                "no thread to look for servers in: {error}; stop other programs, or raise the limit"
            ))
        })?;
        let Some(looked) = looked else {
            stop.outcome()?;
            return Err(Failure::runtime("stopped before a server was found"));
        };
        let all = looked.map_err(Failure::runtime)?;
        // One that is protected is known by its token or not at all: whoever announces itself on this network may be anybody.
        let (open, closed): (Vec<_>, Vec<_>) =
            all.iter().partition(|one| credentials.token.is_some() == (one.guard == Guard::Protected));
        if !open.is_empty() {
            let names: Vec<_> = open.iter().map(|one| format!("{} ({})", one.name, one.url)).collect();
            tracing::info!("found {}", names.join(", "));
            return open.iter().map(|one| Target::of("--server", &one.url, credentials)).collect();
        }
        if !std::mem::replace(&mut is_told, true) {
            let what = match (closed.first(), credentials.token.is_some()) {
                (None, _) => "no server was found on this network yet".to_owned(),
                (Some(one), false) => {
                    format!("{} is protected; give its token by --token-file, or join it by --join", one.url)
                }
                (Some(one), true) => format!("{} is not protected, and a token was given", one.url),
            };
            say(format_args!("framewire: {what}; it is looked for until there is one"));
        }
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            return Err(Failure::runtime(
                "no server was found on this network that lets this program in; name one by --server",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(flags: &[&str]) -> Result<Vec<Vec<String>>, String> {
        use clap::Parser;
        let args = ClientArgs::parse_from(["client"].iter().chain(flags));
        let servers = |turn: &InTurn| turn.iter().map(|target| target.server.clone()).collect();
        targets(&args, &Stop::new())
            .map(|targets| targets.iter().map(servers).collect())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn servers_that_are_named_one_by_one_have_it_all_and_those_behind_commas_in_turn() {
        assert_eq!(named(&[]).unwrap(), [["http://127.0.0.1:8080"]]);
        let both = named(&["--server", "http://a:1, http://b:1", "--server", "http://c:1"]).unwrap();
        assert_eq!(both, [vec!["http://a:1", "http://b:1"], vec!["http://c:1"]]);
    }

    #[test]
    fn a_server_is_known_again_however_its_address_is_written() {
        let is = |given: &str, server: &str| {
            use clap::Parser;
            let args = ClientArgs::parse_from(["client", "--server", given]);
            targets(&args, &Stop::new()).unwrap()[0][0].is(server)
        };
        assert!(is("HTTP://Cams.example:80/", "http://cams.example") && is("http://a:8080/x", "http://a:8080/x"));
        assert!(!is("http://a:8080", "http://a:8081") && !is("https://a", "http://a") && !is("http://a/x", "http://a"));
    }

    #[test]
    fn of_two_that_take_turns_one_that_is_protected_is_not_followed_by_one_that_is_not() {
        let refused = named(&["--server", "http://a:1,https://b:1"]).unwrap_err();
        assert!(refused.contains("https://b:1 is protected and http://a:1 is not"), "{refused}");
        assert!(named(&["--server", "http://a:1", "--server", "https://b:1"]).is_ok(), "each is its own");
    }

    #[test]
    fn a_list_with_a_gap_a_server_twice_and_too_many_are_refused_with_the_remedy() {
        for (flags, said) in [
            (&["--server", "http://a:1,"] as &[_], "write A,B"),
            (&["--server", "http://a:1", "--server", "http://b:1,http://a:1"], "http://a:1 is named twice"),
        ] {
            let refused = named(flags).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
        let many = (0..17).map(|port| format!("http://a:{}", port + 1)).collect::<Vec<_>>().join(",");
        assert!(named(&["--server", &many]).unwrap_err().contains("17 servers are too many; name at most 16"));
    }

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
