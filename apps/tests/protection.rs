//! Protected servers and their clients, as people run them: joined by a line, refused with what to do, and nothing that others could read.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod http;
mod protected;
mod running;

use std::path::Path;
use std::process::Command;

use framewire_capture::pattern;
use framewire_transport::{FrameFormat, PixelFormat};
use protected::{JOIN, Protected, client, set_mode};
use running::{Running, figure, in_dir, path_text, program, run, write_private};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Plainly, so many frames are there soon.
const BRIEF: [&str; 5] = ["pattern:64x48", "--frames", "5", "--delivery", "every"];

/// What a program says that ends by itself, with its exit code.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let (code, said, _) = Running::start(command).wait();
    (code, said)
}

#[track_caller]
fn refused(command: &mut Command, code: i32, says: &[&str]) -> String {
    let (ended, said) = ended(command);
    assert_eq!(ended, Some(code), "{said}");
    for text in says {
        assert!(said.contains(text), "it should say '{text}': {said}");
    }
    said
}

#[test]
fn a_server_is_joined_by_its_line_and_a_second_start_is_joined_by_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let recording = in_dir(&directory, "out.raw");
    let server = Protected::start(&directory, &["--sink", path_text(&recording), "--json"]);
    let join = server.join();
    for name in [JOIN, "token", "view-token", "identity.pem"] {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(server.state(name)).unwrap().permissions());
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    let sent = client(&["--join", path_text(&server.state(JOIN)), "--json"]).args(BRIEF).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let json: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!((&json["protected"], figure(&sent.stdout, &["frames_delivered"])), (&true.into(), 5.0), "{json}");
    let (address, summary) = server.stop();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&summary).unwrap()["protected"], true);
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let mut picture = vec![0; format.frame_bytes()];
    let recorded = std::fs::read(&recording).unwrap();
    for (number, frame) in recorded.chunks(format.frame_bytes()).enumerate() {
        pattern::draw(&mut picture, &format, number as u64).unwrap();
        assert_eq!(frame, picture, "frame {number}");
    }
    let again = Protected::start_at(&address, &directory, &[]);
    assert_eq!(again.join(), join, "what the first start made, the second finds");
    let (_, said) = again.stop();
    assert_eq!(String::from_utf8_lossy(&said).lines().next(), Some(&*join), "whoever started it is told, too");
}

#[test]
fn a_client_goes_on_when_its_server_was_started_again_with_another_key_for_the_stream() {
    let directory = tempfile::tempdir().unwrap();
    let server = Protected::start(&directory, &[]);
    let join = path_text(&server.state(JOIN)).to_owned();
    let client = Running::start(client(&["--join", &join, "--json"]).args(["pattern:64x48", "--fps", "50"]));
    server.wait_until_live();
    let address = server.kill();
    let server = Protected::start_at(&address, &directory, &[]);
    server.wait_until_live();
    client.interrupt();
    let (code, said, summary) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["protected"], true, "{summary}");
}

#[test]
fn who_has_not_what_it_takes_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let server = Protected::start(&directory, &[]);
    let join = server.join();
    let (head, pin) = join.rsplit_once('.').unwrap();
    let (authority, token) = head.split_once('#').unwrap();
    let file = in_dir(&directory, "other");
    let joins = |text: &str| {
        write_private(&file, text);
        let mut client = client(&["--join", path_text(&file), "--connect-timeout", "20s"]);
        client.args(BRIEF);
        client
    };
    let swapped = |text: &str| {
        let first = if text.starts_with('A') { "B" } else { "A" };
        format!("{first}{}", &text[1..])
    };
    let said =
        refused(&mut joins(&format!("{head}.{}", swapped(pin))), 1, &["(wrong-pin)", "another answers in its place"]);
    assert!(!said.contains(token), "{said}");
    let said = refused(&mut joins(&format!("{authority}#{}.{pin}", swapped(token))), 1, &["join string"]);
    assert!(!said.contains(&token[1..]), "{said}");
    for half in [&join[..join.len() - 9], head, authority, "framewire://"] {
        let said = refused(&mut joins(half), 2, &["copy the whole"]);
        assert!(!said.contains(token), "{said}");
    }
    // With nothing, over http and over https.
    let plain = format!("http://{}", server.signal);
    refused(client(&["--server", &plain]).args(BRIEF), 1, &["--join", "(server-is-protected)"]);
    // The token for looking opens nothing.
    let view = std::fs::read_to_string(server.state("view-token")).unwrap();
    refused(&mut joins(&format!("{authority}#{}.{pin}", view.trim())), 1, &["token"]);
    server.stop();
}

#[test]
fn a_client_that_has_a_secret_gives_it_to_no_plain_server_unless_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let token = in_dir(&directory, "token");
    write_private(&token, TOKEN);
    let server = running::Server::start(&["--insecure", "--token-file", path_text(&token)]);
    let with_token = ["--token-file", path_text(&token)];
    refused(server.client(&BRIEF).args(with_token), 1, &["--insecure", "(server-is-plain)"]);
    let (code, said) = ended(server.client(&BRIEF).args(with_token).arg("--insecure"));
    assert_eq!(code, Some(0), "{said}");
    let open = running::Server::start(&[]);
    refused(open.client(&BRIEF).arg("--protect"), 2, &["--protect", "--join"]);
}

