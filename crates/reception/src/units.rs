//! Figures with units in the configuration: `"25MB"`, `"30s"`.

macro_rules! units {
    ($name:ident, $optional:ident, $type:ty, $read:path, $write:path) => {
        pub mod $name {
            pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                $read(&text).map_err(serde::de::Error::custom)
            }
            pub fn serialize<S: serde::Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$write(*value))
            }
        }
        pub mod $optional {
            pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<$type>, D::Error> {
                super::$name::deserialize(deserializer).map(Some)
            }
            pub fn serialize<S: serde::Serializer>(value: &Option<$type>, serializer: S) -> Result<S::Ok, S::Error> {
                match value {
                    Some(value) => super::$name::serialize(value, serializer),
                    None => serializer.serialize_none(),
                }
            }
        }
    };
}

units!(size, optional_size, u64, super::parse_size, super::write_size);
units!(duration, optional_duration, std::time::Duration, super::parse_duration, super::write_duration);

fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return Err(format!("`{text}` is not a size: write a number and B, KB, MB or GB, such as 25MB")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a size, such as 25MB"))?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

fn write_size(size: u64) -> String {
    match size {
        0 => "0".to_owned(),
        s if s % (1 << 30) == 0 => format!("{}GB", s >> 30),
        s if s % (1 << 20) == 0 => format!("{}MB", s >> 20),
        s if s % (1 << 10) == 0 => format!("{}KB", s >> 10),
        s => format!("{s}B"),
    }
}

fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("`{text}` is not a time: write a number and ms, s, m, h or d, such as 30s")),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a time, such as 30s"))?;
    let millis = number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too long"))?;
    Ok(std::time::Duration::from_millis(millis))
}

fn write_duration(time: std::time::Duration) -> String {
    match time.as_millis() {
        0 => "0s".to_owned(),
        t if t % 86_400_000 == 0 => format!("{}d", t / 86_400_000),
        t if t % 3_600_000 == 0 => format!("{}h", t / 3_600_000),
        t if t % 60_000 == 0 => format!("{}m", t / 60_000),
        t if t % 1000 == 0 => format!("{}s", t / 1000),
        t => format!("{t}ms"),
    }
}
