use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock};

use smtp::{Reply, ReplyCode};

use super::*;
use crate::{Rate, Shaping};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const GOOGLE: &str = "google.com";

fn reply(code: u16, text: &str) -> Reply {
    Reply::from_peer(ReplyCode::from_wire(code).unwrap(), None, text)
}

fn unusual() -> Reply {
    Reply::new(421, (4, 7, 28), "Our system has detected an unusual rate of unsolicited mail")
}

const BASE: SiteLimits = SiteLimits {
    connections: 20,
    letters_per_connection: 1000,
    recipients_per_transaction: 100,
    rate: Some(Rate::per_second(100)),
    suspended_until: None,
};

/// What a driver does: looks the reply up and hands over what it matches.
struct Watched {
    shaping: Arc<Shaping>,
    automation: Automation,
}

impl Watched {
    fn by(shaping: Arc<Shaping>) -> Self {
        Self { shaping, automation: Automation::default() }
    }

    fn handle_reply(&mut self, now: u64, site: &str, source: &str, reply: &Reply) -> Vec<Change> {
        let matches = self.shaping.examine(site, reply);
        self.automation.handle_matches(now, site, source, "mx.example [192.0.2.1]:25", &matches)
    }
}

impl Deref for Watched {
    type Target = Automation;
    fn deref(&self) -> &Automation {
        &self.automation
    }
}

impl DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Automation {
        &mut self.automation
    }
}

fn automation() -> Watched {
    static SHIPPED: LazyLock<Arc<Shaping>> = LazyLock::new(|| Arc::new(Shaping::shipped().unwrap()));
    Watched::by(Arc::clone(&SHIPPED))
}

fn limits(automation: &Watched, now: u64, site: &str, source: &str) -> SiteLimits {
    automation.limits(now, site, source, automation.shaping.limits(BASE, site, source))
}

#[test]
fn a_threshold_acts_when_it_is_reached_within_its_window() {
    let mut automation = automation();
    assert_eq!(automation.handle_reply(0, GOOGLE, "a", &unusual()), []);
    assert_eq!(automation.handle_reply(HOUR, GOOGLE, "a", &unusual()), [], "the first has left the window");
    let changes = automation.handle_reply(HOUR + 1, GOOGLE, "a", &unusual());
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].rule, "provider.google/unusual-rate");
    assert_eq!(changes[0].until, HOUR + 1 + 30 * MINUTE);
    assert_eq!(limits(&automation, HOUR + 1, GOOGLE, "a").rate, Some(Rate::per_minute(10)));
}

#[test]
fn a_change_concerns_its_site_and_its_source_only() {
    let mut automation = automation();
    automation.handle_reply(0, GOOGLE, "a", &unusual());
    automation.handle_reply(1, GOOGLE, "b", &unusual());
    assert!(automation.handle_reply(2, "comcast.net", "a", &unusual()).is_empty());
    assert_eq!(automation.handle_reply(3, GOOGLE, "a", &unusual()).len(), 1);
    assert_eq!(limits(&automation, 3, GOOGLE, "b").rate, Some(Rate::per_second(100)));
    assert_eq!(limits(&automation, 3, "comcast.net", "a").rate, Some(Rate::per_second(100)));
}

#[test]
fn a_change_heals_when_its_time_is_over_and_says_so() {
    let mut automation = automation();
    automation.handle_reply(0, GOOGLE, "a", &unusual());
    automation.handle_reply(0, GOOGLE, "a", &unusual());
    let end = 30 * MINUTE;
    assert_eq!(automation.next_change(0), Some(end));
    assert_eq!(automation.handle_time(end - 1), []);
    assert_eq!(limits(&automation, end - 1, GOOGLE, "a").rate, Some(Rate::per_minute(10)));
    assert_eq!(limits(&automation, end, GOOGLE, "a").rate, Some(Rate::per_second(100)), "even before it is told");
    let healed = automation.handle_time(end);
    assert_eq!(healed.len(), 1);
    assert_eq!((healed[0].what, healed[0].site.as_str()), (What::Healed, GOOGLE));
    assert_eq!(automation.next_change(end), None);
    assert!(automation.state().is_empty());
    assert_eq!(automation.handle_time(end + 1), [], "it is told once");
}

#[test]
fn a_storm_of_refusals_is_one_change_until_half_of_its_time_is_over() {
    let mut automation = automation();
    let busy = Reply::new(451, (4, 7, 650), "temporarily rate limited due to IP reputation");
    assert_eq!(automation.handle_reply(0, "mx.example", "", &busy).len(), 1);
    for now in 1..1000 {
        assert_eq!(automation.handle_reply(now, "mx.example", "", &busy), []);
    }
    let renewed = automation.handle_reply(46 * MINUTE, "mx.example", "", &busy);
    assert_eq!(renewed.len(), 1);
    assert_eq!(renewed[0].until, (46 + 90) * MINUTE);
    assert_eq!(automation.handle_time(90 * MINUTE), [], "the renewed one goes on");
    assert_eq!(automation.next_change(90 * MINUTE), Some(136 * MINUTE));
    assert_eq!(automation.handle_time(136 * MINUTE).len(), 1);
}

