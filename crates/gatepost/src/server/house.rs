//! The rooms, opened once; and what of them a new configuration replaces.

use std::sync::Arc;

use arc_swap::ArcSwap;
use delivery::{Delivery, Setup};
use dns::Resolver;
use queue::{Queue, Recorder};
use reception::Shared;
use reception::admission::Admission;
use reception::credentials::{AccountStore, Verifier};
use reception::directory::Directory;
use reception::shared::House;
use smtp::Host;
use tokio::sync::watch;

use super::{state_db, tls};
use crate::config::Config;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::resolver::Hickory;

/// What lives as long as the process.
pub struct Rooms {
    pub queue: Queue,
    pub house: House,
    delivery: Arc<Delivery>,
    accounts: AccountStore,
    verifier: Arc<Verifier>,
    admission: Arc<Admission>,
    recorder: Recorder,
}

/// A configuration made into the values of the rooms, not yet in effect.
pub struct Prepared {
    shared: Arc<Shared>,
    setup: Setup,
}

impl Rooms {
    pub fn open(config: &Config) -> Result<Self, Fault> {
        let folder = &config.server.data_dir;
        let bad_data = |what: String| Fault::new(Exit::DataDir, what);
        let setup = setup(config)?;
        let delivery = Arc::new(Delivery::new(setup).map_err(|e| Fault::new(Exit::Usage, e.to_string()))?);
        let mut queue_config = config.queue.clone();
        queue_config.data_dir = folder.clone();
        let sites: Arc<dyn queue::Sites> = delivery.clone();
        let queue = Queue::open(queue_config, sites).map_err(|error| bad_data(error.to_string()))?;
        let accounts =
            AccountStore::open(&state_db(folder), &config.passwords).map_err(|error| bad_data(error.to_string()))?;
        let verifier = Verifier::new(accounts.clone(), &config.passwords)
            .map_err(|error| Fault::io(Exit::Failed, "the threads that check passwords cannot be started", &error))?;
        let mut rooms = Self {
            recorder: queue.recorder().clone(),
            queue,
            house: Arc::new(ArcSwap::from_pointee(Shared::placeholder())),
            delivery,
            accounts,
            verifier: Arc::new(verifier),
            admission: Arc::new(Admission::default()),
        };
        let shared = rooms.shared(config)?;
        rooms.house = Arc::new(ArcSwap::new(shared));
        Ok(rooms)
    }

    pub fn start_delivery(&self, stop: watch::Receiver<bool>) {
        tokio::spawn(delivery::run(self.queue.clone(), Arc::clone(&self.delivery), stop));
    }

    /// Everything that can fail of taking over a configuration.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, Fault> {
        let setup = setup(config)?;
        setup.check().map_err(|e| Fault::new(Exit::Usage, e.to_string()))?;
        Ok(Prepared { shared: self.shared(config)?, setup })
    }

    pub fn replace(&self, prepared: Prepared) {
        self.house.store(prepared.shared);
        if let Err(error) = self.delivery.reload(prepared.setup) {
            tracing::error!(%error, "the way out could not be changed; the old one goes on");
        }
    }

    fn shared(&self, config: &Config) -> Result<Arc<Shared>, Fault> {
        let identities = tls::identities(tls::load(config)?)?;
        let accounts = self.accounts.list().map_err(|error| Fault::new(Exit::DataDir, error.to_string()))?;
        let directory =
            Directory::build(&config.domains, &accounts).map_err(|error| Fault::new(Exit::Usage, error.to_string()))?;
        Ok(Arc::new(Shared {
            hostname: Host::Domain(config.server.hostname.0.clone()),
            directory,
            limits: config.limits.clone(),
            relay: config.relay.clone(),
            tls: identities,
            verifier: Arc::clone(&self.verifier),
            queue: self.queue.clone(),
            recorder: self.recorder.clone(),
            admission: Arc::clone(&self.admission),
        }))
    }
}

fn setup(config: &Config) -> Result<Setup, Fault> {
    let resolver = Hickory::new(&config.dns.server, config.dns.timeout)
        .map_err(|error| Fault::new(Exit::Usage, error.to_string()).help("name one: [dns] server = \"192.0.2.53\""))?;
    let resolver: Arc<dyn Resolver> = Arc::new(resolver);
    Ok(Setup {
        config: crate::config::delivery_config(config),
        hostname: Host::Domain(config.server.hostname.0.clone()),
        listening: config.listener.iter().flat_map(|l| l.address.0.clone()).collect(),
        resolver,
        authorities: Arc::new(tls::roots(&config.tls.trust)?),
    })
}
