//! No bytes that other peers have sent or were sent leave with an answer, however carelessly a plugin counts (B10).

use std::time::Duration;

use polyport_tests::plugins::{compile_c, fixture, spec};

use crate::polyport;

#[test]
fn an_answer_takes_along_nothing_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = compile_c(&fixture("stale"), &[], dir.path(), "stale") else { return };
    let spec = spec("127.0.0.1:0", &library);
    // Two listeners share the memory of a call.
    let daemon = polyport().listen(format!("{spec},name=one")).listen(format!("{spec},name=two")).serve();
    let (one, two) = (daemon.client(0), daemon.client(1));
    let bad = [&b"beyond"[..], b"in place", b"by pointer", b"behind"];
    for _ in 0..3 {
        // The arena and the receive ring hold what must not be seen again.
        assert_eq!(one.ask(b"secret"), vec![b'S'; 60_000]);
        let long = vec![b'R'; 60_000];
        assert_eq!(one.ask(&long), long);
        let answer = two.ask(b"unwritten");
        assert_eq!((&answer[..8], answer.len()), (&[b'w'; 8][..], 1000));
        assert!(answer[8..].iter().all(|byte| *byte == 0), "{:?}", &answer[8..40]);
        assert_eq!(two.ask(b"cap"), b"=");
        bad.iter().for_each(|payload| two.send(payload));
        assert_eq!(two.ask(b"the last one"), b"the last one");
    }
    assert_eq!(two.receive_within(Duration::from_millis(200)), None, "none of the others was answered");
    let served = daemon.stop();
    assert_eq!(served.sent("two", "bad_tx"), 3 * bad.len() as u64, "{}", served.line("two"));
    assert_eq!(served.sent("one", "bad_tx"), 0);
}
