//! `polyport-mtu` on loopback; paths with routers are in `netns.rs`.

use std::net::SocketAddr;

use polyport_protocol::{Code, Encoder, Flags, FrameOption, Integrity, Key, Kind, Role};
use polyport_tools::mtu::json::MtuReport;
use serde_json::Value;

use crate::support::{closed, decode, object, reply, run, serve, socket};

/// The longest UDP payload over IPv4.
const MOST: usize = 65_507;

/// The acknowledgement of a PROBE.
fn ack(datagram: &[u8]) -> Vec<u8> {
    let frame = decode(datagram);
    assert_eq!(frame.header().kind, Kind::Probe);
    let info = FrameOption::ProbeInfo { len: u16::try_from(datagram.len()).unwrap(), limit: 65_507 };
    reply(frame.header(), Kind::ProbeAck, Code::OK, &[info])
}

/// Answers until the probe of `last` octets came.
fn responder(last: usize) -> (String, std::thread::JoinHandle<()>) {
    let (address, thread) = serve(move |socket, datagram, peer| {
        socket.send_to(&ack(datagram), peer).unwrap();
        datagram.len() != last
    });
    (address.to_string(), thread)
}

#[test]
fn loopback_takes_the_longest_datagram_there_is() {
    let (address, thread) = responder(MOST);
    let run = run("mtu", &[&address]);
    thread.join().unwrap();
    assert_eq!(run.code, 0, "{run:?}");
    run.prints(&format!("path MTU to {address}: at least 65535 octets, there\n"));
    run.prints("UDP payload: at least 65507 octets\n");
    run.prints("the search tried nothing longer");
    run.prints("black hole: no\n");
    run.prints("the kernel's IP_MTU: 65535 octets\n");
    run.prints("the responder takes up to 65507 octets whole\n");
}

#[test]
fn silence_about_long_ones_is_a_black_hole_found_to_the_octet() {
    let (address, thread) = serve(|socket, datagram, peer| {
        if datagram.len() <= 1371 {
            socket.send_to(&ack(datagram), peer).unwrap();
        }
        true
    });
    let run = run("mtu", &["--json", "--timer", "50ms", "--max", "1400", &address.to_string()]);
    drop(thread);
    let found = object::<MtuReport>(&run.out);
    assert_eq!((run.code, &found["payload"], &found["mtu"]), (0, &1371.into(), &1399.into()), "{run:?}");
    assert_eq!((&found["bound"], &found["black_hole"]), (&"silence".into(), &true.into()));
    assert_eq!((&found["direction"], &found["answered"]), (&"forward".into(), &true.into()));
}

#[test]
fn plain_echo_measures_both_ways() {
    let (address, thread) = serve(|socket, datagram, peer| {
        socket.send_to(datagram, peer).unwrap();
        datagram.len() != 9000
    });
    let run = run("mtu", &["--raw", "--max", "9000", &address.to_string()]);
    thread.join().unwrap();
    assert_eq!(run.code, 0, "{run:?}");
    run.prints("at least 9028 octets, there and back\n");
}

#[test]
fn a_short_buffer_of_the_echo_is_not_taken_for_the_path() {
    let (address, _thread) = serve(|socket, datagram, peer| {
        socket.send_to(&datagram[..datagram.len().min(1024)], peer).unwrap();
        true
    });
    let run = run("mtu", &["--raw", "--json", "--timer", "50ms", "--max", "1200", &address.to_string()]);
    let found = object::<MtuReport>(&run.out);
    assert_eq!(found["payload"], 1024, "{run:?}");
    assert!(found["cut_echoes"].as_u64().unwrap() >= 1);
    assert_eq!((&found["bound"], &found["black_hole"]), (&"cut_echo".into(), &Value::Null), "{run:?}");
    for way in ["there", "back"] {
        assert_eq!((&found[way]["mtu"], &found[way]["at_least"]), (&1052.into(), &true.into()), "{run:?}");
    }
}

/// C14.
#[test]
fn a_cut_echo_says_nothing_about_the_path_beyond_its_length() {
    let (address, _thread) = serve(|socket, datagram, peer| {
        socket.send_to(&datagram[..datagram.len().min(4096)], peer).unwrap();
        true
    });
    let run = run("mtu", &["--raw", &address.to_string()]);
    assert_eq!(run.code, 0, "{run:?}");
    run.prints(&format!("path MTU to {address}: at least 4124 octets, there and back\n"));
    run.prints("the server sends longer ones back cut\n");
    run.prints("black hole: not known");
}

/// Whoever cuts below a size that came back whole contradicts himself, and is not asked for ever.
#[test]
fn a_server_that_cuts_at_random_ends_the_search_all_the_same() {
    let (address, _thread) = serve(|socket, datagram, peer| {
        let len = if datagram.len() > 1300 { 200 } else { datagram.len() };
        socket.send_to(&datagram[..len], peer).unwrap();
        true
    });
    let run = run("mtu", &["--raw", "--timer", "50ms", "--max", "1400", &address.to_string()]);
    assert_eq!(run.code, 0, "{run:?}");
    run.prints("1328 octets, there and back\n");
}

