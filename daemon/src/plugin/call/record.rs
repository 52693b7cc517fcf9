//! What the host knows of one instance: the record that a plugin's `pp_ctx` points to.
//!
//! The host never frees a record, because a thread of the plugin may still log after `destroy`. It then finds a record
//! that is marked as gone. A listener whose handlers break has a few records, which they have in turn: one that breaks for months takes
//! no memory for it.

use std::cell::{Cell as StdCell, RefCell};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use polyport_abi::{COUNTER, GAUGE, pp_addr};
use polyport_terminal::counted;

use super::budget::{Account, HandlerBudget};
use super::wake::{WakeList, Waker};
use crate::exchange::{Exchange, Facts};

/// Most calls of `timer`, and most of `group`, that a handler may make in one call; further ones get an error.
const MAX_REQUESTS: usize = 1024;
/// Most log lines that an instance may write a second, those of debug and trace apart. A flood of datagrams must not
/// become a flood of lines.
pub(super) const LOG_LINES_PER_SECOND: u32 = 50;

/// A call of `pp_host::timer`. The reactor applies it after the handler has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerRequest {
    /// The handler's own number for the timer.
    pub token: u64,
    /// When the timer fires, monotonic ns; 0 cancels it.
    pub at_ns: u64,
    /// Period of the timer, ns; 0 fires once.
    pub every_ns: u64,
}

/// A call of `pp_host::group`. The reactor applies it after the handler has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRequest {
    /// It joins the group, or leaves it.
    pub joins: bool,
    /// The group.
    pub group: IpAddr,
    /// The only sender that is heard; none is any.
    pub source: Option<IpAddr>,
    /// Index of the interface; 0 is the system's choice.
    pub ifindex: u32,
}

/// A metric of a handler: one number that the plugin writes and the host reads.
#[derive(Debug)]
pub struct Cell {
    /// Name with a unit, in `snake_case`.
    pub name: String,
    /// One line of help.
    pub help: String,
    /// `COUNTER` or `GAUGE` of the plugin ABI.
    pub kind: u32,
    /// Never freed: a thread of the plugin may count when the listener is gone.
    value: &'static AtomicU64,
}

impl Cell {
    /// Whether it only grows.
    #[must_use]
    pub fn is_counter(&self) -> bool {
        self.kind == COUNTER
    }

    /// The current value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value.load(Relaxed)
    }
}

/// The metric cells of one listener, by name. They outlive the instances that count in them, so that a counter does not
/// start at zero again after a restart.
#[derive(Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "8 bytes instead of 24 in every listener, of which most have no cells"
)]
pub struct Cells(Option<Box<Vec<Cell>>>);

impl Cells {
    /// The cells in the order they were first asked for.
    pub fn iter(&self) -> impl Iterator<Item = &Cell> {
        self.0.iter().flat_map(|cells| cells.iter())
    }

    /// What the gauges say, in their order.
    #[must_use]
    pub fn gauges(&self) -> Vec<u64> {
        self.iter().filter(|cell| cell.kind == GAUGE).map(Cell::value).collect()
    }

    /// Sets the gauges to what [`gauges`](Self::gauges) has returned.
    pub fn set_gauges(&self, values: &[u64]) {
        let gauges = self.iter().filter(|cell| cell.kind == GAUGE);
        gauges.zip(values).for_each(|(cell, value)| cell.value.store(*value, Relaxed));
    }

    /// The value of the cell `name`, made if there is none. It stays for ever.
    pub(super) fn cell(&mut self, kind: u32, name: &str, help: &str) -> &'static AtomicU64 {
        if let Some(cell) = self.iter().find(|cell| cell.name == name) {
            return cell.value;
        }
        let value: &'static AtomicU64 = Box::leak(Box::default());
        self.0.get_or_insert_default().push(Cell {
            name: name.to_owned(),
            help: help.to_owned(),
            kind,
            value,
        });
        value
    }
}

/// What a plugin may ask for in `create` alone.
pub(super) struct Lent<'a> {
    /// The metric cells of the listener.
    pub(super) cells: &'a mut Cells,
    /// The memory that handlers may keep.
    pub(super) budget: &'a Arc<HandlerBudget>,
    /// Asks the socket for facts, see [`super::Instance::create`].
    pub(super) want: &'a mut dyn FnMut(Facts) -> Facts,
    /// The sessions of the instance before that it keeps, each with its new word.
    pub(super) kept: &'a mut Vec<(u64, u64)>,
}

impl fmt::Debug for Lent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent")
            .field("cells", &self.cells)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl Lent<'_> {
    /// Opens the account of an instance; the cells of the listener show it.
    pub(super) fn open_account(&mut self) -> Account {
        let held = self.cells.cell(GAUGE, "memory_held_bytes", "Bytes the handler keeps, as it declared");
        let refused =
            self.cells.cell(COUNTER, "memory_refused_total", "Reservations of memory that were refused");
        Account::open(self.budget, held, refused)
    }
}

