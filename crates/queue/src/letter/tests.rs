use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::option;
use proptest::prelude::*;
use smtp::{
    AddressLiteral, Body, ByMode, DeliverBy, EnhancedCode, Hold, Host, LocalPart, MailParams, Mailbox, Notify,
    OriginalRecipient, RcptParams, Reply, ReplyCode, Ret, ReversePath,
};

use super::codec::{DecodeError, decode, decode_meta, decode_state, encode_meta, encode_state};
use super::*;

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        4 => "[a-z]{1,10}\\.(example|test)".prop_map(|name| Host::Domain(name.parse().unwrap())),
        1 => Just(Host::Domain("bücher.example".parse().unwrap())),
        1 => any::<u32>().prop_map(|ip| Host::Literal(AddressLiteral(IpAddr::V4(Ipv4Addr::from(ip))))),
        1 => any::<u128>().prop_map(|ip| Host::Literal(AddressLiteral(IpAddr::V6(Ipv6Addr::from(ip))))),
    ]
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    let local = prop_oneof!["[ -~]{1,20}", Just("döner".to_owned()), Just("a\"b\\c d".to_owned())];
    (local, host()).prop_map(|(local, host)| Mailbox { local: LocalPart::from_dequoted(&local).unwrap(), host })
}

fn by() -> impl Strategy<Value = DeliverBy> {
    let mode = prop_oneof![Just(ByMode::Return), Just(ByMode::Notify)];
    (-999_999_999i64..=999_999_999, mode, any::<bool>()).prop_map(|(seconds, mode, trace)| DeliverBy {
        seconds,
        mode,
        trace,
    })
}

fn hold() -> impl Strategy<Value = Hold> {
    prop_oneof![any::<u64>().prop_map(Hold::For), any::<u64>().prop_map(Hold::Until)]
}

fn mail_params() -> impl Strategy<Value = MailParams> {
    let body = option::of(prop_oneof![Just(Body::SevenBit), Just(Body::EightBitMime), Just(Body::BinaryMime)]);
    let ret = option::of(prop_oneof![Just(Ret::Full), Just(Ret::Headers)]);
    let auth = option::of(option::of(mailbox()));
    let late = (option::of(by()), option::of(hold()), option::of(-9i8..=9));
    (option::of(any::<u64>()), body, any::<bool>(), ret, option::of("\\PC{0,30}"), auth, any::<bool>(), late).prop_map(
        |(size, body, smtputf8, ret, envid, auth, requiretls, (by, hold, mt_priority))| MailParams {
            size,
            body,
            smtputf8,
            ret,
            envid,
            auth,
            requiretls,
            by,
            hold,
            mt_priority,
        },
    )
}

fn rcpt_params() -> impl Strategy<Value = RcptParams> {
    let notify = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(never, success, failure, delay)| Notify { never, success, failure, delay });
    let orcpt =
        ("rfc822|utf-8", "\\PC{0,30}").prop_map(|(address_type, address)| OriginalRecipient { address_type, address });
    (option::of(notify), option::of(orcpt)).prop_map(|(notify, orcpt)| RcptParams { notify, orcpt })
}

fn origin() -> impl Strategy<Value = Origin> {
    let client = option::of(any::<u32>().prop_map(|ip| IpAddr::V4(Ipv4Addr::from(ip))));
    ("[a-z]{0,10}", client, option::of("\\PC{0,30}"), "[A-Z]{4,10}", option::of("\\PC{0,30}"))
        .prop_map(|(listener, client, helo, protocol, user)| Origin { listener, client, helo, protocol, user })
}

