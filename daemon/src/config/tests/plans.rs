//! What a right text means.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{Listen, MAX_LISTENERS, OnFault, RawValue, SocketSettings, built_in, load};
use super::{LISTEN, addresses, codes, names, specs, toml};
use crate::limits::Limits;

#[test]
fn an_empty_text_is_an_empty_plan() {
    let plan = toml("").unwrap();
    assert!(plan.listen.is_empty() && plan.plugin_dirs.is_empty());
    assert_eq!((plan.seed, &plan.limits, plan.sockets()), (None, &Limits::default(), 0));
}

#[test]
fn a_plan_that_sets_no_limit_has_the_default_ones() {
    let plans = [built_in().into_result(), toml(LISTEN), specs(&["127.0.0.1:7=echo"])];
    for plan in plans {
        let plan = plan.unwrap();
        assert_eq!((plan.limits, plan.listen.is_empty()), (Limits::default(), false));
    }
}

#[test]
fn the_documents_show_the_default_limits() {
    let page = include_str!("../../../docs/operating.md");
    let (_, rest) = page.split_once("```toml\n[limits]").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    let text = format!("[limits]{shown}[[listen]]\nbind = \"127.0.0.1:7000\"\nplugin = \"echo\"\n");
    assert_eq!(toml(&text).unwrap().limits, Limits::default());
    let keys: Vec<_> = shown.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    assert_eq!(keys, crate::config::limits::KEYS);
}

#[test]
fn every_key_arrives() {
    let plan = toml(
        r#"
        plugin_dirs = ["plugins", "/usr/lib/polyport"]
        seed = 18446744073709551615
        grace = "1.5s"
        [limits]
        visit_datagrams = 1024
        visit_bytes = "1MiB"
        turn_datagrams = 4096
        delayed_datagrams = 0
        delayed_bytes = 0
        backlog_datagrams = 1
        backlog_bytes = "64KiB"
        backlog_total_bytes = 65536
        handler_bytes = "2MiB"
        sessions = 0
        session_opens = 1024
        slow_batch = "1.5ms"
        spin = "50us"
        moderation = "10us"
        [[listen]]
        name = "far"
        bind = ["127.0.0.1:7000", "[::1]:domain"]
        plugin = "lossy"
        recv_buffer = "4MiB"
        send_buffer = 65536
        sessions = 100
        on_fault = "exit"
        try = "ask {address}"
        "#,
    )
    .unwrap();
    assert_eq!(plan.plugin_dirs, ["etc/plugins", "/usr/lib/polyport"].map(PathBuf::from));
    assert_eq!((plan.seed, plan.grace), (Some(u64::MAX), Duration::from_millis(1500)));
    let limits = Limits {
        visit_datagrams: 1024,
        visit_bytes: 1 << 20,
        turn_datagrams: 4096,
        delayed_datagrams: 0,
        delayed_bytes: 0,
        backlog_datagrams: 1,
        backlog_bytes: 65_536,
        backlog_total_bytes: 65_536,
        handler_bytes: Some(2 << 20),
        sessions: 0,
        session_opens: 1024,
        slow_batch: Duration::from_micros(1500),
        spin: Some(Duration::from_micros(50)),
        moderation: Duration::from_micros(10),
        ..Limits::default()
    };
    assert_eq!(plan.limits, limits);
    let listen = &plan.listen[0];
    assert_eq!((listen.name.as_str(), listen.plugin.text.as_str()), ("far", "lossy"));
    assert_eq!(listen.plugin.path, None);
    let socket =
        SocketSettings { recv_buffer: Some(4 << 20), send_buffer: Some(65_536), ..SocketSettings::default() };
    assert_eq!(listen.socket, socket);
    assert_eq!((listen.on_fault, listen.sessions), (OnFault::Exit, Some(100)));
    assert_eq!(listen.example.as_deref(), Some("ask {address}"));
    assert_eq!(addresses(&plan), ["127.0.0.1:7000", "[::1]:53"]);
    assert_eq!(listen.bind[1].text, "[::1]:domain");
    assert_eq!(&plan.sources()[0].text[listen.bind[1].span.range.clone()], "\"[::1]:domain\"");
    assert_eq!(&plan.sources()[0].text[listen.span.range.clone()], "[[listen]]");
}

