//! What keeps a new daemon from taking over: it says why, and the one that serves goes on as if nothing had happened.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixStream;

use polyport_tests::{Client, DEADLINE, plugins, ports};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Line, ask, pid, range, settled, spec};

#[test]
fn a_new_one_that_cannot_serve_leaves_everything_as_it_was() {
    let (line, place) = (Line::new(), range(10, 2));
    let listen = spec(place, 1, "echo,name=echo");
    let wild = ports::free_range(&[Ipv4Addr::UNSPECIFIED.into()], 1, 700);
    let mut old = line.first().listen(&listen).listen(format!("0.0.0.0:{wild}=discard,name=wild")).serve();
    let client = Client::of((place.0, place.1).into());
    let base = settled(pid(&old));
    // A configuration that is wrong is found before anybody is asked.
    let wrong = line.next().listen(format!("{}:{}=nonsense", place.0, place.1)).refused(78);
    wrong.expect_stderr(&["nonsense"]);
    assert!(!old.process.stderr().contains("takes over"));
    // An address more, which somebody else has.
    let taken = UdpSocket::bind((place.0, place.1 + 1)).unwrap();
    let more = format!("{}:{}=echo,name=more", place.0, place.1 + 1);
    let refused = line.next().listen(&listen).listen(&more).refused(75);
    refused.expect_stderr(&["listener `more`", "Address already in use"]);
    old.process.wait_for_stderr("was given up, everything goes on here: listener `more`");
    drop(taken);
    // A handler that refuses, when all sockets are there.
    let refusing = format!("{}:{}", place.0, place.1 + 1);
    let refusing = format!(
        "{},greeting=hi,lucky=17,name=more",
        plugins::spec(refusing, &plugins::built("fixture-picky"))
    );
    let refused = line.next().listen(&listen).listen(refusing).refused(78);
    refused.expect_stderr(&["17 brings bad luck"]);
    // Groups that the socket cannot be in (`igmp_max_memberships`) are found before it is in any.
    let groups: Vec<_> = (1..=40).map(|n| format!("\"239.9.9.{n} on lo\"")).collect();
    let config = format!(
        "[[listen]]\nname = \"wild\"\nbind = \"0.0.0.0:{}\"\nplugin = \"discard\"\njoin = [{}]\n",
        wild,
        groups.join(", ")
    );
    line.next().config(&config).refused(71).expect_stderr(&["listener `wild`", "cannot join 239.9.9."]);
    client.expect_echo(b"as before");
    assert_eq!(line.serving(DEADLINE), Some(pid(&old)));
    assert_eq!(settled(pid(&old)), base);
    let status = json!({ "jsonrpc": "2.0", "id": 1, "method": "status" });
    let status = ask(&line.control(), DEADLINE, &status).unwrap();
    assert_eq!(status["result"]["control"]["take_overs_given_up"], 3, "{status}");
    assert_eq!(old.stop().received("echo", "replied"), 1);
}

#[test]
fn nobody_is_taken_over_where_nobody_serves() {
    let line = Line::new();
    let refused = line.next().listen("127.0.0.1:0=echo").refused(69);
    refused.expect_stderr(&["no daemon answers on", "start without --take-over"]);
    let refused = polyport_alone(&["run", "--take-over", "--control", "off"]).listen("127.0.0.1:0=echo");
    refused.refused(64).expect_stderr(&["which is `off`"]);
    let by_variables = polyport_alone(&["run"]).env("POLYPORT_TAKE_OVER", "yes");
    let refused = by_variables.env("POLYPORT_CONTROL", line.control()).listen("127.0.0.1:0=echo").refused(69);
    refused.expect_stderr(&["start without --take-over"]);
}

fn polyport_alone(args: &[&str]) -> polyport_tests::Launch {
    crate::polyport().args(args)
}

