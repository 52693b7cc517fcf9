//! What a relay is made of.

use std::cell::Cell;
use std::fmt::Display;
use std::net::IpAddr;

use polyport_plugin::{Batch, Error, Level, Setup};

use crate::clients::{Client, New, Sessions};
use crate::config::{Full, MOST_UPSTREAMS, Settings};
use crate::counters::{Counters, Refusal};
use crate::endpoint::Host;
use crate::lookups::Lookups;
use crate::names::Names;
use crate::network::Network;
use crate::opens::Opens;
use crate::state::{State, VERSION};
use crate::upstreams::{Rules, Upstreams};

/// The handler of one address.
#[derive(Debug)]
pub struct Relay {
    pub(crate) settings: Settings,
    /// What was reserved for each session when the instance was made, bytes.
    pub(crate) session_bytes: usize,
    pub(crate) limits: Limits,
    pub(crate) upstreams: Upstreams,
    pub(crate) network: Network,
    pub(crate) names: Names,
    pub(crate) lookups: Lookups,
    pub(crate) sessions: Sessions,
    pub(crate) opens: Opens,
    /// The address that all clients ask; none if each says which.
    pub(crate) asked: Option<IpAddr>,
    /// Which source address is in use, of IPv4 and of IPv6.
    pub(crate) sources: [u8; 2],
    /// When the host let a session be opened the last time, nanoseconds of the monotonic clock.
    pub(crate) opened_ns: u64,
    /// Why sessions could not be made the last time, and till when that is likely to be so.
    pub(crate) trouble: Option<(Refusal, u64)>,
    /// Its state was asked for, and nothing has come since: another instance has its sessions.
    pub(crate) handed_over: Cell<bool>,
    pub(crate) counters: Counters,
}

/// What is compared with each datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) silence_ns: u64,
    pub(crate) replies: u32,
    pub(crate) copies_tos: bool,
    /// The order of the last answers matters.
    pub(crate) ends_oldest: bool,
}

impl Relay {
    pub(crate) fn with(settings: Settings, setup: &mut Setup<'_>) -> Result<Self, Error> {
        let options = &settings.options;
        let session_bytes = settings.session_bytes();
        let asked = setup.local().map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
        let mut relay = Self {
            session_bytes,
            limits: Limits::of(&settings),
            upstreams: Upstreams::new(rules(&settings)),
            network: Network::new(&settings, setup)?,
            names: Names::default(),
            lookups: Lookups::new(setup.waker()),
            sessions: Sessions::new(options.sessions, session_bytes, setup.reservation()),
            opens: Opens::new(options.opens),
            asked,
            sources: [0; 2],
            opened_ns: 0,
            trouble: None,
            handed_over: Cell::new(false),
            counters: Counters::new(setup),
            settings,
        };
        let now_ns = setup.now_ns();
        relay.names.set(&relay.settings.to, nanos(relay.settings.options.resolve), now_ns);
        let before = setup.state().filter(|(version, _)| *version == VERSION);
        relay.restore(before.and_then(|(_, bytes)| State::read(bytes)).unwrap_or_default(), setup);
        relay.list();
        relay.lookups.start(relay.names.take_due(now_ns));
        relay.show();
        Ok(relay)
    }

    /// Goes on with what the instance before has left.
    fn restore(&mut self, state: State, setup: &Setup<'_>) {
        for (name, found) in &state.names {
            self.names.remember(name, found);
        }
        for address in state.answering {
            let number = self.upstreams.number(address);
            self.upstreams.heard(number);
        }
        let mut kept = state.sessions;
        kept.sort_unstable_by_key(|kept| kept.number);
        for old in setup.sessions() {
            let (Some(peer), Some(address)) = (old.client(), old.upstream()) else { continue };
            let known = kept.binary_search_by_key(&old.user(), |kept| kept.number.into());
            let known = known.ok().and_then(|at| kept.get(at)).copied();
            // Without what the other one knew, the address that the client asked is known only if there is one.
            let client = match (known, self.asked) {
                (Some(known), _) => Client::of_octets(peer, known.asked),
                (None, Some(asked)) => Client::new(peer, asked),
                (None, None) => continue,
            };
            let Some(number) = self.sessions.next_number() else { continue };
            let Some(id) = old.keep(number.into()) else { continue };
            let upstream = self.upstreams.number(address);
            self.upstreams.enter(upstream);
            let new = New { id, client, upstream, source: 0 };
            let inserted = self.sessions.insert(new);
            self.network.enter(number, peer, None);
            if let (Some(session), Some(known)) =
                (inserted.and_then(|number| self.sessions.get_mut(number)), known)
            {
                session.is_answered = known.is_answered;
                (session.requests, session.answers, session.errors) =
                    (known.requests, known.answers, known.errors);
            }
        }
    }

