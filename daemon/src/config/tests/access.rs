//! `allow` and `deny`.

use super::{codes, shows, specs, toml};
use crate::access::Prefix;
use crate::config::{Plan, Reading, idle_networks, with_settings};
use crate::limits::ACCESS_PREFIXES;

fn table(bind: &str, more: &str) -> String {
    format!("[[listen]]\nbind = {bind}\nplugin = 'echo'\n{more}\n")
}

fn lists(plan: &Plan, at: usize) -> (Vec<String>, Vec<String>) {
    let text = |list: &[Prefix]| list.iter().map(Prefix::to_string).collect();
    let access = plan.listen[at].access.as_ref().unwrap();
    (text(access.allow()), text(access.deny()))
}

#[test]
fn networks_are_a_text_or_a_list() {
    let more = "allow = ['2001:db8::/32', '::ffff:192.0.2.0/120', '10.0.0.0/8']\ndeny = '10.9.0.0/16'";
    let plan = toml(&table("':1'", more)).unwrap();
    let allowed = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"].map(str::to_owned);
    assert_eq!(lists(&plan, 0), (allowed.to_vec(), vec!["10.9.0.0/16".to_owned()]));
    let access = plan.listen[0].access.as_ref().unwrap();
    for (ip, is_let_in) in
        [("10.1.1.1", true), ("10.9.1.1", false), ("::ffff:192.0.2.1", true), ("::1", false)]
    {
        assert_eq!(access.allows(ip.parse().unwrap()), is_let_in, "{ip}");
    }
    assert!(toml(&table("':1'", "")).unwrap().listen[0].access.is_none());
    let plan = specs(&[
        "127.0.0.1:1=echo,listen.allow=\"10.0.0.0/8, 192.0.2.7\"",
        "[::1]:2=echo,name=b,listen.deny=::/0",
    ]);
    let plan = plan.unwrap();
    assert_eq!(lists(&plan, 0), (vec!["10.0.0.0/8".to_owned(), "192.0.2.7".to_owned()], Vec::new()));
    assert_eq!(lists(&plan, 1), (Vec::new(), vec!["::/0".to_owned()]));
    // Without their prefix these are options of the plugin.
    let plan = specs(&["127.0.0.1:1=responder,deny=10.0.0.0/8"]).unwrap();
    assert!(plan.listen[0].access.is_none() && plan.listen[0].options[0].name == "deny");
}

#[test]
fn what_is_no_network_has_its_caret() {
    shows(
        &table("':1'", "allow = ['10.0.0.0/8', '192.0.2.7/24']"),
        "\
error: invalid value for `allow`
 --> etc/polyport.toml:4:24
  |
4 | allow = ['10.0.0.0/8', '192.0.2.7/24']
  |                        ^^^^^^^^^^^^^^ bits behind the first 24 are not 0: the network is \"192.0.2.0/24\", the host \"192.0.2.7\"
",
    );
    for (wrong, code) in [
        ("allow = []", "bad-value"),
        ("deny = ''", "bad-value"),
        ("deny = 'everybody'", "bad-value"),
        ("deny = '10.0.0.0/8,'", "bad-value"),
        ("deny = 7", "wrong-type"),
        ("deny = [7]", "wrong-type"),
        ("deny = { a = 1 }", "wrong-type"),
        ("allow = '10.0.0.0/8'\ndeny = '::ffff:10.0.0.0/104'", "bad-value"),
    ] {
        assert_eq!(codes(&toml(&table("':1'", wrong)).unwrap_err()), [code], "{wrong}");
    }
}

#[test]
fn a_list_has_an_end() {
    let list = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!("'10.{}.{}.0/24'", n >> 8, n & 255)).collect();
        format!("deny = [{}]\nallow = '192.0.2.0/24'", all.join(", "))
    };
    assert_eq!(
        lists(&toml(&table("':1'", &list(ACCESS_PREFIXES - 1))).unwrap(), 0).1.len(),
        ACCESS_PREFIXES - 1
    );
    let problems = toml(&table("':1'", &list(ACCESS_PREFIXES))).unwrap_err();
    assert!(
        problems.render(false).contains("4097 prefixes in `allow` and `deny`, and a listener may have 4096")
    );
}

#[test]
fn a_network_of_the_other_family_changes_nothing_and_that_is_said() {
    let idle = |bind: &str, more: &str| idle_networks(&toml(&table(bind, more)).unwrap().listen[0]);
    let both = "deny = ['10.0.0.0/8', '2001:db8::/32', '2001:db9::/32']";
    let said =
        "`deny`: 2001:db8::/32 and 1 more: without effect, since the listener has IPv4 addresses alone";
    assert_eq!(idle("'127.0.0.1:1'", both), [said]);
    let said = "`deny`: 10.0.0.0/8: without effect, since the listener has IPv6 addresses alone";
    assert_eq!(idle("'[::1]:1'", both), [said]);
    assert_eq!(idle("':1'", both), [""; 0]);
}

fn set(before: &Plan, pairs: &[(&str, &str)]) -> Reading {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    with_settings(before, "echo", &pairs).unwrap()
}

/// However the two lists came about: one that was read and one that was set are as long as two that were read.
#[test]
fn what_is_set_has_the_same_end() {
    let list = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!("10.{}.{}.0/24", n >> 8, n & 255)).collect();
        all.join(",")
    };
    let before =
        specs(&[&format!("127.0.0.1:1=echo,listen.deny=\"{}\"", list(ACCESS_PREFIXES - 1))]).unwrap();
    let plan = set(&before, &[("listen.allow", "192.0.2.0/24")]).into_result().unwrap();
    assert_eq!(lists(&plan, 0).1.len(), ACCESS_PREFIXES - 1);
    let problems = set(&before, &[("listen.allow", "192.0.2.0/24,198.51.100.7")]).into_result().unwrap_err();
    let told = problems.render(false);
    assert!(told.contains("4097 prefixes in `allow` and `deny`, and a listener may have 4096"), "{told}");
    assert!(told.contains("set echo listen.allow:1:14"), "{told}");
}

/// What is said of a list is said of the one that there is, once.
#[test]
fn what_was_set_before_is_not_told_of_any_more() {
    let before = specs(&["127.0.0.1:1=echo,reply.rate=9/s"]).unwrap();
    let of_policy = before.listen[0].idle.clone();
    let plan = (1..4).fold(before, |plan, n| {
        let plan = set(&plan, &[("listen.deny", &format!("2001:db8:{n}::/48"))]).into_result().unwrap();
        let said =
            format!("`deny`: 2001:db8:{n}::/48: without effect, since the listener has IPv4 addresses alone");
        assert_eq!(idle_networks(&plan.listen[0]), [said]);
        plan
    });
    let plan = set(&plan, &[("listen.deny", "192.0.2.7")]).into_result().unwrap();
    assert!(idle_networks(&plan.listen[0]).is_empty());
    assert_eq!((plan.listen[0].idle.len(), &plan.listen[0].idle), (1, &of_policy));
}
