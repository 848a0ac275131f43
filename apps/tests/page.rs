//! The live page as a person sees it, in a real browser.
#![allow(missing_docs)]

mod browser;
mod protected;
mod proxy;
mod running;

use browser::Browser;
use framewire_capture::pattern;
use framewire_transport::{FrameFormat, PixelFormat};
use running::{Running, Server};
use serde_json::Value;

const LIVE: &str = "document.querySelector('#state').dataset.state === 'live'";
/// The picture is as large as the frame, so the frame's number can be read back out of it.
const SIZE: (u32, u32) = (480, 270);
const SOURCE: &str = "pattern:480x270";

/// What the tile with this number shows, as gray pixels, read by the page itself.
const PIXELS: &str = "(() => {
    const shot = document.querySelectorAll('.tile .shot')[NTH];
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [shot.width, shot.height];
    const context = canvas.getContext('2d');
    context.drawImage(shot, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, 45).data;
    return [...pixels].filter((_, nth) => nth % 4 === 1);
})()";

fn there_are(tiles: usize) -> String {
    format!(
        "document.querySelectorAll('.tile').length === {tiles} && \
         [...document.querySelectorAll('.tile .shot')].every((shot) => Number(shot.dataset.frame) > 0)"
    )
}

/// The number that is drawn into the picture that a tile shows.
async fn drawn_number(browser: &Browser, nth: usize) -> u64 {
    let shown = browser.value(&PIXELS.replace("NTH", &nth.to_string())).await;
    let mut pixels: Vec<u8> = shown.as_array().unwrap().iter().map(|value| value.as_u64().unwrap() as u8).collect();
    let format = FrameFormat::new(PixelFormat::Gray8, SIZE.0, SIZE.1).unwrap();
    pixels.resize(format.frame_bytes(), 0);
    pattern::read_frame_number(&pixels, &format).expect("the picture is one of the pattern")
}

fn stream(server: &Server) -> Running {
    Running::start(&mut server.client(&[SOURCE, "--fps", "30"]))
}

#[tokio::test]
async fn pictures_move_streams_come_and_go_and_one_fills_the_screen() {
    let Some(browser) = Browser::start((1_100, 700)).await else { return };
    let server = Server::start(&[]);
    browser.open(&server.url()).await;
    browser.wait_for("!document.querySelector('#empty').hidden").await;
    assert!(browser.value("document.querySelector('#empty').innerText").await.to_string().contains(&server.url()));

    let first = stream(&server);
    browser.wait_for(&there_are(1)).await;
    let number = drawn_number(&browser, 0).await;
    browser.wait_for(&format!("Number(document.querySelector('.tile .shot').dataset.frame) > {}", number + 30)).await;
    assert!(drawn_number(&browser, 0).await > number + 30, "the number in the picture goes on");
    browser.wait_for("Number(document.querySelector('.rate').textContent) > 5").await;

    let second = stream(&server);
    browser.wait_for(&there_are(2)).await;
    browser.wait_for("document.querySelector('#totals').textContent.startsWith('2 streams')").await;
    browser.picture("two-streams").await;
    second.interrupt();
    browser.wait_for(&there_are(1)).await;
    browser.wait_for("document.querySelector('#news').textContent.endsWith('has gone.')").await;

    // With the keyboard alone.
    browser.run("document.querySelector('.picture').focus()").await;
    browser.press('\u{e007}').await;
    let full = "document.querySelector('#full').open && document.querySelector('#full-picture').width === 480";
    browser.wait_for(full).await;
    browser.picture("full-size").await;
    browser.press('\u{e00c}').await;
    browser.wait_for("!document.querySelector('#full').open").await;
    let number = drawn_number(&browser, 0).await;
    browser.wait_for(&format!("Number(document.querySelector('.tile .shot').dataset.frame) > {}", number + 10)).await;

    assert_eq!(browser.console().await, Vec::<String>::new());
    drop(first);
    browser.close().await;
}