/// A client that begins to take over, and does what no daemon does.
fn begin(line: &Line, version: u32) -> (BufReader<UnixStream>, Value) {
    let mut stream = UnixStream::connect(line.control()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "take-over", "params": { "version": version } });
    writeln!(stream, "{request}").unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    (stream, serde_json::from_str(&line).unwrap())
}

#[test]
fn one_takes_over_at_a_time_and_nothing_else_is_changed_meanwhile() {
    let (line, place) = (Line::new(), range(11, 1));
    let listen = spec(place, 1, "echo,name=echo");
    let mut old = line.first().listen(&listen).serve();
    let (first, answer) = begin(&line, 1);
    assert_eq!((&answer["result"]["take_over"], &answer["result"]["sockets"]), (&json!(1), &json!(1)));
    line.next().listen(&listen).refused(75).expect_stderr(&["another daemon takes over; ask again later"]);
    let reload = json!({ "jsonrpc": "2.0", "id": 1, "method": "reload" });
    assert_eq!(ask(&line.control(), DEADLINE, &reload).unwrap()["error"]["code"], -32000);
    // A reload by a signal waits until it is over.
    old.process.signal(Signal::HUP);
    drop(first);
    old.process.wait_for_stderr("was given up, everything goes on here: the other daemon has ended");
    old.process.wait_for_stderr("reloaded: nothing has changed");
    let new = line.next().listen(&listen).serve();
    drop(old.ended());
    drop(new.stop());
}

#[test]
fn who_says_what_does_not_belong_there_gets_nothing() {
    let (line, place) = (Line::new(), range(12, 1));
    let mut old = line.first().listen(spec(place, 1, "echo,name=echo")).serve();
    let (_, answer) = begin(&line, 99);
    assert_eq!(answer["error"]["code"], -32010, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("was asked for 99"), "{answer}");
    let client = Client::of((place.0, place.1).into());
    for (nth, said) in
        ["garbage\n", "{\"next\":7}\n", "\"mine\"\n", "\"commit\"\n\"commit\"\n"].iter().enumerate()
    {
        let (mut stream, _) = begin(&line, 1);
        stream.get_mut().write_all(said.as_bytes()).unwrap();
        old.process.wait_for_stderr_times("was given up, everything goes on here", nth + 1);
        client.expect_echo(b"as before");
    }
    assert_eq!(old.stop().received("echo", "replied"), 4);
}

/// Between its last words nobody reads; who dies then has taken nothing.
#[test]
fn who_dies_between_the_last_words_has_taken_nothing() {
    let (line, place) = (Line::new(), range(13, 1));
    let mut old = line.first().listen(spec(place, 1, "echo,name=echo")).serve();
    let client = Client::of((place.0, place.1).into());
    let (mut stream, _) = begin(&line, 1);
    stream.get_mut().write_all(b"\"commit\"\n").unwrap();
    let mut said = String::new();
    stream.read_line(&mut said).unwrap();
    assert_eq!(said, "\"yours\"\n");
    client.send(b"nobody reads it yet");
    assert_eq!(client.receive_within(std::time::Duration::from_millis(200)), None);
    drop(stream);
    assert_eq!(client.receive(), b"nobody reads it yet");
    old.process.wait_for_stderr("was given up, everything goes on here: the other daemon has ended");
    assert_eq!(old.stop().received("echo", "replied"), 1);
}

/// The end of the old one ends the take-over, not the other way round.
#[test]
fn who_is_asked_to_end_hands_nothing_over() {
    let (line, place) = (Line::new(), range(14, 1));
    let mut old = line.first().listen(spec(place, 1, "echo,name=echo")).serve();
    let (mut stream, _) = begin(&line, 1);
    old.process.wait_for_stderr("takes over");
    let served = old.stop_by(Signal::TERM);
    served.finished.expect_stderr(&["was given up, everything goes on here: it ends itself"]);
    let mut said = String::new();
    stream.read_line(&mut said).unwrap();
    assert_eq!(said, "{\"refused\":\"it ends itself\"}\n");
}
