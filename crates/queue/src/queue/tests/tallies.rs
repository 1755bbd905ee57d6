//! The queue in groups, and the lanes as operators see them.

use super::operators::at_rest;
use super::*;
use crate::Bound;

async fn tally(queue: &Queue, by: By) -> Vec<Group> {
    let tally = at_rest(queue, move |queue| queue.tally(by, &Filter::default(), usize::MAX)).await;
    assert_eq!(tally.after, None);
    let mut groups = tally.groups;
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    groups
}

fn named<'g>(groups: &'g [Group], name: &str) -> &'g Group {
    groups.iter().find(|group| group.name == name).unwrap_or_else(|| panic!("{name}: {groups:?}"))
}

/// One deferred, one tried, one ready at far.example; one held and one suspended; one that nobody knows the site of.
async fn mixed(dir: &TempDir) -> (Queue, (Worker, Attempt)) {
    let House { queue, .. } = open(dir);
    submit(&queue, letter("alice@near.example", &["a@far.example"])).await;
    let (mut worker, attempt) = next(&queue).await;
    worker.finish(
        attempt,
        Outcome { recipients: vec![said(Verdict::Deferred, 450, (4, 7, 1), "Greylisted, come back")] },
    );
    submit(&queue, letter("alice@near.example", &["b@far.example"])).await;
    let attempt = worker.take_within(Duration::from_secs(20)).await.unwrap();
    submit(&queue, letter("", &["c@far.example"])).await;
    let held = submit(&queue, letter("carol@near.example", &["d@held.example", "e@far.example"])).await;
    let held = Selection::Ids(vec![held]);
    at_rest(&queue, move |queue| queue.hold(&held, "odd", None)).await.unwrap();
    let of = Suspended::Domain("away.example".into());
    at_rest(&queue, move |queue| queue.suspend(of, "they asked", None)).await.unwrap();
    submit(&queue, letter("carol@near.example", &["f@away.example"])).await;
    submit(&queue, letter("carol@near.example", &["g@unknown.example"])).await;
    (queue, (worker, attempt))
}

#[tokio::test]
async fn letters_are_counted_where_they_go_and_by_what_they_do() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _busy) = mixed(&dir).await;
    let sites = tally(&queue, By::Site).await;
    let far = named(&sites, "far.example");
    assert_eq!((far.letters, far.recipients), (4, 4));
    assert_eq!((far.waiting, far.trying, far.ready, far.held), (1, 1, 1, 1));
    assert!(far.next.is_some() && far.oldest.is_some());
    let last = far.last.as_ref().unwrap();
    assert_eq!((last.code, last.text.as_str()), (450, "Greylisted, come back"));
    assert!(far.meaning.as_ref().unwrap().starts_with("greylisting"), "{far:?}");
    assert_eq!(far.lane, Some(("far.example".into(), String::new())));
    let away = named(&sites, "away.example");
    assert_eq!((away.letters, away.suspended, away.ready), (1, 1, 0));
    assert_eq!(away.suspension.as_ref().unwrap().reason, "they asked");
    let unknown = named(&sites, "unknown.example");
    assert_eq!((unknown.unplaced, unknown.ready, unknown.source.as_str()), (true, 1, "second"));
    assert_eq!(named(&sites, "held.example").held, 1);
}

#[tokio::test]
async fn the_same_letters_by_domain_sender_and_state() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _busy) = mixed(&dir).await;
    let counts = |groups: &[Group]| groups.iter().map(|g| (g.name.clone(), g.letters)).collect::<Vec<_>>();
    let expected = |pairs: &[(&str, usize)]| pairs.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect::<Vec<_>>();
    let senders = counts(&tally(&queue, By::Sender).await);
    assert_eq!(senders, expected(&[("<>", 1), ("alice@near.example", 2), ("carol@near.example", 3)]));
    let states = counts(&tally(&queue, By::State).await);
    assert_eq!(states, expected(&[("held", 1), ("ready", 2), ("suspended", 1), ("trying", 1), ("waiting", 1)]));
    let domains = counts(&tally(&queue, By::Domain).await);
    let all = [("away.example", 1), ("far.example", 4), ("held.example", 1), ("unknown.example", 1)];
    assert_eq!(domains, expected(&all));
}

#[tokio::test]
async fn pages_add_up_to_the_whole_and_a_stopped_daemon_says_the_same_by_domain() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, busy) = mixed(&dir).await;
    let whole = tally(&queue, By::Domain).await;
    let (mut pages, mut after, mut merged) = (0, None, HashMap::<String, Group>::new());
    loop {
        let filter = Filter { after, ..Filter::default() };
        let page = at_rest(&queue, move |queue| queue.tally(By::Domain, &filter, 2)).await;
        pages += 1;
        for group in page.groups {
            merged.entry(group.name.clone()).and_modify(|own| own.merge(group.clone())).or_insert(group);
        }
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, 3);
    assert_eq!(merged.len(), whole.len());
    whole.iter().for_each(|group| assert_eq!(merged.get(&group.name), Some(group)));
    drop(busy);
    queue.close(Duration::ZERO).await;
    drop(queue);
    let rest = offline::tally(dir.path(), By::Site, &Filter::default()).unwrap();
    assert_eq!(rest.groups.iter().map(|group| group.letters).sum::<usize>(), 7, "one goes to two domains");
    let away = named(&rest.groups, "away.example");
    assert_eq!((away.suspended, away.lane.is_none()), (1, true));
    assert_eq!(named(&rest.groups, "held.example").held, 1);
}

#[tokio::test]
async fn the_overview_says_which_limit_binds() {
    let dir = tempfile::tempdir().unwrap();
    let House { queue, .. } = open(&dir);
    let mut busy = Vec::new();
    for n in 0..3 {
        submit(&queue, letter("alice@near.example", &[&format!("b{n}@far.example")])).await;
    }
    for _ in 0..2 {
        busy.push(next(&queue).await);
    }
    let overview = queue.overview(1);
    assert_eq!((overview.letters, overview.active, overview.busy, overview.connections), (3, 3, 2, 2));
    let lane = overview.lanes.first().unwrap();
    assert_eq!((lane.site.as_str(), lane.ready, lane.running, lane.begun), ("far.example", 1, 2, 2));
    assert_eq!((lane.open, lane.allowed, lane.limit, lane.bound), (2, 2, 2, Bound::Connections));
    let text = serde_json::to_string(&overview).unwrap();
    assert_eq!(serde_json::from_str::<Overview>(&text).unwrap(), overview);
}