/// A responder that pads its acknowledgements where asked to; else one of the old kind, which knows nothing of that.
fn both_ways(socket: &std::net::UdpSocket, datagram: &[u8], peer: SocketAddr, pads: bool, echoes: bool) {
    let frame = decode(datagram);
    let mut out = vec![0; datagram.len().max(64)];
    let kind = frame.header().kind.answer().unwrap();
    let header = frame.header().reply(kind, Code::OK);
    let encoder = Encoder::new(&mut out, &header);
    let len = if kind == Kind::Response {
        assert!(!pads, "who pads is asked by PROBE alone");
        encoder.payload(if echoes { frame.payload() } else { b"no" }).finish().unwrap()
    } else {
        let info = FrameOption::ProbeInfo { len: u16::try_from(datagram.len()).unwrap(), limit: 0 };
        let pad_to =
            if pads && frame.header().flags.contains(Flags::IDEMPOTENT) { datagram.len() } else { 0 };
        encoder.option(&info).pad_to(pad_to.max(52)).finish().unwrap()
    };
    socket.send_to(&out[..len], peer).unwrap();
}

#[test]
fn padded_answers_or_else_requests_measure_both_ways_and_tell_who_does_not_echo() {
    for (pads, echoes) in [(true, true), (false, true), (false, false)] {
        let (address, _thread) = serve(move |socket, datagram, peer| {
            both_ways(socket, datagram, peer, pads, echoes);
            true
        });
        let run = run("mtu", &["--both", "--timer", "50ms", "--max", "2000", &address.to_string()]);
        if echoes {
            assert_eq!(run.code, 0, "{run:?}");
            run.prints("at least 2028 octets, there and back\n");
        } else {
            run.fails(76, "does not echo");
            run.prints("at least 2028 octets there, unknown back\n");
        }
    }
}

#[test]
fn an_echo_is_told_at_once() {
    let (address, _thread) = serve(|socket, datagram, peer| {
        socket.send_to(datagram, peer).unwrap();
        true
    });
    for way in [&[][..], &["--both"]] {
        // Longer than any test runs.
        let run = run("mtu", &[way, &["--timer", "40s", &address.to_string()]].concat());
        run.fails(76, "sends our own frames back: it is an echo and does not speak PPT/1: use --raw");
    }
}

#[test]
fn who_answers_instead_of_the_target_is_named() {
    let (other, elsewhere) = socket();
    let (address, _thread) = serve(move |_, datagram, peer| {
        other.send_to(&ack(datagram), peer).unwrap();
        true
    });
    let run = run("mtu", &["--timer", "20ms", &address.to_string()]);
    run.fails(69, &format!("(what came is from {elsewhere}: "));
    run.prints(&format!("wrong_source: from {elsewhere}\n"));
}

#[test]
fn keys_seal_probes_and_answers() {
    let path = std::env::temp_dir().join(format!("polyport-mtu-key-{}", std::process::id()));
    std::fs::write(&path, "6b".repeat(32)).unwrap();
    let (address, thread) = serve(|socket, datagram, peer| {
        let keys = [Key::hmac_sha256(2, &[0x6B; 32]).unwrap()];
        let decoder = polyport_protocol::Decoder::new(Role::Responder).with_integrity(Integrity::Keys(&keys));
        let header = decoder.decode(datagram).unwrap().header().reply(Kind::ProbeAck, Code::OK);
        let info = FrameOption::ProbeInfo { len: u16::try_from(datagram.len()).unwrap(), limit: 4000 };
        let mut out = [0; 200];
        let len = Encoder::new(&mut out, &header).option(&info).auth(&keys[0]).finish().unwrap();
        socket.send_to(&out[..len], peer).unwrap();
        datagram.len() != 1500
    });
    let file = path.to_str().unwrap();
    let run = run("mtu", &["--key-file", file, "--max", "1500", &address.to_string()]);
    thread.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(run.code, 0, "{run:?}");
    run.prints("the responder takes up to 4000 octets whole\n");
}

#[test]
fn without_a_peer_the_answer_is_called_local() {
    let (_silent, address) = socket();
    let silent = run("mtu", &["--timer", "20ms", &address.to_string()]);
    silent.fails(69, "no answer from");
    silent.prints("unknown, no peer answered\n");
    silent.prints("65535 octets (local knowledge only: nothing was measured)\n");
    let closed = closed().to_string();
    run("mtu", &[&closed]).fails(69, &format!("connection refused: nobody listens at {closed}"));
}

#[test]
fn garbage_and_wrong_words_have_their_codes() {
    let (address, _thread) = serve(|socket, _, peer| {
        socket.send_to(b"garbage", peer).unwrap();
        true
    });
    let address = address.to_string();
    run("mtu", &["--timer", "20ms", &address]).fails(76, "does it speak PPT/1?");
    run("mtu", &["--timer", "20ms", "--raw", &address]).fails(76, "no echo server");
    run("mtu", &["--max", "65508", &address]).fails(64, "65507");
    run("mtu", &["no-such-host.invalid:7"]).fails(68, "no-such-host");
    assert_eq!(run("mtu", &["--raw", "--both", &address]).code, 64);
    let (refusing, _thread) = serve(|socket, datagram, peer| {
        let refusal = reply(decode(datagram).header(), Kind::Error, Code::HANDLER_FAILED, &[]);
        socket.send_to(&refusal, peer).unwrap();
        true
    });
    run("mtu", &[&refusing.to_string()]).fails(76, "refuses probes: handler_failed (22)");
}
