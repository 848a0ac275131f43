//! Says to the programs which commit they are built from: `FRAMEWIRE_COMMIT` where it is set, else what git knows.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What goes into the programs, seen from the workspace's root.
const SOURCES: &[&str] = &[
    "apps/build.rs",
    "apps/Cargo.toml",
    "apps/budget",
    "apps/figures",
    "apps/monitor",
    "apps/process",
    "apps/sink",
    "apps/tools",
    "apps/src",
    "capture/Cargo.toml",
    "capture/src",
    "signal/Cargo.toml",
    "signal/src",
    "transport/Cargo.toml",
    "transport/src",
    "Cargo.lock",
    "Cargo.toml",
];

fn main() {
    println!("cargo::rerun-if-env-changed=FRAMEWIRE_COMMIT");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let given = env::var("FRAMEWIRE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| commit(&root)).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILT_COMMIT={commit}");
    // A change in what is built makes a clean tree dirty; no other file is looked at, so that no build is done twice.
    for source in SOURCES.iter().map(|source| root.join(source)) {
        rerun_if_changed(&source);
    }
}

fn commit(root: &Path) -> Option<String> {
    // A package unpacked inside somebody else's repository is none of that repository's commits.
    let top = PathBuf::from(git(root, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    // The log of HEAD grows with every commit and checkout, in whatever form git keeps its references.
    for file in ["HEAD", "logs/HEAD"] {
        rerun_if_changed(&root.join(git(root, &["rev-parse", "--git-path", file])?));
    }
    let commit = git(root, &["rev-parse", "--short=12", "HEAD"])?;
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--"];
    status.extend(SOURCES);
    let clean = git(root, &status)?.is_empty();
    Some(if clean { commit } else { commit + "-dirty" })
}

/// What a command of git prints; nothing where there is no git, or no repository.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// A file that does not exist would have cargo run this at every build.
fn rerun_if_changed(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
