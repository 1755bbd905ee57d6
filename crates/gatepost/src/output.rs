//! What a person sees: tables that fit 80 columns, colour only on a terminal.
//!
//! `anstream` strips colour where standard output is no terminal or NO_COLOR is set.

use anstyle::{AnsiColor, Style};

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const WARN: Style = AnsiColor::Yellow.on_default();
pub const HEAD: Style = Style::new().bold();

/// A text in a style.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Columns of a table, as wide as their content; the last column takes what is left and wraps.
pub struct Table {
    rows: Vec<Vec<String>>,
    width: usize,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|h| (*h).to_owned()).collect()], width: 80 }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as lines, two spaces between columns, the head in bold.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| self.rows.iter().filter_map(|r| r.get(c)).map(|s| width(s)).max().unwrap_or(0))
            .collect();
        let before: usize = widths.iter().take(columns.saturating_sub(1)).map(|w| w + 2).sum();
        let last = self.width.saturating_sub(before).max(16);
        let mut out = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                if column + 1 == columns {
                    for (n, part) in wrap(cell, last).iter().enumerate() {
                        if n > 0 {
                            line.push('\n');
                            line.push_str(&" ".repeat(before));
                        }
                        line.push_str(part);
                    }
                } else {
                    line.push_str(cell);
                    line.push_str(&" ".repeat(widths[column] + 2 - width(cell)));
                }
            }
            let line = line.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
            out.push_str(&if index == 0 { paint(HEAD, &line) } else { line });
            out.push('\n');
        }
        out
    }
}

/// Characters that take a column: colour sequences take none.
fn width(text: &str) -> usize {
    let mut count = 0;
    let mut escape = false;
    for c in text.chars() {
        match (escape, c) {
            (false, '\u{1b}') => escape = true,
            (true, 'm') => escape = false,
            (false, _) => count += 1,
            (true, _) => {}
        }
    }
    count
}

fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let used = lines.last().map_or(0, |l| width(l));
        if used > 0 && used + 1 + width(word) > most {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Words below something else: so many columns to the right, wrapped at eighty.
pub fn indented(text: &str, columns: usize) -> Vec<String> {
    let lines = wrap(text, 80 - columns.min(60));
    lines.iter().map(|line| format!("{}{line}", " ".repeat(columns))).collect()
}

/// `1 letter`, `2 letters`.
pub fn letters(count: usize) -> String {
    format!("{count} letter{}", if count == 1 { "" } else { "s" })
}

/// `3s`, `12m`, `5h`, `2d`: how long something takes or took, for a column.
pub fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `512 B`, `4.0 KB`, `12 MB`.
pub fn size(octets: u64) -> String {
    match octets {
        0..=1023 => format!("{octets} B"),
        1024..=1_048_575 => format!("{:.1} KB", octets as f64 / 1024.0),
        _ => format!("{:.1} MB", octets as f64 / 1_048_576.0),
    }
}

/// Who reads what we print may have seen enough (`gatepost queue | head`): then we are done, without a word. `println!`
/// panics there, and the signal that ends other programs is ignored by Rust's.
pub fn end_quietly_when_unread() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload_as_str().unwrap_or_default();
        if words.starts_with("failed printing to stdout") && words.contains("Broken pipe") {
            std::process::exit(0);
        }
        usual(panic);
    }));
}
