//! The bad network: what it does to the datagrams of each session, up and down.

use std::net::SocketAddr;

use polyport_impair::{Fate, Line, client};
use polyport_impair_options::{Arrived, Counts, Decisions, Keys, Lane, Name, family};
use polyport_plugin::{Chunked, Error, Setup};

use crate::config::{OWN_BYTES, Settings};

/// One of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// What one session, or all of them, meet.
#[derive(Debug)]
struct Lines {
    up: Line,
    down: Line,
}

/// What is known of a session: no more bytes than the settings say it costs.
#[derive(Debug)]
struct Own {
    lines: Lines,
    /// For the log of decisions.
    name: Name,
    /// Datagrams lost, up and down.
    lost: [u32; 2],
}

/// A datagram as the network sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) bytes: usize,
    pub(crate) tos: u8,
    pub(crate) now_ns: u64,
    pub(crate) wall_ns: u64,
}

/// All that may happen to datagrams.
#[derive(Debug)]
pub(crate) struct Network {
    lanes: [Lane; 2],
    keys: Keys,
    /// The line of all sessions, if they have one together.
    shared: Option<Lines>,
    /// By the numbers of sessions.
    own: Chunked<Option<Own>>,
    decisions: Option<Decisions>,
    began_ns: u64,
    seed: u64,
    port: u16,
}

impl Network {
    pub(crate) fn new(settings: &Settings, setup: &mut Setup<'_>) -> Result<Self, Error> {
        let [up, down] = settings.plan.scripts(setup.seed(), setup.now_ns())?;
        let counts = [up.direction(), down.direction()].map(|direction| Counts::new(setup, direction));
        let [up_counts, down_counts] = counts;
        let port = setup.local().map_or(0, |local| local.port());
        settings.plan.log_notes(setup);
        Ok(Self {
            lanes: [Lane::new(up, Some(up_counts)), Lane::new(down, Some(down_counts))],
            keys: Keys::new(settings.options.common.key(), port),
            shared: shared(settings),
            own: Chunked::new(),
            decisions: Decisions::open(&settings.options.common, setup)?,
            began_ns: setup.now_ns(),
            seed: setup.seed(),
            port,
        })
    }

    /// Takes other options. Lines go on with their numbers.
    ///
    /// # Errors
    /// None, after the settings had none.
    pub(crate) fn change(&mut self, settings: &Settings) -> Result<(), Error> {
        let scripts = settings.plan.scripts(self.seed, self.began_ns)?;
        for (lane, script) in self.lanes.iter_mut().zip(scripts) {
            lane.set_script(script);
        }
        if self.shared.is_some() != settings.is_shared() {
            self.shared = shared(settings);
        }
        if self.keys.key() != settings.options.common.key() {
            self.keys = Keys::new(settings.options.common.key(), self.port);
        }
        Ok(())
    }

    /// Nothing ever happens to a datagram that goes this way.
    #[inline]
    pub(crate) const fn is_neutral(&self, way: Way) -> bool {
        let [up, down] = &self.lanes;
        match way {
            Way::Up => up.is_neutral(),
            Way::Down => down.is_neutral(),
        }
    }

    /// The session with this number is new: of a client that had another one, if that is named, whose lines go on as they were. What
    /// it has lost stays with the other one.
    pub(crate) fn enter(&mut self, number: u32, peer: SocketAddr, before: Option<u32>) {
        if self.is_neutral(Way::Up) && self.is_neutral(Way::Down) {
            return;
        }
        let mut own = self.fresh(peer);
        if let Some(before) = before.and_then(|before| self.own.get_mut(before as usize)?.as_mut()) {
            std::mem::swap(before, &mut own);
            std::mem::swap(&mut before.lost, &mut own.lost);
        }
        if let Some(place) = self.place(number) {
            *place = Some(own);
        }
    }

    /// How many datagrams of the session with this number were lost so far, up and down.
    pub(crate) fn lost(&self, number: u32) -> [u32; 2] {
        self.own.get(number as usize).and_then(Option::as_ref).map_or([0; 2], |own| own.lost)
    }

    /// The session with this number has ended. How many datagrams of it were lost, up and down.
    pub(crate) fn leave(&mut self, number: u32) -> [u32; 2] {
        let own = self.own.get_mut(number as usize).and_then(Option::take);
        own.map_or([0; 2], |own| own.lost)
    }

    /// Decides about the next datagram of a session whose client is `peer`.
    pub(crate) fn decide(&mut self, way: Way, number: u32, peer: SocketAddr, seen: Seen) -> Fate {
        // Nothing happened so far, and now something does: other options.
        if self.own.get(number as usize).is_none_or(Option::is_none) {
            let own = self.fresh(peer);
            if let Some(place) = self.place(number) {
                *place = Some(own);
            }
        }
        let Self { lanes: [up, down], shared, own, decisions, .. } = self;
        let Some(own) = own.get_mut(number as usize).and_then(Option::as_mut) else {
            return Fate::untouched(seen.now_ns);
        };
        let Seen { bytes, tos, now_ns, wall_ns } = seen;
        let arrived = Arrived { client: own.name, bytes, tos, now_ns, wall_ns };
        let lines = shared.as_mut().unwrap_or(&mut own.lines);
        let (lane, line, at) = match way {
            Way::Up => (up, &mut lines.up, 0),
            Way::Down => (down, &mut lines.down, 1),
        };
        let fate = lane.decide(line, &arrived, decisions.as_mut());
        if let (Fate::Lost(_), Some(lost)) = (fate, own.lost.get_mut(at)) {
            *lost = lost.saturating_add(1);
        }
        fate
    }

    /// The log of decisions, if there is one.
    pub(crate) const fn decisions(&mut self) -> Option<&mut Decisions> {
        self.decisions.as_mut()
    }

    fn fresh(&mut self, peer: SocketAddr) -> Own {
        let client = self.keys.client(peer);
        let line = || Line::new(client.key, client.family);
        Own { lines: Lines { up: line(), down: line() }, name: client.name, lost: [0; 2] }
    }

    fn place(&mut self, number: u32) -> Option<&mut Option<Own>> {
        let at = number as usize;
        while self.own.len() <= at {
            self.own.push(None);
        }
        self.own.get_mut(at)
    }
}

fn shared(settings: &Settings) -> Option<Lines> {
    // Which headers datagrams have is a matter of where they go, and one line has one answer.
    let address = settings.to.iter().find_map(crate::endpoint::Endpoint::address);
    let family = address.map_or(polyport_impair::Family::Ipv4, family);
    let line = || Line::new(client::SHARED, family);
    settings.is_shared().then(|| Lines { up: line(), down: line() })
}

const _: () = assert!(size_of::<Option<Own>>() <= OWN_BYTES, "a session costs more than is declared");
