//! The responder against a client that was written from the specification alone, in another language.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use polyport_tests::plugins;
use polyport_tests::ports::DefaultPorts;
use polyport_tests::process::{Finished, Process};
use polyport_tests::tool::tool;

use crate::polyport;

const SECRET: &str = "101112131415161718191a1b1c1d1e1f";
const SIP: &str = "000102030405060708090a0b0c0d0e0f";
const HMAC: &str = "6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b";
/// Checks the client makes of each responder.
const CHECKS: usize = 14;

#[test]
fn a_client_from_the_specification_agrees_with_every_service() {
    let Some(python) = tool("python3") else { return };
    let mut launch = polyport();
    for service in ["echo", "time", "upper", "sum"] {
        launch = launch
            .listen(format!("127.0.0.1:0=responder,name={service},service={service},cookie_secret={SECRET}"));
    }
    let daemon = launch.serve();
    for (row, service) in ["echo", "time", "upper", "sum"].into_iter().enumerate() {
        agrees(&peer(&python, daemon.addresses()[row], &["--service", service, "--cookie-secret", SECRET]));
    }
    let served = daemon.stop();
    for service in ["echo", "time", "upper", "sum"] {
        assert_eq!(served.sent(service, "dropped"), 0, "{}", served.line(service));
    }
}

#[test]
fn with_a_key_it_agrees_as_well_and_without_it_hears_nothing() {
    let Some(python) = tool("python3") else { return };
    let daemon = polyport()
        .listen(format!("127.0.0.1:0=responder,name=sip,service=time,auth=siphash,key={SIP}"))
        .listen(format!("[::1]:0=responder,name=hmac,auth=hmac,key={HMAC},key_id=2"))
        .serve();
    agrees(&peer(&python, daemon.addresses()[0], &["--service", "time", "--key", SIP]));
    agrees(&peer(&python, daemon.addresses()[1], &["--key", HMAC]));
    let served = daemon.stop();
    assert!(served.received("sip", "on_purpose") > 0, "{}", served.line("sip"));
}

#[test]
fn the_default_configuration_has_a_responder() {
    let Some(python) = tool("python3") else { return };
    let Some(ports) = DefaultPorts::take() else { return };
    let daemon = ports.launch(env!("CARGO_BIN_EXE_polyport-under-test")).serve();
    let responder = daemon.addresses().iter().copied().find(|address| address.port() == 1063);
    let responder = responder.expect("a listener on port 1063");
    agrees(&ports.inside(|| peer(&python, responder, &[])));
}

/// The client can fail: asked about another service, it disagrees.
#[test]
fn the_client_notices_a_difference() {
    let Some(python) = tool("python3") else { return };
    let daemon = polyport().listen("127.0.0.1:0=responder,service=upper").serve();
    let finished = peer(&python, daemon.addresses()[0], &["--service", "sum"]);
    finished.expect_code(1).expect_stderr(&["payload b'1 2 3', expected b'6'"]);
}

pub(crate) fn peer(python: &Path, responder: SocketAddr, options: &[&str]) -> Finished {
    let script = plugins::repository().join("tests/it/ppt_peer.py");
    let (ip, port) = (responder.ip().to_string(), responder.port().to_string());
    let mut command = Command::new(python);
    // A test leaves nothing behind in the source tree.
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).args([&ip, &port]).args(options);
    Process::spawn(&mut command).finish()
}

#[track_caller]
pub(crate) fn agrees(finished: &Finished) {
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout, finished.stderr);
    let checked = finished.stdout.lines().filter(|line| line.starts_with("ok ")).count();
    assert_eq!(checked, CHECKS, "{}", finished.stdout);
}

#[test]
fn a_secret_option_is_not_printed() {
    let key = SIP;
    let daemon =
        polyport().listen(format!("127.0.0.1:0=responder,auth=siphash,key={key},service=upper")).serve();
    let served = daemon.stop();
    let everything = format!("{}{}", served.finished.stdout, served.finished.stderr);
    assert!(everything.contains("key=(secret)") && everything.contains("service=upper"), "{everything}");
    assert!(!everything.contains(key), "{everything}");
}

/// A problem is shown with its whole line, and an address in use is the most usual one.
#[test]
fn a_secret_option_is_not_printed_beside_a_problem_either() {
    let secret = "5ec2e75ec2e7";
    let beside = format!("127.0.0.1:0=responder,cookie_secret={secret},servce=echo");
    let wrong =
        format!("[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"responder\"\noptions.key = {}\n", 5_777_777);
    for launch in [polyport().listen(beside), polyport().config(&wrong)] {
        let refused = launch.refused(78);
        assert!(refused.stderr.contains("***"), "{}", refused.stderr);
        assert!(
            !refused.stderr.contains(secret) && !refused.stderr.contains("5777777"),
            "{}",
            refused.stderr
        );
    }
}
