//! The result: what the daemon was asked to do, checked.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::origin::Origin;
use super::problem::{Problems, Source, Span, hidden};
use crate::access::Access;
use crate::limits::Limits;
use crate::reply::ReplyPolicy;

/// Listeners of a plan, ports of ranges counted one by one: each costs a file descriptor, and this is
/// every port of one address.
pub const MAX_LISTENERS: usize = 65_536;

/// A checked configuration. What needs the plugins or the system (option tables, free ports) is
/// checked later; [`Plan::problems`] lets those stages point into the same texts.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In the order of the text.
    pub listen: Vec<Listen>,
    /// Where plugins given by name are looked for, in this order, before the bundled ones.
    /// Relative ones were joined to the directory of the configuration file.
    pub plugin_dirs: Vec<PathBuf>,
    /// Makes the randomness of every handler repeatable.
    pub seed: Option<u64>,
    /// Where it was read from.
    pub origin: Origin,
    /// How long the end waits for what is still to be sent; zero ends at once.
    pub grace: Duration,
    /// Bounds of the reactor's work and memory.
    pub limits: Limits,
    /// What the process gives up before it serves.
    pub sandbox: Sandbox,
    /// The control socket; none is where one of this user is by default.
    pub control: Option<Control>,
    /// Where metrics are told by HTTP; none is nowhere.
    pub metrics: Option<Metrics>,
    /// The texts as they are shown.
    pub(super) sources: Arc<[Source]>,
    /// The texts as they are.
    pub(super) texts: Arc<[Source]>,
    /// Places that are black in `sources`.
    pub(super) veiled: Vec<Span>,
    /// Of each text that is a file its mode, and none for any other and those behind.
    pub(super) modes: Vec<Option<u32>>,
    /// The directories that patterns of `include` look in.
    pub(super) searched: Vec<PathBuf>,
    /// What arguments of the command line take back of those before them, each in words.
    pub(super) overridden: Vec<String>,
    /// Keys of the top that the command line says, whatever a text has.
    pub(super) fixed: Vec<&'static str>,
}

impl Plan {
    /// The texts this plan was read from; spans point into them.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// An empty list for later stages, over the texts of this plan.
    #[must_use]
    pub fn problems(&self) -> Problems {
        Problems::new(Arc::clone(&self.sources))
    }

    /// Shows these values of options again, in `problems` and all that come later: their plugin says that they are no
    /// secrets. The value of any other option stays black: a problem is shown with its whole line, and a secret beside it
    /// is for nobody's journal.
    pub fn reveal(&mut self, values: &[Span], problems: &mut Problems) {
        let mut shown: Vec<&Span> = values.iter().collect();
        shown.sort_unstable_by_key(|span| span.order());
        // The values lie side by side: only the last that begins before a place can hold it.
        let is_shown = |place: &Span| {
            let before = shown.partition_point(|value| value.order() <= place.order());
            shown[..before]
                .last()
                .is_some_and(|value| value.range.end >= place.range.end && value.source == place.source)
        };
        self.veiled.retain(|place| !is_shown(place));
        self.sources = hidden(&self.texts, &self.veiled);
        problems.sources = Arc::clone(&self.sources);
    }

    /// Whether other users than its owner may read, or write, the file that is the source with this number: its mode,
    /// `inode(7)`. None if it is no file.
    #[must_use]
    pub fn file_mode(&self, source: usize) -> Option<u32> {
        self.modes.get(source).copied().flatten()
    }

    /// The files that the plan was read from, as they were named: first the one that includes the others.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.sources.iter().zip(&self.modes).filter(|(_, mode)| mode.is_some());
        files.map(|(source, _)| Path::new(&source.origin))
    }

    /// The directories in which more files may be found when it is read again.
    #[must_use]
    pub fn searched(&self) -> &[PathBuf] {
        &self.searched
    }

    /// How many sockets the plan asks for.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.listen.iter().flat_map(|listen| &listen.bind).map(Bind::count).sum()
    }
}

/// One `[[listen]]` table or `--listen` argument: a plugin on one address or more.
#[derive(Debug, Clone, PartialEq)]
pub struct Listen {
    /// Unique in the plan; given, or made from the name of the plugin.
    pub name: String,
    /// At least one.
    pub bind: Vec<Bind>,
    /// Which plugin serves it.
    pub plugin: PluginRef,
    /// For the plugin, not yet compared with its option table; in the order of the text.
    pub options: Vec<RawOption>,
    /// Groups to join; each by every address of `bind` that [`Join::is_heard_at`] says.
    pub join: Vec<Join>,
    /// How the sockets are set up.
    pub socket: SocketSettings,
    /// What happens to datagrams while a handler is down.
    pub on_fault: OnFault,
    /// Most sessions that the handler of one address may have; `None` is what the limits allow.
    pub sessions: Option<usize>,
    /// Other listeners of this daemon may have sessions to it although its handler has sessions itself.
    pub chain: bool,
    /// Who may talk to it; `None` is anybody.
    pub access: Option<Arc<Access>>,
    /// What it may answer, and to whom.
    pub reply: ReplyPolicy,
    /// A command that shows what the listener does, with `{address}` for where it is; `None` asks for one that
    /// sends plain text, which suits most handlers but none of a binary protocol.
    pub example: Option<String>,
    /// Keys of the reply policy that were given and change nothing, each in words with the reason.
    pub idle: Vec<String>,
    /// What it was read as, if something was set since.
    pub as_read: Option<Arc<AsRead>>,
    /// The header of the table, or the whole argument.
    pub span: Span,
}

