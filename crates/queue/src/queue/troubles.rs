//! What was last heard of sites that take nothing: a letter that was never tried because of it is reported in these words.
//!
//! # Limits
//! - [`MOST`] sites are remembered, until the next start; of others it is said that they could not be tried.

use std::collections::HashMap;

use super::inner::Inner;
use super::{Place, RecipientOutcome, Site, Verdict, Weather};
use crate::bounce::{Ended, How};
use crate::letter::{LastReply, Letter, Timestamp};

const MOST: usize = 1_000;

/// By site; only those whose last attempt met trouble.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    sites: HashMap<Site, LastReply>,
}

impl Troubles {
    /// What an attempt met.
    pub fn note(&mut self, site: &Site, weather: Weather, said: &[RecipientOutcome], now: Timestamp) {
        if weather == Weather::Fine {
            if !self.sites.is_empty() {
                self.sites.remove(site);
            }
            return;
        }
        let words = said.iter().find(|said| said.verdict == Verdict::Deferred);
        if let Some(RecipientOutcome { reply, by, .. }) = words
            && (self.sites.len() < MOST || self.sites.contains_key(site))
        {
            self.sites.insert(site.clone(), LastReply { at: now, reply: reply.clone(), by: by.clone() });
        }
    }

    fn of(&self, site: &Site) -> Option<&LastReply> {
        self.sites.get(site)
    }
}

impl Inner {
    /// Puts the words of their sites into what is told of recipients that were never tried. Asks the router.
    pub fn tell_why_never_tried(&self, letter: &Letter, ended: &mut [Ended]) {
        for ended in ended.iter_mut().filter(|ended| ended.attempts == 0) {
            let (How::Delayed { .. } | How::Expired, Some(recipient)) = (ended.how, letter.recipients.get(ended.index))
            else {
                continue;
            };
            if let Place::Lane { lane, .. } = self.sites.place_of(letter, recipient, None)
                && let Some(last) = self.lock().troubles.of(&lane.site)
            {
                ended.last = last.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use smtp::Reply;

    use super::*;

    fn said(text: &str) -> Vec<RecipientOutcome> {
        let reply = Reply::new(421, (4, 3, 2), "").with_text(text.to_owned());
        vec![RecipientOutcome { verdict: Verdict::Deferred, reply, by: "mx".into(), tls: String::new() }]
    }

    #[test]
    fn the_newest_words_are_kept_until_the_site_is_well() {
        let (mut troubles, site) = (Troubles::default(), Site("a".into()));
        let words = |troubles: &Troubles| troubles.of(&site).map(|last| last.reply.text().to_owned());
        troubles.note(&site, Weather::Dead, &said("one"), Timestamp(1));
        troubles.note(&site, Weather::Trouble, &said("two"), Timestamp(2));
        assert_eq!(words(&troubles), Some("two".into()));
        troubles.note(&site, Weather::Fine, &[], Timestamp(3));
        assert_eq!(words(&troubles), None);
    }

    #[test]
    fn no_more_sites_are_remembered_than_there_is_room_for() {
        let mut troubles = Troubles::default();
        for n in 0..MOST + 10 {
            troubles.note(&Site(n.to_string().into()), Weather::Dead, &said("x"), Timestamp(1));
        }
        assert_eq!(troubles.sites.len(), MOST);
        troubles.note(&Site("5".into()), Weather::Dead, &said("newer"), Timestamp(1));
        assert_eq!(troubles.of(&Site("5".into())).unwrap().reply.text(), "newer");
    }
}
