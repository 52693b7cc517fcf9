//! What strangers make a daemon keep is bounded, and none of its listeners keeps it at the cost of the others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use polyport_protocol::{Decoder, Encoder, Header, Kind, Role};
use polyport_tests::plugins::{compile_c, fixture};
use polyport_tests::strangers::Strangers;
use polyport_tests::{Client, Launch, ports, scale};

use crate::polyport;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Forged datagrams between two questions of an honest client, which wait until they are served: no more than a
/// receive queue holds.
const BURST: u32 = 64;

/// A6: answers that wait for a minute leave room for those that wait for milliseconds.
#[test]
fn a_flood_of_delayed_answers_leaves_the_others_theirs() {
    const FLOOD: usize = 90_000;
    let daemon = polyport()
        .listen("127.0.0.1:0=lossy,name=flooded,delay=60s")
        .listen("127.0.0.1:0=lossy,name=quick,delay=20ms")
        .listen("127.0.0.1:0=listener,name=acks,ack=true,leisure=1ms")
        .serve();
    let [flood, quick, acks] = [0, 1, 2].map(|row| daemon.client(row));
    for n in 0..FLOOD {
        flood.send(b"t");
        if n % BURST as usize == 0 {
            // Its answer needs the delayed store as well.
            assert_eq!(acks.ask(b"between"), b"ack", "after {n}");
        }
    }
    for n in 0..10 {
        quick.expect_echo(format!("still there {n}").as_bytes());
        assert_eq!(acks.ask(b"and here"), b"ack");
    }
    let served = daemon.stop();
    let (kept, full) = (served.sent("flooded", "stopping"), served.sent("flooded", "delay_full"));
    assert!(full > 0 && kept <= 65_536, "{}", served.line("flooded"));
    for name in ["quick", "acks"] {
        assert_eq!(served.sent(name, "delay_full"), 0, "{}", served.line(name));
    }
    // One line a minute.
    let said = served.finished.stderr.matches(" dropped (delay_full): ").count();
    assert!((1..=5).contains(&said), "{}", served.finished.stderr);
}

/// A5: forged requests to twenty responders in 288 MiB of address space, and a client that goes on asking all of them. The
/// executable of a debug build, with all handlers built in, takes a fifth of that.
#[test]
fn responders_in_little_memory_go_on_serving_under_a_forged_flood() {
    const RESPONDERS: u16 = 20;
    const SPACE_MIB: u32 = 288;
    let rounds = 80 * scale();
    let first = ports::free_range(&[LOCALHOST], RESPONDERS, 7000);
    let listen = format!("127.0.0.1:{first}-{}=responder,name=all", first + RESPONDERS - 1);
    let daemon = in_address_space(polyport().listen(listen), SPACE_MIB << 10).serve();
    let all: Vec<SocketAddr> = (first..first + RESPONDERS).map(|port| (LOCALHOST, port).into()).collect();
    let honest: Vec<Client> = all.iter().map(|to| Client::of(*to)).collect();
    let mut strangers = Strangers::new(1 << 20);
    let mut id = 0;
    for round in 0..rounds {
        for (to, client) in all.iter().zip(&honest) {
            for _ in 0..BURST {
                id += 1;
                strangers.send(*to, &request(id, b"forged"));
            }
            id += 1;
            client.send(&request(id, b"honest"));
            let reply = client.receive();
            let reply = Decoder::new(Role::Client).decode(&reply).unwrap();
            let (kind, asked) = (reply.header().kind, reply.header().request_id);
            assert_eq!(
                (kind, asked, reply.payload()),
                (Kind::Response, u64::from(id), &b"honest"[..]),
                "round {round}"
            );
        }
    }
    let served = daemon.stop();
    let (held, refused) =
        (served.counted("all", "memory_held_bytes"), served.counted("all", "memory_refused_total"));
    let quarter = u64::from(SPACE_MIB) << 18;
    assert!(held > quarter / 2 && held <= quarter, "{held} bytes of a quarter of the address space");
    assert!(refused > 0, "the flood was too small to show anything: {held} bytes");
    assert_eq!(served.counted("all", "executed_total"), u64::from(id));
    let said = served.finished.stderr.matches("no more memory for what the handler keeps").count();
    assert!((1..=usize::from(RESPONDERS)).contains(&said), "{}", served.finished.stderr);
}

/// A13: listeners that report about thousands of forged senders do not hold up a neighbour.
#[test]
fn reports_about_many_senders_leave_the_neighbour_its_answers() {
    const LISTENERS: u16 = 10;
    const SENDERS: u32 = 3_000;
    let first = ports::free_range(&[LOCALHOST], LISTENERS, 7100);
    let daemon = polyport()
        .listen("127.0.0.1:0=echo,name=neighbour")
        .listen(format!("127.0.0.1:{first}-{}=listener,name=all,report=1s", first + LISTENERS - 1))
        .serve();
    let mut daemon = daemon;
    let (neighbour, mut strangers) = (daemon.client(0), Strangers::new(1 << 20));
    for port in first..first + LISTENERS {
        for n in 0..SENDERS {
            strangers.send((LOCALHOST, port).into(), b"heard");
            if n % BURST == 0 {
                neighbour.expect_echo(b"a question in between");
            }
        }
    }
    daemon.process.wait_for_stderr_times("heard ", usize::from(LISTENERS));
    neighbour.expect_echo(b"and afterwards");
    let served = daemon.stop();
    assert_eq!(served.counted("all", "senders"), u64::from(LISTENERS) * u64::from(SENDERS));
    assert_eq!(served.counted("all", "datagrams_total"), u64::from(LISTENERS) * u64::from(SENDERS));
}

