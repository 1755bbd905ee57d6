//! Letters for other servers: on a kept connection where there is one, in as many transactions as the server wants.
//!
//! # Invariants
//! - Each recipient has an outcome in the end.
//! - The letter goes to one server at a time: to another only when nobody has it from this one.

use std::collections::VecDeque;

use queue::{Attempt, Recipient, RecipientOutcome, Verdict, Weather};
use smtp::ByMode;
use smtp::client::{Closed, Delivery, Stage};

use crate::kept::Kept;
use crate::needs::Needs;
use crate::outcome::{Trouble, is_too_many};
use crate::place::Way;
use crate::route::NextHop;
use crate::shaper::Ear;
use crate::tls_policy::TlsWish;
use crate::transaction::{Ending, is_dead, is_unprotected, transaction};
use crate::weather::{is_not_now, of_delivery, of_trouble, stage_of, worse};

/// Servers of a domain that may say "not now" to a letter in one attempt, before the last of them is believed.
const MOST_PASSED: usize = 4;

/// Recipients of one transaction, each with its position in the attempt.
type Group<'a> = Vec<(usize, &'a Recipient)>;

/// Delivers to these recipients; puts what became of each at its position. Gives what was met; `None` where no server was
/// asked for anything.
pub(crate) async fn deliver(
    ear: &mut Ear<'_>,
    way: &Way,
    line: &mut Option<Kept>,
    attempt: &Attempt,
    recipients: &[(usize, &Recipient)],
    outcomes: &mut [Option<RecipientOutcome>],
) -> Option<Weather> {
    let wish = TlsWish::of(&attempt.letter);
    if let Some(unfit) = line.take_if(|kept| kept.via != way.via || !kept.suits(&way.hop, wish)) {
        unfit.quit().await;
    }
    let waiting = recipients.iter().copied().collect();
    let (needs, passed) = (Needs::default(), Vec::new());
    let mut passage = Passage {
        ear,
        way,
        attempt,
        outcomes,
        waiting,
        needs,
        passed,
        tried_again: false,
        by_data: false,
        weather: None,
    };
    while !passage.waiting.is_empty() {
        let kept = match line.take() {
            Some(kept) => Some(kept),
            None => passage.open().await,
        };
        if let Some(kept) = kept {
            *line = passage.transact(kept).await;
        }
    }
    passage.weather
}

/// One letter's way to the servers of one hop.
struct Passage<'a, 'e> {
    ear: &'a mut Ear<'e>,
    way: &'a Way,
    attempt: &'a Attempt,
    outcomes: &'a mut [Option<RecipientOutcome>],
    /// Who was not asked about yet, or is to be asked about again.
    waiting: VecDeque<(usize, &'a Recipient)>,
    needs: Needs,
    /// Servers that have said not now to this letter.
    passed: Vec<String>,
    /// A kept connection was of no use, and a new one took its place: that is done once.
    tried_again: bool,
    /// The server has refused BDAT.
    by_data: bool,
    weather: Option<Weather>,
}

impl<'a> Passage<'a, '_> {
    /// A new connection; without one nobody waits any more.
    async fn open(&mut self) -> Option<Kept> {
        let trouble = match Kept::open(self.ear, self.way, &self.passed, TlsWish::of(&self.attempt.letter)).await {
            Ok(kept) => return Some(kept),
            Err(trouble) => trouble,
        };
        // No other server is better: the words of the one that was reached stand.
        let reached = !self.passed.is_empty();
        for (at, _) in std::mem::take(&mut self.waiting) {
            if !reached || self.outcomes.get(at).is_some_and(Option::is_none) {
                self.put(at, trouble.outcome());
            }
        }
        // Where domains have rules of their own, what one asks for in vain is not the trouble of the others.
        let own_rule = trouble.is_of_tls() && self.ear.state().has_domain_rules();
        if !reached && !own_rule {
            self.see(of_trouble(&trouble, self.way.is_one_of_many()));
        }
        None
    }

    /// One transaction, with as many recipients as the server takes. Gives the connection back where it is good for more.
    async fn transact(&mut self, mut kept: Kept) -> Option<Kept> {
        if self.by_data {
            kept.connection.forgo_bdat();
        }
        let group = self.next_group(&mut kept);
        let fresh_may_help = kept.letters > 0 && !self.tried_again;
        let ending = transaction(&mut kept, self.ear, self.attempt, &mut self.needs, &group).await;
        if fresh_may_help && is_dead(&ending, kept.connection.heard()) {
            tracing::debug!(peer = kept.by, "kept connection was closed by the server, opening a new one");
            self.tried_again = true;
            self.again(group);
            return None;
        }
        match ending {
            Ending::Unfit(reply) => {
                group.iter().for_each(|(at, _)| self.put(*at, kept.outcome(reply.clone(), true)));
                Some(kept)
            }
            Ending::Silent(closed) => {
                self.give_up(&group, &kept.trouble(&closed));
                None
            }
            Ending::Said(delivery, alive) => self.hear(kept, delivery, alive, group, fresh_may_help).await,
        }
    }

