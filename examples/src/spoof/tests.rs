//! Every case against every client; what is safe and what is counted.

use polyport_protocol::Grease;

use super::*;
use crate::key::generator;

fn cell(case: Case, guard: Guard, own: &str, seed: u64) -> Cell {
    let setting = Setting { own: own.parse().unwrap(), grease: Grease::Always };
    play(case, guard, setting, &mut generator(Some(seed))).unwrap()
}

#[test]
fn the_rules_of_the_protocol_hold_in_every_case_and_for_many_seeds() {
    for seed in 0..20 {
        for case in Case::ALL {
            let cell = cell(case, Guard::RequestId, "127.0.0.1:0", seed);
            assert!(cell.is_safe() && cell.is_counted(case), "{case:?} {cell:?}");
        }
    }
}

#[test]
fn a_connected_socket_stops_other_sources_only() {
    for case in Case::ALL {
        let cell = cell(case, Guard::Connected, "127.0.0.1:0", 1);
        assert_eq!(cell.is_safe(), case == Case::OtherPort, "{case:?} {cell:?}");
        assert_eq!(cell.genuine_taken, 1);
    }
}

#[test]
fn without_a_guard_everything_is_taken() {
    for case in Case::ALL {
        let cell = cell(case, Guard::Promiscuous, "127.0.0.1:0", 1);
        assert!(!cell.is_safe() && cell.forged_taken == cell.forged, "{case:?} {cell:?}");
    }
}

#[test]
fn a_wrong_counter_is_noticed() {
    let mut cell = cell(Case::WrongId, Guard::RequestId, "127.0.0.1:0", 1);
    assert!(cell.is_counted(Case::WrongId) && !cell.is_counted(Case::Twice));
    cell.rejects.insert("late", 1);
    assert!(!cell.is_counted(Case::WrongId));
    cell.genuine_taken = 0;
    assert!(!cell.is_safe(), "a lost genuine reply");
}
