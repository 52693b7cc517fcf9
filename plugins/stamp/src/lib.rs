//! A Session-Reflector of STAMP, the Simple Two-way Active Measurement Protocol (RFC 8762): sends test packets back with the
//! times at which they came and went, so that the sender learns delay, its variation, and loss, of each way for itself.
//!
//! ```toml
//! bind = ":862"
//! plugin = "stamp"
//! options = { mode = "stateful", auth = "hmac", key = "...", error = "1ms", synchronized = true }
//! ```
//!
//! The time of receipt is the kernel's, and the TTL that goes back is the one that came. The time of sending is that of the
//! call of the handler, a few microseconds before the packet leaves. Answers are as long as their requests; senders of TWAMP
//! Light are answered too (section 4.6).
#![forbid(unsafe_code)]

mod config;
mod packet;
mod seal;
mod sessions;
mod timestamp;

use polyport_plugin::Facts;
use polyport_plugin::prelude::*;

use config::Settings;
use packet::{Reply, Request};
use sessions::{Session, Sessions};

pub use config::{Auth, Mode, StampConfig, Timestamps};

/// The handler of one listener.
#[derive(Debug)]
pub struct Stamp {
    settings: Settings,
    /// In the stateful mode only.
    sessions: Option<Sessions>,
    counters: Counters,
}

#[derive(Debug)]
struct Counters {
    reflected: Counter,
    padded: Counter,
    short: Counter,
    unauthentic: Counter,
    sessions: Gauge,
    sessions_forgotten: Counter,
}

/// The times of a call.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Of the monotonic clock, nanoseconds.
    now_ns: u64,
    /// Unix time, nanoseconds.
    wall_ns: u64,
}

impl Handler for Stamp {
    type Config = StampConfig;

    fn new(config: StampConfig, setup: &mut Setup<'_>) -> Result<Self> {
        let settings = Settings::new(&config)?;
        // Where the system does not tell the one or the other, answers say so, or are less exact.
        let wanted = Facts::HOPS | Facts::TIME;
        let got = setup.want(if settings.reflect_tos { wanted | Facts::TOS } else { wanted });
        if settings.reflect_tos && !got.contains(Facts::TOS) {
            return Err(Error::option("reflect_tos", "this system does not tell the class of datagrams"));
        }
        let sessions = match settings.kept.mode {
            Mode::Stateless => None,
            Mode::Stateful => {
                let kept = settings.kept;
                Some(Sessions::new(kept.sessions, kept.session_ttl, setup.reservation()))
            }
        };
        Ok(Self { settings, sessions, counters: Counters::new(setup) })
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        let moment = Moment { now_ns: batch.now_ns(), wall_ns: batch.wall_ns() };
        for datagram in batch.datagrams() {
            self.reflect(datagram, moment);
        }
        self.counters.sessions.set(self.sessions.as_ref().map_or(0, Sessions::len) as u64);
    }

    fn check(config: &StampConfig) -> Result<()> {
        Settings::new(config).map(drop)
    }

    /// All but what the table of sessions depends on, and what is wanted of datagrams, which is said when the handler is made.
    fn reconfigure(&mut self, config: StampConfig) -> Result<()> {
        let settings = Settings::new(&config)?;
        if settings.kept != self.settings.kept || settings.reflect_tos != self.settings.reflect_tos {
            return Err(Error::unsupported());
        }
        self.settings = settings;
        Ok(())
    }
}

impl Stamp {
    fn reflect(&mut self, datagram: Datagram<'_>, moment: Moment) {
        let Self { settings, sessions, counters } = self;
        let Some(request) = settings.layout.read(datagram.payload()) else {
            counters.short.add(1);
            return datagram.discard();
        };
        if settings.seal.as_ref().is_some_and(|seal| !seal.verifies(datagram.payload())) {
            counters.unauthentic.add(1);
            return datagram.discard();
        }
        let Some(sessions) = sessions else {
            let sent = answer(settings, counters, datagram, request, request.sequence, moment);
            return counters.reflected.add(sent.into());
        };
        let ssid = if settings.ssid { request.ssid } else { [0; 2] };
        let session = Session { peer: datagram.peer(), local: datagram.local(), ssid };
        let Some((count, forgot)) = sessions.heard(session, moment.now_ns) else { return datagram.discard() };
        counters.sessions_forgotten.add(forgot.into());
        // What finds no room was not sent, and takes no number: the sender would count it as lost on the way back.
        if answer(settings, counters, datagram, request, count.next.to_be_bytes(), moment) {
            count.next = count.next.wrapping_add(1);
            counters.reflected.add(1);
        }
    }
}

/// Sends the answer; false if it finds no room.
fn answer(
    settings: &Settings,
    counters: &Counters,
    mut datagram: Datagram<'_>,
    request: Request,
    sequence: [u8; 4],
    moment: Moment,
) -> bool {
    /// The six bits of the DSCP (RFC 2474). The other two are between a sender and the routers on its way (RFC 3168).
    const DSCP: u8 = 0xFC;
    if settings.reflect_tos {
        datagram.set_tos(datagram.tos() & DSCP);
    }
    let format = settings.format(&request);
    let received_ns = datagram.rx_wall_ns();
    let reply = Reply {
        sequence,
        // A clock that was set back in between does not make a packet leave before it came.
        timestamp: format.write(moment.wall_ns.max(received_ns)),
        error: settings.error_estimate(format),
        ssid: if settings.ssid { request.ssid } else { [0; 2] },
        received: format.write(received_ns),
        request,
        ttl: datagram.hop_limit(),
    };
    let write = |packet: &mut [u8]| {
        settings.layout.write(&reply, packet);
        if let Some(seal) = &settings.seal {
            seal.seal(packet);
        }
    };
    if datagram.payload().len() >= settings.layout.len {
        write(datagram.payload_mut());
        return datagram.echo().is_queued();
    }
    let sent = datagram.reply_with(settings.layout.len, |_, packet| {
        write(packet);
        packet.len()
    });
    let sent = sent.is_queued();
    counters.padded.add(sent.into());
    sent
}

impl Counters {
    fn new(setup: &mut Setup<'_>) -> Self {
        Self {
            reflected: setup.counter(c"reflected_total", c"Test packets sent back"),
            padded: setup
                .counter(c"padded_total", c"Answers longer than their requests, to senders of TWAMP Light"),
            short: setup.counter(c"short_total", c"Datagrams too short for a test packet"),
            unauthentic: setup.counter(c"unauthentic_total", c"Test packets whose HMAC is not of this key"),
            sessions: setup.gauge(c"sessions", c"Sessions counted"),
            sessions_forgotten: setup.counter(
                c"sessions_forgotten_total",
                c"Sessions forgotten because there were too many, or no memory for more",
            ),
        }
    }
}

describe_plugin!(
    Stamp,
    "stamp",
    "A STAMP reflector (RFC 8762): sends test packets back with times, TTL and count"
);

#[cfg(test)]
mod tests;
