//! Every key. A new one is a line here, an arm where its table is read, and a field of what is read.

use super::form::{Form, Key, Place, Usual};
use crate::config::bounds;

/// The version that the keys come with which have always been there.
const FIRST: &str = "0.1.0";

/// A key with a default.
const fn key(name: &'static str, forms: &'static [Form], default: &'static str, text: &'static str) -> Key {
    Key { name, forms, usual: Usual::Value(default), text, since: FIRST }
}

/// A key without one: what holds then, and an example.
const fn open(
    name: &'static str,
    forms: &'static [Form],
    (words, example): (&'static str, &'static str),
    text: &'static str,
) -> Key {
    Key { name, forms, usual: Usual::Said { words, example }, text, since: FIRST }
}

/// A key that must be given, and an example.
const fn needed(
    name: &'static str,
    forms: &'static [Form],
    example: &'static str,
    text: &'static str,
) -> Key {
    Key { name, forms, usual: Usual::Needed(example), text, since: FIRST }
}

const FLAG: &[Form] = &[Form::Flag];
const SWITCH: &[Form] = &[Form::Words(&["on", "off"])];
/// Paths of plugins: a text, or an array of them.
const PATHS: &[Form] = &[Form::Text("a path"), Form::List(&[Form::Text("a path")], "an array of them")];

/// Above all tables.
pub(in crate::config) const TOP: [Key; 9] = [
    open(
        "include",
        &[
            Form::Text("a file or a pattern"),
            Form::List(&[Form::Text("a file or a pattern")], "an array of them"),
        ],
        ("none", "\"conf.d/*.toml\""),
        "files with more tables `[[listen]]`, from the directory of this file on, those of a pattern (`*`, `**`, `?`, `[a-z]`) by name",
    ),
    open(
        "plugin_dirs",
        &[Form::List(&[Form::Text("a directory")], "an array of directories")],
        ("none", "[\"plugins\"]"),
        "where plugins are looked for, behind `--plugin-dir` and `POLYPORT_PLUGIN_PATH`; relative ones begin at the directory of the file",
    ),
    open(
        "seed",
        &[Form::Whole(&bounds::SEED)],
        ("another one each time", "42"),
        "makes the randomness of every handler repeat; a plugin's own option `seed` goes before it",
    ),
    open(
        "control",
        &[Form::Text("a path or `off`")],
        ("a place of the user, see `control.md`", "\"control.sock\""),
        "where the control socket is, from the directory of the file on; `--control` goes before it",
    ),
    open(
        "metrics",
        &[Form::Text("an address or `off`")],
        ("none", "\"127.0.0.1:9100\""),
        "where `/metrics`, `/healthz` and `/readyz` are answered by HTTP (`metrics.md`): an address and a port, `[::1]:9100`; `--metrics` goes before it",
    ),
    key(
        "grace",
        &[Form::Time(&bounds::GRACE)],
        "\"5s\"",
        "how long the end waits for what is still to be sent; `--grace` goes before it, and a reload changes it",
    ),
    open(
        "limits",
        &[Form::Table(Place::Limits)],
        ("its defaults", ""),
        "what is taken at once, and what is kept",
    ),
    open(
        "sandbox",
        &[Form::Table(Place::Sandbox), Form::Words(&["off"])],
        ("its defaults", ""),
        "what the process gives up before it serves",
    ),
    needed("listen", &[Form::Tables(Place::Listen)], "", "the listeners, a table for each"),
];

/// Networks: a text, or an array of them.
const PREFIXES: &[Form] = &[
    Form::Text("a prefix such as `192.0.2.0/24`, or an address"),
    Form::List(&[Form::Text("a prefix or an address")], "an array of them"),
];

