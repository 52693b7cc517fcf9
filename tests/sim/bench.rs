//! A reactor on a world, with listeners served by the real plugins.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use polyport::access::Access;
use polyport::config;
use polyport::exchange::ExchangeLimits;
use polyport::limits::Limits;
use polyport::metrics::Counters;
use polyport::plugin::{Given, GivenValue, Loader, Plugin, SearchPath, Values};
use polyport::reactor::{AddError, Flow, ListenerSpec, Needs, OnFault, Reactor, Token};
use polyport::reply::{ReplyPolicy, ReplyTtl};

use crate::faults::{Faults, Profile};
use crate::oracle::{Oracle, socket};
use crate::peers::{FAR, payload, peer};
use crate::world::{Datagram, SocketId, World};

/// Which plugin serves a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Echo,
    Lossy,
    Moody,
    /// The example: each client speaks to one upstream by a session.
    Relay,
    /// Serves several addresses by one instance.
    Census,
}

impl Kind {
    /// The plugin as it was built beside this test, loaded once.
    pub(crate) fn plugin(self) -> Arc<Plugin> {
        static PLUGINS: OnceLock<[Arc<Plugin>; 5]> = OnceLock::new();
        let plugins = PLUGINS.get_or_init(|| {
            let executable = std::env::current_exe().unwrap();
            let search = SearchPath::new(&[], None, &[], Some(&executable));
            let mut loader = Loader::new(search, |name| std::env::var_os(name));
            ["echo", "lossy", "moody", "example-relay", "census"].map(|name| loader.load(name).unwrap())
        });
        Arc::clone(&plugins[self as usize])
    }
}

/// What a scenario chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) limits: Limits,
    pub(crate) exchange: ExchangeLimits,
    pub(crate) profile: Profile,
    /// Level-triggered readiness.
    pub(crate) level: bool,
    /// Runs of equal datagrams are sent as one; where not, a script of errnos meets datagram after datagram.
    pub(crate) segments: bool,
    /// Sockets join trains from the beginning.
    pub(crate) trains: bool,
    /// Nobody tells the reactor that addresses change.
    pub(crate) untold: bool,
    /// So many of the first readings of the addresses are torn.
    pub(crate) torn_readings: u32,
}

impl Default for Setup {
    /// Nothing goes wrong unless it is scripted; the memory is small, so that a thousand runs are quick.
    fn default() -> Self {
        let exchange =
            ExchangeLimits { slots: 4, slot_len: 4096, stride: 4096 + 192, ..ExchangeLimits::default() };
        let (limits, profile) = (Limits::default(), Profile::default());
        Self {
            seed: 1,
            limits,
            exchange,
            profile,
            level: false,
            segments: false,
            trains: false,
            untold: false,
            torn_readings: 0,
        }
    }
}

/// A listener to be.
#[derive(Clone, Debug)]
pub(crate) struct Bind<'a> {
    pub(crate) kind: Kind,
    pub(crate) options: &'a [(&'a str, String)],
    pub(crate) local: SocketAddr,
    /// Datagrams its receive queue holds.
    pub(crate) capacity: usize,
    pub(crate) on_fault: OnFault,
    /// Who may talk to it; none is anybody.
    pub(crate) access: Option<Arc<Access>>,
    /// The default policy if there is none.
    pub(crate) reply: Option<ReplyPolicy>,
    /// Others may have sessions to it although it has sessions itself.
    pub(crate) chain: bool,
}

impl Default for Bind<'_> {
    fn default() -> Self {
        let local = SocketAddr::from((ASKED, 7));
        Self {
            kind: Kind::Echo,
            options: &[],
            local,
            capacity: 100_000,
            on_fault: OnFault::Restart,
            access: None,
            reply: None,
            chain: false,
        }
    }
}

/// Answers leave with the TTL of their request, less one.
pub(crate) fn decaying() -> ReplyPolicy {
    ReplyPolicy { ttl: ReplyTtl::Decay, ..ReplyPolicy::default() }
}

/// The address a scenario's listeners are bound to.
pub(crate) const ASKED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The policy of a listener in a closed net, whose handler may send as much as it likes.
pub(crate) fn without_budget() -> Option<ReplyPolicy> {
    Some(ReplyPolicy { budget: None, ..ReplyPolicy::default() })
}

/// A loop that is not done after so many turns never will be.
const MANY_TURNS: u32 = 200_000;
/// How long a run goes on after the last thing happened in the world: longer than any delay, and than the
/// waits before a handler is made again.
const AFTERMATH_NS: u64 = 5_000_000_000;

/// A reactor on a simulated world, with the oracle that watches both.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) reactor: Reactor<World>,
    pub(crate) kinds: Vec<Kind>,
    oracle: Oracle,
    next_id: u64,
}

