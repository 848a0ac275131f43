//! Which build of the programs this is.

use std::sync::LazyLock;

/// The commit that the programs were built from, `-dirty` where more than that went into them; `unknown` where neither
/// git nor `FRAMEWIRE_COMMIT` said it.
pub const COMMIT: &str = env!("BUILT_COMMIT");

/// Optional parts that were built in.
pub fn features() -> Vec<&'static str> {
    let parts = [("uring", cfg!(feature = "uring")), ("opencv", cfg!(feature = "opencv"))];
    parts.into_iter().filter_map(|(name, built_in)| built_in.then_some(name)).collect()
}

/// What `--version` prints after the program's name.
pub(crate) fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let features = features();
        let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
        format!("{}\ncommit: {COMMIT}\nfeatures: {features}", env!("CARGO_PKG_VERSION"))
    });
    &TEXT
}
