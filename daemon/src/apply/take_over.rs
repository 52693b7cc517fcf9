//! Taking over from a daemon that serves: its sockets are received before anything is bound, and read when everything else is ready.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use polyport_terminal::{Exit, counted};
use rustix::net::getsockname;

use super::hand_over::named;
use super::prepare::Prepared;
use super::refused::Refused;
use super::running::Running;
use super::sockets::{self, Surroundings};
use super::steps::{Address, Place, addresses};
use crate::broker::{Found, Maker, Ready, Wanted};
use crate::config::{Control as Where, Plan, Problem};
use crate::control::wire::{Descriptor, Kind, code};
use crate::control::{CallError, Lost, Receiving, existing_place};
use crate::reactor::{Membership, Setup, SocketFacts, SocketOptions, Token};

/// Where the sockets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// They are bound, but for those of a service manager.
    Afresh,
    /// The daemon that serves hands them over.
    TakingOver,
}

/// A take-over that is under way. Dropping it leaves the other daemon as it is.
#[derive(Debug)]
struct TakeOver {
    receiving: Option<Receiving>,
    kinds: Vec<Known>,
    /// The kind of each socket, by its descriptor.
    of: HashMap<RawFd, usize>,
    /// Which socket of a kind serves which place, once each.
    pairs: BTreeSet<(usize, u64)>,
}

/// A take-over, if there is one, with what it has received and nobody has asked for yet.
#[derive(Debug, Default)]
pub(super) struct Taking {
    take_over: Option<TakeOver>,
    control: Option<(OwnedFd, PathBuf)>,
    metrics: Option<OwnedFd>,
    maker: Option<Maker>,
}

impl Taking {
    /// Receives everything from the daemon whose control socket the plan names, or that of this user. Nothing of it is changed.
    ///
    /// # Errors
    /// Nobody serves there, it does not hand over, or sockets cannot be set up as this plan has it.
    pub(super) fn begin(prepared: &Prepared, start: Start) -> Result<Self, Refused> {
        if start == Start::Afresh { Ok(Self::default()) } else { TakeOver::begin(&prepared.plan) }
    }

    /// The control socket, and where it is.
    pub(super) fn control(&mut self) -> Option<(OwnedFd, PathBuf)> {
        self.control.take()
    }

    /// The socket of metrics.
    pub(super) fn metrics(&mut self) -> Option<OwnedFd> {
        self.metrics.take()
    }

    /// Who makes the sockets of the plan: who has them.
    pub(super) fn maker(&mut self) -> Option<Maker> {
        self.maker.take()
    }

    /// It does not come to it; the other daemon is told why.
    pub(super) fn give_up(&mut self, refused: &Refused) {
        if let Some(receiving) = self.take_over.take().and_then(|take_over| take_over.receiving) {
            let first = refused.problems.list().first();
            receiving.give_up(first.map_or("it is refused", |problem| &problem.title));
        }
    }

    /// Everything is ready: the other daemon reads nothing more, and `running` does from its next turn on. False: there is no other
    /// daemon.
    ///
    /// # Errors
    /// The other daemon goes on as before, and nothing may be read here.
    pub(super) fn commit(self, running: &mut Running) -> Result<bool, Refused> {
        let Some(take_over) = self.take_over else { return Ok(false) };
        take_over.commit(running).map(|()| true)
    }
}

/// How the other daemon has set up some of its sockets.
#[derive(Debug)]
struct Known {
    listener: String,
    /// None: it has options that this one does not know.
    options: Option<SocketOptions>,
    groups: Vec<Membership>,
    setup: Setup,
}

impl Known {
    fn new(kind: Kind) -> Self {
        let wants = |name: &str| kind.wanted.iter().any(|wanted| wanted == name);
        let wanted = SocketFacts {
            tos: wants("tos"),
            hop_limit: wants("hop_limit"),
            local: wants("local"),
            time: wants("time"),
        };
        let groups = kind.groups.into_iter();
        let groups = groups.map(|joined| Membership {
            group: joined.group,
            source: joined.source,
            ifindex: joined.ifindex,
        });
        let options: Option<Wanted> = serde_json::from_value(kind.options).ok();
        Self {
            // Until its last word the other daemon may have the kernel join datagrams, which stay joined in the queue.
            setup: Setup { wanted, surprises: true, apart: kind.apart },
            listener: kind.listener,
            options: options.map(|options| options.options()),
            groups: groups.collect(),
        }
    }