impl Bench {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut world = World::new(Faults::new(setup.seed, setup.profile), setup.level);
        world.journal.visit = setup.limits.visit_datagrams;
        world.orders.trains = setup.trains;
        world.orders.untold = setup.untold;
        world.host.tears = setup.torn_readings;
        world.orders.segments = setup.segments;
        let reactor = Reactor::new(world, setup.limits, setup.exchange, setup.seed, [7; 16]);
        Self { reactor, kinds: Vec::new(), oracle: Oracle::default(), next_id: 0 }
    }

    /// Adds a listener; its token is that of slot `.0`.
    pub(crate) fn listen(&mut self, bind: &Bind<'_>) -> (SocketId, Token) {
        self.try_listen(bind).unwrap()
    }

    /// Adds a listener, or says why not.
    pub(crate) fn try_listen(&mut self, bind: &Bind<'_>) -> Result<(SocketId, Token), AddError> {
        self.try_listen_with(bind.kind.plugin(), bind)
    }

    /// Adds a listener that `plugin` serves, of which as much is expected as of the kind.
    pub(crate) fn listen_with(&mut self, plugin: Arc<Plugin>, bind: &Bind<'_>) -> (SocketId, Token) {
        self.try_listen_with(plugin, bind).unwrap()
    }

    fn try_listen_with(
        &mut self,
        plugin: Arc<Plugin>,
        bind: &Bind<'_>,
    ) -> Result<(SocketId, Token), AddError> {
        let spec = self.spec(plugin, bind);
        let socket = spec.socket;
        let token = self.reactor.add(spec)?;
        self.expect_of(socket, bind);
        Ok((socket, token))
    }

    /// Adds addresses that one handler serves together.
    pub(crate) fn listen_together(&mut self, binds: &[Bind<'_>]) -> (Vec<SocketId>, Vec<Token>) {
        let specs: Vec<_> = binds.iter().map(|bind| self.spec(bind.kind.plugin(), bind)).collect();
        let sockets: Vec<_> = specs.iter().map(|spec| spec.socket).collect();
        let tokens = self.reactor.add_together(specs).unwrap();
        sockets.iter().zip(binds).for_each(|(socket, bind)| self.expect_of(*socket, bind));
        (sockets, tokens)
    }

    pub(crate) fn spec(&mut self, plugin: Arc<Plugin>, bind: &Bind<'_>) -> ListenerSpec<SocketId> {
        let given: Vec<_> =
            bind.options.iter().map(|(name, text)| Given { name, value: GivenValue::Text(text) }).collect();
        let values = Rc::new(Values::check(plugin.options(), &given).unwrap());
        let wildcard = bind.local.ip().is_unspecified();
        let socket = self.world().bind(wildcard, bind.capacity);
        if bind.reply.as_ref().is_some_and(|reply| reply.ttl == ReplyTtl::Decay) {
            self.world().tell_hop_limit(socket);
        }
        ListenerSpec {
            name: Arc::from(format!("listener-{}", socket.0)),
            local: bind.local,
            socket,
            plugin,
            values,
            on_fault: bind.on_fault,
            access: bind.access.clone(),
            reply: Rc::new(bind.reply.clone().unwrap_or_default()),
            needs: Needs::default(),
            outgoing: Rc::default(),
            kernel_drops_seen: 0,
            sessions: None,
            chain: bind.chain,
            tag: 0,
        }
    }

    /// Tells the journal what is to be expected of a listener.
    pub(crate) fn expect_of(&mut self, socket: SocketId, bind: &Bind<'_>) {
        // Sockets of sessions are numbered with the others.
        self.kinds.resize(self.kinds.len().max(socket.0), bind.kind);
        self.kinds.push(bind.kind);
        self.world().journal.own.push(bind.local);
        let policy = bind.reply.clone().unwrap_or_default();
        self.world().journal.spent.listener(socket.0, policy.budget.as_ref());
        self.world().journal.policies.insert(socket.0, (bind.local, policy));
        let ledger = &mut self.world().journal.ledgers[socket.0];
        ledger.access.clone_from(&bind.access);
        ledger.ordered = bind.kind == Kind::Echo;
        ledger.most_answers = match bind.kind {
            Kind::Echo | Kind::Census => 1,
            Kind::Lossy | Kind::Relay => 2,
            Kind::Moody => 300,
        };
    }

    pub(crate) fn world(&mut self) -> &mut World {
        self.reactor.io_mut()
    }

    /// A fresh number for a datagram.
    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// `n` datagrams of 32 bytes arrive at once, `after_ns` from now, each from peer number `from`.
    pub(crate) fn burst(&mut self, to: SocketId, after_ns: u64, from: u16, n: usize) {
        (0..n).for_each(|_| self.command(to, after_ns, from, 0));
    }

    /// One datagram of 32 bytes from any address, at once.
    pub(crate) fn from(&mut self, to: SocketId, peer: SocketAddr) {
        let id = self.id();
        let (destination, payload) = (IpAddr::V4(ASKED), payload(id, 0, 32));
        let datagram = Datagram { id, peer, destination, hop_limit: FAR, payload };
        self.world().arrive(to, 0, datagram);
    }

    /// One datagram with a command for `moody`.
    pub(crate) fn command(&mut self, to: SocketId, after_ns: u64, from: u16, command: u8) {
        self.forge(to, after_ns, peer(false, from), IpAddr::V4(ASKED), command);
    }

    /// One datagram from an address, to an address, that the scenario chooses; `command` is for `moody`.
    pub(crate) fn forge(
        &mut self,
        to: SocketId,
        after_ns: u64,
        peer: SocketAddr,
        destination: IpAddr,
        command: u8,
    ) {
        let id = self.id();
        let payload = payload(id, command, 32);
        let datagram = Datagram { id, peer, destination, hop_limit: FAR, payload };
        self.world().arrive(to, after_ns, datagram);
    }

    /// One datagram of 32 bytes from peer number `from`, at once, with a TTL; `command` is for `moody`.
    pub(crate) fn ask_with(&mut self, to: SocketId, from: u16, hop_limit: u8, command: u8) {
        let id = self.id();
        let (peer, payload) = (peer(false, from), payload(id, command, 32));
        let datagram = Datagram { id, peer, destination: IpAddr::V4(ASKED), hop_limit, payload };
        self.world().arrive(to, 0, datagram);
    }

    /// One turn, checked.
    pub(crate) fn turn(&mut self) -> Result<Flow, String> {
        let flow = self.reactor.turn().map_err(|e| e.to_string())?;
        self.oracle.after_turn(&mut self.reactor)?;
        Ok(flow)
    }

    /// Turns until nothing moves any more, and checks that nothing was lost.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        // What earlier turns saw is not the end of this run.
        self.world().idle = false;
        let mut last_news = self.world().mono_ns();
        for _ in 0..MANY_TURNS {
            self.turn()?;
            let world = self.world();
            if !world.is_over() {
                last_news = world.mono_ns();
            }
            if world.idle || world.mono_ns() > last_news + AFTERMATH_NS {
                let world = self.world();
                world.idle = false;
                return Oracle::at_the_end(&mut self.reactor, &self.kinds);
            }
        }
        Err("the run does not end".to_owned())
    }

    /// Turns until nothing moves any more; a scenario fails at once if something was lost.
    #[track_caller]
    pub(crate) fn settle(&mut self) {
        let result = self.run();
        self.expect(result);
    }

    /// Turns until nothing will ever happen again, which [`Self::settle`] does not wait for: a timer that goes on
    /// fails this.
    #[track_caller]
    pub(crate) fn fall_silent(&mut self) {
        for _ in 0..MANY_TURNS {
            let result = self.turn().map(drop);
            self.expect(result);
            if std::mem::take(&mut self.world().idle) {
                return;
            }
        }
        self.expect(Err("the loop does not fall silent".to_owned()));
    }

    #[track_caller]
    fn expect(&mut self, result: Result<(), String>) {
        if let Err(error) = result {
            let tail = self.world().journal.tail();
            panic!("{error}\n{tail}");
        }
    }

    /// Turns until so many datagrams of a listener wait to be sent, and nothing else waits for anything.
    #[track_caller]
    pub(crate) fn settle_but_waiting(&mut self, of: SocketId, datagrams: u64) {
        for _ in 0..MANY_TURNS {
            let result = self.turn().map(drop);
            self.expect(result);
            if std::mem::take(&mut self.world().idle) {
                break;
            }
        }
        assert_eq!(self.waiting(of), datagrams, "datagrams wait");
    }

    /// Turns until so many datagrams of a listener wait to be sent, whatever else is to happen.
    #[track_caller]
    pub(crate) fn settle_until(&mut self, of: SocketId, datagrams: u64) {
        for _ in 0..MANY_TURNS {
            if self.waiting(of) == datagrams {
                return;
            }
            let result = self.turn().map(drop);
            self.expect(result);
        }
        assert_eq!(self.waiting(of), datagrams, "datagrams wait");
    }

    /// Datagrams of a listener that wait to be sent.
    pub(crate) fn waiting(&self, of: SocketId) -> u64 {
        self.reactor.reports().nth(of.0).unwrap().waiting
    }

    /// The counters of a listener.
    pub(crate) fn counters(&self, of: SocketId) -> Counters {
        *self.reactor.reports().find(|report| socket(report.name) == of.0).unwrap().counters
    }

    /// Numbers of the datagrams whose answers left a listener, in order.
    pub(crate) fn answered(&mut self, of: SocketId) -> Vec<u64> {
        let left = &self.world().journal.left;
        left.iter().filter(|(at, ..)| *at == of.0).filter_map(|(.., p)| crate::peers::number(p)).collect()
    }
}

#[test]
fn the_simulation_has_the_limits_of_production() {
    let simulated = Setup::default().limits;
    assert_eq!(simulated, Limits::default());
    assert_eq!(simulated, config::built_in().into_result().unwrap().limits);
}
