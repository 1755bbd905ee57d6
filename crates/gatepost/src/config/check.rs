//! What can be checked only where all parts of the configuration are seen together.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use delivery::config::{ConfigError, LocalTarget};
use delivery::route::Router;
use delivery::{Shaping, ShapingError};
use reception::config::{Auth, Tls};
use reception::directory::{Directory, DirectoryError};

use super::Config;
use super::problem::{Problem, Source};

/// Every fault, in the order of the file's sections.
pub fn all(config: &Config, source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    listeners(config, source, &mut problems);
    files(config, source, &mut problems);
    domains(config, source, &mut problems);
    limits(config, source, &mut problems);
    metrics(config, source, &mut problems);
    delivery(config, source, &mut problems);
    shaping(config, source, &mut problems);
    problems
}

fn listeners(config: &Config, source: &Source, problems: &mut Vec<Problem>) {
    if config.listener.is_empty() {
        problems.push(
            source
                .fault(&["server"], "there is no [[listener]]: nothing could come in")
                .help("[[listener]]\naddress = \"0.0.0.0:25\"\nprofile = \"relay\""),
        );
    }
    let mut seen: HashMap<SocketAddr, usize> = HashMap::new();
    for (index, listener) in config.listener.iter().enumerate() {
        let number = index.to_string();
        for address in &listener.address.0 {
            if let Some(first) = seen.insert(*address, index) {
                let what = format!("{address} is listened on twice: by listener {} and by this one", first + 1);
                problems.push(source.fault(&["listener", &number, "address"], what));
            } else if let Some(all) = held_by_all(config, *address) {
                let what = format!("{address} is listened on twice: {all} holds it as well");
                problems.push(source.fault(&["listener", &number, "address"], what));
            }
        }
        let tls = listener.tls();
        if config.tls.certificate.is_empty() && (tls == Tls::Required || tls == Tls::Implicit) {
            let what = format!("the profile `{}` needs TLS, and there is no certificate", listener.profile.name());
            problems.push(source.fault(&["listener", &number, "profile"], what).help(
                "[[tls.certificate]]\ncert = \"/etc/gatepost/fullchain.pem\"\nkey = \"/etc/gatepost/privkey.pem\"",
            ));
        }
        if tls == Tls::None && listener.auth() != Auth::Off {
            let what = "logins are taken under TLS only, and this listener has none: nobody could log in";
            problems
                .push(source.fault(&["listener", &number, "auth"], what).help("tls = \"required\", or auth = \"off\""));
        }
    }
}

/// The listener on all addresses that leaves none for this one.
fn held_by_all(config: &Config, address: SocketAddr) -> Option<SocketAddr> {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let all = SocketAddr::new(any, address.port());
    let there = address != all && config.listener.iter().any(|listener| listener.address.0.contains(&all));
    there.then_some(all)
}

fn files(config: &Config, source: &Source, problems: &mut Vec<Problem>) {
    let mut readable = |path: &Path, place: &[&str]| {
        if let Err(error) = File::open(path) {
            problems.push(source.fault(place, format!("{} cannot be read: {error}", path.display())));
        }
    };
    for (index, certificate) in config.tls.certificate.iter().enumerate() {
        let number = index.to_string();
        readable(&certificate.cert, &["tls", "certificate", &number, "cert"]);
        readable(&certificate.key, &["tls", "certificate", &number, "key"]);
    }
    for (index, path) in config.tls.trust.iter().enumerate() {
        readable(path, &["tls", "trust", &index.to_string()]);
    }
}

fn domains(config: &Config, source: &Source, problems: &mut Vec<Problem>) {
    for name in config.domains.relay.keys() {
        if config.domains.local.contains_key(name) {
            let what = format!("{name} is a local domain and a relay domain; it can be only one of them");
            problems.push(source.fault(&["domains", "relay", &name.to_string()], what));
        }
    }
    if problems.is_empty()
        && let Err(error) = Directory::new(&config.domains, config.limits.alias_expansion)
    {
        let domain = match &error {
            DirectoryError::Twice(domain) | DirectoryError::MailboxTwice { domain, .. } => domain.to_string(),
            DirectoryError::TooMuch(alias) | DirectoryError::Nowhere(alias) => alias.host.to_string(),
        };
        problems.push(source.fault(&["domains", "local", &domain], error.to_string()));
    }
}

/// Figures with which nothing could ever be accepted.
fn limits(config: &Config, source: &Source, problems: &mut Vec<Problem>) {
    let limits = &config.limits;
    let figures = [
        ("connections", u64::from(limits.connections)),
        ("connections_per_client", u64::from(limits.connections_per_client)),
        ("recipients", limits.recipients as u64),
        ("messages", u64::from(limits.messages)),
        ("message_size", limits.message_size),
        ("header_size", limits.header_size),
        ("command_line", limits.command_line as u64),
        ("hops", limits.hops as u64),
        ("command_timeout", limits.command_timeout.as_millis() as u64),
        ("data_timeout", limits.data_timeout.as_millis() as u64),
    ];
    for (key, _) in figures.iter().filter(|(_, figure)| *figure == 0) {
        let what = format!("limits.{key} is 0: no letter could come in");
        problems.push(source.fault(&["limits", key], what).help("leave the key out for its default"));
    }
}

/// Figures are for whoever reaches the port.
fn metrics(config: &Config, source: &Source, problems: &mut Vec<Problem>) {
    if config.metrics.is_exposed() {
        let what = "strangers could read the metrics: there is no login and no TLS";
        let help = "listen = \"127.0.0.1:9464\", or insecure_allow_remote = true where a firewall keeps them away";
        problems.push(source.fault(&["metrics", "listen"], what).help(help));
    }
}

/// Where local letters are put, and what the back door says of its routes.
fn delivery(config: &Config, source: &Source, problems: &mut Vec<Problem>) {
    // The back door's own type has these too; here they are put together from other sections.
    if !config.delivery.route.is_empty() {
        problems.push(source.fault(&["delivery", "route"], "a route is a section of its own").help("[[route]]"));
    }
    if !config.delivery.local.is_empty() {
        let help = "[domains.local.\"example.org\"]";
        problems.push(source.fault(&["delivery", "local"], "local domains are a section of their own").help(help));
    }
    for (name, local) in &config.domains.local {
        if let Some(Err(error)) = local.deliver.as_deref().map(str::parse::<LocalTarget>) {
            problems.push(source.fault(&["domains", "local", &name.to_string(), "deliver"], error.to_string()));
        }
    }
    for (index, route) in config.route.iter().enumerate() {
        let mut alone = super::delivery_config(config);
        alone.route = vec![route.clone()];
        if let Err(error) = Router::new(&alone) {
            problems.push(source.fault(&["route", &index.to_string()], error.to_string()));
        }
    }
    if problems.is_empty()
        && let Err(error) = back_door(&super::delivery_config(config))
    {
        problems.push(source.fault(&["route"], error.to_string()));
    }
}

/// What is said of providers, sites and domains.
fn shaping(config: &Config, source: &Source, problems: &mut Vec<Problem>) {
    let Err(error) = Shaping::new(&config.shaping) else { return };
    let place: Vec<&str> = match &error {
        ShapingError::Entry { path, problem } => {
            ["shaping"].into_iter().chain(path.iter().map(String::as_str)).chain(problem.key()).collect()
        }
        ShapingError::Shipped(_) => vec!["shaping"],
    };
    problems.push(source.fault(&place, error.to_string()));
}

fn back_door(config: &delivery::Config) -> Result<(), ConfigError> {
    config.check()?;
    Router::new(config).map(|_| ())
}