#[tokio::test]
async fn a_lost_server_shows_as_such_and_the_page_recovers_when_it_is_back() {
    let Some(browser) = Browser::start((1_100, 700)).await else { return };
    let server = Server::start(&[]);
    let (signal, udp) = (server.signal.clone(), server.udp.clone());
    let _client = stream(&server);
    browser.open(&server.url()).await;
    browser.wait_for(&there_are(1)).await;
    browser.run("document.querySelector('.picture').click()").await;
    browser.wait_for("Number(document.querySelector('#full-picture').dataset.frame) > 0").await;
    server.running.kill();
    browser.wait_for("document.querySelector('#state').dataset.state === 'lost'").await;
    browser.picture("server-lost").await;
    let before = browser.value("Number(document.querySelector('#full-picture').dataset.frame)").await;

    let _server = Server::start_at(&signal, &udp, &[]);
    browser.wait_for(LIVE).await;
    let after = before.as_u64().unwrap() + 30;
    // As large as it was, where the stream was there again before the page looked; else small.
    let goes_on = format!(
        "Math.max(...['.tile .shot', '#full-picture'].map((shot) => Number(document.querySelector(shot)?.dataset.frame ?? 0))) > {after}"
    );
    browser.wait_for(&goes_on).await;
    browser.run("document.querySelector('#full').close()").await;
    browser.wait_for(&format!("Number(document.querySelector('.tile .shot')?.dataset.frame ?? 0) > {after}")).await;
    browser.picture("server-back").await;
    browser.close().await;
}

#[tokio::test]
async fn a_name_is_shown_as_the_text_it_is() {
    let Some(browser) = Browser::start((1_100, 700)).await else { return };
    let server = Server::start(&[]);
    let name = "<img src=x onerror=alert(1)> & \"co\"";
    let _client = Running::start(&mut server.client(&[SOURCE, "--fps", "30", "--name", name]));
    browser.open(&server.url()).await;
    browser.wait_for(&there_are(1)).await;
    assert_eq!(browser.value("document.querySelector('.name').textContent").await, name);
    assert_eq!(browser.value("document.querySelector('.name').childElementCount").await, 0);
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test]
async fn the_page_fits_a_phone_in_the_dark() {
    let Some(browser) = Browser::start((1_100, 700)).await else { return };
    browser.be_narrow().await;
    browser.be_dark().await;
    let server = Server::start(&[]);
    let _streams = [stream(&server), stream(&server)];
    browser.open(&server.url()).await;
    browser.wait_for(&there_are(2)).await;
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth").await, Value::Bool(true));
    let ground = browser.value("getComputedStyle(document.body).backgroundColor").await;
    assert_eq!(ground, "rgb(16, 19, 22)");
    browser.picture("phone-dark").await;
    browser.close().await;
}

/// Says the same as a browser does of a tab that is hidden, or seen again.
fn hide(hidden: bool) -> String {
    format!(
        "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
         document.dispatchEvent(new Event('visibilitychange'));"
    )
}

/// Connections to this port that are open, by the kernel's own list.
fn connections(server: &Server) -> usize {
    let port: u16 = server.signal.rsplit_once(':').unwrap().1.parse().unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_open = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&format!(":{port:04X}"))) && words.nth(1) == Some("01")
    };
    table.lines().filter(is_open).count()
}

