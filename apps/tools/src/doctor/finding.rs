//! What one check says of this machine.

use std::fmt;

use serde::Serialize;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// Nothing to do.
    Fine,
    /// Something is slower than it could be, or not there; no frame is lost for it.
    Advice,
    /// Frames are lost or skipped for it.
    CostsFrames,
    /// It could not be read.
    Unknown,
}

impl State {
    /// The name, as in the JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Advice => "advice",
            Self::CostsFrames => "costs-frames",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Stays the same from release to release.
    pub(super) id: &'static str,
    pub(super) state: State,
    /// A sentence with the value.
    pub(super) seen: String,
    /// What follows from it, where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) consequence: Option<String>,
    /// The command that mends it, or that leads on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
    /// The command that keeps it mended when the machine is started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keep: Option<String>,
}

impl Finding {
    pub(super) fn fine(id: &'static str, seen: impl Into<String>) -> Self {
        Self { id, state: State::Fine, seen: seen.into(), consequence: None, mend: None, keep: None }
    }

    pub(super) fn advice(id: &'static str, seen: impl Into<String>, consequence: impl Into<String>) -> Self {
        Self { state: State::Advice, consequence: Some(consequence.into()), ..Self::fine(id, seen) }
    }

    pub(super) fn costs_frames(id: &'static str, seen: impl Into<String>, consequence: impl Into<String>) -> Self {
        Self { state: State::CostsFrames, ..Self::advice(id, seen, consequence) }
    }

    /// `why` it could not be read, as a sentence.
    pub(super) fn unknown(id: &'static str, why: impl fmt::Display) -> Self {
        Self { state: State::Unknown, ..Self::fine(id, why.to_string()) }
    }

    /// With the command that mends it.
    pub(super) fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(command.into());
        self
    }

    /// With the command that makes that last.
    pub(super) fn keep(mut self, command: impl Into<String>) -> Self {
        self.keep = Some(command.into());
        self
    }

    /// Mended by a setting of the kernel.
    pub(super) fn sysctl(self, key: &str, value: u64) -> Self {
        self.mend(format!("sudo sysctl -w {key}={value}"))
            .keep(format!("echo '{key} = {value}' | sudo tee -a /etc/sysctl.d/60-framewire.conf"))
    }

    /// Mended by a word in files under `/sys`; `files` may have a `*`.
    pub(super) fn sysfs(self, files: &str, word: &str) -> Self {
        self.mend(format!("echo {word} | sudo tee {files}"))
            .keep(format!("echo 'w {files} - - - - {word}' | sudo tee -a /etc/tmpfiles.d/framewire.conf"))
    }
}

/// Bytes as people read them, in binary units, as the kernel's limits are.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, name)| {
            let tenths = (bytes as f64 / *unit as f64 * 10.0).round() / 10.0;
            format!("{tenths} {name}")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        let sizes = [0, 1_023, 65_536, 212_992, 4 << 20, 16 << 20, 3 << 30].map(size);
        assert_eq!(sizes, ["0 bytes", "1023 bytes", "64 KiB", "208 KiB", "4 MiB", "16 MiB", "3 GiB"]);
        assert_eq!(size(5_087_000), "4.9 MiB");
    }

    #[test]
    fn the_object_has_only_what_there_is_to_say() {
        let json = |finding| serde_json::to_value::<Finding>(finding).unwrap();
        assert_eq!(
            json(Finding::fine("cpus", "4 CPUs")),
            serde_json::json!({"id": "cpus", "state": "fine", "seen": "4 CPUs"})
        );
        assert_eq!(
            json(Finding::costs_frames("a-b", "Small.", "Frames go.").sysctl("net.x", 3)),
            serde_json::json!({
                "id": "a-b", "state": "costs-frames", "seen": "Small.", "consequence": "Frames go.",
                "mend": "sudo sysctl -w net.x=3",
                "keep": "echo 'net.x = 3' | sudo tee -a /etc/sysctl.d/60-framewire.conf"
            })
        );
    }
}
