//! `[listen.reply]`, and the same behind `--listen`.

use super::super::code;
use super::super::reply::KEYS;
use super::{LISTEN, codes, shows, specs, toml};
use crate::reply::{Budget, LOOP_PORTS, PeerPorts, ReplyPolicy, ReplyTtl};

/// The policy that a table `[listen.reply]` makes.
#[track_caller]
fn policy(table: &str) -> ReplyPolicy {
    toml(&format!("{LISTEN}[listen.reply]\n{table}\n")).unwrap().listen[0].reply.clone()
}

#[test]
fn what_is_not_set_is_the_default() {
    assert_eq!(toml(LISTEN).unwrap().listen[0].reply, ReplyPolicy::default());
    assert_eq!(policy(""), ReplyPolicy::default());
    let default = ReplyPolicy::default();
    assert_eq!((default.ports, default.same_port, default.groups), (PeerPorts::Only(vec![]), false, false));
    let budget = default.budget.unwrap();
    assert_eq!((budget.amplification_milli, budget.rate, budget.slip), (3000, None, 2));
    assert_eq!((budget.v4_prefix, budget.v6_prefix, budget.loopback), (24, 56, false));
    assert_eq!(default.ttl, ReplyTtl::System);
}

#[test]
fn every_key_is_read() {
    let all = policy(
        "ports = [123, 53, 123]\nsame_port = true\ngroups = true\nbudget = 'on'\namplification = 2.5\n\
         rate = '1.5k/s'\nslip = 0\nprefix = '32/64'\nloopback = 'counted'\nttl = 'decay'",
    );
    let budget = Budget {
        amplification_milli: 2500,
        rate: Some(1500),
        slip: 0,
        v4_prefix: 32,
        v6_prefix: 64,
        loopback: true,
    };
    let expected = ReplyPolicy {
        ports: PeerPorts::Only(vec![53, 123]),
        same_port: true,
        groups: true,
        budget: Some(budget),
        ttl: ReplyTtl::Decay,
    };
    assert_eq!(all, expected);
    let spec = "127.0.0.1:1=echo,reply=length,reply.ports=\"123,53\",reply.same_port=true,reply.groups=true,\
                reply.budget=on,reply.amplification=2.5,reply.rate=90k/min,reply.slip=0,reply.prefix=32/64,\
                reply.loopback=counted,reply.ttl=decay";
    let plan = specs(&[spec]).unwrap();
    assert_eq!(plan.listen[0].reply, expected);
    assert_eq!(plan.listen[0].options.len(), 1, "`reply` is an option of the plugin");
}

#[test]
fn every_key_says_what_it_was_without_it() {
    let same = policy(
        "ports = []\nsame_port = false\ngroups = false\nbudget = 'on'\namplification = 3\nrate = 'off'\nslip = 2\n\
         prefix = '24/56'\nloopback = 'exempt'\nttl = 'system'",
    );
    assert_eq!(same, ReplyPolicy::default());
    assert_eq!(policy("ports = 'any'").ports, PeerPorts::Any);
    assert_eq!(policy("ports = 53").ports, PeerPorts::Only(vec![53]));
    assert_eq!(policy("ports = 'domain'").ports, PeerPorts::Only(vec![53]));
    assert_eq!(policy("ports = ['domain', 7, '53', '19']").ports, PeerPorts::Only(vec![7, 19, 53]));
    let typed = specs(&["127.0.0.1:1=echo,reply.ports=\"domain,7\""]).unwrap();
    assert_eq!(typed.listen[0].reply.ports, PeerPorts::Only(vec![7, 53]));
    // In any order: what is off is off.
    assert_eq!(policy("budget = 'off'\nslip = 3").budget, None);
    assert_eq!(policy("slip = 3\nbudget = 'off'").budget, None);
    assert_eq!(specs(&["127.0.0.1:1=echo,reply.ports=any"]).unwrap().listen[0].reply.ports, PeerPorts::Any);
}