/// Of a table `[[listen]]`.
pub(in crate::config) const LISTEN: [Key; 21] = [
    open(
        "name",
        &[Form::Text("1 to 63 of `a-z A-Z 0-9 _ . -`")],
        ("the plugin's name", "\"far-away\""),
        "names the listener in logs and books; no two are equal",
    ),
    needed(
        "bind",
        &[Form::Text("an address"), Form::List(&[Form::Text("an address")], "an array of them")],
        "\"127.0.0.1:7000\"",
        "where it listens: `127.0.0.1:7000`, `[::1]:7000-7099`, `:7000` (every interface), `localhost:7000`, `eth0:7000`, `127.0.0.1:domain`",
    ),
    needed(
        "plugin",
        &[Form::Text("a name"), Form::Text("a path with a `/` or a suffix such as `.so`")],
        "\"echo\"",
        "who answers; a relative path begins at the directory of the file",
    ),
    open(
        "options",
        &[Form::Free],
        ("empty", "{ }"),
        "the plugin's own options; those with a dot in their names are tables in it, or keys with a dot: `up = { loss = \"10%\" }`, `up.loss = \"10%\"`",
    ),
    open(
        "join",
        &[
            Form::Text("`GROUP [from SOURCE] [on INTERFACE]`, or `on *`"),
            Form::List(&[Form::Text("GROUP [from SOURCE] [on INTERFACE]")], "an array of them"),
        ],
        ("the group of `bind`, if it is one", "\"239.1.2.3\""),
        "multicast groups that are joined (`ip(7)`, `ipv6(7)`); `on *` is on every interface that takes groups, also those that appear later",
    ),
    key(
        "share",
        FLAG,
        "false",
        "others may bind the same address (`SO_REUSEADDR`), and take what is sent to it",
    ),
    key("broadcast", FLAG, "false", "the handler may send to broadcast addresses (`SO_BROADCAST`)"),
    key(
        "freebind",
        FLAG,
        "false",
        "an address that this host does not have yet is bound all the same (`IP_FREEBIND`, Linux)",
    ),
    key(
        "wait",
        FLAG,
        "false",
        "address, interfaces and `device` may come later: the log and `polyport status` say what is waited for, and it is served once it is there (Linux)",
    ),
    open(
        "device",
        &[Form::Text("the name of an interface")],
        ("every interface", "\"eth0\""),
        "the one interface, or VRF, by which it hears and sends, by the sockets of its sessions as well (`SO_BINDTODEVICE`, Linux); one that goes and comes again under its name is taken again",
    ),
    open(
        "tos",
        &[Form::Text("a class such as `\"af41\"`, `\"ef\"` or `\"cs1\"`"), Form::Whole(&bounds::TOS)],
        ("0", "\"af41\""),
        "TOS or traffic class of what it sends, by sessions as well, where the handler says no other (`IP_TOS`, `IPV6_TCLASS`): a class by its name has ECN 0, a number is the whole byte, `0xb8` is `\"ef\"`",
    ),
    open(
        "ttl",
        &[Form::Whole(&bounds::TTL)],
        ("the system's, and 1 for groups", "64"),
        "how many routers what it sends, by sessions as well, may meet (`IP_TTL`, `IPV6_UNICAST_HOPS`, and those for groups); with `reply.ttl = \"decay\"` an answer leaves with this at most",
    ),
    open(
        "recv_buffer",
        &[Form::Size(&bounds::SOCKET_BUFFER)],
        ("1MiB, less where more than 256 listeners share 256MiB", "\"1MiB\""),
        "what waits in the kernel for the daemon (`SO_RCVBUF`); a warning says when the kernel gives less",
    ),
    open(
        "send_buffer",
        &[Form::Size(&bounds::SOCKET_BUFFER)],
        ("the system's (`net.core.wmem_default`)", "\"256KiB\""),
        "what waits in the kernel for the network (`SO_SNDBUF`); what finds no room there waits in the backlog, see `[limits]`",
    ),
    open(
        "sessions",
        &[Form::Whole(&bounds::SESSIONS)],
        ("what `[limits] sessions` allows", "100"),
        "sockets beside its own that its handler may open, for plugins that do (a relay); for each address, unless one handler serves them all",
    ),
    key(
        "chain",
        FLAG,
        "false",
        "other listeners of this daemon may have sessions to it although its plugin opens sessions itself: a relay in front of a relay, see `security.md`. To plugins that open none they may anyway",
    ),
    open(
        "allow",
        PREFIXES,
        ("everybody who is not denied", "[\"10.0.0.0/8\", \"2001:db8::/32\"]"),
        "the networks that may talk to it, and no others; of `allow` and `deny` the longest prefix decides, whose datagrams are dropped as `source_denied` otherwise",
    ),
    open(
        "deny",
        PREFIXES,
        ("nobody", "\"10.9.0.0/16\""),
        "the networks that may not talk to it; IPv4 is meant however it is written, `::ffff:10.9.0.0/112` too",
    ),
    key(
        "on_fault",
        &[Form::Words(&["restart", "off", "exit"])],
        "\"restart\"",
        "what becomes of a handler that breaks: it is made again after 0.1 s to 30 s, or not any more, or polyport ends with exit code 70",
    ),
    open(
        "try",
        &[Form::Text("a command")],
        ("`nc` or a client, by the plugin", "\"echo hi | nc -u -w1 {address}\""),
        "what the table at the start suggests to try the listener with; `{address}` in it becomes the address",
    ),
    open(
        "reply",
        &[Form::Table(Place::Reply)],
        ("its defaults", ""),
        "whom the listener may answer, and how much",
    ),
];

