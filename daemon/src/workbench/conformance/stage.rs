//! A plugin on the stage: instances, and calls in memory that tells who touches what he must not. After each call it is judged by
//! what it left behind.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::datagrams::Datagram;
use super::end::{End, broken};
use super::heard;
use super::judged::{Sent, fault, judge_claims, sent};
use super::rules;
use super::subject::Subject;
use super::values::tried;
use crate::exchange::{
    ArrivalFlags, Arrived, CompactAddr, Exchange, ExchangeLimits, Facts, SessionEvent, SessionRequest,
};
use crate::plugin::{
    AddressRefusal, Breach, Call, Cells, Gate, Given, GivenValue, HandlerBudget, Instance, InstancePlace,
    InstanceSpec, Outcome, Part, Plugin, Values, WakeList, Why, breaches,
};

/// The address of the listener, in a network for documentation.
const LISTENER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 7000);
/// Calls and instances whose memory is kept out of reach. Older memory may be given to somebody else.
const PAST: usize = 64;
/// Bytes that instances may ask for. What is granted is not allocated.
const BUDGET: u64 = 1 << 30;

/// The room of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Entries between two flushes.
    pub(super) ring: usize,
    /// Entries of the whole call.
    pub(super) entries: usize,
    /// Bytes of a chunk of the arena, a multiple of 16.
    pub(super) arena: usize,
    /// Chunks of the call.
    pub(super) chunks: usize,
    /// Sessions that it may open.
    pub(super) sessions: usize,
    /// Datagrams that may leave later.
    pub(super) delays: u32,
}

/// Nobody else is served, and no policy forbids anything.
struct OneListener;

impl Gate for OneListener {
    fn refusal(&self, to: SocketAddr, _: Option<IpAddr>) -> Option<AddressRefusal> {
        (to == LISTENER).then_some(AddressRefusal::OwnListener)
    }
}

impl Room {
    /// What the daemon gives.
    pub(super) const PLAIN: Self =
        Self { ring: 2048, entries: 16_384, arena: 256 << 10, chunks: 16, sessions: 256, delays: 65_536 };

    /// Any, mostly little.
    pub(super) fn any(rng: &mut StdRng) -> Self {
        let one_of =
            |rng: &mut StdRng, of: &[usize]| of.get(rng.random_range(0..of.len())).copied().unwrap_or(1);
        Self {
            ring: one_of(rng, &[1, 1, 2, 3, 64, 2048]),
            entries: one_of(rng, &[1, 2, 5, 64, 16_384, 16_384]),
            arena: one_of(rng, &[16, 64, 1024, 65_536, 256 << 10]),
            chunks: one_of(rng, &[1, 2, 16]),
            sessions: one_of(rng, &[0, 1, 256]),
            delays: if rng.random_ratio(1, 4) { 0 } else { 65_536 },
        }
    }
}

/// What a plugin is called for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause<'a> {
    /// Datagrams, of the listener or of a session with its word.
    Batch(&'a [Datagram], Option<(u64, u64)>),
    /// A timer.
    Timer(u64),
    /// A thread of its own has woken it.
    Wake,
    /// Something about a session.
    Session(&'a SessionEvent),
}

/// What is left of a call for whoever made it.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// What leaves.
    pub(super) sent: Vec<Sent>,
    /// What the plugin has asked for about sessions.
    pub(super) requests: Vec<SessionRequest>,
}

/// The stage of one case.
#[derive(Debug)]
pub(super) struct Stage {
    plugin: Arc<Plugin>,
    options: Vec<(String, String)>,
    seed: u64,
    /// Chance of the case.
    pub(super) rng: StdRng,
    budget: Arc<HandlerBudget>,
    place: InstancePlace,
    /// Of one listener, whose instances come one after the other.
    cells: Cells,
    past: VecDeque<Exchange>,
    /// Most tickets at once.
    tickets: usize,
    wakes: Arc<WakeList>,
    /// Instances that were woken and not called yet.
    woken: BTreeSet<u64>,
    /// Instances so far.
    instances: u64,
    past_values: VecDeque<Values>,
    /// Calls so far.
    pub(super) calls: u64,
    /// What is odd and breaks no rule.
    pub(super) remarks: BTreeSet<String>,
    noted: [u64; Breach::ALL.len()],
}

impl Stage {
    /// A stage for this plugin and these options.
    pub(super) fn new(plugin: &Arc<Plugin>, options: &[(String, String)], seed: u64) -> Self {
        let listener = Arc::from("tested");
        Self {
            plugin: Arc::clone(plugin),
            options: options.to_vec(),
            seed,
            rng: StdRng::seed_from_u64(seed),
            budget: Arc::new(HandlerBudget::new(BUDGET)),
            place: InstancePlace::new(&listener, plugin.name(), Some(LISTENER)),
            cells: Cells::default(),
            past: VecDeque::new(),
            tickets: ExchangeLimits::default().tickets,
            wakes: WakeList::new(Box::new(|| true)),
            woken: BTreeSet::new(),
            instances: 0,
            past_values: VecDeque::new(),
            calls: 0,
            remarks: BTreeSet::new(),
            noted: breaches(),
        }
    }

