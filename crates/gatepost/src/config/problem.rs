//! A configuration that cannot be used: each fault with its line, a caret and what is allowed.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, NamedSource, SourceSpan};
use toml::de::{DeTable, DeValue};

/// One fault, where it stands and what helps.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct Problem {
    pub message: String,
    #[source_code]
    source_code: Arc<NamedSource<String>>,
    #[label("here")]
    span: Option<SourceSpan>,
    #[help]
    pub help: Option<String>,
}

/// The text of a configuration, and where each of its values stands.
pub struct Source {
    text: String,
    named: Arc<NamedSource<String>>,
}

impl Source {
    pub fn new(path: &Path, text: String) -> Self {
        let named = Arc::new(NamedSource::new(path.display().to_string(), text.clone()));
        Self { text, named }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The TOML parser's or a type's complaint.
    pub fn complaint(&self, error: &toml::de::Error) -> Problem {
        self.at(error.span(), error.message().trim().to_owned())
    }

    /// A fault in the value at `path`, such as `["listener", "1", "address"]` (an item of a list by its number, or by its
    /// `name`); where the value is not written, the
    /// nearest table around it is pointed at.
    pub fn fault(&self, path: &[&str], message: impl Into<String>) -> Problem {
        let span = DeTable::parse(&self.text).ok().and_then(|table| {
            let mut span = None;
            let mut value = DeValue::Table(table.into_inner());
            for key in path {
                let next = match &value {
                    DeValue::Table(table) => table.get(*key).cloned(),
                    DeValue::Array(array) => {
                        let index =
                            key.parse().ok().or_else(|| array.iter().position(|item| is_named(item.get_ref(), key)));
                        index.and_then(|i: usize| array.get(i).cloned())
                    }
                    _ => None,
                };
                let Some(next) = next else { break };
                span = Some(next.span());
                value = next.into_inner();
            }
            span
        });
        self.at(span, message.into())
    }

    /// A domain that is written twice, in whatever letters: the second place is pointed at.
    pub fn second_domain(&self, name: &str) -> Option<Problem> {
        let table = DeTable::parse(&self.text).ok()?.into_inner();
        let DeValue::Table(domains) = table.get("domains")?.get_ref() else { return None };
        let second = ["local", "relay"].into_iter().find_map(|kind| {
            let DeValue::Table(all) = domains.get(kind)?.get_ref() else { return None };
            let same = all.keys().filter(|key| key.get_ref().eq_ignore_ascii_case(name));
            let mut spans: Vec<_> = same.map(|key| key.span()).collect();
            spans.sort_by_key(|span| span.start);
            spans.into_iter().nth(1)
        })?;
        let problem = self.at(Some(second), format!("the domain {name} is there twice"));
        Some(problem.help("capital and small letters are the same in it"))
    }

    fn at(&self, span: Option<Range<usize>>, message: String) -> Problem {
        let span = span.map(|range| SourceSpan::from(first_line(&self.text, range)));
        Problem { message, source_code: Arc::clone(&self.named), span, help: None }
    }
}

impl Problem {
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The lines that a person reads: message, place, caret, help.
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let mut out = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_width(80).with_links(false);
        if handler.render_report(&mut out, self).is_err() {
            out = self.message.clone();
        }
        out
    }
}

fn is_named(item: &DeValue<'_>, name: &str) -> bool {
    let DeValue::Table(table) = item else { return false };
    matches!(table.get("name").map(|value| value.get_ref()), Some(DeValue::String(own)) if own == name)
}

/// A whole table is pointed at by its first line only: a caret under forty lines helps nobody.
fn first_line(text: &str, range: Range<usize>) -> Range<usize> {
    let end = text.get(range.clone()).and_then(|part| part.find('\n')).map_or(range.end, |at| range.start + at);
    range.start..end
}
