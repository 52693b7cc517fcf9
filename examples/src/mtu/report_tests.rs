//! The finding as text and as JSON.

use serde_json::Value;

use super::*;
use crate::mtu::json::MtuReport;

fn json(finding: &Finding) -> Value {
    serde_json::to_value(MtuReport::new(finding)).unwrap()
}

fn finding(result: Option<MtuResult>) -> Finding {
    let mut finding = Finding::new("192.0.2.1:7".parse().unwrap(), Method::Forward);
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
    ] {
        let mut finding = finding(Some(MtuResult::Found { payload: 1252, bound }));
        finding.next_hop = Some(NextHop { mtu: 1280, router: Some("192.0.2.9".parse().unwrap()) });
        assert!(finding.text().contains(part), "{}", finding.text());
        assert_eq!(json(&finding)["mtu"], 1280);
    }
}
