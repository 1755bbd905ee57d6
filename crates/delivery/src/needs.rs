//! What a letter really needs of a server that does not offer all that the letter came with.
//!
//! Some clients say SMTPUTF8 or BODY=BINARYMIME with every letter, wherever it is offered. Such a letter can go on to a server
//! without the extension as long as nothing in it depends on that; a letter that does depend on it goes back.
//!
//! # Limits
//! The header of the letter is looked at, not those of its parts: mail programs have read UTF-8 there for long.

use std::io;

use queue::Body;
use smtp::client::Message;
use smtp::data::DataDecoder;
use smtp::server::BareNewline;
use smtp::{Body as BodyType, Capabilities};

use crate::drive::read_piece;

/// A longer header is not looked through; the doors take none.
const LONGEST_HEADER: usize = 2 * 1024 * 1024;
/// RFC 5321 §4.5.3.1.6, with the CR LF.
const LONGEST_LINE: usize = 1000;

/// Takes from the message what this server does not offer and the letter does not need.
///
/// # Errors
/// The letter cannot be read.
pub(crate) async fn fit(message: &mut Message, body: &Body, offered: &Capabilities) -> io::Result<()> {
    // RFC 6531 §3.4: SMTPUTF8 is for addresses and header fields beyond ASCII.
    if message.params.smtputf8 && !offered.smtputf8 && has_ascii_envelope(message) {
        message.params.smtputf8 = !has_ascii_header(body).await?;
    }
    // RFC 3030 §3: what is called binary is text as often as not, and then 8BITMIME carries it.
    let binary = message.params.body == Some(BodyType::BinaryMime);
    if binary && !(offered.binarymime && offered.chunking) && is_text(body).await? {
        message.params.body = Some(BodyType::EightBitMime);
    }
    Ok(())
}

fn has_ascii_envelope(message: &Message) -> bool {
    let from = message.from.mailbox().is_none_or(smtp::Mailbox::is_ascii);
    from && message.recipients.iter().all(|(mailbox, _)| mailbox.is_ascii())
}

async fn has_ascii_header(body: &Body) -> io::Result<bool> {
    let mut beginning = Vec::new();
    while beginning.len() < LONGEST_HEADER {
        let piece = read_piece(body, beginning.len() as u64).await?;
        beginning.extend_from_slice(&piece);
        let header = mail::header::header(&beginning);
        if piece.is_empty() || header.len() < beginning.len() || !header.is_ascii() {
            return Ok(header.is_ascii());
        }
    }
    Ok(false)
}

/// Lines of a fit length that end in CR LF, and no NUL.
async fn is_text(body: &Body) -> io::Result<bool> {
    let (mut offset, mut decoder, mut column) = (0, DataDecoder::for_chunks(BareNewline::Reject), 0);
    let mut text = Vec::new();
    while offset < body.len() {
        let piece = read_piece(body, offset).await?;
        if piece.is_empty() {
            return Ok(false);
        }
        offset += piece.len() as u64;
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
