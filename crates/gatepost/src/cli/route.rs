//! `gatepost route`: where a letter to an address would go now, and why.

use delivery::{Explained, ServerExplained};
use smtp::Mailbox;

use super::{Route, print_json};
use crate::config;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::output::{HEAD, paint};
use crate::server;

pub fn run(arguments: &Route) -> Result<(), Fault> {
    let address = &arguments.address;
    let recipient: Mailbox = address.parse().map_err(|error| {
        Fault::new(Exit::Usage, format!("{address} is no address: {error}")).help("write name@domain")
    })?;
    let loaded = config::load(&arguments.file.config)?;
    let explained = server::runtime()?.block_on(async {
        let router = server::house::router(&loaded.config)?;
        Ok::<_, Fault>(router.explain(&recipient).await)
    })?;
    if arguments.json {
        print_json(&explained)?;
    } else {
        print(&explained);
    }
    match &explained.trouble {
        None => Ok(()),
        Some(trouble) => {
            let then = if trouble.is_transient { "it would be tried again" } else { "it would go back to its sender" };
            Err(Fault::failed(format!("no letter can be sent to {address} now: {}; {then}", trouble.reply)))
        }
    }
}

fn print(explained: &Explained) {
    line("decided by", &explained.route);
    line("goes to", &explained.next_hop);
    for (number, server) in explained.servers.iter().enumerate() {
        line(if number == 0 { "servers" } else { "" }, &server_words(server));
    }
    line("site", &explained.site);
    line("connections", &format!("at most {} at once", explained.connections));
    if let Some(tls) = &explained.tls {
        line("TLS", tls);
    }
}

fn line(name: &str, words: &str) {
    anstream::println!("{} {words}", paint(HEAD, &format!("{name:<11}")));
}

fn server_words(server: &ServerExplained) -> String {
    let port = server.port.map(|port| format!(", port {port}")).unwrap_or_default();
    let preference = server.preference.map(|preference| format!("{preference} ")).unwrap_or_default();
    if server.addresses.is_empty() {
        format!("{preference}{}{port}", server.name)
    } else {
        format!("{preference}{} ({}){port}", server.name, server.addresses.join(", "))
    }
}
