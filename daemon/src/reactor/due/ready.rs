//! The ready list: which listener is visited next. Round robin, each listener at most once.

use std::collections::VecDeque;

use crate::reactor::io::Token;

/// Listeners that may have datagrams waiting, in the order they became ready.
#[derive(Debug, Default)]
pub(crate) struct ReadyList(VecDeque<Token>);

impl ReadyList {
    /// Appends a listener, unless it is on the list already. `queued` is the listener's own flag for that.
    pub(crate) fn push(&mut self, token: Token, queued: &mut bool) {
        if !*queued {
            *queued = true;
            self.0.push_back(token);
        }
    }

    /// Takes the first listener off the list. The caller clears the listener's flag.
    pub(crate) fn pop(&mut self) -> Option<Token> {
        self.0.pop_front()
    }

    /// Takes a listener off the list, wherever it stands. The caller clears the listener's flag.
    pub(crate) fn take_out(&mut self, token: Token) {
        self.0.retain(|other| *other != token);
    }

    /// The listener that will be taken after `n` others.
    #[inline]
    pub(crate) fn peek(&self, n: usize) -> Option<Token> {
        self.0.get(n).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_on_the_list_once_and_the_order_is_kept() {
        let mut list = ReadyList::default();
        let mut marks = [false; 3];
        for index in [2, 0, 2, 1, 0] {
            list.push(Token { index, generation: 0 }, &mut marks[index as usize]);
        }
        let order: Vec<_> = std::iter::from_fn(|| list.pop()).map(|t| t.index).collect();
        assert_eq!(order, [2, 0, 1]);
    }
}
