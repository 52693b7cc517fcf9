//! Answers DNS queries for one name with the address and port of who asks, as its resolver, its NAT or its VPN makes it:
//!
//! ```sh
//! cargo build --release -p polyport-example-whoami
//! polyport --listen 127.0.0.1:7053=./target/release/libpolyport_example_whoami.so
//! dig -p 7053 @127.0.0.1 whoami TXT
//! ```
//!
//! There is no TCP: an answer that is too long for the asker says that it was cut. What is not wholly a query gets no answer.
#![forbid(unsafe_code)]

mod answer;
mod query;

use polyport_plugin::config;
use polyport_plugin::prelude::*;

use answer::{IN, Verdict, respond, whoami};
use query::{LONGEST_NAME, Query};

config! {
    /// Options of the plugin.
    pub struct Options {
        name: String = "whoami", "The name that is answered; all others are refused";
        comment: String = "", "Said in a TXT record as well, at most 1000 bytes";
    }
}

/// With the rest of an answer this fits what EDNS can say.
const LONGEST_COMMENT: usize = 1000;

#[derive(Debug)]
struct Whoami {
    /// As it is on the wire, in lower case.
    name: Vec<u8>,
    comment: Vec<u8>,
    answered: Counter,
    refused: Counter,
    malformed: Counter,
}

impl Handler for Whoami {
    type Config = Options;

    fn new(options: Options, setup: &mut Setup<'_>) -> Result<Self> {
        Ok(Self {
            name: named(&options)?,
            comment: options.comment.into_bytes(),
            answered: setup.counter(c"answered_total", c"Queries for the name"),
            refused: setup.counter(c"refused_total", c"Queries for something else"),
            malformed: setup.counter(c"malformed_total", c"Datagrams that are no query"),
        })
    }

    fn check(options: &Options) -> Result<()> {
        if options.comment.len() > LONGEST_COMMENT {
            return Err(Error::option("comment", format_args!("has more than {LONGEST_COMMENT} bytes")));
        }
        named(options).map(drop)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch.datagrams() {
            let Some(query) = Query::parse(datagram.payload()) else {
                self.malformed.add(1);
                datagram.discard();
                continue;
            };
            let verdict = self.judge(&query);
            let records = match verdict {
                Verdict::NoError => whoami(query.kind, datagram.peer(), &self.comment),
                Verdict::NotImplemented | Verdict::Refused | Verdict::BadVersion => Vec::new(),
            };
            datagram.reply(&respond(&query, verdict, &records));
        }
    }
}

/// The name that is answered, as it is on the wire.
fn named(options: &Options) -> Result<Vec<u8>> {
    wire(&options.name).ok_or_else(|| Error::option("name", "is no name of DNS"))
}

impl Whoami {
    fn judge(&self, query: &Query<'_>) -> Verdict {
        let verdict = if query.edns.is_some_and(|edns| edns.version != 0) {
            Verdict::BadVersion
        } else if query.opcode() != 0 {
            Verdict::NotImplemented
        } else if query.class != IN || !query.name.eq_ignore_ascii_case(&self.name) {
            Verdict::Refused
        } else {
            Verdict::NoError
        };
        if verdict == Verdict::NoError {
            self.answered.add(1);
        } else {
            self.refused.add(1);
        }
        verdict
    }
}

/// `whoami.example.org` as labels with their lengths.
fn wire(name: &str) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        wire.push(length);
        wire.extend(label.to_ascii_lowercase().bytes());
    }
    wire.push(0);
    (wire.len() <= LONGEST_NAME).then_some(wire)
}

export_plugin!(Whoami, "Answers DNS queries with the address of who asks");

#[cfg(test)]
mod tests;
