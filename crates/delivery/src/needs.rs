//! What a letter really needs of a server that does not offer all that the letter came with, and the letter made to fit.
//!
//! Some clients say SMTPUTF8 or BODY=BINARYMIME with every letter, wherever it is offered. Such a letter can go on to a server
//! without the extension as long as nothing in it depends on that. Where only the body is too much for the server it is
//! converted on its way; a letter whose addresses or headers depend on SMTPUTF8 goes back.
//!
//! # Invariants
//! - A letter is read through only where the server lacks something, and once in an attempt.
//!
//! # Limits
//! A letter of 8-bit text that came without BODY=8BITMIME is converted where that can be done, and else goes as it is.

use std::io;

use mail::convert::{Conversion, Obstacle, Survey, Target};
use queue::Body;
use smtp::client::Message;
use smtp::data::DataDecoder;
use smtp::server::BareNewline;
use smtp::{Body as BodyType, Capabilities, Reply};

use crate::content::Content;

/// RFC 5321 §4.5.3.1.6, with the CR LF.
const LONGEST_LINE: usize = 1000;

/// How a letter goes to a server.
#[derive(Debug)]
pub(crate) enum Fit<'a> {
    AsItIs,
    Converted(&'a Conversion),
    /// It cannot go there, in our own words.
    Not(Reply),
}

/// What was found out about one letter.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    is_ascii: Option<bool>,
    is_text: Option<bool>,
    survey: Option<Box<Survey>>,
    conversion: Option<Made>,
}

/// The last conversion.
#[derive(Debug)]
struct Made {
    target: Target,
    conversion: Result<Conversion, Obstacle>,
    /// Octets of the letter when it is converted.
    size: u64,
}

impl Needs {
    /// Takes from the message what this server does not offer and the letter does not need.
    ///
    /// # Errors
    /// The letter cannot be read.
    pub(crate) async fn fit(
        &mut self,
        message: &mut Message,
        body: &Body,
        offered: &Capabilities,
    ) -> io::Result<Fit<'_>> {
        if message.params.smtputf8 && !offered.smtputf8 && has_ascii_envelope(message) {
            message.params.smtputf8 = self.needs_smtputf8(body).await?;
        }
        // RFC 6531 §3.5: the session refuses it; there is nothing to convert.
        if !offered.smtputf8 && (message.params.smtputf8 || !has_ascii_envelope(message)) {
            return Ok(Fit::AsItIs);
        }
        // RFC 6531 §3.1 (8): who offers SMTPUTF8 takes 8-bit bodies.
        let eight_bit = offered.eight_bit_mime || offered.smtputf8;
        let mut binary = message.params.body == Some(BodyType::BinaryMime);
        if binary && offered.binarymime && offered.chunking {
            return Ok(Fit::AsItIs);
        }
        // RFC 3030 §3: what is called binary is text as often as not, and then 8BITMIME carries it.
        if binary && self.is_text(body).await? {
            message.params.body = Some(BodyType::EightBitMime);
            binary = false;
        }
        if !binary && (eight_bit || self.is_ascii(body).await?) {
            return Ok(Fit::AsItIs);
        }
        let target = Target { eight_bit, binary: !binary };
        let declared = message.params.body.is_some_and(|body| body != BodyType::SevenBit);
        let made = self.convert(target, body).await?;
        match &made.conversion {
            Ok(conversion) => {
                message.params.body = eight_bit.then_some(BodyType::EightBitMime);
                message.params.size = Some(made.size);
                Ok(if conversion.is_empty() { Fit::AsItIs } else { Fit::Converted(conversion) })
            }
            Err(obstacle) if declared => Ok(Fit::Not(cannot_convert(binary, *obstacle))),
            Err(_) => Ok(Fit::AsItIs),
        }
    }

    /// RFC 6531 §3.4: SMTPUTF8 is for addresses and header fields beyond ASCII, those of parts among them.
    async fn needs_smtputf8(&mut self, body: &Body) -> io::Result<bool> {
        Ok(!self.is_ascii(body).await? && self.survey(body).await?.needs_smtputf8())
    }

    async fn is_ascii(&mut self, body: &Body) -> io::Result<bool> {
        if let Some(known) = self.is_ascii {
            return Ok(known);
        }
        let mut pieces = Content::from(body).pieces();
        let mut ascii = true;
        while ascii && let Some(piece) = pieces.next().await? {
            ascii = piece.is_ascii();
        }
        Ok(*self.is_ascii.insert(ascii))
    }

    async fn is_text(&mut self, body: &Body) -> io::Result<bool> {
        match self.is_text {
            Some(known) => Ok(known),
            None => Ok(*self.is_text.insert(is_text(body).await?)),
        }
    }

    async fn survey(&mut self, body: &Body) -> io::Result<&Survey> {
        let survey = match self.survey.take() {
            Some(survey) => survey,
            None => {
                let mut survey = Box::<Survey>::default();
                let mut pieces = Content::from(body).pieces();
                while let Some(piece) = pieces.next().await? {
                    survey.feed(&piece);
                    tokio::task::yield_now().await;
                }
                survey.finish();
                survey
            }
        };
        Ok(self.survey.insert(survey))
    }

    async fn convert(&mut self, target: Target, body: &Body) -> io::Result<&Made> {
        let made = match self.conversion.take() {
            Some(made) if made.target == target => made,
            _ => {
                let conversion = self.survey(body).await?.convert(target);
                let size = match &conversion {
                    Ok(conversion) => size_of(Content::new(body, Some(conversion))).await?,
                    Err(_) => body.len(),
                };
                Made { target, conversion, size }
            }
        };
        Ok(self.conversion.insert(made))
    }
}

