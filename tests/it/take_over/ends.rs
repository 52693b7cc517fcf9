//! What the daemon that was taken over still does, and what the new one has then.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use polyport_tests::{Client, DEADLINE, wait};
use rustix::process::Signal;
use serde_json::json;

use super::{Line, ask, is_taken_over, pid, range, spec};

/// As both kinds of daemon do it: sandboxed, and not.
#[test]
fn what_is_due_is_still_sent_and_what_comes_is_the_new_ones() {
    const SENT: usize = 20;
    for line in [Line::new(), Line::with(&["--sandbox", "off"])] {
        let place = range(3, 2);
        let listen = spec(place, 1, "lossy,delay=1s,name=far");
        let echo = format!("{}:{}=echo,name=echo", place.0, place.1 + 1);
        let mut old = line.first().listen(&listen).listen(&echo).serve();
        let client = Client::of((place.0, place.1).into());
        (0..SENT).for_each(|_| client.send(b"answered in a second"));
        old.wait_until_drained(0);
        let new = line.next().listen(&listen).listen(&echo).serve();
        is_taken_over(&mut old);
        Client::of((place.0, place.1 + 1).into()).expect_echo(b"of the new one");
        let status = json!({ "jsonrpc": "2.0", "id": 1, "method": "status" });
        let status = ask(&line.control(), DEADLINE, &status).unwrap();
        assert_eq!(status["result"]["pid"], pid(&new), "{status}");
        (0..SENT).for_each(|_| assert_eq!(client.receive(), b"answered in a second"));
        let served = old.ended();
        assert_eq!((served.received("far", "received"), served.sent("far", "sent")), (20, 20));
        assert!(line.control().exists(), "the one before has not removed what is not its own");
        let served = new.stop();
        assert_eq!((served.received("far", "received"), served.received("echo", "replied")), (0, 1));
        assert!(!line.control().exists());
    }
}

#[test]
fn what_waits_in_a_socket_is_served_by_the_new_one() {
    const SENT: usize = 50;
    let (line, place) = (Line::new(), range(4, 1));
    let listen = spec(place, 1, "echo,name=echo");
    let mut old = line.first().listen(&listen).serve();
    // It reads nothing: what comes waits in its socket.
    let quiet = json!({ "jsonrpc": "2.0", "id": 1, "method": "pause", "params": { "listener": "echo" } });
    assert_eq!(ask(&line.control(), DEADLINE, &quiet).unwrap()["result"]["addresses"], 1);
    let client = Client::of((place.0, place.1).into());
    (0..SENT).for_each(|_| client.send(b"waits"));
    let new = line.next().listen(&listen).serve();
    is_taken_over(&mut old);
    (0..SENT).for_each(|_| assert_eq!(client.receive(), b"waits"));
    assert_eq!(old.ended().received("echo", "received"), 0);
    assert_eq!(new.stop().received("echo", "replied"), 50);
}

#[test]
fn the_new_one_may_serve_other_addresses_in_another_way() {
    let (line, place) = (Line::new(), range(5, 3));
    let old = line.first().listen(spec(place, 2, "echo,name=two")).serve();
    let at = |number: u16| Client::of((place.0, place.1 + number).into());
    at(1).expect_echo(b"served before");
    // The first goes, the second is another listener with other settings, the third comes.
    let config = format!(
        "control = \"{}\"\n\n[[listen]]\nname = \"other\"\nbind = \"{ip}:{}\"\nplugin = \"echo\"\ntos = 8\nrecv_buffer = \"64KiB\"\n\
         options = {{ reply = \"length\" }}\n\n[[listen]]\nname = \"more\"\nbind = \"{ip}:{}\"\nplugin = \"echo\"\n",
        line.control().display(),
        place.1 + 1,
        place.1 + 2,
        ip = place.0,
    );
    let new = line.next().config(&config).serve();
    drop(old.ended());
    assert!(at(1).ask(b"four").starts_with(b"Your data"), "by other options");
    at(2).expect_echo(b"new");
    at(0).send(b"nobody");
    assert_eq!(at(0).receive_within(Duration::from_millis(50)), None);
    let served = new.stop();
    assert_eq!((served.received("other", "replied"), served.received("more", "replied")), (1, 1));
    served.finished.expect_stderr(&["1 address is served no more"]);
}

/// A port that the system has chosen is kept.
#[test]
fn any_port_stays_the_same_port() {
    let line = Line::new();
    let old = line.first().listen("127.0.0.1:0=echo").listen("[::1]:0=echo,name=six").serve();
    let before = old.addresses().to_vec();
    let new = line.next().listen("127.0.0.1:0=echo").listen("[::1]:0=echo,name=six").serve();
    assert_eq!(new.addresses(), before);
    drop(old.ended());
    new.client(0).expect_echo(b"four");
    new.client(1).expect_echo(b"six");
    drop(new.stop());
}

#[test]
fn metrics_go_on_at_the_same_address() {
    use std::io::{Read, Write};
    let (line, place) = (Line::new(), range(6, 1));
    let listen = spec(place, 1, "echo,name=echo");
    let free = std::net::TcpListener::bind((place.0, 0)).unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let metrics = at.to_string();
    let old = line.first().args(&["--metrics", &metrics]).listen(&listen).serve();
    let new = line.next().args(&["--metrics", &metrics]).listen(&listen).serve();
    drop(old.ended());
    let mut stream = std::net::TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(new.stop());
}

