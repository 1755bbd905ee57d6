use std::net::IpAddr;

use dns::Zone;

use super::*;

struct Case {
    domain: Domain,
    hostname: Host,
    listening: Vec<SocketAddr>,
    allow_loopback: bool,
    ip: IpVersions,
}

impl Case {
    fn new(domain: &str) -> Self {
        Self {
            domain: domain.parse().unwrap(),
            hostname: "us.example".parse().unwrap(),
            listening: vec!["192.0.2.99:25".parse().unwrap()],
            allow_loopback: false,
            ip: IpVersions::Both,
        }
    }

    fn planner(&self) -> Planner<'_> {
        Planner {
            domain: &self.domain,
            hostname: &self.hostname,
            listening: &self.listening,
            port: 25,
            allow_loopback: self.allow_loopback,
            ip: self.ip,
        }
    }

    async fn resolve(&self, zone: &Zone) -> Result<Vec<(String, Vec<String>)>, Unroutable> {
        let plan = resolve(zone, &self.planner()).await?;
        let words = |host: PlannedHost| (host.name, host.addresses.iter().map(IpAddr::to_string).collect());
        Ok(plan.hosts.into_iter().map(words).collect())
    }
}

async fn plan(domain: &str, zone: &Zone) -> Result<Vec<(String, Vec<String>)>, Unroutable> {
    Case::new(domain).resolve(zone).await
}

fn code(error: &Unroutable) -> String {
    let reply = error.reply();
    format!("{} {}", reply.code, reply.enhanced.unwrap())
}

