use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    #[serde(with = "super::duration")]
    wait: Duration,
    #[serde(with = "super::durations")]
    steps: Vec<Duration>,
    #[serde(with = "super::size")]
    most: u64,
    #[serde(with = "super::optional_size", default)]
    least: Option<u64>,
    #[serde(with = "super::percent")]
    jitter: u8,
}

#[test]
fn durations_are_read_with_their_units() {
    let cases = [("0s", 0), ("0", 0), ("250ms", 250), ("2m", 120_000), ("1h30m", 5_400_000), ("5 d", 432_000_000)];
    for (text, millis) in cases {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn a_bare_number_is_told_which_units_there_are() {
    assert_eq!(parse_duration("30"), Err(UnitError::NoTimeUnit("30".into())));
    assert!(parse_duration("30").unwrap_err().to_string().contains("\"30s\""));
    assert_eq!(parse_size("25"), Err(UnitError::NoSizeUnit("25".into())));
    assert_eq!(parse_duration("5 parsecs"), Err(UnitError::BadTimeUnit("parsecs".into())));
    assert_eq!(parse_duration(""), Err(UnitError::NoNumber("".into())));
    assert_eq!(parse_duration("-1s"), Err(UnitError::NoNumber("-1s".into())));
    assert!(matches!(parse_duration("99999999999999999999s"), Err(UnitError::TooLarge(_))));
    assert!(matches!(parse_duration("18446744073709551615w"), Err(UnitError::TooLarge(_))));
}

#[test]
fn sizes_know_thousands_from_kibi() {
    let cases = [
        ("0", 0),
        ("512B", 512),
        ("64KiB", 65_536),
        ("25MB", 25_000_000),
        ("25M", 25_000_000),
        ("1 gb", 1_000_000_000),
    ];
    for (text, octets) in cases {
        assert_eq!(parse_size(text), Ok(octets), "{text}");
    }
    assert!(matches!(parse_size("5XB"), Err(UnitError::BadSizeUnit(_))));
    assert!(matches!(parse_size("5MB7"), Err(UnitError::BadSizeUnit(_))));
}

#[test]
fn serde_reads_what_it_writes() {
    let sample = Sample {
        wait: Duration::from_secs(90),
        steps: vec![Duration::ZERO, Duration::from_secs(120)],
        most: 25_000_000,
        least: Some(64 << 10),
        jitter: 20,
    };
    let text = serde_json::to_string(&sample).unwrap();
    assert_eq!(text, r#"{"wait":"1m30s","steps":["0s","2m"],"most":"25MB","least":"64KiB","jitter":"20%"}"#);
    assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample);
}

#[test]
fn serde_errors_name_the_fault() {
    let text = r#"{"wait":"90","steps":[],"most":"1MB","jitter":"20%"}"#;
    assert!(serde_json::from_str::<Sample>(text).unwrap_err().to_string().contains("has no unit"));
    let text = r#"{"wait":90,"steps":[],"most":"1MB","jitter":"20%"}"#;
    assert!(serde_json::from_str::<Sample>(text).unwrap_err().to_string().contains("a duration with its unit"));
    assert_eq!(parse_percent("120%"), Err(UnitError::BadPercent("120%".into())));
}

proptest! {
    #[test]
    fn written_values_are_read_back(millis in any::<u64>(), size in any::<u64>()) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&write_duration(duration)), Ok(duration));
        prop_assert_eq!(parse_size(&write_size(size)), Ok(size));
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "\\PC*") {
        let _ = (parse_duration(&text), parse_size(&text), parse_percent(&text));
    }
}