/// What can be set of a listener, as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct AsRead {
    /// The options of its plugin.
    pub options: Vec<RawOption>,
    /// Its settings that differ from their defaults, by key.
    pub settings: BTreeMap<String, String>,
}

/// A bind address, or a range of ports on one IP address; a range is not expanded before its sockets are
/// opened, so that thousands of ports cost as much as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The address without its port.
    pub ip: IpAddr,
    /// Interface of a link-local address (RFC 4007), else 0.
    pub scope_id: u32,
    /// The name of that interface, if it was given by its name: another one may have it later. Such an interface need not be there
    /// where the listener waits; then `scope_id` is 0.
    pub zone: Option<String>,
    /// First port. 0: the system chooses one, and `last` is 0 as well.
    pub first: u16,
    /// Last port, included; never below `first`.
    pub last: u16,
    /// The address or range as it was written.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

impl Bind {
    /// Every address of the range, ports ascending.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = SocketAddr> + use<> {
        let (ip, scope_id) = (self.ip, self.scope_id);
        (self.first..=self.last).map(move |port| address(ip, port, scope_id))
    }

    /// The address that a socket of this range was asked for, which is now bound to `local`: where the system chose a
    /// port it was 0.
    #[must_use]
    pub fn asked_for(&self, local: SocketAddr) -> SocketAddr {
        let port = if self.first == 0 { 0 } else { local.port() };
        address(local.ip(), port, self.scope_id)
    }

    /// How many addresses there are, from 1 to 65,535 (port 0 is not part of a range).
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.last - self.first) + 1
    }
}

fn address(ip: IpAddr, port: u16, scope_id: u32) -> SocketAddr {
    match ip {
        IpAddr::V4(ip) => SocketAddrV4::new(ip, port).into(),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, scope_id).into(),
    }
}

/// A multicast group to join.
///
/// A source is taken with any group: `IGMPv3` and `MLDv2` filter by source in all of them (RFC 3376, RFC 3810),
/// and outside 232/8 and `ff3x::/32` (RFC 4607) it is only the sender who may not expect it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The group.
    pub group: IpAddr,
    /// The only sender to hear, of the group's family; `None` for any.
    pub source: Option<IpAddr>,
    /// Interface index; 0 leaves the choice to the routing table.
    pub ifindex: u32,
    /// The name of that interface, if it was given by its name: another one may have it later.
    pub interface: Option<String>,
    /// On every interface, also those that appear later.
    pub everywhere: bool,
    /// Nobody wrote it: a socket is bound to the group, and hears nothing unless it joins.
    pub implied: bool,
    /// The group and what belongs to it as it was written.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

impl Join {
    /// Whether a socket bound to `bind` receives what is sent to the group: only the wildcard of its family
    /// and the group itself do, as the kernel compares the destination with the bound address (`ip(7)`). An implied one is for
    /// the group itself.
    #[must_use]
    pub fn is_heard_at(&self, bind: &Bind) -> bool {
        let wildcard = bind.ip.is_unspecified() && bind.ip.is_ipv4() == self.group.is_ipv4();
        bind.ip == self.group || wildcard && !self.implied
    }
}

/// The plugin of a listener, as far as the text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRef {
    /// The name or path as it was written.
    pub text: String,
    /// Where it was written.
    pub span: Span,
    /// The library, when the text is a path; a relative one was joined to the directory of the
    /// configuration file. `None`: the text is a name to look for in the plugin directories.
    pub path: Option<PathBuf>,
}

/// One option for a plugin, or a table of them.
#[derive(Debug, Clone, PartialEq)]
pub struct RawOption {
    /// Its key.
    pub name: String,
    /// Where the key is.
    pub name_span: Span,
    /// Its value.
    pub value: RawValue,
    /// Where the value is.
    pub value_span: Span,
    /// Where each element of it is, if it is an array.
    pub element_spans: Vec<Span>,
}

/// The value of a plugin option before the plugin's option table gives it a type. Values from
/// `--listen` are always `Text`.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are those of TOML's types")]
pub enum RawValue {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A table with its entries in the order of the text: options whose names begin with its name, or the value of one whose
    /// type is JSON. Which of them only the plugin says.
    Table(Vec<RawOption>),
    /// An array, a table or a date, for options whose type is JSON.
    Other(toml::Value),
}

