//! What happens to a letter that cannot be delivered: tried again, given back with a report, told to the administrator.

use std::time::Duration;

use harness::maildir::contains;
use harness::{Client, FakeDns, House, Maildir, Profile, Program, Sink, Stage, free_port, wait_for, wait_until};

use crate::{ANNA, PASSWORD, from_anna, house, on_relay, relay_house};

/// Anna's letters come in by the relay port, her reports go to her Maildir.
fn with_anna() -> House {
    relay_house().local("example.test", &["anna"]).retry(&["0s", "1s"])
}

fn send(program: &Program, to: &str, mark: &str) {
    let reply = on_relay(program).deliver(ANNA, &[to], &from_anna(to, mark));
    assert_eq!(reply.code, 250, "{reply}");
}

fn reports(program: &Program) -> Maildir {
    program.maildir(ANNA)
}

/// Waits for the report about `to` and holds it against RFC 3464.
fn report_about(program: &Program, to: &str, status: &str) -> String {
    let bytes = reports(program).wait_for_letter(&format!("Final-Recipient: rfc822; {to}"));
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    for part in [
        "Return-Path: <>\n",
        "Content-Type: multipart/report",
        "report-type=delivery-status",
        "Content-Type: message/delivery-status",
        "Reporting-MTA: dns;mx.example.test",
        "Action: failed",
        "Auto-Submitted: auto-replied",
    ] {
        assert!(text.replace("dns; ", "dns;").contains(part), "{part:?} is not in the report:\n{text}");
    }
    assert!(text.contains(&format!("Status: {status}")), "Status: {status} in\n{text}");
    text
}

#[test]
fn a_temporary_failure_is_tried_again() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "x@", "450 4.2.1 come back later", 2);
    let program = with_anna().route("*", sink.address()).start();
    send(&program, "x@b.test", "patience");
    assert!(sink.wait_for(1)[0].contains("patience"));
    assert_eq!(reports(&program).letters().len(), 0);
}

#[test]
fn a_failure_at_any_stage_is_tried_again() {
    for (stage, reply) in [
        (Stage::Greeting, "421 4.3.2 closed"),
        (Stage::Mail, "451 4.3.0 trouble"),
        (Stage::Data, "451 4.3.0 trouble"),
        (Stage::End, "452 4.3.1 full"),
        (Stage::Data, ""),
        (Stage::End, ""),
    ] {
        let sink = Sink::start();
        sink.answer(stage, "", reply, 1);
        let program = with_anna().route("*", sink.address()).start();
        send(&program, "x@b.test", "again");
        wait_until(Duration::from_secs(20), &format!("a second attempt after {stage:?} {reply:?}"), || {
            sink.look(|letters| letters.iter().any(|letter| letter.contains("again")))
        });
    }
}

#[test]
fn only_the_recipients_that_failed_are_tried_again() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "late@", "450 4.2.1 later", 1);
    sink.answer(Stage::Rcpt, "never@", "550 5.1.1 nobody of that name", 100);
    let program = with_anna().route("*", sink.address()).start();
    let to = ["now@b.test", "late@b.test", "never@b.test"];
    on_relay(&program).deliver(ANNA, &to, &from_anna(to[0], "split"));
    report_about(&program, "never@b.test", "5.1.1");
    wait_until(Duration::from_secs(20), "late", || {
        sink.look(|letters| letters.iter().any(|letter| letter.to.contains(&"<late@b.test>".to_owned())))
    });
    let all: Vec<String> = sink.letters().into_iter().flat_map(|letter| letter.to).collect();
    assert_eq!(all.iter().filter(|to| *to == "<now@b.test>").count(), 1, "{all:?}");
}

#[test]
fn a_permanent_failure_is_reported_in_the_servers_own_words() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "x@", "550 5.1.1 nobody of that name lives here", 1);
    let program = with_anna().route("*", sink.address()).start();
    send(&program, "x@b.test", "given-back");
    let text = report_about(&program, "x@b.test", "5.1.1");
    assert!(text.contains("Diagnostic-Code: smtp; 550 5.1.1 nobody of that name lives here"), "{text}");
    assert!(text.contains("Subject: given-back"), "the letter's own header is missing:\n{text}");
}

#[test]
fn a_report_is_never_reported() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "", "550 5.1.1 nobody", 100);
    let program = with_anna().route("*", sink.address()).start();
    let mut client = on_relay(&program);
    client.deliver("", &["x@b.test"], &from_anna("x@b.test", "from-nobody"));
    send(&program, "y@b.test", "from-anna");
    report_about(&program, "y@b.test", "5.1.1");
    wait_until(Duration::from_secs(20), "an empty queue", || is_empty(&program));
    assert_eq!(reports(&program).letters().len(), 1);
}

