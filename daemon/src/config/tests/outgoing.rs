//! `device`, `tos` and `ttl`.

use super::{codes, shows, specs, toml};
use crate::config::prefixed_setting;

/// A listener on `bind` with more settings.
fn table(bind: &str, more: &str) -> String {
    format!("[[listen]]\nbind = {bind}\nplugin = 'listener'\n{more}\n")
}

#[test]
fn a_class_has_a_name_or_a_number() {
    for (text, expected) in [
        ("'af41'", 0x88),
        ("'EF'", 0xB8),
        ("'cs0'", 0),
        ("0xb8", 0xB8),
        ("184", 184),
        ("'0xB8'", 0xB8),
        ("255", 255),
    ] {
        let plan = toml(&table("':1'", &format!("tos = {text}"))).unwrap();
        assert_eq!(plan.listen[0].socket.tos, Some(expected), "{text}");
    }
    assert_eq!(toml(&table("':1'", "")).unwrap().listen[0].socket.tos, None);
    for wrong in ["'af44'", "''", "256", "-1", "'-1'", "'+1'", "'0x'", "'0x100'", "'1e1'"] {
        let problems = toml(&table("':1'", &format!("tos = {wrong}"))).unwrap_err();
        assert_eq!(codes(&problems), ["bad-value"], "{wrong}");
    }
    shows(
        &table("':1'", "tos = 'af44'"),
        "\
error: invalid value for `tos`
 --> etc/polyport.toml:4:7
  |
4 | tos = 'af44'
  |       ^^^^^^ expected the name of a class, such as \"af41\", or a number from 0 to 255
  |
  = help: classes are cs0 to cs7, af11 to af43, ef, va, le and df; a number is the whole byte, 0xb8 is ef
",
    );
}

#[test]
fn a_ttl_has_one_hop_at_least() {
    for (text, expected) in [("ttl = 1", Some(1)), ("ttl = 255", Some(255)), ("", None)] {
        let plan = toml(&table("':1'", text)).unwrap();
        assert_eq!(plan.listen[0].socket.ttl.map(std::num::NonZeroU8::get), expected, "{text}");
    }
    for (wrong, code) in [("0", "bad-value"), ("256", "bad-value"), ("'64'", "wrong-type")] {
        assert_eq!(codes(&toml(&table("':1'", &format!("ttl = {wrong}"))).unwrap_err()), [code], "{wrong}");
    }
}

#[test]
fn the_command_line_knows_them_too() {
    let plan =
        specs(&["0.0.0.0:1=echo,listen.tos=af11,listen.ttl=9", "0.0.0.0:2=echo,listen.tos=0x20,name=b"])
            .unwrap();
    let socket = |index: usize| {
        let socket = &plan.listen[index].socket;
        (socket.tos, socket.ttl.map(std::num::NonZeroU8::get))
    };
    assert_eq!([0, 1].map(socket), [(Some(0x28), Some(9)), (Some(0x20), None)]);
    for wrong in [
        "listen.ttl=0",
        "listen.ttl=99999999999999999999999999999999999999999999",
        "listen.ttl=",
        "listen.ttl=x",
        "listen.tos=",
        "listen.tos=ef1",
    ] {
        specs(&[&format!("0.0.0.0:1=echo,{wrong}")]).unwrap_err();
    }
    // Without their prefix these are options, of which plugins had some before there were such settings.
    let plan = specs(&["0.0.0.0:1=old,tos=true,wait=2ms,ttl=x,device=y"]).unwrap();
    let names: Vec<_> = plan.listen[0].options.iter().map(|option| option.name.as_str()).collect();
    assert_eq!((names, plan.listen[0].socket.tos), (vec!["tos", "wait", "ttl", "device"], None));
    assert_eq!(prefixed_setting("tos"), Some("listen.tos"));
    assert_eq!(prefixed_setting("share"), None);
}

#[cfg(target_os = "linux")]
#[test]
fn an_interface_has_a_name_and_is_there() {
    let device = |text: &str| Some(toml(text).unwrap().listen[0].socket.device.clone().unwrap());
    assert_eq!(device(&table("':1'", "device = 'eth0'")).as_deref(), Some("eth0"));
    assert_eq!(device(&table("'[fe80::1%eth0]:1'", "device = 'eth0'")).as_deref(), Some("eth0"));
    let plan = specs(&["0.0.0.0:1=echo,listen.device=eth0"]).unwrap();
    assert_eq!(plan.listen[0].socket.device.as_deref(), Some("eth0"));
    for (wrong, code) in [
        ("''", "bad-value"),
        ("'eth 0'", "bad-value"),
        ("'a/b'", "bad-value"),
        ("'eth0:1'", "bad-value"),
        ("'sixteen-letters-'", "bad-value"),
        ("'eth9'", "unknown-interface"),
        ("7", "wrong-type"),
    ] {
        assert_eq!(
            codes(&toml(&table("':1'", &format!("device = {wrong}"))).unwrap_err()),
            [code],
            "{wrong}"
        );
    }
    let elsewhere = toml(&table("'[fe80::1%3]:1'", "device = 'eth0'")).unwrap_err();
    assert_eq!(codes(&elsewhere), ["bad-value"]);
}

/// Two sockets of one address do not meet if they are tied to two interfaces.
#[cfg(target_os = "linux")]
#[test]
fn one_address_serves_every_interface_once() {
    const NAMES: super::Names = super::Names {
        interface: |name| name.strip_prefix("eth").and_then(|number| number.parse().ok()),
        ..super::NAMES
    };
    let all = |devices: &[&str]| {
        let tables: Vec<String> = devices
            .iter()
            .map(|device| {
                let more = if device.is_empty() { String::new() } else { format!("device = '{device}'") };
                table("'0.0.0.0:1-9'", &more)
            })
            .collect();
        let source = super::Source::new("etc/polyport.toml", tables.concat());
        super::parse_with(source, std::path::Path::new("etc"), &NAMES).into_result()
    };
    all(&["eth1", "eth2", "eth3"]).unwrap();
    for wrong in [
        &["eth1", "eth1"][..],
        &["", "eth1"],
        &["eth1", ""],
        &["eth1", "eth2", ""],
        &["eth1", "eth2", "eth1"],
    ] {
        assert_eq!(codes(&all(wrong).unwrap_err()), ["duplicate-bind"], "{wrong:?}");
    }
}