fn letter() -> impl Strategy<Value = Letter> {
    let from = option::of(mailbox()).prop_map(|from| from.map_or(ReversePath::Null, ReversePath::Mailbox));
    let recipient = (mailbox(), rcpt_params()).prop_map(|(address, params)| Recipient::new(address, params));
    let recipients = proptest::collection::vec(recipient, 0..8);
    (any::<u64>(), any::<u64>(), from, mail_params(), recipients, any::<u64>(), origin(), any::<(bool, bool)>())
        .prop_map(|(id, arrived, from, params, recipients, size, origin, (bulk, tls_optional))| Letter {
            id: QueueId(id),
            arrived: Timestamp(arrived),
            from,
            params,
            recipients,
            size,
            origin,
            bulk,
            tls_optional,
        })
}

fn last_reply() -> impl Strategy<Value = LastReply> {
    let enhanced = option::of((2u8..6, any::<u16>(), any::<u16>()).prop_map(|(a, b, c)| EnhancedCode::new(a, b, c)));
    let code = (200u16..600).prop_map(|code| ReplyCode::from_wire(code).unwrap());
    (any::<u64>(), code, enhanced, "(\\PC|\n){0,60}", "\\PC{0,30}").prop_map(|(at, code, enhanced, text, by)| {
        LastReply { at: Timestamp(at), reply: Reply::from_peer(code, enhanced, &text), by }
    })
}

fn progress() -> impl Strategy<Value = Progress> {
    let done = |state| Progress { state, due: Timestamp(0) };
    prop_oneof![
        (any::<u32>(), any::<u64>(), option::of(last_reply())).prop_map(|(attempts, due, last)| Progress {
            state: RecipientState::Pending { attempts, last },
            due: Timestamp(due)
        }),
        last_reply().prop_map(move |last| done(RecipientState::Delivered(last))),
        last_reply().prop_map(move |last| done(RecipientState::Failed(last))),
        Just(done(RecipientState::Dropped)),
    ]
}

fn held() -> impl Strategy<Value = super::Hold> {
    let times = (any::<u64>(), option::of(any::<u64>()));
    ("\\PC{0,60}", times).prop_map(|(reason, (since, until))| super::Hold {
        reason,
        since: Timestamp(since),
        until: until.map(Timestamp),
    })
}

proptest! {
    #[test]
    fn a_letter_is_read_as_it_was_written(letter in letter()) {
        prop_assert_eq!(decode_meta(letter.id, &encode_meta(&letter)), Ok(letter));
    }

    #[test]
    fn a_state_is_read_as_it_was_written(
        mut states in proptest::collection::vec(progress(), 0..8),
        hold in option::of(held()),
        (held, redirect) in (any::<u64>(), option::of("\\PC{0,30}")),
        told in any::<u8>(),
    ) {
        // Recipients of one attempt share a reply.
        let shared = states.first().cloned();
        states.extend(shared);
        let delay_told = (0..states.len()).filter(|index| told & (1 << (index % 8)) != 0).collect();
        let course = Course { states, hold, held: Duration::from_millis(held), redirect, delay_told };
        let written = encode_state(&course);
        prop_assert_eq!(decode_state(&written), Ok(course.clone()));
        // What was there before it holds nothing of this, and is read as ever.
        let plain = Course { states: course.states, ..Course::default() };
        prop_assert_eq!(encode_state(&plain)[0], 1);
        prop_assert_eq!(decode_state(&encode_state(&plain)), Ok(plain));
    }

    #[test]
    fn random_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (decode_meta(QueueId(1), &octets), decode_state(&octets));
    }

    #[test]
    fn damaged_letters_never_panic(letter in letter(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut octets = encode_meta(&letter);
        let at = at.index(octets.len());
        octets[at] = octet;
        let _ = decode_meta(letter.id, &octets);
        let _ = decode_meta(letter.id, &octets[..at]);
    }

    #[test]
    fn an_identifier_is_read_as_it_was_written(id in any::<u64>(), other in any::<u64>()) {
        let (text, other_text) = (QueueId(id).to_string(), QueueId(other).to_string());
        prop_assert_eq!(text.len(), 13);
        prop_assert_eq!(text.parse(), Ok(QueueId(id)));
        prop_assert_eq!(text.to_ascii_uppercase().parse(), Ok(QueueId(id)));
        prop_assert_eq!(text.cmp(&other_text), id.cmp(&other));
    }

    #[test]
    fn no_text_makes_the_identifier_panic(text in "\\PC{0,15}") {
        let _ = text.parse::<QueueId>();
    }
}