/// Whether a listener may send to an address, as far as it is known while its handler is called.
pub trait Gate {
    /// What is against sending there, from an address if the handler names one; none if nothing is.
    fn refusal(&self, to: SocketAddr, from: Option<IpAddr>) -> Option<AddressRefusal>;
}

/// What is against an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRefusal {
    /// A listener of this host would get it.
    OwnListener,
    /// A group or a broadcast address, and the policy forbids it.
    Group,
    /// A service that answers anything.
    LoopPort,
    /// The port of the listener itself.
    SamePort,
    /// No address that its socket can send to.
    Destination,
}

/// What the functions of the host work with while a call runs.
pub(super) struct InCall<'a> {
    /// The exchange that is lent to the handler.
    pub(super) exchange: *mut Exchange,
    pub(super) gate: &'a dyn Gate,
}

/// What the host has lent to the function of the plugin that runs.
pub(super) enum Lending<'a> {
    /// To a call of the handler.
    Call(InCall<'a>),
    /// To `create`.
    Create(Lent<'a>),
}

/// What the host knows of one instance. The fields of every call come first, in one cache line. The rest is small,
/// because there may be tens of thousands of instances.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Record {
    /// What is lent while a call of the handler or `create` runs; NULL otherwise.
    pub(super) lending: StdCell<*mut Lending<'static>>,
    /// The time of the last call, monotonic ns, for log lines.
    pub(super) now_ns: AtomicU64,
    pub(super) limiter: LogLimiter,
    /// False after `destroy`. Late calls from a plugin's own threads are then ignored.
    pub(super) alive: AtomicBool,
    /// Somebody has woken the instance, and it was not called since.
    woken: AtomicBool,
    /// What only few instances have.
    more: OnceLock<Box<More>>,
    /// Name of the listener in the configuration.
    pub(super) listener: Arc<str>,
    /// Name of the plugin.
    pub(super) plugin: Arc<str>,
    /// The address it serves; none if it serves several.
    pub(super) local: pp_addr,
}

/// What only few instances have.
#[derive(Debug, Default)]
struct More {
    /// What the instance keeps, if it said in `create` that it keeps something.
    account: OnceLock<Account>,
    /// How it is woken, if it can be.
    waker: OnceLock<Waker>,
    /// Calls of `group` that are not applied yet.
    groups: RefCell<Vec<GroupRequest>>,
    /// Calls of `timer` that are not applied yet.
    timers: RefCell<Vec<TimerRequest>>,
}

impl Record {
    pub(super) fn new(listener: Arc<str>, plugin: Arc<str>, local: Option<SocketAddr>) -> Self {
        Self {
            listener,
            plugin,
            local: local.map_or_else(pp_addr::default, pp_addr::from),
            now_ns: AtomicU64::new(0),
            alive: AtomicBool::new(true),
            woken: AtomicBool::new(false),
            more: OnceLock::new(),
            lending: StdCell::new(ptr::null_mut()),
            limiter: LogLimiter::default(),
        }
    }

    /// An instance has the record from now on. A thread that another of the same listener has left behind, against the rules,
    /// speaks for the new one then.
    pub(super) fn begin(&self) {
        drop(self.take_groups());
        if let Some(more) = self.more.get() {
            more.timers.borrow_mut().clear();
        }
        // Nobody has woken this one.
        self.take_woken();
        self.alive.store(true, Relaxed);
    }

    /// The instance is gone: calls for it are ignored from now on, and what it kept is free. Lines that it has written in
    /// vain are told, since no other line will do it.
    pub(super) fn gone(&self) {
        self.alive.store(false, Relaxed);
        let suppressed = self.limiter.suppressed.swap(0, Relaxed);
        if suppressed > 0 {
            log::warn!("{self}: {} left out", counted(suppressed, "line", "lines"));
        }
        if let Some(account) = self.account() {
            account.close();
        }
    }

