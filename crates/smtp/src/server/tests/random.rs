//! Octets at random, and dialogs out of pieces of commands: no panic, no endless loop, no growth, and the same replies
//! however the octets are cut.

use proptest::prelude::*;

use super::peer::{Peer, accept_all, config, lmtp, submission};
use crate::server::{BareNewline, ServerConfig, ServerLimits};

const PIECES: [&str; 32] = [
    "EHLO c.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\n",
    "RSET\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n",
    "EHLO c.example\r\n",
    "LHLO c.example\r\n",
    "HELO c.example\r\n",
    "MAIL FROM:<a@example.org>\r\n",
    "MAIL FROM:<> BODY=BINARYMIME SIZE=5\r\n",
    "RCPT TO:<b@example.com>\r\n",
    "RCPT TO:<b@example.com> NOTIFY=NEVER\r\n",
    "DATA\r\n",
    "BDAT 3\r\n",
    "BDAT 0\r\n",
    "BDAT 4 LAST\r\n",
    "BDAT 99\r\n",
    "BDAT x\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n",
    "AUTH LOGIN\r\n",
    "AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9YWJjZGVmZ2g=\r\n",
    "*\r\n",
    "c2VjcmV0\r\n",
    "VRFY x\r\n",
    "QUIT\r\n",
    ".\r\n",
    "\r\n.\r\n",
    "\n.\n",
    "\r",
    "\n",
    "\0",
    "Received: x\r\n",
    "xyz",
];

fn configs() -> Vec<ServerConfig> {
    let tight = ServerLimits {
        message_size: 20,
        discard: 30,
        header_size: 30,
        hops: 1,
        recipients: 2,
        messages: 2,
        command_line: 60,
        auth_line: 80,
        ..Default::default()
    };
    vec![
        config(),
        lmtp(),
        ServerConfig { require_auth: false, ..submission() },
        ServerConfig { bare_newline: BareNewline::Normalize, limits: tight.clone(), ..config() },
        ServerConfig { limits: tight, ..lmtp() },
    ]
}

fn wire() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ];
    // Half of the dialogs begin with a greeting that is understood.
    let greeting = proptest::sample::select(vec!["", "EHLO c.example\r\nLHLO c.example\r\n"]);
    (greeting, proptest::collection::vec(piece, 0..30))
        .prop_map(|(greeting, pieces)| [greeting.as_bytes(), &pieces.concat()].concat())
}

/// Plays `wire` in pieces; what was said, the letters, and whether the session ended.
fn play(config: &ServerConfig, wire: &[u8], cuts: &[usize]) -> (String, Vec<Vec<u8>>, bool) {
    let tls = !config.auth.is_empty();
    let mut peer =
        if tls { Peer::with_tls(config.clone(), accept_all()) } else { Peer::new(config.clone(), accept_all()) };
    peer.send_cut(wire, cuts);
    assert!(peer.session.input.len() <= config.limits.auth_line.max(config.limits.command_line));
    assert!(peer.outputs <= 40 + 8 * wire.len() + 4 * cuts.len(), "{} outputs for {} octets", peer.outputs, wire.len());
    // A nonce is random; what follows it is not compared.
    let said = peer.said.lines().map(|line| if line.starts_with("334 ") { "334" } else { line }).collect::<Vec<_>>();
    (said.join("\n"), peer.letters.clone(), peer.closed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..Default::default() })]

    #[test]
    fn session_does_not_depend_on_how_its_input_is_cut(wire in wire(), kind in 0..5usize, cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let config = &configs()[kind];
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = play(config, &wire, &[]);
        prop_assert_eq!(&play(config, &wire, &cuts), &whole);
        prop_assert_eq!(&play(config, &wire, &(1..wire.len().max(1)).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn random_octets_are_survived(wire in proptest::collection::vec(any::<u8>(), 0..3000), kind in 0..5usize) {
        play(&configs()[kind], &wire, &[]);
    }
}
