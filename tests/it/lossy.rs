//! The bad network that `lossy` makes, through real sockets: what repeats and when, both ways, profiles, timelines, the log of
//! decisions, and names of before.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use polyport_tests::Client;

use crate::polyport;

/// The exit code for a configuration that cannot be used.
const CONFIG: i32 = 78;
/// Datagrams whose fate is looked at.
const LOOKED_AT: u64 = 64;

/// Which of the first datagrams of a client, which has a port of its own, are answered. Answers keep their order.
fn answered(server: SocketAddr) -> Vec<u64> {
    const STEP: Duration = Duration::from_millis(50);
    const ATTEMPTS: u64 = 400;
    let client = Client::of(server);
    (0..LOOKED_AT).for_each(|number| client.send(&number.to_be_bytes()));
    let mut answered = Vec::new();
    for number in LOOKED_AT..LOOKED_AT + ATTEMPTS {
        client.send(&number.to_be_bytes());
        while let Some(answer) = client.receive_within(STEP) {
            let answer = u64::from_be_bytes(answer.try_into().unwrap());
            if answer >= LOOKED_AT {
                return answered;
            }
            answered.push(answer);
        }
    }
    panic!("not {ATTEMPTS} are lost in a row");
}

#[test]
fn three_runs_of_a_client_with_three_ports_are_one_pattern() {
    let daemon = polyport()
        .listen("127.0.0.1:0=lossy,loss=50%,seed=7,name=address")
        .listen("127.0.0.1:0=lossy,loss=50%,seed=7,key=endpoint,name=endpoint")
        .listen("127.0.0.1:0=lossy,up.loss=30%,down.loss=30%,seed=7,name=both")
        .serve();
    let runs = |row: usize| [(); 3].map(|()| answered(daemon.addresses()[row]));
    for row in [0, 2] {
        let [first, second, third] = runs(row);
        assert!((8..56).contains(&first.len()), "{first:?}");
        assert_eq!((&first, &first), (&second, &third));
    }
    let [first, second, third] = runs(1);
    assert!(first != second && second != third && first != third);
    let served = daemon.stop();
    let [up, down, dropped] =
        ["up_lost_total", "down_lost_total", "dropped_total"].map(|name| served.counted("both", name));
    assert!(up > 0 && down > 0 && up + down == dropped, "{up} + {down} = {dropped}");
    assert_eq!(served.received("both", "on_purpose"), dropped);
}

/// The lines of a log without the time.
fn decisions(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("ns,client,dir,n,bytes,what,wait_ns"));
    lines.map(|line| line.split_once(',').unwrap().1.to_owned()).collect()
}

#[test]
fn two_runs_have_one_log_of_decisions_and_the_first_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("decisions.csv");
    let port = polyport_tests::ports::free_range(&[[127, 0, 0, 1].into()], 1, 700);
    for run in 0..2 {
        let options = format!("loss=30%,corrupt=30%,down.duplicate=30%,seed=7,decisions={}", path.display());
        let daemon = polyport().listen(format!("127.0.0.1:{port}=lossy,{options}")).serve();
        let client = daemon.client(0);
        (0..200_u32).for_each(|number| client.send(&number.to_be_bytes()));
        // Its datagrams are in the socket before those of another client, one of which is answered.
        Client::of(daemon.addresses()[0]).ask_until_answered(b"eight or more", 10);
        let served = daemon.stop();
        let counted = served.counted("lossy", "log_written_total");
        assert_eq!(
            (counted, served.counted("lossy", "log_lost_total")),
            (decisions(&path).len() as u64, 0),
            "{run}"
        );
    }
    // Of the client that asked last it is not known how often it did.
    let of_client = |name: &str| -> Vec<String> {
        decisions(&dir.path().join(name)).into_iter().filter(|line| line.contains(",4,")).collect()
    };
    let (second, first) = (of_client("decisions.csv"), of_client("decisions.1.csv"));
    assert!(first == second && first.len() > 100, "{}", first.len());
    assert!(first[0].starts_with("127.0.0.1,"), "{}", first[0]);
}

#[test]
fn a_log_where_there_is_no_room_is_told_and_where_there_can_be_none_refused() {
    let mut daemon = polyport().listen("127.0.0.1:0=lossy,loss=50%,seed=7,decisions=/dev/full").serve();
    let client = daemon.client(0);
    client.ask_until_answered(b"x", 20);
    daemon.process.wait_for_stderr("/dev/full cannot be written: No space left on device");
    client.ask_until_answered(b"x", 20);
    assert_eq!(daemon.stop().counted("lossy", "log_written_total"), 0);
    let refused = polyport().listen("127.0.0.1:0=lossy,decisions=/nowhere/a.csv").run();
    assert_ne!(refused.code(), Some(0));
    refused.expect_stderr(&["decisions", "/nowhere/a.csv"]);
}

