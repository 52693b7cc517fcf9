//! Other options, new handlers: sessions stay, by the ports that they have.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;

use polyport_tests::{Client, DEADLINE, Daemon, Launch, wait};
use rustix::process::Signal;

use super::{counted, sessions};
use crate::polyport;

const CLIENTS: usize = 100;

/// A server that knows which ports it was asked from, a daemon with its configuration in a file, and clients that it serves.
struct Scene {
    server: UdpSocket,
    daemon: Daemon,
    file: PathBuf,
    clients: Vec<Client>,
    reloads: usize,
}

impl Scene {
    fn new(launch: Launch, plugin: &str, more: &str) -> Self {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(DEADLINE)).unwrap();
        let etc = launch.dir().join("etc");
        fs::create_dir(&etc).unwrap();
        let file = etc.join("polyport.toml");
        fs::write(&file, Self::text(plugin, server.local_addr().unwrap(), more)).unwrap();
        let daemon = launch.arg("-c").arg(&file).serve();
        let clients = (0..CLIENTS).map(|_| daemon.client(0)).collect();
        Self { server, daemon, file, clients, reloads: 0 }
    }

    fn text(plugin: &str, to: SocketAddr, more: &str) -> String {
        format!(
            "[[listen]]\nname = 'relay'\nbind = '127.0.0.1:0'\nplugin = '{plugin}'\noptions = {{ to = '{to}', {more} }}\n"
        )
    }

    /// Each client asks and is answered; the ports they are seen by at the server.
    #[track_caller]
    fn ports(&self) -> Vec<SocketAddr> {
        let mut buffer = [0; 100];
        let ask = |(number, client): (usize, &Client)| {
            let question = number.to_string();
            client.send(question.as_bytes());
            let (len, session) = self.server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], question.as_bytes());
            self.server.send_to(&buffer[..len], session).unwrap();
            assert_eq!(client.receive(), question.as_bytes());
            session
        };
        self.clients.iter().enumerate().map(ask).collect()
    }

    #[track_caller]
    fn reload(&mut self, to: SocketAddr, more: &str) -> String {
        fs::write(&self.file, Self::text("relay", to, more)).unwrap();
        self.reloads += 1;
        self.daemon.process.signal(Signal::HUP);
        self.daemon.process.wait_for_stderr_times("loaded: ", self.reloads);
        let stderr = self.daemon.process.stderr();
        stderr.lines().rfind(|line| line.contains("loaded: ")).unwrap_or_default().to_owned()
    }
}

#[test]
fn other_options_and_new_handlers_keep_all_sessions() {
    let mut scene = Scene::new(polyport(), "relay", "");
    let to = scene.server.local_addr().unwrap();
    let before = scene.ports();
    let told = scene.reload(to, "idle = '5min', sessions = 50, replies = 1000, select = 'round'");
    assert!(told.contains("1 address changed"), "{told}");
    assert_eq!(scene.ports(), before);
    // What is asked of the kernel about each datagram is asked when a handler is made.
    let told = scene.reload(to, "tos = 'copy'");
    assert!(told.contains("1 address changed"), "{told}");
    assert_eq!(scene.ports(), before);
    let told = scene.reload(to, "tos = 'copy', jitter = 1");
    assert!(told.contains("not reloaded"), "{told}");
    assert_eq!(scene.ports(), before);
    // A server that is gone from the options keeps those whom it has answered, and gets nobody new.
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_read_timeout(Some(DEADLINE)).unwrap();
    scene.reload(other.local_addr().unwrap(), "");
    assert_eq!(scene.ports(), before);
    scene.daemon.client(0).send(b"a new one");
    let mut buffer = [0; 100];
    let (len, _) = other.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"a new one");
    let served = scene.daemon.stop();
    assert_eq!(counted(&served, "opened_total"), CLIENTS as u64 + 1);
    assert_eq!((sessions(&served, "opened"), sessions(&served, "restart")), (CLIENTS as u64 + 1, 0));
}

/// The relay as it is shipped, in a program that breaks it at the end of a call, when it has done all of it: tables have a session
/// more than the host, and what was queued is void. The next handler has the sessions of the host, and each its port.
#[test]
fn a_relay_that_breaks_keeps_all_sessions() {
    let launch = Launch::new(env!("CARGO_BIN_EXE_polyport-breaking-relay")).arg("run");
    let mut scene = Scene::new(launch, "breaking-relay", "marks = 1");
    let before = scene.ports();
    // Nobody is there for a moment, and one client hears of it: that arms the relay.
    let to = scene.server.local_addr().unwrap();
    scene.server = UdpSocket::bind("127.0.0.1:0").unwrap();
    scene.clients[7].send(b"nobody is there");
    scene.daemon.process.wait_for_stderr("is down for 10s: refused");
    wait::until("the address of the server", || {
        UdpSocket::bind(to).map(|server| scene.server = server).is_ok()
    });
    scene.server.set_read_timeout(Some(DEADLINE)).unwrap();
    let newcomer = scene.daemon.client(0);
    newcomer.send(b"breaks it");
    scene.daemon.process.wait_for_stderr("the handler is back");
    assert_eq!(scene.ports(), before);
    newcomer.send(b"again");
    let mut buffer = [0; 100];
    let (len, session) = scene.server.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], before.contains(&session)), (&b"again"[..], false));
    // Answers come by the old ones and by the new one.
    scene.server.send_to(b"answer", session).unwrap();
    assert_eq!(newcomer.receive(), b"answer");
    let served = scene.daemon.stop();
    let out = &served.finished.stdout;
    assert_eq!((served.counted("relay", "faults"), served.counted("relay", "restarts")), (1, 1), "{out}");
    assert_eq!((sessions(&served, "opened"), sessions(&served, "restart")), (CLIENTS as u64 + 1, 0), "{out}");
    // One of them was void.
    assert_eq!(
        (counted(&served, "opened_total"), served.received("relay", "poison")),
        (CLIENTS as u64 + 2, 1)
    );
    served
        .finished
        .expect_stderr(&["panicked at tests/bin/breaking_relay.rs", "as an error of the network asks"]);
}
