//! The load tester on a link that is slower than its rate: what cannot leave is said, and used for nothing else.

use std::process::Command;

use polyport_tests::Launch;
use polyport_tests::process::Process;
use polyport_tests::tool::{root, tool};
use serde_json::Value;

use crate::polyport;

/// Starts `$0 "$@"` in a network of its own, whose loopback carries 2 Mbit/s: 500 octets take 2 ms, so that a fraction
/// of 3000 a second can leave, and the rest waits in the send buffer until that is full.
const SLOW_LINK: &str = "ip link set lo up \
    && tc qdisc add dev lo root tbf rate 2mbit burst 3k limit 4m \
    && exec \"$0\" \"$@\"";

/// The daemon behind the slow link; none without the tools and the right for one.
fn behind_a_slow_link() -> Option<Launch> {
    for name in ["ip", "tc", "nsenter"] {
        tool(name)?;
    }
    let unshare = tool("unshare")?;
    root("a network namespace with a slow link").then(|| {
        let launch = polyport().replaced_by(unshare).arg("--net").arg("sh").arg("-c").arg(SLOW_LINK);
        launch.arg(env!("CARGO_BIN_EXE_polyport-under-test"))
    })
}

#[test]
fn what_a_slow_link_does_not_take_is_not_sent_and_answers_keep_their_meaning() {
    let Some(launch) = behind_a_slow_link() else { return };
    let daemon = launch.listen("127.0.0.1:0=echo,name=slow,recv_buffer=4MiB").serve();
    let mut command = Command::new("nsenter");
    command.arg("--target").arg(daemon.process.pid().as_raw_nonzero().to_string()).arg("--net");
    command.arg(env!("CARGO_BIN_EXE_polyport-load-under-test")).arg(daemon.addresses()[0].to_string());
    command.args(["--raw-echo", "--rate", "3000/s", "--duration", "2s", "--warmup", "0s", "--no-handshake"]);
    command.args(["--payload", "400", "--timeout", "300ms", "--drain", "6s", "--json", "--quiet"]);
    let finished = Process::spawn(&mut command).finish();
    finished
        .expect_code(0)
        .expect_stderr(&["the rate was missed: asked 3000/s, achieved ", "the send buffer was full "]);
    let tester: Value = serde_json::from_str(&finished.stdout).unwrap();
    let served = daemon.stop();

    let count = |name: &str| tester["counts"][name].as_u64().unwrap();
    assert!(tester["local"]["send_eagain"].as_u64() > Some(0), "the send buffer never was full");
    assert_eq!(count("planned"), 6000);
    assert!(count("not_sent_behind") > 0 && count("not_sent") == count("not_sent_behind"));
    assert_eq!(count("planned"), count("sent") + count("not_sent"));
    assert_eq!(served.received("slow", "received"), count("sent"), "all that left arrived");
    // Answers are slow on such a link: late, but known for what they are.
    assert!(count("late") > 0);
    assert_eq!(count("received"), count("ok") + count("late"));
}
