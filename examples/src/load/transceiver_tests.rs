use polyport_protocol::SECOND;

use super::*;
use crate::load::config::example;

#[test]
fn a_closed_loop_without_room_plans_nothing_and_holds_nothing_back() {
    let mute = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let config =
        Config { in_flight: Some(50), max_in_flight: 5, ..example(vec![mute.local_addr().unwrap()]) };
    let (clock, part) = (Clock::start(), Part::whole(1));
    let mut transceiver = Transceiver::new(&config, clock, part).unwrap();
    let mut schedule = Schedule::new(&config, part, 0, 3600 * SECOND, false);
    let mut backlog = VecDeque::new();
    schedule.allow(50, clock.now());
    let turn = transceiver.send_due(&mut schedule, &mut backlog, false);
    assert_eq!(turn, Turn { left: 5, blocked: false, full: true });
    let turn = transceiver.send_due(&mut schedule, &mut backlog, false);
    assert_eq!(turn, Turn { left: 0, blocked: false, full: true });
    let ledger = &transceiver.ledger;
    assert_eq!((ledger.planned(), ledger.not_sent(), backlog.len()), (5, 0, 0));
    assert_eq!(schedule.peek().map(|slot| slot.index), Some(5), "it is the next one still");
}