    /// Whether nothing has to be set for these options.
    fn suits(&self, wanted: &SocketOptions) -> bool {
        let Some(has) = &self.options else { return false };
        let recv_buffer_at_least = wanted.recv_buffer_at_least;
        has.recv_buffer_at_least >= recv_buffer_at_least
            && SocketOptions { recv_buffer_at_least, ..has.clone() } == *wanted
    }
}

/// A socket that is this process's alone now.
struct Claim {
    token: Token,
    /// It is to be set up in another way than as this kind.
    change: Option<(Address, usize, SocketOptions)>,
}

/// A socket that has come.
struct Came {
    kind: usize,
    /// As the configuration of the other daemon has it.
    asked: SocketAddr,
    /// Where it is: the system may have chosen the port, and the new plan may name it.
    local: Option<SocketAddr>,
    number: RawFd,
    found: Found,
}

/// Which places a socket may have.
#[derive(Clone, Copy)]
enum For {
    /// Those of its listener.
    Its,
    /// Any that is left, when all sockets of that name are there.
    Any,
}

/// The addresses of a plan that wait for their sockets.
struct Places {
    asking: HashMap<SocketAddr, Vec<Place>>,
    ready: Ready,
}

impl Places {
    fn of(plan: &Plan) -> Self {
        let (mut asking, mut ready) = (HashMap::<SocketAddr, Vec<Place>>::new(), Ready::new());
        for address in addresses(plan) {
            asking.entry(address.asked).or_default().push(address.place);
            ready.entry(address.asked).or_default().push_back(None);
        }
        Self { asking, ready }
    }

    /// The place at `asked` that a socket of a listener serves from now on.
    ///
    /// # Errors
    /// There is none that is free: the socket is given back.
    fn put(
        &mut self,
        plan: &Plan,
        (listener, whose): (&str, For),
        asked: SocketAddr,
        found: Found,
    ) -> Result<Place, Found> {
        let (Some(places), Some(slots)) = (self.asking.get(&asked), self.ready.get_mut(&asked)) else {
            return Err(found);
        };
        let free = |number: &usize| slots.get(*number).is_some_and(Option::is_none);
        let is_meant = |number: &usize| {
            let place = places.get(*number).and_then(|place| place.of(plan));
            place.is_some_and(|(listen, _)| listen.name == listener)
        };
        let mut all = (0..places.len()).filter(free);
        let number = match whose {
            For::Its => all.find(is_meant),
            For::Any => all.next(),
        };
        let Some(number) = number else { return Err(found) };
        match (places.get(number), slots.get_mut(number)) {
            (Some(place), Some(slot)) => {
                *slot = Some(found);
                Ok(*place)
            }
            _ => Err(found),
        }
    }
}

impl TakeOver {
    fn begin(plan: &Plan) -> Result<Taking, Refused> {
        let path = place(plan)?;
        let mut receiving = Receiving::begin(&path).map_err(|error| not_begun(plan, &error))?;
        log::info!(
            "taking over from {} by {}: {}",
            named(receiving.pid()),
            path.display(),
            counted(receiving.sockets(), "address", "addresses")
        );
        sockets::raise_descriptor_limit(plan, plan.sockets().max(receiving.sockets()))?;
        let mut places = Places::of(plan);
        let (mut control, mut metrics) = (None, None);
        let (mut arrived, mut others) = (0, Vec::new());
        let mut take_over =
            Self { receiving: None, kinds: Vec::new(), of: HashMap::new(), pairs: BTreeSet::new() };
        loop {
            let (portion, descriptors) =
                receiving.portion(arrived).map_err(|lost| take_over.refused(plan, &lost))?;
            arrived += descriptors.len();
            let first = take_over.kinds.len();
            take_over.kinds.extend(portion.kinds.into_iter().map(Known::new));
            for (what, fd) in portion.descriptors.into_iter().zip(descriptors) {
                match what {
                    Descriptor::Control => control = Some(fd),
                    Descriptor::Metrics => metrics = Some(fd),
                    Descriptor::Socket { kind, asked } => {
                        // What the other daemon writes counts for nothing until it was looked at.
                        let came = take_over.came(first.saturating_add(kind), asked, fd);
                        others
                            .extend(came.and_then(|came| take_over.place(plan, &mut places, For::Its, came)));
                    }
                }
            }
            if portion.last {
                break;
            }
        }
        let left =
            others.into_iter().filter_map(|came| take_over.place(plan, &mut places, For::Any, came)).count();
        if left > 0 {
            log::info!("{} served no more", counted(left, "address is", "addresses are"));
        }
        let Some(control) = control else {
            return Err(take_over.refused(plan, &Lost::Refused("its control socket did not come".to_owned())));
        };
        take_over.receiving = Some(receiving);
        let mut taking = Taking {
            take_over: Some(take_over),
            control: Some((control, path)),
            metrics,
            maker: Some(Maker::Ready(places.ready)),
        };
        let rehearsed = taking.take_over.as_ref().map_or(Ok(()), |take_over| take_over.rehearse(plan));
        rehearsed.inspect_err(|refused| taking.give_up(refused))?;
        Ok(taking)
    }

