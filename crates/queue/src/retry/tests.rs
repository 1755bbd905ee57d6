use super::*;
use crate::queue::QueueConfig;

const ID: QueueId = QueueId(77);

#[test]
fn the_default_grows_from_nothing_to_three_hours() {
    let policy = RetryPolicy { jitter: 0, ..RetryPolicy::default() };
    let minutes: Vec<u64> = (0..9).map(|n| policy.interval(ID, n).as_secs() / 60).collect();
    assert_eq!(minutes, [0, 2, 5, 10, 20, 40, 60, 120, 180]);
    assert_eq!((policy.give_up.as_secs(), policy.give_up_reports.as_secs()), (5 * 86_400, 86_400));
}

#[test]
fn each_wait_stays_within_its_jitter_and_uses_it() {
    let policy = RetryPolicy::default();
    for (attempts, minutes) in [(1, 2.0), (2, 5.0), (7, 120.0), (8, 180.0), (50, 180.0)] {
        let share = |n| policy.interval(QueueId(n), attempts).as_secs_f64() / 60.0 / minutes;
        let shares: Vec<f64> = (0..1000).map(share).collect();
        assert!(shares.iter().all(|share| (0.8..=1.2).contains(share)), "{attempts}");
        assert!(shares.iter().any(|share| *share < 0.85) && shares.iter().any(|share| *share > 1.15), "{attempts}");
    }
    assert!((0..1000).all(|n| policy.interval(QueueId(n), 0).is_zero()), "a fresh letter is tried at once");
}

#[test]
fn a_table_for_a_site_or_a_domain_inherits_what_it_leaves_out() {
    let config: QueueConfig = serde_json::from_str(
        r#"{"retry": {"jitter": "0%", "then": "1h"},
            "retry_site": {"google.com": {"intervals": ["0s", "7m"], "then": "9h"}},
            "retry_domain": {"Slow.example": {"then": "5h"}}}"#,
    )
    .unwrap();
    let wait = |site: &str, to: &str, attempts| {
        config.retry_for(site, &to.parse().unwrap()).interval(ID, attempts).as_secs() / 60
    };
    assert_eq!([1, 2, 90].map(|n| wait("other", "a@b.example", n)), [2, 5, 60]);
    assert_eq!([1, 2, 90].map(|n| wait("google.com", "a@b.example", n)), [7, 540, 540]);
    assert_eq!([1, 2, 90].map(|n| wait("google.com", "a@slow.example", n)), [7, 300, 300], "the domain goes before");
    assert_eq!([1, 2, 90].map(|n| wait("other", "a@slow.example", n)), [2, 5, 300]);
    assert!(config.longest_wait() >= Duration::from_secs(9 * 3600), "or it would be taken for a broken clock's");
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<QueueConfig>(&written).unwrap().retry_site, config.retry_site);
    assert!(serde_json::from_str::<QueueConfig>(r#"{"retry_site": {"x": {"thn": "1h"}}}"#).is_err());
}

#[test]
fn a_site_or_a_domain_may_have_its_own_time_to_give_up() {
    let config: QueueConfig = serde_json::from_str(
        r#"{"retry_site": {"google.com": {"give_up": "10d"}},
            "retry_domain": {"short.example": {"give_up": "1d", "give_up_reports": "1h"}}}"#,
    )
    .unwrap();
    let hours = |site: &str, to: &str| config.retry_for(site, &to.parse().unwrap()).give_up.as_secs() / 3600;
    assert_eq!(hours("other", "a@b.example"), 120);
    assert_eq!(hours("google.com", "a@b.example"), 240);
    assert_eq!(hours("google.com", "a@short.example"), 24, "the domain goes before");
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

#[test]
fn a_wait_that_a_server_names_is_kept_within_bounds() {
    let policy = RetryPolicy { jitter: 0, ..RetryPolicy::default() };
    let wait = |named: u64, attempts| {
        let named = Some(Duration::from_secs(named));
        policy.next_attempt_after(named, ID, attempts, Timestamp(0)).0 / 1000
    };
    assert_eq!(wait(300, 1), 300);
    assert_eq!(wait(300, 7), 300, "sooner than the schedule has it");
    assert_eq!((wait(1, 1), wait(86_400, 1)), (60, 4 * 3600));
    assert_eq!(wait(60, 8), 3 * 3600, "not every minute for days");
    assert_eq!(wait(4 * 3600, 8), 4 * 3600);
    assert_eq!(policy.next_attempt_after(None, ID, 1, Timestamp(0)), policy.next_attempt(ID, 1, Timestamp(0)));
}
