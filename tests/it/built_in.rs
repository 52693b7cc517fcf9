//! What the program has built in: it serves where no library is found, and behaves as a library does.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use polyport::apply::{BuiltIn, Running, Sources, final_report, prepare};
use polyport::config;
use polyport_plugin::prelude::*;
use polyport_tests::plugins::{Bytes, built};
use polyport_tests::ports::DefaultPorts;
use polyport_tests::{Client, Launch, wait};
use tempfile::TempDir;

use crate::polyport;

/// How long an answer may take that comes, and one that does not.
const SOON: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_millis(1);

/// A copy of the executable alone.
fn copy() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("polyport");
    // By another process: a file that this one has open for writing cannot be started while another test forks.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_polyport-under-test")).arg(&program).status();
    assert!(copied.unwrap().success());
    (dir, program)
}

/// C19, and what `cargo install` leaves: an executable without libraries.
#[test]
fn a_copy_of_the_executable_alone_serves_the_default_configuration() {
    let Some(ports) = DefaultPorts::take() else { return };
    let (_dir, program) = copy();
    let daemon = ports.launch(&program).serve();
    let table = daemon.process.stdout();
    for name in ["echo", "lossy", "listener", "responder"] {
        assert!(table.contains(&format!("\n  {name} (built in): ")), "{table}");
    }
    let addresses = daemon.addresses().to_vec();
    let [echo, length, lossy, listener] = ports.inside(|| [0, 2, 3, 4].map(|row| Client::of(addresses[row])));
    listener.send(b"heard");
    echo.expect_echo(b"built in");
    assert_eq!(length.ask(b"four"), b"Your data was 4 bytes long");
    assert_eq!(lossy.ask_until_answered(b"12345", 10), b"Your data was 5 bytes long");
    let served = daemon.stop();
    assert_eq!(served.counted("listener", "datagrams_total"), 1);
    assert!(
        served.finished.stderr.contains("served by responder 0.1.0, built in\n"),
        "{}",
        served.finished.stderr
    );
}

#[test]
fn check_says_where_each_plugin_comes_from() {
    let (_dir, program) = copy();
    let finished = Launch::new(&program).arg("check").run();
    let alone = "ok: 6 listeners on 7 addresses\n  configuration: built-in default\n  echo 0.1.0: built in\n  listener 0.1.0: built in\n  lossy 0.1.0: \
                 built in\n  responder 0.1.0: built in\n";
    assert_eq!(finished.expect_code(0).stdout, alone);
    let finished = polyport().arg("check").listen("127.0.0.1:0=echo").run();
    assert!(finished.expect_code(0).stdout.contains("/libpolyport_echo.so\n"), "{}", finished.stdout);
}

/// Also one that is refused: what somebody has put there is not passed over in silence.
#[test]
fn a_library_that_is_found_goes_before_what_is_built_in() {
    let (_dir, program) = copy();
    let plugins = tempfile::tempdir().unwrap();
    let file = plugins.path().join("libpolyport_echo.so");
    Bytes::of("echo").identity_with(72, b"9.9.9\0").write(&file);
    let launch = || Launch::new(&program).arg("--plugin-dir").arg(plugins.path()).listen("127.0.0.1:0=echo");
    let daemon = launch().listen("127.0.0.1:0=lossy,loss=0%").serve();
    daemon.client(0).expect_echo(b"from a library");
    daemon.client(1).expect_echo(b"built in");
    let table = daemon.process.stdout();
    assert!(table.contains("\n  echo: ") && table.contains("\n  lossy (built in): "), "{table}");
    let logged = daemon.stop().finished.stderr;
    assert!(logged.contains("served by echo 9.9.9\n"), "{logged}");
    Bytes::of("echo").identity_with(16, &2_u16.to_ne_bytes()).write(&file);
    launch().refused(78).expect_stderr(&["/libpolyport_echo.so cannot be loaded", "plugin ABI 2."]);
}

