//! A headless Chromium, driven over its debugging pipe: messages of the Chrome `DevTools` Protocol, each with a zero octet behind it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use polyport_protocol::{Nanos, SECOND};
use polyport_tools::clock::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tester::tool;

/// A browser may take so long for a step, on a machine that runs other tests.
const PATIENCE: Nanos = 120 * SECOND;

/// A browser with one page.
pub(crate) struct Browser {
    clock: Clock,
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    asked: u64,
    session: Option<String>,
    /// What it told unasked since the last page was opened.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; `None`, with a visible word, where there is none.
    pub(crate) fn start() -> Option<Self> {
        let program = tool(&["chromium", "chromium-browser", "google-chrome"])?;
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            // It reads messages from descriptor 3, and writes to 4.
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            // It has no sandbox for root; and a container may have little shared memory.
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args(["--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, said) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, from) = mpsc::channel();
        thread::spawn(move || {
            let messages = BufReader::new(said).split(0).map_while(Result::ok);
            // It ends with the browser, or with the test.
            messages
                .map(|message| serde_json::from_slice(&message).unwrap())
                .try_for_each(|message| sender.send(message))
        });
        let mut browser = Self {
            clock: Clock::start(),
            child,
            to,
            from,
            asked: 0,
            session: None,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached =
            browser.ask("Target.attachToTarget", &json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Network", "Runtime", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Opens a page in a window of this width, for those who like it dark or not, without running its scripts.
    pub(crate) fn open(&mut self, address: &str, width: u32, dark: bool) {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", &features);
        self.ask("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
        self.events.clear();
        let opened = self.ask("Page.navigate", &json!({ "url": address }));
        assert!(opened["errorText"].is_null(), "{opened}");
        let end = self.clock.now() + PATIENCE;
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next(end);
            self.events.push(event);
        }
    }

    /// The value of an expression in the page, once it is there.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{answer:#}");
        answer["result"]["value"].clone()
    }

    /// A picture of the whole page, as PNG in base64.
    pub(crate) fn screenshot(&mut self, width: u32, height: u64) -> String {
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        self.ask("Page.captureScreenshot", &asked)["data"].as_str().unwrap().to_owned()
    }

    /// What the page asked of any network or file since it was opened, itself among it.
    pub(crate) fn requests(&self) -> Vec<String> {
        let asked = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        asked.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// What the browser complained about since the page was opened.
    pub(crate) fn complaints(&self) -> Vec<&Value> {
        self.events.iter().filter(|event| event["method"] == "Log.entryAdded").collect()
    }

    #[track_caller]
    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(&[message.to_string().as_bytes(), &[0]].concat()).unwrap();
        let end = self.clock.now() + PATIENCE;
        loop {
            let message = self.next(end);
            if message["id"] == self.asked {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    #[track_caller]
    fn next(&self, end: Nanos) -> Value {
        let left = Duration::from_nanos(end.saturating_sub(self.clock.now()));
        self.from.recv_timeout(left).expect("the browser said nothing")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has children, which end with it.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
