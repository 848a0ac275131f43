//! Which servers a client speaks to, how it knows each again, and what it takes for granted there.

use std::borrow::Cow;
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

/// Which of these servers a connection is to; else one that they have told of, from which the same is asked as from the first.
pub(crate) fn target_of<'a>(servers: &'a InTurn, server: &str) -> Cow<'a, Target> {
    match servers.iter().find(|target| target.is(server)) {
        Some(target) => Cow::Borrowed(target),
        None => Cow::Owned(Target { server: server.to_owned(), ..servers[0].clone() }),
    }
}

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

/// The servers of a client's command line: of each `--server` or `--join` one, with those that take its place behind commas. `None` where somebody asked
/// to stop before one was found.
///
/// # Errors
/// As of [`in_turn`]; more servers than a client speaks to, and what of them cannot be said together.
pub(crate) fn targets(args: &ClientArgs, stop: &Stop) -> Result<Option<Targets>, Failure> {
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
    let (flag, values) = match args.join.as_slice() {
        [] => ("--server", args.server.clone()),
        files => ("--join", files.iter().map(|file| file.to_string_lossy().into_owned()).collect()),
    };
    // Who is named comes first: what is found is one of the others.
    let named = values.iter().map(|value| match is_auto(flag, value) {
        true => Ok(Vec::new()),
        false => listed(flag, value, &credentials),
    });
    let mut targets = named.collect::<Result<Targets, _>>()?;
    let names: Vec<_> = targets.iter().flatten().map(|target| target.server.clone()).collect();
    let autos = targets.iter().filter(|turn| turn.is_empty()).count();
    check_together(args, &names, autos)?;
    if let Some(at) = targets.iter().position(Vec::is_empty) {
        let others = Others { named: &names, room: SERVERS_MAX - names.len() };
        let Some(found) = found(&credentials, (args.connect_timeout, stop), &others)? else { return Ok(None) };
        targets[at] = found;
    }
    Ok(Some(targets))
}

/// That these servers, and all that are found so often, may be one client's.
fn check_together(args: &ClientArgs, names: &[String], autos: usize) -> Result<(), Failure> {
    if names.len() > SERVERS_MAX {
        return Err(Failure::usage(format!(
            "{} servers are too many; name at most {SERVERS_MAX}, and let others watch the stream there",
            names.len()
        )));
    }
    let is_named_before = |at: usize| names[..at].iter().any(|other| plainest(other) == plainest(&names[at]));
    if let Some(twice) = (0..names.len()).find(|at| is_named_before(*at)) {
        return Err(Failure::usage(format!(
            "{} is named twice; a server has a stream once, so name it once",
            names[twice]
        )));
    }
    if autos > 1 {
        return Err(Failure::usage(
            "--server auto is given twice; it is all servers that are found, in turn, so give it once",
        ));
    }
    if autos == 1 && names.len() == SERVERS_MAX {
        return Err(Failure::usage(format!(
            "{SERVERS_MAX} servers are named, the most that there may be, so that none is looked for; leave --server auto or one of them out"
        )));
    }
    match &args.udp {
        // Of what is found there may be several, today or tomorrow.
        Some(udp) if !udp.is_unspecified() && (names.len() > 1 || autos > 0) => Err(Failure::usage(format!(
            "--udp {udp} is where one server takes frames, and there may be several here; give the port alone (--udp :{}) where it is the same at each, or \
             leave it out: each says where it takes them (the server's --announce-udp)",
            udp.port()
        ))),
        _ => Ok(()),
    }
}

/// One server, and behind commas those that take its place; of `auto` those that are found. `None` where somebody asked to stop before one was.
///
/// # Errors
/// As of [`Target::of`]; a list with a gap, or of servers of which some are protected and some not.
pub(crate) fn in_turn(
    flag: &str,
    value: &str,
    credentials: &Credentials<'_>,
    patience: (Option<Duration>, &Stop),
) -> Result<Option<InTurn>, Failure> {
    if is_auto(flag, value) {
        return found(credentials, patience, &Others { named: &[], room: SERVERS_MAX });
    }
    listed(flag, value, credentials).map(Some)
}

/// Whether servers are looked for.
fn is_auto(flag: &str, value: &str) -> bool {
    flag == "--server" && value.trim() == AUTO
}