/// Of a table `[listen.reply]`.
pub(in crate::config) const REPLY: [Key; 10] = [
    key(
        "ports",
        &[
            Form::Words(&["any"]),
            Form::Whole(&bounds::PORT),
            Form::Text("the name of a service"),
            Form::List(
                &[Form::Whole(&bounds::PORT), Form::Text("the name of a service")],
                "an array of ports",
            ),
        ],
        "[]",
        "which ports of services that answer anything may be sent to: 7, 19, 53, \"ntp\" and others (`security.md` has the list)",
    ),
    key("same_port", FLAG, "false", "peers with the listener's own port are answered"),
    key(
        "groups",
        FLAG,
        "false",
        "broadcast and multicast addresses are sent to, and what was sent to them is answered",
    ),
    key(
        "budget",
        SWITCH,
        "\"on\"",
        "how much is sent to peers that have not proved their address is bounded",
    ),
    key(
        "amplification",
        &[Form::Factor(bounds::AMPLIFICATION.0, bounds::AMPLIFICATION.1)],
        "3.0",
        "so many times the bytes that came are sent",
    ),
    key(
        "rate",
        &[Form::Words(&["off"]), Form::Text("a rate such as `\"1000/s\"`"), Form::Whole(&bounds::RATE)],
        "\"off\"",
        "replies to one prefix, a number alone in a second",
    ),
    key(
        "slip",
        &[Form::Whole(&bounds::SLIP)],
        "2",
        "of so many replies above the rate, one leaves; 0 is none",
    ),
    key(
        "prefix",
        &[Form::Text("`\"8/16\"` to `\"32/128\"`")],
        "\"24/56\"",
        "bits of IPv4 and of IPv6 that make a prefix",
    ),
    key("loopback", &[Form::Words(&["exempt", "counted"])], "\"exempt\"", "whether peers on loopback count"),
    key(
        "ttl",
        &[Form::Words(&["system", "decay"])],
        "\"system\"",
        "the TTL of answers: the system's, or one less than the request came with (Linux)",
    ),
];