fn is_empty(program: &Program) -> bool {
    rows(program).is_empty()
}

fn rows(program: &Program) -> Vec<serde_json::Value> {
    let queue = program.queue();
    queue.as_array().or_else(|| queue["letters"].as_array()).cloned().expect("a list of letters")
}

#[test]
fn who_wants_no_report_gets_none() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "", "550 5.1.1 nobody", 100);
    let program = with_anna().listen_with(Profile::Relay, "dsn = true").route("*", sink.address()).start();
    let mut client = Client::connect(program.house.addresses(Profile::Relay)[1]);
    client.hello();
    client.say(&format!("MAIL FROM:<{ANNA}>"), 250);
    client.say("RCPT TO:<x@b.test> NOTIFY=NEVER", 250);
    client.say("DATA", 354);
    client.send(b"Subject: quiet\r\n\r\nhi\r\n.\r\n");
    client.expect(250);
    send(&program, "y@b.test", "loud");
    report_about(&program, "y@b.test", "5.1.1");
    assert!(!reports(&program).has("x@b.test"));
}

#[test]
fn a_letter_is_given_up_in_the_end() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "", "450 4.2.1 never now", 1000);
    let program = with_anna().set("queue.retry", "give_up = \"3s\"").route("*", sink.address()).start();
    send(&program, "x@b.test", "too-long");
    let text = report_about(&program, "x@b.test", "4.");
    assert!(text.contains("never now"), "{text}");
    wait_until(Duration::from_secs(20), "an empty queue", || is_empty(&program));
}

#[test]
fn trouble_with_the_dns_defers() {
    let (dns, port) = (FakeDns::start(), free_port());
    let sink = Sink::builder().port(port).start();
    for domain in ["ill.test", "refused.test", "gone.test"] {
        dns.mx(domain, &[(10, "mx.test")]);
    }
    dns.a("mx.test", &["127.0.0.1"]);
    dns.serv_fail("ill.test");
    dns.refused("refused.test");
    dns.silent("gone.test");
    let program = with_anna().dns(dns.address()).set("dns", "timeout = \"1s\"").mx_port(port).start();
    for domain in ["ill.test", "refused.test", "gone.test"] {
        send(&program, &format!("x@{domain}"), &format!("dns-{domain}"));
    }
    for domain in ["ill.test", "refused.test", "gone.test"] {
        wait_until(Duration::from_secs(30), &format!("{domain} to be asked for"), || dns.was_asked(domain, "MX"));
    }
    wait_until(Duration::from_secs(30), "the words of all three", || {
        let queue = program.queue().to_string();
        queue.contains("ill.test") && queue.contains("refused.test") && queue.contains("gone.test")
    });
    assert_eq!(reports(&program).letters().len(), 0);
    for domain in ["ill.test", "refused.test", "gone.test"] {
        dns.heal(domain);
    }
    sink.wait_at_most(3, Duration::from_secs(60));
    assert_eq!(reports(&program).letters().len(), 0);
}

#[test]
fn a_domain_that_takes_no_mail_fails_at_once() {
    let dns = FakeDns::start();
    dns.null_mx("no-mail.test");
    let program = with_anna().dns(dns.address()).mx_port(free_port()).start();
    send(&program, "x@no-mail.test", "null-mx");
    // RFC 7505 §4.2
    report_about(&program, "x@no-mail.test", "5.1.10");
    send(&program, "x@no-such.test", "no-domain");
    report_about(&program, "x@no-such.test", "5.1.2");
}

#[test]
fn a_domain_that_leads_back_to_us_fails() {
    let dns = FakeDns::start();
    let house = with_anna().dns(dns.address());
    let port = house.address(Profile::Relay).port();
    dns.mx("circle.test", &[(10, harness::house::HOSTNAME)]);
    dns.a(harness::house::HOSTNAME, &["127.0.0.1"]);
    let program = house.mx_port(port).start();
    send(&program, "x@circle.test", "circle");
    report_about(&program, "x@circle.test", "5.4.6");
}

#[test]
fn a_letter_for_a_server_without_smtputf8_comes_back() {
    let sink = Sink::builder().offer(&["8BITMIME"]).start();
    let program = with_anna().route("*", sink.address()).start();
    let mut client = on_relay(&program);
    client.say(&format!("MAIL FROM:<{ANNA}> SMTPUTF8"), 250);
    client.say("RCPT TO:<用户@b.test>", 250);
    client.say("DATA", 354);
    client.send(b"Subject: utf8\r\n\r\nhi\r\n.\r\n");
    client.expect(250);
    // RFC 6531 §3.5
    let report = wait_for(Duration::from_secs(20), "a report", || reports(&program).letters().into_iter().next());
    assert!(contains(&report, "5.6.7"), "{}", String::from_utf8_lossy(&report));
    assert_eq!(sink.count(), 0);
}

