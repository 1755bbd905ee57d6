use super::*;

fn done(input: &[u8]) -> (Header, usize) {
    match parse(input) {
        Ok(Progress::Done { header, length }) => (header, length),
        other => panic!("{other:?}"),
    }
}

fn client(text: &str) -> Header {
    Header::Client(text.parse().unwrap())
}

fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    header
}

fn ipv4_body() -> Vec<u8> {
    [&[192, 0, 2, 7][..], &[10, 0, 0, 1], &56324u16.to_be_bytes(), &25u16.to_be_bytes()].concat()
}

#[test]
fn a_line_names_the_client() {
    let line = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 25\r\n";
    assert_eq!(done(line), (client("192.0.2.7:56324"), line.len()));
    let line = b"PROXY TCP6 2001:db8::7 2001:db8::1 1 25\r\nEHLO x\r\n";
    assert_eq!(done(line), (client("[2001:db8::7]:1"), line.len() - 8));
    assert_eq!(done(b"PROXY UNKNOWN\r\n").0, Header::Local);
    assert_eq!(done(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n").0, Header::Local);
}

#[test]
fn a_binary_header_names_the_client_and_its_extensions_are_skipped() {
    let mut body = ipv4_body();
    body.extend([0x04, 0, 3, 1, 2, 3]);
    let header = binary(0x21, 0x11, &body);
    assert_eq!(done(&header), (client("192.0.2.7:56324"), header.len()));
    let body =
        [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &1u16.to_be_bytes(), &25u16.to_be_bytes()].concat();
    assert_eq!(done(&binary(0x21, 0x21, &body)).0, client("[2001:db8::7]:1"));
}

#[test]
fn a_health_check_of_the_balancer_is_local() {
    assert_eq!(done(&binary(0x20, 0, &[])).0, Header::Local);
    assert_eq!(done(&binary(0x21, 0, &[])).0, Header::Local);
}

#[test]
fn what_is_no_header_is_refused_at_once() {
    for input in [&b"EHLO"[..], b"\x16\x03\x01", b"PROXX", b"\r\n\r\nQUIT"] {
        assert!(matches!(parse(input), Err(ProxyError::NoHeader)), "{input:?}");
    }
}

#[test]
fn malformed_headers_are_refused() {
    for line in [
        "PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 56324 25 1\r\n",
        "PROXY TCP4 2001:db8::7 10.0.0.1 56324 25\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 56324 25\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 65536 25\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 +1 25\r\n",
        "PROXY TCP4  192.0.2.7 10.0.0.1 1 25\r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 1 25\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 1 25\n",
    ] {
        assert!(matches!(parse(line.as_bytes()), Err(ProxyError::Malformed)), "{line:?}");
    }
    assert!(matches!(parse(&binary(0x21, 0x11, &[1, 2, 3])), Err(ProxyError::Malformed)));
    assert!(matches!(parse(&binary(0x31, 0x11, &ipv4_body())), Err(ProxyError::Version)));
}

#[test]
fn headers_without_end_are_refused() {
    assert!(matches!(parse(format!("PROXY {}", "A".repeat(200)).as_bytes()), Err(ProxyError::TooLong)));
    let mut header = SIGNATURE.to_vec();
    header.extend([0x21, 0x11, 0xff, 0xff]);
    assert!(matches!(parse(&header), Err(ProxyError::TooLong)));
}

#[test]
fn every_prefix_needs_more_and_never_more_than_there_is() {
    let mut long = ipv4_body();
    long.extend([0; 300]);
    for whole in [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 25\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        binary(0x21, 0x11, &long),
    ] {
        for cut in 0..whole.len() {
            match parse(&whole[..cut]) {
                Ok(Progress::Needs(more)) => assert!(more > 0 && cut + more <= whole.len(), "{cut} {more}"),
                other => panic!("{cut}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn not_an_octet_behind_the_header_is_taken() {
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 25\r\n".to_vec(), binary(0x21, 0x11, &ipv4_body())] {
        let mut stream: &[u8] = &[&header[..], b"\x16\x03\x01"].concat();
        assert_eq!(read(&mut stream).await.unwrap(), client("192.0.2.7:56324"));
        assert_eq!(stream, b"\x16\x03\x01");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_claim_more_than_it_saw(input: Vec<u8>, binary: bool) {
        let mut input = input;
        if binary {
            input.splice(..0, SIGNATURE.iter().copied());
        }
        if let Ok(Progress::Done { length, .. }) = parse(&input) {
            assert!(length <= input.len());
        }
    }
}
