//! A letter from standard input, made fit for the queue: CRLF line ends, recipients of its header, no Bcc.

use std::io::{self, BufRead};

use super::address_list::addresses;

/// A letter as read, with what its header names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Letter {
    pub text: Vec<u8>,
    /// From To, Cc and Bcc, as written.
    pub recipients: Vec<String>,
    pub has_from: bool,
}

/// Reads to the end, or to a lone dot unless `dots_are_data`. `\n` becomes CR LF; so does a CR LF as it is.
pub fn read(input: &mut impl BufRead, dots_are_data: bool) -> io::Result<Letter> {
    let mut letter = Letter::default();
    let mut line = Vec::new();
    let mut field: Vec<u8> = Vec::new();
    let mut in_header = true;
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let content = trim_line_end(&line);
        if content == b"." && !dots_are_data {
            break;
        }
        if in_header {
            let continues = matches!(content.first(), Some(b' ' | b'\t')) && !field.is_empty();
            if !continues {
                letter.take_field(&mut field);
            }
            if !continues && !is_field(content) {
                // The header ends with an empty line; where a body begins without one, one is put in.
                in_header = false;
                if !content.is_empty() {
                    letter.text.extend_from_slice(b"\r\n");
                }
            } else {
                field.extend_from_slice(content);
                field.extend_from_slice(b"\r\n");
                continue;
            }
        }
        push_line(&mut letter.text, content);
    }
    letter.take_field(&mut field);
    Ok(letter)
}

impl Letter {
    /// Keeps a complete header field, unless it is Bcc (RFC 5322 §3.6.3: it is not for the others' eyes).
    fn take_field(&mut self, field: &mut Vec<u8>) {
        let field = std::mem::take(field);
        let Some(colon) = field.iter().position(|b| *b == b':') else {
            self.text.extend_from_slice(&field);
            return;
        };
        let name = String::from_utf8_lossy(&field[..colon]).trim().to_ascii_lowercase();
        let value = String::from_utf8_lossy(&field[colon + 1..]).into_owned();
        match name.as_str() {
            "to" | "cc" | "bcc" => self.recipients.extend(addresses(&value)),
            "from" => self.has_from = true,
            _ => {}
        }
        if name != "bcc" {
            self.text.extend_from_slice(&field);
        }
    }
}

fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// RFC 5322 §2.2: `field-name ":"`, printable ASCII without colon.
fn is_field(line: &[u8]) -> bool {
    let name = line.iter().position(|b| *b == b':').unwrap_or(0);
    name > 0 && line[..name].iter().all(|b| (33..=126).contains(b))
}

/// A CR that stands alone inside a line would be refused on the wire: it becomes a line end.
fn push_line(text: &mut Vec<u8>, content: &[u8]) {
    for (n, part) in content.split(|b| *b == b'\r').enumerate() {
        if n > 0 {
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(part);
    }
    text.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(text: &str, dots: bool) -> Letter {
        read(&mut text.as_bytes(), dots).expect("memory can be read")
    }

    #[test]
    fn bcc_names_recipients_and_is_not_kept() {
        let letter = letter("To: a@a.test\nBcc: b@b.test,\n c@c.test\nSubject: x\n\nhello\n", true);
        assert_eq!(letter.recipients, ["a@a.test", "b@b.test", "c@c.test"]);
        assert_eq!(letter.text, b"To: a@a.test\r\nSubject: x\r\n\r\nhello\r\n");
    }

    #[test]
    fn a_lone_dot_ends_only_where_it_may() {
        assert_eq!(letter("\nx\n.\ny\n", false).text, b"\r\nx\r\n");
        assert_eq!(letter("\nx\n.\ny\n", true).text, b"\r\nx\r\n.\r\ny\r\n");
    }

    #[test]
    fn a_body_without_a_header_gets_its_empty_line() {
        assert_eq!(letter("hello there\nagain\n", true).text, b"\r\nhello there\r\nagain\r\n");
    }

    #[test]
    fn carriage_returns_come_out_as_line_ends() {
        assert_eq!(letter("A: b\r\n\r\nx\ry\n", true).text, b"A: b\r\n\r\nx\r\ny\r\n");
    }
}
