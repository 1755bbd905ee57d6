//! Addresses out of To, Cc and Bcc (RFC 5322 §3.4): display names, comments, groups and quoted strings are passed over.

/// The addresses in a field's value, as written, without display names; `root` alone stays `root`.
///
/// Tolerant, as the callers of sendmail are people and scripts: what is no address is left to the address parser.
pub fn addresses(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut scan = Scan::default();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if scan.depth > 0 => drop(chars.next()),
            '(' => scan.depth += 1,
            ')' if scan.depth > 0 => scan.depth -= 1,
            _ if scan.depth > 0 => {}
            '"' => scan.quoted(&mut chars),
            '<' => scan.angle(&mut chars),
            ',' | ';' => found.extend(scan.end()),
            ':' => scan.plain.clear(),
            '\r' | '\n' => {}
            c => scan.plain.push(c),
        }
    }
    found.extend(scan.end());
    found
}

#[derive(Default)]
struct Scan {
    /// Nested comments.
    depth: u32,
    plain: String,
    in_angle: Option<String>,
}

impl Scan {
    fn quoted(&mut self, chars: &mut std::str::Chars<'_>) {
        self.plain.push('"');
        copy_quoted(chars, &mut self.plain);
    }

    fn angle(&mut self, chars: &mut std::str::Chars<'_>) {
        let mut address = String::new();
        while let Some(c) = chars.next() {
            match c {
                '>' => break,
                '"' => {
                    address.push('"');
                    copy_quoted(chars, &mut address);
                }
                c => address.push(c),
            }
        }
        self.in_angle = Some(address);
    }

    fn end(&mut self) -> Option<String> {
        let plain = std::mem::take(&mut self.plain);
        let address = self.in_angle.take().unwrap_or(plain);
        let address = address.trim();
        (!address.is_empty()).then(|| address.to_owned())
    }
}

/// Up to and with the closing quote, quoted pairs kept.
fn copy_quoted(chars: &mut std::str::Chars<'_>, out: &mut String) {
    while let Some(c) = chars.next() {
        out.push(c);
        match c {
            '\\' => out.extend(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn names_comments_and_groups_are_passed_over() {
        assert_eq!(addresses("Ann <ann@a.test>, bob@b.test (Bob, the other)"), ["ann@a.test", "bob@b.test"]);
        assert_eq!(addresses("\"Last, First\" <x@a.test>"), ["x@a.test"]);
        assert_eq!(addresses("friends: a@a.test, b@b.test;, root"), ["a@a.test", "b@b.test", "root"]);
        assert_eq!(addresses("undisclosed-recipients:;"), Vec::<String>::new());
    }

    #[test]
    fn a_quoted_local_part_keeps_its_comma() {
        assert_eq!(addresses("\"a,b\"@c.test"), ["\"a,b\"@c.test"]);
        assert_eq!(addresses("X <\"a>b\"@c.test>"), ["\"a>b\"@c.test"]);
    }

    #[test]
    fn broken_values_end() {
        for value in ["<", "\"", "(", "\\", "(\\", "<\"", "a@b (c"] {
            addresses(value);
        }
    }
}
