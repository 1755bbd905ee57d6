//! The whole room against a real server on loopback.

mod letters;
mod levels;
mod needs;
mod queued;
mod send;
mod shaping;
mod sink;
mod sites;
mod times;
mod trust;

use std::sync::{Arc, LazyLock};

use dns::Zone;
use queue::{
    Attempt, Body, Lane, Letter, Origin, QueueId, Recipient, RecipientOutcome, RecipientState, Timestamp, Verdict,
    Weather,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use smtp::{MailParams, RcptParams, ReversePath};

use crate::connect::State;
use crate::kept::Kept;
use crate::remote;
use crate::shaper::{Ear, Told};
use crate::{Setup, Shaping};

/// What is known of providers.
pub(crate) fn shipped() -> &'static Arc<Shaping> {
    static SHIPPED: LazyLock<Arc<Shaping>> = LazyLock::new(|| Arc::new(Shaping::shipped().unwrap()));
    &SHIPPED
}

fn setup(config: &str, zone: Zone, authorities: RootCertStore) -> Setup {
    Setup {
        config: toml::from_str(config).unwrap_or_else(|error| panic!("{config}: {error}")),
        hostname: "us.example".parse().unwrap(),
        listening: vec![],
        resolver: Arc::new(zone),
        authorities: Arc::new(authorities),
        mailboxes: Arc::new(crate::Everybody),
        shaping: shipped().clone(),
        shaping_file: None,
    }
}

/// A house with no queue: letters are handed over one by one, on one connection as long as it lasts.
pub(crate) struct House {
    state: Arc<State>,
    line: Option<Kept>,
    /// What the last attempt said of the site.
    weather: Option<Weather>,
    /// What its replies changed of the site's limits.
    told: Vec<Told>,
}

impl House {
    pub(crate) fn new(config: &str) -> Self {
        Self::with(config, Zone::new(), RootCertStore::empty())
    }

    fn with(config: &str, zone: Zone, authorities: RootCertStore) -> Self {
        let state = setup(config, zone, authorities).state().unwrap();
        Self { state: Arc::new(state), line: None, weather: None, told: Vec::new() }
    }

    /// Into mailboxes.
    pub(crate) async fn send_locally(&self, to: &[&str]) -> Vec<RecipientOutcome> {
        let attempt = attempt(to, b"Subject: hello\r\n\r\nbody\r\n");
        let recipients: Vec<_> = attempt.letter.recipients.iter().enumerate().collect();
        let mut outcomes = vec![None; recipients.len()];
        crate::local::deliver(&self.state, &attempt, &recipients, &mut outcomes).await;
        outcomes.into_iter().map(|outcome| outcome.expect("each recipient has an outcome")).collect()
    }

    async fn send(&mut self, to: &[&str]) -> Vec<RecipientOutcome> {
        self.send_body(to, b"Subject: hello\r\n\r\nbody\r\n").await
    }

    async fn send_body(&mut self, to: &[&str], body: &[u8]) -> Vec<RecipientOutcome> {
        self.send_as(attempt(to, body)).await
    }

    async fn send_as(&mut self, attempt: Attempt) -> Vec<RecipientOutcome> {
        let way = self.state.way_to(&attempt.letter.recipients[0].address, attempt.redirect.as_deref()).await;
        let recipients: Vec<_> = attempt.letter.recipients.iter().enumerate().collect();
        let mut outcomes = vec![None; recipients.len()];
        if let Some(line) = self.line.take_if(|line| line.is_spent(&self.state)) {
            line.quit().await;
        }
        let lane = Lane::of(way.site.clone());
        let mut ear = Ear::new(&self.state, &lane);
        self.weather = remote::deliver(&mut ear, &way, &mut self.line, &attempt, &recipients, &mut outcomes).await;
        self.told = ear.told();
        outcomes.into_iter().map(|outcome| outcome.expect("each recipient has an outcome")).collect()
    }
}

fn attempt(to: &[&str], body: &[u8]) -> Attempt {
    attempt_with(to, body, MailParams::default())
}

fn attempt_with(to: &[&str], body: &[u8], params: MailParams) -> Attempt {
    let recipient = |to: &&str| Recipient {
        address: to.parse().unwrap(),
        params: RcptParams::default(),
        state: RecipientState::Pending { attempts: 0, last: None },
    };
    let letter = Letter {
        id: QueueId(1),
        arrived: Timestamp(0),
        from: ReversePath::Mailbox("sender@us.example".parse().unwrap()),
        params,
        recipients: to.iter().map(recipient).collect(),
        size: body.len() as u64,
        origin: Origin::default(),
        bulk: false,
        tls_optional: false,
    };
    Attempt {
        recipients: (0..letter.recipients.len()).collect(),
        letter: Arc::new(letter),
        body: Body::from_bytes(body.to_vec()),
        redirect: None,
    }
}

pub(crate) fn verdicts(outcomes: &[RecipientOutcome]) -> Vec<Verdict> {
    outcomes.iter().map(|outcome| outcome.verdict).collect()
}

/// An authority, and a certificate of it or of nobody.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        // Two authorities of one name would be taken for one that signs badly.
        let name = format!("authority {:x}", getrandom::u64().unwrap());
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: rcgen::Issuer::new(params, key), certificate }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.server_until(name, 4000)
    }

    /// With a certificate that is good until this year begins.
    fn server_until(&self, name: &str, year: i32) -> Arc<ServerConfig> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        server_config(certificate.der().clone(), &key)
    }
}

fn self_signed(name: &str) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    server_config(made.cert.der().clone(), &made.signing_key)
}

fn server_config(certificate: CertificateDer<'static>, key: &rcgen::KeyPair) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}
