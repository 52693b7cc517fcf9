//! The search over simulated paths, in virtual time and with fixed seeds.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::{Code, EncodeError, MILLISECOND};

const SERVER: &str = "192.0.2.1:7000";

/// A path that passes `limit` octets of UDP payload one way and loses some probes and some answers.
#[derive(Clone, Copy)]
struct Path {
    limit: usize,
    loss: f64,
    /// Largest payload the local stack takes.
    local: usize,
    /// Whether the router that drops says so.
    icmp: bool,
    delay: Nanos,
}

impl Path {
    const fn silent(limit: usize) -> Self {
        Self { limit, loss: 0.0, local: usize::MAX, icmp: false, delay: 20 * MILLISECOND }
    }
}

struct Run {
    result: MtuResult,
    probes: usize,
    elapsed: Nanos,
}

fn run(path: Path, max_payload: usize, seed: u64) -> Run {
    let config = MtuConfig::new(SERVER.parse().unwrap(), max_payload);
    let mut search = MtuSearch::new(config, StdRng::seed_from_u64(seed));
    let mut net = StdRng::seed_from_u64(seed ^ 0xA5A5);
    let (mut now, mut probes) = (0, 0);
    let mut buffer = vec![0; max_payload.max(CONTROL_LEN)];
    while search.result().is_none() {
        if let Some(transmit) = search.poll_transmit(now, &mut buffer) {
            probes += 1;
            assert!(probes < 3000, "the search does not end");
            let probe = &buffer[..transmit.len];
            if transmit.len > path.local {
                search.handle_message_too_long();
            } else if transmit.len > path.limit {
                assert!(
                    !path.icmp || search.handle_icmp(probe, path.limit),
                    "a genuine ICMP error was refused"
                );
            } else if !net.random_bool(path.loss) && !net.random_bool(path.loss) {
                now += path.delay;
                let answer = ack(probe, probe.len());
                let input = search.handle_input(now, SERVER.parse().unwrap(), &answer, false);
                assert_eq!(input, MtuInput::Echo { size: transmit.len, rtt: path.delay });
            }
        }
        if let Some(until) = search.poll_timeout() {
            now = now.max(until);
            search.handle_timeout(now);
        }
    }
    Run { result: search.result().unwrap(), probes, elapsed: now }
}

fn ack(probe: &[u8], len: usize) -> Vec<u8> {
    try_ack(probe, len, |_| ()).unwrap()
}

fn try_ack(probe: &[u8], len: usize, edit: impl FnOnce(&mut Header)) -> Result<Vec<u8>, EncodeError> {
    let frame = Decoder::new(Role::Responder).decode(probe).unwrap();
    assert_eq!(frame.header().kind, Kind::Probe);
    let mut header = frame.header().reply(Kind::ProbeAck, Code::OK);
    edit(&mut header);
    let mut out = vec![0; 52];
    let info = FrameOption::ProbeInfo { len: u16::try_from(len).unwrap(), limit: 65_507 };
    let written = Encoder::new(&mut out, &header).option(&info).finish()?;
    out.truncate(written);
    Ok(out)
}

const SIZES: [usize; 22] = [
    65, 100, 548, 1199, 1200, 1201, 1232, 1279, 1280, 1333, 1372, 1392, 1400, 1452, 1464, 1472, 1473, 4352,
    8971, 8972, 8973, 60_000,
];

/// All of them, or one near the base, one near Ethernet and one beyond jumbo frames.
fn sizes() -> impl Iterator<Item = usize> {
    SIZES.into_iter().skip(if cfg!(miri) { 4 } else { 0 }).step_by(if cfg!(miri) { 11 } else { 1 })
}

#[test]
fn every_size_is_found_exactly_on_a_silent_path() {
    for limit in sizes() {
        let run = run(Path::silent(limit), 65_507, 1);
        assert_eq!(run.result, MtuResult::Found { payload: limit, bound: Bound::Silence });
        assert!(run.result.is_black_hole());
        assert!(run.probes < 130, "{limit} took {} probes", run.probes);
    }
}

