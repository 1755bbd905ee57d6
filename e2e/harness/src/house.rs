//! A configuration and the folder that it lives in: everything that the program needs to start.
//!
//! ```no_run
//! # use harness::{House, Profile, Sink};
//! let sink = Sink::start();
//! let program = House::new("target/debug/gatepost")
//!     .listen(Profile::Relay)
//!     .local("example.test", &["bob"])
//!     .route("*", sink.address())
//!     .start();
//! let mut client = program.client(Profile::Relay);
//! ```
//!
//! The text of the configuration is made in one place, [`House::toml`]: when the program's configuration changes its
//! form, nothing else here changes.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::ca::Ca;
use crate::maildir::Maildir;
use crate::ports::free_port;
use crate::program::{Ended, Program, run};

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    Relay,
    Submission,
    Submissions,
    Alternative,
}

impl Profile {
    pub const ALL: [Profile; 4] = [Profile::Relay, Profile::Submission, Profile::Submissions, Profile::Alternative];

    /// As the configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Relay => "relay",
            Profile::Submission => "submission",
            Profile::Submissions => "submissions",
            Profile::Alternative => "alternative",
        }
    }
}

struct Listener {
    profile: Profile,
    address: SocketAddr,
    extra: String,
}

struct Account {
    name: String,
    password: String,
    addresses: Vec<String>,
}

/// The name that the program goes by in tests, and that its certificate bears.
pub const HOSTNAME: &str = "mx.example.test";

