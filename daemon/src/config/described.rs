//! A plan as keys and values again: what a file would have to say for it, as far as it is not the default.

use std::collections::BTreeMap;
use std::time::Duration;

use humantime::format_duration;

use super::bounds::show_size;
use super::plan::{Join, Listen, OnFault, Plan, Sandbox, SocketSettings, Switch};
use crate::access::{Access, Prefix};
use crate::limits::{GRACE, Limits};
use crate::reply::{Budget, PeerPorts, ReplyPolicy, ReplyTtl};

/// Keys with their values, as text.
pub type Settings = BTreeMap<String, String>;

/// A key with its value, and what it is if nobody says anything.
type Row = (&'static str, String, String);

impl Plan {
    /// What differs from its default of the keys beside listeners.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let top = [
            ("seed", self.seed.map_or(String::new(), |seed| seed.to_string()), String::new()),
            ("control", control(self), String::new()),
            ("metrics", metrics(self), String::new()),
            ("grace", time(self.grace), time(GRACE)),
            ("plugin_dirs", paths(self.plugin_dirs.iter()), String::new()),
        ];
        others(
            top.into_iter()
                .chain(beside(limits(&self.limits), limits(&Limits::default())))
                .chain(sandbox(&self.sandbox)),
        )
    }
}

impl Listen {
    /// What differs from its default of the keys of a listener: all but its name, its addresses, its plugin with the options, and
    /// the command that it is tried with.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let number = |number: Option<usize>| number.map_or_else(String::new, |number| number.to_string());
        let asked = self.join.iter().filter(|join| !join.implied);
        let own = [
            ("join", listed(asked.map(|Join { text, .. }| text.clone())), String::new()),
            ("sessions", number(self.sessions), String::new()),
            ("chain", self.chain.to_string(), false.to_string()),
            ("allow", prefixes(self.access.as_deref().map(Access::allow)), String::new()),
            ("deny", prefixes(self.access.as_deref().map(Access::deny)), String::new()),
            ("on_fault", on_fault(self.on_fault), on_fault(OnFault::default())),
        ];
        others(
            own.into_iter()
                .chain(socket(&self.socket))
                .chain(beside(reply(&self.reply), reply(&ReplyPolicy::default()))),
        )
    }
}

