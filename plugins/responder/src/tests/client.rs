//! The project's own client, over a network that loses replies.

use core::time::Duration;

use polyport_plugin::testing::LOCAL;
use polyport_protocol::client::{Input, Request, RequestClient, RequestConfig};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

/// What the client ends with.
#[derive(Debug, PartialEq)]
struct Outcome {
    kind: Kind,
    payload: Vec<u8>,
    transmissions: u8,
}

/// Makes one request; the first `lost` replies do not arrive.
fn complete(h: &mut Harness<Responder>, key: Option<&Key>, request: Request<'_>, mut lost: u32) -> Outcome {
    let config = RequestConfig { key, ..RequestConfig::new(LOCAL) };
    let mut client: RequestClient<'_, StdRng, 4> = RequestClient::new(config, StdRng::seed_from_u64(5));
    client.request(h.now_ns(), request).unwrap();
    let mut buffer = [0; 2048];
    loop {
        let due = client.poll_timeout().expect("a request that failed");
        h.advance(Duration::from_nanos(due.saturating_sub(h.now_ns())));
        client.handle_timeout(h.now_ns());
        while let Some(transmit) = client.poll_transmit(h.now_ns(), &mut buffer) {
            h.send(PEER, &buffer[..transmit.len]);
            let Some(reply) = h.sent().pop() else { continue };
            if lost > 0 {
                lost -= 1;
            } else if let Input::Answer(answer) =
                client.handle_input(h.now_ns(), LOCAL, &reply.payload, false)
            {
                let (kind, payload) = (answer.frame.header().kind, answer.frame.payload().to_vec());
                return Outcome { kind, payload, transmissions: answer.transmissions };
            }
        }
    }
}

#[test]
fn a_lost_reply_is_recovered_without_a_second_execution_with_a_key_or_without() {
    let key = Key::siphash(1, core::array::from_fn(|i| u8::try_from(i).unwrap()));
    let sealed = [("auth", "siphash"), ("key", "000102030405060708090a0b0c0d0e0f")];
    // With a key the lost replies ask for a COOKIE, and so does the fourth, so a fifth transmission is answered.
    for (options, key, transmissions, duplicates) in [(&[][..], None, 4, 3), (&sealed, Some(&key), 5, 0)] {
        let mut h = responder(options);
        let request = Request { payload: b"once", ..Request::default() };
        let outcome = complete(&mut h, key, request, 3);
        assert_eq!(outcome, Outcome { kind: Kind::Response, payload: b"once".to_vec(), transmissions });
        assert_eq!((h.counter("executed_total"), h.counter("duplicates_answered_total")), (1, duplicates));
    }
}

#[test]
fn a_reply_that_needs_a_cookie_comes_at_the_second_attempt() {
    let mut h = responder(&[("service", "time")]);
    let request = Request { want_cookie: true, ..Request::default() };
    let outcome = complete(&mut h, None, request, 0);
    let payload = b"unix 1700000000.000000000".to_vec();
    assert_eq!(outcome, Outcome { kind: Kind::Response, payload, transmissions: 2 });
    assert_eq!((h.counter("executed_total"), h.counter("cookies_valid_total")), (1, 1));
}