#[test]
fn the_limit_of_the_search_is_reported_as_such() {
    for limit in [64, 65, 1200, 1472, 9000, 65_507].into_iter().take(if cfg!(miri) { 3 } else { 6 }) {
        let run = run(Path::silent(65_535), limit, 2);
        assert_eq!(run.result, MtuResult::Found { payload: limit, bound: Bound::Limit });
        assert!(!run.result.is_black_hole() && run.elapsed < SECOND, "no miss, no timer");
    }
}

#[test]
fn the_local_stack_and_the_next_hop_save_the_waiting() {
    for limit in sizes() {
        let local = run(Path { local: limit, ..Path::silent(65_535) }, 65_507, 3);
        assert_eq!(local.result, MtuResult::Found { payload: limit, bound: Bound::MessageTooLong });
        assert!(local.elapsed < SECOND, "{limit}: {}", local.elapsed);
        let icmp = run(Path { icmp: true, ..Path::silent(limit) }, 65_507, 4);
        assert_eq!(icmp.result, MtuResult::Found { payload: limit, bound: Bound::NextHop });
        assert!(icmp.probes <= 18, "{limit} took {} probes", icmp.probes);
    }
}

#[test]
fn random_loss_is_not_read_as_size() {
    for loss in if cfg!(miri) { &[0.2][..] } else { &[0.02, 0.1, 0.2] } {
        let (mut wrong, mut runs) = (Vec::new(), 0);
        for limit in sizes() {
            for seed in 0..if cfg!(miri) { 1 } else { 20 } {
                let run = run(Path { loss: *loss, ..Path::silent(limit) }, 9000, seed);
                runs += 1;
                let expected = if limit >= 9000 { (9000, Bound::Limit) } else { (limit, Bound::Silence) };
                if run.result != (MtuResult::Found { payload: expected.0, bound: expected.1 }) {
                    wrong.push((limit, seed, run.result));
                }
            }
        }
        assert!(wrong.is_empty(), "loss {loss}: {} of {runs} wrong: {wrong:?}", wrong.len());
    }
}

#[test]
fn a_dead_responder_is_unreachable_and_not_a_black_hole() {
    let run = run(Path::silent(0), 1472, 5);
    assert_eq!((run.result, run.probes), (MtuResult::Unreachable, 10));
    assert!(!run.result.is_black_hole());
}

#[test]
fn forged_evidence_is_refused() {
    let config = MtuConfig { grease: Grease::Never, ..MtuConfig::new(SERVER.parse().unwrap(), 1472) };
    let mut search = MtuSearch::new(config, StdRng::seed_from_u64(6));
    let mut buffer = [0; 1472];
    let server: SocketAddr = SERVER.parse().unwrap();
    assert_eq!(search.poll_transmit(0, &mut buffer).unwrap().len, CONTROL_LEN);
    let control = ack(&buffer[..CONTROL_LEN], CONTROL_LEN);
    assert!(matches!(search.handle_input(1, server, &control, false), MtuInput::Echo { size: 64, .. }));
    assert_eq!(search.handle_input(1, server, &control, false), MtuInput::Rejected(Reject::Duplicate));
    let len = search.poll_transmit(2, &mut buffer).unwrap().len;
    let probe = buffer[..len].to_vec();
    let forged = |edit: fn(&mut Header)| try_ack(&probe, len, edit).unwrap();
    let cases = [
        (forged(|h| h.stream_id ^= 1), Reject::StaleStream),
        (forged(|h| h.request_id ^= 1), Reject::UnknownId),
        (forged(|h| h.seq ^= 1), Reject::WrongSeq),
        (forged(|h| h.attempt = 1), Reject::WrongAttempt),
        (forged(|h| h.timestamp ^= 1), Reject::WrongTimestamp),
        (forged(|h| h.kind = Kind::Response), Reject::WrongKind),
    ];
    for (datagram, expected) in &cases {
        assert_eq!(search.handle_input(3, server, datagram, false), MtuInput::Rejected(*expected));
    }
    let shortened = ack(&probe, len - 1);
    assert_eq!(search.handle_input(3, server, &shortened, false), MtuInput::Rejected(Reject::WrongSize));
    let genuine = ack(&probe, len);
    let elsewhere = search.handle_input(3, "192.0.2.9:7000".parse().unwrap(), &genuine, false);
    assert_eq!(elsewhere, MtuInput::Rejected(Reject::WrongSource));
    let mut other = probe.clone();
    other[15] ^= 1;
    assert!(!search.handle_icmp(&other, 600), "another id");
    assert!(!search.handle_icmp(&probe[..15], 600), "too little quoted");
    assert!(!search.handle_icmp(&probe, 63), "below the control size");
    assert!(!search.handle_icmp(&probe, len), "the probe fits that limit");
    assert!(search.handle_icmp(&probe, 600));
    assert_eq!(search.poll_transmit(4, &mut buffer).unwrap().len, 600, "the named limit is tried first");
}

