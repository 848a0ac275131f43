//! Which of a client's servers have refused it: what one of them refuses, another may grant.

use crate::message::Refused;

/// The refusals since the last connection that held.
#[derive(Debug)]
pub(super) struct Refusals {
    /// Of each server that the client was given, by its place among them.
    has_refused: Vec<bool>,
}

impl Refusals {
    /// Of so many servers, at least one.
    pub(super) fn new(servers: usize) -> Self {
        Self { has_refused: vec![false; servers] }
    }

    /// The server of this place refuses. What is to be told of it: it, once every other one has refused, too, and then not again until all have
    /// done so anew.
    pub(super) fn note(&mut self, server: usize, refused: Refused) -> Option<Refused> {
        if let Some(has_refused) = self.has_refused.get_mut(server) {
            *has_refused = true;
        }
        if self.has_refused.contains(&false) {
            return None;
        }
        self.clear();
        Some(refused)
    }

    /// A connection held: what was refused before was of another time.
    pub(super) fn clear(&mut self) {
        self.has_refused.fill(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: &str) -> Refused {
        Refused::new(reason, "")
    }

    #[test]
    fn one_server_alone_is_told_of_each_time() {
        let mut refusals = Refusals::new(1);
        for reason in ["a", "b"] {
            assert_eq!(refusals.note(0, refused(reason)), Some(refused(reason)));
        }
    }

    #[test]
    fn of_several_nothing_is_told_before_each_has_refused_and_then_the_last_of_it() {
        let mut refusals = Refusals::new(3);
        for _ in 0..2 {
            let told = [0, 1, 0, 1].map(|server| refusals.note(server, refused("full")));
            assert_eq!(told, [None, None, None, None], "the third may take it");
            assert_eq!(refusals.note(2, refused("closed")), Some(refused("closed")));
        }
    }

    #[test]
    fn what_was_refused_before_a_connection_held_counts_no_more() {
        let mut refusals = Refusals::new(2);
        assert_eq!(refusals.note(0, refused("full")), None);
        refusals.clear();
        assert_eq!(refusals.note(1, refused("full")), None);
        assert_eq!(refusals.note(0, refused("full")), Some(refused("full")));
    }
}
