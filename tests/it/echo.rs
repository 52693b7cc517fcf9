//! Echo over IPv4 and IPv6: every size, odd contents, and batches of every awkward length.

use crate::polyport;

/// Around nothing, around the Ethernet MTU less headers, around a 13-bit length, and the largest of IPv4.
const SIZES: [usize; 9] = [0, 1, 1471, 1472, 1473, 8191, 8192, 65_506, 65_507];
/// The largest payload over IPv6: 65,535 less 8 bytes of UDP.
const LARGEST_V6: usize = 65_527;

#[test]
fn datagrams_of_every_size_come_back_unbroken_over_ipv4_and_ipv6() {
    let daemon = polyport().listen("127.0.0.1:0=echo,name=v4").listen("[::1]:0=echo,name=v6").serve();
    for (row, name) in ["v4", "v6"].into_iter().enumerate() {
        let client = daemon.client(row);
        for size in SIZES {
            client.expect_echo(&pattern(size));
        }
        assert_eq!(daemon.addresses()[row].is_ipv6(), name == "v6");
    }
    daemon.client(1).expect_echo(&pattern(LARGEST_V6));
    let served = daemon.stop();
    assert_eq!(served.received("v4", "replied"), 9);
    assert_eq!(served.received("v6", "replied"), 10);
    assert_eq!(served.received("v4", "truncated") + served.received("v6", "truncated"), 0);
}

#[test]
fn the_length_is_that_of_the_payload() {
    let daemon = polyport().listen("127.0.0.1:0=echo,reply=length").serve();
    let client = daemon.client(0);
    for size in SIZES {
        let answer = String::from_utf8(client.ask(&pattern(size))).unwrap();
        assert_eq!(answer, format!("Your data was {size} bytes long"));
    }
}

#[test]
fn empty_datagrams_are_answered_by_empty_ones_and_counted() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let client = daemon.client(0);
    for _ in 0..100 {
        assert_eq!(client.ask(b""), b"");
    }
    let served = daemon.stop();
    assert_eq!(served.received("echo", "received"), 100);
    assert_eq!(served.received("echo", "replied"), 100);
}

#[test]
fn bytes_that_are_no_text_come_back_as_they_are() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let client = daemon.client(0);
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    for payload in [b"\xff\xfe\0\xc3\x28".as_slice(), b"\0", b"\xed\xa0\x80", &every_byte] {
        client.expect_echo(payload);
    }
}

/// R10: a batch that ends exactly where a receive call or a visit ends is drained all the same.
#[test]
fn batches_of_every_awkward_length_are_answered_to_the_last_datagram() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let lengths = [31, 32, 33, 63, 64, 65, 128];
    for n in lengths {
        let client = daemon.client(0);
        daemon.process.freeze();
        client.send_numbered(n);
        daemon.process.thaw();
        client.expect_numbered(n);
    }
    let all = lengths.iter().sum::<usize>() as u64;
    assert_eq!(daemon.stop().received("echo", "replied"), all);
}

/// R11: a listener whose budget is used up goes on without a new datagram to wake it.
#[test]
fn ten_budgets_of_queued_datagrams_are_all_served() {
    const BUDGET: usize = 16;
    let launch = polyport().config(
        "[limits]\nvisit_datagrams = 8\nturn_datagrams = 16\n\
         [[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"echo\"\nrecv_buffer = \"1MiB\"\n",
    );
    let daemon = launch.serve();
    let client = daemon.client(0);
    daemon.process.freeze();
    client.send_numbered(10 * BUDGET);
    daemon.process.thaw();
    client.expect_numbered(10 * BUDGET);
    assert_eq!(daemon.stop().received("echo", "replied"), 10 * BUDGET as u64);
}

#[test]
fn many_clients_at_once_get_their_own_answers() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let clients: Vec<_> = (0..50).map(|_| daemon.client(0)).collect();
    daemon.process.freeze();
    for client in &clients {
        client.send(client.local().to_string().as_bytes());
    }
    daemon.process.thaw();
    for client in &clients {
        assert_eq!(client.receive(), client.local().to_string().as_bytes());
    }
}

/// Bytes that show a swap, a shift or a cut.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 7 + i / 251) % 256).unwrap_or(0)).collect()
}
