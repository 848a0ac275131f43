//! How a server is guarded: who it is to its clients, and what lets them and viewers in.
//!
//! Off loopback, and wherever a secret or a certificate is given, everything is: TLS on the port of Socket.IO and the page, a token for
//! streaming, another for looking, a key for each stream's frames. What nobody brings is made at the first start, and kept.

use std::path::{Path, PathBuf};

use framewire_monitor::{Guarding, Secret};
use framewire_process::exit::Failure;
use framewire_process::state::StateDirectory;
use framewire_signal::directory::ClusterKey;
use framewire_signal::{Identity, Pin, Token};
use framewire_transport::Protection;

use super::setup::Places;
use crate::cli::{ServerArgs, Wire};
use crate::credentials::token;

/// What the state directory keeps: certificate and key in one file, so that there are both or none.
const TOKEN: &str = "token";
const VIEW_TOKEN: &str = "view-token";
const IDENTITY: &str = "identity.pem";
const JOIN: &str = "join";

/// What guards a server.
pub(crate) struct Guard {
    /// Where there is one, TLS is spoken, and frames are encrypted.
    pub(crate) identity: Option<Identity>,
    /// For streaming.
    pub(crate) token: Option<Token>,
    /// For looking alone.
    pub(crate) view_token: Option<Token>,
    password: Option<Secret>,
    /// Somebody said that nothing is to be guarded.
    is_waived: bool,
    /// Where the line that cameras join by is written.
    pub(crate) join_file: Option<PathBuf>,
    pub(crate) looking: Looking,
}

/// By what people look, and where they find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Looking {
    /// It takes nothing.
    Open,
    /// What is in this file.
    ByFile { what: &'static str, path: PathBuf },
    /// The token for streaming, from the environment.
    ByVariable,
}

impl Guard {
    /// Reads what is given, and what was made before; makes what is missing.
    ///
    /// # Errors
    /// What cannot be said together, files that cannot be used, a state directory that cannot be.
    pub(crate) fn of(args: &ServerArgs, places: &Places) -> Result<Self, Failure> {
        check(args, places)?;
        let given = token(&args.common)?;
        let is_reachable = places.all().any(|address| !address.ip().is_loopback());
        let is_asked_for = given.is_some() || args.view_token_file.is_some() || args.protect || args.tls_cert.is_some();
        let is_protected = !args.insecure && (is_reachable || is_asked_for) && args.common.wire == Wire::Framed;
        let password = args.view_password_file.as_deref().map(Secret::password_from_file).transpose()?;
        let view_token = args.view_token_file.as_ref().map(Token::from_file).transpose().map_err(Failure::usage)?;
        let mut guard = Self {
            identity: None,
            token: given,
            view_token,
            password,
            is_waived: args.insecure,
            join_file: args.join_file.clone(),
            looking: Looking::Open,
        };
        if is_protected {
            guard.complete(args, places)?;
        } else if guard.join_file.take().is_some() {
            tracing::warn!(
                "no line to join by is written: nothing guards this server, so that clients need none; see --protect"
            );
        }
        if guard.token.is_some() && guard.token == guard.view_token {
            return Err(Failure::usage(
                "the view token is the token for streaming, so that whoever looks could stream; make another by: framewire token \
                 --role view --file FILE",
            ));
        }
        guard.check_cluster_key(args)?;
        guard.looking = guard.looking_by(args);
        Ok(guard)
    }

