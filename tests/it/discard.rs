//! The discard service: it counts, and is silent.

use std::net::UdpSocket;
use std::time::Duration;

use polyport_tests::Client;
use rustix::net::sockopt;

use crate::polyport;

#[test]
fn what_comes_is_counted_and_thrown_away_over_both_families() {
    let mut daemon =
        polyport().arg("-vv").listen("127.0.0.1:0=discard,name=v4").listen("[::1]:0=discard,name=v6").serve();
    for row in [0, 1] {
        let client: Client = daemon.client(row);
        client.send(b"hello");
        client.send(b"");
        client.send(&vec![0xff; 60_000]);
        daemon.process.wait_for_stderr_times("dropped on purpose", 3 * (row + 1));
        assert_eq!(client.receive_within(Duration::from_millis(1)), None);
    }
    let served = daemon.stop();
    for name in ["v4", "v6"] {
        assert_eq!(
            (served.counted(name, "datagrams_total"), served.counted(name, "bytes_total")),
            (3, 60_005)
        );
        assert_eq!((served.received(name, "on_purpose"), served.sent(name, "sent")), (3, 0));
    }
}

#[test]
fn traffic_classes_are_counted_if_asked_for_as_the_kernel_tells_them() {
    let mut daemon = polyport()
        .arg("-vv")
        .listen("127.0.0.1:0=discard,name=v4,tos=true")
        .listen("[::1]:0=discard,name=v6,tos=true")
        .serve();
    for (row, address) in ["127.0.0.1:0", "[::1]:0"].into_iter().enumerate() {
        let socket = UdpSocket::bind(address).unwrap();
        for (class, times) in [(0xB9, 2), (0x03, 1), (0, 1)] {
            if row == 0 {
                sockopt::set_ip_tos(&socket, class).unwrap();
            } else {
                sockopt::set_ipv6_tclass(&socket, class.into()).unwrap();
            }
            for _ in 0..times {
                socket.send_to(b"x", daemon.addresses()[row]).unwrap();
            }
        }
        daemon.process.wait_for_stderr_times("dropped on purpose", 4 * (row + 1));
    }
    let served = daemon.stop();
    for name in ["v4", "v6"] {
        let counted = |what: &str| served.counted(name, &format!("{what}_total"));
        assert_eq!(["dscp_46", "dscp_0", "datagrams"].map(counted), [2, 2, 4]);
        assert_eq!(["ecn_ect_1", "ecn_ce", "ecn_not_ect", "ecn_ect_0"].map(counted), [2, 1, 1, 0]);
    }
}