#[test]
fn options_keep_type_place_and_order() {
    let text = r#"
        [[listen]]
        bind = "127.0.0.1:0"
        plugin = "./libmine.so"
        [listen.options]
        zeta = "10%"
        alpha = -3
        ratio = 0.5
        deep.flag = true
        list = [1, "two"]
        on = true
        "#;
    let plan = toml(text).unwrap();
    let listen = &plan.listen[0];
    let [deep] = listen.options.iter().filter(|option| option.name == "deep").collect::<Vec<_>>()[..] else {
        panic!("one table")
    };
    let RawValue::Table(entries) = &deep.value else { panic!("{deep:?}") };
    assert_eq!((entries[0].name.as_str(), &entries[0].value), ("flag", &RawValue::Bool(true)));
    assert_eq!(&text[entries[0].name_span.range.clone()], "flag");
    assert_eq!(&text[entries[0].value_span.range.clone()], "true");
    let found: Vec<_> = listen.options.iter().map(|option| (option.name.as_str(), &option.value)).collect();
    let list = RawValue::Other(toml::Value::Array(vec![1.into(), "two".into()]));
    let expected = [
        ("zeta", &RawValue::Text("10%".into())),
        ("alpha", &RawValue::Int(-3)),
        ("ratio", &RawValue::Float(0.5)),
        ("deep", &deep.value),
        ("list", &list),
        ("on", &RawValue::Bool(true)),
    ];
    assert_eq!(found, expected);
    assert_eq!(&text[listen.options[0].name_span.range.clone()], "zeta");
    assert_eq!(&text[listen.options[0].value_span.range.clone()], "\"10%\"");
    assert_eq!(listen.plugin.path, Some(PathBuf::from("etc/./libmine.so")));
}

#[test]
fn ranges_expand_on_demand_and_hold_both_ends() {
    let plan = toml("[[listen]]\nbind = '127.0.0.1:7000-7002'\nplugin = 'echo'").unwrap();
    assert_eq!(addresses(&plan), ["127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7002"]);
    let plan = toml("[[listen]]\nbind = '[fe80::1%eth0]:1-65535'\nplugin = 'echo'").unwrap();
    assert_eq!((plan.sockets(), plan.listen[0].bind.len()), (65_535, 1));
    assert_eq!(plan.listen[0].bind[0].addresses().len(), 65_535);
    let last = plan.listen[0].bind[0].addresses().last().unwrap();
    assert_eq!(last, "[fe80::1%7]:65535".parse().unwrap());
}

#[test]
fn addresses_side_by_side_both_wildcards_and_port_0_twice_are_allowed() {
    let text = r#"
        [[listen]]
        bind = ["0.0.0.0:7000", "127.0.0.1:7001", "[::]:7000", "[fe80::1%7]:7001", "[fe80::1%8]:7001"]
        plugin = "echo"
        [[listen]]
        bind = ["127.0.0.1:0", "127.0.0.1:0", "0.0.0.0:0"]
        plugin = "echo"
        "#;
    assert_eq!(toml(text).unwrap().sockets(), 8);
}