    /// The number that names the instance: that of no other one that lives. One of the same listener may have it later.
    pub(super) fn owner(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    fn more(&self) -> &More {
        self.more.get_or_init(Box::default)
    }

    /// What the instance keeps, if it has an account or had one.
    pub(super) fn account(&self) -> Option<&Account> {
        self.more.get()?.account.get()
    }

    /// Opens the account of the instance, or opens it again.
    pub(super) fn open_account(&self, open: impl FnOnce() -> Account) {
        self.more().account.get_or_init(open).reopen();
    }

    /// Lets other threads wake the instances that have this record, which are all of one listener: `list` gets its `number`.
    pub(super) fn can_be_woken(&self, list: &Arc<WakeList>, number: u64) {
        self.more().waker.get_or_init(|| Waker::new(list, number));
    }

    /// Wakes the instance. None if it cannot be woken, false if the loop cannot be told.
    pub(super) fn wake(&self) -> Option<bool> {
        let waker = self.more.get()?.waker.get()?;
        // Whoever comes second is seen by the call that the first has asked for, with all that it did before.
        if self.woken.swap(true, AcqRel) || waker.wake() {
            return Some(true);
        }
        self.woken.store(false, Relaxed);
        Some(false)
    }

    /// Whether somebody has woken the instance since the last call of this function.
    pub(super) fn take_woken(&self) -> bool {
        self.woken.swap(false, AcqRel)
    }

    /// Notes a call of `group`. Returns false when there are [`MAX_REQUESTS`] already.
    pub(super) fn push_group(&self, request: GroupRequest) -> bool {
        push(&self.more().groups, request)
    }

    /// The noted calls of `group`.
    pub(super) fn take_groups(&self) -> Vec<GroupRequest> {
        self.more.get().map(|more| more.groups.take()).unwrap_or_default()
    }

    /// Notes a timer call. Returns false when there are [`MAX_REQUESTS`] already.
    pub(super) fn push_timer(&self, request: TimerRequest) -> bool {
        push(&self.more().timers, request)
    }

    /// Moves the noted timer calls into `into`. Their memory stays for the next ones.
    pub(super) fn take_timers(&self, into: &mut Vec<TimerRequest>) {
        if let Some(more) = self.more.get() {
            into.append(&mut more.timers.borrow_mut());
        }
    }
}

/// Notes a call, if there is room.
fn push<T>(requests: &RefCell<Vec<T>>, request: T) -> bool {
    let mut requests = requests.borrow_mut();
    let fits = requests.len() < MAX_REQUESTS;
    if fits {
        requests.push(request);
    }
    fits
}

/// Lets [`LOG_LINES_PER_SECOND`] lines a second through, and counts the rest. Seconds are those of the reactor's clock.
#[derive(Debug, Default)]
pub(super) struct LogLimiter {
    window_s: AtomicU32,
    lines: AtomicU32,
    suppressed: AtomicU32,
}

impl LogLimiter {
    /// Decides about a line at a moment, monotonic ns. `Some(n)` lets it through, and says that `n` lines were left out before it; `None` leaves
    /// it out.
    pub(super) fn admit(&self, now_ns: u64) -> Option<u32> {
        let now = u32::try_from(now_ns / 1_000_000_000).unwrap_or(u32::MAX);
        if self.window_s.swap(now, Relaxed) != now {
            self.lines.store(0, Relaxed);
        }
        if self.lines.fetch_add(1, Relaxed) < LOG_LINES_PER_SECOND {
            Some(self.suppressed.swap(0, Relaxed))
        } else {
            self.suppressed.fetch_add(1, Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(
            size_of::<Record>() <= 104,
            "{} bytes: with malloc's own 8 it takes a block of 112",
            size_of::<Record>()
        );
    }

    #[test]
    fn timer_calls_are_bounded_and_taken_in_order() {
        let record = Record::new("l".into(), "p".into(), Some(SocketAddr::from(([127, 0, 0, 1], 1))));
        let request = |token| TimerRequest { token, at_ns: 1, every_ns: 0 };
        let fit = (0..2000).filter(|token| record.push_timer(request(*token))).count();
        let mut taken = Vec::new();
        record.take_timers(&mut taken);
        assert_eq!((fit, taken.len(), taken[7].token), (MAX_REQUESTS, MAX_REQUESTS, 7));
        record.take_timers(&mut taken);
        assert_eq!(taken.len(), MAX_REQUESTS);
    }

    #[test]
    fn a_cell_is_found_again_by_its_name() {
        let mut cells = Cells::default();
        let a = cells.cell(1, "a_total", "A");
        let b = cells.cell(1, "b_total", "B");
        assert!(!ptr::eq(a, b) && ptr::eq(cells.cell(1, "a_total", "A"), a));
        assert_eq!(cells.iter().count(), 2);
        b.store(7, Relaxed);
        assert_eq!(cells.iter().map(Cell::value).collect::<Vec<_>>(), [0, 7]);
    }

    #[test]
    fn lines_beyond_the_limit_are_counted_and_reported_in_the_next_second() {
        let limiter = LogLimiter::default();
        let in_second = |second: u64| limiter.admit(second * 1_000_000_000);
        let admitted = (0..LOG_LINES_PER_SECOND + 30).filter(|_| in_second(5).is_some()).count();
        assert_eq!(admitted, LOG_LINES_PER_SECOND as usize);
        assert_eq!(in_second(6), Some(30));
        assert_eq!(in_second(6), Some(0));
    }
}
