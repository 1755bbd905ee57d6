//! JSON strings, written without a value in between (RFC 8259 §7).

use std::fmt::{self, Write};

/// At most so many characters; where it was longer, an ellipsis follows.
pub(super) fn write_capped(out: &mut String, text: &str, most: usize) {
    out.push('"');
    let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    escape(out, &text[..end]);
    if end < text.len() {
        out.push('…');
    }
    out.push('"');
}

pub(super) fn write_display(out: &mut String, value: impl fmt::Display) {
    struct Escaping<'a>(&'a mut String);
    impl Write for Escaping<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            escape(self.0, text);
            Ok(())
        }
    }
    out.push('"');
    let _ = write!(Escaping(out), "{value}");
    out.push('"');
}

fn escape(out: &mut String, text: &str) {
    // Mostly there is nothing to escape.
    if text.bytes().all(|c| matches!(c, b' '..=b'~') && c != b'"' && c != b'\\') {
        return out.push_str(text);
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // Beyond what JSON asks for: nothing that a terminal or a line reader could take for a command.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}
