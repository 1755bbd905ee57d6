use smtp::{MailParams, RcptParams};

use super::*;
use crate::letter::{Origin, QueueId};

const NOW: Timestamp = Timestamp(1_000_000);

fn suspension(of: Suspended, until: Option<u64>) -> Suspension {
    let of = of.normal().unwrap();
    Suspension { of, reason: "they asked".into(), since: Timestamp(5), until: until.map(Timestamp) }
}

fn all(of: impl IntoIterator<Item = Suspension>) -> Suspensions {
    let mut all = Suspensions::default();
    of.into_iter().for_each(|suspension| all.add(suspension));
    all
}

fn letter(from: &str, to: &[&str]) -> Letter {
    let from = if from.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(from.parse().unwrap()) };
    let recipients = to.iter().map(|to| Recipient::new(to.parse().unwrap(), RcptParams::default())).collect();
    let (id, params, origin) = (QueueId(1), MailParams::default(), Origin::default());
    Letter { id, arrived: NOW, from, params, recipients, size: 0, origin, bulk: false, tls_optional: false }
}

#[test]
fn names_are_compared_without_case_and_wrong_ones_are_refused() {
    let domain = |name: &str| Suspended::Domain(name.into()).normal();
    assert_eq!(domain("B\u{fc}cher.Example").unwrap(), Suspended::Domain("xn--bcher-kva.example".into()));
    assert_eq!(domain("@b.example").unwrap(), Suspended::Domain("b.example".into()));
    let sender = |name: &str| Suspended::Sender(name.into()).normal();
    assert_eq!(sender("Anna@B.example").unwrap(), Suspended::Sender("anna@b.example".into()));
    assert_eq!(sender("@B.example").unwrap(), Suspended::Sender("@b.example".into()));
    assert_eq!(sender("<>").unwrap(), Suspended::Sender("<>".into()));
    for wrong in [domain(""), domain("a b"), sender("b.example"), sender("@"), Suspended::Site(" ".into()).normal()] {
        assert!(wrong.is_err(), "{wrong:?}");
    }
}

#[test]
fn what_is_suspended_is_found_by_each_of_its_names() {
    let all = all([
        suspension(Suspended::Sender("Anna@near.example".into()), None),
        suspension(Suspended::Sender("@bulk.example".into()), Some(NOW.0 + 1)),
        suspension(Suspended::Sender("<>".into()), Some(NOW.0)),
        suspension(Suspended::Domain("far.example".into()), None),
    ]);
    let out = |from: &str, to: &[&str]| {
        let letter = letter(from, to);
        let mut set: RecipientSet = (0..to.len()).collect();
        let until = all.take_out(&letter, &mut set, NOW);
        (set.iter().collect::<Vec<_>>(), until)
    };
    let forever = Some(Timestamp(u64::MAX));
    assert_eq!(out("ANNA@near.example", &["a@b.example"]), (vec![], forever));
    assert_eq!(out("bob@near.example", &["a@b.example"]), (vec![0], None));
    assert_eq!(out("x@Bulk.example", &["a@b.example", "b@far.example"]), (vec![], Some(Timestamp(NOW.0 + 1))));
    assert_eq!(out("bob@near.example", &["a@FAR.example", "a@b.example"]), (vec![1], forever));
    assert_eq!(out("", &["a@b.example"]), (vec![0], None), "that one is over");
}

#[test]
fn a_lane_is_suspended_by_its_site_or_its_source() {
    let all = all([
        suspension(Suspended::Site("Google.com".into()), Some(NOW.0 + 5)),
        suspension(Suspended::Source("default".into()), Some(NOW.0 + 7)),
    ]);
    let until = |site: &str, source: &str| {
        let lane = Lane { site: super::super::Site(site.into()), source: super::super::Source(source.into()) };
        all.of_lane(&lane, NOW).and_then(|found| found.until)
    };
    assert_eq!(until("google.com", "v4"), Some(Timestamp(NOW.0 + 5)));
    assert_eq!(until("google.com", ""), Some(Timestamp(NOW.0 + 7)), "the longer one");
    assert_eq!(until("other", "v4"), None);
}

#[test]
fn what_is_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Suspensions::read(dir.path()).unwrap().is_empty());
    let one = all([
        suspension(Suspended::Site("google.com".into()), Some(NOW.0)),
        suspension(Suspended::Sender("<>".into()), None),
    ]);
    one.write(dir.path()).unwrap();
    let read = Suspensions::read(dir.path()).unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), one.iter().collect::<Vec<_>>());
    fs::write(dir.path().join(FILE), b"{").unwrap();
    assert!(Suspensions::read(dir.path()).is_err());
}