#[test]
fn the_queue_tells_what_the_server_said() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "", "450 4.7.1 greylisted, come back in 5 minutes", 1000);
    let program = with_anna().retry(&["0s", "1h"]).route("*", sink.address()).start();
    send(&program, "x@b.test", "told");
    wait_until(Duration::from_secs(20), "its words in the queue", || {
        program.queue().to_string().contains("greylisted, come back in 5 minutes")
    });
    let row = rows(&program).remove(0);
    let id = row["id"].as_str().expect("an id").to_owned();
    let shown = program.house.run(&["queue", "show", &id], b"");
    assert!(shown.success(), "{shown}");
    for part in ["x@b.test", "greylisted, come back in 5 minutes", "4.7.1"] {
        assert!(shown.stdout.contains(part), "{part}: {shown}");
    }
    // Now, not in an hour.
    sink.relent();
    let retried = program.house.run(&["queue", "retry", &id], b"");
    assert!(retried.success(), "{retried}");
    assert!(sink.wait_for(1)[0].contains("told"));
    wait_until(Duration::from_secs(10), "an empty queue", || is_empty(&program));
}

#[test]
fn a_dropped_letter_is_gone() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "", "450 4.7.1 later", 1);
    let mut program = with_anna().retry(&["0s", "2s"]).route("*", sink.address()).start();
    send(&program, "x@b.test", "unwanted");
    wait_until(Duration::from_secs(20), "the letter to wait", || rows(&program).len() == 1 && sink.connections() > 0);
    let id = rows(&program)[0]["id"].as_str().expect("an id").to_owned();
    let dropped = program.house.run(&["queue", "drop", &id], b"");
    assert!(dropped.success(), "{dropped}");
    wait_until(Duration::from_secs(10), "an empty queue", || is_empty(&program));
    program.kill();
    program.restart();
    assert!(is_empty(&program));
    send(&program, "y@b.test", "wanted");
    sink.wait_for(1);
    assert!(sink.letters().iter().all(|letter| !letter.contains("unwanted\r\n") && letter.contains("wanted")));
}

#[test]
fn a_held_letter_waits_through_a_kill_and_leaves_when_it_is_released() {
    let sink = Sink::start();
    sink.answer(Stage::Rcpt, "", "450 4.7.1 later", 1);
    let mut program = with_anna().retry(&["0s", "1h"]).route("*", sink.address()).start();
    send(&program, "x@b.test", "patient");
    wait_until(Duration::from_secs(20), "the letter to wait", || rows(&program).len() == 1 && sink.connections() > 0);
    let run = |program: &Program, arguments: &[&str]| {
        let done = program.house.run(arguments, b"");
        assert!(done.success(), "{done}");
        done.stdout
    };
    assert!(run(&program, &["queue", "hold", "--domain", "b.test", "--dry-run"]).contains("would be held"));
    assert_ne!(rows(&program)[0]["standing"], "held");
    run(&program, &["queue", "hold", "--domain", "b.test", "--reason", "looks odd"]);
    program.kill();
    program.restart();
    let row = rows(&program).remove(0);
    assert_eq!((&row["standing"], &row["held"]["reason"]), (&"held".into(), &"looks odd".into()));
    assert!(run(&program, &["queue", "retry", "--all", "--json"]).contains("\"count\": 0"));
    run(&program, &["queue", "release", "--state", "held"]);
    run(&program, &["queue", "retry", "--all"]);
    assert!(sink.wait_for(1)[0].contains("patient"));
    wait_until(Duration::from_secs(10), "an empty queue", || is_empty(&program));
}

#[test]
fn a_submitter_hears_of_failures_too() {
    let sink = Sink::start();
    sink.answer(Stage::End, "", "554 5.6.0 not that", 1);
    let program = house()
        .listen_on_all()
        .local("example.test", &[])
        .account("anna", PASSWORD, &[ANNA])
        .route("*", sink.address())
        .start();
    let mut client = crate::as_anna(&program, Profile::Submission);
    client.deliver(ANNA, &["x@b.test"], &from_anna("x@b.test", "submitted"));
    let text = report_about(&program, "x@b.test", "5.6.0");
    assert!(text.contains("not that"), "{text}");
}