#[test]
fn what_cannot_be_said_together_or_where_others_see_it_is_wrong_usage() {
    let directory = tempfile::tempdir().unwrap();
    let join = format!("framewire://10.0.0.7:8080#{TOKEN}.{}", "A".repeat(43));
    let server = |arguments: &[&str]| {
        let mut server = program("framewire-server");
        server.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"]).args(arguments);
        server
    };
    for (arguments, says) in [
        (&["--protect", "--insecure"][..], "leave one out"),
        (&["--tls-cert", "/no/such.pem"], "--tls-key FILE"),
        (&["--tls-key", "/no/such.pem"], "--tls-cert FILE"),
        (&["--tls-cert", "/no/such.pem", "--tls-key", "/no/such.pem"], "/no/such.pem"),
        (&["--wire", "plain", "--protect"], "--wire framed"),
    ] {
        refused(server(arguments).env("XDG_STATE_HOME", directory.path()), 2, &[says]);
    }
    for arguments in [&["--join", &join][..], &["--server", &join], &[&join], &["--join", "-", "-"]] {
        let said = refused(client(arguments).arg("--connect-timeout=1s"), 2, &["--join FILE"]);
        assert!(!said.contains(TOKEN), "{said}");
    }
    let said = refused(client(&BRIEF).env("FRAMEWIRE_JOIN_FILE", &join), 2, &["--join FILE"]);
    assert!(!said.contains(TOKEN), "{said}");
    let shown = run("framewire-client", &["--print-config", "--join", "/a/file", "--token-file", "/b/file"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("join = [\"/a/file\"]"));
}

#[test]
fn a_state_directory_that_cannot_be_and_files_that_others_read_or_that_are_half_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let starts = |state: &Path| {
        let mut server = program("framewire-server");
        server.args([
            "--protect",
            "--listen",
            "127.0.0.1:0",
            "--udp",
            "127.0.0.1:0",
            "--seconds",
            "0.1",
            "--share",
            "off",
        ]);
        server.arg("--state-directory").arg(state);
        server
    };
    refused(&mut starts(Path::new("/proc/framewire")), 1, &["--state-directory DIR"]);
    let state = in_dir(&directory, "state");
    let (code, said) = ended(&mut starts(&state));
    assert_eq!(code, Some(0), "{said}");
    let token = state.join("token");
    set_mode(&token, 0o644);
    refused(&mut starts(&state), 1, &[&format!("chmod 600 {}", token.display())]);
    set_mode(&token, 0o600);
    let whole = std::fs::read(&token).unwrap();
    std::fs::write(&token, &whole[..9]).unwrap();
    refused(&mut starts(&state), 1, &["no whole token", &format!("rm {}", token.display())]);
    std::fs::write(&token, whole).unwrap();
    let identity = state.join("identity.pem");
    let whole = std::fs::read(&identity).unwrap();
    std::fs::write(&identity, &whole[..whole.len() - 60]).unwrap();
    refused(&mut starts(&state), 1, &["no whole certificate and key", "rm "]);
    std::fs::remove_file(&identity).unwrap();
    set_mode(&state, 0o777);
    refused(&mut starts(&state), 1, &["chmod 700"]);
}

#[test]
fn a_state_directory_on_a_disk_that_is_read_only_is_told_with_both_ways_out() {
    let directory = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o ro,mode=0700 none '{0}' && exec '{1}' --protect --listen 127.0.0.1:0 --udp 127.0.0.1:0 --state-directory '{0}'",
        directory.path().display(),
        program("framewire-server").get_program().to_string_lossy()
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output();
    let Ok(output) = output.inspect_err(|error| framewire_testing::skip(format_args!("unshare: {error}"))) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("mount:") || said.contains("unshare:") {
        framewire_testing::skip(format_args!("no mount of its own ({}); run as root", said.trim()));
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("Read-only file system")
            && said.contains("--state-directory DIR")
            && said.contains("--token-file"),
        "{said}"
    );
}