#[tokio::test]
async fn ten_windows_of_the_page_are_all_live_and_share_one_connection_for_figures() {
    let Some(browser) = Browser::start((1_100, 700)).await else { return };
    let server = Server::start(&[]);
    let _client = stream(&server);
    browser.open(&server.url()).await;
    for _ in 1..10 {
        browser.open_another(&server.url()).await;
    }
    assert_eq!(browser.windows().await, 10);
    for nth in 0..10 {
        browser.look_at(nth).await;
        browser.wait_for(LIVE).await;
        browser.wait_for(&there_are(1)).await;
        let number =
            browser.value("Number(document.querySelector('.tile .shot').dataset.frame)").await.as_u64().unwrap();
        browser.wait_for(&format!("Number(document.querySelector('.tile .shot').dataset.frame) > {number}")).await;
    }
    browser.picture("tenth-window").await;
    let events = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('api/events')).length";
    assert_eq!(browser.value(events).await, 0, "no page holds a connection of its own for figures");
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test]
async fn a_page_that_nobody_sees_holds_no_connection_and_is_live_again_when_it_is_seen() {
    let Some(browser) = Browser::start((1_100, 700)).await else { return };
    let server = Server::start(&[]);
    let _client = stream(&server);
    browser.open(&server.url()).await;
    browser.wait_for(&there_are(1)).await;
    browser.run(&hide(true)).await;
    // The client's own remains.
    let deadline = std::time::Instant::now() + running::PATIENCE;
    while connections(&server) > 1 {
        assert!(std::time::Instant::now() < deadline, "{} connections", connections(&server));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let number = browser.value("Number(document.querySelector('.tile .shot').dataset.frame)").await.as_u64().unwrap();
    browser.run(&hide(false)).await;
    browser.wait_for(&format!("Number(document.querySelector('.tile .shot').dataset.frame) > {number}")).await;
    browser.wait_for(LIVE).await;
    browser.close().await;
}

#[tokio::test]
async fn below_a_path_of_a_proxy_the_page_has_its_style_its_figures_and_its_pictures() {
    let Some(browser) = Browser::start((1_100, 700)).await else { return };
    let server = Server::start(&[]);
    let url = proxy::below("/cams", &server.signal);
    browser.open(&format!("{url}/")).await;
    browser.wait_for("!document.querySelector('#empty').hidden").await;
    assert!(browser.value("document.querySelector('#empty').innerText").await.as_str().unwrap().ends_with(&url));
    let _client = stream(&server);
    browser.wait_for(&there_are(1)).await;
    assert_eq!(browser.value("getComputedStyle(document.querySelector('.tiles')).listStyleType").await, "none");
    browser.picture("below-a-path").await;
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test]
async fn a_person_logs_in_by_the_form_and_again_when_the_server_was_started_anew() {
    let Some(browser) = Browser::start((1_100, 700)).await else { return };
    let directory = tempfile::tempdir().unwrap();
    let password = running::in_dir(&directory, "password");
    running::write_private(&password, "look here");
    let arguments = ["--view-password-file", running::path_text(&password)];
    let server = Server::start(&arguments);
    let (signal, udp) = (server.signal.clone(), server.udp.clone());
    let _client = stream(&server);
    let is_form = "!!document.querySelector('#secret')";
    browser.open(&server.url()).await;
    browser.wait_for(is_form).await;
    browser.picture("log-in").await;
    let send = |text: &str| {
        format!("document.querySelector('#secret').value = '{text}'; document.querySelector('form button').click();")
    };
    browser.run(&send("let me in")).await;
    browser.wait_for("!!document.querySelector('.wrong')").await;
    browser.picture("log-in-wrong").await;
    browser.run(&send("look here")).await;
    browser.wait_for(LIVE).await;
    browser.wait_for(&there_are(1)).await;
    server.running.kill();
    browser.wait_for("document.querySelector('#state').dataset.state === 'lost'").await;
    let _server = Server::start_at(&signal, &udp, &arguments);
    browser.wait_for(is_form).await;
    browser.be_dark().await;
    browser.be_narrow().await;
    browser.picture("log-in-again").await;
    browser.run(&send("look here")).await;
    browser.wait_for(&there_are(1)).await;
    browser.close().await;
}

#[tokio::test]
async fn a_protected_server_shows_itself_over_tls_to_who_has_its_token_and_says_how_streams_are_protected() {
    let Some(browser) = Browser::start((1_100, 700)).await else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = protected::Protected::start(&directory, &[]);
    let join = server.state(protected::JOIN);
    let _client = Running::start(
        protected::client(&["--join", running::path_text(&join)]).args([SOURCE, "--fps", "30", "--name", "front"]),
    );
    browser.open(&format!("https://{}/", server.signal)).await;
    browser.wait_for("!!document.querySelector('#secret')").await;
    let token = std::fs::read_to_string(server.state("view-token")).unwrap();
    let send = format!(
        "document.querySelector('#secret').value = '{}'; document.querySelector('form button').click();",
        token.trim()
    );
    browser.run(&send).await;
    browser.wait_for(&there_are(1)).await;
    browser.wait_for("document.querySelector('#guard').textContent === 'Protected'").await;
    browser.wait_for("/AES-128-GCM|ChaCha20/.test(document.querySelector('.format').textContent)").await;
    // Who has another token was turned away, each time that it is tried.
    let other = running::in_dir(&directory, "other");
    running::write_private(&other, &server.join_with_another_token());
    let refused = Running::start(protected::client(&["--join", running::path_text(&other)]).arg(SOURCE));
    browser.wait_for("/away: \\d+ by a failed proof/.test(document.querySelector('#away').textContent)").await;
    browser.wait_for("!document.querySelector('#away').hidden").await;
    drop(refused);
    browser.picture("protected").await;
    assert_eq!(browser.value("document.cookie").await, "", "no script reads the pass");
    server.stop();
    let open = Server::start(&["--insecure"]);
    browser.open(&open.url()).await;
    browser.wait_for("document.querySelector('#guard').textContent.includes('--insecure')").await;
    browser.picture("insecure").await;
    browser.close().await;
}
