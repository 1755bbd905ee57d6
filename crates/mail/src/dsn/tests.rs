//! Reports as files, and the law that a reader finds in a report what was put in.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use smtp::ReplyCode;

use super::*;
use crate::header::fields;

/// What a case's file says; one line each, `key value`.
#[derive(Default)]
struct Case {
    to: Option<Mailbox>,
    envid: Option<String>,
    ret: Option<Ret>,
    smtputf8: bool,
    written: u64,
    size: Option<u64>,
    deliver_by: Option<u64>,
    recipients: Vec<CaseRecipient>,
}

struct CaseRecipient {
    address: Mailbox,
    original: Option<OriginalRecipient>,
    action: Action,
    status: EnhancedCode,
    remote: Option<String>,
    reply: Option<Reply>,
    last_attempt: Option<u64>,
    until: Option<u64>,
    advice: Option<String>,
}

const ARRIVED: u64 = 1_795_470_566_000;

impl Case {
    fn read(folder: &Path) -> Self {
        let mut case = Self { written: ARRIVED + 60_000, ..Self::default() };
        for line in fs::read_to_string(folder.join("case")).unwrap().lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            case.set(key, value);
        }
        case
    }

    fn set(&mut self, key: &str, value: &str) {
        let minutes = || ARRIVED + 60_000 * value.parse::<u64>().unwrap();
        match key {
            "to" => self.to = Some(value.parse().unwrap()),
            "envid" => self.envid = Some(value.into()),
            "ret" => self.ret = Some(if value == "hdrs" { Ret::Headers } else { Ret::Full }),
            "smtputf8" => self.smtputf8 = true,
            "written" => self.written = minutes(),
            "size" => self.size = Some(value.parse().unwrap()),
            "by" => self.deliver_by = Some(minutes()),
            "recipient" => self.recipients.push(CaseRecipient::new(value)),
            _ => {}
        }
        let Some(recipient) = self.recipients.last_mut() else { return };
        match key {
            "original" => recipient.original = value.split_once(';').map(|(t, a)| original(t, a)),
            "action" => recipient.action = action(value),
            "status" => recipient.status = EnhancedCode::parse_prefix(value).unwrap().0,
            "remote" => recipient.remote = Some(value.into()),
            "reply" => recipient.reply = Some(reply(value)),
            "last-attempt" => recipient.last_attempt = Some(minutes()),
            "until" => recipient.until = Some(minutes()),
            "advice" => recipient.advice = Some(value.into()),
            _ => {}
        }
    }

    fn write(&self, letter: &[u8]) -> (Vec<u8>, bool) {
        let recipients: Vec<RecipientReport<'_>> = self.recipients.iter().map(CaseRecipient::report).collect();
        let report = Report {
            reporting_mta: "mx.example.com",
            to: self.to.as_ref().unwrap(),
            message_id: "<4ryzh2t6n0c5v8k1q9w3e7xmbd@mx.example.com>",
            written: self.written,
            arrived: ARRIVED,
            queue_id: "0000000000abc",
            envid: self.envid.as_deref(),
            ret: self.ret,
            smtputf8: self.smtputf8,
            deliver_by: self.deliver_by,
            original: Original { beginning: letter, size: self.size.unwrap_or(letter.len() as u64) },
            recipients: &recipients,
        };
        (report.write(), report.needs_smtputf8())
    }
}

impl CaseRecipient {
    fn new(address: &str) -> Self {
        Self {
            address: address.parse().unwrap(),
            original: None,
            action: Action::Failed,
            status: EnhancedCode::new(5, 0, 0),
            remote: None,
            reply: None,
            last_attempt: None,
            until: None,
            advice: None,
        }
    }

    fn report(&self) -> RecipientReport<'_> {
        RecipientReport {
            original: self.original.as_ref(),
            address: &self.address,
            action: self.action,
            status: self.status,
            remote: self.remote.as_deref(),
            reply: self.reply.as_ref(),
            last_attempt: self.last_attempt,
            will_retry_until: self.until,
            advice: self.advice.as_deref(),
        }
    }
}

