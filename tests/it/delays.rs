//! When delayed answers leave, and how those are counted that find no room until then.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use polyport_tests::{Client, plugins, ports};

use crate::polyport;

/// A delay counts from the arrival, however long the turn runs already in which the datagram is received. Here the turn
/// begins with a handler that takes 50 ms, and the datagrams come meanwhile.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long an answer waits is what is tested")]
fn no_answer_leaves_before_its_time() {
    const DELAY: Duration = Duration::from_millis(20);
    const ROUNDS: usize = 3;
    const EACH: usize = 11;
    const ANSWERS: usize = ROUNDS * EACH;
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = plugins::compile_c(&plugins::fixture("slow"), &[], dir.path(), "slow") else {
        return;
    };
    let daemon = polyport()
        .listen(plugins::spec("127.0.0.1:0", &library))
        .listen("127.0.0.1:0=lossy,delay=20ms,name=exact")
        .serve();
    let (slow, exact) = (daemon.client(0), &daemon.client(1));
    std::thread::scope(|scope| {
        let receive = || {
            let answer = usize::from_be_bytes(exact.receive().try_into().unwrap());
            (answer, Instant::now())
        };
        let receiver = scope.spawn(move || std::iter::repeat_with(receive).take(ANSWERS).collect::<Vec<_>>());
        let mut sent = Vec::new();
        let mut send = || {
            // Before it is sent: it can only arrive later.
            sent.push(Instant::now());
            exact.send(&(sent.len() - 1).to_be_bytes());
        };
        for _ in 0..ROUNDS {
            // Both wait when the turn begins, so both are visited in it.
            daemon.process.freeze();
            slow.send(b"takes its time");
            send();
            daemon.process.thaw();
            for _ in 1..EACH {
                std::thread::sleep(Duration::from_millis(4));
                send();
            }
            drop(slow.receive());
        }
        for (answer, at) in receiver.join().unwrap() {
            // The answer had left when it was received.
            let waited = at.duration_since(sent[answer]);
            assert!(waited >= DELAY, "answer {answer} after {waited:?}");
        }
    });
    assert_eq!(daemon.stop().counted("exact", "answered_total"), ANSWERS as u64);
}

/// What the store has no room for was not answered, and the handler says so.
#[test]
fn answered_is_what_found_room_to_wait() {
    const STORE: usize = 100;
    const SENT: usize = 150;
    let daemon = polyport()
        .config(&format!(
            "[limits]\ndelayed_datagrams = {STORE}\n\n[[listen]]\nname = \"far\"\nbind = \"127.0.0.1:0\"\n\
             plugin = \"lossy\"\noptions = {{ delay = \"60s\" }}\nrecv_buffer = \"4MiB\"\n"
        ))
        .serve();
    let client = daemon.client(0);
    (0..SENT).for_each(|_| client.send(b"is answered in a minute, or not at all"));
    daemon.wait_until_drained(0);
    let served = daemon.stop();
    assert_eq!(served.received("far", "received"), SENT as u64);
    assert_eq!((served.sent("far", "stopping"), served.sent("far", "delay_full")), (STORE as u64, 50));
    let counted =
        ["datagrams_total", "answered_total", "no_room_total"].map(|name| served.counted("far", name));
    assert_eq!(counted, [SENT as u64, STORE as u64, 50]);
    served.finished.expect_stderr(&["listener far", "delay_full"]);
}

/// A listener whose datagrams for later answer nothing is told of its share as well, while others are active.
#[test]
fn room_to_wait_is_told_to_who_answers_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = plugins::compile_c(&plugins::fixture("later"), &[], dir.path(), "later") else {
        return;
    };
    let listen = format!("\n[[listen]]\nbind = '127.0.0.1:0'\nplugin = '{}'\n", library.display());
    let limit = "[limits]\ndelayed_datagrams = 8\n";
    let daemon = polyport().config(&[limit, &listen, &listen].concat()).serve();
    let told = |number| daemon.client(number).ask(b"?");
    assert_eq!(told(0), b"room");
    let shares = [b"room", b"room", b"none"];
    assert_eq!([(); 3].map(|()| told(1)), shares, "a quarter of eight");
    drop(daemon.stop());
}

/// Ports that have a seed in common, as those of a range do, lose different datagrams of one peer.
#[test]
fn ports_with_one_seed_do_not_lose_the_same_numbers() {
    let first = ports::free_range(&[Ipv4Addr::LOCALHOST.into()], 4, 700);
    let from = (Ipv4Addr::LOCALHOST, first + 3).into();
    let answered = |number: usize| -> Vec<u64> {
        let ports = first..first + 3;
        let listen = |port: u16| format!("127.0.0.1:{port}=lossy,loss=50%,seed=7");
        let daemon = ports.fold(polyport(), |launch, port| launch.listen(listen(port))).serve();
        let client = Client::from(from, daemon.addresses()[number]);
        (0..64_u64).for_each(|n| client.send(&n.to_be_bytes()));
        daemon.wait_until_drained(number);
        drop(daemon.stop());
        let answers = std::iter::from_fn(|| client.receive_within(Duration::from_millis(1)));
        answers.map(|answer| u64::from_be_bytes(answer.try_into().unwrap())).collect()
    };
    let ports = [0, 1, 2].map(answered);
    assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2], "{ports:?}");
    assert_eq!([0, 1, 2].map(answered), ports, "with a seed a run repeats");
}
