//! What the kernel says of the socket, before the exchange and after it.

use std::net::SocketAddr;

use polyport_net::{BufferSize, Description, PathMtuDiscovery};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The socket before anything was sent, and when all was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketReport {
    /// When it had its options, and neither peer nor port.
    pub before: SocketState,
    /// When the exchange was over, whatever its end.
    pub after: SocketState,
}

/// What `getsockname(2)`, `getpeername(2)` and `getsockopt(2)` say; what the system does not tell is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketState {
    /// `SO_TYPE`.
    pub r#type: SocketType,
    /// The address family.
    pub family: AddressFamily,
    /// `getsockname`: unspecified, with port 0, until a send or connect has bound it.
    pub local: SocketAddr,
    /// `getpeername`: whom it is connected to.
    pub peer: Option<SocketAddr>,
    /// `SO_BROADCAST`.
    pub broadcast: bool,
    /// `SO_DONTROUTE`.
    pub dont_route: bool,
    /// `SO_RCVBUF`.
    pub recv_buffer: BufferState,
    /// `SO_SNDBUF`.
    pub send_buffer: BufferState,
    /// `IP_TTL` or `IPV6_UNICAST_HOPS`.
    pub ttl: u32,
    /// `IP_TOS` or `IPV6_TCLASS`.
    pub tos: u32,
    /// `IP_MTU_DISCOVER` or `IPV6_MTU_DISCOVER`.
    pub mtu_discover: Option<MtuDiscover>,
    /// `IP_MTU` or `IPV6_MTU`, octets; only a connected socket has a path.
    pub mtu: Option<usize>,
}

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SocketType {
    /// Datagrams: UDP.
    #[serde(rename = "SOCK_DGRAM")]
    Datagrams,
    /// Anything else.
    #[serde(rename = "other")]
    Other,
}

/// The family of a socket's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AddressFamily {
    /// IPv4.
    #[serde(rename = "AF_INET")]
    Inet,
    /// IPv6.
    #[serde(rename = "AF_INET6")]
    Inet6,
}

/// The size of a buffer, octets, in the unit in which one sets it: Linux reports twice as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BufferState {
    /// What was asked for; `null` left it to the system.
    pub asked: Option<usize>,
    /// What the kernel granted.
    pub granted: usize,
}

/// When the don't-fragment bit is set, and what is done with datagrams longer than the path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MtuDiscover {
    /// Never set; ICMP about the path is not believed.
    Omit,
    /// Never set.
    Dont,
    /// Set while a datagram fits, else it leaves in fragments.
    Want,
    /// Always set; what is too long fails.
    Do,
    /// Always set; only the interface's own MTU counts.
    Probe,
}

impl SocketReport {
    /// A table with a line for each property.
    #[must_use]
    pub fn table(&self) -> String {
        let (before, after) = (self.before.rows(), self.after.rows());
        let width = before.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
        let lines = before
            .iter()
            .zip(&after)
            .map(|((name, before), (_, after))| format!("{name:<18}  {before:<width$}  {after}"));
        let head = format!("{:<18}  {:<width$}  after", "socket", "before");
        [head].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
    }
}

impl SocketState {
    fn rows(&self) -> [(&'static str, String); 12] {
        let six = self.family == AddressFamily::Inet6;
        let name = |four, of_six| if six { of_six } else { four };
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let discover = self.mtu_discover.map(|mode| format!("{mode:?}").to_lowercase());
        [
            ("type", if self.r#type == SocketType::Datagrams { "SOCK_DGRAM" } else { "other" }.to_owned()),
            ("family", if six { "AF_INET6" } else { "AF_INET" }.to_owned()),
            ("getsockname", self.local.to_string()),
            ("getpeername", or_none(self.peer.map(|peer| peer.to_string()))),
            ("SO_BROADCAST", on_off(self.broadcast)),
            ("SO_DONTROUTE", on_off(self.dont_route)),
            ("SO_RCVBUF", self.recv_buffer.text()),
            ("SO_SNDBUF", self.send_buffer.text()),
            (name("IP_TTL", "IPV6_UNICAST_HOPS"), self.ttl.to_string()),
            (name("IP_TOS", "IPV6_TCLASS"), self.tos.to_string()),
            (name("IP_MTU_DISCOVER", "IPV6_MTU_DISCOVER"), or_none(discover)),
            (name("IP_MTU", "IPV6_MTU"), or_none(self.mtu.map(|mtu| mtu.to_string()))),
        ]
    }
}

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

impl BufferState {
    fn text(self) -> String {
        match self.asked {
            Some(asked) => format!("{} (asked {asked})", self.granted),
            None => self.granted.to_string(),
        }
    }
}

impl From<Description> for SocketState {
    fn from(told: Description) -> Self {
        Self {
            r#type: if told.datagrams { SocketType::Datagrams } else { SocketType::Other },
            family: if told.ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet },
            local: told.local,
            peer: told.peer,
            broadcast: told.broadcast,
            dont_route: told.dont_route,
            recv_buffer: told.buffers.recv.into(),
            send_buffer: told.buffers.send.into(),
            ttl: told.ttl,
            tos: told.tos,
            mtu_discover: told.path_mtu_discovery.map(MtuDiscover::from),
            mtu: told.path_mtu,
        }
    }
}

impl From<BufferSize> for BufferState {
    fn from(size: BufferSize) -> Self {
        Self { asked: size.asked, granted: size.got }
    }
}

impl From<PathMtuDiscovery> for MtuDiscover {
    fn from(mode: PathMtuDiscovery) -> Self {
        match mode {
            PathMtuDiscovery::Omit => Self::Omit,
            PathMtuDiscovery::Dont => Self::Dont,
            PathMtuDiscovery::Want => Self::Want,
            PathMtuDiscovery::Do => Self::Do,
            PathMtuDiscovery::Probe => Self::Probe,
        }
    }
}
