//! Through the exported table, as the daemon calls it.

use polyport_plugin::Rng;
use polyport_plugin::testing::{Harness, Outcome};

use super::Whoami;

const PEER: &str = "192.0.2.1:5000";
const WHOAMI: &[u8] = b"\x06whoami\0";
/// TXT, in the class of the Internet.
const TXT_IN: [u8; 4] = [0, 16, 0, 1];

/// A query for `name`, which has `more` behind its question.
fn query(name: &[u8], kind_class: [u8; 4], more: &[u8]) -> Vec<u8> {
    let header = [0xAB, 0xCD, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!more.is_empty())];
    [&header, name, &kind_class, more].concat()
}

/// EDNS of this version, for whoever takes `size` octets, with these options.
fn edns(size: u16, version: u8, options: &[u8]) -> Vec<u8> {
    let length = u16::try_from(options.len()).unwrap().to_be_bytes();
    [&[0, 0, 41][..], &size.to_be_bytes(), &[0, version, 0x80, 0], &length, options].concat()
}

fn ask(h: &mut Harness<Whoami>, peer: &str, query: &[u8]) -> Option<Vec<u8>> {
    assert_eq!(h.send(peer, query), Outcome::Done);
    let mut sent = h.sent();
    assert!(sent.len() <= 1 && h.bad() == 0);
    sent.pop().map(|sent| sent.payload)
}

fn rcode(response: &[u8]) -> u8 {
    response[3] & 0xF
}

#[test]
fn who_asks_is_told_by_address_port_and_family() {
    let mut h = Harness::<Whoami>::new(&[]);
    let txt = query(WHOAMI, TXT_IN, &[]);
    let response = ask(&mut h, PEER, &txt).unwrap();
    assert_eq!(
        response[..12],
        [0xAB, 0xCD, 0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0],
        "authoritative, recursion desired"
    );
    assert_eq!(response[12..24], txt[12..24], "the question");
    let record = [&[0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, 15, 9][..], b"192.0.2.1", &[4], b"5000"].concat();
    assert_eq!(response[24..], record);
    let a = ask(&mut h, "[::ffff:192.0.2.1]:5000", &query(b"\x06WhoAmI\0", [0, 1, 0, 1], &[])).unwrap();
    assert_eq!(a[12..19], *b"\x06WhoAmI", "in the letters of who asked");
    assert_eq!(a[a.len() - 6..], [0, 4, 192, 0, 2, 1]);
    let aaaa = |h: &mut _, peer| ask(h, peer, &query(WHOAMI, [0, 28, 0, 1], &[])).unwrap();
    assert_eq!(
        aaaa(&mut h, "[2001:db8::7]:1")[36..],
        "2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets()
    );
    let none = aaaa(&mut h, PEER);
    assert_eq!((rcode(&none), none[7], none.len()), (0, 0, 24), "the name is there, but has no such record");
    assert_eq!(h.counter("answered_total"), 4);
}

#[test]
fn what_does_not_fit_is_left_out_and_the_response_says_that_it_was_cut() {
    let mut h = Harness::<Whoami>::new(&[("comment", &"c".repeat(700))]);
    for (more, cut) in [
        (vec![], true),
        (edns(512, 0, &[]), true),
        (edns(0, 0, &[]), true),
        (edns(1232, 0, &[]), false),
        (edns(65_535, 0, &[]), false),
    ] {
        let response = ask(&mut h, PEER, &query(WHOAMI, TXT_IN, &more)).unwrap();
        assert_eq!((response[2] & 2 != 0, response[7]), (cut, if cut { 0 } else { 2 }));
        assert_eq!((response[11] == 1, rcode(&response)), (!more.is_empty(), 0));
        assert!(response.len() <= if cut { 512 } else { 1232 });
    }
}