#[test]
fn an_answer_after_its_timer_still_counts() {
    let config = MtuConfig::new(SERVER.parse().unwrap(), 1200);
    let mut search = MtuSearch::new(config, StdRng::seed_from_u64(7));
    let (server, mut buffer): (SocketAddr, _) = (SERVER.parse().unwrap(), [0; 1200]);
    search.poll_transmit(0, &mut buffer).unwrap();
    let control = ack(&buffer[..CONTROL_LEN], CONTROL_LEN);
    search.handle_input(1, server, &control, false);
    let len = search.poll_transmit(2, &mut buffer).unwrap().len;
    let late = ack(&buffer[..len], len);
    search.handle_timeout(2 * SECOND);
    assert_eq!(search.poll_transmit(2 * SECOND, &mut buffer).unwrap().len, CONTROL_LEN);
    let control = ack(&buffer[..CONTROL_LEN], CONTROL_LEN);
    assert!(matches!(
        search.handle_input(3 * SECOND, server, &late, false),
        MtuInput::Echo { size: 1200, .. }
    ));
    search.handle_input(3 * SECOND, server, &control, false);
    assert_eq!(search.result(), Some(MtuResult::Found { payload: 1200, bound: Bound::Limit }));
}

#[test]
fn tagged_probes_have_room_for_their_tag() {
    let keys = [Key::hmac_sha256(2, &[2; 32]).unwrap()];
    let config = MtuConfig { key: keys.first(), ..MtuConfig::new(SERVER.parse().unwrap(), 1472) };
    let mut search = MtuSearch::new(config, StdRng::seed_from_u64(9));
    let (server, mut buffer): (SocketAddr, _) = (SERVER.parse().unwrap(), [0; 1472]);
    let decoder = Decoder::new(Role::Responder).with_integrity(Integrity::Keys(&keys));
    let mut sizes = Vec::new();
    while let Some(transmit) = search.poll_transmit(0, &mut buffer) {
        sizes.push(transmit.len);
        let header =
            decoder.decode(&buffer[..transmit.len]).unwrap().header().reply(Kind::ProbeAck, Code::OK);
        let mut out = [0; 100];
        let plain = Encoder::new(&mut out, &header).finish().unwrap();
        let verdict = search.handle_input(1, server, &out[..plain], false);
        assert_eq!(verdict, MtuInput::Rejected(Reject::Malformed(crate::DecodeError::NoAuth)));
        let sealed = Encoder::new(&mut out, &header).auth(&keys[0]).finish().unwrap();
        assert!(matches!(search.handle_input(1, server, &out[..sealed], false), MtuInput::Echo { .. }));
    }
    assert_eq!(sizes, [68, 1200, 1232, 1372, 1392, 1400, 1452, 1464, 1472]);
    assert_eq!(search.result(), Some(MtuResult::Found { payload: 1472, bound: Bound::Limit }));
}