fn original(address_type: &str, address: &str) -> OriginalRecipient {
    OriginalRecipient { address_type: address_type.into(), address: address.into() }
}

fn action(word: &str) -> Action {
    let all = [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed, Action::Expanded];
    all.into_iter().find(|action| action.word() == word).expect(word)
}

/// `550 5.1.1 text`, with `\n` between lines.
fn reply(text: &str) -> Reply {
    let (code, rest) = text.split_once(' ').unwrap();
    let code = ReplyCode::from_wire(code.parse().unwrap()).unwrap();
    let (enhanced, rest) = EnhancedCode::parse_prefix(rest).map_or((None, rest), |(code, rest)| (Some(code), rest));
    Reply::from_peer(code, enhanced, &rest.replace("\\n", "\n"))
}

fn folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dsn");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Each folder has `case`, `original.eml`, `about` (one line: what it proves) and `report.eml`. Where they differ the test
/// leaves `report.got.eml` beside it: look at the difference, then copy.
#[test]
fn reports_are_written_as_their_folders_say() {
    let mut wrong = Vec::new();
    for folder in folders() {
        let (got, _) = Case::read(&folder).write(&fs::read(folder.join("original.eml")).unwrap());
        let _ = fs::remove_file(folder.join("report.got.eml"));
        if fs::read(folder.join("report.eml")).unwrap_or_default() != got {
            fs::write(folder.join("report.got.eml"), &got).unwrap();
            wrong.push(folder);
        }
        check_form(&got);
    }
    assert!(wrong.is_empty(), "differ: {wrong:?}");
    assert!(folders().len() >= 10);
}

#[test]
fn a_reader_finds_what_was_put_into_each_folder() {
    for folder in folders() {
        let letter = fs::read(folder.join("original.eml")).unwrap();
        let case = Case::read(&folder);
        let (written, utf8) = case.write(&letter);
        let read = read(&written);
        assert_eq!(read.types.len(), 3, "{folder:?}");
        assert_eq!(read.types[1].contains("global"), utf8, "{folder:?}");
        assert_eq!(read.recipients.len(), case.recipients.len());
        for (fields, recipient) in read.recipients.iter().zip(&case.recipients) {
            let value = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
            assert_eq!(value("Action"), Some(recipient.action.word()));
            assert_eq!(value("Status"), Some(recipient.status.to_string().as_str()));
            assert_eq!(value("Final-Recipient").unwrap().split(';').next(), Some(kind(&recipient.address)));
            assert_eq!(value("Original-Recipient").is_some(), recipient.original.is_some());
            let remote = recipient.remote.as_ref().map(|remote| format!("dns; {remote}"));
            assert_eq!(value("Remote-MTA"), remote.as_deref());
        }
        if read.types[2].starts_with("message/rfc822") || read.types[2].trim_end().ends_with("global") {
            assert_eq!(read.returned, letter, "{folder:?}");
        }
    }
}

fn kind(address: &Mailbox) -> &'static str {
    if address.is_ascii() { "rfc822" } else { "utf-8" }
}

/// What any server may ask of a letter.
fn check_form(letter: &[u8]) {
    for line in letter.split_inclusive(|b| *b == b'\n') {
        let content = line.strip_suffix(b"\r\n").expect("each line ends with CR LF");
        assert!(content.len() <= 998 && !content.iter().any(|b| matches!(b, b'\r' | 0)));
    }
    let utf8 = letter.windows(20).any(|w| w == b"message/global-deliv");
    assert!(utf8 || letter.is_ascii());
    let count = |name: &str| fields(letter).filter(|field| field.is(name)).count();
    for name in ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"] {
        assert_eq!(count(name), 1, "{name}");
    }
}

/// A report, read by a reader that knows only the RFCs' rules.
struct Read {
    types: Vec<String>,
    recipients: Vec<Vec<(String, String)>>,
    returned: Vec<u8>,
}

