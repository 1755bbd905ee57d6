//! `gatepost quickstart`: four ports on this machine, a letter through each, and the table of what happened.
//!
//! No configuration and no root: everything is made in a folder, also a certificate authority, a certificate for localhost and an
//! account. Nothing leaves the machine, because every letter that is not for a mailbox here is caught in one.

mod table;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reception::credentials::{AccountStore, generate_password};
use smtp::Secret;

use super::Quickstart;
use super::send::{Letter, Sent, Target, compose, deliver};
use crate::certificates::LocalCertificate;
use crate::config::{self, Loaded};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ports::{PORTS, Port};
use crate::server::{self, Server};

use table::Row;

const DOMAIN: &str = "quickstart.test";
const ACCOUNT: &str = "you@quickstart.test";
const STRANGER: &str = "friend@example.com";
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder with all that was made.
struct House {
    folder: PathBuf,
    loaded: Loaded,
    certificate: LocalCertificate,
    password: Secret,
    sockets: Vec<(Port, TcpListener)>,
}

pub fn run(arguments: &Quickstart) -> Result<(), Fault> {
    let house = prepare(arguments.dir.as_deref())?;
    let logging = server::log::start(&house.loaded.config.log);
    server::runtime()?.block_on(serve(arguments, house, logging))
}

async fn serve(arguments: &Quickstart, house: House, logging: server::log::Logging) -> Result<(), Fault> {
    let House { folder, loaded, certificate, password, sockets } = house;
    let addresses: Vec<(Port, SocketAddr)> = sockets
        .iter()
        .map(|(port, socket)| Ok((*port, socket.local_addr()?)))
        .collect::<std::io::Result<_>>()
        .map_err(|error| Fault::io(Exit::Bind, "a listener has no address", &error))?;
    let server = Server::start(loaded, sockets.into_iter().map(|(_, socket)| socket).collect(), logging).await?;
    let mut rows = Vec::new();
    for (port, address) in addresses {
        rows.push(try_port(port, address, &folder, &certificate, &password).await);
    }
    if arguments.json {
        let table = serde_json::json!({
            "folder": folder, "account": ACCOUNT, "authority": certificate.authority, "ports": rows,
        });
        super::print_json(&table)?;
    } else {
        table::print(&rows);
        if !arguments.exit {
            table::print_hints(&rows, &folder, &certificate, &password);
        }
    }
    let failed = rows.iter().filter(|row| !row.ok).count();
    if !arguments.exit {
        server.until_told_to_stop(crate::server::Signals::catch()?).await?;
    } else {
        server.stop().await;
    }
    if failed > 0 {
        return Err(Fault::failed(format!("{failed} of {} ports failed", rows.len()))
            .help(format!("the server's records are in {}", folder.join("records").display())));
    }
    Ok(())
}

fn prepare(dir: Option<&Path>) -> Result<House, Fault> {
    let folder = match dir {
        Some(dir) => std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()),
        None => std::env::temp_dir().join(format!("gatepost-quickstart-{}", std::process::id())),
    };
    let made =
        |error: &std::io::Error| Fault::io(Exit::DataDir, format_args!("{} cannot be made", folder.display()), error);
    {
        use std::os::unix::fs::DirBuilderExt;
        // Others may pass through, to the dropbox; nothing in it is theirs to read.
        std::fs::DirBuilder::new().recursive(true).mode(0o711).create(&folder).map_err(|e| made(&e))?;
    }
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let certificate =
        LocalCertificate::make(&folder, &names).map_err(|error| Fault::new(Exit::DataDir, error.to_string()))?;
    let sockets = PORTS.iter().map(|port| Ok((*port, bind(port)?))).collect::<Result<Vec<_>, Fault>>()?;
    let path = folder.join("gatepost.toml");
    let text = configuration(&folder, &certificate, &sockets);
    std::fs::write(&path, &text).map_err(|e| made(&e))?;
    let loaded = config::parse(&path, text)?;
    let password = account(&folder, &loaded)?;
    Ok(House { folder, loaded, certificate, password, sockets })
}

/// The port itself where it may be bound, else the unprivileged one that stands for it, else any.
fn bind(port: &Port) -> Result<TcpListener, Fault> {
    let at = |number: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, number));
    server::bind(at(port.number)).or_else(|_| server::bind(at(port.unprivileged))).or_else(|first| {
        let other = server::bind(at(0)).map_err(|_| first)?;
        Ok(other)
    })
}