#[test]
fn a_buffer_or_a_stack_too_small_for_a_control_probe_ends_the_search() {
    let config = MtuConfig::new(SERVER.parse().unwrap(), 1472);
    let mut search = MtuSearch::new(config, StdRng::seed_from_u64(10));
    assert_eq!(search.poll_transmit(0, &mut [0; 63]), None);
    assert_eq!(search.result(), Some(MtuResult::Unreachable));
    assert_eq!(run(Path { local: 63, ..Path::silent(1472) }, 1472, 11).result, MtuResult::Unreachable);
    let mut search = MtuSearch::new(config, StdRng::seed_from_u64(12));
    let mut buffer = [0; 700];
    while let Some(transmit) = search.poll_transmit(0, &mut buffer) {
        let answer = ack(&buffer[..transmit.len], transmit.len);
        search.handle_input(1, SERVER.parse().unwrap(), &answer, false);
    }
    assert_eq!(search.result(), Some(MtuResult::Found { payload: 700, bound: Bound::Limit }));
}

#[test]
fn an_error_from_the_responder_is_shown() {
    let mut search = MtuSearch::new(MtuConfig::new(SERVER.parse().unwrap(), 1472), StdRng::seed_from_u64(8));
    let mut buffer = [0; 1472];
    let len = search.poll_transmit(0, &mut buffer).unwrap().len;
    let refusal =
        try_ack(&buffer[..len], len, |h| (h.kind, h.code) = (Kind::Error, Code::HANDLER_FAILED)).unwrap();
    let input = search.handle_input(1, SERVER.parse().unwrap(), &refusal, false);
    assert!(matches!(input, MtuInput::Refused(frame) if frame.header().code == Code::HANDLER_FAILED));
}

/// Each answer comes when the next probe is on its way already, as behind a timer that is too short, or from a server that
/// wants to be asked for ever.
#[test]
fn a_search_whose_answers_all_come_late_ends() {
    let config = MtuConfig::new(SERVER.parse().unwrap(), 1472);
    let mut search = MtuSearch::new(config, StdRng::seed_from_u64(1));
    let (mut now, mut buffer, mut late, mut probes) = (0, vec![0; 1472], None, 0);
    while search.result().is_none() {
        let transmit = search.poll_transmit(now, &mut buffer).unwrap();
        probes += 1;
        assert!(probes <= 100, "the search does not end");
        if let Some(answer) = late.replace(ack(&buffer[..transmit.len], transmit.len)) {
            let input = search.handle_input(now, SERVER.parse().unwrap(), &answer, false);
            assert!(matches!(input, MtuInput::Echo { .. }), "{input:?}");
        }
        now = search.poll_timeout().unwrap();
        search.handle_timeout(now);
    }
    assert_eq!((search.result(), probes), (Some(MtuResult::Unreachable), MAX_CONTROL_LOSSES.into()));
}

/// What the way back does to answers that are as long as their probes, and how a server may spoil them.
#[derive(Clone, Copy)]
struct Return {
    /// Longest answer that comes whole; longer ones come in fragments.
    whole: usize,
    /// Octets of a probe that the server sends back.
    buffer: usize,
    /// What the caller expects.
    expected: [usize; 2],
}

fn run_both_ways(way: Return, max_payload: usize, seed: u64) -> Run {
    let server: SocketAddr = SERVER.parse().unwrap();
    let mut search = MtuSearch::new(MtuConfig::new(server, max_payload), StdRng::seed_from_u64(seed));
    search.expect(way.expected);
    let (mut now, mut probes, mut buffer) = (0, 0, vec![0; max_payload]);
    while let Some(transmit) = search.poll_transmit(now, &mut buffer) {
        probes += 1;
        now += MILLISECOND;
        let probe = &buffer[..transmit.len];
        let answer = ack(probe, probe.len());
        if transmit.len > way.buffer {
            let id = Decoder::new(Role::Responder).decode(probe).unwrap().header().request_id;
            assert!(!search.handle_cut(id ^ 1, way.buffer), "of no probe");
            assert!(!search.handle_cut(id, transmit.len), "not cut");
            assert!(search.handle_cut(id, way.buffer));
            assert!(!search.handle_cut(id, way.buffer), "a duplicate");
        } else if transmit.len > way.whole {
            let input = search.handle_fragmented(now, server, &answer, false);
            assert_eq!(input, MtuInput::Echo { size: transmit.len, rtt: MILLISECOND });
            let again = search.handle_fragmented(now, server, &answer, false);
            assert_eq!(again, MtuInput::Rejected(Reject::Duplicate));
        } else {
            search.handle_input(now, server, &answer, false);
        }
    }
    Run { result: search.result().unwrap(), probes, elapsed: now }
}

