//! The life of the process: what is opened in which order, what a reload replaces, how it stops.
//!
//! # Invariants
//! - Nobody is greeted before the data folder is ours and the queue has been read.
//! - A reload replaces values whole; when the new configuration is wrong, nothing of it takes effect.
//! - The program stops at once when the spool has failed: what it cannot keep it does not accept.

mod addresses;
mod answers;
mod bind;
pub mod house;
mod listeners;
pub mod log;
mod pickup;
mod signals;
pub mod tls;
mod window;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::config::{Config, Loaded};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::sendmail::dropbox::Dropbox;

pub use bind::bind;
pub use signals::Signals;

use house::Rooms;
use listeners::Listeners;

/// How often certificate files and the dropbox are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The accounts, in a data folder.
pub fn state_db(data_dir: &Path) -> PathBuf {
    data_dir.join("state.db")
}

/// The runtime that serves connections.
pub fn runtime() -> Result<tokio::runtime::Runtime, Fault> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::io(Exit::Failed, "the threads that serve cannot be started", &error))
}

/// Every address of a configuration, in its order.
pub fn bind_all(config: &Config) -> Result<Vec<TcpListener>, Fault> {
    config.listener.iter().flat_map(|listener| listener.address.0.iter()).map(|address| bind(*address)).collect()
}

/// The running program.
pub struct Server {
    current: Mutex<Loaded>,
    rooms: Rooms,
    listeners: Mutex<Listeners>,
    /// What the last reload said, where it could not be done.
    reload_error: Mutex<Option<String>>,
    dropbox: Dropbox,
    dropbox_filled: Notify,
    logging: log::Logging,
    stopping: watch::Sender<bool>,
}

impl Server {
    /// Opens everything and begins to serve. `sockets` are those of the configuration's listeners, in their order.
    pub async fn start(loaded: Loaded, sockets: Vec<TcpListener>, logging: log::Logging) -> Result<Arc<Self>, Fault> {
        let config = &loaded.config;
        let folder = config.server.data_dir.clone();
        make_data_dir(&folder)?;
        let metrics = window::socket(config)?;
        let rooms = Rooms::open(config)?;
        let dropbox = Dropbox::new(&folder);
        let control = dropbox
            .create()
            .and_then(|()| crate::control::bind(&folder))
            .map_err(|error| Fault::io(Exit::DataDir, format_args!("{}", folder.display()), &error))?;
        let (stopping, _) = watch::channel(false);
        let listeners = Listeners::start(config, sockets, &rooms.house)?;
        let server = Arc::new(Self {
            current: Mutex::new(loaded),
            rooms,
            listeners: Mutex::new(listeners),
            reload_error: Mutex::new(None),
            dropbox,
            dropbox_filled: Notify::new(),
            logging,
            stopping,
        });
        window::open(&server, metrics)?;
        server.rooms.start_delivery(server.stopping.subscribe());
        tokio::spawn(crate::control::serve(control, Arc::clone(&server)));
        tokio::spawn(pickup::run(Arc::clone(&server)));
        tokio::spawn(watch_certificates(Arc::clone(&server)));
        for address in lock(&server.listeners).addresses() {
            tracing::info!(%address, "listening");
        }
        Ok(server)
    }