#[test]
fn a_profile_and_what_overrides_it_are_seen_by_a_client() {
    let daemon = polyport()
        .listen("127.0.0.1:0=lossy,profile=lossy-dc,loss=0%,up.loss=100%,name=dead")
        .listen("127.0.0.1:0=lossy,profile=satellite,up.delay=0ms,down.delay=0ms,name=near")
        .serve();
    let dead = daemon.client(0);
    dead.send(b"into the hole");
    assert_eq!(daemon.client(1).ask(b"through the rate alone"), b"through the rate alone");
    let served = daemon.stop();
    assert_eq!(
        (served.counted("dead", "up_lost_total"), served.counted("near", "down_delayed_total")),
        (1, 1)
    );
}

#[test]
fn names_of_before_are_refused_with_those_of_now_in_the_help() {
    for (option, words, help) in [
        (
            "drop = \"10%\"",
            "refuses the option `drop`: it is called `loss` now",
            "= help: drop = \"2.5%\": Is called loss now",
        ),
        ("hold = \"10ms\"", "refuses the option `hold`", "= help: hold = \"15ms\": Is called late_by now"),
        ("reorder = \"5%\"", "what was called `reorder` before is `late` now", "= help: reorder = "),
    ] {
        let config =
            format!("[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = {{ {option} }}\n");
        for launch in [polyport(), polyport().arg("check")] {
            launch.config(&config).refused(CONFIG).expect_stderr(&["polyport.toml:4:", "^^^", words, help]);
        }
    }
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("a.trace");
    fs::write(&trace, "5\n3\n").unwrap();
    let trace = format!("down.trace = \"{}\"", trace.display());
    for (option, place, words) in [
        ("up = { los = \"5%\" }", "4:20", "did you mean `up.loss`"),
        ("up.loss_gemodel = \"1% 250%\"", "4:31", "number 2, `r`, is `250%`"),
        (
            "timeline = \"1s loss=1%; 2s loss=2%; 3s los=3%\"",
            "4:24",
            "step 3, `3s los=3%`: `los`: there is no option `los`",
        ),
        (&trace, "4:26", "a.trace: line 2: "),
        ("down.rate = \"5\"", "4:25", "a rate needs its unit"),
    ] {
        let config =
            format!("[[listen]]\nbind = \"127.0.0.1:0\"\nplugin = \"lossy\"\noptions = {{ {option} }}\n");
        let refused = polyport().arg("check").config(&config).refused(CONFIG);
        refused.expect_stderr(&[&format!("polyport.toml:{place}"), words]);
    }
}

/// The files are read and the log is written by a handler that may do nothing else.
#[test]
fn files_are_reached_where_rights_are_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::write(at("a.delays"), "1ms\n2ms\n").unwrap();
    fs::write(at("steps"), "# at once\n#0 loss=0%\n#1 loss=100%\n").unwrap();
    fs::create_dir(at("log")).unwrap();
    let options = format!(
        "seed=7,up.delay_trace={},timeline_file={},decisions={}",
        at("a.delays"),
        at("steps"),
        at("log/a.csv")
    );
    let daemon = polyport().listen(format!("127.0.0.1:0=lossy,{options}")).serve();
    let client = daemon.client(0);
    client.expect_echo(b"delayed");
    client.send(b"lost");
    let served = daemon.stop();
    assert_eq!(served.received("lossy", "on_purpose"), 1);
    let log = decisions(&dir.path().join("log/a.csv"));
    assert_eq!(
        log,
        ["127.0.0.1,up,0,7,delayed,1000000", "127.0.0.1,up,1,4,delayed,2000000", "127.0.0.1,only,1,4,lost,0"]
    );
}

/// What `check` passes can be served: in the sandbox, a handler reads the files that options name. A step that names another is
/// refused by both; one that comes back to a file of the options reads it.
#[test]
fn a_step_names_only_files_that_the_sandbox_knows_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("link.trace");
    fs::write(&path, "1\n").unwrap();
    let file = path.display();
    let unknown = format!("127.0.0.1:0=lossy,timeline=#0 loss=0%; #1 trace={file}");
    let why = "a step names only files that an option names too";
    for command in ["check", "run"] {
        let finished = polyport().args(&[command]).listen(&unknown).run();
        assert_ne!(finished.code(), Some(0), "{command}");
        finished.expect_stderr(&["timeline", "step 2, `#1 trace=", why]);
    }
    let known = format!("127.0.0.1:0=lossy,trace={file},timeline=#0 trace=none; #3 trace={file}");
    polyport().args(&["check"]).listen(&known).run().expect_code(0);
    let daemon = polyport().listen(&known).serve();
    let client = daemon.client(0);
    (0..5).for_each(|_| client.expect_echo(b"x"));
    assert_eq!(daemon.stop().counted("lossy", "delayed_total"), 2);
}
