//! Holds every record that a test of this crate writes against docs/reference/records.schema.json.
//!
//! It knows the little of JSON Schema that the file uses: `type`, `const`, `enum`, `required`, `properties`, `items`. Readers
//! must put up with new keys, so the schema allows them; we must name them there first.

use std::sync::LazyLock;

use serde_json::Value;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../../docs/reference/records.schema.json");
    serde_json::from_str(text).expect("the schema is JSON")
});

/// # Panics
/// Where the record does not fit.
pub(super) fn hold(record: &str) {
    let value: Value = serde_json::from_str(record).unwrap_or_else(|error| panic!("{error}: {record}"));
    if let Err(what) = check(&SCHEMA, &value, "record") {
        panic!("{what}; docs/reference/records.schema.json and records.md must say what a record may have: {record}");
    }
}

pub(super) fn check(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(kind) = schema.get("type").and_then(Value::as_str)
        && !is(kind, value)
    {
        return Err(format!("{place} is no {kind}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Err(format!("{place} is not {}", schema["const"]));
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|all| !all.contains(value)) {
        return Err(format!("{place} is {value}, which is not listed"));
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        values.iter().try_for_each(|value| check(items, value, &format!("an item of {place}")))?;
    }
    match (schema.get("properties"), value.as_object()) {
        (Some(properties), Some(object)) => {
            let missing = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            if let Some(key) = missing.into_iter().find(|key| !object.contains_key(*key)) {
                return Err(format!("{place} has no `{key}`"));
            }
            object.iter().try_for_each(|(key, value)| match properties.get(key) {
                Some(schema) => check(schema, value, &format!("`{key}`")),
                None => Err(format!("`{key}` is not described")),
            })
        }
        _ => Ok(()),
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        other => panic!("the schema has a type that this validator does not know: {other}"),
    }
}

#[test]
fn a_record_that_does_not_fit_is_found_out() {
    let fits = |text: &str| check(&SCHEMA, &serde_json::from_str(text).unwrap(), "record");
    let good = r#"{"v":1,"time":"2026-11-23T22:46:45.250Z","event":"received","to":["a@b.test"]}"#;
    assert_eq!(fits(good), Ok(()));
    for (old, new, what) in [
        (r#""v":1"#, r#""v":2"#, "record's version"),
        (r#""received""#, r#""eaten""#, "an event that is none"),
        (r#"["a@b.test"]"#, r#""a@b.test""#, "a list that is none"),
        (r#"["a@b.test"]"#, "[1]", "a list of something else"),
        (r#""to""#, r#""unheard_of""#, "a key that is not described"),
        (r#""event":"received","#, "", "no event"),
    ] {
        assert!(fits(&good.replace(old, new)).is_err(), "{what}");
    }
}

#[test]
fn every_event_is_in_the_schema() {
    use super::Event::*;
    let all = [
        Received,
        Refused,
        Delivered,
        Deferred,
        Failed,
        Expired,
        Dropped,
        Held,
        Released,
        Redirected,
        Suspended,
        Resumed,
        Report,
        Shaping,
        LoginFailed,
        Problem,
    ];
    for event in all {
        let line = format!(r#"{{"v":1,"time":"2026-11-23T22:46:45.250Z","event":"{}"}}"#, event.as_str());
        hold(&line);
    }
}