/// Settings of a socket; `None` leaves it to the system, `false` is its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketSettings {
    /// Bytes for `SO_RCVBUF` (socket(7)); the kernel doubles it for its bookkeeping.
    pub recv_buffer: Option<usize>,
    /// Bytes for `SO_SNDBUF` (socket(7)); the kernel doubles it for its bookkeeping.
    pub send_buffer: Option<usize>,
    /// `SO_REUSEADDR` (socket(7)): others that ask for it too may bind the same address and port. Each of them
    /// gets what is sent to a group or a broadcast address; unicast goes to the last one alone.
    pub share: bool,
    /// `SO_BROADCAST` (socket(7)): may send to a broadcast address.
    pub broadcast: bool,
    /// `IP_FREEBIND` (ip(7)): the address may be one that this host does not have yet, or not any more. Linux only.
    pub freebind: bool,
    /// The address, its interface, `device` and the interfaces of `join` may come later: it is told when they are not there, and
    /// when they are. Linux only.
    pub wait: bool,
    /// `SO_BINDTODEVICE` (socket(7)): the name of the one interface, or VRF, by which it hears and sends. Linux only.
    pub device: Option<String>,
    /// `IP_TOS` (ip(7)) or `IPV6_TCLASS` (ipv6(7)) of what the handler sends without saying another: DSCP and ECN.
    pub tos: Option<u8>,
    /// `IP_TTL` (ip(7)) or `IPV6_UNICAST_HOPS` (ipv6(7)), and those for groups: routers that what it sends may meet.
    pub ttl: Option<NonZeroU8>,
}

/// What happens when the handler of a listener breaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFault {
    /// It is made again, however often. Until then datagrams are read and dropped, and counted as such; the other listeners go
    /// on.
    #[default]
    Restart,
    /// It is not made again. Datagrams are read and dropped; the other listeners go on.
    Off,
    /// The daemon ends with an error, for a supervisor to start it again.
    Exit,
}

/// Where the control socket is.
#[derive(Debug, Clone)]
pub struct Control {
    /// The path; a relative one was joined to the directory of the configuration file. `None`: there is none.
    pub path: Option<PathBuf>,
    /// Where it was written; `None` on the command line.
    pub span: Option<Span>,
}

/// What is meant; where it was written makes no difference.
impl PartialEq for Control {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

/// Where metrics are told by HTTP.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The address; port 0 is any. `None`: nowhere.
    pub address: Option<SocketAddr>,
    /// Where it was written; `None` on the command line.
    pub span: Option<Span>,
}

/// What is meant; where it was written makes no difference.
impl PartialEq for Metrics {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

/// What the process gives up. Names and paths are not compared with the system yet.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// Who serves; `None` is who started it.
    pub user: Option<Named>,
    /// The group of who serves; `None` is that of `user`.
    pub group: Option<Named>,
    /// Whether capabilities are given up (capabilities(7)).
    pub capabilities: Switch,
    /// Whether system calls that nothing needs are refused (seccomp(2)).
    pub seccomp: Switch,
    /// Whether files that nothing needs are out of reach (landlock(7)).
    pub landlock: Switch,
    /// Plugins may open internet sockets of their own, TCP and UDP.
    pub network: bool,
    /// A process beside this one keeps the right to make sockets, for reloads.
    pub broker: bool,
    /// Files and directories that plugins may read.
    pub read: Vec<Granted>,
    /// Files and directories that plugins may write.
    pub write: Vec<Granted>,
}

/// A layer of the sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Switch {
    /// Nothing is given up.
    Off,
    /// What the system makes possible is given up, and what it does not is said.
    #[default]
    IfPossible,
    /// The daemon does not start without it.
    On,
}

/// A user or a group, by name or number.
#[derive(Debug, Clone)]
pub struct Named {
    /// As it was written.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// A path that plugins may use.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Relative ones were joined to the directory of the configuration file.
    pub path: PathBuf,
    /// Where it was written.
    pub span: Span,
}

/// What is meant; where it was written makes no difference.
impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What is meant; where it was written makes no difference.
impl PartialEq for Granted {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Plan {
    /// What arguments of the command line take back of those before them, each in words.
    #[must_use]
    pub fn overridden(&self) -> &[String] {
        &self.overridden
    }

    /// Keys of the top that the command line says: reading a text again does not change them.
    #[must_use]
    pub fn fixed(&self) -> &[&'static str] {
        &self.fixed
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        let (capabilities, seccomp, landlock) = <(Switch, Switch, Switch)>::default();
        let (read, write) = (Vec::new(), Vec::new());
        Self {
            user: None,
            group: None,
            capabilities,
            seccomp,
            landlock,
            network: false,
            broker: true,
            read,
            write,
        }
    }
}

impl Sandbox {
    /// Gives nothing up.
    #[must_use]
    pub fn off() -> Self {
        let (capabilities, seccomp, landlock) = (Switch::Off, Switch::Off, Switch::Off);
        Self { capabilities, seccomp, landlock, ..Self::default() }
    }
}

impl PartialEq for Sandbox {
    fn eq(&self, other: &Self) -> bool {
        let switches = |it: &Self| (it.capabilities, it.seccomp, it.landlock, it.network, it.broker);
        switches(self) == switches(other)
            && (&self.user, &self.group) == (&other.user, &other.group)
            && (&self.read, &self.write) == (&other.read, &other.write)
    }
}
