//! A request, and what is answered.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::family::{HttpCounts, Own, Process};
use super::figures::{Figures, Range};
use super::gather::{ANSWER_TIME, Gatherer, Missing};
use super::text::{Form, write};

/// Ranges that `/readyz` names; the others are counted.
const MOST_NAMED: usize = 8;
const PLAIN: &str = "text/plain; charset=utf-8";
const PAGES: &str = "/metrics\n/healthz\n/readyz\n";

/// What the thread does by itself, so that it works when the loop is stuck in a handler.
pub struct Hooks {
    /// A call of a handler that does not return, in words.
    pub stuck: Box<dyn Fn() -> Option<String> + Send + Sync>,
    /// What the system tells of the process.
    pub process: Box<dyn Fn() -> Process + Send + Sync>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// What the server counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) slow: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) ranges: AtomicU64,
    pub(super) plugin_metrics: AtomicU64,
    pub(super) pages: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counts {
    fn read(&self) -> HttpCounts {
        HttpCounts {
            connections: self.connections.load(Relaxed),
            requests: self.requests.load(Relaxed),
            refused: self.refused.load(Relaxed),
            evicted: self.evicted.load(Relaxed),
            slow: self.slow.load(Relaxed),
            unanswered: self.unanswered.load(Relaxed),
            ranges: self.ranges.load(Relaxed),
            plugin_metrics: self.plugin_metrics.load(Relaxed),
            pages: self.pages.load(Relaxed),
        }
    }
}

/// What answers.
pub(super) struct Clerk {
    pub(super) gatherer: Gatherer,
    pub(super) hooks: Hooks,
    pub(super) counts: Counts,
    /// Places for pages of metrics that are written and not read yet.
    pub(super) pages: Arc<Semaphore>,
}

impl Clerk {
    /// The answer to a request. Its body is not read. A page of metrics has a place until the client has it.
    pub(super) async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        place: &OnceLock<OwnedSemaphorePermit>,
    ) -> Response<Full<Bytes>> {
        count(&self.counts.requests);
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = said(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match path {
            "/metrics" => self.metrics(headers, place).await,
            "/healthz" => self.health(),
            "/readyz" => self.readiness().await,
            "/" => said(StatusCode::OK, PAGES),
            _ => said(StatusCode::NOT_FOUND, format!("there is no such page; there are\n{PAGES}")),
        }
    }

    async fn metrics(
        &self,
        headers: &HeaderMap,
        place: &OnceLock<OwnedSemaphorePermit>,
    ) -> Response<Full<Bytes>> {
        let Ok(free) = Arc::clone(&self.pages).try_acquire_owned() else {
            count(&self.counts.pages);
            return said(StatusCode::SERVICE_UNAVAILABLE, "as many as may be read this page already\n");
        };
        // A connection has one request.
        place.set(free).unwrap_or(());
        let figures = match self.gatherer.figures().await {
            Ok(figures) => figures,
            Err(missing) => return self.missing(missing),
        };
        if figures.others.is_some() {
            count(&self.counts.ranges);
        }
        if figures.plugin_series_left_out > 0 {
            count(&self.counts.plugin_metrics);
        }
        let accepts = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let form = Form::asked(&accepts.collect::<Vec<_>>().join(","));
        let own = Own {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: polyport_terminal::COMMIT.to_owned(),
            process: (self.hooks.process)(),
            http: self.counts.read(),
        };
        match write(&figures, own, form) {
            Ok(text) => answer(StatusCode::OK, text, form.content_type()),
            Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot be written: {error}\n")),
        }
    }

    /// Whether the loop goes round: the thread of the server answers by itself, by what the watchdog has seen.
    fn health(&self) -> Response<Full<Bytes>> {
        match (self.hooks.stuck)() {
            None => said(StatusCode::OK, "ok\n"),
            Some(words) => said(StatusCode::SERVICE_UNAVAILABLE, format!("{words}\n")),
        }
    }

    /// Whether every address is served.
    async fn readiness(&self) -> Response<Full<Bytes>> {
        match self.gatherer.figures().await {
            Err(missing) => self.missing(missing),
            Ok(figures) => match unready(&figures) {
                None => said(StatusCode::OK, "ready\n"),
                Some(words) => said(StatusCode::SERVICE_UNAVAILABLE, words),
            },
        }
    }

    fn missing(&self, missing: Missing) -> Response<Full<Bytes>> {
        let words = match missing {
            Missing::Ending => "the daemon ends\n".to_owned(),
            Missing::Unanswered => {
                count(&self.counts.unanswered);
                let stuck = (self.hooks.stuck)().map_or_else(String::new, |words| format!(": {words}"));
                format!("the loop of the daemon has not answered for {} s{stuck}\n", ANSWER_TIME.as_secs())
            }
        };
        said(StatusCode::SERVICE_UNAVAILABLE, words)
    }
}

/// Why not every address is served, if any is not.
fn unready(figures: &Figures) -> Option<String> {
    if figures.ending {
        return Some("the daemon ends\n".to_owned());
    }
    let wrong = |range: &Range| {
        let counted = figures.states.iter().zip(&range.states).skip(figures.wanted_states);
        let counted = counted.filter(|(_, n)| **n > 0).map(|(state, n)| format!("{n} {state}"));
        counted.collect::<Vec<_>>().join(", ")
    };
    let ranges = || figures.ranges.iter().chain(&figures.others).filter(|range| !wrong(range).is_empty());
    let mut words = String::new();
    for range in ranges().take(MOST_NAMED) {
        let Range { listener, address, plugin, states, .. } = range;
        let all: u64 = states.iter().sum();
        writeln!(words, "listener {listener} {address} (plugin {plugin}): {} of {all}", wrong(range))
            .unwrap_or(());
    }
    if let Some(more @ 1..) = ranges().count().checked_sub(MOST_NAMED) {
        writeln!(words, "and {more} more").unwrap_or(());
    }
    (!words.is_empty()).then_some(words)
}

fn said(status: StatusCode, words: impl Into<String>) -> Response<Full<Bytes>> {
    answer(status, words.into(), PLAIN)
}

fn answer(status: StatusCode, text: String, kind: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// For who shares it between connections.
pub(super) type Shared = Arc<Clerk>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_served_is_named_up_to_a_number() {
        let range = |n: u64, down, failed| Range {
            listener: format!("l{n}"),
            address: "127.0.0.1:7".to_owned(),
            plugin: "echo".to_owned(),
            states: vec![3, down, failed],
            ..Range::default()
        };
        let mut figures = Figures {
            states: ["serving", "down", "failed"].map(str::to_owned).to_vec(),
            wanted_states: 1,
            ranges: vec![range(0, 0, 0)],
            ..Figures::default()
        };
        assert_eq!(unready(&figures), None);
        figures.ranges.push(range(1, 2, 1));
        let words = "listener l1 127.0.0.1:7 (plugin echo): 2 down, 1 failed of 6\n";
        assert_eq!(unready(&figures).as_deref(), Some(words));
        figures.ranges.extend((2..20).map(|n| range(n, 0, 1)));
        let words = unready(&figures).unwrap();
        assert!(words.ends_with("and 11 more\n") && words.lines().count() == MOST_NAMED + 1, "{words}");
        figures.ending = true;
        assert_eq!(unready(&figures).as_deref(), Some("the daemon ends\n"));
    }
}
