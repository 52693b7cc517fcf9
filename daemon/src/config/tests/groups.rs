//! `join`, `share`, `broadcast` and `freebind`.

use super::super::{Problems, code};
use super::{codes, shows, specs, toml};

fn table(bind: &str, rest: &str) -> String {
    format!("[[listen]]\nbind = {bind}\nplugin = 'listener'\n{rest}\n")
}

fn refused(bind: &str, join: &str) -> Problems {
    toml(&table(bind, &format!("join = {join}"))).unwrap_err()
}

#[test]
fn every_form_of_a_group() {
    let join = "['239.1.2.3', '232.1.1.1 from 192.0.2.7 on eth0', ' 239.1.2.4  on 192.0.2.1 ', 'ff02::5 on 3', \
                'ff35::1 on eth0 from 2001:db8::1, 232.1.1.1 from 192.0.2.8 on eth0']";
    let plan = toml(&table("['0.0.0.0:1', '[::]:1']", &format!("join = {join}"))).unwrap();
    let found: Vec<_> = plan.listen[0]
        .join
        .iter()
        .map(|join| (join.group.to_string(), join.source.map(|ip| ip.to_string()), join.ifindex))
        .collect();
    let expected = [
        ("239.1.2.3", None, 0),
        ("232.1.1.1", Some("192.0.2.7"), 7),
        ("239.1.2.4", None, 8),
        ("ff02::5", None, 3),
        ("ff35::1", Some("2001:db8::1"), 7),
        ("232.1.1.1", Some("192.0.2.8"), 7),
    ];
    let expected = expected.map(|(g, s, i)| (g.to_owned(), s.map(str::to_owned), i));
    assert_eq!(found, expected);
    assert_eq!(plan.listen[0].join[2].text, "239.1.2.4  on 192.0.2.1");
}

#[test]
fn only_the_wildcard_of_its_family_and_the_group_itself_hear_it() {
    let bind = "['0.0.0.0:1', '[::]:1', '127.0.0.1:2', '239.1.2.3:2', '239.9.9.9:2']";
    let plan = toml(&table(bind, "join = '239.1.2.3'")).unwrap();
    let listen = &plan.listen[0];
    let heard: Vec<bool> = listen.bind.iter().map(|bind| listen.join[0].is_heard_at(bind)).collect();
    assert_eq!(heard, [true, false, false, true, false], "the group that is bound alone is another matter");
}

/// C2: whoever binds a group wants to hear it, and nothing more than that.
#[test]
fn a_group_that_is_bound_is_joined() {
    let bind = "['0.0.0.0:3', '239.9.9.9:1', '239.9.9.9:2', '239.1.2.3:1', '[ff02::5%3]:1', '[ff15::1]:1']";
    let plan = toml(&table(bind, "join = '239.1.2.3 on eth0'")).unwrap();
    let listen = &plan.listen[0];
    let joins: Vec<_> = listen
        .join
        .iter()
        .map(|join| (join.text.as_str(), join.ifindex, join.interface.as_deref(), join.implied))
        .collect();
    let expected = [
        ("239.1.2.3 on eth0", 7, Some("eth0"), false),
        ("239.9.9.9", 0, None, true),
        ("ff02::5", 3, None, true),
        ("ff15::1", 0, None, true),
    ];
    assert_eq!(joins, expected);
    let heard = |join: usize| -> Vec<bool> {
        listen.bind.iter().map(|bind| listen.join[join].is_heard_at(bind)).collect()
    };
    assert_eq!(heard(0), [true, false, false, true, false, false]);
    assert_eq!(heard(1), [false, true, true, false, false, false]);
}

#[test]
fn what_is_no_group_is_refused_in_words() {
    let cases = [
        ("", "`` is not an address"),
        ("group", "`group` is not an address"),
        ("192.0.2.1", "192.0.2.1 is not a multicast group"),
        ("255.255.255.255", "255.255.255.255 is not a multicast group"),
        ("ff02::1%eth0", "the interface is written apart"),
        ("ff02::1", "a group of this scope needs its interface"),
        ("239.1.2.3 eth0", "expected `from` or `on`, not `eth0`"),
        ("239.1.2.3 on", "nothing follows `on`"),
        ("239.1.2.3 on eth0 on eth0", "`on` is given twice"),
        ("239.1.2.3 from eth0", "the source `eth0` is not an address"),
        ("239.1.2.3 from 2001:db8::1", "the source 2001:db8::1 is an IPv6 address"),
        ("239.1.2.3 from 239.1.2.3", "nobody sends from 239.1.2.3"),
        ("239.1.2.3 on eth9", "this system has no interface `eth9`"),
        ("239.1.2.3 on 0", "this system has no interface `0`"),
        ("239.1.2.3 on 192.0.2.9", "this system has no interface `192.0.2.9`"),
    ];
    for (text, label) in cases {
        let problems = refused("['0.0.0.0:1', '[::]:1']", &format!("'{text}'"));
        assert_eq!(problems.list()[0].label, label, "{text:?}");
        let expected =
            if label.starts_with("this system") { code::UNKNOWN_INTERFACE } else { code::BAD_JOIN };
        assert_eq!(codes(&problems), [expected], "{text:?}");
    }
    assert_eq!(codes(&refused("'0.0.0.0:1'", "[7]")), ["wrong-type"]);
    assert_eq!(codes(&refused("'0.0.0.0:1'", "7")), ["wrong-type"]);
}

