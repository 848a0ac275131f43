//! A real browser, headless, driven over WebDriver. Where there is none, tests say so aloud and are skipped.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use framewire_testing::skip;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::running::PATIENCE;

/// How often the page is asked whether it shows what is waited for.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

pub(crate) struct Browser {
    client: Client,
    driver: Child,
}

/// A command of Chromium's own protocol: what WebDriver has no word for.
#[derive(Debug)]
struct ChromeCommand(&'static str, Value);

impl WebDriverCompatibleCommand for ChromeCommand {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"cmd": self.0, "params": self.1}).to_string()))
    }
}

/// What the page has written to its console, errors of its policy included.
#[derive(Debug)]
struct ConsoleLog;

impl WebDriverCompatibleCommand for ConsoleLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"type": "browser"}).to_string()))
    }
}

impl Browser {
    /// Starts one of `width` by `height` pixels; `None`, said aloud, where there is none.
    pub(crate) async fn start((width, height): (u32, u32)) -> Option<Self> {
        let spawned = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = match spawned {
            Ok(driver) => driver,
            Err(error) => {
                skip(format_args!("chromedriver cannot be run ({error}); install chromium and chromium-driver"));
                return None;
            }
        };
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.find(|line| line.contains("started successfully on port")).expect("chromedriver starts");
        let port = said.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned();
        // The rest is of no interest, and must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--window-size={width},{height}"),
        ];
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), json!({"args": arguments}));
        capabilities.insert("goog:loggingPrefs".into(), json!({"browser": "ALL"}));
        // Servers make certificates of their own, which a person is asked about.
        capabilities.insert("acceptInsecureCerts".into(), json!(true));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        Some(Self { client, driver })
    }

    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Opens another window and goes on in it.
    pub(crate) async fn open_another(&self, url: &str) {
        let window = self.client.new_window(false).await.unwrap();
        self.client.switch_to_window(window.handle).await.unwrap();
        self.open(url).await;
    }

    /// How many windows there are.
    pub(crate) async fn windows(&self) -> usize {
        self.client.windows().await.unwrap().len()
    }

    /// Goes on in one of the windows.
    pub(crate) async fn look_at(&self, nth: usize) {
        let window = self.client.windows().await.unwrap().swap_remove(nth);
        self.client.switch_to_window(window).await.unwrap();
    }

    /// The value of a JavaScript expression.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression}"), Vec::new()).await.unwrap()
    }

    /// Does something in the page.
    pub(crate) async fn run(&self, script: &str) {
        self.client.execute(script, Vec::new()).await.unwrap();
    }

    /// Waits until the expression is true.
    pub(crate) async fn wait_for(&self, expression: &str) {
        self.wait_for_within(expression, PATIENCE).await;
    }

    /// The same, of what takes its time.
    pub(crate) async fn wait_for_within(&self, expression: &str, patience: std::time::Duration) {
        let deadline = Instant::now() + patience;
        while self.value(expression).await != Value::Bool(true) {
            if Instant::now() > deadline {
                self.picture("failed").await;
                let text = self.value("document.body.innerText").await;
                panic!("never true: {expression}; the page says {text}, its console {:?}", self.console().await);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(crate) async fn press(&self, key: char) {
        self.client.active_element().await.unwrap().send_keys(&key.to_string()).await.unwrap();
    }

    /// As on a phone.
    pub(crate) async fn be_narrow(&self) {
        let size = json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true});
        self.client.issue_cmd(ChromeCommand("Emulation.setDeviceMetricsOverride", size)).await.unwrap();
    }

    pub(crate) async fn be_dark(&self) {
        let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        self.client.issue_cmd(ChromeCommand("Emulation.setEmulatedMedia", dark)).await.unwrap();
    }

    /// Keeps what the page looks like, under `target/page`.
    pub(crate) async fn picture(&self, name: &str) {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../page");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{name}.png")), self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Errors on the page's console.
    pub(crate) async fn console(&self) -> Vec<String> {
        let log = self.client.issue_cmd(ConsoleLog).await.unwrap();
        let entries = log.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    pub(crate) async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // With the browser, which a driver that is killed leaves behind.
        framewire_testing::end_group(self.driver.id());
        let _ = self.driver.wait();
    }
}