/// A manager listens to the process that it knows: so that one says which is the next.
#[test]
fn the_service_manager_is_told_of_the_new_process_by_both() {
    let (line, place) = (Line::new(), range(7, 1));
    let listen = spec(place, 1, "echo,name=echo");
    let (of_old, of_new) = (line.dir.path().join("old"), line.dir.path().join("new"));
    let managers = [UnixDatagram::bind(&of_old).unwrap(), UnixDatagram::bind(&of_new).unwrap()];
    let old = line.first().listen(&listen).env("NOTIFY_SOCKET", &of_old).serve();
    let new = line.next().listen(&listen).env("NOTIFY_SOCKET", &of_new).serve();
    let main = format!("MAINPID={}", pid(&new));
    drop(old.ended());
    let told = managers.map(|manager| {
        manager.set_nonblocking(true).unwrap();
        let mut told = Vec::new();
        let mut bytes = [0; 4096];
        wait::until("a message of the daemon", || {
            while let Ok(n) = manager.recv(&mut bytes) {
                told.extend(String::from_utf8_lossy(&bytes[..n]).lines().map(str::to_owned));
            }
            !told.is_empty()
        });
        told
    });
    assert!(told[0].contains(&main) && !told[0].contains(&"STOPPING=1".to_owned()), "{told:?}");
    assert_eq!(told[1][..2], ["READY=1".to_owned(), main], "{told:?}");
    drop(new.stop_by(Signal::TERM));
}

/// Whichever comes first: the sockets of one address that the system chose the ports of are told apart by the names of their listeners.
#[test]
fn a_port_that_the_system_chose_stays_with_its_listener() {
    let line = Line::new();
    let first = line.first().listen("127.0.0.1:0=echo,name=a").listen("127.0.0.1:0=echo,name=b").serve();
    let of_b = first.addresses()[1];
    let second = line.next().listen("127.0.0.1:0=echo,name=b").serve();
    assert_eq!(second.addresses(), [of_b]);
    drop(first.ended());
    Client::of(of_b).expect_echo(b"still of b");
    // Of other names, the one that says the port has it, and not the one that comes first.
    let third = line.next().listen("127.0.0.1:0=echo,name=x").listen(format!("{of_b}=echo,name=y")).serve();
    assert_eq!(third.addresses()[1], of_b);
    assert_ne!(third.addresses()[0], of_b);
    assert_eq!(second.ended().received("b", "replied"), 1);
    Client::of(of_b).expect_echo(b"of y");
    assert_eq!(third.stop().received("y", "replied"), 1);
}

/// How large the buffer of a socket is says what it holds while nobody reads it.
#[test]
fn a_buffer_is_as_the_new_plan_has_it() {
    const SENT: usize = 80;
    const FEW: usize = 10;
    let (line, place) = (Line::new(), range(15, 1));
    let listen = |size: &str| format!("{}:{}=echo,name=echo,recv_buffer={size}", place.0, place.1);
    let call = |method: &str| {
        let params = json!({ "listener": "echo" });
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = ask(&line.control(), DEADLINE, &call).unwrap();
        assert_eq!(answer["result"]["addresses"], 1, "{answer}");
    };
    let held = || {
        let client = Client::of((place.0, place.1).into());
        call("pause");
        (0..SENT).for_each(|_| client.send(&[7; 1000]));
        call("resume");
        let mut held = 0;
        wait::until("what comes behind them is answered", || {
            client.send(b"behind");
            while let Some(answer) = client.receive_within(Duration::from_millis(100)) {
                if answer == b"behind" {
                    return true;
                }
                held += 1;
            }
            false
        });
        held
    };
    let mut daemon = line.first().listen(listen("4KiB")).serve();
    assert!(held() < FEW);
    for (size, holds_all) in [("128KiB", true), ("128KiB", true), ("4KiB", false), ("128KiB", true)] {
        let next = line.next().listen(listen(size)).serve();
        drop(std::mem::replace(&mut daemon, next).ended());
        let held = held();
        assert!(if holds_all { held == SENT } else { held < FEW }, "{size}: {held}");
    }
    drop(daemon.stop());
}

/// The path of the control socket is that of all of them, one after the other, and its owner and mode as well.
#[test]
fn the_control_socket_keeps_its_path_however_often_it_passes_over() {
    use std::os::unix::fs::MetadataExt;
    let (line, place) = (Line::new(), range(16, 1));
    let listen = spec(place, 1, "echo,name=echo");
    let of_path = || {
        let meta = std::fs::symlink_metadata(line.control()).unwrap();
        (meta.ino(), meta.mode() & 0o777, meta.uid())
    };
    let mut daemon = line.first().listen(&listen).serve();
    let first = of_path();
    assert_eq!(first.1, 0o600);
    for _ in 0..3 {
        let next = line.next().listen(&listen).serve();
        drop(std::mem::replace(&mut daemon, next).ended());
        assert_eq!((of_path(), line.serving(DEADLINE)), (first, Some(pid(&daemon))));
    }
    drop(daemon.stop());
    assert!(!line.control().exists(), "the last one removes it");
}
