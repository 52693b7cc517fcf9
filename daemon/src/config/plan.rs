//! The result: what the daemon was asked to do, checked.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::PathBuf;
use std::sync::Arc;

use super::limits::Limits;
use super::problem::{Problems, Source, Span};

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
    /// Bounds of the reactor's work and memory.
    pub limits: Limits,
    pub(super) sources: Arc<[Source]>,
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
    /// How the sockets are set up.
    pub socket: SocketSettings,
    /// What happens to datagrams while a handler is down.
    pub on_fault: OnFault,
    /// The header of the table, or the whole argument.
    pub span: Span,
}

/// A bind address, or a range of ports on one IP address; a range is not expanded before its sockets are
/// opened, so that thousands of ports cost as much as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The address without its port.
    pub ip: IpAddr,
    /// Interface of a link-local address (RFC 4007), else 0.
    pub scope_id: u32,
    /// First port. 0: the system chooses one, and `last` is 0 as well.
    pub first: u16,
    /// Last port, included; never below `first`.
    pub last: u16,
    /// As it was written.
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

/// The plugin of a listener, as far as the text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRef {
    /// As it was written.
    pub text: String,
    /// Where it was written.
    pub span: Span,
    /// The library, when the text is a path; a relative one was joined to the directory of the
    /// configuration file. `None`: the text is a name to look for in the plugin directories.
    pub path: Option<PathBuf>,
}

/// One option for a plugin.
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
    /// An array, a table or a date, for options whose type is JSON.
    Other(toml::Value),
}

/// Settings of a socket; `None` leaves it to the system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SocketSettings {
    /// Bytes for `SO_RCVBUF` (socket(7)); the kernel doubles it for its bookkeeping.
    pub recv_buffer: Option<usize>,
    /// Bytes for `SO_SNDBUF`, as above.
    pub send_buffer: Option<usize>,
}

/// What happens while the handler of a listener is down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFault {
    /// Datagrams are read and dropped, and counted as such; the other listeners go on.
    #[default]
    Drop,
    /// The daemon ends with an error, for a supervisor to start it again.
    Exit,
}