fn read(letter: &[u8]) -> Read {
    let value = |block: &[u8], name: &str| {
        let field = fields(block).find(|field| field.is(name));
        field.map(|field| String::from_utf8(field.unfolded().into_owned()).unwrap()).unwrap_or_default()
    };
    let content_type = value(letter, "Content-Type");
    let boundary = content_type.split('"').nth(1).unwrap();
    let delimiter = format!("\r\n--{boundary}");
    let text = [b"\r\n", letter].concat();
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut rest = text.as_slice();
    while let Some(at) = memchr::memmem::find(rest, delimiter.as_bytes()) {
        parts.push(&rest[..at]);
        rest = &rest[at + delimiter.len()..];
    }
    assert_eq!(rest, b"--\r\n", "the report ends with its last boundary");
    let parts: Vec<&[u8]> = parts[1..].iter().map(|part| part.strip_prefix(b"\r\n").unwrap()).collect();
    let body = |part: &[u8]| {
        let at = memchr::memmem::find(part, b"\r\n\r\n").unwrap();
        part[at + 4..].to_vec()
    };
    Read {
        types: parts.iter().map(|part| value(part, "Content-Type")).collect(),
        recipients: blocks(&body(parts[1])).into_iter().skip(1).collect(),
        returned: body(parts[2]),
    }
}

/// RFC 3464 §2.1: groups of fields with empty lines between.
fn blocks(body: &[u8]) -> Vec<Vec<(String, String)>> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let groups = text.split("\r\n\r\n").filter(|group| !group.trim().is_empty());
    groups
        .map(|group| {
            let block = format!("{group}\r\n");
            let count = block.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with(' ')).count();
            let read: Vec<(String, String)> = fields(block.as_bytes())
                .map(|field| {
                    let value = String::from_utf8(field.unfolded().into_owned()).unwrap();
                    (String::from_utf8(field.name().to_vec()).unwrap(), value)
                })
                .collect();
            assert_eq!(read.len(), count, "every line is a field: {block}");
            read
        })
        .collect()
}

proptest! {
    #[test]
    fn no_words_and_no_letter_forge_a_report(
        words in ".{0,300}|(x{50}\r\n\r\n--=_report_4ryzh2t6n0c5v8k1q9w3e7xmbd){1,40}|x{3000}",
        remote in ".{0,40}",
        envid in ".{0,99}",
        original_address in ".{0,80}",
        letter in prop_oneof![any::<Vec<u8>>(), "(Subject: [a-z\u{e9} ]{0,90}\r\n|--=_report_4ryzh2t6n0c5v8k1q9w3e7xmbd(--)?\r\n|\r\n|x{990}){0,8}".prop_map(String::into_bytes)],
        local in "[a-zé \"@.]{1,30}",
        smtputf8 in any::<bool>(),
    ) {
        let address = Mailbox::new(smtp::LocalPart::from_dequoted(&local).unwrap(), "d.example".parse::<smtp::Domain>().unwrap());
        let case = Case {
            to: Some("user@example.com".parse().unwrap()),
            envid: Some(envid),
            smtputf8,
            written: ARRIVED,
            recipients: vec![CaseRecipient {
                address,
                original: Some(original("utf-8", &original_address)),
                remote: Some(remote),
                reply: Some(Reply::new(550, (5, 7, 1), "").with_text(words)),
                ..CaseRecipient::new("x@example.com")
            }],
            ..Case::default()
        };
        let (written, utf8) = case.write(&letter);
        check_form(&written);
        let read = read(&written);
        prop_assert_eq!(read.types.len(), 3);
        prop_assert_eq!(read.recipients.len(), 1);
        let names: Vec<&str> = read.recipients[0].iter().map(|(name, _)| name.as_str()).collect();
        prop_assert_eq!(names, ["Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code"]);
        let final_recipient = &read.recipients[0][1].1;
        let address = &case.recipients[0].address;
        if address.is_ascii() {
            prop_assert_eq!(final_recipient, &format!("rfc822; {address}"));
        } else if utf8 {
            prop_assert_eq!(final_recipient.starts_with("utf-8; "), true);
        }
    }
}
