//! R1: every datagram is accounted for, from the socket that sends it to the one that gets the answer.

use std::io::ErrorKind;
use std::net::UdpSocket;

use polyport_tests::kernel::{lost_on_loopback, udp_queue};
use polyport_tests::{DEADLINE, Daemon, scale};

use crate::polyport;

/// Sent without waiting for anything.
const FLOOD: u32 = 100_000;
/// Sent with [`WINDOW`] unanswered at most.
const PACED: u32 = 100_000;
const WINDOW: u32 = 64;

/// What does not arrive is in the kernel's own count of the queue it did not fit: the daemon's for requests,
/// the client's for answers.
#[test]
fn a_flood_is_answered_dropped_with_a_reason_or_counted_by_the_kernel() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let lost = lost_on_loopback();
    let socket = client(&daemon);
    let (mut answers, mut next) = (0, 0);
    let flood = FLOOD * scale();
    for number in 0..flood {
        socket.send(&number.to_be_bytes()).unwrap();
        // Only what is there already: whoever waits for an answer does not flood.
        if number % 64 == 0 {
            socket.set_nonblocking(true).unwrap();
            while take(&socket, &mut next) {
                answers += 1;
            }
            socket.set_nonblocking(false).unwrap();
        }
    }
    daemon.wait_until_drained(0);
    let at_daemon = daemon.queue(0).drops;
    let served = daemon.stop();
    // Whatever left is in the queue by now, or in its count of drops.
    socket.set_nonblocking(true).unwrap();
    while take(&socket, &mut next) {
        answers += 1;
    }
    let at_client = udp_queue("self", socket.local_addr().unwrap().port()).drops;
    let lost = lost_on_loopback() - lost;
    let (received, sent) = (served.received("echo", "received"), served.sent("echo", "sent"));
    assert_eq!(received, served.received("echo", "replied"));
    assert_eq!(received, served.sent("echo", "replies"));
    assert_eq!(served.counted("echo", "drops"), at_daemon, "the closing report has the kernel's count");
    // The interface itself loses nothing, except where the kernel falls far behind; then it says so.
    assert_missing(u64::from(flood), received + at_daemon, lost);
    assert_missing(sent, answers + at_client, lost);
}

#[test]
fn a_paced_stream_is_answered_to_the_last_number_and_in_order() {
    let daemon = polyport().listen("127.0.0.1:0=echo").serve();
    let socket = client(&daemon);
    let (mut next, paced) = (0, PACED * scale());
    for number in 0..paced {
        socket.send(&number.to_be_bytes()).unwrap();
        if number >= next + WINDOW {
            expect(&socket, &mut next);
        }
    }
    while next < paced {
        expect(&socket, &mut next);
    }
    assert_eq!(daemon.queue(0).drops, 0);
    let served = daemon.stop();
    for (what, side) in [("received", 0), ("replied", 0), ("replies", 1), ("sent", 1)] {
        let n = if side == 0 { served.received("echo", what) } else { served.sent("echo", what) };
        assert_eq!(n, u64::from(paced), "{what}: {}", served.line("echo"));
    }
}

#[track_caller]
fn assert_missing(all: u64, found: u64, lost: u64) {
    assert!(found <= all && all - found <= lost, "{all} = {found} + {lost} lost by the interface?");
}

fn client(daemon: &Daemon) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(daemon.addresses()[0]).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Takes an answer that is later than all before it; false when nothing waits.
#[track_caller]
fn take(socket: &UdpSocket, next: &mut u32) -> bool {
    let mut number = [0; 8];
    match socket.recv(&mut number) {
        Ok(4) => {
            let number = u32::from_be_bytes([number[0], number[1], number[2], number[3]]);
            assert!(number >= *next, "{number} came after {next}, again or out of order");
            *next = number + 1;
            true
        }
        Ok(n) => panic!("an answer of {n} bytes"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

/// Takes the answer that is the next one.
#[track_caller]
fn expect(socket: &UdpSocket, next: &mut u32) {
    let expected = *next + 1;
    assert!(take(socket, next), "no answer to {}", *next);
    assert_eq!(*next, expected);
}
