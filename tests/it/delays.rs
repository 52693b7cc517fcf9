//! When delayed answers leave, and how those are counted that find no room until then.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use polyport_tests::process::Process;
use polyport_tests::tool::tool;
use polyport_tests::{Client, plugins, ports};

use crate::polyport;

/// Answers of a test of the clock: without the cure some of a thousand were early.
const BURSTS: usize = 500;
const SIZE: usize = 40;

/// A delay counts from the arrival, however long the turn runs already in which the datagram is received.
#[test]
fn no_answer_leaves_before_its_time() {
    let Some(python) = tool("python3") else { return };
    let script = plugins::repository().join("tests/it/early_client.py");
    for delay_us in [100, 1500] {
        // One that is busy beside it makes turns longer.
        let daemon = polyport()
            .listen(format!("127.0.0.1:0=lossy,delay={delay_us}us,name=exact"))
            .listen("127.0.0.1:0=echo")
            .serve();
        let mut command = Command::new(&python);
        let port = daemon.addresses()[0].port();
        command.arg(&script).arg("127.0.0.1");
        command.args([port.to_string(), delay_us.to_string(), BURSTS.to_string(), SIZE.to_string()]);
        let finished = Process::spawn(&mut command).finish();
        finished.expect_code(0);
        let expected = format!("answered {} early 0 most 0\n", BURSTS * SIZE);
        assert_eq!(finished.stdout, expected, "with {delay_us} us");
        let served = daemon.stop();
        assert_eq!(served.counted("exact", "delayed_total"), (BURSTS * SIZE) as u64);
    }
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

/// The ports of a range have a seed in common, and lose different datagrams of one peer.
#[test]
fn the_ports_of_a_range_do_not_lose_the_same_numbers() {
    let first = ports::free_range(&[Ipv4Addr::LOCALHOST.into()], 4, 700);
    let (last, from) = (first + 2, (Ipv4Addr::LOCALHOST, first + 3).into());
    let answered = |number: usize| -> Vec<u64> {
        let daemon = polyport().listen(format!("127.0.0.1:{first}-{last}=lossy,drop=50%,seed=7")).serve();
        let client = Client::from(from, daemon.addresses()[number]);
        (0..64_u64).for_each(|n| client.send(&n.to_be_bytes()));
        daemon.wait_until_drained(number);
        daemon.stop();
        let answers = std::iter::from_fn(|| client.receive_within(Duration::from_millis(1)));
        answers.map(|answer| u64::from_be_bytes(answer.try_into().unwrap())).collect()
    };
    let ports = [0, 1, 2].map(answered);
    assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2], "{ports:?}");
    assert_eq!([0, 1, 2].map(answered), ports, "with a seed a run repeats");
}