#[test]
fn other_names_classes_opcodes_and_versions_are_refused_in_the_words_of_dns() {
    let mut h = Harness::<Whoami>::new(&[("name", "who.example.")]);
    for (query, expected) in [
        (query(b"\x03who\x07example\0", TXT_IN, &[]), 0),
        (query(WHOAMI, TXT_IN, &[]), 5),
        (query(b"\0", TXT_IN, &[]), 5),
        (query(b"\x03who\x07example\0", [0, 16, 0, 3], &[]), 5),
    ] {
        assert_eq!(rcode(&ask(&mut h, PEER, &query).unwrap()), expected);
    }
    let mut status = query(b"\0", TXT_IN, &[]);
    status[2] = 2 << 3;
    let response = ask(&mut h, PEER, &status).unwrap();
    assert_eq!((rcode(&response), response[2] & 0x78), (4, 2 << 3));
    let response = ask(&mut h, PEER, &query(WHOAMI, TXT_IN, &edns(1232, 1, &[]))).unwrap();
    assert_eq!((rcode(&response), response[response.len() - 6]), (0, 1), "BADVERS is 16");
    assert_eq!((h.counter("refused_total"), h.counter("answered_total")), (5, 1));
}

#[test]
fn responses_and_everything_that_is_not_wholly_a_query_get_nothing() {
    let mut h = Harness::<Whoami>::new(&[]);
    let whole = query(WHOAMI, TXT_IN, &edns(1232, 0, &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]));
    assert!(ask(&mut h, PEER, &whole).is_some());
    for cut in 0..whole.len() {
        assert_eq!(ask(&mut h, PEER, &whole[..cut]), None, "{cut} octets");
    }
    let changed = |at: usize, to: u8| {
        let mut changed = whole.clone();
        changed[at] = to;
        changed
    };
    let mut longer = whole.clone();
    longer.push(0);
    let mut long_name = [&[63][..], &[b'x'; 63]].concat().repeat(4);
    long_name.push(0);
    let two = query(WHOAMI, TXT_IN, &edns(1232, 0, &[]).repeat(2));
    for (what, datagram) in [
        ("a response", changed(2, 0x81)),
        ("no question", changed(5, 0)),
        ("two questions", changed(5, 2)),
        ("an answer", changed(7, 1)),
        ("an authority", changed(9, 1)),
        ("two additional records", changed(11, 2)),
        ("none, but something follows", changed(11, 0)),
        ("a pointer in the question", changed(12, 0xC0)),
        ("a label of a reserved kind", changed(12, 0x40)),
        ("a label beyond the end", changed(12, 63)),
        ("an option beyond its record", changed(38, 99)),
        ("something behind", longer),
        ("EDNS twice", two),
        ("a name of 257 octets", query(&long_name, TXT_IN, &[])),
    ] {
        assert_eq!(ask(&mut h, PEER, &datagram), None, "{what}");
    }
    let mut rng = Rng::new(1);
    for _ in 0..20_000 {
        let mut datagram = whole.clone();
        for _ in 0..rng.next_u64() % 4 + 1 {
            let at = usize::try_from(rng.next_u64() % datagram.len() as u64).unwrap();
            datagram[at] = rng.next_u64().to_le_bytes()[0];
        }
        datagram.truncate(usize::try_from(rng.next_u64() % (whole.len() as u64 + 1)).unwrap().max(1));
        if let Some(response) = ask(&mut h, PEER, &datagram) {
            assert!(response[2] & 0x80 != 0 && datagram[2] & 0x80 == 0);
            assert_eq!(response[..2], datagram[..2]);
        }
    }
    assert_eq!(h.discarded(), h.counter("malformed_total"));
}

#[test]
fn names_that_are_none_and_comments_that_are_too_long_are_refused() {
    for (option, value) in [
        ("name", String::new()),
        ("name", "a..b".into()),
        ("name", "x".repeat(64)),
        ("name", ["x".repeat(63).as_str(); 4].join(".")),
        ("comment", "x".repeat(1001)),
    ] {
        let refused = Harness::<Whoami>::try_new(&[(option, &value)], 1).unwrap_err();
        assert_eq!(refused.option.as_deref(), Some(option));
    }
}