#[test]
fn several_changes_make_the_strictest_of_each_limit() {
    let mut automation = automation();
    for _ in 0..2 {
        automation.handle_reply(0, GOOGLE, "", &unusual());
        automation.handle_reply(0, GOOGLE, "", &reply(421, "too many connections"));
    }
    automation.handle_reply(0, GOOGLE, "", &reply(451, "temporarily rate limited due to IP reputation"));
    let now = limits(&automation, 0, GOOGLE, "");
    assert_eq!((now.connections, now.rate, now.suspended_until), (1, Some(Rate::per_minute(1)), None));
    for _ in 0..5 {
        automation.handle_reply(0, GOOGLE, "", &reply(550, "very low reputation of the sending IP"));
    }
    assert_eq!(limits(&automation, 0, GOOGLE, "").suspended_until, Some(HOUR));
    assert_eq!(automation.in_force(0, GOOGLE, "").len(), 4);
    let later = limits(&automation, 30 * MINUTE, GOOGLE, "");
    assert_eq!((later.connections, later.rate), (1, Some(Rate::per_minute(1))), "what lasts longer is still in force");
}

#[test]
fn limits_are_never_made_wider() {
    let own = "[[site.slow.automation]]\nname = 'x'\nmatch = 'x'\naction = { connections = 50, letters_per_connection = 5000, rate = '1000/s' }\nfor = '1h'";
    let shaping = Shaping::new(&toml::from_str(own).unwrap()).unwrap();
    let base = shaping.limits(BASE, "slow", "");
    let mut automation = Watched::by(Arc::new(shaping));
    assert_eq!(automation.handle_reply(0, "slow", "", &reply(450, "x")).len(), 1);
    assert_eq!(automation.limits(0, "slow", "", base), base);
}

#[test]
fn what_is_taken_changes_nothing() {
    let mut automation = automation();
    assert_eq!(
        automation.handle_reply(0, "x", "", &reply(250, "All messages from 192.0.2.1 will be permanently deferred")),
        []
    );
    assert_eq!(
        automation
            .handle_reply(0, "x", "", &reply(550, "All messages from 192.0.2.1 will be permanently deferred"))
            .len(),
        1
    );
}

#[test]
fn an_ordinary_refusal_is_not_remembered() {
    let mut automation = automation();
    automation.handle_reply(0, GOOGLE, "a", &Reply::new(550, (5, 1, 1), "no such user"));
    assert!(automation.state().is_empty());
}

#[test]
fn a_change_is_told_in_plain_words() {
    let mut automation = automation();
    automation.handle_reply(0, GOOGLE, "a", &unusual());
    let change = automation.handle_reply(0, GOOGLE, "a", &unusual()).remove(0);
    assert_eq!(
        change.to_string(),
        "google.com from source a: 10 letters a minute for 30 minutes, because: \
         421 4.7.28 Our system has detected an unusual rate of unsolicited mail"
    );
    let healed = automation.handle_time(HOUR).remove(0);
    assert_eq!(
        healed.to_string(),
        "google.com from source a: 10 letters a minute no longer: the time of the rule provider.google/unusual-rate is over"
    );
    let busy = reply(451, "temporarily rate limited due to IP reputation");
    let change = automation.handle_reply(0, "mx.example", "", &busy).remove(0);
    assert!(
        change.to_string().starts_with("mx.example: 1 connection, 1 letter a minute for 90 minutes, because: 451 ")
    );
}

#[test]
fn the_reply_that_is_kept_is_cut() {
    let mut automation = automation();
    let text = format!("all messages from 192.0.2.1 will be permanently deferred {}", "é".repeat(5000));
    let change = automation.handle_reply(0, "x", "", &reply(553, &text)).remove(0);
    assert!(change.reply.len() <= REPLY_MOST && change.reply.len() > REPLY_MOST - 4);
}

#[test]
fn the_state_survives_a_restart() {
    let mut first = automation();
    first.handle_reply(0, GOOGLE, "a", &unusual());
    first.handle_reply(0, "x", "", &reply(553, "all messages from 192.0.2.1 will be permanently deferred"));
    let kept = serde_json::to_string(first.state()).unwrap();
    let state: State = serde_json::from_str(&kept).unwrap();
    assert_eq!(&state, first.state());
    let mut second = Watched { automation: Automation::resume(state), ..automation() };
    assert_eq!(second.next_change(1), Some(90 * MINUTE));
    assert_eq!(limits(&second, 1, "x", "").connections, 1);
    assert_eq!(second.handle_reply(1, GOOGLE, "a", &unusual()).len(), 1, "what was counted is counted on");
    assert_eq!(second.handle_time(90 * MINUTE).len(), 2);
}

