//! The addresses of a bundle. A bundle has the name of the token that its first address had, also when that is gone: its timers
//! are armed under it.

use std::collections::HashMap;

use crate::reactor::io::Token;
use crate::reactor::listener::Faults;

/// All bundles by their names. Most reactors have none, and what looks something up here happens rarely.
#[derive(Debug, Default)]
pub(crate) struct Bundles(HashMap<Token, Bundle>);

/// The place of an address in its bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The name of the bundle.
    pub(crate) bundle: Token,
    /// Its number there, by which the handler knows it.
    pub(crate) number: u32,
}

/// Addresses that one handler serves.
#[derive(Debug)]
pub(crate) struct Bundle {
    members: Vec<Member>,
    /// Number of the first that is served; the handler speaks through it where no address is named.
    first_served: usize,
    /// Number of the first that is there; it has the metric cells of the handler.
    first_there: usize,
    /// The breaks of the handler, and what the next one is to begin with.
    pub(crate) faults: Faults,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    token: Token,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Served,
    /// Its socket is unusable.
    Closed,
    Gone,
}

/// What follows when an address leaves its bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Others are there, and this one gets the metric cells, which the one that leaves had.
    Heir(Token),
    /// Others are there.
    Others,
    /// It was the last one, and the bundle is gone with it.
    Nobody,
}

impl Bundles {
    /// Makes a bundle of addresses in their order, under the name of the first.
    pub(crate) fn add(&mut self, tokens: &[Token]) {
        let members: Vec<_> =
            tokens.iter().map(|token| Member { token: *token, state: State::Served }).collect();
        if let Some(name) = tokens.first() {
            let bundle = Bundle { members, first_served: 0, first_there: 0, faults: Faults::default() };
            self.0.insert(*name, bundle);
        }
    }

    /// Forgets a bundle.
    pub(crate) fn remove(&mut self, name: Token) -> Option<Bundle> {
        self.0.remove(&name)
    }

    pub(crate) fn get(&self, name: Token) -> Option<&Bundle> {
        self.0.get(&name)
    }

    pub(crate) fn get_mut(&mut self, name: Token) -> Option<&mut Bundle> {
        self.0.get_mut(&name)
    }

    /// The names of all.
    pub(crate) fn names(&self) -> Vec<Token> {
        self.0.keys().copied().collect()
    }

    /// The address through which speaks what `token` names: a bundle, or an address by itself.
    #[inline]
    pub(crate) fn speaker(&self, token: Token) -> Token {
        if self.0.is_empty() {
            return token;
        }
        self.0.get(&token).and_then(Bundle::speaker).unwrap_or(token)
    }

    /// The address with a number.
    pub(crate) fn address(&self, name: Token, number: u32) -> Option<Token> {
        let member = self.0.get(&name)?.members.get(number as usize)?;
        (member.state != State::Gone).then_some(member.token)
    }

    /// An address is not served any more. Returns whether others of its bundle are.
    pub(crate) fn close(&mut self, seat: Seat) -> bool {
        let Some(bundle) = self.0.get_mut(&seat.bundle) else { return false };
        bundle.set(seat.number, State::Closed);
        bundle.speaker().is_some()
    }

    /// An address is there no more.
    pub(crate) fn leave(&mut self, seat: Seat) -> Left {
        let Some(bundle) = self.0.get_mut(&seat.bundle) else { return Left::Nobody };
        let had_cells = bundle.first_there == seat.number as usize;
        bundle.set(seat.number, State::Gone);
        match bundle.members.get(bundle.first_there) {
            None => Left::Nobody,
            Some(heir) if had_cells => Left::Heir(heir.token),
            Some(_) => Left::Others,
        }
    }
}

impl Bundle {
    /// The first address that is served.
    pub(crate) fn speaker(&self) -> Option<Token> {
        Some(self.members.get(self.first_served)?.token)
    }

    /// The address that has the metric cells.
    pub(crate) fn cashier(&self) -> Option<Token> {
        Some(self.members.get(self.first_there)?.token)
    }

    /// How many addresses it was made of.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The addresses that are there, each with its number.
    pub(crate) fn there(&self) -> Vec<(u32, Token)> {
        self.with(|state| state != State::Gone)
    }

    /// The addresses that are served, or would be if they had a handler, each with its number.
    pub(crate) fn served(&self) -> Vec<(u32, Token)> {
        self.with(|state| state == State::Served)
    }

    fn with(&self, is_meant: impl Fn(State) -> bool) -> Vec<(u32, Token)> {
        let numbered = (0..).zip(&self.members);
        numbered.filter(|(_, m)| is_meant(m.state)).map(|(number, m)| (number, m.token)).collect()
    }

    fn set(&mut self, number: u32, state: State) {
        if let Some(member) = self.members.get_mut(number as usize) {
            member.state = state;
        }
        // Nobody comes back, so both only move on.
        let next = |from: usize, is_meant: fn(State) -> bool| {
            let rest = self.members.get(from..).unwrap_or_default();
            from + rest.iter().take_while(|member| !is_meant(member.state)).count()
        };
        self.first_served = next(self.first_served, |state| state == State::Served);
        self.first_there = next(self.first_there, |state| state != State::Gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(index: u32) -> Token {
        Token { index, generation: 1 }
    }

    fn seat(number: u32) -> Seat {
        Seat { bundle: token(0), number }
    }

    fn bundles() -> Bundles {
        let mut bundles = Bundles::default();
        bundles.add(&[token(0), token(1), token(2)]);
        bundles
    }

    #[test]
    fn the_first_that_is_served_speaks_for_all_under_the_name_of_the_first() {
        let mut bundles = bundles();
        assert_eq!((bundles.speaker(token(0)), bundles.speaker(token(9))), (token(0), token(9)));
        assert!(bundles.close(seat(0)) && bundles.close(seat(2)));
        assert_eq!(bundles.speaker(token(0)), token(1));
        assert_eq!(bundles.get(token(0)).unwrap().served(), [(1, token(1))]);
        assert!(!bundles.close(seat(1)));
        assert_eq!(bundles.get(token(0)).unwrap().speaker(), None);
        assert_eq!(bundles.get(token(0)).unwrap().there().len(), 3, "they still have their books");
    }

    #[test]
    fn the_cells_go_to_the_next_that_is_there() {
        let mut bundles = bundles();
        assert_eq!(bundles.get(token(0)).unwrap().cashier(), Some(token(0)));
        assert_eq!(bundles.leave(seat(1)), Left::Others);
        assert_eq!(bundles.leave(seat(0)), Left::Heir(token(2)));
        assert_eq!((bundles.address(token(0), 0), bundles.address(token(0), 2)), (None, Some(token(2))));
        assert_eq!(bundles.leave(seat(2)), Left::Nobody);
        assert_eq!(bundles.address(token(0), 3), None);
    }
}
