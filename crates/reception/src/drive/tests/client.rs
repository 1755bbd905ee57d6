//! A client that says and hears lines, plain or under TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use smtp::sasl::{ClientExchange, Mechanism, decode_base64, encode_base64};
use smtp::{Secret, TlsInfo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::house::{PASSWORD, Server};

/// Long enough for a busy machine; reached only where a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Client<S> {
    stream: S,
    heard: Vec<u8>,
}

impl Client<TcpStream> {
    /// Connected, the greeting not read yet.
    pub(super) async fn connect(server: &Server) -> Self {
        Self { stream: TcpStream::connect(server.address).await.unwrap(), heard: Vec::new() }
    }

    /// Connected, greeted, and EHLO answered.
    pub(super) async fn greeted(server: &Server) -> Self {
        let mut client = Self::connect(server).await;
        assert!(client.reply().await.starts_with("220 mx.local.example "));
        client.say("EHLO client.example").await;
        client
    }

    /// TLS from the first byte.
    pub(super) async fn encrypt(self, server: &Server) -> Client<TlsStream<TcpStream>> {
        self.encrypt_by(server, &rustls::version::TLS13).await
    }

    pub(super) async fn encrypt_by(
        self,
        server: &Server,
        version: &'static SupportedProtocolVersion,
    ) -> Client<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(server.certificate.clone())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("mx.local.example").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, self.stream).await.unwrap();
        Client { stream, heard: Vec::new() }
    }

    /// STARTTLS, then EHLO anew.
    pub(super) async fn upgraded(server: &Server) -> Client<TlsStream<TcpStream>> {
        let mut client = Self::greeted(server).await;
        assert!(client.say("STARTTLS").await.starts_with("220 "));
        let mut client = client.encrypt(server).await;
        client.say("EHLO client.example").await;
        client
    }
}

impl Client<TlsStream<TcpStream>> {
    /// What SCRAM-…-PLUS is bound to.
    pub(super) fn tls(&self, server: &Server) -> TlsInfo {
        use sha2::Digest;
        let tls = self.stream.get_ref().1;
        let modern = tls.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        let exporter = tls.export_keying_material([0u8; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap();
        TlsInfo {
            protocol: if modern { "TLSv1.3" } else { "TLSv1.2" },
            cipher: String::new(),
            server_name: None,
            exporter: modern.then(|| Secret::new(exporter)),
            end_point: Some(Secret::new(sha2::Sha256::digest(&server.certificate).to_vec())),
            verified: Ok(()),
        }
    }

    /// The reply that ends the exchange.
    pub(super) async fn log_in(&mut self, server: &Server, mechanism: Mechanism, name: &str, password: &str) -> String {
        let tls = self.tls(server);
        let mut exchange = ClientExchange::new(mechanism, name, &Secret::new(password), Some(&tls)).unwrap();
        let initial = exchange.initial().map(|initial| format!(" {}", encode_base64(initial.expose())));
        let mut reply = self.say(&format!("AUTH {mechanism}{}", initial.unwrap_or_default())).await;
        while let Some(challenge) = reply.strip_prefix("334 ") {
            let challenge = decode_base64(challenge.as_bytes()).unwrap();
            let response = exchange.step(&challenge).unwrap();
            reply = self.say(&encode_base64(response.expose())).await;
        }
        reply
    }

    /// Logged in as alice.
    pub(super) async fn alice(server: &Server) -> Self {
        let mut client = Client::upgraded(server).await;
        let reply = client.log_in(server, Mechanism::Plain, "alice", PASSWORD).await;
        assert!(reply.starts_with("235 "), "{reply}");
        client
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// One command, and its reply.
    pub(super) async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// One reply, its lines joined by `\n`, without the last line end. Empty where the connection was closed.
    pub(super) async fn reply(&mut self) -> String {
        timeout(PATIENCE, self.whole_reply()).await.expect("a reply comes")
    }

    async fn whole_reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let Some(line) = self.line().await else { return reply };
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
            reply.push('\n');
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            let mut bytes = [0u8; 4096];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.heard.extend_from_slice(&bytes[..count]),
            }
        }
    }

    /// Whether the server has closed, with nothing more to say.
    pub(super) async fn is_closed(&mut self) -> bool {
        self.reply().await.is_empty()
    }

    /// A whole letter from `from` to `to`; the reply at its end, or the first refusal.
    pub(super) async fn letter(&mut self, from: &str, to: &str) -> String {
        for line in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".to_owned()] {
            let reply = self.say(&line).await;
            if !reply.starts_with(['2', '3']) {
                return reply;
            }
        }
        self.say("Subject: hello\r\n\r\nworld\r\n.").await
    }
}