/// Keys with their values, beside what they are by default.
fn beside<const N: usize>(
    rows: [(&'static str, String); N],
    defaults: [(&'static str, String); N],
) -> impl Iterator<Item = Row> {
    rows.into_iter().zip(defaults).map(|((key, value), (_, default))| (key, value, default))
}

/// The rows that say something else than the default.
fn others(rows: impl Iterator<Item = Row>) -> Settings {
    let others = rows.filter(|(_, value, default)| value != default);
    others.map(|(key, value, _)| (key.to_owned(), value)).collect()
}

fn socket(settings: &SocketSettings) -> [Row; 9] {
    let SocketSettings { recv_buffer, send_buffer, share, broadcast, freebind, wait, device, tos, ttl } =
        settings;
    let buffer = |size: &Option<usize>| size.map_or_else(String::new, show_size);
    let flag = |flag: &bool| flag.to_string();
    [
        ("recv_buffer", buffer(recv_buffer), String::new()),
        ("send_buffer", buffer(send_buffer), String::new()),
        ("share", flag(share), flag(&false)),
        ("broadcast", flag(broadcast), flag(&false)),
        ("freebind", flag(freebind), flag(&false)),
        ("wait", flag(wait), flag(&false)),
        ("device", device.clone().unwrap_or_default(), String::new()),
        ("tos", tos.map_or_else(String::new, |tos| format!("{tos:#04x}")), String::new()),
        ("ttl", ttl.map_or_else(String::new, |ttl| ttl.to_string()), String::new()),
    ]
}

fn reply(policy: &ReplyPolicy) -> [(&'static str, String); 10] {
    let ReplyPolicy { ports, same_port, groups, budget, ttl } = policy;
    let Budget { amplification_milli, rate, slip, v4_prefix, v6_prefix, loopback } =
        budget.unwrap_or_default();
    let ports = match ports {
        PeerPorts::Any => "any".to_owned(),
        PeerPorts::Only(ports) => listed(ports.iter().map(u16::to_string)),
    };
    let ttl = match ttl {
        ReplyTtl::System => "system",
        ReplyTtl::Decay => "decay",
    };
    [
        ("reply.ports", ports),
        ("reply.same_port", same_port.to_string()),
        ("reply.groups", groups.to_string()),
        ("reply.budget", if budget.is_some() { "on" } else { "off" }.to_owned()),
        ("reply.amplification", (f64::from(amplification_milli) / 1000.0).to_string()),
        ("reply.rate", rate.map_or_else(|| "off".to_owned(), |rate| format!("{rate}/s"))),
        ("reply.slip", slip.to_string()),
        ("reply.prefix", format!("{v4_prefix}/{v6_prefix}")),
        ("reply.loopback", if loopback { "counted" } else { "exempt" }.to_owned()),
        ("reply.ttl", ttl.to_owned()),
    ]
}

fn limits(limits: &Limits) -> [(&'static str, String); 14] {
    const AUTO: &str = "auto";
    let count = |count: usize| count.to_string();
    [
        ("limits.visit_datagrams", count(limits.visit_datagrams)),
        ("limits.visit_bytes", show_size(limits.visit_bytes)),
        ("limits.turn_datagrams", count(limits.turn_datagrams)),
        ("limits.delayed_datagrams", count(limits.delayed_datagrams)),
        ("limits.delayed_bytes", show_size(limits.delayed_bytes)),
        ("limits.backlog_datagrams", count(limits.backlog_datagrams)),
        ("limits.backlog_bytes", show_size(limits.backlog_bytes)),
        ("limits.backlog_total_bytes", show_size(limits.backlog_total_bytes)),
        ("limits.handler_bytes", limits.handler_bytes.map_or_else(|| AUTO.to_owned(), show_size)),
        ("limits.sessions", count(limits.sessions)),
        ("limits.session_opens", count(limits.session_opens)),
        ("limits.slow_batch", time(limits.slow_batch)),
        ("limits.spin", limits.spin.map_or_else(|| AUTO.to_owned(), time)),
        ("limits.moderation", time(limits.moderation)),
    ]
}

fn sandbox(sandbox: &Sandbox) -> [Row; 9] {
    let Sandbox { user, group, capabilities, seccomp, landlock, network, broker, read, write } = sandbox;
    let name = |named: &Option<super::plan::Named>| named.as_ref().map(|named| named.text.clone());
    let layer = |switch: &Switch| {
        match switch {
            Switch::Off => "off",
            Switch::IfPossible => "",
            Switch::On => "on",
        }
        .to_owned()
    };
    let network = if *network { "open" } else { "closed" };
    [
        ("sandbox.user", name(user).unwrap_or_default(), String::new()),
        ("sandbox.group", name(group).unwrap_or_default(), String::new()),
        ("sandbox.capabilities", layer(capabilities), String::new()),
        ("sandbox.seccomp", layer(seccomp), String::new()),
        ("sandbox.landlock", layer(landlock), String::new()),
        ("sandbox.network", network.to_owned(), "closed".to_owned()),
        ("sandbox.broker", if *broker { "on" } else { "off" }.to_owned(), "on".to_owned()),
        ("sandbox.read", paths(read.iter().map(|granted| &granted.path)), String::new()),
        ("sandbox.write", paths(write.iter().map(|granted| &granted.path)), String::new()),
    ]
}

fn control(plan: &Plan) -> String {
    match &plan.control {
        None => String::new(),
        Some(control) => match &control.path {
            None => "off".to_owned(),
            Some(path) => path.to_string_lossy().into_owned(),
        },
    }
}

fn metrics(plan: &Plan) -> String {
    match &plan.metrics {
        None => String::new(),
        Some(metrics) => metrics.address.map_or_else(|| "off".to_owned(), |address| address.to_string()),
    }
}

fn on_fault(on_fault: OnFault) -> String {
    match on_fault {
        OnFault::Restart => "restart",
        OnFault::Off => "off",
        OnFault::Exit => "exit",
    }
    .to_owned()
}

fn time(time: Duration) -> String {
    format_duration(time).to_string()
}

fn paths<'a>(paths: impl Iterator<Item = &'a std::path::PathBuf>) -> String {
    listed(paths.map(|path| path.to_string_lossy().into_owned()))
}

fn prefixes(list: Option<&[Prefix]>) -> String {
    listed(list.unwrap_or_default().iter().map(Prefix::to_string))
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
