//! All findings, for people or as JSON.

use std::io::{IsTerminal, Write};

use framewire_process::exit::Failure;
use framewire_process::logs;
use serde::Serialize;

use super::finding::{Finding, State};
use super::route::Route;

/// Text is broken before this column, commands are not: they are there to be copied.
const COLUMNS: usize = 100;
/// Where commands begin: after the widest state and a margin.
const COMMAND_INDENT: usize = 14;
/// Where text begins: after the longest id and another margin.
const TEXT_INDENT: usize = 36;

/// What this machine limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    version: &'static str,
    /// Which interface was looked at.
    interface: String,
    /// The address of the host that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(route: &Route, findings: Vec<Finding>) -> Self {
        let host = route.host.as_ref().map(|host| host.address.to_string());
        Self { version: env!("CARGO_PKG_VERSION"), interface: route.interface.clone(), host, findings }
    }

    /// Says it on standard output.
    ///
    /// # Errors
    /// Standard output cannot be written to; else, where something costs frames, what does.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        let mut stdout = std::io::stdout();
        let text = if json {
            serde_json::to_string(self).expect("names and sentences are always JSON")
        } else {
            let is_colour_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
            self.text(if stdout.is_terminal() && is_colour_wanted { Paint::Colours } else { Paint::Nothing })
        };
        logs::flush();
        writeln!(stdout, "{text}")
            .map_err(|error| Failure::runtime(format!("the findings cannot be written to standard output: {error}")))?;
        self.verdict()
    }

    /// # Errors
    /// What costs frames.
    fn verdict(&self) -> Result<(), Failure> {
        let costly = self.findings.iter().filter(|finding| finding.state == State::CostsFrames);
        let ids = costly.map(|finding| finding.id).collect::<Vec<_>>().join(", ");
        if ids.is_empty() {
            Ok(())
        } else {
            Err(Failure::runtime(format!("frames are lost here for {ids}; the commands above mend it")))
        }
    }

    fn text(&self, paint: Paint) -> String {
        let way = match &self.host {
            Some(host) => format!("{} to {host}", self.interface),
            None => self.interface.clone(),
        };
        let mut lines =
            vec![format!("framewire {}, what this machine limits, with frames by {way}", self.version), String::new()];
        for finding in &self.findings {
            describe(finding, paint, &mut lines);
        }
        lines.push(String::new());
        lines.push(self.summary());
        lines.join("\n")
    }

    fn summary(&self) -> String {
        let count = |state| self.findings.iter().filter(|finding| finding.state == state).count();
        let counts = [State::CostsFrames, State::Advice, State::Unknown, State::Fine]
            .map(|state| (state, count(state)))
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(state, count)| match state {
                State::CostsFrames if count == 1 => "1 costs frames".to_owned(),
                State::CostsFrames => format!("{count} cost frames"),
                State::Advice => format!("{count} could be better"),
                State::Unknown => format!("{count} unknown"),
                State::Fine => format!("{count} fine"),
            });
        format!("{}.", counts.collect::<Vec<_>>().join(", "))
    }
}

/// Whether words have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paint {
    Nothing,
    Colours,
}

impl Paint {
    fn state(self, state: State) -> String {
        let name = format!("{:12}", state.name());
        let colour = match state {
            State::Fine => "32",
            State::Advice => "33",
            State::CostsFrames => "1;31",
            State::Unknown => "36",
        };
        self.wrap(colour, &name)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Nothing => text.to_owned(),
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// The state, the id, what was seen and what follows; below them what to do.
fn describe(finding: &Finding, paint: Paint, lines: &mut Vec<String>) {
    let text = match &finding.consequence {
        Some(consequence) => format!("{} {consequence}", finding.seen),
        None => finding.seen.clone(),
    };
    let mut broken = broken_lines(&text, COLUMNS - TEXT_INDENT).into_iter();
    let id = paint.wrap("1", &format!("{:20}", finding.id));
    lines.push(format!("{}  {id}  {}", paint.state(finding.state), broken.next().unwrap_or_default()));
    lines.extend(broken.map(|line| format!("{:TEXT_INDENT$}{line}", "")));
    for (what, command) in [("mend", &finding.mend), ("keep", &finding.keep)] {
        if let Some(command) = command {
            lines.push(format!("{:COMMAND_INDENT$}{}  {command}", "", paint.wrap("2", what)));
        }
    }
}

/// Breaks text between words.
fn broken_lines(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        Report::new(&Route { interface: "lo".into(), is_loopback: true, host: None }, findings)
    }

    fn some() -> Vec<Finding> {
        vec![
            Finding::fine("cpus", "This process has 4 CPUs."),
            Finding::costs_frames("receive-buffer", "A socket is given 416 KiB. ".repeat(5), "Frames go.")
                .sysctl("net.x", 1),
            Finding::unknown("path-mtu", "The kernel does not tell."),
        ]
    }

    #[test]
    fn people_read_it_in_a_hundred_columns_with_commands_unbroken() {
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "\
framewire {version}, what this machine limits, with frames by lo

fine          cpus                  This process has 4 CPUs.
costs-frames  receive-buffer        A socket is given 416 KiB. A socket is given 416 KiB. A socket
                                    is given 416 KiB. A socket is given 416 KiB. A socket is given
                                    416 KiB. Frames go.
              mend  sudo sysctl -w net.x=1
              keep  echo 'net.x = 1' | sudo tee -a /etc/sysctl.d/60-framewire.conf
unknown       path-mtu              The kernel does not tell.

1 costs frames, 1 unknown, 1 fine."
        );
        assert_eq!(report(some()).text(Paint::Nothing), expected);
    }

    #[test]
    fn colours_change_nothing_but_the_look() {
        let coloured = report(some()).text(Paint::Colours);
        assert!(
            coloured.contains("\x1b[1;31mcosts-frames\x1b[0m  \x1b[1mreceive-buffer      \x1b[0m  A"),
            "{coloured}"
        );
        let bare = ["32", "36", "1;31", "1", "2", "0"]
            .iter()
            .fold(coloured, |text, code| text.replace(&format!("\x1b[{code}m"), ""));
        assert_eq!(bare, report(some()).text(Paint::Nothing));
    }

    #[test]
    fn only_what_costs_frames_is_a_failure() {
        let Err(Failure::Runtime(message)) = report(some()).verdict() else { panic!("no failure") };
        assert!(message.contains("receive-buffer"), "{message}");
        let slower = Finding::advice("cpus", "One.", "Slower.");
        assert_eq!(report(vec![slower, Finding::unknown("path-mtu", "Why?")]).verdict(), Ok(()));
    }

    #[test]
    fn the_object_names_the_interface_and_has_every_finding() {
        let json = serde_json::to_value(report(some())).unwrap();
        assert_eq!((&json["interface"], &json["version"]), (&"lo".into(), &env!("CARGO_PKG_VERSION").into()));
        assert!(json.get("host").is_none());
        let states: Vec<_> = json["findings"].as_array().unwrap().iter().map(|finding| &finding["state"]).collect();
        assert_eq!(states, ["fine", "costs-frames", "unknown"]);
    }
}