/// Of the table `[limits]`.
pub(in crate::config) const LIMITS: [Key; 14] = [
    key(
        "visit_datagrams",
        &[Form::Whole(&bounds::VISIT_DATAGRAMS)],
        "64",
        "datagrams that a listener takes before it is the next one's turn",
    ),
    key("visit_bytes", &[Form::Size(&bounds::VISIT_BYTES)], "\"256KiB\"", "bytes that it takes"),
    key(
        "turn_datagrams",
        &[Form::Whole(&bounds::TURN_DATAGRAMS)],
        "2048",
        "datagrams that all listeners take before timers get their turn; not less than `visit_datagrams`",
    ),
    key(
        "delayed_datagrams",
        &[Form::Whole(&bounds::DELAYED_DATAGRAMS)],
        "65536",
        "datagrams of all listeners that wait for a later send",
    ),
    key("delayed_bytes", &[Form::Size(&bounds::DELAYED_BYTES)], "\"64MiB\"", "bytes of them"),
    key(
        "backlog_datagrams",
        &[Form::Whole(&bounds::BACKLOG_DATAGRAMS)],
        "64",
        "datagrams that a listener keeps while its socket takes no more",
    ),
    key("backlog_bytes", &[Form::Size(&bounds::BACKLOG_BYTES)], "\"256KiB\"", "bytes of them"),
    key(
        "backlog_total_bytes",
        &[Form::Size(&bounds::BACKLOG_TOTAL_BYTES)],
        "\"64MiB\"",
        "bytes that all listeners keep so; not less than `backlog_bytes`",
    ),
    key(
        "handler_bytes",
        &[Form::Words(&["auto"]), Form::Size(&bounds::HANDLER_BYTES)],
        "\"auto\"",
        "bytes that all handlers keep beyond a call; `\"auto\"` is 256 MiB, or a quarter of what the process may have",
    ),
    key(
        "sessions",
        &[Form::Whole(&bounds::SESSIONS)],
        "16384",
        "sockets that handlers open for themselves, such as a relay's; a listener may say fewer",
    ),
    key(
        "session_opens",
        &[Form::Whole(&bounds::SESSION_OPENS)],
        "64",
        "sessions that a handler opens in one call",
    ),
    key(
        "slow_batch",
        &[Form::Time(&bounds::SLOW_BATCH)],
        "\"10ms\"",
        "a handler's call that takes longer is counted and logged",
    ),
    key(
        "spin",
        &[Form::Words(&["auto"]), Form::Time(&bounds::SPIN)],
        "\"auto\"",
        "how long to look for more instead of sleeping; `\"auto\"` is while that is cheaper",
    ),
    key(
        "moderation",
        &[Form::Time(&bounds::MODERATION)],
        "\"200us\"",
        "how long to let more of a fast stream arrive, at most, while that is cheaper",
    ),
];

/// Of the table `[sandbox]`, and of `--sandbox`.
pub(in crate::config) const SANDBOX: [Key; 9] = [
    open(
        "user",
        &[Form::Text("a name"), Form::Whole(&bounds::ID)],
        ("who started it", "\"nobody\""),
        "who serves",
    ),
    open(
        "group",
        &[Form::Text("a name"), Form::Whole(&bounds::ID)],
        ("that of `user`", "65534"),
        "the group of who serves",
    ),
    open(
        "capabilities",
        SWITCH,
        ("as far as possible", "\"on\""),
        "capabilities are given up (`capabilities(7)`); `\"on\"` refuses to start where that cannot be",
    ),
    open(
        "seccomp",
        SWITCH,
        ("as far as possible", "\"on\""),
        "system calls that nothing needs are refused (`seccomp(2)`); `\"on\"` refuses to start where that cannot be",
    ),
    open(
        "landlock",
        SWITCH,
        ("as far as possible", "\"on\""),
        "files that nothing needs are out of reach (`landlock(7)`); `\"on\"` refuses to start where that cannot be",
    ),
    key(
        "network",
        &[Form::Words(&["closed", "open"])],
        "\"closed\"",
        "whether plugins may open internet sockets of their own, TCP and UDP",
    ),
    key(
        "broker",
        &[Form::Words(&["on", "off"])],
        "\"on\"",
        "whether a small process of its own keeps the right to bind ports, so that a reload can add addresses",
    ),
    open("read", PATHS, ("none", "[\"/usr/share\"]"), "files and directories that plugins may read"),
    open("write", PATHS, ("none", "[\"/var/tmp\"]"), "files and directories that plugins may write"),
];

/// The keys of a table of the file.
#[must_use]
pub fn all(place: Place) -> &'static [Key] {
    match place {
        Place::Top => &TOP,
        Place::Listen => &LISTEN,
        Place::Reply => &REPLY,
        Place::Limits => &LIMITS,
        Place::Sandbox => &SANDBOX,
    }
}
