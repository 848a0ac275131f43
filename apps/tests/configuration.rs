//! Where the real programs take their settings from, and what else an operator expects of them.
#![allow(missing_docs)]

mod running;

use std::process::Output;

use running::{in_dir, path_text, program};

/// What a program prints with these flags and variables, and none of the test's own.
fn output(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    program(name).args(arguments).envs(variables.iter().copied()).output().unwrap()
}

fn printed(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = output(name, &[arguments, &["--print-config"]].concat(), variables);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn setting(config: &str, key: &str) -> String {
    let line = config.lines().find(|line| line.starts_with(&format!("{key} = ")));
    line.unwrap_or_else(|| panic!("no {key} in {config}")).to_owned()
}

fn refused(name: &str, arguments: &[&str], variables: &[(&str, &str)], says: &[&str]) {
    let output = output(name, arguments, variables);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    for text in says {
        assert!(said.contains(text), "{arguments:?} should say '{text}': {said}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let file = in_dir(&directory, "f.toml");
    std::fs::write(&file, "backend = 'std'\n[server]\nframes = 3\npartial = true\n").unwrap();
    let file = path_text(&file);
    let shows = |arguments: &[&str], variables: &[(&str, &str)], expected: [&str; 3]| {
        let config = printed("framewire-server", arguments, variables);
        for (key, expected) in ["frames", "partial", "backend"].into_iter().zip(expected) {
            assert_eq!(setting(&config, key), format!("{key} = {expected}"));
        }
    };
    let by_file = format!("\"std\"  # {file}, line 1");
    let variables = [("FRAMEWIRE_FRAMES", "2"), ("FRAMEWIRE_PARTIAL", "on")];
    let flags = ["--config", file, "--frames", "1", "--partial=false"];
    shows(&flags, &variables, ["1  # command line", "false  # command line", &by_file]);
    shows(&flags[..2], &variables, ["2  # FRAMEWIRE_FRAMES", "true  # FRAMEWIRE_PARTIAL", &by_file]);
    let (frames, partial) = (format!("3  # {file}, line 3"), format!("true  # {file}, line 4"));
    let variables = [("FRAMEWIRE_BACKEND", "mmsg")];
    shows(&flags[..2], &variables, [&frames, &partial, "\"mmsg\"  # FRAMEWIRE_BACKEND"]);
    let config = printed("framewire-server", &flags[2..4], &[]);
    let [frames, partial] = ["frames", "partial"].map(|key| setting(&config, key));
    assert_eq!((&*frames, &*partial), ("frames = 1  # command line", "partial = false  # default"));
    // Without a default of its own: whoever names one wants it.
    assert!(config.contains("\n# backend is not set\n"), "{config}");
}

#[test]
fn a_file_named_by_the_environment_is_read_by_every_program_and_subcommand() {
    let directory = tempfile::tempdir().unwrap();
    let file = in_dir(&directory, "f.toml");
    std::fs::write(
        &file,
        "busy_poll = 7\n[server]\nudp = '127.0.0.1:9'\n[client]\nudp = 'there:8'\n[demo]\nseconds = 2\n",
    )
    .unwrap();
    let variables = [("FRAMEWIRE_CONFIG", path_text(&file))];
    for (name, arguments, key, value) in [
        ("framewire-server", &[][..], "udp", "udp = \"127.0.0.1:9\""),
        ("framewire", &["server"], "udp", "udp = \"127.0.0.1:9\""),
        ("framewire-client", &[], "udp", "udp = \"there:8\""),
        ("framewire", &["client"], "udp", "udp = \"there:8\""),
        ("framewire", &["demo"], "seconds", "seconds = 2"),
    ] {
        let config = printed(name, arguments, &variables);
        assert!(setting(&config, "busy-poll").starts_with("busy-poll = 7 "), "{config}");
        assert!(setting(&config, key).starts_with(value), "{name} {arguments:?}: {config}");
    }
    // The demo by itself reads it, too.
    std::fs::write(&file, "frames = 0\n").unwrap();
    refused("framewire", &[], &variables, &["line 1: frames = 0 cannot be"]);
}

#[test]
fn what_is_printed_says_the_same_when_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (first, both) = (in_dir(&directory, "quote's \"\n.toml"), in_dir(&directory, "both.toml"));
    std::fs::write(&first, "seconds = 1.5\nbusy-poll = 3\n").unwrap();
    let flags = ["--config", path_text(&first), "--sink", "a \"b\"\\c.y4m", "--sink", "null", "-vv", "--json"];
    let server = printed("framewire-server", &flags, &[("FRAMEWIRE_TOKEN", "the secret")]);
    let client = printed("framewire-client", &["--fps", "29.97", "--max-rate", "480M", "pattern:64x48", "--loop"], &[]);
    assert!(!server.contains("the secret"));
    std::fs::write(&both, format!("{server}{client}")).unwrap();
    let values = |config: &str| -> Vec<String> {
        let values = config.lines().filter(|line| line.contains(" = "));
        values.map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    for (name, before) in [("framewire-server", server), ("framewire-client", client)] {
        let after = printed(name, &["--config", path_text(&both)], &[]);
        assert_eq!(values(&after), values(&before), "{name}");
        assert!(values(&after).len() > 10);
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_line_and_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let file = in_dir(&directory, "f.toml");
    let path = path_text(&file);
    let refuses = |bytes: &[u8], says: &[&str]| {
        std::fs::write(&file, bytes).unwrap();
        refused("framewire-server", &["--config", path], &[], says);
    };
    refuses(b"listen = '127.0.0.1:0'\nsinc = 'null'\n", &[path, "line 2", "'sinc'", "did you mean 'sink'?"]);
    refuses(b"frames = 'many'\n", &[path, "line 1", "frames is the string \"many\"", "write a number"]);
    refuses(b"listen = 'x'\n\xff\n", &[path, "line 2", "no UTF-8"]);
    refuses(b"[server\n", &[path, "line 1", "write TOML"]);
    refuses(&vec![b'#'; 2 << 20], &[path, "more than 1048576 bytes"]);
    refused("framewire-server", &["--config", "nowhere.toml"], &[], &["'nowhere.toml' cannot be read", "--config"]);
    refused("framewire-client", &[], &[("FRAMEWIRE_CONFIG", "nowhere.toml")], &["'nowhere.toml'", "FRAMEWIRE_CONFIG"]);
    refused("framewire-server", &["--config", path_text(directory.path())], &[], &["cannot be read", "directory"]);
    std::fs::write(&file, "").unwrap();
    assert!(setting(&printed("framewire-server", &["--config", path], &[]), "listen").ends_with("# default"));
}

#[test]
fn switches_counts_and_the_source_have_variables_too() {
    let variables = [("FRAMEWIRE_VERBOSE", "2"), ("FRAMEWIRE_JSON", "1"), ("FRAMEWIRE_SOURCE", "pattern:64x48")];
    let config = printed("framewire-client", &[], &variables);
    assert_eq!(setting(&config, "verbose"), "verbose = 2  # FRAMEWIRE_VERBOSE");
    assert_eq!(setting(&config, "json"), "json = true  # FRAMEWIRE_JSON");
    assert_eq!(setting(&config, "source"), "source = \"pattern:64x48\"  # FRAMEWIRE_SOURCE");
    refused("framewire-client", &[], &[("FRAMEWIRE_LOOP", "perhaps")], &["'perhaps'", "--loop", "FRAMEWIRE_LOOP"]);
}

#[test]
fn a_value_in_the_environment_is_told_by_its_variable() {
    let variables = [("FRAMEWIRE_FRAMES", "ten")];
    for (name, arguments) in [("framewire-server", &[][..]), ("framewire", &["client"]), ("framewire", &[])] {
        refused(name, arguments, &variables, &["'ten'", "--frames", "the variable FRAMEWIRE_FRAMES"]);
    }
    let by_flag = output("framewire-server", &["--frames", "ten"], &[("FRAMEWIRE_FRAMES", "3")]);
    assert!(!String::from_utf8_lossy(&by_flag.stderr).contains("FRAMEWIRE_FRAMES"));
    // What is another program's is none of this one's business, even where the file speaks to both.
    let directory = tempfile::tempdir().unwrap();
    let file = in_dir(&directory, "f.toml");
    std::fs::write(&file, "[client]\nfec = 'off'\n").unwrap();
    printed("framewire-server", &["--config", path_text(&file)], &[("FRAMEWIRE_SLICE", "wrong")]);
}

#[test]
fn the_version_says_the_commit_and_what_was_built_in() {
    for name in ["framewire-server", "framewire-client", "framewire"] {
        let long = String::from_utf8(output(name, &["--version"], &[]).stdout).unwrap();
        let lines: Vec<&str> = long.lines().collect();
        assert_eq!(lines[0], format!("{name} {}", env!("CARGO_PKG_VERSION")));
        assert!(lines[1].starts_with("commit: ") && lines[1].len() > "commit: ".len(), "{long}");
        assert_eq!(lines[2].contains("uring"), cfg!(feature = "uring"), "{long}");
        assert_eq!(output(name, &["-V"], &[]).stdout, format!("{}\n", lines[0]).as_bytes());
    }
}

#[test]
fn shells_and_man_are_told_of_all_programs() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = output("framewire", &["completions", shell, "--program", "framewire-server"], &[]).stdout;
        assert!(String::from_utf8(text).unwrap().contains("token-file"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let pages = in_dir(&directory, "new/man1");
    assert!(output("framewire", &["man", "--dir", path_text(&pages)], &[]).status.success());
    for (page, says) in [
        ("framewire.1", "framewire\\-demo(1)"),
        ("framewire-demo.1", "FRAMEWIRE_SINK"),
        ("framewire-bench.1", "\\-\\-rounds"),
        ("framewire-server.1", "FRAMEWIRE_LISTEN"),
        ("framewire-client.1", "\\-\\-max\\-rate"),
    ] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(says), "{page} should say '{says}': {text}");
    }
    let file = in_dir(&directory, "file");
    std::fs::write(&file, "").unwrap();
    let refused = output("framewire", &["man", "--dir", path_text(&file)], &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--dir"));
}