/// Everything that one instance of the program needs.
pub struct House {
    folder: TempDir,
    binary: PathBuf,
    ca: Ca,
    listeners: Vec<Listener>,
    accounts: Vec<Account>,
    domains: Vec<String>,
    routes: Vec<String>,
    dns: Option<SocketAddr>,
    data: Option<PathBuf>,
    /// Lines for a table, by the table's name.
    settings: Vec<(&'static str, String)>,
    tail: String,
    /// Words that stand before the program when it is started, such as `unshare -m`.
    pub(crate) wrapper: Vec<String>,
    /// Other variables of its environment.
    pub(crate) environment: Vec<(String, String)>,
}

impl House {
    /// An empty house for the program at `binary`: no listener, no domain, a certificate for [`HOSTNAME`].
    pub fn new(binary: impl AsRef<Path>) -> House {
        let folder = tempfile::Builder::new().prefix("gatepost-e2e-").tempdir().expect("a folder");
        let ca = Ca::new();
        ca.write(folder.path());
        ca.leaf(&[HOSTNAME, "localhost", "127.0.0.1"]).write(folder.path(), "cert");
        House {
            folder,
            binary: binary.as_ref().to_path_buf(),
            ca,
            listeners: Vec::new(),
            accounts: Vec::new(),
            domains: Vec::new(),
            routes: Vec::new(),
            dns: None,
            data: None,
            settings: Vec::new(),
            tail: String::new(),
            wrapper: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// A listener with this profile on a free port.
    pub fn listen(self, profile: Profile) -> House {
        self.listen_with(profile, "")
    }

    /// The same with more lines in its table.
    pub fn listen_with(mut self, profile: Profile, extra: &str) -> House {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        self.listeners.push(Listener { profile, address, extra: extra.to_owned() });
        self
    }

    /// One listener of each profile.
    pub fn listen_on_all(self) -> House {
        Profile::ALL.into_iter().fold(self, House::listen)
    }

    /// A local domain; `lines` go into its table: mailboxes, aliases and so on.
    pub fn local_with(mut self, name: &str, lines: &str) -> House {
        self.domains.push(format!("[domains.local.\"{name}\"]\n{lines}\n"));
        self
    }

    /// A local domain with these mailboxes.
    pub fn local(self, name: &str, mailboxes: &[&str]) -> House {
        self.local_with(name, &format!("mailboxes = {mailboxes:?}"))
    }

    /// A domain that is taken from anyone and passed on.
    pub fn relay_domain(mut self, name: &str, lines: &str) -> House {
        self.domains.push(format!("[domains.relay.\"{name}\"]\n{lines}\n"));
        self
    }

    /// Everything for `domain` goes to this address, without TLS.
    pub fn route(self, domain: &str, to: SocketAddr) -> House {
        self.route_with(domain, &format!("to = \"{to}\"\ntls = \"none\""))
    }

    pub fn route_with(mut self, domain: &str, lines: &str) -> House {
        self.routes.push(format!("[[route]]\ndomain = \"{domain}\"\n{lines}\n"));
        self
    }

    /// An account with its addresses, made before the first start.
    pub fn account(mut self, name: &str, password: &str, addresses: &[&str]) -> House {
        let addresses = addresses.iter().map(|address| address.to_string()).collect();
        self.accounts.push(Account { name: name.to_owned(), password: password.to_owned(), addresses });
        self
    }

    /// Names are asked here and nowhere else.
    pub fn dns(mut self, server: SocketAddr) -> House {
        self.dns = Some(server);
        self
    }

    /// The whole of 127.0.0.0/8 may send anywhere through the relay port.
    pub fn relay_from_loopback(self) -> House {
        self.set("relay", "relay_from_networks = [\"127.0.0.0/8\"]")
    }

    /// What to wait before the first attempt, before the second and so on; the last one also before all others.
    pub fn retry(mut self, steps: &[&str]) -> House {
        let last = steps.last().expect("at least one step");
        self.settings.retain(|(table, line)| *table != "queue.retry" || !line.starts_with("intervals"));
        self.set("queue.retry", &format!("intervals = {steps:?}\nthen = {last:?}\njitter = \"0%\""))
    }

    /// Servers found by MX listen here, on loopback.
    pub fn mx_port(self, port: u16) -> House {
        self.set("delivery", &format!("mx_port = {port}\nallow_loopback_mx = true"))
    }

    /// A line for a table, such as `("queue.retry", "give_up = \"3s\"")`.
    pub fn set(mut self, table: &'static str, line: &str) -> House {
        self.settings.push((table, line.to_owned()));
        self
    }

    /// Text at the end of the file.
    pub fn tail(mut self, text: &str) -> House {
        self.tail.push_str(text);
        self
    }

    /// Another data folder than the one beside the configuration.
    pub fn data_folder(mut self, folder: impl AsRef<Path>) -> House {
        self.data = Some(folder.as_ref().to_path_buf());
        self
    }

    /// Words before the program, such as `unshare -m`.
    pub fn wrapped(mut self, words: &[&str]) -> House {
        self.wrapper = words.iter().map(|word| word.to_string()).collect();
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> House {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the folder there when the house goes.
    pub(crate) fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("gatepost.toml")
    }

    pub fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// Where the first listener of this profile listens.
    pub fn address(&self, profile: Profile) -> SocketAddr {
        *self.addresses(profile).first().expect("a listener of this profile")
    }

    /// Where all listeners of this profile listen, in the order in which they were named.
    pub fn addresses(&self, profile: Profile) -> Vec<SocketAddr> {
        self.listeners.iter().filter(|listener| listener.profile == profile).map(|listener| listener.address).collect()
    }

    pub(crate) fn every_address(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|listener| listener.address)
    }

    /// The mailbox of a local address.
    pub fn maildir(&self, address: &str) -> Maildir {
        let (local, domain) = address.rsplit_once('@').expect("local@domain");
        Maildir::at(self.data().join("mail").join(domain).join(local))
    }

    /// The configuration as it stands.
    pub fn toml(&self) -> String {
        let mut text = format!(
            "[server]\nhostname = \"{HOSTNAME}\"\ndata_dir = \"{}\"\n{}\n",
            self.data().display(),
            self.lines_of("server")
        );
        let _ = write!(text, "[tls]\ntrust = [\"ca.pem\"]\n{}\n", self.lines_of("tls"));
        text.push_str("[[tls.certificate]]\ncert = \"cert.pem\"\nkey = \"cert.key\"\n\n");
        for Listener { profile, address, extra } in &self.listeners {
            let _ = writeln!(text, "[[listener]]\naddress = \"{address}\"\nprofile = \"{}\"\n{extra}", profile.name());
        }
        for part in self.domains.iter().chain(&self.routes) {
            let _ = writeln!(text, "{part}");
        }
        let dns = self.dns.map(|server| format!("server = \"{server}\"\n")).unwrap_or_default();
        let _ = write!(text, "[dns]\n{dns}{}\n", self.lines_of("dns"));
        for table in [
            "relay",
            "delivery",
            "delivery.timeout",
            "queue",
            "queue.retry",
            "limits",
            "passwords",
            "log",
            "records",
            "metrics",
        ] {
            let lines = self.lines_of(table);
            if !lines.is_empty() {
                let _ = write!(text, "[{table}]\n{lines}\n");
            }
        }
        text.push_str(&self.tail);
        text
    }

    fn lines_of(&self, table: &str) -> String {
        self.settings.iter().filter(|(of, _)| *of == table).map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Writes the configuration anew, as after a change by its administrator.
    pub fn write(&self) {
        std::fs::create_dir_all(self.data()).expect("the data folder");
        std::fs::write(self.config(), self.toml()).expect("the configuration");
    }

    /// A command line with our configuration: `gatepost WORDS -c FILE`.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words).arg("-c").arg(self.config()).current_dir(self.path()).envs(self.environment.clone());
        command
    }

    /// Runs a subcommand to its end, with `input` on its standard input.
    pub fn run(&self, words: &[&str], input: &[u8]) -> Ended {
        run(self.command(words), input)
    }

    /// Writes the configuration and makes the accounts.
    pub fn furnish(&self) {
        self.write();
        for account in &self.accounts {
            let mut words = vec!["account", "add", account.name.as_str(), "--password-stdin"];
            for address in &account.addresses {
                words.extend(["--address", address.as_str()]);
            }
            let ended = self.run(&words, format!("{}\n", account.password).as_bytes());
            assert!(ended.success(), "account add: {ended}");
        }
    }

    /// Furnishes the house and starts the program, and waits until every listener takes connections.
    ///
    /// # Panics
    /// When it ends instead, with what it said.
    pub fn start(self) -> Program {
        self.furnish();
        Program::start(self)
    }

    /// The command that [`Program`] starts.
    pub(crate) fn serve(&self) -> Command {
        let mut words: Vec<String> = self.wrapper.clone();
        words.push(self.binary.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["serve", "-c"]).arg(self.config()).current_dir(self.path());
        command.envs(self.environment.clone()).stdin(Stdio::null());
        command
    }

    /// The address that a client binds to, when it must differ from 127.0.0.1.
    pub fn other_loopback(last: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, last).into()
    }
}
