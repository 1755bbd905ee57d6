//! A server of one listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use queue::record::Recorder;
use queue::{Attempt, Lane, Letter, Place, Queue, QueueConfig, Recipient, Site, Sites};
use smtp::Secret;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admission::Admission;
use crate::config::{Domains, Limits, Listener, LoginLimits, Passwords, Profile, Relay};
use crate::credentials::{AccountStore, Verifier};
use crate::directory::Directory;
use crate::shared::{House, Shared};
use crate::tls::{CertificateFiles, Identities, Identity};

pub(super) const PASSWORD: &str = "correct horse";

pub(super) const DOMAINS: &str = r#"
    [local."local.example"]
    mailboxes = ["user", "alice"]
    aliases = { both = ["user", "alice"] }
    [relay."relay.example"]
    recipients = ["known"]
"#;

/// All letters wait at one site until they are looked at.
#[derive(Debug)]
struct OneSite;

impl Sites for OneSite {
    fn place_of(&self, _: &Letter, _: &Recipient, _: Option<&str>) -> Place {
        Lane::of(Site("sink".into())).into()
    }
    fn limits(&self, _: &Lane) -> queue::Limits {
        queue::Limits::connections(1)
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) house: House,
    pub(super) queue: Queue,
    pub(super) store: AccountStore,
    pub(super) certificate: Vec<u8>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) task: Option<JoinHandle<()>>,
    folder: TempDir,
}

impl Server {
    pub(super) async fn start(profile: Profile) -> Self {
        Self::start_with(profile, |_, _| {}).await
    }

    /// With changes to the listener and to what is shared.
    pub(super) async fn start_with(profile: Profile, change: impl FnOnce(&mut Listener, &mut Shared)) -> Self {
        let folder = TempDir::new().unwrap();
        let recorder = Recorder::open(folder.path().join("records"), 1 << 20).unwrap();
        let config = QueueConfig { data_dir: folder.path().to_owned(), min_free: 0, ..QueueConfig::default() };
        let disk = Arc::new(queue::spool::RealDisk);
        let queue = Queue::open_on(config, Arc::new(OneSite), disk, recorder.clone()).unwrap();
        let passwords =
            Passwords { argon2_memory: 8192, argon2_passes: 1, scram_iterations: 4096, ..Passwords::default() };
        let store = AccountStore::open(&folder.path().join("state.db"), &passwords).unwrap();
        let owned = ["alice@local.example".parse().unwrap(), "*@own.example".parse().unwrap()];
        store.add("alice", &Secret::new(PASSWORD), &owned).unwrap();
        let (identity, certificate) = identity();
        let mut listener = Listener::new("127.0.0.1:0".parse().unwrap(), profile);
        let mut shared = Shared {
            hostname: "mx.local.example".parse().unwrap(),
            directory: directory(DOMAINS),
            limits: quick_limits(),
            relay: Relay::default(),
            tls: Some(Arc::new(Identities::new(vec![identity]).unwrap())),
            verifier: Arc::new(Verifier::new(store.clone(), &passwords).unwrap()),
            queue: queue.clone(),
            recorder,
            admission: Arc::new(Admission::default()),
            drain: Duration::from_secs(30),
        };
        change(&mut listener, &mut shared);
        let socket = crate::listen::bind(listener.address.0[0]).unwrap();
        let address = socket.local_addr().unwrap();
        let house: House = Arc::new(ArcSwap::from_pointee(shared));
        let (stop, stopping) = watch::channel(false);
        let listener = Arc::new(ArcSwap::from_pointee(listener));
        let task = crate::listen::serve(listener, socket, Arc::clone(&house), stopping).unwrap();
        Self { address, house, queue, store, certificate, stop, task: Some(task), folder }
    }

    /// The letter that came first.
    pub(super) async fn letter(&self) -> (Attempt, String) {
        let mut worker =
            tokio::time::timeout(Duration::from_secs(10), self.queue.next_worker()).await.unwrap().unwrap();
        let attempt = worker.take().unwrap();
        let mut text = Vec::new();
        while (text.len() as u64) < attempt.body.len() {
            text.extend_from_slice(&attempt.body.read_at(text.len() as u64, 1 << 20).unwrap());
        }
        (attempt, String::from_utf8_lossy(&text).into_owned())
    }

    /// All records so far.
    pub(super) fn records(&self) -> String {
        self.house.load().recorder.flush();
        std::fs::read_to_string(self.folder.path().join("records/records.jsonl")).unwrap()
    }
}

pub(super) fn directory(text: &str) -> Directory {
    let domains: Domains = toml::from_str(text).unwrap();
    Directory::new(&domains, 1000).unwrap()
}

fn quick_limits() -> Limits {
    let login = LoginLimits { delay: Duration::from_millis(1), ..LoginLimits::default() };
    Limits { free_memory: 0, login, ..Limits::default() }
}

fn identity() -> (Identity, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec!["mx.local.example".to_owned()]).unwrap();
    let files = CertificateFiles { certificate: "cert.pem".into(), key: "key.pem".into() };
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes(), &files).unwrap();
    (identity, made.cert.der().to_vec())
}
