use super::*;

#[test]
fn rates_are_read_and_written_alike() {
    for text in ["100/s", "1/min", "10000/h", "500/day"] {
        assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
    }
    assert_eq!("10/minute".parse::<Rate>().unwrap(), Rate::per_minute(10));
    assert_eq!("10 / h".parse::<Rate>().unwrap(), Rate::per_hour(10));
}

#[test]
fn what_is_no_rate_is_refused() {
    for text in [
        "",
        "100",
        "/s",
        "0/s",
        "-1/s",
        "+1/s",
        "1.5/s",
        "1/",
        "1/week",
        "5000000000/s",
        "99999999999999999999/s",
        "1/s/s",
    ] {
        assert_eq!(text.parse::<Rate>(), Err(RateError), "{text}");
    }
}

#[test]
fn the_stricter_rate_is_the_one_with_fewer_in_a_day() {
    let slow = Rate::per_hour(100);
    assert_eq!(slow.stricter(Rate::per_minute(2)), slow);
    assert_eq!(Rate::per_second(1).stricter(Rate::per_minute(59)), Rate::per_minute(59));
}

#[test]
fn durations_are_told_in_the_biggest_unit_that_fits() {
    for (seconds, words) in [
        (1, "1 second"),
        (90, "90 seconds"),
        (60, "1 minute"),
        (5400, "90 minutes"),
        (7200, "2 hours"),
        (86_400, "1 day"),
    ] {
        assert_eq!(span_in_words(seconds * 1000), words);
    }
}