    /// The plugin.
    pub(super) fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// The options that every instance has which says nothing else.
    pub(super) fn options(&self) -> &[(String, String)] {
        &self.options
    }

    /// Each option that was not given, with each value that it is tried with.
    pub(super) fn variations(&self) -> Vec<(String, String)> {
        let mut all = tried(self.plugin.options());
        all.retain(|(name, _)| !self.options.iter().any(|(given, _)| given == name));
        all
    }

    /// The seed of the case.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// The values of these options; the plugin is shown a copy that can be taken away.
    ///
    /// # Errors
    /// The host refuses them.
    pub(super) fn values(&self, options: &[(String, String)]) -> Result<Values, End> {
        let given: Vec<Given<'_>> =
            options.iter().map(|(name, value)| Given { name, value: GivenValue::Text(value) }).collect();
        let mut values = Values::check(self.plugin.options(), &given).map_err(|problems| {
            let own = problems.iter().find(|problem| problem.part == Part::Declaration);
            match own {
                Some(problem) => End::Broken { rule: rules::DEFAULT, what: problem.message.clone() },
                None => {
                    let words: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
                    End::Trouble(format!("the options are refused (--option): {}", words.join("; ")))
                }
            }
        })?;
        values.fence()?;
        Ok(values)
    }

    /// An instance with the options of the stage.
    pub(super) fn instance(&mut self) -> Result<Subject, End> {
        self.instance_with(self.seed)
    }

    /// An instance with another seed.
    pub(super) fn instance_with(&mut self, seed: u64) -> Result<Subject, End> {
        let values = self.values(&self.options)?;
        let made = self.create(values, seed)?;
        made.map_err(|refused| End::Trouble(format!("the plugin refuses its options (--option): {refused}")))
    }

    /// An instance with these values, or the words in which the plugin refuses them. The values are taken away afterwards.
    pub(super) fn create(&mut self, values: Values, seed: u64) -> Result<Result<Subject, Refused>, End> {
        let listener = Arc::from("tested");
        let now_ns = Subject::START_NS;
        let mut wanted = Facts::NONE;
        self.instances += 1;
        let made = {
            let spec = InstanceSpec {
                listener: &listener,
                addresses: &[LISTENER],
                values: &values,
                seed,
                now_ns,
                why: Why::Start,
                secret: [7; 32],
                budget: &self.budget,
                sessions: &[],
                place: Some(self.place),
                state: None,
                wakes: self.plugin.can_be_woken().then_some((&self.wakes, self.instances)),
            };
            let mut want = |facts: Facts| {
                wanted = wanted.or(facts);
                facts
            };
            Instance::create(&self.plugin, &spec, &mut self.cells, &mut want, &mut Vec::new())
        };
        self.calls += 1;
        values.close()?;
        if self.past_values.len() == PAST {
            self.past_values.pop_front();
        }
        self.past_values.push_back(values);
        // What the instance before may have left behind has the same place.
        self.place = InstancePlace::new(&listener, self.plugin.name(), Some(LISTENER));
        self.judge_breaches("create")?;
        let Err(error) = made.as_ref() else {
            return Ok(made
                .map(|instance| Subject::new(instance, self.instances))
                .map_err(|_| Refused::default()));
        };
        if error.message == "the plugin refused without a word" {
            return broken(rules::REFUSAL, "create returned NULL and did not fill in the error");
        }
        let options = self.plugin.options().len();
        if error.option.is_some_and(|at| at >= options) {
            return broken(
                rules::OPTION,
                format!("create blames an option that is none: {:?} of {options}", error.option),
            );
        }
        Ok(Err(Refused { message: error.message.clone(), option: error.option }))
    }

    /// Lets an instance go, and sees whether it keeps calling.
    pub(super) fn destroy(&mut self, subject: Subject) -> Result<(), End> {
        if let Some(last) = self.past.back_mut() {
            last.forget_tickets(subject.instance.owner());
        }
        drop(subject);
        self.judge_breaches("destroy")
    }

