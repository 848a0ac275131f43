//! The live page with streams of formats that cameras have, in a real browser.
#![allow(missing_docs)]

mod browser;
mod running;

use browser::Browser;
use running::{Running, Server};

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
