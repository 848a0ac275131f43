//! What files say, rightly and wrongly. Precedence is tried with the real programs, which have an environment of their own.

use std::path::{Path, PathBuf};

use clap::FromArgMatches;
use framewire_transport::{BackendKind, Delivery};

use super::*;
use crate::cli::{ClientArgs, FramewireArgs, Pace, ServerArgs};

fn parse(section: Section, text: &str) -> Result<Settings, ConfigError> {
    Settings::parse(Path::new("f.toml"), text, section)
}

fn server(text: &str) -> ServerArgs {
    let command = parse(Section::Server, text).unwrap().apply(Section::Server.command());
    ServerArgs::from_arg_matches(&command.get_matches_from(["framewire-server"])).unwrap()
}

fn client(text: &str, flags: &[&str]) -> ClientArgs {
    let command = parse(Section::Client, text).unwrap().apply(Section::Client.command());
    ClientArgs::from_arg_matches(&command.get_matches_from(["framewire-client"].iter().chain(flags))).unwrap()
}

fn refused(section: Section, text: &str) -> String {
    parse(section, text).unwrap_err().to_string()
}

#[test]
fn every_type_of_value_reaches_its_flag() {
    let args = server(
        "listen = '127.0.0.1:1'\nsink = ['null', 'a.raw']\ndelivery = 'latest'\npartial = true\nframes = 0x10\n\
         seconds = 1.5\nverbose = 2\nbusy_poll = 100\ncpus = 0\ntoken-file = 'a b'\n",
    );
    assert_eq!((args.listen.port(), args.sinks.sink.len(), args.delivery), (1, 2, Some(Delivery::Latest)));
    assert_eq!((args.partial, args.frames, args.seconds, args.verbose), (true, Some(16), Some(1.5), 2));
    assert_eq!(args.common.busy_poll.as_micros(), 100);
    assert_eq!(args.common.token_file, Some(PathBuf::from("a b")));
    assert_eq!(args.common.cpus.unwrap().to_string(), "0");
    assert_eq!(server("sink = 'b.raw'").sinks.sink.len(), 1);
}

#[test]
fn a_word_and_a_number_are_both_fine_where_the_flag_takes_both() {
    assert_eq!(client("fps = 'max'", &[]).stream.fps, Some(Pace::Max));
    assert_eq!(client("fps = 30", &[]).stream.fps, Some(Pace::Rate("30".parse().unwrap())));
    assert_eq!(client("fps = 29.97", &[]).stream.fps, Some(Pace::Rate("30000/1001".parse().unwrap())));
    assert_eq!(client("source = 'pattern:64x48'", &[]).stream.source.to_string(), "pattern:64x48");
}

#[test]
fn an_empty_file_leaves_everything_as_it_is_built_in() {
    for text in ["", "\n# nothing\n", "[server]\n[client]\n"] {
        assert_eq!(format!("{:?}", server(text)), format!("{:?}", server("listen = '127.0.0.1:8080'")));
    }
}

#[test]
fn a_flag_wins_over_the_file_and_switches_off_what_it_switches_on() {
    let file = "fps = 30\nloop = true\nwindow = true\nverbose = 2\nsource = 'camera:0'\n";
    let args = client(file, &["--fps", "max", "--loop=false", "-v", "pattern"]);
    assert_eq!((args.stream.fps, args.stream.repeat, args.stream.window), (Some(Pace::Max), false, true));
    assert_eq!((args.verbose, args.stream.source.to_string().as_str()), (1, "pattern:1920x1080"));
    assert!(client(file, &[]).stream.repeat && client("", &["--loop"]).stream.repeat);
}

#[test]
fn one_file_serves_both_programs() {
    let file = "backend = 'std'\nbusy-poll = 7\n[server]\nbackend = 'mmsg'\nlisten = '127.0.0.1:1'\n\
                [client]\nserver = 'http://there'\nfps = 5\n";
    let (server, client) = (server(file), client(file, &[]));
    assert_eq!((server.common.backend, client.common.backend), (Some(BackendKind::Mmsg), Some(BackendKind::Std)));
    assert_eq!((server.common.busy_poll, client.common.busy_poll.as_micros()), (client.common.busy_poll, 7));
    assert_eq!((server.listen.port(), client.server[0].as_str()), (1, "http://there"));
}