/// One message when something is missing, not one a listener; C20: it is looked for once a name.
#[test]
fn what_is_missing_is_told_once_however_many_name_it() {
    let table = |name: usize, plugin: &str| {
        format!(
            "[[listen]]\nname = \"n{name}\"\nbind = \"127.0.0.1:{}\"\nplugin = \"{plugin}\"\n",
            1024 + name
        )
    };
    let many: String =
        (0..2000).map(|name| table(name, if name % 2 == 0 { "ehco" } else { "./none.so" })).collect();
    let finished = polyport().arg("check").config(&many).run();
    let text = &finished.expect_code(78).stderr;
    assert_eq!(text.matches("error: ").count(), 2, "{text}");
    finished.expect_stderr(&[
        "error: listener `n0` and 999 more: the plugin cannot be found",
        "built in are discard, echo, listener, lossy, relay, responder, stamp; there is a plugin `echo`",
        "error: listener `n1` and 999 more: the plugin ",
        "/none.so cannot be loaded",
    ]);
}

/// The tables that libraries export and those that are linked in are the same, so the host treats them alike.
#[test]
fn what_is_built_in_is_what_the_libraries_have() {
    let libraries = ["discard", "echo", "listener", "lossy", "relay", "responder", "stamp"];
    assert_eq!(polyport_shipped::PLUGINS.len(), libraries.len());
    for (table, name) in polyport_shipped::PLUGINS.iter().zip(libraries) {
        let file = std::fs::read(built(name)).unwrap();
        let identity = Bytes(file.clone()).identity();
        for (at, field) in
            [(32, &table.ident.name[..]), (72, &table.ident.version), (152, &table.ident.about)]
        {
            assert_eq!(file[identity + at..][..field.len()], *field, "{name}");
        }
        assert!(table.ident.name.starts_with(name.as_bytes()) && table.ident.name[name.len()] == 0);
    }
}

/// Echoes, and panics when it is told to.
#[derive(Debug)]
struct Jumpy;

impl Handler for Jumpy {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        for datagram in batch {
            assert_ne!(datagram.payload(), b"boom", "as the payload asks");
            datagram.echo();
        }
    }
}

describe_plugin!(Jumpy, "jumpy", "An echo that panics when it is told to");

static JUMPY: polyport_abi::pp_plugin = PLUGIN;
static BUILT_IN: [&polyport_abi::pp_plugin; 1] = [&JUMPY];

/// I4 holds without a library between: the handler shares the program's standard library, and so its panics.
#[test]
fn a_handler_that_is_built_in_and_panics_costs_only_its_own_listener() {
    let listen = ["jumpy", "jumpy,name=calm"].map(|rest| format!("127.0.0.1:0={rest}"));
    let built_in: BuiltIn = &BUILT_IN;
    let sources = Sources { built_in, ..Sources::default() };
    let prepared = prepare(config::from_listen_args(&listen), &sources);
    let prepared = prepared.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let mut running = Running::start(prepared).unwrap_or_else(|e| panic!("{}", e.problems.render(false)));
    let clients: Vec<_> = running.reactor.reports().map(|report| Client::of(report.local)).collect();
    // What was sent over loopback has arrived when the call returns, so a turn finds it, and its answer after the turn.
    let mut ask = |client: &Client, text: &[u8], wait: Duration| {
        client.send(text);
        running.reactor.turn().unwrap();
        client.receive_within(wait)
    };
    assert_eq!(ask(&clients[0], b"before", SOON), Some(b"before".to_vec()));
    assert_eq!(ask(&clients[0], b"boom", AT_ONCE), None);
    assert_eq!(ask(&clients[1], b"calm", SOON), Some(b"calm".to_vec()));
    wait::until("the handler that is made again", || ask(&clients[0], b"again", AT_ONCE).is_some());
    let report = final_report(&running);
    assert!(report.contains("handler faults 1, restarts 1") && report.contains("poison 1"), "{report}");
}
