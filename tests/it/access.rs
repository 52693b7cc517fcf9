//! Who may talk to a listener: `allow` and `deny`, R24.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use polyport_tests::client::Client;
use polyport_tests::ports;

use crate::polyport;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// In the network that the rules speak of.
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 99, 1, 2));

fn client(from: IpAddr, port: u16) -> Client {
    let to = if from.is_ipv4() { V4 } else { V6 };
    Client::from(SocketAddr::new(from, 0), SocketAddr::new(to, port))
}

/// R24: a listener at both wildcards, a client of IPv4, and a rule in both spellings.
#[test]
fn a_rule_for_ipv4_holds_in_both_spellings_at_a_listener_of_both_families() {
    for (at, rule) in (0..).zip(["127.99.0.0/16", "::ffff:127.99.0.0/112"]) {
        for (n, key) in (0..).zip(["allow", "deny"]) {
            let port = ports::free_range(&[Ipv4Addr::UNSPECIFIED.into(), V6], 1, 1700 + 10 * at + n);
            let daemon = polyport()
                .config(&format!(
                    "[[listen]]\nname = \"both\"\nbind = \":{port}\"\nplugin = \"echo\"\n{key} = [\"{rule}\"]\n"
                ))
                .serve();
            assert_eq!(daemon.addresses().len(), 2, "both families: {:?}", daemon.addresses());
            let (inside, outside) = (client(INSIDE, port), [client(V4, port), client(V6, port)]);
            if key == "allow" {
                outside.iter().for_each(|client| client.send(b"let in?"));
                inside.expect_echo(b"let in");
            } else {
                inside.send(b"let in?");
                outside.iter().for_each(|client| client.expect_echo(b"let in"));
            }
            // The socket of each family was asked in this order, so whoever has no answer by now gets none.
            let served = daemon.stop();
            let (denied, answered) = if key == "allow" { (2, 1) } else { (1, 2) };
            assert_eq!(
                served.received("both", "source_denied"),
                denied,
                "{rule} {key}: {}",
                served.line("both")
            );
            assert_eq!(served.received("both", "replied"), answered, "{rule} {key}: {}", served.line("both"));
        }
    }
}

/// By a reload, and by a listener that is added: nobody else notices, and the socket stays.
#[test]
fn a_reload_changes_the_list_of_a_listener_that_serves() {
    let port = ports::free_range(&[V4], 1, 1740);
    let launch = polyport();
    let file = launch.dir().join("served.toml");
    let text = |more: &str| {
        format!("[[listen]]\nname = \"a\"\nbind = \"127.0.0.1:{port}\"\nplugin = \"echo\"\n{more}\n")
    };
    fs::write(&file, text("")).unwrap();
    let mut daemon = launch.arg("-c").arg(&file).serve();
    let (inside, outside) = (client(INSIDE, port), client(V4, port));
    inside.expect_echo(b"anybody");
    // What waits in the socket is judged by the new list.
    fs::write(&file, text("allow = \"127.0.0.0/8\"\ndeny = [\"127.99.0.0/16\", \"127.5.5.5\"]")).unwrap();
    let told = daemon.reload(1);
    assert!(told.contains("1 address changed"), "{told}");
    inside.send(b"not any more");
    outside.expect_echo(b"still");
    fs::write(&file, text("deny = \"127.99.1.3\"")).unwrap();
    assert!(daemon.reload(2).contains("1 address changed"));
    inside.expect_echo(b"again");
    fs::write(&file, text("deny = [\"127.99.1.3\", \"127.99.0.1/16\"]")).unwrap();
    let from = daemon.process.stderr().len();
    assert!(daemon.reload(3).contains("everything is served as before"));
    let said = &daemon.process.stderr()[from..];
    assert!(said.contains("served.toml:5:23") && said.contains("the network is \"127.99.0.0/16\""), "{said}");
    inside.expect_echo(b"as before");
    let served = daemon.stop();
    assert_eq!((served.received("a", "source_denied"), served.received("a", "replied")), (1, 4));
}

/// On the command line, with a network that no address of the listener can hear of.
#[test]
fn the_command_line_has_it_too_and_says_what_is_without_effect() {
    let port = ports::free_range(&[V4], 1, 1760);
    let daemon = polyport()
        .listen(format!("127.0.0.1:{port}=echo,name=a,listen.deny=\"127.99.1.2, 2001:db8::/32\""))
        .serve();
    let denied = client(INSIDE, port);
    denied.send(b"let in?");
    client(V4, port).expect_echo(b"let in");
    let served = daemon.stop();
    assert_eq!((served.received("a", "source_denied"), served.received("a", "replied")), (1, 1));
    served.finished.expect_stderr(&[
        "listener a: `deny`: 2001:db8::/32: without effect, since the listener has IPv4 addresses alone",
    ]);
}