/// What the log and the record say of a letter that was converted; `None` where nothing broke.
pub(crate) fn broken_words(conversion: &Conversion) -> Option<String> {
    let broken = conversion.broken_signatures();
    (!broken.is_empty()).then(|| format!("the letter was converted, which breaks the {}", broken.join(" and the ")))
}

/// RFC 3463 §3.7: "the message content must be converted … and such conversion is not possible".
fn cannot_convert(binary: bool, obstacle: Obstacle) -> Reply {
    let what = if binary { "binary content" } else { "8-bit text" };
    Reply::new(554, (5, 6, 3), "")
        .with_text(format!("the next server does not take {what}, and the letter cannot be converted: {obstacle}"))
}

fn has_ascii_envelope(message: &Message) -> bool {
    let from = message.from.mailbox().is_none_or(smtp::Mailbox::is_ascii);
    from && message.recipients.iter().all(|(mailbox, _)| mailbox.is_ascii())
}

async fn size_of(content: Content<'_>) -> io::Result<u64> {
    let (mut pieces, mut size) = (content.pieces(), 0);
    while let Some(piece) = pieces.next().await? {
        size += piece.len() as u64;
        tokio::task::yield_now().await;
    }
    Ok(size)
}

/// Lines of a fit length that end in CR LF, and no NUL.
async fn is_text(body: &Body) -> io::Result<bool> {
    let (mut pieces, mut decoder, mut column) =
        (Content::from(body).pieces(), DataDecoder::for_chunks(BareNewline::Reject), 0);
    let mut text = Vec::new();
    while let Some(piece) = pieces.next().await? {
        text.clear();
        decoder.decode(&piece, &mut text);
        if decoder.faults() != Default::default() || !fits(&text, &mut column) {
            return Ok(false);
        }
    }
    decoder.end_of_chunks(&mut text);
    Ok(decoder.faults() == Default::default())
}

/// `column`: octets of the line that the next piece goes on with.
fn fits(text: &[u8], column: &mut usize) -> bool {
    text.split_inclusive(|octet| *octet == b'\n').all(|line| {
        let length = *column + line.len();
        *column = if line.ends_with(b"\n") { 0 } else { length };
        length <= LONGEST_LINE
    })
}
