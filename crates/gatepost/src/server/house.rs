//! The rooms, opened once; and what of them a new configuration replaces.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use delivery::{Delivery, Mailboxes, Setup, Shaping};
use dns::Resolver;
use queue::Queue;
use reception::Shared;
use reception::admission::Admission;
use reception::credentials::{AccountStore, Verifier};
use reception::directory::Directory;
use reception::shared::House;
use reception::tls::Identities;
use smtp::{Host, Mailbox, Reply};
use tokio::sync::watch;

use super::{addresses, state_db, tls};
use crate::config::Config;
use crate::control::Change;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::resolver::Hickory;

/// What lives as long as the process.
pub struct Rooms {
    pub queue: Queue,
    pub house: House,
    delivery: Arc<Delivery>,
    door: Door,
    mailboxes: Arc<Directories>,
}

/// What of the front door outlives a reload.
struct Door {
    queue: Queue,
    verifier: Arc<Verifier>,
    admission: Arc<Admission>,
}

/// A configuration made into the values of the rooms, not yet in effect.
pub struct Prepared {
    shared: Arc<Shared>,
    setup: Setup,
    queue: queue::QueueConfig,
}

impl Rooms {
    pub fn open(config: &Config) -> Result<Self, Fault> {
        let folder = &config.server.data_dir;
        let mailboxes = Arc::new(Directories::default());
        let delivery =
            Delivery::new(setup(config, &mailboxes)?).map_err(|error| Fault::new(Exit::Usage, error.to_string()))?;
        let delivery = Arc::new(delivery);
        let sites: Arc<dyn queue::Sites> = delivery.clone();
        let queue = Queue::open(queue_config(config), sites).map_err(|error| cannot_open(folder, &error))?;
        let accounts = AccountStore::open(&state_db(folder), &config.passwords)
            .map_err(|error| Fault::new(Exit::DataDir, error.to_string()))?;
        let verifier =
            Verifier::new(accounts, &config.passwords).map_err(|error| Fault::new(Exit::DataDir, error.to_string()))?;
        let door =
            Door { queue: queue.clone(), verifier: Arc::new(verifier), admission: Arc::new(Admission::default()) };
        let house = Arc::new(ArcSwap::new(door.shared(config, None)?));
        mailboxes.know(&house);
        Ok(Self { queue, house, delivery, door, mailboxes })
    }

    pub fn delivery(&self) -> Arc<Delivery> {
        Arc::clone(&self.delivery)
    }

    pub fn start_delivery(&self, stop: watch::Receiver<bool>) {
        tokio::spawn(delivery::run(self.queue.clone(), Arc::clone(&self.delivery), stop));
    }

    /// A change as the queue keeps it: the target of a redirection is looked at, and written in one way.
    pub fn understood(&self, change: Change) -> Result<Change, delivery::BadRedirect> {
        Ok(match change {
            Change::Redirect { to: Some(to) } => Change::Redirect { to: Some(self.delivery.redirect_target(&to)?) },
            other => other,
        })
    }

    /// Everything that can fail of taking over a configuration.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, Fault> {
        let setup = setup(config, &self.mailboxes)?;
        setup.config.check().map_err(|error| Fault::new(Exit::Usage, error.to_string()))?;
        let served = self.house.load();
        Ok(Prepared { shared: self.door.shared(config, served.tls.as_deref())?, setup, queue: queue_config(config) })
    }

    pub fn replace(&self, prepared: Prepared) -> Result<(), Fault> {
        self.delivery.reload(prepared.setup).map_err(|error| Fault::new(Exit::Usage, error.to_string()))?;
        self.house.store(prepared.shared);
        self.queue.reconfigure(prepared.queue);
        Ok(())
    }
}

fn cannot_open(folder: &Path, error: &queue::OpenError) -> Fault {
    match error {
        queue::OpenError::Spool(queue::spool::SpoolError::Locked { pid }) => {
            let whom = pid.map_or_else(|| "another process".to_owned(), |pid| format!("another process (pid {pid})"));
            Fault::new(Exit::DataDir, format!("the data folder {} belongs to {whom}", folder.display()))
                .help("stop that one first, or name another folder in server.data_dir")
        }
        other => Fault::new(Exit::DataDir, format!("the data folder {}: {other}", folder.display())),
    }
}

impl Door {
    fn shared(&self, config: &Config, served: Option<&Identities>) -> Result<Arc<Shared>, Fault> {
        let directory = Directory::new(&config.domains, config.limits.alias_expansion)
            .map_err(|error| Fault::new(Exit::Usage, error.to_string()))?;
        Ok(Arc::new(Shared {
            hostname: Host::Domain(config.server.hostname.0.clone()),
            directory,
            limits: config.limits.clone(),
            relay: config.relay.clone(),
            tls: tls::identities(tls::load(config, served)?)?,
            verifier: Arc::clone(&self.verifier),
            queue: self.queue.clone(),
            recorder: self.queue.recorder().clone(),
            admission: Arc::clone(&self.admission),
            drain: config.server.drain,
        }))
    }
}

fn queue_config(config: &Config) -> queue::QueueConfig {
    let mut queue = config.queue.clone();
    queue.data_dir = config.server.data_dir.clone();
    queue.host_name = config.server.hostname.0.to_string();
    queue.records = config.records.clone();
    queue
}

/// The back door alone, to be asked where letters go; within a runtime.
pub fn router(config: &Config) -> Result<Delivery, Fault> {
    let setup = setup(config, &Arc::default())?;
    Delivery::new(setup).map_err(|error| Fault::new(Exit::Usage, error.to_string()))
}

fn setup(config: &Config, mailboxes: &Arc<Directories>) -> Result<Setup, Fault> {
    let resolver = Hickory::new(&config.dns.server, config.dns.timeout)
        .map_err(|error| Fault::new(Exit::Usage, error.to_string()).help("name one: [dns] server = \"192.0.2.53\""))?;
    let resolver: Arc<dyn Resolver> = Arc::new(resolver);
    let shaping = Shaping::new(&config.shaping).map_err(|error| Fault::new(Exit::Usage, error.to_string()))?;
    Ok(Setup {
        config: crate::config::delivery_config(config),
        hostname: Host::Domain(config.server.hostname.0.clone()),
        listening: config.listener.iter().flat_map(|l| &l.address.0).flat_map(|at| addresses::heard_on(*at)).collect(),
        resolver,
        authorities: Arc::new(tls::roots(&config.tls.trust)?),
        mailboxes: Arc::clone(mailboxes) as Arc<dyn Mailboxes>,
        shaping: Arc::new(shaping),
        shaping_file: Some(config.server.data_dir.join("shaping.json")),
    })
}

/// The front door's address book, for the back door. The house is built last, so it is made known afterwards.
#[derive(Default)]
struct Directories(OnceLock<House>);

impl Directories {
    fn know(&self, house: &House) {
        self.0.get_or_init(|| Arc::clone(house));
    }
}

impl std::fmt::Debug for Directories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directories")
    }
}

impl Mailboxes for Directories {
    fn check(&self, recipient: &Mailbox) -> Result<(), Reply> {
        const NOT_YET: Reply = Reply::new(451, (4, 3, 0), "the server is starting; try again later");
        let house = self.0.get().ok_or(NOT_YET)?;
        reception::resolve(&house.load(), recipient).map(|_| ())
    }
}