#[test]
fn a_listener_that_cannot_hear_its_group_is_told_why() {
    let expected = "\
error: group 239.1.2.3 cannot be heard here
 --> etc/polyport.toml:4:8
  |
2 | bind = '192.0.2.1:7'
  |        ------------- bound here
3 | plugin = 'listener'
4 | join = '239.1.2.3'
  |        ^^^^^^^^^^^ a socket bound to 192.0.2.1 does not receive it
  |
  = help: only the wildcard and the group itself receive it: bind to 0.0.0.0:7
";
    shows(&table("'192.0.2.1:7'", "join = '239.1.2.3'"), expected);
    let problems = refused("'0.0.0.0:7'", "'ff15::1'");
    assert_eq!(problems.list()[0].label, "this is an IPv6 group, and the listener has no such address");
    // Without an address there is nothing to compare with: that problem comes alone.
    assert_eq!(codes(&refused("'nowhere:1'", "'239.1.2.3'")), ["bad-bind"]);
}

#[test]
fn a_group_is_joined_once() {
    let expected = "\
error: group 239.1.2.3 is joined twice
 --> etc/polyport.toml:4:22
  |
4 | join = ['239.1.2.3', '239.1.2.3 from 192.0.2.7']
  |         -----------  ^^^^^^^^^^^^^^^^^^^^^^^^^^ again here
  |         |
  |         first here
  |
  = help: a socket hears a group from any source or from those it names, and not both
";
    shows(&table("'0.0.0.0:7'", "join = ['239.1.2.3', '239.1.2.3 from 192.0.2.7']"), expected);
    assert_eq!(codes(&refused("'0.0.0.0:7'", "'239.1.2.3, 239.1.2.3'")), ["duplicate-join"]);
    toml(&table("'0.0.0.0:7'", "join = ['239.1.2.3 on eth0', '239.1.2.3 on 8']")).unwrap();
}

#[test]
fn a_group_on_every_interface_is_joined_once() {
    let plan =
        toml(&table("'0.0.0.0:7'", "join = ['239.1.2.3 on *', '232.1.1.1 from 192.0.2.7 on *']")).unwrap();
    let join = |index: usize| {
        let join = &plan.listen[0].join[index];
        (join.everywhere, join.ifindex, join.interface.clone(), join.source.is_some())
    };
    assert_eq!([0, 1].map(join), [(true, 0, None, false), (true, 0, None, true)]);
    // A group of a link needs its interface, and every one is one.
    assert!(toml(&table("'[::]:7'", "join = 'ff02::99 on *'")).unwrap().listen[0].join[0].everywhere);
    for other in ["239.1.2.3", "239.1.2.3 on eth0", "239.1.2.3 on *"] {
        let twice = refused("'0.0.0.0:7'", &format!("['239.1.2.3 on *', '{other}']"));
        assert_eq!(codes(&twice), ["duplicate-join"], "{other}");
    }
    assert_eq!(codes(&refused("'0.0.0.0:7'", "'239.1.2.3 on **'")), ["unknown-interface"]);
}