/// The system refuses it as well, unless both share.
#[test]
fn a_wildcard_and_an_address_of_its_family_have_no_port_in_common() {
    let listen = |bind: &str, more: &str| format!("[[listen]]\nbind = {bind}\nplugin = 'echo'\n{more}\n");
    for (one, other, title) in [
        ("'0.0.0.0:7000'", "'127.0.0.1:7000'", Some("port 7000 of 0.0.0.0 and 127.0.0.1 is used twice")),
        ("'127.0.0.1:7000'", "'0.0.0.0:7000'", Some("port 7000 of 127.0.0.1 and 0.0.0.0 is used twice")),
        ("'[::1]:7000-7009'", "'[::]:7005-7019'", Some("ports 7005 to 7009 of ::1 and :: are used twice")),
        ("'[fe80::1%7]:7000'", "'[::]:1-65535'", Some("port 7000 of fe80::1 and :: is used twice")),
        (
            "['0.0.0.0:1', '0.0.0.0:5-9']",
            "'127.0.0.1:9'",
            Some("port 9 of 0.0.0.0 and 127.0.0.1 is used twice"),
        ),
        ("['0.0.0.0:1', '0.0.0.0:5-9']", "['127.0.0.1:2-4', '127.0.0.1:10']", None),
        ("'[::]:7000'", "'127.0.0.1:7000'", None),
        ("'0.0.0.0:7000'", "'[::1]:7000'", None),
    ] {
        let text = listen(one, "") + &listen(other, "");
        let titles: Vec<String> = match toml(&text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.list().iter().map(|problem| problem.title.clone()).collect(),
        };
        assert_eq!(titles, title.into_iter().collect::<Vec<_>>(), "{one} {other}");
        for (a, b, is_allowed) in [("share = true", "share = true", true), ("share = true", "", false)] {
            let is_fine = toml(&(listen(one, a) + &listen(other, b))).is_ok();
            assert_eq!(is_fine, is_allowed || title.is_none(), "{one} {other} {a} {b}");
        }
    }
}

#[test]
fn as_many_listeners_as_allowed_and_one_more() {
    let full = "[[listen]]\nbind = ['127.0.0.1:1-65535', '127.0.0.2:1']\nplugin = 'echo'\n";
    assert_eq!(toml(full).unwrap().sockets(), MAX_LISTENERS);
    let more = format!("{full}[[listen]]\nbind = '127.0.0.2:2'\nplugin = 'echo'\n");
    assert_eq!(codes(&toml(&more).unwrap_err()), ["too-many-listeners"]);
}

#[test]
fn listeners_without_a_name_get_their_plugins_name_made_unique() {
    let mut text = String::new();
    for (index, (name, plugin)) in [
        ("", "echo"),
        ("name = 'echo-2'", "lossy"),
        ("", "echo"),
        ("", "dir/libecho.so"),
        ("", "dir/a b.so"),
        ("", "x/"),
        ("", "/"),
    ]
    .iter()
    .enumerate()
    {
        text.push_str(&format!(
            "[[listen]]\nbind = '127.0.0.1:{}'\nplugin = '{plugin}'\n{name}\n",
            index + 1
        ));
    }
    let plan = toml(&text).unwrap();
    assert_eq!(names(&plan), ["echo", "echo-2", "echo-3", "echo-4", "a-b", "x", "plugin"]);
}

#[test]
fn a_long_plugin_name_is_cut_so_that_the_suffix_fits() {
    let plugin = "p".repeat(80);
    let table = |port| format!("[[listen]]\nbind = '127.0.0.1:{port}'\nplugin = '{plugin}'\n");
    let plan = toml(&format!("{}{}", table(1), table(2))).unwrap();
    assert_eq!(names(&plan), ["p".repeat(63), format!("{}-2", "p".repeat(61))]);
}

#[test]
fn thousands_of_tables_are_read_and_named() {
    let text: String = (1..=20_000)
        .map(|port| format!("[[listen]]\nbind = '127.0.0.1:{port}'\nplugin = 'echo'\n"))
        .collect();
    let plan = toml(&text).unwrap();
    assert_eq!(plan.listen[19_999].name, "echo-20000");
}