    /// A socket with what is known of it; none if nothing is.
    fn came(&self, kind: usize, asked: SocketAddr, fd: OwnedFd) -> Option<Came> {
        let known = self.kinds.get(kind)?;
        let local = getsockname(&fd).ok().and_then(|local| SocketAddr::try_from(local).ok());
        let local = local.filter(|local| *local != asked);
        let number = fd.as_raw_fd();
        let options = known.options.clone().unwrap_or_default();
        let found = Found::Shared(fd, Box::new(options), known.setup);
        Some(Came { kind, asked, local, number, found })
    }

    /// Finds out what a socket serves from now on, and returns it if that is nothing.
    fn place(&mut self, plan: &Plan, places: &mut Places, whose: For, came: Came) -> Option<Came> {
        let Came { kind, asked, local, number, mut found } = came;
        let listener = self.kinds.get(kind).map_or("", |known| known.listener.as_str());
        // Of another listener, who names the port means this socket; who leaves it to the system means any.
        let order = match whose {
            For::Its => [Some(asked), local],
            For::Any => [local, Some(asked)],
        };
        for address in order.into_iter().flatten() {
            match places.put(plan, (listener, whose), address, found) {
                Ok(place) => {
                    self.of.insert(number, kind);
                    self.pairs.insert((kind, place.tag()));
                    return None;
                }
                Err(back) => found = back,
            }
        }
        Some(Came { kind, asked, local, number, found })
    }

    /// Sees whether sockets that are to be set up in another way can be.
    fn rehearse(&self, plan: &Plan) -> Result<(), Refused> {
        let around = Surroundings::of(plan);
        let mut problems = Vec::new();
        for (kind, tag) in &self.pairs {
            let (place, Some(known)) = (Place::of_tag(*tag), self.kinds.get(*kind)) else { continue };
            let Some((listen, bind)) = place.of(plan) else { continue };
            let Some(asked) = bind.addresses().next() else { continue };
            let options = sockets::options(listen, bind, asked, &around);
            let heard = super::groups::heard(listen, bind);
            let hears_others = heard.iter().any(|group| !known.groups.contains(group));
            if (!known.suits(&options) || hears_others)
                && let Err(found) = sockets::rehearse(plan, Address { place, asked }, &options)
            {
                problems.extend(found);
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Refused::at(plan, problems)) }
    }