fn configuration(folder: &Path, certificate: &LocalCertificate, sockets: &[(Port, TcpListener)]) -> String {
    let text = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
    let mut out = format!(
        "# Made by `gatepost quickstart`. Loopback only; letters to anybody else are caught.\n\
         [server]\nhostname = \"localhost\"\ndata_dir = {folder}\n\n\
         [[tls.certificate]]\ncert = {cert}\nkey = {key}\n\n\
         [tls]\ntrust = [{authority}]\n\n\
         [domains.local.\"{DOMAIN}\"]\nmailboxes = [\"you\"]\n\n\
         [[route]]\ndomain = \"*\"\nto = {caught}\n\n\
         [log]\nlevel = \"warn\"\n",
        folder = text(folder),
        cert = text(&certificate.certificate),
        key = text(&certificate.key),
        authority = text(&certificate.authority),
        caught = toml::Value::String(format!("catch:{}", caught(folder).display())),
    );
    for (port, socket) in sockets {
        if let Ok(address) = socket.local_addr() {
            out.push_str(&format!("\n[[listener]]\naddress = \"{address}\"\nprofile = \"{}\"\n", port.profile));
        }
    }
    out
}

fn caught(folder: &Path) -> PathBuf {
    folder.join("mail/caught")
}

/// A fresh password each time: the old one is not kept anywhere.
fn account(folder: &Path, loaded: &Loaded) -> Result<Secret, Fault> {
    let refuse = |error: reception::credentials::StoreError| Fault::new(Exit::DataDir, error.to_string());
    let store = AccountStore::open(&server::state_db(folder), &loaded.config.passwords).map_err(refuse)?;
    let password = generate_password();
    if store.list().map_err(refuse)?.iter().any(|account| account.name == ACCOUNT) {
        store.set_password(ACCOUNT, &password).map_err(refuse)?;
    } else {
        let own = format!("*@{DOMAIN}").parse().map_err(|_| Fault::failed("the account's address cannot be read"))?;
        store.add(ACCOUNT, &password, &[own]).map_err(refuse)?;
    }
    Ok(password)
}

/// Sends a letter as the port's users would, and waits until it lies in a Maildir.
async fn try_port(
    port: Port,
    address: SocketAddr,
    folder: &Path,
    certificate: &LocalCertificate,
    password: &Secret,
) -> Row {
    let start = Instant::now();
    let relay = port.profile == "relay";
    let to = if relay { ACCOUNT } else { STRANGER };
    let maildir = if relay { folder.join("mail").join(DOMAIN).join("you") } else { caught(folder) };
    let mark = format!("gatepost quickstart: port {}, {}", port.number, start_mark());
    let letter = Letter {
        from: ACCOUNT.to_owned(),
        to: vec![to.to_owned()],
        subject: mark.clone(),
        body: format!("This letter came in through port {} ({}).\n", address.port(), port.profile),
    };
    let target = Target {
        server: format!("localhost:{}", address.port()),
        connect: Some(address),
        tls: match port.profile {
            "submissions" => super::Tls::Implicit,
            _ => super::Tls::Starttls,
        },
        user: (!relay).then(|| (ACCOUNT.to_owned(), password.clone())),
        trust: vec![certificate.authority.clone()],
        insecure_no_verify: false,
        insecure_plaintext_auth: false,
    };
    let result = match compose(&letter, "localhost") {
        Ok(text) => match deliver(&target, &letter, text, None).await {
            Ok(sent) => arrived(&maildir, &mark).await.map(|()| sent),
            Err(fault) => Err(fault),
        },
        Err(fault) => Err(fault),
    };
    let milliseconds = start.elapsed().as_millis();
    match result {
        Ok(Sent { tls, login, .. }) => Row {
            port,
            address,
            ok: true,
            tls: tls.unwrap_or_else(|| "none".into()),
            login: login.unwrap_or_else(|| "none".into()),
            milliseconds,
            error: None,
        },
        Err(fault) => Row {
            port,
            address,
            ok: false,
            tls: String::new(),
            login: String::new(),
            milliseconds,
            error: Some(fault.message),
        },
    }
}

fn start_mark() -> String {
    let mut noise = [0u8; 6];
    // Without randomness the mark is only less unique; a letter of an earlier run may then be taken for this one.
    let _ = getrandom::fill(&mut noise);
    noise.iter().map(|b| format!("{b:02x}")).collect()
}

/// Waits until a letter with this mark lies in the Maildir.
async fn arrived(maildir: &Path, mark: &str) -> Result<(), Fault> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found =
            std::fs::read_dir(maildir.join("new")).into_iter().flatten().flatten().any(|entry| {
                std::fs::read(entry.path()).is_ok_and(|text| String::from_utf8_lossy(&text).contains(mark))
            });
        if found {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Fault::failed(format!("accepted, but not in {} after {PATIENCE:?}", maildir.display())));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
