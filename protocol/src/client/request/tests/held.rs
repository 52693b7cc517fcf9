//! What the machine holds from one request to the next: its retry budget and its cookie.

use super::*;

/// BUSY costs a token whether it is followed by another attempt or ends the request, and earns none back.
#[test]
fn busy_ends_the_request_when_the_budget_is_spent() {
    let mut client = client(13);
    let mut now = 0;
    let mut ended = Vec::new();
    for _ in 0..7 {
        now += 1;
        let handle = client.request(now, ping()).unwrap();
        let sent = drain(&mut client, now).remove(0);
        let busy = reply_with(&sent, Kind::Error, Code::BUSY, |_| (), &[]);
        match input(&mut client, now, &busy) {
            Input::Retry(again) => {
                assert_eq!(again, handle);
                // The next attempt is answered with a wait nobody is willing to take, which ends the request.
                now = client.poll_timeout().unwrap();
                let sent = drain(&mut client, now).remove(0);
                let never = [FrameOption::RetryAfter { ms: u32::MAX }];
                let never = reply_with(&sent, Kind::Error, Code::BUSY, |_| (), &never);
                assert!(matches!(input(&mut client, now, &never), Input::Answer(_)));
                ended.push(2);
            }
            Input::Answer(answer) => {
                assert_eq!((answer.handle, answer.frame.header().code), (handle, Code::BUSY));
                ended.push(1);
            }
            other @ (Input::UnknownVersion(..) | Input::Rejected(_)) => panic!("{other:?}"),
        }
    }
    // 10, 8 and 6 tokens are above half; 4 and fewer are not.
    assert_eq!(ended, [2, 2, 2, 1, 1, 1, 1]);
    let mut charged = RetryBudget::new();
    (0..10).for_each(|_| _ = charged.failure());
    assert_eq!(*client.budget(), charged);
}

#[test]
fn a_cookie_is_kept_until_another_comes_or_it_is_refused() {
    let mut client = client(14);
    let (first, second) = (Cookie([1; 16]), Cookie([2; 16]));
    // Each request shows the cookie held, and is answered; with another cookie, or none.
    let exchange = |client: &mut Client<'_>, kind, code, given: Option<Cookie>| {
        client.request(0, ping()).unwrap();
        let sent = drain(client, 0).remove(0);
        let shown = decode(&sent).options().cookie();
        let options: Vec<_> = given.map(FrameOption::Cookie).into_iter().collect();
        let reply = reply_with(&sent, kind, code, |_| (), &options);
        assert!(matches!(input(client, 0, &reply), Input::Answer(_)), "{code:?}");
        shown
    };
    let (ok, refused) = ((Kind::Response, Code::OK), (Kind::Error, Code::BAD_COOKIE));
    let steps = [
        (ok, Some(first), None),
        (ok, None, Some(first)),
        (ok, Some(second), Some(first)),
        (refused, None, Some(second)),
        (ok, None, None),
    ];
    for (number, ((kind, code), given, expected)) in steps.into_iter().enumerate() {
        assert_eq!(exchange(&mut client, kind, code, given), expected, "request {number}");
    }
}
