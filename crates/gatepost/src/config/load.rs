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
    parse(path, text_of(path)?)
}

/// The same for a command that only asks where things lie. The files that the configuration names, keys and passwords
/// among them, are not looked at: who calls `sendmail` may not read them.
///
/// # Errors
/// As [`load`].
pub fn read(path: &Path) -> Result<Loaded, Fault> {
    read_source(path, &Source::new(path, text_of(path)?))
}

fn text_of(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|error| {
        Fault::io(Exit::Usage, format_args!("the configuration {} cannot be read", path.display()), &error).help(
            "name it with -c FILE or GATEPOST_CONFIG; `gatepost config example` prints one to begin with, \
             `gatepost quickstart` needs none",
        )
    })
}

/// The same from a text that stands for the file `path`.
pub fn parse(path: &Path, text: String) -> Result<Loaded, Fault> {
    let source = Source::new(path, text);
    let loaded = read_source(path, &source)?;
    let problems = check::all(&loaded.config, &source);
    if problems.is_empty() { Ok(loaded) } else { Err(refuse(&problems)) }
}

fn read_source(path: &Path, source: &Source) -> Result<Loaded, Fault> {
    let mut config: Config = toml::from_str(source.text()).map_err(|error| refuse(&[explain(source, &error)]))?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    resolve_paths(&mut config, &folder);
    Ok(Loaded { path: absolute, config })
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
    let mut problem = source.complaint(error);
    // The types of Rust are not the reader's.
    for number in ["usize", "u64", "u32", "u16", "u8"] {
        problem.message = problem.message.replace(&format!("expected {number}"), "expected a whole number");
    }
    if let Some(name) = problem.message.strip_suffix("` is there twice").and_then(|text| text.strip_prefix('`')) {
        return source.second_domain(name).unwrap_or(problem);
    }
    if problem.message == "duplicate key" {
        return problem.help("it is written above already; keep one of them");
    }
    if problem.message == "invalid socket address syntax" {
        return problem.help("an address and a port: \"0.0.0.0:25\", \"[::]:25\" or \"127.0.0.1:2525\"");
    }
    if problem.message.contains("unknown field `records_max`") {
        return problem.help("it is a section of its own now:\n[records]\nmax_size = \"256MiB\"");
    }
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
    fn metrics_are_for_loopback_unless_somebody_said_otherwise() {
        let with = |lines: &str| format!("{SMALLEST}[metrics]\nlisten = \"0.0.0.0:9464\"\n{lines}");
        let message = error(&with(""));
        assert!(message.contains("insecure_allow_remote") && message.contains("gatepost.toml:7"), "{message}");
        parse(Path::new("/etc/gatepost.toml"), with("insecure_allow_remote = true\n")).expect("it was said");
    }

    #[test]
    fn a_key_that_has_moved_says_where() {
        let message = error(&format!("{SMALLEST}[queue]\nrecords_max = \"1GB\"\n"));
        assert!(message.contains("[records]") && message.contains("max_size"), "{message}");
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
        let message = error(&twice);
        assert!(message.contains("a.test") && message.contains("gatepost.toml:7"), "{message}");
        let both = format!("{SMALLEST}[domains.local.\"a.test\"]\n[domains.relay.\"a.test\"]\nrecipients = \"any\"\n");
        assert!(error(&both).contains("a.test"));
    }

    #[test]
    fn an_alias_that_leads_nowhere_and_a_limit_of_nothing_are_shown() {
        let circle = format!("{SMALLEST}[domains.local.\"a.test\"]\naliases = {{ x = \"y\", y = \"x\" }}\n");
        let message = error(&circle);
        assert!(message.contains("leads to nobody") && message.contains("a.test"), "{message}");
        let message = error(&format!("{SMALLEST}[limits]\nrecipients = 0\n"));
        assert!(message.contains("limits.recipients") && message.contains(":7"), "{message}");
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in [SMALLEST, EXAMPLE] {
            let config = parse(Path::new("/x.toml"), text.to_owned()).expect("it is good").config;
            let shown = toml::to_string(&config).expect("shown");
            let again = parse(Path::new("/x.toml"), shown.clone()).unwrap_or_else(|fault| panic!("{}", fault.message));
            assert_eq!(toml::to_string(&again.config).expect("shown"), shown);
        }
    }

    #[test]
    fn a_route_in_the_wrong_section_is_not_passed_over() {
        let message = error(&format!("{SMALLEST}[[delivery.route]]\ndomain = \"*\"\nto = \"mx\"\n"));
        assert!(message.contains("section of its own") && message.contains("[[route]]"), "{message}");
    }

    #[test]
    fn a_fault_in_what_is_said_of_a_provider_is_shown_where_it_stands() {
        let head = "[[shaping.provider.google.automation]]\n";
        let rule = format!("{head}name = \"y\"\noff = true\n{head}name = \"x\"\nmatch = \"(\"\n");
        let message = error(&format!("{SMALLEST}{rule}action = {{ suspend = true }}\nfor = \"1h\"\n"));
        assert!(message.contains("shaping.provider.google.automation.x: `match` is no regular"), "{message}");
        assert!(message.contains("gatepost.toml:11"), "{message}");
        let message = error(&format!("{SMALLEST}[shaping.domain.\"a.test\"]\nrate = \"1/s\"\n"));
        assert!(message.contains("counted by site") && message.contains("gatepost.toml:7"), "{message}");
        let message = error(&format!("{SMALLEST}[shaping.default]\nconections = 1\n"));
        assert!(message.contains("conections") && message.contains("gatepost.toml:7"), "{message}");
    }

    #[test]
    fn the_sample_of_shaping_can_be_used_as_it_is() {
        let plain = EXAMPLE.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
        let section = plain.skip_while(|line| !line.starts_with("[shaping.default]"));
        let lines: Vec<&str> = section.take_while(|line| !line.starts_with("[queue]")).collect();
        let config = parse(Path::new("/x.toml"), format!("{SMALLEST}{}\n", lines.join("\n"))).expect("good").config;
        assert!(config.shaping.provider.contains_key("house") && config.shaping.domain.len() == 1);
    }

    #[test]
    fn an_address_that_all_addresses_hold_already_is_shown() {
        let both = format!("{SMALLEST}[[listener]]\naddress = \"0.0.0.0:2525\"\nprofile = \"relay\"\n");
        let message = error(&both);
        assert!(message.contains("0.0.0.0:2525") && message.contains(":4"), "{message}");
    }

    #[test]
    fn who_asks_only_where_things_lie_needs_no_right_to_the_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gatepost.toml");
        let text = format!("{SMALLEST}[[tls.certificate]]\ncert = \"no.pem\"\nkey = \"no.key\"\n");
        std::fs::write(&path, text).expect("written");
        assert!(load(&path).is_err());
        assert!(read(&path).is_ok());
    }

    /// The keys below a section of the sample, those behind `# ` too.
    fn sample_section(name: &str) -> String {
        let plain = EXAMPLE.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
        let below = plain.skip_while(|line| !line.starts_with(&format!("[{name}]"))).skip(1);
        let is_key = |line: &&str| {
            line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        };
        below.take_while(|line| !line.starts_with('[')).filter(is_key).map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn the_sample_tells_the_defaults() {
        let values = |text: &str| {
            let config = toml::from_str::<Config>(text).unwrap_or_else(|error| panic!("{error}"));
            toml::Value::try_from(&config).expect("written")
        };
        let plain = values(SMALLEST);
        for name in ["queue", "queue.retry", "limits", "limits.login", "passwords", "delivery.timeout", "log"] {
            let told = values(&format!("{SMALLEST}[{name}]\n{}", sample_section(name)));
            let table = |value: &toml::Value| name.split('.').fold(value.clone(), |at, key| at[key].clone());
            assert_eq!(table(&told), table(&plain), "[{name}]");
        }
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