    /// One call, judged. What the plugin asks for is carried out by [`Stage::serve`](super::serving).
    pub(super) fn call(
        &mut self,
        subject: &mut Subject,
        room: &Room,
        cause: &Cause<'_>,
    ) -> Result<Left, End> {
        self.calls += 1;
        let datagrams = if let Cause::Batch(datagrams, _) = cause { datagrams } else { &[][..] };
        let rx: usize = datagrams.iter().map(pieces).sum();
        let mut exchange = Exchange::fenced(ExchangeLimits {
            slots: datagrams.len(),
            slot_len: datagrams.iter().map(|datagram| datagram.payload.len()).max().unwrap_or(0),
            rx,
            present: rx,
            tx: room.ring,
            tx_total: room.entries,
            arena: room.arena,
            arena_chunks: room.chunks,
            tickets: self.tickets,
            ..ExchangeLimits::default()
        })?;
        if let Some(before) = self.past.back_mut() {
            exchange.inherit_tickets(before);
        }
        exchange.clear(subject.now_ns, LISTENER);
        for datagram in datagrams {
            exchange.place(&datagram.payload, arrived(datagram))?;
        }
        if let Cause::Batch(_, Some((session, _))) = cause {
            exchange.came_by(*session);
        }
        exchange.present();
        if let Cause::Batch(_, Some((_, user))) = cause {
            exchange.tell_sessions(|_| (*user, CompactAddr::default()));
        }
        if self.plugin.has_sessions() {
            exchange.open_desk(room.sessions);
            (0..room.sessions).for_each(|_| exchange.stock_id(subject.fresh_id()));
        }
        let told = Call {
            now_ns: subject.now_ns,
            wall_offset_ns: 1_700_000_000_000_000_000,
            max_payload: 1472,
            delay_datagrams: room.delays,
            delay_bytes: u64::from(room.delays) * 1500,
        };
        let (name, outcome) = match cause {
            Cause::Batch(..) => ("on_batch", subject.instance.on_batch(&mut exchange, told, &OneListener)),
            Cause::Timer(token) => {
                ("on_timer", subject.instance.on_timer(&mut exchange, told, &OneListener, *token))
            }
            Cause::Wake => ("on_wake", subject.instance.on_wake(&mut exchange, told, &OneListener)),
            Cause::Session(event) => {
                ("on_session", subject.instance.on_session(&mut exchange, told, &OneListener, event))
            }
        };
        subject.note_timers();
        self.judge_breaches(name)?;
        judge_claims(name, &exchange)?;
        match outcome {
            Outcome::Served => {}
            Outcome::Failed => {
                self.remarks.insert(format!("{name} returned PP_ERROR{}", heard::last()));
            }
            Outcome::Unknown(code) => {
                return broken(rules::ANY_BYTES, format!("{name} returned {code}, a code that there is not"));
            }
            Outcome::Broken => return broken(rules::ANY_BYTES, fault(name, &exchange, datagrams)),
        }
        let mut requests = Vec::new();
        exchange.take_requests(&mut requests);
        let sent = sent(name, &exchange, subject)?;
        exchange.end_tickets();
        exchange.close()?;
        if self.past.len() == PAST {
            self.past.pop_front();
        }
        self.past.push_back(exchange);
        Ok(Left { sent, requests })
    }

    /// No tickets are to be had from now on.
    pub(super) fn without_tickets(mut self) -> Self {
        self.tickets = 0;
        self
    }

    /// Whether an instance was woken since it was asked last.
    pub(super) fn was_woken(&mut self, subject: &Subject) -> bool {
        let mut woken = Vec::new();
        self.wakes.take(usize::MAX, &mut woken);
        self.woken.extend(woken);
        self.woken.remove(&subject.number)
    }

    /// Finds calls of host functions at the wrong time.
    pub(super) fn judge_breaches(&mut self, during: &str) -> Result<(), End> {
        let now = breaches();
        let before = std::mem::replace(&mut self.noted, now);
        for ((breach, now), before) in Breach::ALL.into_iter().zip(now).zip(before) {
            if now == before {
                continue;
            }
            let (rule, what) = match breach {
                Breach::Metric => (rules::WHEN, "called `metric` outside of create"),
                Breach::Want => (rules::WHEN, "called `want` outside of create"),
                Breach::Flush => (rules::WHEN, "called `flush` outside of a call with a batch"),
                Breach::Session => {
                    (rules::WHEN, "called a function about sessions outside of a call with a batch")
                }
                Breach::Ticket => (rules::WHEN, "called `ticket` or `answer` outside of a call with a batch"),
                Breach::Group => (rules::WHEN, "called `group` outside of create and of a call with a batch"),
                Breach::Late => (rules::THREADS, "called the host for an instance that is gone"),
            };
            return broken(rule, format!("{what}; this was seen after {during}"));
        }
        Ok(())
    }
}

/// Why a plugin makes no instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused {
    message: String,
    /// Index of the option it blames.
    pub(super) option: Option<usize>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// How many datagrams a message is for the plugin.
fn pieces(datagram: &Datagram) -> usize {
    let train = datagram.segment > 0 && datagram.segment < datagram.payload.len();
    if train { datagram.payload.len().div_ceil(datagram.segment) } else { 1 }
}

fn arrived(datagram: &Datagram) -> Arrived {
    Arrived {
        offset: 0,
        len: 0,
        cap: 0,
        segment: datagram.segment,
        peer: datagram.peer,
        destination: None,
        reply_from: None,
        ifindex: 0,
        tos: 0,
        hop_limit: 64,
        session: 0,
        flags: ArrivalFlags {
            multicast: datagram.to_group,
            broadcast: false,
            truncated: false,
            has_tos: false,
        },
    }
}
