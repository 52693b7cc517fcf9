//! Keys and values of a plan.

use super::toml;
use crate::config::Settings;
use crate::config::keys::{self, Place};

#[test]
fn a_plan_of_defaults_has_nothing_to_say() {
    let plan = toml("[[listen]]\nbind = \"239.1.2.3:7\"\nplugin = \"echo\"\n").unwrap();
    assert_eq!((plan.settings(), plan.listen[0].settings()), (Settings::new(), Settings::new()));
}

#[test]
fn every_key_of_the_table_is_told_once_it_says_something() {
    let text = r#"
seed = 1
control = "off"
grace = "1s"
metrics = "127.0.0.1:9100"
plugin_dirs = ["p"]
[limits]
visit_datagrams = 32
visit_bytes = "128KiB"
turn_datagrams = 1024
delayed_datagrams = 1
delayed_bytes = "1MiB"
backlog_datagrams = 1
backlog_bytes = "1KiB"
backlog_total_bytes = "1MiB"
handler_bytes = "1MiB"
sessions = 1
session_opens = 1
slow_batch = "20ms"
spin = "1ms"
moderation = "0us"
[sandbox]
user = "nobody"
group = "nogroup"
capabilities = "on"
seccomp = "on"
landlock = "off"
network = "open"
broker = "off"
read = ["/usr"]
write = ["/tmp"]
[[listen]]
name = "a"
bind = "0.0.0.0:7"
plugin = "echo"
join = "239.1.2.3"
share = true
broadcast = true
freebind = true
wait = true
device = "lo"
tos = "ef"
ttl = 9
recv_buffer = "1MiB"
send_buffer = 5000
sessions = 3
chain = true
allow = ["10.0.0.0/8", "::ffff:192.0.2.0/120"]
deny = "10.9.0.0/16"
on_fault = "off"
[listen.reply]
ports = [53]
same_port = true
groups = true
amplification = 2.5
rate = "10/s"
slip = 0
prefix = "8/16"
loopback = "counted"
ttl = "decay"
"#;
    let text = if cfg!(target_os = "linux") { text.to_owned() } else { text.replace("freebind = true", "") };
    let plan = toml(&text).unwrap();
    let mut told: Vec<String> = plan.settings().into_keys().collect();
    told.extend(plan.listen[0].settings().into_keys().map(|key| format!("listen.{key}")));
    // The budget of replies is on here.
    let silent = [
        "include",
        "listen.name",
        "listen.bind",
        "listen.plugin",
        "listen.options",
        "listen.try",
        "listen.reply.budget",
    ];
    for place in Place::ALL {
        let tables = ["limits", "sandbox", "listen", "reply"];
        for key in keys::all(place).iter().filter(|key| !tables.contains(&key.name)) {
            let path = if place == Place::Top {
                key.name.to_owned()
            } else {
                format!("{}.{}", place.path(), key.name)
            };
            let is_here = cfg!(target_os = "linux") || path != "listen.freebind";
            assert_eq!(told.contains(&path), !silent.contains(&path.as_str()) && is_here, "{path}");
        }
    }
    assert_eq!(plan.listen[0].settings()["reply.rate"], "10/s");
    assert_eq!(plan.listen[0].settings()["allow"], "10.0.0.0/8, 192.0.2.0/24");
    assert_eq!(plan.listen[0].settings()["send_buffer"], "5000 bytes");
    assert_eq!(plan.settings()["limits.visit_bytes"], "128KiB");
    let off = "[[listen]]\nbind = \"0.0.0.0:7\"\nplugin = \"echo\"\nreply = { budget = \"off\" }\n";
    assert_eq!(toml(off).unwrap().listen[0].settings()["reply.budget"], "off");
}
