//! The PROXY protocol, versions 1 and 2 (HAProxy, `proxy-protocol.txt`): a load balancer says who the client is.
//!
//! [`parse`] is pure; [`read`] takes exactly the header from a socket and not an octet more.
//!
//! # Limits
//! A version 1 line has at most 107 octets; a version 2 header at most [`LONGEST`].

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Octets of a version 2 header that are read: the fixed part, addresses and some extensions (TLVs).
pub const LONGEST: usize = 4096;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The connection was made for this client.
    Client(SocketAddr),
    /// The balancer's own connection (a health check), or a client of a kind that has no address here.
    Local,
}

/// How far a header is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// At least this many more octets belong to it.
    Needs(usize),
    /// It has `length` octets.
    Done { header: Header, length: usize },
}

/// The balancer does not speak the protocol as it should.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("the connection does not begin with a PROXY header")]
    NoHeader,
    #[error("the PROXY header is malformed")]
    Malformed,
    #[error("the PROXY header is too long")]
    TooLong,
    #[error("the PROXY header has a version or command that is not known")]
    Version,
    #[error("the PROXY header did not come: {0}")]
    Io(#[from] io::Error),
}

/// Reads the header at the start of `input`.
///
/// # Errors
/// The peer's fault; more octets do not help.
pub fn parse(input: &[u8]) -> Result<Progress, ProxyError> {
    let common = |pattern: &[u8]| input.iter().zip(pattern).all(|(a, b)| a == b);
    if common(SIGNATURE) && !input.is_empty() {
        parse_binary(input)
    } else if common(b"PROXY ") {
        parse_line(input)
    } else {
        Err(ProxyError::NoHeader)
    }
}

/// Takes the header from a connection.
///
/// # Errors
/// As [`parse`]; and where the connection ends.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, ProxyError> {
    let mut header = Vec::with_capacity(108);
    loop {
        match parse(&header)? {
            Progress::Done { header, .. } => return Ok(header),
            Progress::Needs(more) => {
                let start = header.len();
                header.resize(start + more, 0);
                stream.read_exact(header.get_mut(start..).unwrap_or_default()).await?;
            }
        }
    }
}

/// Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n`.
fn parse_line(input: &[u8]) -> Result<Progress, ProxyError> {
    const SHORTEST: usize = "PROXY UNKNOWN\r\n".len();
    const LONGEST_LINE: usize = 107;
    let head = input.get(..input.len().min(LONGEST_LINE)).unwrap_or_default();
    let Some(end) = memchr(b'\n', head) else {
        return match input.len() {
            n if n < SHORTEST => Ok(Progress::Needs(SHORTEST - n)),
            n if n < LONGEST_LINE => Ok(Progress::Needs(1)),
            _ => Err(ProxyError::TooLong),
        };
    };
    let line = head.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(ProxyError::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    let done = |header| Ok(Progress::Done { header, length: end + 1 });
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return done(Header::Local);
    }
    let (Some(source), Some(target), Some(source_port), Some(target_port), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(ProxyError::Malformed);
    };
    let (Some(source), Some(_)) = (socket(family, source, source_port), socket(family, target, target_port)) else {
        return Err(ProxyError::Malformed);
    };
    done(Header::Client(source))
}

fn socket(family: Option<&str>, address: &str, port: &str) -> Option<SocketAddr> {
    let address: IpAddr = address.parse().ok()?;
    let fits = match family? {
        "TCP4" => address.is_ipv4(),
        "TCP6" => address.is_ipv6(),
        _ => false,
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    (fits && digits).then_some(())?;
    Some(SocketAddr::new(address.to_canonical(), port.parse().ok()?))
}

/// Version 2: signature, version and command, family, length of the rest, addresses, extensions.
fn parse_binary(input: &[u8]) -> Result<Progress, ProxyError> {
    const FIXED: usize = 16;
    let Some((fixed, rest)) = input.split_first_chunk::<FIXED>() else {
        return Ok(Progress::Needs(FIXED - input.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > LONGEST {
        return Err(ProxyError::TooLong);
    }
    let Some(body) = rest.get(..length) else {
        return Ok(Progress::Needs(length - rest.len()));
    };
    let header = match command {
        0x20 => Header::Local,
        0x21 => binary_client(family, body)?,
        _ => return Err(ProxyError::Version),
    };
    Ok(Progress::Done { header, length: FIXED + length })
}

fn binary_client(family: u8, body: &[u8]) -> Result<Header, ProxyError> {
    let (address, port) = match family {
        0x11 => {
            let (source, rest) = body.split_first_chunk::<4>().ok_or(ProxyError::Malformed)?;
            (IpAddr::V4(Ipv4Addr::from(*source)), rest.get(4..6))
        }
        0x21 => {
            let (source, rest) = body.split_first_chunk::<16>().ok_or(ProxyError::Malformed)?;
            (IpAddr::V6(Ipv6Addr::from(*source)), rest.get(16..18))
        }
        // Unspecified, datagrams, unix sockets: nothing that we could use.
        _ => return Ok(Header::Local),
    };
    let port: [u8; 2] = port.and_then(|port| port.try_into().ok()).ok_or(ProxyError::Malformed)?;
    Ok(Header::Client(SocketAddr::new(address.to_canonical(), u16::from_be_bytes(port))))
}

fn memchr(needle: u8, haystack: &[u8]) -> Option<usize> {
    haystack.iter().position(|byte| *byte == needle)
}
