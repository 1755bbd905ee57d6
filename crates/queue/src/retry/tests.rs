use super::*;

const ID: QueueId = QueueId(77);

#[test]
fn the_default_grows_from_nothing_to_three_hours() {
    let policy = RetryPolicy::default();
    let minutes: Vec<u64> = (0..8).map(|n| policy.interval(ID, n).as_secs() / 60).collect();
    assert_eq!(minutes, [0, 2, 5, 10, 20, 40, 60, 120]);
}

#[test]
fn the_tail_stays_within_its_jitter_and_uses_it() {
    let policy = RetryPolicy::default();
    let tail: Vec<f64> = (0..1000).map(|n| policy.interval(QueueId(n), 8).as_secs_f64() / 3600.0).collect();
    assert!(tail.iter().all(|h| (2.4..=3.6).contains(h)));
    assert!(tail.iter().any(|h| *h < 2.6) && tail.iter().any(|h| *h > 3.4));
}

#[test]
fn the_same_letter_waits_the_same_time() {
    let policy = RetryPolicy::default();
    assert_eq!(policy.interval(ID, 9), policy.interval(ID, 9));
    assert_ne!(policy.interval(ID, 9), policy.interval(ID, 10));
}

#[test]
fn no_policy_makes_interval_panic_or_zero_forever() {
    let policy = RetryPolicy { intervals: vec![], then: Duration::from_millis(1), jitter: 100, ..Default::default() };
    assert!((0..100).all(|n| policy.interval(QueueId(n), u32::MAX) >= Duration::from_millis(1)));
    let policy = RetryPolicy { then: Duration::MAX, ..policy };
    assert!(policy.next_attempt(ID, 3, Timestamp(u64::MAX - 1)) <= Timestamp(u64::MAX));
}

#[test]
fn the_schedule_is_configured_with_units() {
    let policy: RetryPolicy = serde_json::from_str(r#"{"intervals":["0s","3s"],"then":"5s","jitter":"0%"}"#).unwrap();
    assert_eq!(policy.interval(ID, 1), Duration::from_secs(3));
    assert_eq!(policy.interval(ID, 2), Duration::from_secs(5));
    assert_eq!(policy.give_up, Duration::from_secs(5 * 86_400));
    let error = serde_json::from_str::<RetryPolicy>(r#"{"then":"0s"}"#).unwrap_err();
    assert!(error.to_string().contains("longer than 0s"), "{error}");
    assert!(serde_json::from_str::<RetryPolicy>(r#"{"give-up":"5d"}"#).is_err());
}
