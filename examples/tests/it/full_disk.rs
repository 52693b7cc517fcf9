//! A result that cannot be written is no result: every client ends with 74 and says so, whatever it was asked for.
#![cfg(target_os = "linux")]

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;

use polyport_protocol::{Code, Kind};

use super::support::{Run, closed, command, decode, finish, reply, serve};

/// Runs a client on a disk that is full.
#[track_caller]
fn on_full_disk(binary: &str, arguments: &[&str]) -> Run {
    // Every write to it fails with ENOSPC: full(4).
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    finish(command(binary, arguments).stdout(Stdio::from(full)).spawn().unwrap())
}

#[track_caller]
fn fails(binary: &str, arguments: &[&str]) {
    let ended = on_full_disk(binary, arguments);
    let told = "error: cannot write to standard output: No space left on device";
    assert!(ended.code == 74 && ended.err.contains(told), "{binary} {arguments:?}: {ended:?}");
}

/// A responder that ends with the test.
fn responder() -> SocketAddr {
    let answer = |socket: &std::net::UdpSocket, datagram: &[u8], peer| {
        let frame = decode(datagram);
        let kind = if frame.header().kind == Kind::Probe { Kind::ProbeAck } else { Kind::Response };
        socket.send_to(&reply(frame.header(), kind, Code::OK, &[]), peer).is_ok()
    };
    serve(answer).0
}

#[test]
fn a_frame_explained_or_built() {
    for arguments in [
        &["decode", "--hex", "00"][..],
        &["decode", "--hex", "00", "--json"],
        &["encode"],
        &["encode", "--raw"],
        &["encode", "--json"],
    ] {
        fails("frame", arguments);
    }
}

#[test]
fn forgeries_played() {
    fails("spoof", &[]);
    fails("spoof", &["--json"]);
}

#[test]
fn a_picture() {
    let log = std::env::temp_dir().join(format!("polyport-full-disk-{}", std::process::id()));
    std::fs::write(&log, "ns,client,dir,n,bytes,what,wait_ns\n1,a,up,0,9,lost,0\n").unwrap();
    let file = log.to_str().unwrap();
    fails("plot", &[file]);
    fails("plot", &["--json", file]);
    fails("plot", &["-o", "/dev/null", file]);
    let told = "error: cannot write /dev/full, which is not whole now: No space left on device";
    let ended = finish(command("plot", &["-o", "/dev/full", file]).spawn().unwrap());
    assert!(ended.code == 74 && ended.err.contains(told), "{ended:?}");
    std::fs::remove_file(&log).unwrap();
}

#[test]
fn help_and_version() {
    for binary in ["request", "load", "cast", "mtu", "spoof", "frame", "plot"] {
        fails(binary, &["--help"]);
        fails(binary, &["--version"]);
    }
}

#[test]
fn an_answer() {
    let echo = serve(|socket, datagram, peer| socket.send_to(datagram, peer).is_ok()).0.to_string();
    fails("request", &["--raw", &echo]);
    fails("request", &["--raw", "-q", &echo]);
    let responder = responder().to_string();
    fails("request", &[&responder]);
    fails("request", &["-q", &responder]);
}

#[test]
fn a_path() {
    let echo = serve(|socket, datagram, peer| socket.send_to(datagram, peer).is_ok()).0.to_string();
    fails("mtu", &["--raw", &echo]);
    fails("mtu", &["--raw", "--json", &echo]);
}

#[test]
fn datagrams_to_all_or_from_all() {
    fails("cast", &["127.255.255.255:9", "hi"]);
    let free = format!("127.255.255.255:{}", closed().port());
    fails("cast", &["--listen", "--for", "20s", &free]);
    fails("cast", &["--json", "127.255.255.255:9", "hi"]);
    fails("cast", &["--json", "--listen", "--for", "20", &free]);
}

#[test]
fn a_load() {
    let echo = serve(|socket, datagram, peer| socket.send_to(datagram, peer).is_ok()).0.to_string();
    let short = ["-d", "50ms", "--warmup", "0s", "--drain", "10ms", "--raw-echo", "-q", &echo];
    fails("load", &short);
    fails("load", &[&["--json"][..], &short].concat());
    fails("load", &[&["--per-port"][..], &short].concat());
}

/// Who has seen enough (`| head`) is no full disk.
#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = finish(command("frame", &["encode"]).stdout(Stdio::from(writer)).spawn().unwrap());
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
}

/// Who reads no more ends what would go on for ever: `| head`.
#[test]
fn what_has_no_end_ends_with_its_reader() {
    let unread = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for more in [&[][..], &["--json"]] {
        let (endless, mut lines) = std::io::pipe().unwrap();
        let child = command("frame", &[&["decode", "--stdin"], more].concat())
            .stdin(Stdio::from(endless))
            .stdout(unread())
            .spawn()
            .unwrap();
        // The pipe stays open: only its reader can end this.
        lines.write_all(b"00\n").unwrap();
        assert_eq!(finish(child).code, 0);
        let address = format!("127.255.255.255:{}", closed().port());
        let listener =
            command("cast", &[&["--listen", &address], more].concat()).stdout(unread()).spawn().unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.set_broadcast(true).unwrap();
        let (done, is_done) = std::sync::mpsc::channel();
        let sending = std::thread::spawn(move || {
            // Until somebody has bound the port nobody hears it.
            while is_done.recv_timeout(std::time::Duration::from_millis(20)).is_err() {
                drop(sender.send_to(b"x", &address));
            }
        });
        let ended = finish(listener);
        done.send(()).unwrap();
        sending.join().unwrap();
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
    }
}
