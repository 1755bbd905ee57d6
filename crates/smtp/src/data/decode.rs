//! From the wire to the letter.

use memchr::memchr3;

use crate::server::BareNewline;

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// What is wrong with a letter's octets, found while it passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A CR or LF stood alone; in [`BareNewline::Normalize`] it was made CR LF and is no fault.
    pub bare_newline: bool,
    /// A NUL octet (RFC 5321 §4.5.2 leaves it to us; it is refused).
    pub nul: bool,
}

/// Reads the octets behind DATA, or those of BDAT chunks that hold text.
#[derive(Clone, Debug)]
pub struct DataDecoder {
    state: State,
    /// Behind DATA: dots count. In a BDAT chunk they are plain octets (RFC 3030 §2).
    dots: bool,
    newline: BareNewline,
    faults: Faults,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Behind a CR LF of the wire; only where dots count.
    LineStart,
    /// Behind the dot at a line's start. The dot is not part of the letter, whatever comes.
    Dot,
    /// Behind such a dot and a CR.
    DotCr,
    Text,
    /// Behind a CR that was the last octet of a piece; it is not yet given out.
    Cr,
}

impl DataDecoder {
    /// For DATA. The CR LF of the DATA line is behind us, so `.` CR LF is an empty letter.
    pub fn new(newline: BareNewline) -> Self {
        Self { state: State::LineStart, dots: true, newline, faults: Faults::default() }
    }

    /// For the text of BDAT chunks: no end of data in it, no dot is taken away.
    pub fn for_chunks(newline: BareNewline) -> Self {
        Self { state: State::Text, dots: false, newline, faults: Faults::default() }
    }

    /// What was wrong so far.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    /// Appends to `letter` what `input` holds of it. `Some(n)`: the end of data stands at the end of the first `n`
    /// octets; what follows are commands. Such a decoder is used up.
    pub fn decode(&mut self, input: &[u8], letter: &mut Vec<u8>) -> Option<usize> {
        let mut piece = Piece { input, at: 0, copied: 0, letter };
        loop {
            let next = piece.peek();
            match (self.state, next) {
                (State::Text, _) => {
                    if !self.text(&mut piece) {
                        return None;
                    }
                }
                (_, None) => {
                    piece.copy();
                    return None;
                }
                (State::LineStart, Some(b'.')) => {
                    piece.copy();
                    piece.skip(1);
                    self.state = State::Dot;
                }
                // RFC 5321 §4.5.2: "If the first character is a period and there are other characters on the line,
                // the first character is deleted."
                (State::Dot, Some(CR)) => {
                    piece.skip(1);
                    self.state = State::DotCr;
                }
                (State::DotCr, Some(LF)) => return Some(piece.at + 1),
                (State::Cr, Some(LF)) => {
                    piece.letter.extend_from_slice(b"\r\n");
                    piece.skip(1);
                    self.state = self.behind_line();
                }
                (State::LineStart | State::Dot, Some(_)) => self.state = State::Text,
                (State::DotCr | State::Cr, Some(_)) => {
                    self.bare(CR, piece.letter);
                    self.state = State::Text;
                }
            }
        }
    }

    /// The last chunk has ended: a CR that waited for its LF stood alone.
    pub fn end_of_chunks(&mut self, letter: &mut Vec<u8>) {
        if self.state == State::Cr {
            self.bare(CR, letter);
            self.state = State::Text;
        }
    }

    /// Text up to a line's end, a fault or the end of the piece; `false` at the last.
    fn text(&mut self, piece: &mut Piece<'_>) -> bool {
        let rest = piece.rest();
        let Some(offset) = memchr3(CR, LF, 0, rest) else {
            piece.at = piece.input.len();
            piece.copy();
            return false;
        };
        piece.at += offset;
        match (rest.get(offset), rest.get(offset + 1)) {
            (Some(&CR), Some(&LF)) => {
                piece.at += 2;
                self.state = self.behind_line();
            }
            (Some(&CR), None) => {
                piece.copy();
                piece.skip(1);
                self.state = State::Cr;
            }
            (Some(&0), _) => {
                piece.at += 1;
                self.faults.nul = true;
            }
            (Some(&bare), _) => {
                piece.copy();
                piece.skip(1);
                self.bare(bare, piece.letter);
            }
            (None, _) => {}
        }
        true
    }

    fn behind_line(&self) -> State {
        if self.dots { State::LineStart } else { State::Text }
    }

    /// The state stays [`State::Text`] behind it: what we make a line end of does not begin a line on the wire.
    fn bare(&mut self, octet: u8, letter: &mut Vec<u8>) {
        match self.newline {
            BareNewline::Normalize => letter.extend_from_slice(b"\r\n"),
            BareNewline::Reject => {
                self.faults.bare_newline = true;
                letter.push(octet);
            }
        }
    }
}

/// A piece of input, of which `copied..at` is seen and belongs to the letter but is not yet given out, so that whole
/// runs of lines are copied at once.
struct Piece<'a> {
    input: &'a [u8],
    at: usize,
    copied: usize,
    letter: &'a mut Vec<u8>,
}

impl<'a> Piece<'a> {
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn copy(&mut self) {
        self.letter.extend_from_slice(self.input.get(self.copied..self.at).unwrap_or_default());
        self.copied = self.at;
    }

    /// Passes octets that are not given out; what is before them must be copied.
    fn skip(&mut self, octets: usize) {
        self.at += octets;
        self.copied = self.at;
    }
}