    fn commit(mut self, running: &mut Running) -> Result<(), Refused> {
        let plan = std::sync::Arc::clone(&running.prepared.plan);
        let around = Surroundings::of(&plan);
        // What takes time comes before nobody reads.
        let mut claims = Vec::new();
        for (token, address) in running.served() {
            let kind =
                running.reactor.socket(token).and_then(|socket| self.of.get(&socket.as_fd().as_raw_fd()));
            let known = kind.and_then(|kind| self.kinds.get(*kind));
            let (Some(kind), Some(known), Some((listen, bind))) = (kind, known, address.place.of(&plan))
            else {
                continue;
            };
            let options = sockets::options(listen, bind, address.asked, &around);
            let is_alike = known.suits(&options) && known.groups == super::groups::heard(listen, bind);
            claims.push(Claim { token, change: (!is_alike).then_some((address, *kind, options)) });
        }
        let Some(receiving) = self.receiving.take() else {
            return Err(Refused::by_system(&plan, "the take-over was given up"));
        };
        let pid = receiving.pid();
        if running.interrupt.is_set() {
            receiving.give_up("it was asked to end before it was ready");
            let problem = Problem::new("take-over", "asked to end before everything was ready");
            return Err(Refused { exit: Exit::Ok, ..Refused::at(&plan, [problem]) });
        }
        let ended = receiving.commit().map_err(|lost| self.refused(&plan, &lost))?;
        for Claim { token, change } in claims {
            let Some(socket) = running.reactor.socket_mut(token) else { continue };
            let done = socket.claim(change.as_ref().map(|(_, _, options)| options));
            let Some((address, kind, _)) = change else { continue };
            if let Err(error) = done {
                log::error!("{}: its socket keeps settings of the other daemon: {error}", address.asked);
            }
            let joined = self.kinds.get(kind).map(|known| known.groups.as_slice()).unwrap_or_default();
            let Some((listen, bind)) = address.place.of(&plan) else { continue };
            for problem in super::groups::join(listen, bind, socket, joined) {
                log::error!("{}", problem.title);
            }
            sockets::leave_others(socket, joined, (&plan, address.place));
        }
        running.reactor.claimed();
        if ended {
            log::warn!("{} has ended before it had handed over; its sockets are served here", named(pid));
        } else {
            log::info!("taken over from {}", named(pid));
        }
        Ok(())
    }

    fn refused(&self, plan: &Plan, lost: &Lost) -> Refused {
        let problem = Problem::new("take-over", format!("the daemon that serves does not hand over: {lost}"));
        let (exit, help) = match lost {
            Lost::Refused(_) => (Exit::Protocol, "it goes on as before"),
            Lost::Ended => (Exit::NoReply, "its sockets are gone; start without --take-over"),
            Lost::Broken(_) => (Exit::Protocol, "it goes on as before, unless it has ended itself"),
        };
        Refused { exit, ..Refused::at(plan, [problem.help(help)]) }
    }
}

/// Where the control socket of the daemon is that is taken over.
fn place(plan: &Plan) -> Result<PathBuf, Refused> {
    let nowhere = |title: &str, exit| {
        let problem = Problem::new("take-over", title.to_owned());
        let help = "--control PATH names the socket of the daemon that serves; where none does, start without --take-over";
        Refused { exit, ..Refused::at(plan, [problem.help(help)]) }
    };
    match &plan.control {
        Some(Where { path: Some(path), .. }) => Ok(path.clone()),
        Some(Where { path: None, .. }) => Err(nowhere(
            "--take-over asks the daemon that serves by its control socket, which is `off`",
            Exit::Usage,
        )),
        None => existing_place(|name| std::env::var_os(name).map(PathBuf::from)).map_err(|places| {
            let first = places.first().map(PathBuf::as_path).unwrap_or_else(|| Path::new(""));
            nowhere(
                &format!("nobody serves who could be taken over: there is no {}", first.display()),
                Exit::NoReply,
            )
        }),
    }
}

fn not_begun(plan: &Plan, error: &CallError) -> Refused {
    let exit = match error {
        CallError::Nobody(..) | CallError::Broken(..) => Exit::NoReply,
        CallError::Denied(_) => Exit::Permission,
        CallError::Refused(error) if error.code == code::BUSY => Exit::Busy,
        CallError::Refused(_) | CallError::Strange(..) => Exit::Protocol,
    };
    let problem = Problem::new("take-over", format!("nobody is taken over: {error}"));
    let problem = match error {
        CallError::Nobody(..) => problem.help("where nobody serves, start without --take-over"),
        CallError::Denied(_) | CallError::Broken(..) | CallError::Strange(..) | CallError::Refused(_) => {
            problem
        }
    };
    Refused { exit, ..Refused::at(plan, [problem]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It has the kernel join datagrams after it has said how its sockets are set up.
    #[test]
    fn what_the_other_daemon_says_of_trains_may_be_over() {
        for options in [serde_json::json!({}), serde_json::json!(null)] {
            let kind = Kind {
                listener: "echo".to_owned(),
                options,
                groups: Vec::new(),
                wanted: vec!["tos".to_owned()],
                apart: true,
            };
            let known = Known::new(kind);
            assert!(known.setup.surprises && known.setup.apart && known.setup.wanted.tos);
            assert!(!known.setup.wanted.time);
        }
    }
}