/// The servers of one list.
fn listed(flag: &str, value: &str, credentials: &Credentials<'_>) -> Result<InTurn, Failure> {
    let turn = value.split(',').map(str::trim).map(|one| match one {
        "" => Err(Failure::usage(format!("{flag} {value:?} has no server before or behind a comma; write A,B"))),
        one if is_auto(flag, one) => {
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
#[derive(Clone)]
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

    /// The key under which a stream goes on that this server has opened again, or in another's place; `is_keyed` says whether it has one by now. A stream
    /// goes on as protected as it was begun: also where somebody has said that it need not be, nothing turns plain in the middle.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) fn protection_after(&self, is_keyed: bool, opened: &Opened) -> Result<Option<Key>, Failure> {
        let (key, _) = self.protection(opened)?;
        match (is_keyed, key.is_some()) {
            (true, false) => Err(Failure::runtime(format!(
                "{} gives no key for the frames, and the stream had one: it does not go on where anyone on the way could read and change it; start \
                 that server without --insecure, or this client again",
                self.server
            ))),
            // What was begun as one that is not to be protected takes no key.
            (false, true) if self.may_be_plain() => Err(Failure::runtime(format!(
                "{} protects its streams, and this one was begun plainly; start this client again, best without --insecure",
                self.server
            ))),
            _ => Ok(key),
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

/// An address as it is read: the host in lower case, without what goes without saying.
fn plainest(url: &str) -> String {
    let url = url.trim().trim_end_matches('/').to_lowercase();
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", &url));
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    format!("{scheme}://{}/{path}", host.strip_suffix(usual).unwrap_or(host))
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

/// The servers of a client besides those that are found.
struct Others<'a> {
    named: &'a [String],
    /// How many there may be more.
    room: usize,
}

impl Others<'_> {
    /// Of the addresses that are found, in their order, each once that is not named already, and as many as there may be; and how many are left out.
    fn choose<'a>(&self, found: impl Iterator<Item = &'a str>) -> (Vec<&'a str>, usize) {
        let mut chosen: Vec<&str> = Vec::new();
        for url in found {
            let is_this = |other: &str| plainest(other) == plainest(url);
            if !self.named.iter().any(|other| is_this(other)) && !chosen.iter().any(|other| is_this(other)) {
                chosen.push(url);
            }
        }
        let left_out = chosen.len().saturating_sub(self.room);
        chosen.truncate(self.room);
        (chosen, left_out)
    }
}

/// The servers of this network, in the order of their names: whoever is there first has it. Waited for as long as a server may take to answer;
/// `None` where somebody asked to stop before.
///
/// # Errors
/// None can be looked for, or none was found in time.
fn found(
    credentials: &Credentials<'_>,
    (limit, stop): (Option<Duration>, &Stop),
    others: &Others<'_>,
) -> Result<Option<InTurn>, Failure> {
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
            return stop.outcome().map(|()| None);
        };
        let all = looked.map_err(Failure::runtime)?;
        // One that is protected is known by its token or not at all: whoever announces itself on this network may be anybody.
        let (open, closed): (Vec<_>, Vec<_>) =
            all.iter().partition(|one| credentials.token.is_some() == (one.guard == Guard::Protected));
        let (chosen, left_out) = others.choose(open.iter().map(|one| one.url.as_str()));
        if !chosen.is_empty() {
            let names: Vec<_> = open.iter().map(|one| format!("{} ({})", one.name, one.url)).collect();
            tracing::info!("found {}", names.join(", "));
            if left_out > 0 {
                say(format_args!(
                    "framewire: {} servers were found, {left_out} more than one program goes to: the first {} by their names take turns, and the \
                     others are left out; name those that are meant by --server",
                    chosen.len() + left_out,
                    chosen.len()
                ));
            }
            return chosen
                .into_iter()
                .map(|url| Target::of("--server", url, credentials))
                .collect::<Result<_, _>>()
                .map(Some);
        }
        if !std::mem::replace(&mut is_told, true) {
            let what = match (closed.first(), credentials.token.is_some()) {
                _ if !open.is_empty() => {
                    "no other server than those that are named was found on this network yet".to_owned()
                }
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
            .map(|targets| targets.unwrap().iter().map(servers).collect())
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
            targets(&args, &Stop::new()).unwrap().unwrap()[0][0].is(server)
        };
        assert!(is("HTTP://Cams.example:80/", "http://cams.example") && is("http://a:8080/x", "http://a:8080/x"));
        assert!(!is("http://a:8080", "http://a:8081") && !is("https://a", "http://a") && !is("http://a/x", "http://a"));
    }

    #[test]
    fn of_a_server_that_was_told_of_the_same_is_asked_as_of_the_one_that_was_named() {
        use clap::Parser;
        let args = ClientArgs::parse_from(["client", "--server", "https://a:1"]);
        let turn = targets(&args, &Stop::new()).unwrap().unwrap().remove(0);
        assert_eq!(target_of(&turn, "https://A:1/").server, "https://a:1");
        let learned = target_of(&turn, "https://b:1");
        assert!(learned.is("https://b:1") && !learned.may_be_plain());
        let said = learned.protection_after(true, &Opened::new(7, 9)).unwrap_err().to_string();
        assert!(said.starts_with("https://b:1 gives no key"), "{said}");
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
            (&["--server", "http://a", "--server", "http://A:80/"], "http://A:80/ is named twice"),
            (&["--server", "auto", "--server", "auto"], "auto is given twice"),
            (&["--server", "auto,http://a:1"], "auto stands alone"),
        ] {
            let refused = named(flags).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
        let many = (0..17).map(|port| format!("http://a:{}", port + 1)).collect::<Vec<_>>().join(",");
        assert!(named(&["--server", &many]).unwrap_err().contains("17 servers are too many; name at most 16"));
        let full = many.rsplit_once(',').unwrap().0;
        assert!(named(&["--server", full]).is_ok());
        let refused = named(&["--server", full, "--server", "auto"]).unwrap_err();
        assert!(refused.contains("16 servers are named"), "{refused}");
    }

    #[test]
    fn of_those_that_are_found_each_is_taken_once_and_no_more_than_there_may_be_which_is_told() {
        let found: Vec<String> = (0..20).map(|host| format!("http://10.0.0.{host}:8080")).collect();
        let choose = |named: &[&str], room, found: &[&str]| {
            let named: Vec<_> = named.iter().map(|url| (*url).to_owned()).collect();
            let (chosen, left_out) = Others { named: &named, room }.choose(found.iter().copied());
            (chosen.into_iter().map(str::to_owned).collect::<Vec<_>>(), left_out)
        };
        let all: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(choose(&[], 16, &all), (found[..16].to_vec(), 4));
        assert_eq!(
            choose(&[all[0]], 15, &all),
            (found[1..16].to_vec(), 4),
            "who is named is none of those that are left out"
        );
        let twice = [all[3], "HTTP://10.0.0.3:8080/", all[1]];
        assert_eq!(choose(&[], 16, &twice), (vec![found[3].clone(), found[1].clone()], 0));
        assert_eq!(choose(&["http://10.0.0.3:8080", all[1]], 14, &twice), (vec![], 0));
    }

    #[test]
    fn a_stream_goes_on_as_protected_as_it_was_begun_whatever_may_be_plain() {
        let credentials = |insecure| Credentials {
            token: None,
            role: Role::Stream,
            ca: None,
            protect: false,
            insecure,
            stdin_is_taken: false,
        };
        let key = Key::from_bytes([7; 32]);
        let (with, without) = (Opened::new(7, 9).key(key.clone()), Opened::new(7, 9));
        for insecure in [false, true] {
            let target = Target::of("--server", "https://a:1", &credentials(insecure)).unwrap();
            assert!(target.protection_after(true, &with).unwrap().is_some(), "{insecure}");
            let said = target.protection_after(true, &without).unwrap_err().to_string();
            assert!(said.contains("https://a:1 gives no key") && said.contains("had one"), "{said}");
            assert!(target.protection_after(false, &without).unwrap().is_none(), "{insecure}");
            assert_eq!(target.protection_after(false, &with).is_ok(), !insecure);
        }
    }

    #[test]
    fn where_frames_go_is_one_place_only_where_there_is_one_server() {
        let two = ["--server", "http://a:1,http://b:1"];
        for servers in [&two[..], &["--server", "http://a:1", "--server", "http://b:1"], &["--server", "auto"]] {
            let refused = named(&[servers, &["--udp", "10.0.0.1:9"]].concat()).unwrap_err();
            assert!(refused.contains("10.0.0.1:9") && refused.contains("--udp :9"), "{refused}");
        }
        assert!(named(&[&two[..], &["--udp", ":9"]].concat()).is_ok(), "a port may be the same at each");
        assert!(named(&["--server", "http://a:1", "--udp", "10.0.0.1:9"]).is_ok());
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
