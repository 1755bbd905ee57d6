//! The header of a letter that streams by.

/// What was seen of the header so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderFacts {
    /// Octets, with the empty line: where the body begins.
    pub size: u64,
    pub fields: u32,
    /// Received fields: how many servers the letter passed (RFC 5321 §6.3).
    pub received: u32,
    pub from: u32,
    pub date: u32,
    pub message_id: u32,
    pub subject: u32,
    /// Whether an octet beyond ASCII is in it.
    pub eight_bit: bool,
}

/// Reads the header of one letter, in whatever pieces it comes.
#[derive(Clone, Debug, Default)]
pub struct HeaderScanner {
    facts: HeaderFacts,
    state: State,
    name: Name,
    /// Octets of the current line.
    line: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// On a line whose kind is not known yet.
    #[default]
    Start,
    /// White space stood behind the name; only a colon may follow.
    BeforeColon,
    /// A CR was all of the line.
    SawCr,
    /// In a line that belongs to a field.
    Within,
    Ended,
}

/// The name of a field as far as it was read. No name that we look for is longer.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    octets: [u8; 12],
    length: usize,
}

impl HeaderScanner {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn facts(&self) -> &HeaderFacts {
        &self.facts
    }

    /// Whether the body was reached. What is fed afterwards is not looked at.
    pub fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The next octets of the letter.
    pub fn feed(&mut self, mut chunk: &[u8]) {
        while let Some((&octet, rest)) = chunk.split_first() {
            match self.state {
                State::Ended => return,
                State::Within => {
                    let end = memchr::memchr(b'\n', chunk).map_or(chunk.len(), |at| at + 1);
                    let (line, rest) = chunk.split_at(end);
                    self.within(line);
                    chunk = rest;
                }
                _ => {
                    self.begin(octet);
                    chunk = rest;
                }
            }
        }
    }

    /// The letter is complete. A last line that turned out to be no field is the body's.
    pub fn finish(&mut self) {
        match self.state {
            State::Ended | State::Within => {}
            _ => self.body_without_empty_line(),
        }
        self.state = State::Ended;
    }

    fn within(&mut self, line: &[u8]) {
        self.facts.size += line.len() as u64;
        self.facts.eight_bit |= !line.is_ascii();
        if line.last() == Some(&b'\n') {
            self.next_line();
        }
    }

    /// One octet of a line whose kind is not known yet.
    fn begin(&mut self, octet: u8) {
        self.facts.size += 1;
        self.line += 1;
        match (self.state, octet) {
            (State::Start, b'\r') if self.line == 1 => self.state = State::SawCr,
            (State::SawCr, b'\n') => self.state = State::Ended,
            (State::Start, b'\n') if self.line == 1 => self.state = State::Ended,
            (State::Start, b' ' | b'\t') if self.line == 1 => match self.facts.fields {
                0 => self.body_without_empty_line(),
                _ => self.state = State::Within,
            },
            (State::Start | State::BeforeColon, b':') if self.line > 1 => self.field(),
            (State::Start | State::BeforeColon, b' ' | b'\t') => self.white_space(octet),
            (State::Start, 33..=126) if octet != b':' => self.name.push(octet),
            _ => self.body_without_empty_line(),
        }
    }

    fn white_space(&mut self, octet: u8) {
        // An mbox `From ` line on top: whatever it holds is passed over, and is no field.
        let mbox = octet == b' ' && self.facts.size == 5 && self.name.octets.starts_with(b"From");
        self.state = if mbox { State::Within } else { State::BeforeColon };
    }

    fn field(&mut self) {
        let facts = &mut self.facts;
        facts.fields = facts.fields.saturating_add(1);
        self.state = State::Within;
        let known: [(&[u8], &mut u32); 5] = [
            (b"Received", &mut facts.received),
            (b"From", &mut facts.from),
            (b"Date", &mut facts.date),
            (b"Message-ID", &mut facts.message_id),
            (b"Subject", &mut facts.subject),
        ];
        if let Some((_, count)) = known.into_iter().find(|(name, _)| self.name.is(name)) {
            *count = count.saturating_add(1);
        }
    }

    fn next_line(&mut self) {
        self.state = State::Start;
        self.name = Name::default();
        self.line = 0;
    }

    fn body_without_empty_line(&mut self) {
        self.facts.size -= self.line;
        self.state = State::Ended;
    }
}

impl Name {
    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.length) {
            *place = octet;
        }
        self.length += 1;
    }

    fn is(&self, name: &[u8]) -> bool {
        self.octets.get(..self.length).is_some_and(|octets| octets.eq_ignore_ascii_case(name))
    }
}