#[test]
fn no_more_sites_are_remembered_than_there_is_room_for() {
    let mut automation = automation();
    let refused = reply(421, "too many connections");
    let blocked = reply(553, "all messages from 192.0.2.1 will be permanently deferred");
    assert_eq!(automation.handle_reply(0, "mx.blocked", "", &blocked).len(), 1);
    for site in 0..SITES_MOST {
        automation.handle_reply(1, &format!("mx{site}.example"), "", &refused);
    }
    assert!(automation.state().len() <= SITES_MOST);
    assert_eq!(limits(&automation, 1, "mx.blocked", "").connections, 1, "what is in force is not forgotten for counts");
    for site in 0..SITES_MOST + 100 {
        automation.handle_reply(2, &format!("mx{site}.other"), "", &blocked);
    }
    assert_eq!(automation.state().len(), SITES_MOST);
    assert!(automation.ignored() > 0);
    // One place is held by a count that came after the sweep.
    assert_eq!(automation.handle_time(2 * HOUR).len(), SITES_MOST - 1);
}

#[test]
fn what_began_before_the_clock_was_set_back_lasts_no_longer_for_it() {
    let mut automation = automation();
    let blocked = reply(553, "all messages from 192.0.2.1 will be permanently deferred");
    automation.handle_reply(100 * HOUR, "x", "", &blocked);
    automation.handle_clock_back(HOUR);
    assert_eq!(automation.next_change(HOUR), Some(HOUR + 90 * MINUTE));
    assert_eq!(automation.in_force(HOUR, "x", "")[0].by, "mx.example [192.0.2.1]:25");
    assert_eq!(automation.handle_time(HOUR + 90 * MINUTE).len(), 1);
}

#[test]
fn a_suspended_site_is_told_until_when() {
    let mut automation = automation();
    assert_eq!(automation.suspended_until(0, GOOGLE, "a"), None);
    for _ in 0..5 {
        automation.handle_reply(0, GOOGLE, "a", &reply(550, "very low reputation of the sending IP"));
    }
    assert_eq!(automation.suspended_until(1, GOOGLE, "a"), Some(HOUR));
    assert_eq!(automation.suspended_until(1, GOOGLE, "b"), None);
    assert_eq!(automation.suspended_until(HOUR, GOOGLE, "a"), None);
    assert_eq!(automation.count_in_force(), 1, "nobody was told yet");
}

#[test]
fn a_clock_that_steps_back_does_no_harm() {
    let mut automation = automation();
    automation.handle_reply(HOUR, GOOGLE, "", &unusual());
    assert_eq!(automation.handle_reply(0, GOOGLE, "", &unusual()).len(), 1);
    assert_eq!(limits(&automation, 0, GOOGLE, "").rate, Some(Rate::per_minute(10)));
    assert_eq!(automation.handle_time(u64::MAX).len(), 1);
}

proptest::proptest! {
    #[test]
    fn no_reply_panics(code in 200u16..600, text in "\\PC{0,300}", site in "\\PC{0,20}", now in proptest::num::u64::ANY) {
        let mut automation = automation();
        for site in [GOOGLE, "gmx.net", &site] {
            let reply = reply(code, &text);
            automation.handle_reply(now, site, "", &reply);
            automation.handle_reply(now.wrapping_add(1), site, "", &reply);
            limits(&automation, now, site, "");
        }
        automation.handle_time(now);
    }
}

#[test]
fn what_an_operator_ends_is_over_and_counts_anew() {
    let mut automation = automation();
    let blocked = reply(553, "all messages from 192.0.2.1 will be permanently deferred");
    automation.handle_reply(0, "x", "", &blocked);
    automation.handle_reply(0, "y", "", &blocked);
    automation.handle_reply(0, "x", "", &reply(421, "too many connections"));
    assert_eq!(automation.all_in_force(1).len(), 2);
    let ended = automation.handle_end(|site, _| site == "x");
    assert_eq!(
        ended.iter().map(|change| (change.what, change.site.as_str())).collect::<Vec<_>>(),
        [(What::Ended, "x")]
    );
    assert_eq!(limits(&automation, 1, "x", "").connections, 20);
    assert_eq!(automation.all_in_force(1)[0].site, "y");
    assert_eq!(automation.handle_reply(1, "x", "", &reply(421, "too many connections")), [], "the first of two");
    assert_eq!(automation.next_change(1), Some(90 * MINUTE));
}
