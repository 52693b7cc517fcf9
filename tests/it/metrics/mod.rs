//! Metrics, health and readiness by HTTP, as `daemon/docs/metrics.md` describes them.
//!
//! ```text
//! pages     what is answered, and when
//! hostile   clients that send garbage, hang, or are many
//! many      thousands of addresses and metrics
//! gone      addresses that go and come again
//! watched   the page, the dashboard and the alerts name series that there are
//! ```

mod gone;
mod hostile;
mod many;
mod pages;
mod watched;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use polyport_tests::daemon::Daemon;
use polyport_tests::{DEADLINE, Launch};

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.map(str::trim)
    }
}

/// Serves, and waits until it says where its metrics are.
#[track_caller]
fn serve(launch: Launch) -> (Daemon, SocketAddr) {
    let mut daemon = launch.args(&["--metrics", "127.0.0.1:0"]).serve();
    let at = metrics_of(&mut daemon);
    (daemon, at)
}

/// Where a daemon says that its metrics are.
#[track_caller]
fn metrics_of(daemon: &mut Daemon) -> SocketAddr {
    daemon.process.wait_for_stderr("/metrics\n");
    let stderr = daemon.process.stderr();
    let line = stderr.lines().find_map(|line| line.split_once("metrics at http://")).unwrap().1;
    line.strip_suffix("/metrics").unwrap().parse().unwrap()
}

/// A connection with a deadline for everything.
#[track_caller]
fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends bytes, and returns all that comes until the end.
#[track_caller]
fn raw(at: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(at);
    stream.write_all(bytes).unwrap();
    let mut came = Vec::new();
    // A reset behind the answer ends it as well.
    stream.read_to_end(&mut came).map(drop).unwrap_or(());
    String::from_utf8(came).unwrap()
}

#[track_caller]
fn answer(came: &str) -> Answer {
    let (head, body) = came.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{came:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

#[track_caller]
fn get_with(at: SocketAddr, path: &str, headers: &str) -> Answer {
    answer(&raw(at, format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n").as_bytes()))
}

#[track_caller]
fn get(at: SocketAddr, path: &str) -> Answer {
    get_with(at, path, "")
}

/// Every series of a scrape with its value.
#[track_caller]
fn scrape(at: SocketAddr) -> BTreeMap<String, f64> {
    let page = get(at, "/metrics");
    assert_eq!(page.status, 200, "{page:?}");
    series(&page.body)
}

#[track_caller]
fn series(body: &str) -> BTreeMap<String, f64> {
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let mut all = BTreeMap::new();
    for line in lines {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let twice = all.insert(name.to_owned(), value.parse().unwrap());
        assert!(twice.is_none(), "{name} comes twice");
    }
    all
}

/// The name of a series, without labels.
fn name_of(series: &str) -> &str {
    series.split_once('{').map_or(series, |(name, _)| name)
}

/// One echo.
fn echo() -> Launch {
    crate::polyport().listen("127.0.0.1:0=echo")
}
