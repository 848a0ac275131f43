//! What protects streams that leave this machine: how strongly, how fast, and who may read the secrets that a server keeps.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use framewire_process::state::StateDirectory;
use framewire_transport::crypto::{Suite, Suites};

use super::finding::Finding;
use crate::bench::sealing::{self, Sealing};

const CIPHER: &str = "stream-cipher";
const STATE: &str = "state-directory";
/// What a server keeps there, besides recordings.
const SECRETS: [&str; 4] = ["token", "view-token", "identity.pem", "join"];

pub(super) fn findings() -> Vec<Finding> {
    vec![cipher(Suites::supported().has(Suite::Aes128Gcm), sealing::measure().ok()), state(StateDirectory::place(None))]
}

fn cipher(has_aes: bool, measured: Option<(&str, [Sealing; 2])>) -> Finding {
    let speed = measured.map_or(String::new(), |(_, [large, small])| {
        format!(
            " One core seals {:.1} GB/s of slices of {} bytes, and {:.1} GB/s of those of Ethernet.",
            large.gigabytes_per_second, large.payload_bytes, small.gigabytes_per_second
        )
    });
    let how = "each under fresh keys of 128 bits or more (Noise NNpsk0, X25519), pages and commands by TLS; loopback and shared memory are not.";
    if has_aes {
        let seen = format!(
            "Streams that leave this machine are protected by AES-128-GCM, by instructions of the processor, {how}{speed}"
        );
        return Finding::fine(CIPHER, seen);
    }
    let seen = format!("Streams that leave this machine are protected by ChaCha20-Poly1305, {how}{speed}");
    Finding::advice(
        CIPHER,
        seen,
        "The processor has no instructions for AES: frames take more of it. No security is lost.",
    )
}

fn state(place: Result<std::path::PathBuf, framewire_process::exit::Failure>) -> Finding {
    let path = match place {
        Ok(path) => path,
        Err(why) => return Finding::unknown(STATE, why),
    };
    let shown = path.display();
    let directory = match path.metadata() {
        Ok(directory) => directory,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::fine(
                STATE,
                format!(
                    "'{shown}' is not there yet: a protected server makes it, and its secrets, at its first start."
                ),
            );
        }
        Err(error) => return Finding::unknown(STATE, format!("'{shown}' cannot be looked at: {error}")),
    };
    let wrong = |what: String| Finding::advice(STATE, what, "A protected server refuses to start.");
    let user = rustix::process::geteuid().as_raw();
    if directory.uid() != user {
        let seen = format!("'{shown}' is that of user {}, and this is user {user}.", directory.uid());
        return wrong(seen).mend(format!("sudo chown {user} '{shown}'"));
    }
    if mode(&directory) & 0o022 != 0 {
        return wrong(format!("Others may write to '{shown}' (mode {:04o}).", mode(&directory)))
            .mend(format!("chmod 700 '{shown}'"));
    }
    let there = secrets(&path);
    if let Some((name, found)) = there.iter().find(|(_, found)| mode(found) & 0o077 != 0) {
        let file = path.join(name);
        return wrong(format!("Others may read '{}' (mode {:04o}).", file.display(), mode(found)))
            .mend(format!("chmod 600 '{}'", file.display()));
    }
    let names: Vec<_> = there.iter().map(|(name, _)| *name).collect();
    let names = if names.is_empty() { "nothing yet".to_owned() } else { names.join(", ") };
    Finding::fine(STATE, format!("'{shown}' (mode {:04o}) keeps, for this user alone: {names}.", mode(&directory)))
}

fn secrets(directory: &Path) -> Vec<(&'static str, Metadata)> {
    SECRETS.iter().filter_map(|name| Some((*name, directory.join(name).metadata().ok()?))).collect()
}

fn mode(found: &Metadata) -> u32 {
    found.permissions().mode() & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn the_cipher_is_said_with_its_speed_and_its_lack_of_instructions() {
        let sealing = |payload_bytes| Sealing { payload_bytes, gigabytes_per_second: 2.96 };
        let fine = cipher(true, Some(("AES-128-GCM", [sealing(65_439), sealing(1_404)])));
        assert!(
            fine.state == State::Fine && fine.seen.contains("AES-128-GCM") && fine.seen.contains("3.0 GB/s"),
            "{fine:?}"
        );
        let slow = cipher(false, None);
        assert!(slow.state == State::Advice && slow.seen.contains("ChaCha20"), "{slow:?}");
    }

    #[test]
    fn who_may_read_the_secrets_is_said_with_what_to_type() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("state");
        let of = || state(Ok(directory.clone()));
        assert!(of().state == State::Fine && of().seen.contains("not there yet"));
        let kept = StateDirectory::open(Some(&directory)).unwrap().kept("token", || Ok("x".into())).unwrap();
        assert!(of().seen.ends_with("this user alone: token."), "{:?}", of());
        let set_mode =
            |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        set_mode(&kept.path, 0o644);
        assert_eq!(of().mend, Some(format!("chmod 600 '{}'", kept.path.display())));
        set_mode(&kept.path, 0o600);
        set_mode(&directory, 0o770);
        assert_eq!(of().mend, Some(format!("chmod 700 '{}'", directory.display())));
    }
}
