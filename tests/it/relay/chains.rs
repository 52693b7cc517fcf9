//! The relay in front of another listener of the same daemon: a bad network before the responder, and nothing that goes round.

use std::net::SocketAddr;

use polyport_tests::network::Host;
use polyport_tests::process::Process;
use polyport_tests::{Client, ports};

use super::{counted, sessions};
use crate::polyport;

/// A listener with the relay in a file.
fn relay(name: &str, bind: SocketAddr, options: &str, chain: bool) -> String {
    format!(
        "[[listen]]\nname = '{name}'\nbind = '{bind}'\nplugin = 'relay'\nchain = {chain}\noptions = {{ {options} }}\n"
    )
}

/// A client that sends again what is not answered meets a network that loses each tenth datagram, and is answered each time. On a host
/// of its own, so that ports are the same in every run, and with them the losses.
#[test]
fn a_bad_network_stands_in_front_of_the_responder_and_the_books_add_up() {
    const REQUESTS: u64 = 30;
    let Some(host) = Host::alone() else { return };
    let front: SocketAddr = "127.0.0.1:7001".parse().unwrap();
    let options = "to = '127.0.0.1:7000', seed = 7, key = 'order', up.loss = '10%'";
    let text = relay("relay", front, options, false)
        + "[[listen]]\nname = 'responder'\nbind = '127.0.0.1:7000'\nplugin = 'responder'\n";
    let daemon = host.launch(env!("CARGO_BIN_EXE_polyport-under-test")).config(&text).serve();
    let request = |n: u64| {
        let program = env!("CARGO_BIN_EXE_polyport-request-under-test");
        let launch = host.launch(program).args(&["--preset", "lan", &front.to_string()]);
        let mut launch = launch.arg(format!("request {n}"));
        let finished = Process::spawn(launch.command()).finish();
        finished.expect_code(0);
        assert!(finished.stdout.contains(&format!("request {n}")), "{}", finished.stdout);
    };
    (0..REQUESTS).for_each(request);
    let served = daemon.stop();
    let out = &served.finished.stdout;
    let [came, lost] = ["up_datagrams_total", "up_lost_total"].map(|what| counted(&served, what));
    assert!(lost > 0 && came >= REQUESTS + lost, "{out}");
    // From the client to the responder, and back.
    assert_eq!((served.received("relay", "received"), served.received("relay", "on_purpose")), (came, lost));
    assert_eq!(
        (sessions(&served, "sent"), served.received("responder", "received")),
        (came - lost, came - lost)
    );
    let answers = served.sent("responder", "sent");
    assert_eq!(
        (served.received("relay sessions", "received"), served.sent("relay", "sent")),
        (answers, answers)
    );
    assert_eq!(counted(&served, "down_datagrams_total"), answers);
    assert!(answers >= REQUESTS, "{out}");
    assert_eq!(sessions(&served, "opened"), REQUESTS, "{out}");
    let dropped = ["relay", "relay sessions", "responder"].map(|book| served.sent(book, "dropped"));
    assert_eq!(dropped, [0; 3], "{out}");
}

/// By its address as by its name, and whatever the operator allows: one datagram, and then it is quiet.
#[test]
fn a_relay_to_itself_over_another_one_is_refused_at_once() {
    let port = ports::free_range(&[[127, 0, 0, 1].into()], 2, 9600);
    let [a, b] = [0, 1].map(|n| SocketAddr::from(([127, 0, 0, 1], port + n)));
    let to = |address: SocketAddr| format!("to = '{address}'");
    let text = relay("a", a, &to(b), true) + &relay("b", b, &to(a), true);
    let mut daemon = polyport().config(&text).serve();
    Client::of(a).send(b"round and round");
    daemon.process.wait_for_stderr("sessions lead from there back to this listener");
    daemon.process.wait_for_stderr(&format!("upstream {a} is down for 10s: nothing can be sent there"));
    let served = daemon.stop();
    let out = &served.finished.stdout;
    assert_eq!((served.received("a", "received"), served.received("b", "received")), (1, 1), "{out}");
    assert_eq!(served.sent("a sessions", "sent"), 1, "{out}");
    assert_eq!(
        (served.sent("b sessions", "sent"), served.sent("b sessions", "refused_address")),
        (0, 1),
        "{out}"
    );
    assert_eq!(
        (served.counted("b", "refused_upstream_total"), served.counted("b", "failed_total")),
        (1, 1),
        "{out}"
    );
}

/// In front of another relay only with the word of that one.
#[test]
fn a_relay_in_front_of_a_relay_needs_its_word() {
    let port = ports::free_range(&[[127, 0, 0, 1].into()], 3, 9700);
    let [a, b, c] = [0, 1, 2].map(|n| SocketAddr::from(([127, 0, 0, 1], port + n)));
    for chain in [false, true] {
        let text = relay("a", a, &format!("to = '{b}'"), false)
            + &relay("b", b, &format!("to = '{c}'"), chain)
            + &format!("[[listen]]\nname = 'echo'\nbind = '{c}'\nplugin = 'echo'\n");
        let mut daemon = polyport().config(&text).serve();
        let client = Client::of(a);
        if chain {
            (0..5).for_each(|n| client.expect_echo(&[n; 50]));
        } else {
            client.send(b"for nobody");
            daemon.process.wait_for_stderr("`chain = true` in its [[listen]] table allows it");
            daemon
                .process
                .wait_for_stderr(&format!("upstream {b} is down for 10s: nothing can be sent there"));
        }
        let served = daemon.stop();
        let passed = if chain { 5 } else { 0 };
        assert_eq!(
            [served.sent("a", "sent"), served.received("b", "received"), served.sent("echo", "sent")],
            [passed; 3],
            "{}",
            served.finished.stdout
        );
    }
}