/// A15: the seed of a configuration is no secret, so it makes none.
#[test]
fn two_daemons_with_one_seed_have_different_cookies() {
    let cookie = || {
        let config = "seed = 42\n[[listen]]\nname = 'time'\nbind = '127.0.0.1:0'\nplugin = 'responder'\n\
                      options = { service = 'time' }\n";
        let daemon = polyport().config(config).serve();
        let mut buffer = [0; 128];
        let room = polyport_protocol::FrameOption::Room(&[0; 16]);
        let header = Header::new(Kind::Request, 7, 9, 0, 0);
        let len = Encoder::new(&mut buffer, &header).option(&room).finish().unwrap();
        let reply = daemon.client(0).ask(&buffer[..len]);
        let reply = Decoder::new(Role::Client).decode(&reply).unwrap().options().cookie();
        let stderr = daemon.stop().finished.stderr;
        assert!(!stderr.contains("warn"), "{stderr}");
        // The time is in the first half; who was asked, and from where, is in the hash: here it is all but the secret.
        reply.expect("a cookie").0
    };
    assert_ne!(cookie()[8..], cookie()[8..]);
}

/// A configured budget holds, and one that the system cannot give is refused by nobody but the handlers.
#[test]
fn the_budget_of_the_configuration_holds() {
    let config = "[limits]\nhandler_bytes = '1MiB'\n[[listen]]\nname = 'lossy'\nbind = '127.0.0.1:0'\nplugin = 'lossy'\n\
                  options = { mtu = 1400 }\n";
    let daemon = polyport().config(config).serve();
    let (honest, mut strangers) = (daemon.client(0), Strangers::new(1 << 20));
    for n in 0..20_000 {
        strangers.send(daemon.addresses()[0], b"another one");
        if n % BURST == 0 {
            honest.expect_echo(b"honest");
        }
    }
    let served = daemon.stop();
    let held = served.counted("lossy", "memory_held_bytes");
    assert!((1 << 19..=1 << 20).contains(&held), "{held}");
    assert!(served.counted("lossy", "memory_refused_total") > 0);
    assert!(served.counted("lossy", "peers_forgotten_total") > 0);
    assert_eq!(served.finished.stderr.matches("no more memory").count(), 1, "{}", served.finished.stderr);
}

/// What a plugin may ask of the host, in C: bytes are granted within the part of the instance, come back one by one and
/// all together with the instance, and are there for nobody who did not ask in `create`.
#[test]
fn a_plugin_in_c_reserves_gives_back_and_loses_all_with_its_instance() {
    let dir = tempfile::tempdir().unwrap();
    let Some(hoards) = compile_c(&fixture("hoards"), &[], dir.path(), "hoards") else { return };
    let Some(late) = compile_c(&fixture("hoards"), &["-DLATE"], dir.path(), "late") else { return };
    let config = |name: &str, library: &Path| {
        format!("[[listen]]\nname = '{name}'\nbind = '127.0.0.1:0'\nplugin = '{}'\n", library.display())
    };
    let tables = [config("a", &hoards), config("b", &hoards), config("late", &late)].concat();
    let mut daemon = polyport().config(&format!("[limits]\nhandler_bytes = '16MiB'\n{tables}")).serve();
    let [a, b, late] = [0, 1, 2].map(|row| daemon.client(row));
    let granted = |client: &Client| (0..20).take_while(|_| client.ask(b"+") == b"granted").count();
    // A half of 8 MiB for each of two, 4 MiB; and 2 MiB, a quarter of the other half, for who comes first.
    assert_eq!((granted(&a), granted(&b)), (6, 4));
    assert_eq!(late.ask(b"+"), b"refused");
    assert_eq!(
        (a.ask(b"-"), a.ask(b"-"), a.ask(b"+")),
        (b"thanks".to_vec(), b"thanks".into(), b"refused".into())
    );
    assert_eq!((b.ask(b"*"), granted(&b)), (b"thanks".to_vec(), 4));
    a.send(b"!");
    daemon.process.wait_for_stderr("the handler is back");
    assert_eq!(granted(&a), 4, "the instance is new, and so is its account");
    assert_eq!(granted(&b), 0);
    let served = daemon.stop();
    assert_eq!(served.counted("a", "memory_held_bytes"), 4 << 20);
    assert_eq!(
        (served.counted("b", "memory_held_bytes"), served.counted("late", "memory_held_bytes")),
        (4 << 20, 0)
    );
    assert_eq!(served.finished.stderr.matches("no more memory").count(), 2, "{}", served.finished.stderr);
}

fn request(id: u32, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 128];
    let header = Header::new(Kind::Request, id.into(), id, 0, 0);
    let len = Encoder::new(&mut buffer, &header).payload(payload).finish().unwrap();
    buffer[..len].to_vec()
}

/// Lets a launch have so many KiB of address space.
fn in_address_space(mut launch: Launch, kib: u32) -> Launch {
    let command = launch.command();
    let program = command.get_program().to_owned();
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let script = format!("ulimit -v {kib} && exec \"$0\" \"$@\"");
    args.iter().fold(launch.replaced_by("sh").arg("-c").arg(script).arg(program), Launch::arg)
}
