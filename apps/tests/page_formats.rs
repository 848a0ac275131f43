//! The live page with streams of formats that cameras have, in a real browser.
#![allow(missing_docs)]

mod browser;
mod running;
mod sending;

use browser::Browser;
use framewire_transport::frame::MetadataKind;
use framewire_transport::{FrameFormat, PixelFormat};
use running::{Running, Server};
use sending::Stream;

fn shown(nth: usize) -> String {
    format!("Number(document.querySelectorAll('.tile .shot')[{nth}]?.dataset.frame) > 0")
}

#[tokio::test]
async fn every_format_has_its_picture_or_is_shown_as_what_it_is() {
    let Some(browser) = Browser::start((1_300, 1_500)).await else { return };
    let server = Server::start(&[]);
    let formats = ["bayer_rggb12", "gray16", "depth32f", "nv12", "v210", "rgba32", "mono12p", "yuv422p10"];
    let mut clients = Vec::new();
    browser.open(&server.url()).await;
    for (nth, format) in formats.iter().enumerate() {
        let source = format!("pattern:480x270:{format}");
        let client = Running::start(&mut server.client(&[&source, "--fps", "10", "--name", format]));
        clients.push(client);
        browser.wait_for(&format!("document.querySelectorAll('.tile').length === {}", nth + 1)).await;
    }
    for nth in (0..formats.len()).filter(|nth| formats[*nth] != "mono12p") {
        browser.wait_for(&shown(nth)).await;
    }
    let packed = "document.querySelectorAll('.tile')[6].querySelector('.placeholder').textContent";
    browser.wait_for(&format!("{packed} === 'mono12p: no picture, 194,400 bytes'")).await;
    let captured = "document.querySelector('.captured').textContent";
    browser.wait_for(&format!("/^Captured \\d{{4}}-\\d\\d-\\d\\dT[\\d:]{{8}}\\.\\d{{9}}Z/.test({captured})")).await;
    let ranged = "[...document.querySelectorAll('.tile')].map((tile) => !tile.querySelector('.range').hidden).join()";
    browser.wait_for(&format!("{ranged} === 'true,true,true,false,false,false,false,false'")).await;
    browser.picture("formats").await;
    assert_eq!(browser.console().await, Vec::<String>::new());
    drop(clients);
    browser.close().await;
}

#[tokio::test]
async fn a_range_is_chosen_and_given_up_and_a_picture_of_it_is_shown_in_both_sizes() {
    let Some(browser) = Browser::start((1_100, 800)).await else { return };
    let server = Server::start(&[]);
    let _client = Running::start(&mut server.client(&["pattern:480x270:gray12", "--fps", "30"]));
    browser.open(&server.url()).await;
    browser.wait_for(&shown(0)).await;
    // How light the picture is in its middle: what is white at 4 is light nearly everywhere.
    let light = "(() => { const shot = document.querySelector('SHOT'); const copy = document.createElement('canvas'); \
                 [copy.width, copy.height] = [shot.width, shot.height]; const context = copy.getContext('2d'); context.drawImage(shot, 0, 0); \
                 const values = context.getImageData(0, 0, copy.width, copy.height).data.filter((_, at) => at % 4 === 0); \
                 return values.reduce((sum, value) => sum + value, 0) / values.length; })()";
    let choose = |field: &str, value: &str| {
        format!(
            "const field = document.querySelector('.range .{field}'); field.value = '{value}'; \
             field.dispatchEvent(new Event('change'));"
        )
    };
    browser.wait_for("document.querySelector('.range .high').placeholder !== ''").await;
    browser.run(&choose("low", "0")).await;
    browser.run(&choose("high", "4")).await;
    let tile = light.replace("SHOT", ".tile .shot");
    browser.wait_for(&format!("{tile} > 240")).await;
    browser.wait_for("document.querySelector('.range .automatic').getAttribute('aria-pressed') === 'false'").await;
    browser.run("document.querySelector('.picture').click()").await;
    let full = light.replace("SHOT", "#full-picture");
    browser.wait_for(&format!("document.querySelector('#full-picture').dataset.frame && {full} > 240")).await;
    browser.wait_for("document.querySelector('#full .range') !== null").await;
    assert_eq!(browser.value("getComputedStyle(document.querySelector('.stage')).filter").await, "none");
    browser.picture("range-full").await;
    browser.run(&choose("low", "9")).await;
    browser.wait_for("document.querySelector('.range .high').validationMessage !== ''").await;
    browser.run("document.querySelector('.range .automatic').click()").await;
    browser.wait_for(&format!("{full} < 200")).await;
    browser.run("document.querySelector('#full').close()").await;
    browser.wait_for(&format!("document.querySelector('.tile .range') !== null && {tile} < 200")).await;
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test]
async fn the_newest_json_of_a_stream_is_shown_as_the_text_it_is_and_all_else_by_kind_and_length() {
    let Some(browser) = Browser::start((500, 900)).await else { return };
    let server = Server::start(&[]);
    let format = FrameFormat::new(PixelFormat::Bytes, 5_000_000, 1).unwrap();
    let stream = Stream::open(&server, format, "bytes", "lidar");
    let hostile = r#"{"exposure_us": 8000, "note": "<img src=x onerror=alert(1)>"}"#;
    stream.send(&[7; 1_234], (MetadataKind::Json, hostile.as_bytes()), None);
    browser.open(&server.url()).await;
    browser.wait_for("document.querySelector('.metadata-text')?.textContent.includes('onerror')").await;
    assert_eq!(browser.value("document.querySelector('.metadata-text').textContent").await, hostile);
    assert_eq!(browser.value("document.querySelector('.metadata-text').childElementCount").await, 0);
    let kind = "document.querySelector('.metadata-kind').textContent";
    assert_eq!(browser.value(kind).await, format!("Metadata: JSON, {} bytes", hostile.len()));
    assert_eq!(
        browser.value("document.querySelector('.format').textContent").await,
        "up to 5,000,000 bytes from 127.0.0.1, every"
    );
    assert_eq!(
        browser.value("document.querySelector('.placeholder').textContent").await,
        "bytes: no picture, 1,234 bytes"
    );
    browser.picture("metadata").await;

    let long = format!("[{}]", "1234567,".repeat(500));
    stream.send(&[7; 1], (MetadataKind::Json, long.as_bytes()), None);
    browser.wait_for(&format!("{kind} === 'Metadata: JSON, 4,002 bytes, the last 2,978 not shown'")).await;
    stream.send(&[7; 1], (MetadataKind::Cbor, &[0xa0; 300]), None);
    browser.wait_for(&format!("{kind} === 'Metadata: CBOR, 300 bytes'")).await;
    browser.wait_for("document.querySelector('.metadata-text').hidden").await;
    stream.send(&[7; 1], (MetadataKind::Bytes, &[]), None);
    browser.wait_for("document.querySelector('.metadata').hidden").await;
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.close().await;
}
