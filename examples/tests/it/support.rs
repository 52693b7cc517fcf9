//! Running a client with a deadline, and small servers that end by themselves.

use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use polyport_protocol::{Code, Decoder, Encoder, Frame, FrameOption, Header, Kind, Role};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// No client of these tests runs longer, and no server waits longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What a client did.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs one of the binaries to its end.
#[track_caller]
pub(crate) fn run(binary: &str, arguments: &[&str]) -> Run {
    finish(start(binary, arguments))
}

/// Starts one of the binaries.
#[track_caller]
pub(crate) fn start(binary: &str, arguments: &[&str]) -> Child {
    command(binary, arguments).spawn().unwrap()
}

/// One of the binaries, about to be started.
pub(crate) fn command(binary: &str, arguments: &[&str]) -> Command {
    let path = match binary {
        "request" => env!("CARGO_BIN_EXE_polyport-request"),
        "load" => env!("CARGO_BIN_EXE_polyport-load"),
        "cast" => env!("CARGO_BIN_EXE_polyport-cast"),
        "mtu" => env!("CARGO_BIN_EXE_polyport-mtu"),
        "spoof" => env!("CARGO_BIN_EXE_polyport-spoof"),
        "frame" => env!("CARGO_BIN_EXE_polyport-frame"),
        "plot" => env!("CARGO_BIN_EXE_polyport-plot"),
        other => panic!("no binary {other}"),
    };
    let mut command = Command::new(path);
    pipes(command.args(arguments));
    command
}

/// `command`, with its output to be read, and no input.
pub(crate) fn pipes(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

/// Says that a test is skipped: past the capturing of the test harness, so that it is seen. Where `CI` is set nothing is
/// skipped.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{test} cannot run in CI: {reason}");
    // Nobody is left to tell when standard error is closed.
    writeln!(std::io::stderr(), "SKIPPED {test}: {reason}").ok();
}

/// Waits for the end of `child`; one that outlives the deadline is killed and fails the test.
#[track_caller]
pub(crate) fn finish(child: Child) -> Run {
    let id = i32::try_from(child.id()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let waiter = std::thread::spawn(move || sender.send(child.wait_with_output()).unwrap());
    let Ok(output) = receiver.recv_timeout(DEADLINE) else {
        Command::new("kill").arg("-9").arg(id.to_string()).status().unwrap();
        panic!("the client did not end within {DEADLINE:?}");
    };
    waiter.join().unwrap();
    let Output { status, stdout, stderr } = output.unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    Run { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// The object that a client printed, which has exactly the fields of `T`, and so those of its schema.
#[track_caller]
pub(crate) fn object<T: DeserializeOwned + Serialize>(printed: &str) -> Value {
    let object: Value = serde_json::from_str(printed).unwrap();
    let typed = serde_json::from_str::<T>(printed).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), object);
    object
}

impl Run {
    /// The code and a part of the one line on stderr.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, part: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.starts_with("error: ") && self.err.contains(part), "{self:?}");
        assert_eq!(self.err.trim_end().lines().count(), 1, "one line: {self:?}");
    }

    #[track_caller]
    pub(crate) fn prints(&self, part: &str) {
        assert!(self.out.contains(part), "`{part}` is not in {self:?}");
    }
}

/// A socket on loopback whose reads end.
#[track_caller]
pub(crate) fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A server that calls `answer` for each datagram until it returns `false`.
#[track_caller]
pub(crate) fn serve(
    mut answer: impl FnMut(&UdpSocket, &[u8], SocketAddr) -> bool + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let (socket, address) = socket();
    let thread = std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        loop {
            let (len, peer) = socket.recv_from(&mut buffer).expect("no datagram before the deadline");
            if !answer(&socket, &buffer[..len], peer) {
                break;
            }
        }
    });
    (address, thread)
}

/// An address where nobody listens: it was free a moment ago.
#[track_caller]
pub(crate) fn closed() -> SocketAddr {
    socket().1
}

/// The frame a client sent.
#[track_caller]
pub(crate) fn decode(datagram: &[u8]) -> Frame<'_> {
    Decoder::new(Role::Responder).decode(datagram).unwrap()
}

/// A reply with the given parts.
#[track_caller]
pub(crate) fn reply(request: &Header, kind: Kind, code: Code, options: &[FrameOption<'_>]) -> Vec<u8> {
    let mut buffer = vec![0; 1500];
    let header = request.reply(kind, code);
    let encoder = options.iter().fold(Encoder::new(&mut buffer, &header), |e, o| e.option(o));
    let payload: &[u8] = if kind == Kind::Response { b"pong" } else { b"" };
    let len = encoder.payload(payload).finish().unwrap();
    buffer.truncate(len);
    buffer
}

/// Reads from `child` until a line contains `part`; what was read.
#[track_caller]
pub(crate) fn read_until(child: &mut Child, part: &str) -> String {
    let mut stdout = child.stdout.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    let part = part.to_owned();
    std::thread::spawn(move || {
        let (mut text, mut octet) = (String::new(), [0]);
        while stdout.read(&mut octet).is_ok_and(|count| count == 1) {
            text.push(char::from(octet[0]));
            if octet[0] == b'\n' && text.contains(&part) {
                break;
            }
        }
        drop(sender.send((text, stdout)));
    });
    let (text, stdout) = receiver.recv_timeout(DEADLINE).expect("the line did not come");
    child.stdout = Some(stdout);
    text
}
