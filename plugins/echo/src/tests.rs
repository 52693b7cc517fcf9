//! Through the exported table, as the daemon calls it.

use polyport_plugin::Facts;
use polyport_plugin::testing::{Harness, Incoming, Memory, Outcome};

use super::Echo;

const PEER: &str = "192.0.2.1:5000";
/// Largest payload of a UDP datagram over IPv4, bytes.
const LARGEST: usize = 65_507;

fn echo(reply: &str) -> Harness<Echo> {
    Harness::new(&[("reply", reply)])
}

#[track_caller]
fn answer(h: &mut Harness<Echo>, request: &[u8]) -> Vec<u8> {
    assert_eq!(h.send(PEER, request), Outcome::Done);
    let mut sent = h.sent();
    assert_eq!((sent.len(), h.bad(), h.refused()), (1, 0, 0));
    assert_eq!(sent[0].to, PEER.parse().unwrap());
    sent.remove(0).payload
}

#[test]
fn same_is_the_default_and_sends_every_byte_back() {
    let mut h = Harness::<Echo>::new(&[]);
    let largest: Vec<u8> = (0..=255).cycle().take(LARGEST).collect();
    for request in [&b"hello"[..], b"", b"\0", b"\xFF\xFE not UTF-8 \xC0", &largest] {
        assert_eq!(answer(&mut h, request), request);
    }
}

#[test]
fn length_counts_bytes_not_characters() {
    let mut h = echo("length");
    assert_eq!(answer(&mut h, b""), b"Your data was 0 bytes long");
    assert_eq!(answer(&mut h, "é".as_bytes()), b"Your data was 2 bytes long");
    assert_eq!(answer(&mut h, b"\xFF\xFE\xC0"), b"Your data was 3 bytes long");
    assert_eq!(answer(&mut h, &vec![0; LARGEST]), b"Your data was 65507 bytes long");
}

#[test]
fn a_full_batch_is_answered_in_order_with_little_memory() {
    let requests: Vec<String> = (0..64).map(|i| "x".repeat(i)).collect();
    let batch: Vec<(&str, &[u8])> = requests.iter().map(|r| (PEER, r.as_bytes())).collect();
    for (reply, memory) in [
        ("same", Memory { tx_cap: 64, arena_cap: 0, flushes: 0 }),
        ("same", Memory { tx_cap: 5, arena_cap: 0, flushes: 12 }),
        ("length", Memory { tx_cap: 64, arena_cap: 100, flushes: 64 }),
    ] {
        let mut h = echo(reply);
        h.set_memory(memory);
        assert_eq!(h.send_batch(&batch), Outcome::Done);
        let sent = h.sent();
        assert_eq!((sent.len(), h.bad(), h.refused()), (64, 0, 0));
        for (i, sent) in sent.iter().enumerate() {
            let length = format!("Your data was {i} bytes long");
            let expected = if reply == "same" { &requests[i] } else { &length };
            assert_eq!((sent.rx, &sent.payload), (Some(i), &expected.clone().into_bytes()));
        }
    }
}

#[test]
fn the_reply_changes_without_a_new_instance() {
    let mut h = echo("same");
    h.reconfigure(&[("reply", "length")]).unwrap();
    assert_eq!(answer(&mut h, b"abc"), b"Your data was 3 bytes long");
}

#[test]
fn another_reply_is_refused() {
    let refused = Harness::<Echo>::try_new(&[("reply", "loud")], 1).unwrap_err();
    assert_eq!(refused.to_string(), "option reply: \"loud\" is none of same, length");
}

#[test]
fn answers_are_cut_unless_told_otherwise() {
    for reply in ["same", "length"] {
        for (df, expected) in [("false", false), ("true", true)] {
            let mut h = Harness::<Echo>::new(&[("reply", reply), ("df", df)]);
            let batch = [(PEER, &b"a"[..]), (PEER, b""), (PEER, b"abc")];
            assert_eq!(h.send_batch(&batch), Outcome::Done);
            let sent = h.sent();
            assert_eq!(sent.iter().map(|sent| sent.df).collect::<Vec<_>>(), [expected; 3], "{reply}");
            let length = reply == "length";
            let last: &[u8] = if length { b"Your data was 3 bytes long" } else { b"abc" };
            assert_eq!((sent[2].payload.as_slice(), h.bad()), (last, 0));
        }
    }
}

#[test]
fn a_class_is_reflected_without_ecn_if_that_is_asked_for() {
    for (df, reply) in [("false", "same"), ("true", "length")] {
        for (reflect, expected) in [("false", [0, 0, 0]), ("true", [0xB8, 0x88, 0])] {
            let mut h = Harness::<Echo>::new(&[("df", df), ("reply", reply), ("reflect_tos", reflect)]);
            let wanted = if reflect == "true" { Facts::TOS } else { Facts::default() };
            assert_eq!(h.told(), wanted, "nothing that is not needed");
            let request = |tos| Incoming { tos, ..Incoming::new(PEER.parse().unwrap(), b"x") };
            let requests = [0xB9, 0x8B, 0x03].map(request);
            assert_eq!(h.deliver(&requests), Outcome::Done);
            let sent = h.sent();
            assert_eq!(
                sent.iter().map(|sent| sent.tos).collect::<Vec<_>>(),
                expected,
                "{df} {reply} {reflect}"
            );
            assert!(sent.iter().all(|sent| sent.df == (df == "true")));
        }
    }
}

#[test]
fn who_begins_to_reflect_is_made_anew() {
    let mut h = echo("same");
    h.reconfigure(&[("reflect_tos", "true")]).unwrap_err();
    h.reconfigure(&[("reflect_tos", "false"), ("df", "true")]).unwrap();
}