    /// Serves until SIGTERM or SIGINT, then drains; SIGHUP reloads.
    ///
    /// # Errors
    /// Exit code 6 when the spool has failed.
    pub async fn until_told_to_stop(self: &Arc<Self>, signals: Signals) -> Result<(), Fault> {
        let Signals { mut terminate, mut interrupt, mut hangup } = signals;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => self.reload_and_say(),
                reason = self.rooms.queue.failed() => {
                    tracing::error!(reason, "the spool has failed; stopping");
                    return Err(Fault::new(Exit::Disk, format!("the disk failed: {reason}"))
                        .help("nothing that was answered 250 is lost; mend the disk and start again"));
                }
            }
        }
        tracing::info!("stopping");
        tokio::select! {
            () = self.stop() => {}
            // The impatient press Ctrl-C twice.
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopped");
        Ok(())
    }

    /// No new connections; letters under way get their time.
    pub async fn stop(&self) {
        let (drain, began) = (lock(&self.current).config.server.drain, Instant::now());
        self.stopping.send_replace(true);
        let listeners = lock(&self.listeners).stop();
        let finished = async {
            for listener in listeners {
                // A listener that panicked has nothing left to wait for.
                let _ = listener.await;
            }
        };
        if tokio::time::timeout(drain + Duration::from_secs(5), finished).await.is_err() {
            tracing::warn!("connections were still open at the end of the drain");
        }
        // Deliveries were told to stop with the listeners: they have had the same time.
        self.rooms.queue.close(drain.saturating_sub(began.elapsed()).max(Duration::from_secs(1))).await;
        let folder = lock(&self.current).config.server.data_dir.clone();
        let _ = std::fs::remove_file(crate::control::path(&folder));
    }

    fn reload_and_say(&self) {
        match self.reload() {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(fault) => tracing::error!(error = %fault.message, "not reloaded; the old configuration goes on"),
        }
    }

    /// Reads the configuration again; where it is wrong, the old one goes on.
    pub fn reload(&self) -> Result<(), Fault> {
        let path = lock(&self.current).path.clone();
        let result = crate::config::load(&path).and_then(|loaded| self.take_over(loaded));
        *lock(&self.reload_error) = result.as_ref().err().map(|fault| fault.message.clone());
        result
    }

    fn take_over(&self, loaded: Loaded) -> Result<(), Fault> {
        let mut listeners = lock(&self.listeners);
        if loaded.config.server.data_dir != lock(&self.current).config.server.data_dir {
            return Err(
                Fault::new(Exit::Usage, "server.data_dir cannot change while the server runs").help("restart it")
            );
        }
        let prepared = self.rooms.prepare(&loaded.config)?;
        let new_sockets = listeners.bind_new(&loaded.config)?;
        // What comes after this cannot fail: all of it takes effect.
        self.rooms.replace(prepared)?;
        self.logging.change(&loaded.config.log);
        if loaded.config.passwords != lock(&self.current).config.passwords {
            tracing::warn!("what changed in [passwords] takes effect at the next start");
        }
        if loaded.config.metrics != lock(&self.current).config.metrics {
            tracing::warn!("what changed in [metrics] takes effect at the next start");
        }
        listeners.replace(&loaded.config, new_sockets, &self.rooms.house);
        *lock(&self.current) = loaded;
        Ok(())
    }
}

/// A thread that panicked while it held one of these has changed nothing by halves: values are replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Makes the folder where it is missing. Others may pass through, to the dropbox; nothing in it is theirs to read.
pub fn make_data_dir(folder: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o711).create(folder).map_err(|error| {
        Fault::io(Exit::DataDir, format_args!("the data folder {} cannot be made", folder.display()), &error)
            .help("server.data_dir names it; make it, owned by the user that the server runs as")
    })
}

/// Certificates are taken anew when their files change, as after a renewal.
async fn watch_certificates(server: Arc<Server>) {
    let mut stopping = server.stopping.subscribe();
    let mut seen = tls::stamps(&lock(&server.current).config);
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        let now = tls::stamps(&lock(&server.current).config);
        // Two files are replaced one after the other; a file that is missing is being replaced.
        if now != seen && now.iter().all(Option::is_some) {
            let config = lock(&server.current).config.clone();
            seen = now;
            match server.rooms.prepare(&config).and_then(|prepared| server.rooms.replace(prepared)) {
                Ok(()) => tracing::info!("certificates reloaded"),
                // Said once for each state of the files: until the other one follows, they do not match.
                Err(fault) => {
                    tracing::warn!(error = %fault.message, "certificates changed and cannot be used; the old ones go on");
                }
            }
        }
    }
}