#[test]
fn answers_in_fragments_bound_the_way_back_exactly() {
    for whole in [64, 65, 1199, 1200, 1252, 1253, 1471] {
        let way = Return { whole, buffer: usize::MAX, expected: [0; 2] };
        let run = run_both_ways(way, 1472, 5);
        assert_eq!(run.result, MtuResult::Found { payload: whole, bound: Bound::Fragments }, "{whole}");
        assert!(!run.result.is_black_hole());
        // Fragments of 1276 octets stand for an MTU of 1276 to 1283.
        let hinted =
            run_both_ways(Return { expected: [whole - whole % 8, whole - whole % 8 + 8], ..way }, 1472, 5);
        assert_eq!(hinted.result, run.result);
        assert!(hinted.probes <= 6, "{whole} took {} probes", hinted.probes);
    }
    let whole = run_both_ways(Return { whole: 1472, buffer: 1472, expected: [1472, 0] }, 1472, 6);
    assert_eq!(whole.result, MtuResult::Found { payload: 1472, bound: Bound::Limit });
    assert_eq!(whole.probes, 2, "a control probe, and what was expected");
}

#[test]
fn a_cut_echo_proves_its_own_length_and_no_more() {
    for buffer in [64, 512, 1024, 4096, 8972] {
        let run = run_both_ways(Return { whole: usize::MAX, buffer, expected: [0; 2] }, 65_507, 7);
        assert_eq!(run.result, MtuResult::Found { payload: buffer, bound: Bound::Cut }, "{buffer}");
        assert!(!run.result.is_black_hole());
        assert!(run.elapsed < SECOND, "no miss, no timer");
    }
}

#[test]
fn an_echo_cut_below_a_control_probe_is_no_echo() {
    let mut search = MtuSearch::new(MtuConfig::new(SERVER.parse().unwrap(), 1472), StdRng::seed_from_u64(8));
    let mut buffer = vec![0; 1472];
    let len = search.poll_transmit(0, &mut buffer).unwrap().len;
    let id = Decoder::new(Role::Responder).decode(&buffer[..len]).unwrap().header().request_id;
    assert!(!search.handle_cut(id, 63));
    assert_eq!(search.result(), None);
}

/// Who cuts a probe shorter than one that came back whole only keeps silent, and the search ends.
#[test]
fn cut_echoes_that_contradict_an_answer_do_not_keep_the_search_going() {
    let server: SocketAddr = SERVER.parse().unwrap();
    let mut search = MtuSearch::new(MtuConfig::new(server, 1472), StdRng::seed_from_u64(9));
    let (mut now, mut buffer, mut probes) = (0, vec![0; 1472], 0);
    while search.result().is_none() {
        while let Some(transmit) = search.poll_transmit(now, &mut buffer) {
            probes += 1;
            assert!(probes < 200, "the search does not end");
            let probe = &buffer[..transmit.len];
            let id = Decoder::new(Role::Responder).decode(probe).unwrap().header().request_id;
            if transmit.len > 1300 {
                assert!(!search.handle_cut(id, 100));
            } else {
                search.handle_input(now, server, &ack(probe, probe.len()), false);
            }
        }
        now = search.poll_timeout().unwrap_or(now);
        search.handle_timeout(now);
    }
    assert_eq!(search.result(), Some(MtuResult::Found { payload: 1300, bound: Bound::Silence }));
}
