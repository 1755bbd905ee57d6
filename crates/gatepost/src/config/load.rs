//! From a file to a configuration that can be used, or to what is wrong with it.

use std::path::{Path, PathBuf};

use super::Config;
use super::check;
use super::problem::{Problem, Source};
use crate::exit::Exit;
use crate::fault::Fault;

/// A configuration that reads well; relative paths in it are made absolute, from the file's own folder.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub path: PathBuf,
    pub config: Config,
}

/// Reads and checks a file.
///
/// # Errors
/// Exit code 2, with every fault that was found, its line and a caret.
pub fn load(path: &Path) -> Result<Loaded, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fault::io(Exit::Usage, format_args!("the configuration {} cannot be read", path.display()), &error).help(
            "name it with -c FILE or GATEPOST_CONFIG; `gatepost config example` prints one to begin with, \
             `gatepost quickstart` needs none",
        )
    })?;
    parse(path, text)
}

/// The same from a text that stands for the file `path`.
pub fn parse(path: &Path, text: String) -> Result<Loaded, Fault> {
    let source = Source::new(path, text);
    let mut config: Config = toml::from_str(source.text()).map_err(|error| refuse(&[explain(&source, &error)]))?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    resolve_paths(&mut config, &folder);
    let problems = check::all(&config, &source);
    if problems.is_empty() { Ok(Loaded { path: absolute, config }) } else { Err(refuse(&problems)) }
}

fn refuse(problems: &[Problem]) -> Fault {
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let mut text = format!("the configuration has {}\n", if problems.len() == 1 { "an error" } else { "errors" });
    for problem in problems {
        text.push('\n');
        text.push_str(problem.render(colour).trim_end());
        text.push('\n');
    }
    Fault::new(Exit::Usage, text)
}

/// The parser's complaint; for an unknown key, with the table that it stands in and what the sample says of it.
fn explain(source: &Source, error: &toml::de::Error) -> Problem {
    let problem = source.complaint(error);
    if problem.message.contains("unknown field") {
        return problem.help("`gatepost config example` explains every key");
    }
    if problem.message.contains("missing field") {
        return problem.help("the smallest configuration has [server] with a hostname, and one [[listener]]");
    }
    problem
}

fn resolve_paths(config: &mut Config, folder: &Path) {
    let certificates = config.tls.certificate.iter_mut().flat_map(|c| [&mut c.cert, &mut c.key]);
    let routes = config.route.iter_mut().filter_map(|route| route.password_file.as_mut());
    let fixed = [&mut config.server.data_dir].into_iter();
    for path in certificates.chain(config.tls.trust.iter_mut()).chain(routes).chain(fixed) {
        if path.is_relative() {
            *path = folder.join(&path);
        }
    }
    if let Some(root) = config.delivery.maildir_root.as_mut().filter(|root| root.is_relative()) {
        *root = folder.join(&*root);
    }
}

#[cfg(test)]
mod tests {
    use super::super::EXAMPLE;
    use super::*;

    fn error(text: &str) -> String {
        let fault = parse(Path::new("/etc/gatepost.toml"), text.to_owned()).expect_err("it must be refused");
        assert_eq!(fault.exit, Exit::Usage);
        fault.message
    }

    const SMALLEST: &str =
        "[server]\nhostname = \"mx.example.org\"\n[[listener]]\naddress = \"127.0.0.1:2525\"\nprofile = \"relay\"\n";

    #[test]
    fn the_smallest_and_the_sample_are_accepted() {
        parse(Path::new("/etc/gatepost.toml"), SMALLEST.to_owned()).expect("the smallest");
        toml::from_str::<Config>(EXAMPLE).expect("the sample");
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_line_and_what_is_allowed() {
        let message = error(&SMALLEST.replace("hostname", "host_name = \"x\"\nhostname"));
        assert!(
            message.contains("host_name") && message.contains("hostname`") && message.contains("gatepost.toml:2"),
            "{message}"
        );
    }

    #[test]
    fn a_wrong_type_and_a_wrong_unit_are_shown() {
        assert!(error(&SMALLEST.replace("\"127.0.0.1:2525\"", "25")).contains("invalid type"));
        let message = error(&format!("{SMALLEST}[limits]\ncommand_timeout = \"5 parsecs\"\n"));
        assert!(message.contains("parsecs") && message.contains(":7"), "{message}");
        let message = error(&format!("{SMALLEST}[limits]\ncommand_timeout = 300\n"));
        assert!(message.contains("command_timeout = 300"), "{message}");
    }

    #[test]
    fn a_listener_twice_and_a_domain_twice_are_shown() {
        let twice = format!("{SMALLEST}[[listener]]\naddress = \"127.0.0.1:2525\"\nprofile = \"submission\"\n");
        assert!(error(&twice).contains("127.0.0.1:2525"));
        let twice = format!("{SMALLEST}[domains.local.\"a.test\"]\n[domains.local.\"A.test\"]\n");
        assert!(error(&twice).to_lowercase().contains("a.test"));
        let both = format!("{SMALLEST}[domains.local.\"a.test\"]\n[domains.relay.\"a.test\"]\nrecipients = \"any\"\n");
        assert!(error(&both).contains("a.test"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_at_its_line() {
        let message =
            error(&format!("{SMALLEST}[[tls.certificate]]\ncert = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"\n"));
        assert!(message.contains("/nowhere/c.pem") && message.contains(":7"), "{message}");
    }

    #[test]
    fn implicit_tls_without_a_certificate_is_refused() {
        assert!(error(&SMALLEST.replace("relay", "submissions")).contains("certificate"));
    }
}