/// Who waits may name interfaces that are not there, by their names.
#[cfg(target_os = "linux")]
#[test]
fn who_waits_may_name_what_is_not_there() {
    let more = "wait = true\njoin = ['239.1.2.3 on eth8', '239.1.2.3 on eth9']\ndevice = 'eth9'";
    let plan = toml(&table("['0.0.0.0:7', '[fe80::1%eth9]:7']", more)).unwrap();
    let listen = &plan.listen[0];
    assert_eq!((listen.bind[1].scope_id, listen.bind[1].zone.as_deref()), (0, Some("eth9")));
    assert_eq!((listen.join[0].ifindex, listen.join[0].interface.as_deref()), (0, Some("eth8")));
    assert!(listen.socket.wait && !listen.socket.freebind);
    let zone = |text: &str| toml(&table(text, "wait = true")).unwrap().listen[0].bind[0].zone.clone();
    assert_eq!(
        [zone("'[fe80::1%eth0]:7'").as_deref(), zone("'[fe80::1%7]:7'").as_deref()],
        [Some("eth0"), None]
    );
    for (bind, more, code) in [
        ("'[fe80::1%eth9]:7'", "", "unknown-interface"),
        ("'[fe80::1%0]:7'", "wait = true", "unknown-interface"),
        ("'0.0.0.0:7'", "join = '239.1.2.3 on eth9'", "unknown-interface"),
        ("'0.0.0.0:7'", "wait = true\njoin = '239.1.2.3 on 10.0.0.1'", "unknown-interface"),
        ("'0.0.0.0:7'", "device = 'eth9'", "unknown-interface"),
        ("'[fe80::1%eth8]:7'", "wait = true\ndevice = 'eth9'", "bad-value"),
        ("'eth9:7'", "wait = true", "bad-bind"),
        ("['[fe80::1%eth9]:7', '[fe80::1%eth9]:7']", "wait = true", "duplicate-bind"),
    ] {
        assert_eq!(codes(&toml(&table(bind, more)).unwrap_err()), [code], "{bind} {more}");
    }
    toml(&table("['[fe80::1%eth8]:7', '[fe80::1%eth9]:7']", "wait = true")).unwrap();
    assert_eq!(codes(&specs(&["[::1]:1=echo,listen.wait=yes"]).unwrap_err()), ["wrong-type"]);
    assert!(specs(&["[::1]:1=echo,listen.wait=true"]).unwrap().listen[0].socket.wait);
}

#[test]
fn one_address_is_shared_only_by_those_who_all_say_so() {
    let both = |one: &str, other: &str| {
        toml(&format!("{}{}", table("'0.0.0.0:1-9'", one), table("'0.0.0.0:5'", other)))
    };
    let plan = both("share = true", "share = true\nbroadcast = true").unwrap();
    let socket = |index: usize| (plan.listen[index].socket.share, plan.listen[index].socket.broadcast);
    assert_eq!((socket(0), socket(1)), ((true, false), (true, true)));
    for (one, other) in
        [("share = true", ""), ("", "share = true"), ("", ""), ("share = false", "share = true")]
    {
        assert_eq!(codes(&both(one, other).unwrap_err()), ["duplicate-bind"], "{one} {other}");
    }
    // A listener does not share with itself.
    let twice = table("['0.0.0.0:1-9', '0.0.0.0:5']", "share = true");
    assert_eq!(codes(&toml(&twice).unwrap_err()), ["duplicate-bind"]);
    // The one that does not share is found behind one that does and reaches further.
    let tables = [
        table("'0.0.0.0:1-9'", "share = true"),
        table("'0.0.0.0:20'", ""),
        table("'0.0.0.0:2-30'", "share = true"),
    ];
    assert_eq!(codes(&toml(&tables.concat()).unwrap_err()), ["duplicate-bind"]);
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_may_be_bound_before_it_is_there() {
    for (more, expected) in [("freebind = true", true), ("freebind = false", false), ("", false)] {
        let plan = toml(&table("'192.0.2.1:1'", more)).unwrap();
        assert_eq!(plan.listen[0].socket.freebind, expected, "{more}");
    }
    let plan = specs(&["192.0.2.1:1=echo,freebind=true", "192.0.2.2:1=echo,freebind=false,name=b"]).unwrap();
    assert_eq!([0, 1].map(|index| plan.listen[index].socket.freebind), [true, false]);
    assert_eq!(codes(&specs(&["192.0.2.1:1=echo,freebind=yes"]).unwrap_err()), ["wrong-type"]);
}

#[test]
fn the_command_line_knows_them_too() {
    let plan = specs(&[
        "0.0.0.0:1=listener,join=\"239.1.2.3,239.1.2.4 on eth0\",share=true,broadcast=false,ack=true",
    ]);
    let plan = plan.unwrap();
    let listen = &plan.listen[0];
    assert_eq!((listen.join.len(), listen.join[1].ifindex), (2, 7));
    assert_eq!((listen.socket.share, listen.socket.broadcast, listen.options.len()), (true, false, 1));
    let problems = specs(&["0.0.0.0:1=listener,share=yes,join=here"]).unwrap_err();
    assert_eq!(codes(&problems), ["wrong-type", "bad-join"]);
    assert_eq!(codes(&toml(&table("'0.0.0.0:1'", "share = 'true'")).unwrap_err()), ["wrong-type"]);
}
