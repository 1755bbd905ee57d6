//! `gatepost config check | example | show | shaping`.

use super::{ConfigCommand, print_json};
use crate::config;
use crate::control::{self, Request, Response};
use crate::fault::Fault;
use crate::output;
use crate::server;

pub fn run(command: ConfigCommand) -> Result<(), Fault> {
    match command {
        ConfigCommand::Check(file) => check(&file.config),
        ConfigCommand::Example => {
            print!("{}", config::EXAMPLE);
            Ok(())
        }
        ConfigCommand::Shaping => {
            print!("{}", delivery::shipped_text());
            Ok(())
        }
        ConfigCommand::Show { file, json } => show(&file.config, json),
    }
}

/// The file itself, the certificates that it names, and what a running server says of it.
fn check(path: &std::path::Path) -> Result<(), Fault> {
    let loaded = config::load(path)?;
    let certificates = server::tls::load(&loaded.config, None)?;
    server::tls::roots(&loaded.config.tls.trust)?;
    for line in server::tls::describe(certificates.as_deref()) {
        anstream::println!("{line}");
    }
    // Where no server runs, or this user may not ask it, there is nothing to add.
    let asked = control::ask(&loaded.config.server.data_dir, &Request::Status);
    if let Ok(Some(Response::Ok(status))) = asked
        && let Some(error) = status.get("reload_error").and_then(|e| e.as_str())
    {
        let note = output::paint(output::WARN, "note:");
        anstream::println!("{note} the running server could not reload, and goes on as before:\n{error}");
    }
    anstream::println!("{} {}", output::paint(output::GOOD, "ok"), loaded.path.display());
    Ok(())
}

fn show(path: &std::path::Path, json: bool) -> Result<(), Fault> {
    let loaded = config::load(path)?;
    if json {
        return print_json(&loaded.config);
    }
    let text = toml::to_string(&loaded.config).map_err(|error| Fault::failed(error.to_string()))?;
    print!("{text}");
    Ok(())
}
