//! Letters that `sendmail` left in the dropbox go into the queue.

use std::path::Path;
use std::sync::Arc;

use queue::{NewLetter, Origin, Recipient};
use smtp::{Body, MailParams, Mailbox, RcptParams, ReversePath};

use super::{LOOK, Server, lock};
use crate::sendmail::dropbox::Dropped;
use crate::sendmail::user_name;

/// Letters taken in one go; a full dropbox is emptied in several.
const AT_ONCE: usize = 100;

/// Looks when told to, and every so often: a letter may have come while nothing ran.
pub async fn run(server: Arc<Server>) {
    let mut stopping = server.stopping.subscribe();
    loop {
        while take_all(&server).await {}
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = server.dropbox_filled.notified() => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

/// True where there may be more.
async fn take_all(server: &Server) -> bool {
    let waiting = match server.dropbox.waiting(AT_ONCE) {
        Ok(waiting) => waiting,
        Err(error) => {
            tracing::error!(%error, "the dropbox cannot be listed");
            return false;
        }
    };
    let mut taken = 0;
    for path in &waiting {
        match server.dropbox.take(path) {
            Ok(Some(dropped)) => {
                if !submit(server, dropped).await {
                    return false;
                }
                taken += 1;
            }
            Ok(None) => {
                tracing::error!(file = %path.display(), "a file in the dropbox is no letter; set aside in bad/")
            }
            Err(error) => tracing::error!(file = %path.display(), %error, "a letter in the dropbox cannot be read"),
        }
    }
    taken == AT_ONCE
}

/// False where the queue takes nothing now; the letter stays in the dropbox.
async fn submit(server: &Server, dropped: Dropped) -> bool {
    let path = dropped.path.clone();
    let hostname = lock(&server.current).config.server.hostname.0.clone();
    let (letter, text) = match read(dropped, &hostname, server) {
        Reading::Letter(letter, text) => (letter, text),
        Reading::Unreadable => {
            set_aside(server, &path, "its addresses cannot be read");
            return true;
        }
        Reading::NotNow => return false,
    };
    let mut draft = server.rooms.queue.draft();
    if let Err(error) = draft.write(&text) {
        tracing::error!(%error, "a letter of the dropbox cannot be stored; it stays there");
        return false;
    }
    match server.rooms.queue.submit(*letter, draft).await {
        Ok(id) => {
            // A file that stays would be sent again: this error is loud.
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::error!(%id, file = %path.display(), %error, "a queued letter cannot be removed from the dropbox");
                set_aside(server, &path, "it is in the queue and could not be removed");
            }
            true
        }
        Err(refusal) => {
            tracing::warn!(%refusal, "a letter of the dropbox cannot be taken now; it stays there");
            false
        }
    }
}

fn pending(address: Mailbox) -> Recipient {
    Recipient::new(address, RcptParams::default())
}

fn set_aside(server: &Server, path: &Path, why: &str) {
    tracing::error!(file = %path.display(), why, "a letter of the dropbox is set aside in bad/");
    if let Err(error) = server.dropbox.set_aside(path) {
        tracing::error!(file = %path.display(), %error, "it cannot be set aside");
    }
}

/// What a file of the dropbox is.
enum Reading {
    Letter(Box<NewLetter>, Vec<u8>),
    Unreadable,
    /// The accounts cannot be looked up now.
    NotNow,
}

fn addresses(dropped: &Dropped) -> Option<(ReversePath, Vec<Mailbox>)> {
    let from = match dropped.slip.from.as_str() {
        "" => ReversePath::Null,
        text => ReversePath::Mailbox(text.parse().ok()?),
    };
    let named: Vec<Mailbox> = dropped.slip.recipients.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
    (!named.is_empty()).then_some((from, named))
}

fn read(dropped: Dropped, hostname: &smtp::Domain, server: &Server) -> Reading {
    let Some((from, named)) = addresses(&dropped) else { return Reading::Unreadable };
    let shared = server.rooms.house.load();
    let mut recipients = Vec::new();
    for address in &named {
        match reception::resolve(&shared, address) {
            Ok(targets) => recipients.extend(targets.into_iter().map(pending)),
            // Nobody is there to say no to, as at a door: delivery refuses it, and the sender gets a report.
            Err(reply) if reply.is_permanent() => recipients.push(pending(address.clone())),
            Err(_) => return Reading::NotNow,
        }
    }
    let smtputf8 = !named.iter().all(Mailbox::is_ascii) || from.mailbox().is_some_and(|m| !m.is_ascii());
    let params = MailParams {
        size: Some(dropped.text.len() as u64),
        body: (!dropped.text.is_ascii()).then_some(Body::EightBitMime),
        smtputf8,
        ..MailParams::default()
    };
    let user = user_name(dropped.uid);
    let received = mail::trace::Received {
        helo: None,
        client: None,
        by: hostname.to_string(),
        with: "local".to_owned(),
        tls: None,
        for_recipient: None,
    };
    let origin = Origin {
        listener: "sendmail".to_owned(),
        client: None,
        helo: None,
        protocol: "local".to_owned(),
        user: Some(user),
    };
    let letter = NewLetter { from, params, recipients, expanded: Vec::new(), origin, received, complete_header: true };
    Reading::Letter(Box::new(letter), dropped.text)
}