    /// Whoever streams or looks has one of these tokens: with the cluster's key they would be a server, and sign what the others believe.
    fn check_cluster_key(&self, args: &ServerArgs) -> Result<(), Failure> {
        let Some(path) = &args.cluster.cluster_key_file else { return Ok(()) };
        let key = ClusterKey::from_file(path).map_err(Failure::usage)?;
        for (what, token) in [("token for streaming", &self.token), ("view token", &self.view_token)] {
            if token.as_ref().is_some_and(|token| ClusterKey::from(token.clone()) == key) {
                return Err(Failure::usage(format!(
                    "the cluster's key in {} is this server's {what}, so that whoever has that could be a server of the cluster; make another \
                     by: framewire token --file FILE, and give it to all of the cluster",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Has all that a protected server needs. Where everything is given, nothing is kept anywhere.
    fn complete(&mut self, args: &ServerArgs, places: &Places) -> Result<(), Failure> {
        if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
            self.identity = Some(Identity::from_files(certificate, key).map_err(Failure::usage)?);
        }
        let has_view = self.view_token.is_some() || self.password.is_some();
        if self.identity.is_some() && self.token.is_some() && has_view {
            return Ok(());
        }
        let state = StateDirectory::open(args.state_directory.as_deref())?;
        if self.identity.is_none() {
            self.identity = Some(kept_identity(&state, places)?);
        }
        if self.token.is_none() {
            self.token = Some(kept_token(&state, TOKEN)?);
        }
        if !has_view {
            self.view_token = Some(kept_token(&state, VIEW_TOKEN)?);
            self.looking = Looking::ByFile { what: "view token", path: state.file(VIEW_TOKEN) };
        }
        self.join_file.get_or_insert_with(|| state.file(JOIN));
        Ok(())
    }

    fn looking_by(&self, args: &ServerArgs) -> Looking {
        let by = |what, path: &Path| Looking::ByFile { what, path: path.to_owned() };
        match (&args.view_token_file, &args.view_password_file, &args.common.token_file) {
            (Some(path), ..) => by("view token", path),
            (None, Some(path), _) => by("view password", path),
            _ if self.view_token.is_some() => self.looking.clone(),
            (None, None, Some(path)) => by("token", path),
            (None, None, None) if self.token.is_some() => Looking::ByVariable,
            (None, None, None) => Looking::Open,
        }
    }

    /// What lets people look.
    pub(crate) fn secrets(&mut self) -> Vec<Secret> {
        let tokens = [&self.view_token, &self.token].into_iter().flatten().map(|token| Secret::token(token.secret()));
        tokens.chain(self.password.take()).collect()
    }

    /// The key that clients know the server by, where it has one.
    pub(crate) fn pin(&self) -> Option<Pin> {
        self.identity.as_ref().map(Identity::pin)
    }

    /// Whether TLS is spoken and frames are encrypted.
    pub(crate) fn is_protected(&self) -> bool {
        self.identity.is_some()
    }

    /// Whether somebody said that nothing is to be guarded.
    pub(crate) fn is_waived(&self) -> bool {
        self.is_waived
    }

    /// The same for who looks.
    pub(crate) fn guarding(&self) -> Guarding {
        match (self.is_protected(), self.is_waived) {
            (true, _) => Guarding::Protected,
            (false, true) => Guarding::Insecure,
            (false, false) => Guarding::Open,
        }
    }

    /// How its streams are taken.
    pub(crate) fn protection(&self) -> Protection {
        match (self.is_protected(), self.is_waived) {
            (true, _) => Protection::On,
            (false, true) => Protection::Off,
            (false, false) => Protection::Auto,
        }
    }
}

/// What cannot be said together.
fn check(args: &ServerArgs, places: &Places) -> Result<(), Failure> {
    let plain = args.common.wire == Wire::Plain;
    let refused = match (&args.tls_cert, &args.tls_key) {
        _ if args.insecure && args.protect => "--insecure and --protect say the opposite of each other; leave one out",
        (Some(_), _) | (_, Some(_)) if args.insecure => {
            "--insecure has the server speak without TLS, for which --tls-cert and --tls-key are; leave one or the other out"
        }
        (Some(_), None) => "--tls-cert needs the key that it was made for; give it with --tls-key FILE",
        (None, Some(_)) => "--tls-key needs the certificate that was made for it; give it with --tls-cert FILE",
        _ if plain && (args.protect || args.tls_cert.is_some()) => {
            "the plain wire has nothing that protects it; use --wire framed, or leave --protect and --tls-cert out"
        }
        _ => "",
    };
    if !refused.is_empty() {
        return Err(Failure::usage(refused));
    }
    if plain && !args.insecure && places.all().any(|address| !address.ip().is_loopback()) {
        return Err(Failure::usage(format!(
            "{} can be reached from other machines, and nothing guards the plain wire; give --insecure to take frames from anyone, or use --wire framed",
            places.all().find(|address| !address.ip().is_loopback()).unwrap_or(places.udp)
        )));
    }
    Ok(())
}

fn kept_token(state: &StateDirectory, name: &str) -> Result<Token, Failure> {
    let kept = state.kept(name, || {
        let text = Token::random_text();
        text.map(|text| text + "\n").map_err(|error| no_random("a token", &error))
    })?;
    // What Token says is of a secret that somebody gives, and how to make one: here another is made by itself.
    Token::new(&kept.text).map_err(|_| kept.is_broken("token", &"16 bytes in hexadecimal or base64url are not in it"))
}

fn kept_identity(state: &StateDirectory, places: &Places) -> Result<Identity, Failure> {
    let kept = state.kept(IDENTITY, || {
        let names = names(places);
        // What a machine calls itself need be no name that a certificate can have.
        let made = Identity::generate(&names).or_else(|_| Identity::generate(&["localhost".to_owned()]));
        let (certificate, key) = made.map_err(|error| no_random("a key", &error))?;
        Ok(certificate + &key)
    })?;
    Identity::from_pem(&kept.text, &kept.text).map_err(|error| kept.is_broken("certificate and key", &error))
}

fn no_random(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::runtime(format!("{what} for the server cannot be made: {error}; try again"))
}

/// For browsers, which look at names: clients know the key.
fn names(places: &Places) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let ips = places.all().map(|address| address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    for name in std::iter::once(own).chain(ips).chain(places.reach_host.clone()) {
        if !name.is_empty() && !name.contains('%') && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
