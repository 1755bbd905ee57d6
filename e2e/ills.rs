//! Next hops with every ill at every stage, all at once: what becomes of each recipient, and of everybody else meanwhile.
//!
//! Each case is a sink of its own that is ill once and well from then on. The records say what the first attempt made of it;
//! the sinks say what arrived in the end, and how often.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use harness::{House, Ill, Profile, Program, Sink, Stage, wait_until};
use serde_json::Value;

use crate::{ANNA, from_anna, house, on_relay};

/// Longer than any answer that comes at all, on a busy machine.
const PATIENCE: &str = "4s";
const FLOOD: usize = 10 * 1024 * 1024;
/// What the program may need for all of it at once, in octets: far less than what is thrown at it.
const MEMORY: u64 = 250 << 20;
const TIME: Duration = Duration::from_secs(75);

/// How the sink is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Pipelined,
    OneByOne,
    Chunked,
    Lmtp,
    Tls,
}

/// What the first attempt makes of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Delivered,
    /// With these words.
    Deferred(&'static str),
    /// With this status.
    Failed(&'static str),
    /// One or the other, as the replies fall into reads.
    Either(&'static str),
}
use Fate::{Deferred, Delivered, Either, Failed};

/// One kind of trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    name: &'static str,
    ill: Ill,
}

struct Case {
    name: String,
    domain: String,
    sink: Sink,
    fates: [Fate; 2],
    /// The program was never told that the letter had arrived: it may come again.
    unseen: [bool; 2],
}

const TIMEOUT: &str = "in time";
const LOST: &str = "lost|closed the connection";
const BROKEN: &str = "broke the";

fn troubles() -> Vec<Trouble> {
    let say = |text: &str| Ill::Say(text.to_owned());
    let raw = |octets: &[u8]| Ill::Raw(octets.to_vec());
    [
        ("421", say("421 4.3.2 the sink goes down")),
        ("450", say("450 4.2.0 the sink is busy")),
        ("451", say("451 4.3.0 the sink is ill")),
        ("550", say("550 5.7.1 the sink says never")),
        ("stall", Ill::Stall),
        ("late", Ill::Late),
        ("close", Ill::Close),
        ("close within", Ill::CloseWithin),
        ("close behind", Ill::CloseBehind),
        ("drip", Ill::Drip),
        ("10 MB in a line", Ill::LongLine(FLOOD)),
        ("10 MB in lines", Ill::ManyLines(FLOOD)),
        ("binary", raw(b"\x00\xff\x80\x16\x03\x01\x1b[2J\r\n")),
        ("no digits", raw(b"2x0 2.0.0 nearly\r\n")),
        ("no line end", raw(b"250 2.0.0 and now?")),
        ("codes that change", raw(b"250-2.0.0 one\r\n354-two\r\n220 three\r\n")),
        ("twice", Ill::Twice),
    ]
    .into_iter()
    .map(|(name, ill)| Trouble { name, ill })
    .collect()
}

/// Where it hits; `true`: it is about the second recipient.
fn places() -> Vec<(Wire, Stage, bool)> {
    let mut all = Vec::new();
    for wire in [Wire::Pipelined, Wire::OneByOne, Wire::Chunked, Wire::Lmtp] {
        for stage in [Stage::Greeting, Stage::Hello, Stage::Mail, Stage::Data, Stage::End, Stage::Rset, Stage::Quit] {
            if wire != Wire::Chunked || stage != Stage::Data {
                all.push((wire, stage, false));
            }
        }
        all.extend([(wire, Stage::Rcpt, false), (wire, Stage::Rcpt, true)]);
    }
    all.extend([(Wire::Lmtp, Stage::End, true), (Wire::Tls, Stage::StartTls, false)]);
    all
}

/// What the first attempt makes of both recipients.
fn fates(wire: Wire, stage: Stage, second: bool, trouble: &Trouble) -> [Fate; 2] {
    let both = |fate| [fate, fate];
    let one = |fate| if second { [Delivered, fate] } else { [fate, Delivered] };
    // A reply too many or too few shifts those of the group: RSET, or all before BDAT, whose reply looks like the others.
    let shifts = trouble.ill == Ill::Twice || trouble.name == "no line end";
    if shifts && (stage == Stage::Rset || (wire == Wire::Chunked && matches!(stage, Stage::Mail | Stage::Rcpt))) {
        return both(Either("in time|broke the"));
    }
    // Behind the letter, and where TLS is only welcome, nothing matters.
    if matches!(stage, Stage::Quit | Stage::StartTls | Stage::Rset) || trouble.ill == Ill::Drip {
        return both(Delivered);
    }
    let per_recipient = wire == Wire::Lmtp && stage == Stage::End;
    match &trouble.ill {
        Ill::Say(reply) if reply.starts_with("421") => match (per_recipient, second) {
            (true, true) => one(Deferred("goes down")),
            _ => both(Deferred("goes down")),
        },
        Ill::Say(reply) => {
            let fate = match reply.get(..3) {
                Some("550") => Failed("5.7.1"),
                Some("450") => Deferred("is busy"),
                _ => Deferred("is ill"),
            };
            match (stage, fate) {
                // A server that knows no EHLO is greeted with HELO; there is no such thing in LMTP.
                (Stage::Hello, Failed(_)) if wire != Wire::Lmtp => both(Delivered),
                (Stage::Greeting | Stage::Hello, Failed(_)) => both(Deferred("says never")),
                (Stage::Rcpt, fate) => one(fate),
                (_, fate) if per_recipient => one(fate),
                (_, fate) => both(fate),
            }
        }
        Ill::CloseBehind if per_recipient && !second => [Delivered, Deferred(LOST)],
        // It runs into the reply to the second.
        Ill::Raw(octets) if per_recipient && !second && !octets.ends_with(b"\n") => [Delivered, Deferred(TIMEOUT)],
        Ill::CloseBehind | Ill::Twice if stage == Stage::End => both(Delivered),
        ill => {
            let why = match ill {
                Ill::Stall | Ill::Late => TIMEOUT,
                Ill::Close | Ill::CloseWithin | Ill::CloseBehind => LOST,
                Ill::Raw(octets) if !octets.ends_with(b"\n") => "in time|broke the",
                _ => BROKEN,
            };
            if per_recipient && second { one(Deferred(why)) } else { both(Deferred(why)) }
        }
    }
}

/// Whether the sink has the letter though nobody could know: it was not told, or not to whom it concerns.
fn is_unseen(stage: Stage, place: usize, fate: Fate, trouble: &Trouble) -> bool {
    let told = matches!(trouble.ill, Ill::Say(_)) && (place == 0 || trouble.name != "421");
    stage == Stage::End && matches!(fate, Deferred(_)) && !told
}

fn cases(house: &House) -> Vec<Case> {
    let mut all = Vec::new();
    for (wire, stage, second) in places() {
        for trouble in troubles() {
            let domain = format!("c{}.test", all.len());
            let builder = match wire {
                Wire::Pipelined => Sink::builder(),
                Wire::OneByOne => Sink::builder().offer(&["8BITMIME", "ENHANCEDSTATUSCODES"]),
                Wire::Chunked => Sink::builder().offer(&["PIPELINING", "CHUNKING", "8BITMIME"]),
                Wire::Lmtp => Sink::builder().lmtp(),
                Wire::Tls => Sink::builder().start_tls(house.ca().leaf(&["localhost"]).server()),
            };
            let sink = builder.start();
            let about = match stage {
                Stage::Rcpt | Stage::End if second => "two@",
                Stage::Rcpt | Stage::End => "one@",
                _ => "",
            };
            sink.ail(stage, about, trouble.ill.clone(), 1);
            // RSET is said behind a letter of which nothing came.
            sink.answer(Stage::Rcpt, "nobody@", "550 5.1.1 nobody", 100);
            let fates = fates(wire, stage, second, &trouble);
            let unseen = [0, 1].map(|place| is_unseen(stage, place, fates[place], &trouble));
            let place = if second { " of the second" } else { "" };
            let name = format!("{wire:?} {stage:?}{place}: {}", trouble.name);
            all.push(Case { name, domain, sink, fates, unseen });
        }
    }
    all
}

fn program(cases: &[Case], house: House) -> Program {
    let house = cases.iter().fold(house, |house, case| {
        let kind = if case.name.starts_with("Lmtp") { "lmtp:" } else { "" };
        let tls = if case.name.starts_with("Tls") { "opportunistic" } else { "none" };
        house.route_with(&case.domain, &format!("to = \"{kind}{}\"\ntls = \"{tls}\"", case.sink.address()))
    });
    let times = ["connect", "tls", "greeting", "ehlo", "mail", "rcpt", "data_start", "data_block", "data_end", "quit"];
    let house =
        times.iter().fold(house, |house, name| house.set("delivery.timeout", &format!("{name} = \"{PATIENCE}\"")));
    house.set("delivery", "idle = \"2s\"").start()
}

#[test]
fn whatever_a_next_hop_does_nothing_is_lost_or_doubled_and_nobody_else_waits() {
    let healthy = Sink::start();
    let house = house()
        .listen(Profile::Relay)
        .relay_from_loopback()
        .local("example.test", &["anna"])
        .retry(&["0s", "1s"])
        .route("healthy.test", healthy.address());
    let cases = cases(&house);
    let program = program(&cases, house);
    let begun = Instant::now();
    let mut client = on_relay(&program);
    for case in &cases {
        if case.name.contains("Rset") {
            let nobody = format!("nobody@{}", case.domain);
            client.deliver("", &[&nobody], &from_anna(&nobody, "refused"));
            let refused = |text: &str| text.lines().any(|line| line.contains(&nobody) && line.contains("\"failed\""));
            wait_until(Duration::from_secs(10), "the refusal", || refused(&records_text(&program)));
        }
        let to = [format!("one@{}", case.domain), format!("two@{}", case.domain)];
        let reply = client.deliver(ANNA, &[&to[0], &to[1]], &from_anna(&to[0], &case.domain));
        assert_eq!(reply.code, 250, "{}: {reply}", case.name);
        // While half the sinks stall, others get their letters at once.
        if case.domain.ends_with("0.test") {
            let (asked, before) = (Instant::now(), healthy.count());
            client.deliver(ANNA, &["x@healthy.test"], &from_anna("x@healthy.test", "meanwhile"));
            wait_until(Duration::from_secs(5), "a letter for another site", || healthy.count() > before);
            assert!(asked.elapsed() < Duration::from_secs(3), "{:?} for another site", asked.elapsed());
        }
    }
    wait_until(TIME, "everything to have its end", || rows(&program) == 0);
    println!("{} cases in {:?}, at most {} MB", cases.len(), begun.elapsed(), program.resident_peak() >> 20);
    assert!(program.resident_peak() < MEMORY, "{} octets of memory", program.resident_peak());
    // Records and reports come a moment later.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (told, reports) = (told(&program), reports(&program));
        let wrong: Vec<String> = cases.iter().flat_map(|case| what_is_wrong(case, &told, &reports)).collect();
        if wrong.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// About whom anna got reports, each as often as she did.
fn reports(program: &Program) -> Vec<String> {
    let letters = program.maildir(ANNA).letters();
    let texts = letters.iter().map(|letter| String::from_utf8_lossy(letter));
    let about = texts.flat_map(|text| {
        let lines = text.lines().filter_map(|line| line.strip_prefix("Final-Recipient: rfc822;").map(str::trim));
        lines.map(str::to_owned).collect::<Vec<_>>()
    });
    about.collect()
}

fn rows(program: &Program) -> usize {
    program.queue().as_array().map_or(usize::MAX, Vec::len)
}

fn records_text(program: &Program) -> String {
    std::fs::read_to_string(program.house.data().join("records/records.jsonl")).unwrap_or_default()
}

/// What was recorded of each recipient, in order: the event and the reply.
fn told(program: &Program) -> HashMap<String, Vec<(String, String)>> {
    let mut told: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for line in records_text(program).lines() {
        let record: Value = serde_json::from_str(line).expect("a record");
        let event = record["event"].as_str().unwrap_or_default();
        if !matches!(event, "delivered" | "deferred" | "failed" | "expired") {
            continue;
        }
        for to in record["to"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let reply = &record["reply"];
            let words =
                format!("{} {} {}", reply["code"], reply["enhanced"].as_str().unwrap_or_default(), reply["text"]);
            told.entry(to.to_owned()).or_default().push((event.to_owned(), words));
        }
    }
    told
}

/// What of this case is not as the table says.
fn what_is_wrong(case: &Case, told: &HashMap<String, Vec<(String, String)>>, reports: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, name) in ["one", "two"].into_iter().enumerate() {
        let to = format!("{name}@{}", case.domain);
        let events = told.get(&to).cloned().unwrap_or_default();
        let copies = case.sink.look(|letters| letters.iter().filter(|l| l.to.contains(&format!("<{to}>"))).count());
        let reported = reports.iter().filter(|about| **about == to).count();
        let names: Vec<&str> = events.iter().map(|(event, _)| event.as_str()).collect();
        let has_words = |any: &str| events.first().is_some_and(|(_, said)| any.split('|').any(|w| said.contains(w)));
        let failed = usize::from(matches!(case.fates[at], Failed(_)));
        let most = 1 - failed + usize::from(case.unseen[at]);
        let late = |words| names == ["deferred", "delivered"] && has_words(words);
        let right = match case.fates[at] {
            Delivered => names == ["delivered"],
            Deferred(words) => late(words),
            Either(words) => names == ["delivered"] || late(words),
            Failed(status) => names == ["failed"] && has_words(status),
        };
        if !right || reported != failed || !(1 - failed..=most).contains(&copies) {
            let fate = case.fates[at];
            wrong.push(format!("{}, {name}: {fate:?}, {copies} copies, {reported} reports, {events:?}", case.name));
        }
    }
    wrong
}
