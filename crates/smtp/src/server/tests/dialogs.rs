//! The dialogs of testdata/dialogs; their README.md says how they are written.

use std::fs;
use std::path::Path;

use proptest::prelude::Rng;
use proptest::test_runner::TestRng;

use super::peer::{Peer, accept_all, config, lmtp, submission};
use crate::reply::{Reply, ReplyCode};
use crate::server::{Answer, BareNewline, Question, ServerConfig};

struct Dialog {
    name: String,
    config: ServerConfig,
    tls: bool,
    answers: Vec<Rule>,
    steps: Vec<Step>,
}

#[derive(Clone)]
struct Rule {
    phase: String,
    about: String,
    reply: Reply,
}

enum Step {
    Client(Vec<u8>),
    Server(Vec<String>),
    Handshake,
    Closed,
    Letter(Vec<u8>),
}

fn parse(path: &Path) -> Dialog {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap();
    assert!(text.starts_with("# "), "{name} does not say what it proves");
    let mut dialog = Dialog { name, config: config(), tls: false, answers: Vec::new(), steps: Vec::new() };
    for line in text.lines() {
        let (mark, rest) = line.split_at(line.len().min(2));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match mark {
            "" | "# " => {}
            ": " => dialog.direct(rest),
            "C:" => dialog.client([&unescape(rest), b"\r\n".as_slice()].concat()),
            "C=" => dialog.client(unescape(rest)),
            "S:" => match dialog.steps.last_mut() {
                Some(Step::Server(lines)) => lines.push(rest.to_owned()),
                _ => dialog.steps.push(Step::Server(vec![rest.to_owned()])),
            },
            "M:" => {
                let octets = [&unescape(rest), b"\r\n".as_slice()].concat();
                match dialog.steps.last_mut() {
                    Some(Step::Letter(letter)) => letter.extend(octets),
                    _ => dialog.steps.push(Step::Letter(octets)),
                }
            }
            "T:" => dialog.steps.push(Step::Handshake),
            "X:" => dialog.steps.push(Step::Closed),
            _ => panic!("{}: {line}", dialog.name),
        }
    }
    dialog
}

impl Dialog {
    fn direct(&mut self, directive: &str) {
        let words: Vec<&str> = directive.split(' ').collect();
        match words[..] {
            ["profile", "smtp"] => self.config = config(),
            ["profile", "submission"] => self.config = submission(),
            ["profile", "lmtp"] => self.config = lmtp(),
            ["tls"] => self.tls = true,
            ["starttls"] => self.config.starttls = true,
            ["normalize"] => self.config.bare_newline = BareNewline::Normalize,
            ["limit", name, figure] => self.limit(name, figure),
            ["answer", phase, about, ref reply @ ..] => {
                self.answers.push(Rule { phase: phase.into(), about: about.into(), reply: reply_of(&reply.join(" ")) });
            }
            _ => panic!("{}: {directive}", self.name),
        }
    }

    fn limit(&mut self, name: &str, figure: &str) {
        let limits = &mut self.config.limits;
        match name {
            "recipients" => limits.recipients = figure.parse().unwrap(),
            "messages" => limits.messages = figure.parse().unwrap(),
            "message_size" => limits.message_size = figure.parse().unwrap(),
            "highest_priority" => limits.highest_priority = figure.parse().unwrap(),
            "command_line" => limits.command_line = figure.parse().unwrap(),
            _ => panic!("{}: limit {name}", self.name),
        }
    }

    fn client(&mut self, octets: Vec<u8>) {
        match self.steps.last_mut() {
            Some(Step::Client(sent)) => sent.extend(octets),
            _ => self.steps.push(Step::Client(octets)),
        }
    }

    fn peer(&self) -> Peer {
        let rules = self.answers.clone();
        let mut otherwise = accept_all();
        let policy = Box::new(move |question: &Question| {
            let (phase, about) = subject(question);
            let rule = rules.iter().find(|r| r.phase == phase && (r.about == "*" || r.about == about));
            rule.map_or_else(|| otherwise(question), |rule| Answer::Reply(rule.reply.clone()))
        });
        if self.tls { Peer::with_tls(self.config.clone(), policy) } else { Peer::new(self.config.clone(), policy) }
    }

    /// `cuts` gives where the octets of one turn of the client are cut.
    fn play(&self, mut cuts: impl FnMut(usize) -> Vec<usize>) {
        let mut peer = self.peer();
        let mut letters = 0;
        for step in &self.steps {
            match step {
                Step::Client(octets) => peer.send_cut(octets, &cuts(octets.len())),
                Step::Server(wanted) => self.compare(wanted, &peer.take()),
                Step::Handshake => peer.handshake(),
                Step::Closed => assert!(peer.closed, "{}: not closed", self.name),
                Step::Letter(wanted) => {
                    let letter = peer.letters.get(letters).unwrap_or_else(|| panic!("{}: no letter", self.name));
                    assert_eq!(letter.escape_ascii().to_string(), wanted.escape_ascii().to_string(), "{}", self.name);
                    letters += 1;
                }
            }
        }
        assert_eq!(peer.take(), "", "{}: more was said", self.name);
        assert_eq!(peer.letters.len(), letters, "{}: a letter is not in the dialog", self.name);
    }

    fn compare(&self, wanted: &[String], said: &str) {
        let lines: Vec<&str> = said.split_terminator("\r\n").collect();
        let fits = |(line, wanted): (&&str, &String)| match wanted.strip_suffix('…') {
            Some(start) => line.starts_with(start),
            None => *line == wanted,
        };
        let same = lines.len() == wanted.len() && lines.iter().zip(wanted).all(fits);
        assert!(same, "{}\nwanted:\n{}\nsaid:\n{}", self.name, wanted.join("\n"), lines.join("\n"));
    }
}

fn subject(question: &Question) -> (&'static str, String) {
    match question {
        Question::Connect => ("connect", String::new()),
        Question::Helo { host, .. } => ("helo", host.to_string()),
        Question::Auth(_) => ("auth", String::new()),
        Question::Mail { from, .. } => ("mail", from.to_string()),
        Question::Rcpt { to, .. } => ("rcpt", to.to_string()),
        Question::Data => ("data", String::new()),
        Question::Message => ("message", String::new()),
        Question::Vrfy(user) => ("vrfy", user.clone()),
    }
}

fn reply_of(text: &str) -> Reply {
    let (code, rest) = text.split_once(' ').unwrap();
    let (enhanced, text) = crate::EnhancedCode::parse_prefix(rest).unwrap();
    Reply::from_peer(ReplyCode::new(code.parse().unwrap()), Some(enhanced), text)
}

fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'\\' => match rest.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b'0' => 0,
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
            other => other,
        });
    }
    octets
}

#[test]
fn every_dialog_holds_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dialogs");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "smtp"));
    paths.sort();
    assert!(paths.len() >= 16, "dialogs are missing");
    let mut random = TestRng::deterministic_rng(Default::default());
    for path in paths {
        let dialog = parse(&path);
        dialog.play(|_| Vec::new());
        dialog.play(|len| (1..len).collect());
        for _ in 0..50 {
            dialog.play(|len| {
                let mut cuts: Vec<usize> = (0..3).map(|_| random.next_u32() as usize % (len + 1)).collect();
                cuts.sort_unstable();
                cuts
            });
        }
    }
}