    /// As many as the server takes at once. Where it takes no internationalized addresses, what comes back for their sake is not
    /// the letter of the others (RFC 6531 §3.5).
    fn next_group(&mut self, kept: &mut Kept) -> Group<'a> {
        let most = kept.most_recipients(&self.waiting);
        let group: Group<'a> = self.waiting.drain(..most).collect();
        let plain = |(_, recipient): &(usize, &Recipient)| recipient.address.is_ascii();
        let takes_all = kept.connection.session().capabilities().is_none_or(|offered| offered.smtputf8);
        let first = group.first().is_some_and(plain);
        if takes_all || group.iter().all(|one| plain(one) == first) {
            return group;
        }
        let (group, others) = group.into_iter().partition(|one| plain(one) == first);
        self.again(others);
        group
    }

    /// What the server said decides whether it is asked again, another is asked, or it has the last word.
    async fn hear(
        &mut self,
        kept: Kept,
        delivery: Delivery,
        alive: Result<(), Closed>,
        group: Group<'a>,
        fresh_may_help: bool,
    ) -> Option<Kept> {
        let not_now = is_not_now(&delivery);
        if not_now && fresh_may_help {
            // It may have had enough letters on one connection.
            self.tried_again = true;
        } else if self.may_pass() && (not_now || (self.requiretls() && is_unprotected(&delivery))) {
            self.see(if not_now { Weather::Trouble } else { Weather::Fine });
            self.passed.push(kept.by.clone());
        } else {
            return self.settle(kept, delivery, alive, &group);
        }
        self.put_replies(&kept, delivery, &group, alive.as_ref().err().and_then(stage_of), false);
        self.again(group);
        if alive.is_ok() {
            kept.quit().await;
        }
        None
    }

    /// The server has had the last word; those that it did not want in this transaction are next.
    fn settle(
        &mut self,
        kept: Kept,
        delivery: Delivery,
        alive: Result<(), Closed>,
        group: &[(usize, &'a Recipient)],
    ) -> Option<Kept> {
        self.see(of_delivery(&delivery, &alive));
        let over = alive.as_ref().err().and_then(stage_of);
        let no_bdat = !self.by_data && kept.connection.session().bdat_refused();
        self.by_data |= no_bdat;
        let again = self.put_replies(&kept, delivery, group, over, no_bdat);
        self.again(again);
        alive.is_ok().then_some(kept)
    }

    /// Puts the replies where they belong; gives those recipients that should go into another transaction at once. `over`: the
    /// stage at which the connection broke.
    fn put_replies(
        &mut self,
        kept: &Kept,
        delivery: Delivery,
        group: &[(usize, &'a Recipient)],
        over: Option<Stage>,
        no_bdat: bool,
    ) -> Group<'a> {
        let taken = delivery.recipients.iter().any(|said| said.reply.is_positive());
        let mut again = Vec::new();
        for ((at, recipient), said) in group.iter().zip(delivery.recipients) {
            let goes_by_data = no_bdat && said.stage == Stage::EndOfData && !said.reply.is_positive();
            if goes_by_data || (taken && is_too_many(said.stage, &said.reply)) {
                again.push((*at, *recipient));
            }
            let ours = over == Some(said.stage) || !kept.connection.heard();
            let mut outcome = kept.outcome(said.reply, ours);
            if outcome.verdict == Verdict::PassedOn && self.is_told_of(kept) {
                outcome.verdict = Verdict::Relayed;
            }
            self.put(*at, outcome);
        }
        again
    }

    /// The connection ended without a word: for none of them anything else is tried.
    fn give_up(&mut self, group: &[(usize, &Recipient)], trouble: &Trouble) {
        let waiting = std::mem::take(&mut self.waiting);
        group.iter().chain(&waiting).for_each(|(at, _)| self.put(*at, trouble.outcome()));
        self.see(Weather::Trouble);
    }

    fn again(&mut self, group: Group<'a>) {
        group.into_iter().rev().for_each(|one| self.waiting.push_front(one));
    }

    fn put(&mut self, at: usize, outcome: RecipientOutcome) {
        if let Some(slot) = self.outcomes.get_mut(at) {
            *slot = Some(outcome);
        }
    }

    fn see(&mut self, weather: Weather) {
        self.weather = Some(self.weather.map_or(weather, |before| worse(before, weather)));
    }

    /// RFC 2852 §4: who set a time is told where nobody watches it any more, and, by the trace modifier, of each server.
    fn is_told_of(&self, kept: &Kept) -> bool {
        let watches = kept.connection.session().capabilities().is_some_and(|offered| offered.deliver_by.is_some());
        self.attempt.letter.params.by.is_some_and(|by| by.trace || (by.mode == ByMode::Notify && !watches))
    }

    fn requiretls(&self) -> bool {
        self.attempt.letter.params.requiretls
    }

    /// RFC 5321 §5.1: the servers of a domain are tried "in this order, until a delivery attempt succeeds".
    /// RFC 8689 §4.2.1: nor has a server without REQUIRETLS the last word on a letter that wants it.
    fn may_pass(&self) -> bool {
        self.passed.len() < MOST_PASSED && matches!(self.way.hop, NextHop::Mx(_))
    }
}
