//! The machine against a scripted responder, in virtual time and with fixed seeds.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::client::{Preset, Reject, TIMER_CAP};
use crate::{Code, DecodeError, Decoder, Frame, Grease, Integrity, Key, MILLISECOND, Role, SECOND};

mod held;

type Client<'p> = RequestClient<'p, StdRng, 4>;

const SERVER: &str = "192.0.2.1:7000";

fn client(seed: u64) -> Client<'static> {
    let config = RequestConfig { grease: Grease::Always, ..RequestConfig::new(SERVER.parse().unwrap()) };
    Client::new(config, StdRng::seed_from_u64(seed))
}

fn ping() -> Request<'static> {
    Request { payload: b"ping", ..Request::default() }
}

/// Sends what is due; the datagrams.
fn drain(client: &mut Client<'_>, now: Nanos) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2000];
    let mut sent = Vec::new();
    while let Some(transmit) = client.poll_transmit(now, &mut buffer) {
        assert_eq!(transmit.destination, SERVER.parse().unwrap());
        sent.push(buffer[..transmit.len].to_vec());
    }
    sent
}

fn decode(datagram: &[u8]) -> Frame<'_> {
    Decoder::new(Role::Responder).decode(datagram).unwrap()
}

fn reply_with(
    datagram: &[u8],
    kind: Kind,
    code: Code,
    edit: impl FnOnce(&mut Header),
    options: &[FrameOption<'_>],
) -> Vec<u8> {
    let mut header = decode(datagram).header().reply(kind, code);
    edit(&mut header);
    let mut buffer = [0; 2000];
    let encoder = options.iter().fold(Encoder::new(&mut buffer, &header), |e, o| e.option(o));
    let len = encoder.payload(b"pong").finish().unwrap();
    buffer[..len].to_vec()
}

fn pong(datagram: &[u8]) -> Vec<u8> {
    reply_with(datagram, Kind::Response, Code::OK, |_| (), &[])
}

fn input<'d>(client: &mut Client<'_>, now: Nanos, datagram: &'d [u8]) -> Input<'d> {
    client.handle_input(now, SERVER.parse().unwrap(), datagram, false)
}

/// Runs to the next deadline; the datagrams sent there.
fn step(client: &mut Client<'_>, now: &mut Nanos) -> Vec<Vec<u8>> {
    *now = client.poll_timeout().unwrap();
    client.handle_timeout(*now);
    drain(client, *now)
}

#[test]
fn one_request_one_answer() {
    let mut client = client(1);
    let handle = client.request(5, ping()).unwrap();
    let sent = drain(&mut client, 5);
    assert_eq!((sent.len(), decode(&sent[0]).payload()), (1, &b"ping"[..]));
    let answer = pong(&sent[0]);
    let Input::Answer(answer) = input(&mut client, 5 + 30 * MILLISECOND, &answer) else {
        panic!("not accepted")
    };
    assert_eq!((answer.handle, answer.rtt, answer.transmissions), (handle, 30 * MILLISECOND, 1));
    assert_eq!(
        (answer.frame.payload(), client.outstanding(), client.poll_timeout()),
        (&b"pong"[..], 0, None)
    );
    assert_eq!(client.rtt().srtt(), Some(30 * MILLISECOND));
}

#[test]
fn silence_means_six_attempts_doubling_and_then_a_failure() {
    let mut client = client(2);
    let handle = client.request(0, ping()).unwrap();
    let (mut now, mut times) = (0, vec![0]);
    let first = drain(&mut client, 0);
    let id = decode(&first[0]).header().request_id;
    while client.outstanding() > 0 && times.len() < 20 {
        let sent = step(&mut client, &mut now);
        if let Some(datagram) = sent.first() {
            let header = *decode(datagram).header();
            assert_eq!((header.request_id, usize::from(header.attempt)), (id, times.len()));
            times.push(now);
        }
        if let Some(failure) = client.poll_failure() {
            assert_eq!(failure, Failure::TimedOut(handle));
        }
    }
    assert_eq!(times.len(), 6);
    for (n, pair) in times.windows(2).enumerate() {
        let (gap, base) = (pair[1] - pair[0], SECOND << n);
        assert!((base.min(TIMER_CAP)..=(base * 3 / 2).min(TIMER_CAP)).contains(&gap), "timer {n}: {gap}");
    }
    assert_eq!((now - times[5], client.poll_failure()), (TIMER_CAP, None));
    assert_eq!(client.budget().tokens(), 4);
}

#[test]
fn the_budget_stops_retries_of_a_second_request() {
    let mut client = client(3);
    let mut now = 0;
    let first = client.request(now, ping()).unwrap();
    assert_eq!(drain(&mut client, now).len(), 1);
    while client.outstanding() > 0 {
        step(&mut client, &mut now);
        if let Some(failure) = client.poll_failure() {
            assert_eq!(failure, Failure::TimedOut(first));
        }
    }
    let second = client.request(now, ping()).unwrap();
    assert_eq!(drain(&mut client, now).len(), 1);
    assert_eq!(step(&mut client, &mut now).len(), 0, "no retry from an empty budget");
    assert_eq!(client.poll_failure(), Some(Failure::BudgetExhausted(second)));
}

#[test]
fn a_reply_to_an_earlier_attempt_is_accepted_and_timed_from_that_attempt() {
    let mut client = client(4);
    client.request(0, ping()).unwrap();
    let (first, mut now) = (drain(&mut client, 0), 0);
    let second = step(&mut client, &mut now);
    assert_eq!(second.len(), 1);
    let answer = pong(&first[0]);
    let Input::Answer(answer) = input(&mut client, now + 7, &answer) else { panic!("not accepted") };
    assert_eq!((answer.rtt, answer.transmissions), (now + 7, 2));
    let duplicate = pong(&second[0]);
    assert_eq!(input(&mut client, now + 8, &duplicate), Input::Rejected(Reject::Duplicate));
}

#[test]
fn every_forgery_has_its_own_counter_and_leaves_the_request_open() {
    let mut client = client(5);
    client.request(0, ping()).unwrap();
    let sent = drain(&mut client, 0).remove(0);
    let forged = |edit: fn(&mut Header)| reply_with(&sent, Kind::Response, Code::OK, edit, &[]);
    let genuine = pong(&sent);
    let mut flipped = genuine.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cases = [
        (forged(|h| h.stream_id ^= 1), Reject::StaleStream),
        (forged(|h| h.request_id ^= 1), Reject::UnknownId),
        (forged(|h| h.seq += 1), Reject::WrongSeq),
        (forged(|h| h.attempt += 1), Reject::WrongAttempt),
        (forged(|h| h.timestamp += 1), Reject::WrongTimestamp),
        (forged(|h| h.kind = Kind::ProbeAck), Reject::WrongKind),
        (flipped, Reject::Malformed(DecodeError::BadChecksum)),
        (genuine[..20].to_vec(), Reject::Malformed(DecodeError::Short)),
        (genuine[..46].to_vec(), Reject::Malformed(DecodeError::BadLength)),
        (sent.clone(), Reject::Malformed(DecodeError::WrongDirection)),
        (version_frame(&sent, &[1, 0x0A]), Reject::VersionIgnored),
        (version_frame(&sent, &[]), Reject::VersionIgnored),
    ];
    for (datagram, expected) in &cases {
        assert_eq!(input(&mut client, 1, datagram), Input::Rejected(*expected));
    }
    for other in ["192.0.2.1:7001", "192.0.2.2:7000"] {
        let verdict = client.handle_input(1, other.parse().unwrap(), &genuine, false);
        assert_eq!(verdict, Input::Rejected(Reject::WrongSource));
    }
    let truncated = client.handle_input(1, SERVER.parse().unwrap(), &genuine, true);
    assert_eq!(truncated, Input::Rejected(Reject::Malformed(DecodeError::Truncated)));
    assert!(matches!(input(&mut client, 2, &genuine), Input::Answer(_)));
    assert_eq!(input(&mut client, 2, &genuine), Input::Rejected(Reject::Duplicate));
    assert_eq!(client.rejects().get(Reject::WrongSource), 2);
    assert_eq!(client.rejects().total(), 16);
    assert_eq!(client.rejects().get(Reject::VersionIgnored), 2);
}

#[test]
fn a_reply_after_the_failure_is_late() {
    let mut client = client(6);
    client.request(0, ping()).unwrap();
    let sent = drain(&mut client, 0).remove(0);
    let mut now = 0;
    while client.poll_timeout().is_some() {
        step(&mut client, &mut now);
    }
    assert!(matches!(client.poll_failure(), Some(Failure::TimedOut(_))));
    let answer = pong(&sent);
    assert_eq!(input(&mut client, now, &answer), Input::Rejected(Reject::Late));
}

fn version_frame(sent: &[u8], versions: &[u8]) -> Vec<u8> {
    let header = decode(sent).header().reply(Kind::Version, Code::OK);
    let mut buffer = [0; 100];
    let len = Encoder::new(&mut buffer, &header).option(&FrameOption::Versions(versions)).finish().unwrap();
    buffer[..len].to_vec()
}

#[test]
fn a_foreign_version_closes_the_request_unless_a_reply_came_before() {
    let mut client = client(7);
    let handle = client.request(0, ping()).unwrap();
    let foreign = version_frame(&drain(&mut client, 0)[0], &[2, 0x0A]);
    assert!(matches!(input(&mut client, 1, &foreign), Input::UnknownVersion(h, _) if h == handle));
    client.request(2, ping()).unwrap();
    let answer = pong(&drain(&mut client, 2)[0]);
    assert!(matches!(input(&mut client, 3, &answer), Input::Answer(_)));
    client.request(4, ping()).unwrap();
    let foreign = version_frame(&drain(&mut client, 4)[0], &[2]);
    assert_eq!(input(&mut client, 5, &foreign), Input::Rejected(Reject::VersionIgnored));
}

#[test]
fn busy_waits_as_told_and_costs_budget() {
    let mut client = client(8);
    let handle = client.request(0, ping()).unwrap();
    let sent = drain(&mut client, 0).remove(0);
    let told = [FrameOption::RetryAfter { ms: 3000 }];
    let busy = reply_with(&sent, Kind::Error, Code::BUSY, |_| (), &told);
    assert_eq!(input(&mut client, MILLISECOND, &busy), Input::Retry(handle));
    assert_eq!(input(&mut client, MILLISECOND, &busy), Input::Rejected(Reject::Superseded));
    let at = client.poll_timeout().unwrap();
    assert!((3 * SECOND..=6 * SECOND + MILLISECOND).contains(&at), "{at}");
    assert!(drain(&mut client, at - 1).is_empty());
    let again = drain(&mut client, at).remove(0);
    assert_eq!((decode(&again).header().attempt, client.budget().tokens()), (1, 9));
    let forever =
        reply_with(&again, Kind::Error, Code::BUSY, |_| (), &[FrameOption::RetryAfter { ms: u32::MAX }]);
    let Input::Answer(answer) = input(&mut client, at + 1, &forever) else { panic!("should have ended") };
    assert_eq!(answer.frame.header().code, Code::BUSY);
}

#[test]
fn a_cookie_is_fetched_once_and_kept() {
    let mut client = client(9);
    let request = Request { want_cookie: true, ..ping() };
    let handle = client.request(0, request).unwrap();
    let sent = drain(&mut client, 0).remove(0);
    assert_eq!(decode(&sent).options().iter().next().unwrap().wire_len(), 20, "ROOM as long as a COOKIE");
    let cookie = Cookie([7; 16]);
    let demand = |sent: &[u8]| {
        reply_with(sent, Kind::Error, Code::COOKIE_REQUIRED, |_| (), &[FrameOption::Cookie(cookie)])
    };
    let answer = demand(&sent);
    assert_eq!(input(&mut client, 1, &answer), Input::Retry(handle));
    let again = drain(&mut client, 1).remove(0);
    assert_eq!(decode(&again).options().cookie(), Some(cookie));
    assert_eq!(input(&mut client, 2, &answer), Input::Rejected(Reject::Superseded), "a copy of the first");
    let answer = demand(&again);
    assert!(matches!(input(&mut client, 2, &answer), Input::Answer(_)), "the second demand is an answer");
    client.request(3, ping()).unwrap();
    assert_eq!(decode(&drain(&mut client, 3)[0]).options().cookie(), Some(cookie));
}

#[test]
fn places_are_limited_and_reused_oldest_first() {
    let mut client = client(10);
    let handles: Vec<_> = (0..4).map(|_| client.request(0, ping()).unwrap()).collect();
    assert_eq!(handles, [0, 1, 2, 3].map(Handle));
    assert_eq!(client.request(0, ping()), Err(RequestError::Full));
    let answers: Vec<_> = drain(&mut client, 0).iter().map(|sent| pong(sent)).collect();
    for answer in &answers[..2] {
        assert!(matches!(input(&mut client, 1, answer), Input::Answer(_)));
    }
    client.request(1, ping()).unwrap();
    assert_eq!(input(&mut client, 1, &answers[0]), Input::Rejected(Reject::UnknownId), "its place is taken");
    assert_eq!(input(&mut client, 1, &answers[1]), Input::Rejected(Reject::Duplicate));
}

#[test]
fn a_request_that_does_not_fit_fails_with_the_reason() {
    let mut client = client(11);
    let long = vec![0; 1300];
    let config = RequestConfig::new(SERVER.parse().unwrap());
    let mut big: Client<'_> = Client::new(config, StdRng::seed_from_u64(1));
    let handle = big.request(0, Request { payload: &long, ..Request::default() }).unwrap();
    assert!(drain(&mut big, 0).is_empty());
    assert!(
        matches!(big.poll_failure(), Some(Failure::Encode(h, EncodeError::NoSpace { .. })) if h == handle)
    );
    client.request(0, Request { pad_to: 1232, ..ping() }).unwrap();
    assert_eq!(drain(&mut client, 0)[0].len(), 1232);
}

#[test]
fn with_a_key_only_tagged_replies_count() {
    let key = Key::siphash(1, [1; 16]);
    let config = RequestConfig { key: Some(&key), ..RequestConfig::new(SERVER.parse().unwrap()) };
    let mut client: Client<'_> = Client::new(config, StdRng::seed_from_u64(12));
    client.request(0, ping()).unwrap();
    let sent = drain(&mut client, 0).remove(0);
    let keys = [key.clone()];
    let decoder = Decoder::new(Role::Responder).with_integrity(Integrity::Keys(&keys));
    let header = decoder.decode(&sent).unwrap().header().reply(Kind::Response, Code::OK);
    let mut out = [0; 100];
    let len = Encoder::new(&mut out, &header).finish().unwrap();
    let verdict = input(&mut client, 1, &out[..len]);
    assert_eq!(verdict, Input::Rejected(Reject::Malformed(DecodeError::NoAuth)));
    let len = Encoder::new(&mut out, &header).auth(&key).finish().unwrap();
    assert!(matches!(input(&mut client, 1, &out[..len]), Input::Answer(_)));
}

/// Loss, duplication and delay in both directions: every request ends exactly once, and what is answered is
/// answered with its own payload.
#[test]
fn a_bad_network_ends_every_request_exactly_once() {
    const REQUESTS: usize = if cfg!(miri) { 20 } else { 400 };
    const SEEDS: u32 = if cfg!(miri) { 1 } else { 20 };
    let payloads: Vec<[u8; 8]> = (0..REQUESTS as u64).map(u64::to_be_bytes).collect();
    let (mut answered, mut failed) = (0, 0);
    for seed in 0..u64::from(SEEDS) {
        let mut net = StdRng::seed_from_u64(1000 + seed);
        let config = RequestConfig { preset: Preset::LAN, ..RequestConfig::new(SERVER.parse().unwrap()) };
        let mut client: Client<'_> = Client::new(config, StdRng::seed_from_u64(seed));
        let mut wire: BTreeMap<(Nanos, u64), Vec<u8>> = BTreeMap::new();
        let (mut now, mut order, mut ended, mut next) = (0, 0, [0_u8; REQUESTS], 0);
        loop {
            while next < REQUESTS
                && client.request(now, Request { payload: &payloads[next], ..Request::default() }).is_ok()
            {
                next += 1;
            }
            for sent in drain(&mut client, now) {
                for _ in 0..if net.random_bool(0.2) { 2 } else { 1 } {
                    let mut header = decode(&sent).header().reply(Kind::Response, Code::OK);
                    header.flags = Flags::REPLY;
                    let mut out = [0; 100];
                    let len =
                        Encoder::new(&mut out, &header).payload(decode(&sent).payload()).finish().unwrap();
                    if net.random_bool(0.7) {
                        let at = now + net.random_range(1..40) * MILLISECOND;
                        order += 1;
                        wire.insert((at, order), out[..len].to_vec());
                    }
                }
            }
            while let Some(failure) = client.poll_failure() {
                let (Failure::TimedOut(h) | Failure::BudgetExhausted(h)) = failure else {
                    panic!("{failure:?}")
                };
                ended[usize::try_from(h.0).unwrap()] += 1;
                failed += 1;
            }
            let arrival = wire.first_key_value().map(|((at, _), _)| *at);
            let Some(wake) = arrival.into_iter().chain(client.poll_timeout()).min() else { break };
            now = now.max(wake);
            if arrival == Some(wake) {
                let (_, datagram) = wire.pop_first().unwrap();
                if let Input::Answer(answer) = input(&mut client, now, &datagram) {
                    let index = usize::try_from(answer.handle.0).unwrap();
                    assert_eq!(answer.frame.payload(), payloads[index]);
                    ended[index] += 1;
                    answered += 1;
                }
            } else {
                client.handle_timeout(now);
            }
        }
        assert!(next == REQUESTS && ended.iter().all(|times| *times == 1), "seed {seed}");
        assert_eq!(
            client.rejects().total(),
            client.rejects().get(Reject::Duplicate)
                + client.rejects().get(Reject::Late)
                + client.rejects().get(Reject::UnknownId)
        );
    }
    let all = REQUESTS * SEEDS as usize;
    assert_eq!(answered + failed, all);
    assert!(answered > all * 5 / 8, "answered {answered}, failed {failed}");
}
