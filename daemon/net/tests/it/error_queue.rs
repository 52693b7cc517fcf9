//! What the kernel tells of datagrams that did not arrive.

use crate::support::{V4, bind};

#[test]
fn a_system_without_the_queue_says_so() {
    let supported = cfg!(target_os = "linux");
    assert_eq!(bind(V4).set_error_queue(true).is_ok(), supported);
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::IoSlice;
    use std::time::Duration;

    use polyport_net::{ErrorOrigin, PathMtuDiscovery, QueuedError, SendBatch, UdpSocket, wait_readable};

    use crate::support::{V4, V6, address, bind, plain, provoke};

    fn next_error(socket: &UdpSocket, quote: &mut [u8]) -> QueuedError {
        assert!(wait_readable(socket, Duration::from_secs(10)).unwrap(), "no error came");
        socket.next_error(quote).unwrap().expect("an error in the queue")
    }

    #[test]
    fn a_closed_port_is_reported_with_all_icmp_says() {
        for (addr, origin) in
            [(V4, ErrorOrigin::Icmp { kind: 3, code: 3 }), (V6, ErrorOrigin::Icmp6 { kind: 1, code: 4 })]
        {
            let (gone, client) = (bind(addr), bind(addr));
            let to = address(&gone);
            drop(gone);
            client.set_error_queue(true).unwrap();
            let mut quote = [0; 64];
            assert_eq!(client.next_error(&mut quote).unwrap(), None);
            let parts = [IoSlice::new(b"anyone?")];
            let mut send = SendBatch::new(1);
            provoke(&client, || assert_eq!(send.send(&client, &[plain(to, &parts)]).unwrap(), 1));
            let error = next_error(&client, &mut quote);
            assert_eq!((error.errno, error.origin), (libc::ECONNREFUSED, origin));
            assert_eq!((error.destination, error.offender, error.mtu), (Some(to), Some(to.ip()), None));
            assert_eq!(&quote[..error.quoted], b"anyone?");
            assert_eq!(client.next_error(&mut quote).unwrap(), None);
        }
    }

    /// The longest IPv6 datagram does not fit loopback's MTU of 65,536 in one packet.
    #[test]
    fn a_datagram_too_long_is_reported_with_the_mtu() {
        let (server, client) = (bind(V6), bind(V6));
        client.set_error_queue(true).unwrap();
        client.set_path_mtu_discovery(PathMtuDiscovery::Do).unwrap();
        let payload = vec![0; 65_527];
        let parts = [IoSlice::new(&payload)];
        let refused = SendBatch::new(1).send(&client, &[plain(address(&server), &parts)]).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EMSGSIZE));
        let error = next_error(&client, &mut []);
        let lo: u32 = std::fs::read_to_string("/sys/class/net/lo/mtu").unwrap().trim().parse().unwrap();
        assert_eq!((error.errno, error.origin, error.mtu), (libc::EMSGSIZE, ErrorOrigin::Local, Some(lo)));
        assert_eq!(error.destination, Some(address(&server)));
    }
}
