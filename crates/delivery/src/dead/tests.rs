use super::*;

fn server(n: u32) -> SocketAddr {
    SocketAddr::new(std::net::Ipv4Addr::from(n).into(), 25)
}

#[test]
fn a_dead_server_rests_for_a_time_that_grows() {
    let (dead, start) = (DeadServers::default(), Instant::now());
    dead.failed(server(1), start);
    assert!(dead.is_resting(server(1), start) && !dead.is_resting(server(2), start));
    let again = start + FIRST;
    assert!(!dead.is_resting(server(1), again));
    dead.failed(server(1), again);
    assert!(dead.is_resting(server(1), again + FIRST));
    assert!(!dead.is_resting(server(1), again + 2 * FIRST));
}

#[test]
fn failures_at_the_same_time_are_one() {
    let (dead, start) = (DeadServers::default(), Instant::now());
    (0..10).for_each(|_| dead.failed(server(1), start));
    assert!(!dead.is_resting(server(1), start + FIRST));
}

#[test]
fn a_server_that_answers_is_no_longer_dead() {
    let (dead, start) = (DeadServers::default(), Instant::now());
    dead.failed(server(1), start);
    dead.answered(server(1));
    assert!(!dead.is_resting(server(1), start));
}

#[test]
fn no_more_servers_are_remembered_than_the_limit() {
    let (dead, start) = (DeadServers::default(), Instant::now());
    (0..2 * MOST_SERVERS as u32).for_each(|n| dead.failed(server(n), start));
    assert_eq!(dead.lock().len(), MOST_SERVERS);
    dead.failed(server(u32::MAX), start + LONGEST);
    assert!(dead.is_resting(server(u32::MAX), start + LONGEST));
}
