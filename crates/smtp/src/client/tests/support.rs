//! What the tests of the client share.

use std::time::{Duration, Instant};

use crate::client::{ClientConfig, ClientSession, ClientTimeouts, Credentials, Message, Output, TlsMode};
use crate::envelope::{MailParams, RcptParams};
use crate::path::ReversePath;
use crate::secret::Secret;
use crate::server::Protocol;
use crate::tls::TlsInfo;

pub fn config() -> ClientConfig {
    ClientConfig {
        ehlo: "client.example.org".parse().unwrap(),
        protocol: Protocol::Smtp,
        tls: TlsMode::None,
        auth: None,
        insecure_allow_plaintext_auth: false,
        pipelining: true,
        chunking: false,
        timeouts: ClientTimeouts::default(),
    }
}

pub fn credentials() -> Credentials {
    Credentials { user: "user".into(), password: Secret::new("pencil") }
}

/// A handshake that was done, with something to bind to.
pub fn tls_info() -> TlsInfo {
    TlsInfo {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        server_name: None,
        exporter: Some(Secret::new([7; 32])),
        end_point: None,
        verified: Ok(()),
    }
}

pub fn message(recipients: &[&str]) -> Message {
    Message {
        from: ReversePath::Mailbox("sender@example.org".parse().unwrap()),
        params: MailParams::default(),
        recipients: recipients.iter().map(|r| (r.parse().unwrap(), RcptParams::default())).collect(),
    }
}

/// All outputs until there is nothing to do; panics where there is no end.
pub fn drain(session: &mut ClientSession) -> Vec<Output> {
    let mut outputs = Vec::new();
    loop {
        assert!(outputs.len() < 100_000, "output without end");
        match session.poll_output() {
            Output::Wait(_) => return outputs,
            closed @ Output::Closed(_) => {
                outputs.push(closed);
                return outputs;
            }
            output => outputs.push(output),
        }
    }
}

pub fn transmitted(outputs: &[Output]) -> Vec<u8> {
    let bytes = outputs.iter().filter_map(|output| match output {
        Output::Transmit(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    bytes.collect::<Vec<_>>().concat()
}

/// A session that has heard these lines of a server, and nothing more to say.
pub fn after(config: ClientConfig, heard: &[&str]) -> ClientSession {
    let now = Instant::now();
    let mut session = ClientSession::new(config, now);
    drain(&mut session);
    for lines in heard {
        session.handle_input(now, lines.as_bytes());
        drain(&mut session);
    }
    session
}

pub fn later(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}
