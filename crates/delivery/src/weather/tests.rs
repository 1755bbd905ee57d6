use smtp::client::RecipientReply;

use super::*;
use crate::mx::Unroutable;

fn said(replies: &[(Stage, u16)]) -> Delivery {
    let reply = |(stage, code): &(Stage, u16)| RecipientReply {
        stage: *stage,
        reply: Reply::new(*code, ((code / 100) as u8, 0, 0), "words"),
    };
    Delivery { recipients: replies.iter().map(reply).collect() }
}

#[test]
fn refusals_of_recipients_and_letters_are_fine_weather() {
    for replies in [
        vec![(Stage::EndOfData, 250)],
        vec![(Stage::Rcpt, 550), (Stage::Rcpt, 450), (Stage::EndOfData, 250)],
        vec![(Stage::Rcpt, 450), (Stage::Rcpt, 451)],
        vec![(Stage::Mail, 550)],
        vec![(Stage::EndOfData, 451)],
    ] {
        assert_eq!(of_delivery(&said(&replies), &Ok(())), Weather::Fine, "{replies:?}");
    }
    let hung_up = Err(Closed::Disconnected(Stage::Mail));
    assert_eq!(of_delivery(&said(&[(Stage::EndOfData, 250)]), &hung_up), Weather::Fine);
    assert_eq!(of_delivery(&said(&[(Stage::Data, 451)]), &Err(Closed::Quit)), Weather::Fine);
}

#[test]
fn not_now_goodbye_and_broken_lines_are_trouble() {
    assert_eq!(of_delivery(&said(&[(Stage::Mail, 451)]), &Ok(())), Weather::Trouble);
    assert_eq!(of_delivery(&said(&[(Stage::Rcpt, 550), (Stage::Rcpt, 421)]), &Ok(())), Weather::Trouble);
    let broken = Err(Closed::Disconnected(Stage::EndOfData));
    assert_eq!(of_delivery(&said(&[(Stage::EndOfData, 451)]), &broken), Weather::Trouble);
}

#[test]
fn a_site_is_dead_only_where_none_of_its_servers_answers() {
    let nobody = Trouble::connect("mx.example", &std::io::ErrorKind::TimedOut.into());
    assert_eq!(of_trouble(&nobody, false), Weather::Dead);
    assert_eq!(of_trouble(&nobody, true), Weather::Trouble);
    let refused = Closed::Refused { stage: Stage::Greeting, reply: Reply::new(421, (4, 3, 2), "busy") };
    assert_eq!(of_trouble(&closed(&refused), false), Weather::Trouble);
    let silent = Closed::Timeout(Stage::Greeting);
    assert_eq!(of_trouble(&closed(&silent), false), Weather::Dead);
}

#[test]
fn the_dns_says_nothing_of_the_servers() {
    let none = Trouble::unroutable(&Unroutable::NullMx("d.example".into()));
    assert_eq!(of_trouble(&none, false), Weather::Fine);
}

fn closed(closed: &Closed) -> Trouble {
    let policy = crate::tls_policy::TlsPolicy::named(smtp::client::TlsMode::None, false, "the route");
    Trouble::closed("mx.example", closed, String::new(), &policy)
}