#[test]
fn what_is_wrong_for_the_other_program_is_told_too() {
    assert!(refused(Section::Server, "[client]\nslice = 3\n").starts_with("f.toml, line 2: slice = 3 cannot be"));
    assert!(refused(Section::Client, "[server]\nliste = 3\n").contains("did you mean 'listen'?"));
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_nearest_one() {
    let told = |text: &str| refused(Section::Server, text);
    assert_eq!(told("\n\nlisen = 'x'\n"), "f.toml, line 3: unknown key 'lisen'; did you mean 'listen'?");
    assert!(told("[sever]\nlisten = 'x'").contains("line 1: unknown key 'sever'; did you mean [server]?"));
    assert!(told("token = 'a secret'").ends_with("unknown key 'token'; did you mean 'token-file'?"));
    assert!(told("zzz = 1").contains("framewire-server --help lists"));
    assert!(told("\"\\u001b[31m\" = 1").contains("'\\u{1b}[31m'"));
    assert!(told(&format!("{} = 1", "k".repeat(10_000))).len() < 300);
    // The first mistake in the file, not the first of the alphabet.
    assert!(told("zzz = 1\naaa = 1\n").contains("'zzz'"));
}

#[test]
fn a_key_of_the_other_program_is_told_where_it_belongs() {
    assert_eq!(
        refused(Section::Client, "listen = '127.0.0.1:1'"),
        "f.toml, line 1: 'listen' is a setting of framewire-server, not of framewire-client; move it below [server]"
    );
    assert!(refused(Section::Server, "[server]\nfps = 3").contains("move it below [client]"));
    assert!(refused(Section::Server, "server = 'http://there'").contains("move it below [client]"));
}

#[test]
fn wrong_types_are_told_with_what_was_seen_and_what_is_wanted() {
    let told = |text: &str| refused(Section::Server, text);
    for (text, says) in [
        ("frames = '10'", "frames is the string \"10\"; write a number"),
        ("frames = 'ten'", "frames is the string \"ten\"; write a number"),
        ("frames = [1]", "frames is an array of 1; write a number"),
        ("frames = { a = 1 }", "frames is a table; write a number"),
        ("frames = true", "frames is true; write a number"),
        ("frames.a = 1", "frames is a table; write a number"),
        ("seconds = 07:00:00", "seconds is the time 07:00:00; write a number"),
        ("partial = 'yes'", "partial is the string \"yes\"; write true or false"),
        ("partial = 1", "partial is the number 1; write true or false"),
        ("verbose = 256", "verbose is the number 256; write a whole number, 0 to 255"),
        ("listen = 8080", "listen is the number 8080; write a string"),
        ("sink = []", "sink is an empty array; write a string or a number, or an array of one or more"),
        ("sink = [['null']]", "sink is an array of 1; write"),
        ("client = 3", "client is the number 3; write a table, its settings below [client]"),
    ] {
        assert!(told(text).contains(says), "{text}: {}", told(text));
    }
}

#[test]
fn values_that_the_flag_would_refuse_are_refused_with_its_reason() {
    let told = |text: &str| refused(Section::Server, text);
    assert!(told("frames = 0").contains("frames = 0 cannot be: 0 is not in 1"));
    assert!(told("frames = -1").contains("frames = -1 cannot be"));
    assert!(told("listen = 'here'").contains("listen = \"here\" cannot be: 'here' has no port; write HOST:PORT"));
    assert!(told("delivery = 'some'").contains("delivery = \"some\" cannot be: write every, latest"));
    assert!(told("sink = ['null', 'out.mkv']").contains("'out.mkv' is no sink"));
    assert!(told("seconds = nan").contains("is no time"));
}

#[test]
fn what_is_said_twice_or_about_the_file_itself_is_refused() {
    let told = |text: &str| refused(Section::Server, text);
    assert!(told("busy-poll = 1\nbusy_poll = 2").contains("line 2: 'busy_poll' was set on line 1 already"));
    assert!(told("udp = 'a:1'\nudp = 'b:1'").contains("line 2: duplicate key"));
    assert!(told("config = 'other.toml'").contains("'config' cannot be set in a file"));
    assert!(told("[client]\nprint_config = true").contains("'print-config' cannot be set in a file"));
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    assert!(refused(Section::Server, "listen = '127.0.0.1:1'\nfoo\n").starts_with("f.toml, line 2: "));
}

#[test]
fn a_file_that_is_made_to_hurt_is_refused_like_any_other() {
    for text in
        ["[".repeat(100_000), "{".repeat(100_000), format!("sink = {}", "[".repeat(100_000)), "a.".repeat(100_000)]
    {
        assert!(refused(Section::Server, &text).starts_with("f.toml, line 1: "));
    }
    assert!(refused(Section::Server, &format!("frames = {}", "9".repeat(10_000))).len() < 300);
}

#[test]
fn every_setting_has_its_own_variable() {
    for command in [for_people::<ServerArgs>(), for_people::<ClientArgs>()] {
        for arg in command::configurable(&command) {
            let variable = arg.get_env().unwrap_or_else(|| panic!("{arg} has no variable")).to_string_lossy();
            // A variable that seemed to take the line itself would be given it, and seen.
            let key = if command::key(arg) == "join" { "join-file" } else { command::key(arg) };
            let wanted = format!("FRAMEWIRE_{}", key.replace('-', "_").to_uppercase());
            assert_eq!(variable, wanted);
        }
    }
}

#[test]
fn the_example_says_only_what_the_programs_know() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/framewire.toml");
    let text = file::read(&path).unwrap();
    // What is commented out is to be taken as it stands, too.
    let all = text.lines().map(|line| match line.strip_prefix("#") {
        Some(setting) if !setting.starts_with([' ', '#']) && !setting.is_empty() => setting,
        _ => line,
    });
    let all = all.collect::<Vec<_>>().join("\n");
    for text in [&text, &all] {
        for section in [Section::Server, Section::Client] {
            Settings::parse(&path, text, section).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    assert!(all.lines().filter(|line| line.contains(" = ")).count() > 15, "{all}");
}

#[test]
fn the_command_lines_are_consistent() {
    for_people::<ServerArgs>().debug_assert();
    for_people::<ClientArgs>().debug_assert();
    for_people::<FramewireArgs>().debug_assert();
}