    /// Takes other options. The sessions there are stay.
    ///
    /// # Errors
    /// None, after the settings had none; then nothing has changed.
    pub(crate) fn change(&mut self, settings: Settings) -> Result<(), Error> {
        self.network.change(&settings)?;
        self.limits = Limits::of(&settings);
        self.upstreams.set_rules(rules(&settings));
        self.sessions.set_most(settings.options.sessions);
        self.opens.set_rate(settings.options.opens);
        self.sources = [0; 2];
        // What is new is due at once, whatever the time is.
        self.names.set(&settings.to, nanos(settings.options.resolve), 0);
        self.settings = settings;
        self.list();
        self.show();
        Ok(())
    }

    /// New sessions get what the options name, as far as names are known.
    pub(crate) fn list(&mut self) {
        let Self { settings, names, upstreams, .. } = self;
        let (settings, names) = (&*settings, &*names);
        let addresses = settings.to.iter().flat_map(|to| {
            let found = match &to.host {
                Host::Address(address) => std::slice::from_ref(address),
                Host::Name(host, port) => names.found(host, *port),
            };
            let is_name = to.address().is_none();
            let taken = found.iter().filter(move |address| !is_name || settings.takes(**address));
            taken.map(|address| (*address, to.weight))
        });
        upstreams.list(addresses.take(MOST_UPSTREAMS));
    }

    /// What is worth keeping.
    pub(crate) fn state(&self) -> State {
        let sessions = self.sessions.iter().map(|(number, session)| crate::state::Kept {
            number,
            asked: session.client.asked(),
            is_answered: session.is_answered,
            requests: session.requests,
            answers: session.answers,
            errors: session.errors,
        });
        State {
            answering: self.upstreams.answering().collect(),
            names: self.names.known().map(|(name, found)| (name.clone(), found.to_vec())).collect(),
            sessions: sessions.collect(),
        }
    }

    /// An upstream went down.
    pub(crate) fn say_down(&self, number: u32, why: impl Display, batch: &Batch<'_>) {
        self.counters.upstream_fell.add(1);
        self.show_down(batch.now_ns());
        if let Some(address) = self.upstreams.address(number) {
            let retry = self.settings.options.retry;
            batch.log(Level::Warn, format_args!("upstream {address} is down for {retry:?}: {why}"));
        }
    }

    /// Shows what there is.
    pub(crate) fn show(&self) {
        self.counters.sessions.set(self.sessions.len() as u64);
        self.counters.unresolved.set(self.names.unresolved());
    }

    /// Shows how many upstreams are down.
    pub(crate) fn show_down(&self, now_ns: u64) {
        self.counters.upstreams_down.set(self.upstreams.down(now_ns));
    }
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        let options = &settings.options;
        Self {
            silence_ns: nanos(options.silence),
            replies: options.replies,
            copies_tos: settings.copies_tos(),
            ends_oldest: options.full == Full::Oldest,
        }
    }
}

fn rules(settings: &Settings) -> Rules {
    let options = &settings.options;
    // Without a seed it is the same in every process, so that a client finds its upstream after a restart.
    let seed = options.common.seed.map_or(0, i64::cast_unsigned);
    Rules { select: options.select, seed, marks: options.marks, retry_ns: nanos(options.retry) }
}

/// Nanoseconds of an option, whose bounds keep it small.
pub(crate) fn nanos(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