fn names(plan: &[(String, Vec<String>)]) -> Vec<&str> {
    plan.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn lower_preference_comes_first() {
    let zone = Zone::new()
        .mx("d.example", 20, "second.example")
        .mx("d.example", 10, "first.example")
        .a("first.example", [192, 0, 2, 1])
        .a("second.example", [192, 0, 2, 2]);
    assert_eq!(names(&plan("d.example", &zone).await.unwrap()), ["first.example", "second.example"]);
}

#[test]
fn equal_preferences_are_shuffled_and_others_are_not() {
    let records: Vec<Mx> = [(10, "a"), (10, "b"), (10, "c"), (5, "z")]
        .map(|(preference, exchange)| Mx { preference, exchange: exchange.into() })
        .into();
    let case = Case::new("d.example");
    let order = |below: &mut dyn FnMut(usize) -> usize| {
        let answer = Answer::Records(records.clone());
        exchanges(&case.planner(), answer, below).unwrap().into_iter().map(|mx| mx.exchange).collect::<Vec<_>>()
    };
    assert_eq!(order(&mut |n| n - 1), ["z", "a", "b", "c"]);
    assert_eq!(order(&mut |_| 0)[0], "z");
    assert_ne!(order(&mut |_| 0), order(&mut |n| n - 1));
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_server() {
    let zone = Zone::new().a("d.example", [192, 0, 2, 1]);
    assert_eq!(plan("d.example", &zone).await.unwrap(), [("d.example".into(), vec!["192.0.2.1".into()])]);
}

#[tokio::test]
async fn a_null_mx_is_permanent() {
    let zone = Zone::new().null_mx("d.example").a("d.example", [192, 0, 2, 1]);
    let error = plan("d.example", &zone).await.unwrap_err();
    assert_eq!(code(&error), "556 5.1.10");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_null_mx_beside_others_is_passed_over() {
    let zone = Zone::new().null_mx("d.example").mx("d.example", 10, "a.example").a("a.example", [192, 0, 2, 1]);
    assert_eq!(names(&plan("d.example", &zone).await.unwrap()), ["a.example"]);
}

#[tokio::test]
async fn a_domain_that_does_not_exist_is_permanent() {
    assert_eq!(code(&plan("nowhere.example", &Zone::new()).await.unwrap_err()), "550 5.1.2");
}

#[tokio::test]
async fn a_domain_that_leads_nowhere_is_permanent() {
    for zone in [Zone::new().empty("d.example"), Zone::new().mx("d.example", 10, "gone.example")] {
        assert_eq!(code(&plan("d.example", &zone).await.unwrap_err()), "550 5.4.4");
    }
}

#[tokio::test]
async fn dns_trouble_defers_at_every_step() {
    for zone in [
        Zone::new().servfail("d.example"),
        Zone::new().timeout("d.example"),
        Zone::new().mx("d.example", 10, "a.example").servfail("a.example"),
        Zone::new().mx("d.example", 10, "a.example").mx("d.example", 20, "gone.example").timeout("a.example"),
    ] {
        let error = plan("d.example", &zone).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert_eq!(code(&error), "451 4.4.3");
    }
}

#[tokio::test]
async fn dns_trouble_with_one_server_leaves_the_others() {
    let zone = Zone::new()
        .mx("d.example", 10, "a.example")
        .mx("d.example", 20, "b.example")
        .servfail("a.example")
        .a("b.example", [192, 0, 2, 2]);
    assert_eq!(names(&plan("d.example", &zone).await.unwrap()), ["b.example"]);
}

#[tokio::test]
async fn address_families_take_turns() {
    let zone = Zone::new()
        .a("d.example", [192, 0, 2, 1])
        .aaaa("d.example", std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    assert_eq!(plan("d.example", &zone).await.unwrap()[0].1, ["2001:db8::1", "192.0.2.1"]);
    for (ip, expected) in [(IpVersions::Ipv4, "192.0.2.1"), (IpVersions::Ipv6, "2001:db8::1")] {
        let case = Case { ip, ..Case::new("d.example") };
        assert_eq!(case.resolve(&zone).await.unwrap()[0].1, [expected]);
    }
    let [a, b, c, d] = [1, 2, 3, 4].map(|n| IpAddr::from([192, 0, 2, n]));
    assert_eq!(interleaved(vec![a, b, c], vec![d]), [a, d, b, c]);
}

#[tokio::test]
async fn our_own_name_cuts_what_is_not_preferred_to_us() {
    let zone = Zone::new()
        .mx("d.example", 5, "better.example")
        .mx("d.example", 10, "US.example")
        .mx("d.example", 10, "equal.example")
        .mx("d.example", 20, "worse.example")
        .a("better.example", [192, 0, 2, 1])
        .a("us.example", [192, 0, 2, 5])
        .a("equal.example", [192, 0, 2, 2])
        .a("worse.example", [192, 0, 2, 3]);
    assert_eq!(names(&plan("d.example", &zone).await.unwrap()), ["better.example"]);
}

#[tokio::test]
async fn our_own_address_under_another_name_is_still_us() {
    let zone = Zone::new()
        .mx("d.example", 5, "better.example")
        .mx("d.example", 10, "alias.example")
        .mx("d.example", 20, "worse.example")
        .a("better.example", [192, 0, 2, 1])
        .a("alias.example", [192, 0, 2, 99])
        .a("worse.example", [192, 0, 2, 3]);
    assert_eq!(names(&plan("d.example", &zone).await.unwrap()), ["better.example"]);
}

#[tokio::test]
async fn being_the_best_server_ourselves_is_a_loop() {
    let by_name = Zone::new().mx("d.example", 10, "us.example").a("us.example", [192, 0, 2, 5]);
    let by_address = Zone::new().mx("d.example", 10, "x.example").a("x.example", [192, 0, 2, 99]);
    let implicit = Zone::new().a("d.example", [192, 0, 2, 99]);
    for zone in [by_name, by_address, implicit] {
        let error = plan("d.example", &zone).await.unwrap_err();
        assert_eq!(code(&error), "554 5.4.6");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn loopback_is_no_server_unless_allowed() {
    for ip in [[127, 0, 0, 1], [127, 9, 9, 9], [0, 0, 0, 0], [255, 255, 255, 255], [224, 0, 0, 1]] {
        let zone = Zone::new().mx("d.example", 10, "l.example").a("l.example", ip);
        assert_eq!(code(&plan("d.example", &zone).await.unwrap_err()), "550 5.4.4", "{ip:?}");
        let allowed = Case { allow_loopback: true, ..Case::new("d.example") };
        assert_eq!(names(&allowed.resolve(&zone).await.unwrap()), ["l.example"]);
    }
    let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
    assert!(!is_reachable(mapped));
    assert!(is_reachable("192.0.2.1".parse().unwrap()));
}

#[tokio::test]
async fn listening_everywhere_makes_loopback_ourselves() {
    let zone = Zone::new().mx("d.example", 10, "l.example").a("l.example", [127, 0, 0, 1]);
    let mut case = Case { allow_loopback: true, ..Case::new("d.example") };
    case.listening = vec!["0.0.0.0:25".parse().unwrap()];
    assert_eq!(code(&case.resolve(&zone).await.unwrap_err()), "554 5.4.6");
    case.listening = vec!["0.0.0.0:587".parse().unwrap()];
    assert!(case.resolve(&zone).await.is_ok());
}

#[tokio::test]
async fn a_flood_of_records_is_cut() {
    let mut zone = Zone::new();
    for n in 0..200u8 {
        let name = format!("m{n}.example");
        zone = zone.mx("d.example", u16::from(n), &name);
        for host in 0..30 {
            zone = zone.a(&name, [192, 0, 2, host]);
        }
    }
    let plan = plan("d.example", &zone).await.unwrap();
    assert_eq!(plan.len(), MAX_HOSTS);
    assert_eq!(plan.iter().map(|(_, addresses)| addresses.len()).sum::<usize>(), MAX_ADDRESSES);
    assert!(plan.iter().all(|(_, addresses)| !addresses.is_empty()));
    assert_eq!(plan[0].0, "m0.example");

    let records = (0..200).map(|n| Mx { preference: n, exchange: format!("m{n}.example") }).collect();
    let case = Case::new("d.example");
    assert_eq!(exchanges(&case.planner(), Answer::Records(records), &mut |_| 0).unwrap().len(), MAX_NAMES);
}
