//! The finding as text and as JSON.

use serde_json::Value;

use super::*;
use crate::mtu::json::MtuReport;

fn json(finding: &Finding) -> Value {
    serde_json::to_value(MtuReport::new(finding)).unwrap()
}

fn finding(result: Option<MtuResult>) -> Finding {
    let mut finding = Finding::new("192.0.2.1:7".parse().unwrap());
    finding.result = result;
    finding.kernel_after = Some(1500);
    finding
}

#[test]
fn silence_of_all_is_called_local_knowledge() {
    for result in [None, Some(MtuResult::Unreachable)] {
        let finding = finding(result);
        assert!(finding.text().contains("no peer answered"));
        assert!(finding.text().contains("1500 octets (local knowledge only"));
        assert_eq!(json(&finding)["mtu"], Value::Null);
    }
}

#[test]
fn each_bound_has_its_evidence() {
    for (bound, part) in [
        (Bound::Limit, "tried nothing longer"),
        (Bound::Silence, "black hole: yes"),
        (Bound::MessageTooLong, "EMSGSIZE"),
        (Bound::NextHop, "ICMP from 192.0.2.9: its next hop takes 1280"),
        (Bound::Cut, "black hole: not known"),
    ] {
        let mut finding = finding(Some(MtuResult::Found { payload: 1252, bound }));
        finding.next_hop = Some(NextHop { mtu: 1280, router: Some("192.0.2.9".parse().unwrap()) });
        assert!(finding.text().contains(part), "{}", finding.text());
        assert_eq!(json(&finding)["mtu"], 1280);
    }
}

#[test]
fn what_is_not_known_of_a_way_is_said() {
    const FRAGMENTS: BackLimit = BackLimit::Fragments(Some(1276));
    let found = |payload, limit| Back::Found { payload, limit };
    for (bound, back, ways, why) in [
        (Bound::NextHop, Back::Unmeasured, "1500 octets, there", ""),
        (Bound::Limit, Back::Unmeasured, "at least 1500 octets, there", ""),
        (Bound::NextHop, Back::Untold, "1500 octets there, unknown back", "does not tell fragments"),
        (Bound::NextHop, Back::NoEcho, "1500 octets there, unknown back", "does not send back"),
        (
            Bound::NextHop,
            found(1472, BackLimit::Probes),
            "1500 octets there, at least 1500 back",
            "never longer",
        ),
        (
            Bound::Limit,
            found(1472, BackLimit::Probes),
            "at least 1500 octets, there and back",
            "never longer",
        ),
        (Bound::NextHop, found(1252, FRAGMENTS), "1500 octets there, 1280 back", "fragments of 1276"),
        (Bound::Limit, found(1252, FRAGMENTS), "at least 1500 octets there, 1280 back", "fragments of 1276"),
        (Bound::Silence, found(1252, BackLimit::Silence), "1500 octets there, 1280 back", "do not come"),
        (Bound::Silence, found(1472, BackLimit::Either), "1500 octets, there and back", "which of the two"),
        (Bound::Cut, found(1472, BackLimit::Cut), "at least 1500 octets, there and back", "sends no more"),
    ] {
        let mut finding = finding(Some(MtuResult::Found { payload: 1472, bound }));
        finding.back = back;
        let text = finding.text();
        assert!(text.starts_with(&format!("path MTU to 192.0.2.1:7: {ways}\n")), "{text}");
        assert!(text.contains(why), "{text}");
        let json = json(&finding);
        let either = back == found(1472, BackLimit::Either);
        assert_eq!(json["there"]["at_least"], either || matches!(bound, Bound::Limit | Bound::Cut), "{json}");
        assert_eq!(json["there"]["mtu"], 1500);
        if let Back::Found { payload, limit } = back {
            assert_eq!((&json["direction"], &json["mtu"]), (&"both".into(), &(payload + 28).into()));
            assert_eq!(json["back"]["mtu"], payload + 28);
            assert_eq!(json["back"]["at_least"], limit.is_least());
            assert_eq!(json["back"]["fragment"].is_null(), limit != FRAGMENTS);
        } else {
            assert_eq!((&json["direction"], &json["back"]), (&"forward".into(), &Value::Null));
        }
        let hole = json["black_hole"].as_bool();
        assert_eq!(hole, if bound == Bound::Cut { None } else { Some(bound == Bound::Silence) });
    }
}

#[test]
fn a_link_below_the_least_of_ipv6_is_named() {
    let mut finding = Finding::new("[2001:db8::1]:7".parse().unwrap());
    for (payload, named) in [(1231, true), (1232, false)] {
        finding.result = Some(MtuResult::Found { payload, bound: Bound::Silence });
        assert_eq!(finding.text().contains("must take 1280 octets"), named, "{}", finding.text());
    }
}