#[test]
fn an_identifier_beyond_64_bits_is_refused() {
    assert_eq!("fzzzzzzzzzzzz".parse(), Ok(QueueId(u64::MAX)));
    assert_eq!("g000000000000".parse::<QueueId>(), Err(BadQueueId));
    assert_eq!("000000000000u".parse::<QueueId>(), Err(BadQueueId));
}

#[test]
fn another_version_is_named() {
    assert_eq!(decode_state(&[9, 0, 0]), Err(DecodeError::Version(9)));
    assert_eq!(decode_state(&[]), Err(DecodeError::Truncated));
    assert_eq!(decode_state(&[1, 0, 0, 0]), Err(DecodeError::Trailing));
}

#[test]
fn a_recipient_that_is_not_there_was_told_nothing() {
    // No replies, no recipients, no hold, no time held, no redirect, and recipient 0 was told.
    assert_eq!(decode_state(&[2, 0, 0, 0, 0, 0, 1, 0]), Err(DecodeError::BadTag));
    assert_eq!(decode_state(&[2, 0, 0, 0, 0, 0, 0]), Ok(Course::default()));
}

#[test]
fn a_huge_count_takes_no_memory() {
    let mut octets = vec![1];
    octets.extend([0xff; 9]);
    octets.push(1);
    assert_eq!(decode_state(&octets), Err(DecodeError::Truncated));
}

/// A letter of a program that knew nothing of extras, octet for octet; and the same letter with them.
#[test]
fn a_letter_of_version_1_is_still_read() {
    let old: &[u8] = b"\x01\xe8\x07\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01a\0\x09b.example\0\0";
    let mut letter = decode_meta(QueueId(5), old).unwrap();
    assert_eq!((letter.arrived, letter.size, letter.recipients.len()), (Timestamp(1_000), 7, 1));
    assert_eq!((letter.params.clone(), letter.bulk), (MailParams::default(), false));
    assert_eq!(encode_meta(&letter), old, "what has no extras is written as before");

    letter.params.hold = Some(Hold::For(2));
    letter.params.mt_priority = Some(-9);
    letter.bulk = true;
    let new = encode_meta(&letter);
    assert_eq!((new[0], &new[1..old.len()], &new[old.len()..]), (2, &old[1..], &b"\x01\0\x01\x02\x01\0"[..]));
    assert_eq!(decode_meta(QueueId(5), &new), Ok(letter));
    assert_eq!(decode_meta(QueueId(5), &[&[3], &old[1..]].concat()), Err(DecodeError::Version(3)));
    assert_eq!(decode_meta(QueueId(5), &[old, b"\0"].concat()), Err(DecodeError::Trailing));
    assert_eq!(decode_meta(QueueId(5), &[&new[..new.len() - 1], b"\x13"].concat()), Err(DecodeError::BadTag));
}

#[test]
fn a_letter_never_tried_is_due_at_its_arrival() {
    let letter = Letter {
        id: QueueId(5),
        arrived: Timestamp(1_000),
        from: ReversePath::Null,
        params: MailParams::default(),
        recipients: vec![Recipient::new("a@b.example".parse().unwrap(), RcptParams::default())],
        size: 7,
        origin: Origin::default(),
        bulk: false,
        tls_optional: false,
    };
    let (read, course) = decode(letter.id, &encode_meta(&letter), &[]).unwrap();
    assert_eq!(read, letter);
    assert_eq!(course.states[0].due, Timestamp(1_000));
    let error = decode(letter.id, &encode_meta(&letter), &encode_state(&Course::default())).unwrap_err();
    assert_eq!(error, DecodeError::Mismatch { meta: 1, state: 0 });
}
