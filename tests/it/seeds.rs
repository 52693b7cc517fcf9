//! Chance: a daemon that is given no seed takes one that no other has.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use polyport_tests::{Client, ports};

use crate::polyport;

/// An address that no other test uses, where there is more than one.
const IP: IpAddr = if cfg!(target_os = "linux") {
    IpAddr::V4(Ipv4Addr::new(127, 5, 0, 1))
} else {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
};
/// Datagrams whose fate is looked at: two seeds agree about all of them once in 2^64.
const LOOKED_AT: u64 = 64;

/// What `lossy` drops follows from the seed, the listener, the peer and the number of its datagram. All but the seed is
/// the same for both daemons.
#[test]
fn two_daemons_without_a_seed_lose_different_datagrams() {
    let first = ports::free_range(&[IP], 2, 500);
    let fates = [(); 2].map(|()| answered(first, first + 1, ""));
    assert_ne!(fates[0], fates[1], "both answered these");
    // That nothing else differs is seen with one.
    let fates = [(); 2].map(|()| answered(first, first + 1, "seed = 7\n"));
    assert_eq!(fates[0], fates[1]);
}

/// Which of the first datagrams from `client` a daemon on `port` answers.
fn answered(port: u16, client: u16, settings: &str) -> Vec<u64> {
    const STEP: Duration = Duration::from_millis(50);
    const ATTEMPTS: u64 = 400;
    let listener =
        format!("[[listen]]\nbind = \"{IP}:{port}\"\nplugin = \"lossy\"\noptions = {{ loss = \"50%\" }}\n");
    let daemon = polyport().config(&format!("{settings}{listener}")).serve();
    let client = Client::from((IP, client).into(), daemon.addresses()[0]);
    (0..LOOKED_AT).for_each(|number| client.send(&number.to_be_bytes()));
    let mut answered = Vec::new();
    // Answers keep the order: the first to a later datagram shows that the others will not come.
    for number in LOOKED_AT..LOOKED_AT + ATTEMPTS {
        client.send(&number.to_be_bytes());
        while let Some(answer) = client.receive_within(STEP) {
            let answer = u64::from_be_bytes(answer.try_into().unwrap());
            if answer >= LOOKED_AT {
                let served = daemon.stop();
                assert!(served.received("lossy", "received") > LOOKED_AT);
                return answered;
            }
            answered.push(answer);
        }
    }
    panic!("half of all datagrams are lost, but not {ATTEMPTS} in a row");
}
