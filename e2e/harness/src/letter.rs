//! Letters to send, and what may be compared when they come back.

/// A small letter, CRLF throughout, that can be told from others by `mark`.
pub fn letter(from: &str, to: &str, mark: &str) -> Vec<u8> {
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: {mark}\r\nDate: Mon, 3 Mar 2025 10:00:00 +0000\r\n\
         Message-ID: <{mark}@letters.test>\r\n\r\n{mark}\r\n"
    )
    .into_bytes()
}

/// A letter of about `size` bytes in lines of 76 characters.
pub fn letter_of_size(from: &str, to: &str, mark: &str, size: usize) -> Vec<u8> {
    let mut bytes = letter(from, to, mark);
    let line: String = ('!'..='~').filter(|c| *c != '.').cycle().take(74).chain("\r\n".chars()).collect();
    bytes.reserve(size + line.len());
    while bytes.len() < size {
        bytes.extend_from_slice(line.as_bytes());
    }
    bytes
}

/// Every line end (CRLF, LF, CR) as CRLF, and a line end at the end: what a client makes of a file before it sends it.
///
/// RFC 5321 §2.3.8: "SMTP client implementations MUST NOT transmit these characters [CR and LF] except when they are
/// intended as line terminators and then MUST [...] transmit them only as a `<CRLF>` sequence."
pub fn to_crlf(file: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(file.len() + file.len() / 32 + 2);
    let mut bytes = file.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(other),
        }
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// What goes over the wire after DATA: dots doubled, the final dot added.
pub fn dot_stuffed(letter: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(letter.len() + 16);
    // A line begins after CRLF; a lone LF ends nothing.
    let mut begins = true;
    for line in letter.split_inclusive(|byte| *byte == b'\n') {
        if begins && line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        begins = line.ends_with(b"\r\n");
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// Header fields that a server may put on top of a letter.
const TRACE: [&str; 4] = ["return-path", "received", "delivered-to", "x-original-to"];

/// The letter without the trace fields that `carried` has more than `sent` had, or the place where both differ.
///
/// # Errors
/// Says in words what is different: this is what the test prints.
pub fn same_but_trace(sent: &[u8], carried: &[u8]) -> Result<(), String> {
    let mut rest = carried;
    while rest.len() > sent.len() {
        let (field, after) = split_field(rest);
        let name: Vec<u8> = field.iter().copied().take_while(|byte| *byte != b':').collect();
        let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
        if !TRACE.contains(&name.as_str()) {
            return Err(format!("a field {name:?} was put on top, or the letter grew by {}", rest.len() - sent.len()));
        }
        rest = after;
    }
    match sent.iter().zip(rest).position(|(a, b)| a != b) {
        Some(place) => {
            Err(format!("byte {place} differs: sent {:?}, got {:?}", around(sent, place), around(rest, place)))
        }
        None if sent.len() == rest.len() => Ok(()),
        None => Err(format!("sent {} bytes, got {} without trace", sent.len(), rest.len())),
    }
}

/// The first header field with its folded lines, and what follows it.
fn split_field(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if end > 0 && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            break;
        }
        end += line.len();
    }
    bytes.split_at(end)
}

fn around(bytes: &[u8], place: usize) -> String {
    let from = place.saturating_sub(30);
    let to = (place + 30).min(bytes.len());
    String::from_utf8_lossy(&bytes[from..to]).into_owned()
}

/// Base64 of RFC 4648 §4, for AUTH.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) as usize & 63;
            out.push(if place <= chunk.len() { ALPHABET[sextet] as char } else { '=' });
        }
    }
    out
}
