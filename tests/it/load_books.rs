//! Loads that nobody answers: what `polyport-load --expect nothing` sent against what the daemon counted, asked over its control socket.

use std::process::Command;

use polyport_tests::process::{Finished, Process};
use polyport_tests::{Daemon, Launch};
use serde_json::Value;

use crate::polyport;

fn launch() -> Launch {
    polyport()
}

/// A daemon with a control socket of its own, in its directory.
fn serve(listen: &[&str]) -> (Daemon, String) {
    let launch = launch();
    let socket = launch.dir().join("control.sock").display().to_string();
    let launch = listen.iter().fold(launch.args(&["--control", &socket]), Launch::listen);
    (launch.serve(), socket)
}

fn run(targets: &[String], socket: &str, more: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-load-under-test"));
    command.args(targets).args(["--expect", "nothing", "--books", socket]);
    command.args("--rate 1000/s -d 200ms -q --drain 500ms".split(' ')).args(more.split_ascii_whitespace());
    Process::spawn(&mut command).finish()
}

fn json(finished: &Finished) -> Value {
    serde_json::from_str(finished.stdout.lines().next().unwrap_or_default()).expect("one JSON object")
}

#[track_caller]
fn expect(table: &Value, wanted: &[(&str, u64)]) {
    for (name, count) in wanted {
        assert_eq!(table[name], *count, "{name} of {table:#}");
    }
}

#[test]
fn what_a_listener_heard_is_compared_with_what_was_sent() {
    let (daemon, socket) = serve(&["127.0.0.1:0=listener,name=ears", "[::1]:0=listener,name=more"]);
    let targets: Vec<String> = daemon.addresses().iter().map(ToString::to_string).collect();
    for (round, more) in ["--json", "--json --threads 2 --flows 3", "--json --size 500"].iter().enumerate() {
        let finished = run(&targets, &socket, &format!("{more} --threshold loss<1%"));
        let told = json(finished.expect_code(0));
        expect(&told["counts"], &[("planned", 200), ("sent", 200), ("ok", 200), ("lost", 0)]);
        for (address, name) in told["books"]["addresses"].as_array().unwrap().iter().zip(["ears", "more"]) {
            assert_eq!(address["listener"], name, "round {round}");
            let wanted = [("sent", 100), ("received", 100), ("arrived", 100), ("lost_in_network", 0)];
            expect(address, &wanted);
        }
        assert_eq!(told["books"]["doubts"], Value::Array(Vec::new()));
    }
    let served = daemon.stop();
    assert_eq!((served.received("ears", "received"), served.received("more", "received")), (300, 300));
}

/// A list of who may talk lets nobody in: all of it is lost in the daemon, and a threshold sees it.
#[test]
fn what_a_daemon_drops_is_lost_there() {
    let (daemon, socket) =
        serve(&["127.0.0.1:0=listener,name=ears,listen.deny=127.0.0.0/8", "127.0.0.1:0=listener,name=open"]);
    let targets: Vec<String> = daemon.addresses().iter().map(ToString::to_string).collect();
    let finished = run(&targets, &socket, "--json --threshold loss<1%");
    let told = json(finished.expect_code(99));
    expect(&told["counts"], &[("sent", 200), ("ok", 100), ("lost", 100), ("lost_up", 100)]);
    expect(&told["books"]["addresses"][0], &[("received", 100), ("arrived", 0), ("lost_in_network", 0)]);
    expect(&told["books"]["addresses"][0]["dropped"], &[("source_denied", 100)]);
    let shown = run(&targets, &socket, "--threshold loss<=50%");
    let text = &shown.expect_code(0).stdout;
    let line = format!(
        " books   ears {}: sent 100, received 100, arrived 0; lost in the network 0, in its kernel 0, source_denied 100",
        targets[0]
    );
    assert!(text.contains(&line), "{text}");
    run(&targets[..1], &socket, "").expect_code(69).expect_stderr(&["nothing arrived of 200 sent"]);
    drop(daemon.stop());
}

#[test]
fn books_that_cannot_be_had_are_named() {
    let (daemon, socket) = serve(&["127.0.0.1:0=listener,name=ears"]);
    let target = daemon.addresses()[0].to_string();
    let elsewhere = ["127.0.0.1:1".to_owned()];
    run(&elsewhere, &socket, "")
        .expect_code(65)
        .expect_stderr(&["serves no `127.0.0.1:1`; it serves 127.0.0.1:"]);
    let nowhere = format!("{socket}.not");
    run(std::slice::from_ref(&target), &nowhere, "")
        .expect_code(69)
        .expect_stderr(&["no daemon answers at the control socket"]);
    let refused = |more: &[&str], told: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyport-load-under-test"));
        command.args([&target, "--expect", "nothing"]).args(more);
        Process::spawn(&mut command).finish().expect_code(64).expect_stderr(&[told]);
    };
    refused(&["--books", &socket, "--in-flight", "5"], "--in-flight waits for answers");
    refused(&["--books", &socket, "--find-max", "loss<1%"], "--find-max");
    refused(&[], "--books SOCKET");
    drop(daemon.stop());
}