#[test]
fn no_secret_is_in_logs_arguments_environments_or_summaries() {
    let directory = tempfile::tempdir().unwrap();
    let server = Protected::start_by(
        program("framewire-server").env("RUST_LOG", "trace"),
        "127.0.0.1:0",
        &directory,
        &["--json", "-vv"],
    );
    let join = path_text(&server.state(JOIN)).to_owned();
    let mut sending = client(&["--join", &join, "--json", "-vv"]);
    sending.args(["pattern:64x48", "--fps", "50"]).env("RUST_LOG", "trace");
    let sending = Running::start(&mut sending);
    server.wait_until_live();
    let mut seen = Vec::new();
    for process in [server.running.id(), sending.id()] {
        for what in ["cmdline", "environ"] {
            seen.extend(std::fs::read(format!("/proc/{process}/{what}")).unwrap());
        }
    }
    // Nor would they be in what it leaves when it crashes.
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.running.id())).unwrap();
    let core: Vec<_> = limits.lines().find(|line| line.contains("core file")).unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["1", "1"], "{core:?}");
    let secrets: Vec<String> = ["token", "view-token", "identity.pem", JOIN]
        .iter()
        .flat_map(|name| {
            let text = std::fs::read_to_string(server.state(name)).unwrap();
            text.lines()
                .map(str::to_owned)
                .filter(|line| line.len() > 16 && !line.starts_with("-----"))
                .collect::<Vec<_>>()
        })
        .collect();
    sending.interrupt();
    let (_, said, summary) = sending.wait();
    seen.extend(said.bytes().chain(summary));
    server.running.interrupt();
    let (_, said, summary) = server.running.wait();
    seen.extend(said.bytes().chain(summary));
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("DEBUG") && seen.len() > 4_000, "it was traced: {} bytes", seen.len());
    // The certificate's own lines are no secret, and TLS shows them; the key is the last of the file.
    for secret in &secrets {
        let at = seen.find(secret.as_str());
        assert!(at.is_none(), "{}", &seen[at.unwrap().saturating_sub(300)..at.unwrap()]);
    }
    // A stream's key is 43 characters of base64url.
    for marks in ["\"key\":\"", "\\\"key\\\":\\\"", "key: Some(\""] {
        let at = seen.find(marks);
        assert!(at.is_none(), "{}", &seen[at.unwrap().saturating_sub(300)..at.unwrap() + marks.len()]);
    }
}

#[test]
fn a_certificate_that_is_out_of_its_time_matters_to_who_goes_by_authorities_and_to_nobody_who_has_the_pin() {
    let directory = tempfile::tempdir().unwrap();
    let [certificate, key, other] = ["cert.pem", "key.pem", "other.pem"].map(|name| in_dir(&directory, name));
    let make = |names: &[&str], first: i32, last: i32| {
        let pair = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(first, 1, 1), rcgen::date_time_ymd(last, 1, 1));
        (params.self_signed(&pair).unwrap().pem(), pair.serialize_pem())
    };
    let (_, of_another) = make(&["localhost"], 2020, 2100);
    let strangers = make(&["localhost"], 2020, 2100).0;
    std::fs::write(&other, strangers).unwrap();
    for (first, last, says) in [(2001, 2002, "renewed"), (2090, 2091, "clock"), (2020, 2100, "")] {
        let (certificate_text, key_text) = make(&["localhost", "127.0.0.1"], first, last);
        std::fs::write(&certificate, certificate_text).unwrap();
        write_private(&key, &key_text);
        let server =
            Protected::start(&directory, &["--tls-cert", path_text(&certificate), "--tls-key", path_text(&key)]);
        let token = server.state("token");
        let by = |ca: &Path| {
            let url = format!("https://{}", server.signal);
            let mut client = client(&["--server", &url, "--ca", path_text(ca), "--token-file", path_text(&token)]);
            client.args(["--connect-timeout", "20s"]).args(BRIEF);
            client
        };
        if says.is_empty() {
            let (code, said) = ended(&mut by(&certificate));
            assert_eq!(code, Some(0), "{said}");
            let mut refused = Running::start(&mut by(&other));
            refused.wait_for("certificate is not trusted");
            refused.kill();
        } else {
            let mut refused = Running::start(&mut by(&certificate));
            refused.wait_for(says);
            refused.kill();
        }
        let (code, said) = ended(client(&["--join", path_text(&server.state(JOIN))]).args(BRIEF));
        assert_eq!(code, Some(0), "{said}");
        server.stop();
    }
    write_private(&key, &of_another);
    let mut server = program("framewire-server");
    server.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--tls-cert", path_text(&certificate)]);
    refused(server.args(["--tls-key", path_text(&key)]), 2, &["is not that of the certificate"]);
}

#[test]
fn top_knows_the_server_by_its_line_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let server = Protected::start(&directory, &[]);
    let join = path_text(&server.state(JOIN)).to_owned();
    let _sending = Running::start(client(&["--join", &join, "--name", "front"]).args(["pattern:64x48", "--fps", "50"]));
    server.wait_until_live();
    let top = |arguments: &[&str]| {
        let output = run("framewire", &[&["top", "--once"], arguments].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) = top(&["--join", &join]);
    assert!(code == Some(0) && said.contains("front"), "{said}");
    let (code, said) = top(&["--join", &join, "--view-token-file", path_text(&server.state("view-token"))]);
    assert!(code == Some(0) && said.contains("front"), "{said}");
    let (code, said) = top(&["--server", &format!("http://{}", server.signal)]);
    assert!(code == Some(1) && said.contains("speaks TLS") && said.contains("--join"), "{said}");
    let text = server.join();
    let (head, pin) = text.rsplit_once('.').unwrap();
    let other = in_dir(&directory, "other");
    write_private(&other, &format!("{head}.{}{}", if pin.starts_with('A') { 'B' } else { 'A' }, &pin[1..]));
    let (code, said) = top(&["--join", path_text(&other)]);
    assert!(code == Some(1) && said.contains("is not the server that is meant"), "{said}");
}