#[test]
fn the_command_line_takes_what_the_file_takes() {
    let behind = |setting: &str| {
        specs(&[&format!("127.0.0.1:1=echo,{setting},reply=length")]).unwrap().listen[0].reply.clone()
    };
    for (ports, expected) in
        [("[53]", vec![53]), ("[53,123]", vec![53, 123]), ("53", vec![53]), ("\"[53, 123]\"", vec![53, 123])]
    {
        assert_eq!(behind(&format!("reply.ports={ports}")).ports, PeerPorts::Only(expected), "{ports}");
    }
    let rate = |policy: ReplyPolicy| policy.budget.unwrap().rate;
    assert_eq!(rate(behind("reply.rate=1000")), Some(1000));
    assert_eq!(rate(policy("rate = 1000")), Some(1000));
    for ports in ["[53", "53]", "[x]"] {
        let problems = specs(&[&format!("127.0.0.1:1=echo,reply.ports={ports}")]).unwrap_err();
        let label = &problems.list()[0].label;
        assert!(label.ends_with("; expected ports, such as [53, \"ntp\"], or \"any\""), "{label}");
    }
}

#[test]
fn settings_that_change_nothing_are_told() {
    let idle = |bind: &str, settings: &str| {
        specs(&[&format!("{bind}=echo,{settings}")]).unwrap().listen[0].idle.clone()
    };
    let loopback = "`reply.rate`: without effect, since only loopback reaches the listener, which is exempt; \
                    `reply.loopback = \"counted\"` counts it";
    for bind in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
        assert_eq!(idle(bind, "reply.rate=9/s"), [loopback], "{bind}");
        assert!(idle(bind, "reply.rate=9/s,reply.loopback=counted").is_empty());
        assert!(idle(bind, "reply.loopback=exempt,reply.ports=53").is_empty());
    }
    for bind in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
        assert!(idle(bind, "reply.rate=9/s,reply.slip=3").is_empty(), "{bind}");
    }
    let slip = "`reply.slip`: without effect, since there is no `reply.rate`";
    assert_eq!(idle("0.0.0.0:1", "reply.slip=3"), [slip]);
    let off = "`reply.rate`, `reply.prefix`: without effect, since `reply.budget` is \"off\"";
    assert_eq!(idle("0.0.0.0:1", "reply.budget=off,reply.rate=9/s,reply.prefix=24/56"), [off]);
    assert!(idle("0.0.0.0:1", "reply.budget=off").is_empty());
}

#[test]
fn wrong_values_are_shown_where_they_are() {
    let text = format!("{LISTEN}[listen.reply]\nports = [53, 7000]\nttl = 'decrease'\ngroup = true\n");
    let expected = "\
error: invalid value for `ports`
 --> etc/polyport.toml:5:14
  |
5 | ports = [53, 7000]
  |              ^^^^ expected one of those that are not answered unless listed: 7, 11, 13, 17, 19, 37, 53, 69, 111, \
123, 137, 161, 389, 500, 520, 862, 1434, 1900, 3702, 5353, 11211

error: invalid value for `ttl`
 --> etc/polyport.toml:6:7
  |
6 | ttl = 'decrease'
  |       ^^^^^^^^^^ expected \"system\" or \"decay\"

error: unknown key `group` in [listen.reply]
 --> etc/polyport.toml:7:1
  |
7 | group = true
  | ^^^^^
  |
  = help: did you mean `groups`?
";
    shows(&text, expected);
}