#[test]
fn the_built_in_configuration_answers_on_loopback_alone() {
    let plan = built_in().into_result().unwrap();
    assert_eq!(names(&plan), OF_DEFAULTS);
    let expected = [
        "127.0.0.1:10000",
        "[::1]:10000",
        "127.0.0.1:1060",
        "127.0.0.1:1061",
        "0.0.0.0:1062",
        "127.0.0.1:1063",
        #[cfg(target_os = "linux")]
        "127.255.255.255:1064",
    ];
    assert_eq!(addresses(&plan), expected);
    let options = |index: usize| {
        let options = plan.listen[index].options.iter();
        options.map(|option| (option.name.as_str(), option.value.clone())).collect::<Vec<_>>()
    };
    assert_eq!(options(0), []);
    assert_eq!(options(1), [("reply", RawValue::Text("length".into()))]);
    assert_eq!(
        options(2),
        [("loss", RawValue::Text("50%".into())), ("reply", RawValue::Text("length".into()))]
    );
    // Bound to every interface: it must not answer.
    assert_eq!(options(3), [("report", RawValue::Text("10s".into()))]);
    let groups: Vec<_> = plan.listen.iter().filter(|listen| listen.reply.groups).collect();
    // What answers to a group can be sent to from this machine alone.
    let bound = |listen: &&Listen| listen.bind.iter().all(|bind| bind.ip.is_loopback());
    assert_eq!(groups.len(), usize::from(cfg!(target_os = "linux")));
    assert!(groups.iter().all(bound));
}

const OF_DEFAULTS: &[&str] = &[
    "echo",
    "length",
    "lossy",
    "listener",
    "responder",
    #[cfg(target_os = "linux")]
    "broadcast",
];

#[test]
fn a_bind_address_of_several_is_several_sockets_of_one_listener() {
    let plan = specs(&["*:7=echo", "localhost:8=echo", "eth0:domain-54=echo", "'':9=echo"]).unwrap();
    assert_eq!(names(&plan), ["echo", "echo-2", "echo-3", "echo-4"]);
    let expected = [
        "0.0.0.0:7",
        "[::]:7",
        "127.0.0.1:8",
        "[::1]:8",
        "192.0.2.7:53",
        "192.0.2.7:54",
        "[fe80::7%7]:53",
        "[fe80::7%7]:54",
        "0.0.0.0:9",
        "[::]:9",
    ];
    assert_eq!(addresses(&plan), expected);
    let plan = toml("[[listen]]\nbind = [':7', 'eth0:8']\nplugin = 'echo'\njoin = '239.1.2.3'\n").unwrap();
    assert_eq!(plan.sockets(), 4);
    // Each of them belongs to one listener, however it was written.
    let twice = toml("[[listen]]\nbind = ['localhost:7', '[::1]:7']\nplugin = 'echo'\n").unwrap_err();
    assert_eq!(twice.list()[0].title, "port 7 of ::1 is used twice");
}

#[test]
fn files_are_read_and_their_directory_is_the_base() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("polyport.toml");
    std::fs::write(
        &path,
        "plugin_dirs = ['plugins']\r\n[[listen]]\r\nbind = '127.0.0.1:1'\r\nplugin = 'a/b.so'\r\n",
    )
    .unwrap();
    let plan = load(&path).into_result().unwrap();
    assert_eq!(plan.plugin_dirs, [dir.path().join("plugins")]);
    assert_eq!(plan.listen[0].plugin.path, Some(dir.path().join("a/b.so")));
}

#[test]
fn the_example_in_the_documentation_is_right() {
    let lines = include_str!("../mod.rs").lines().filter_map(|line| line.strip_prefix("//!"));
    let example: Vec<&str> = lines
        .skip_while(|line| line.trim() != "```toml")
        .skip(1)
        .take_while(|line| line.trim() != "```")
        .collect();
    let plan = toml(&example.join("\n")).unwrap();
    assert_eq!((names(&plan), plan.sockets(), plan.seed), (vec!["far-away", "listener"], 103, Some(42)));
}