#[test]
fn every_key_refuses_what_it_is_not() {
    for (table, label) in [
        (
            "ports = 'some'",
            "this system knows no UDP service `some`; expected ports, such as [53, \"ntp\"], or \"any\"",
        ),
        ("ports = ''", "`` is not a port; expected ports"),
        ("ports = [true]", "this is a boolean"),
        ("ports = true", "this is a boolean"),
        ("ports = ['7000']", "expected one of those"),
        ("ports = ['syslog']", "expected one of those"),
        ("ports = [-1]", "expected one of those"),
        ("ports = [65536]", "expected one of those"),
        ("same_port = 'yes'", "this is a string"),
        ("groups = 1", "this is an integer"),
        ("budget = true", "this is a boolean"),
        ("budget = 'none'", "expected \"on\" or \"off\""),
        ("amplification = 0.9", "expected 1 to 1000"),
        ("amplification = 1001", "expected 1 to 1000"),
        ("amplification = nan", "expected 1 to 1000"),
        ("amplification = '3'", "this is a string"),
        ("rate = true", "this is a boolean"),
        ("rate = 0", "expected a rate such as 1000/s, 1.5k/s or 90k/min, or \"off\""),
        ("rate = -1", "expected a rate such as"),
        ("rate = 'fast'", "expected a rate such as 1000/s, 1.5k/s or 90k/min, or \"off\""),
        ("rate = '30/m'", "expected 1 to 1000000000 in a second, without a fraction"),
        ("rate = '1/h'", "expected 1 to 1000000000 in a second, without a fraction"),
        ("rate = '1.5/s'", "expected 1 to 1000000000 in a second, without a fraction"),
        ("rate = '1001M/s'", "expected 1 to 1000000000 in a second, without a fraction"),
        ("slip = 1001", "expected 0 to 1000"),
        ("slip = -1", "expected 0 to 1000"),
        ("prefix = '24'", "expected the bits of IPv4 (8 to 32) and of IPv6 (16 to 128), such as \"24/56\""),
        ("prefix = '7/56'", "expected the bits"),
        ("prefix = '33/56'", "expected the bits"),
        ("prefix = '24/129'", "expected the bits"),
        ("prefix = '24/15'", "expected the bits"),
        ("prefix = '+24/56'", "expected the bits"),
        ("loopback = false", "this is a boolean"),
        ("loopback = 'no'", "expected \"exempt\" or \"counted\""),
        ("ttl = 64", "this is an integer"),
    ] {
        let problems = toml(&format!("{LISTEN}[listen.reply]\n{table}\n")).unwrap_err();
        let [problem] = problems.list() else { panic!("{table}: {problems}") };
        assert!(problem.label.starts_with(label), "{table}: {}", problem.label);
        assert!([code::BAD_VALUE, code::WRONG_TYPE].contains(&problem.code), "{table}: {}", problem.code);
    }
    let problems = toml(&format!("{LISTEN}reply = 'length'\n")).unwrap_err();
    assert_eq!(problems.list()[0].title, "`reply` must be a table");
}

#[test]
fn behind_listen_mistakes_have_their_place_too() {
    let problems = specs(&[
        "127.0.0.1:1=echo,reply.ports=7000,reply.groups=1,reply.group=true,reply.slip=1,reply.slip=2",
    ])
    .unwrap_err();
    let mut found: Vec<_> = problems
        .list()
        .iter()
        .map(|problem| {
            let range = problem.span.clone().unwrap().range;
            (problem.code, problems.sources()[0].text[range].to_owned())
        })
        .collect();
    found.sort_unstable();
    let expected = [
        ("bad-value", "7000"),
        ("duplicate-key", "reply.slip"),
        ("unknown-key", "reply.group"),
        ("wrong-type", "1"),
    ];
    assert_eq!(found, expected.map(|(code, text)| (code, text.to_owned())));
    assert_eq!(codes(&specs(&["127.0.0.1:1=echo,reply.=1"]).unwrap_err()), ["syntax"]);
}

#[test]
fn every_loop_port_may_be_allowed() {
    let all: Vec<String> = LOOP_PORTS.iter().map(|(port, _)| port.to_string()).collect();
    let PeerPorts::Only(ports) = policy(&format!("ports = [{}]", all.join(", "))).ports else { panic!() };
    assert_eq!(ports.len(), LOOP_PORTS.len());
}

#[test]
fn the_documents_show_the_defaults() {
    let page = include_str!("../../../docs/listeners.md");
    let (_, table) = page.split_once("[listen.reply]\n").unwrap();
    let (table, _) = table.split_once("```").unwrap();
    assert_eq!(policy(table), ReplyPolicy::default());
    let shown = table.lines().filter_map(|line| line.split_once(" = ").map(|(key, _)| key));
    assert!(shown.eq(KEYS), "every key is shown");
}
