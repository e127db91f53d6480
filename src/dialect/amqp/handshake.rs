//! From a fresh socket to an open connection: protocol header, start, login, tune, open.
//!
//! Until the client has logged in it is a stranger: frames are small, time is short, and nothing of the broker is touched.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Settings;
use super::error::Fault;
use super::routes::prefix_of;
use super::wire::frame::{PROTOCOL_HEADER, SIZE_MIN};
use super::wire::method::{
    ConnectionClose, ConnectionOpen, ConnectionOpenOk, ConnectionStart, ConnectionStartOk, ConnectionTune, ConnectionTuneOk,
};
use super::wire::{FrameKind, Method, Table, TableBuilder, Value, next_frame, put_method, table};
use crate::security::Authenticator;

/// The largest frame of a stranger, in bytes: room for the client properties and tokens that are in use.
const STRANGER_FRAME_MAX: u32 = 2 * SIZE_MIN;
/// From the first byte to `connection.open`.
const TIME_MAX: Duration = Duration::from_secs(10);
/// How long a refused login waits for its answer, against guessing.
const REFUSAL_DELAY: Duration = Duration::from_millis(500);

/// What was agreed on.
#[derive(Debug, Clone)]
pub struct Opened {
    pub user: String,
    pub vhost: Bytes,
    /// What names of this virtual host begin with in the log; empty for `/`.
    pub prefix: Bytes,
    /// The largest frame, in bytes.
    pub frame_size_max: u32,
    /// The highest channel number.
    pub channel_max: u16,
    /// 0: none.
    pub heartbeat_s: u16,
    /// The client understands a `basic.cancel` from us.
    pub wants_cancel_notice: bool,
    /// The client understands `connection.blocked`.
    pub wants_blocked_notice: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("the client did not speak AMQP 0-9-1")]
    Protocol,
    #[error("the handshake took too long")]
    Timeout,
    #[error("the client went away")]
    Gone,
    #[error("{0}")]
    Socket(#[from] std::io::Error),
    #[error("{}", .0.text())]
    Fault(Fault),
}

impl From<Fault> for HandshakeError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A connection that is being opened.
pub struct Handshake<'s> {
    stream: &'s mut TcpStream,
    settings: &'s Settings,
    users: &'s Arc<dyn Authenticator>,
    input: BytesMut,
    output: BytesMut,
}

/// Client properties that change what is sent to it.
#[derive(Debug, Clone, Copy, Default)]
struct Capabilities {
    cancel_notice: bool,
    blocked_notice: bool,
    refusal_as_close: bool,
}

impl<'s> Handshake<'s> {
    pub fn new(stream: &'s mut TcpStream, settings: &'s Settings, users: &'s Arc<dyn Authenticator>) -> Self {
        Self { stream, settings, users, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// Opens the connection. Returns what was agreed on and input that came early.
    pub async fn run(mut self) -> Result<(Opened, BytesMut), HandshakeError> {
        let result = tokio::time::timeout(TIME_MAX, self.negotiate()).await.unwrap_or(Err(HandshakeError::Timeout));
        match result {
            Ok(opened) => Ok((opened, self.input)),
            Err(HandshakeError::Fault(fault)) => {
                self.refuse(&fault).await?;
                Err(HandshakeError::Fault(fault))
            }
            Err(error) => Err(error),
        }
    }

    async fn negotiate(&mut self) -> Result<Opened, HandshakeError> {
        self.protocol_header().await?;
        let (user, capabilities) = self.login().await?;
        let tuned = self.tune().await?;
        let (vhost, prefix) = self.open().await?;
        Ok(Opened {
            user,
            vhost,
            prefix,
            frame_size_max: tuned.frame_max,
            channel_max: tuned.channel_max,
            heartbeat_s: tuned.heartbeat,
            wants_cancel_notice: capabilities.cancel_notice,
            wants_blocked_notice: capabilities.blocked_notice,
        })
    }

    async fn protocol_header(&mut self) -> Result<(), HandshakeError> {
        while self.input.len() < PROTOCOL_HEADER.len() {
            let agrees = PROTOCOL_HEADER.starts_with(&self.input);
            if !agrees {
                break;
            }
            self.read().await?;
        }
        if self.input.starts_with(&PROTOCOL_HEADER) {
            self.input.advance(PROTOCOL_HEADER.len());
            return Ok(());
        }
        self.stream.write_all(&PROTOCOL_HEADER).await?;
        Err(HandshakeError::Protocol)
    }

    async fn login(&mut self) -> Result<(String, Capabilities), HandshakeError> {
        let properties = server_properties();
        let start = ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: &properties,
            mechanisms: b"AMQPLAIN PLAIN",
            locales: b"en_US",
        };
        self.send(start).await?;
        let (mechanism, credentials, capabilities) = self
            .receive(|method| match method {
                Method::ConnectionStartOk(start) => read_start_ok(&start),
                _ => Err(Fault::InvalidCommand("expected connection.start-ok")),
            })
            .await?;
        let Some((user, password)) = credentials else { return Err(Fault::Login { mechanism }.into()) };
        if self.users.verify(&user, &password).await {
            return Ok((user, capabilities));
        }
        tracing::warn!(user, mechanism, "login refused");
        tokio::time::sleep(REFUSAL_DELAY).await;
        if !capabilities.refusal_as_close {
            return Err(HandshakeError::Gone);
        }
        Err(Fault::Login { mechanism }.into())
    }

    async fn tune(&mut self) -> Result<ConnectionTuneOk, HandshakeError> {
        let (channel_max, frame_max, heartbeat) =
            (self.settings.channel_max, self.settings.frame_max_bytes, self.settings.heartbeat_s);
        self.send(ConnectionTune { channel_max, frame_max, heartbeat }).await?;
        let tuned = self
            .receive(|method| match method {
                Method::ConnectionTuneOk(tuned) => Ok(tuned),
                _ => Err(Fault::InvalidCommand("expected connection.tune-ok")),
            })
            .await?;
        Ok(ConnectionTuneOk {
            channel_max: agree("channel_max", tuned.channel_max.into(), channel_max.into(), 1)? as u16,
            frame_max: agree("frame_max", tuned.frame_max, frame_max, SIZE_MIN)?,
            heartbeat: tuned.heartbeat,
        })
    }

    async fn open(&mut self) -> Result<(Bytes, Bytes), HandshakeError> {
        let vhost = self
            .receive(|method| match method {
                Method::ConnectionOpen(ConnectionOpen { virtual_host, .. }) => Ok(Bytes::copy_from_slice(virtual_host)),
                _ => Err(Fault::InvalidCommand("expected connection.open")),
            })
            .await?;
        let prefix = prefix_of(&vhost).ok_or_else(|| Fault::NoVirtualHost(String::from_utf8_lossy(&vhost).into_owned()))?;
        self.send(ConnectionOpenOk::default()).await?;
        Ok((vhost, prefix))
    }

    async fn send<'a>(&mut self, method: impl Into<Method<'a>>) -> Result<(), HandshakeError> {
        self.output.clear();
        put_method(&mut self.output, 0, method);
        Ok(self.stream.write_all(&self.output).await?)
    }

    async fn receive<T>(&mut self, take: impl Fn(Method<'_>) -> Result<T, Fault>) -> Result<T, HandshakeError> {
        loop {
            let found = next_frame(&self.input, STRANGER_FRAME_MAX).map_err(Fault::Wire)?;
            let Some(frame) = found else {
                self.read().await?;
                continue;
            };
            let len = frame.wire_len();
            let taken = match frame.kind {
                FrameKind::Heartbeat => None,
                FrameKind::Method if frame.channel == 0 => {
                    let method = Method::decode(frame.payload).map_err(Fault::Wire)?;
                    if let Method::ConnectionClose(_) = method {
                        return Err(HandshakeError::Gone);
                    }
                    Some(take(method)?)
                }
                FrameKind::Method | FrameKind::Header | FrameKind::Body => {
                    return Err(Fault::UnexpectedFrame("expected a method of the connection").into());
                }
            };
            self.input.advance(len);
            if let Some(taken) = taken {
                return Ok(taken);
            }
        }
    }

    async fn read(&mut self) -> Result<(), HandshakeError> {
        // A stranger's frames fit; more is left in the socket.
        self.input.reserve(1024);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(HandshakeError::Gone),
            _ => Ok(()),
        }
    }

    /// Says why there is no connection, and leaves the client a moment to read it.
    async fn refuse(&mut self, fault: &Fault) -> Result<(), HandshakeError> {
        let text = fault.text();
        self.send(ConnectionClose { reply_code: fault.code().number(), reply_text: text.as_bytes(), class_id: 0, method_id: 0 })
            .await?;
        let mut rest = [0; 256];
        let wait_for_the_end = async { while self.stream.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), wait_for_the_end).await;
        Ok(())
    }
}

/// The server's proposal against the client's answer, where 0 means no limit of its own.
fn agree(what: &str, answer: u32, proposal: u32, least: u32) -> Result<u32, Fault> {
    match answer {
        0 => Ok(proposal),
        answer if answer > proposal => {
            Err(Fault::Negotiation(format!("negotiated {what} = {answer} is higher than the maximum allowed value ({proposal})")))
        }
        answer if answer < least => {
            Err(Fault::Negotiation(format!("negotiated {what} = {answer} is lower than the minimum allowed value ({least})")))
        }
        answer => Ok(answer),
    }
}

type Credentials = Option<(String, Vec<u8>)>;

fn read_start_ok(start: &ConnectionStartOk<'_>) -> Result<(String, Credentials, Capabilities), Fault> {
    table::validate(start.client_properties)?;
    let capabilities = match Table(start.client_properties).get(b"capabilities") {
        Some(Value::Table(bytes)) => Table(bytes),
        _ => Table::default(),
    };
    let has = |name: &[u8]| capabilities.get(name) == Some(Value::Bool(true));
    let capabilities = Capabilities {
        cancel_notice: has(b"consumer_cancel_notify"),
        blocked_notice: has(b"connection.blocked"),
        refusal_as_close: has(b"authentication_failure_close"),
    };
    let mechanism = String::from_utf8_lossy(start.mechanism).into_owned();
    let credentials = match start.mechanism {
        b"PLAIN" => plain(start.response),
        b"AMQPLAIN" => amqplain(start.response),
        _ => return Err(Fault::Negotiation(format!("unknown authentication mechanism '{mechanism}'"))),
    };
    Ok((mechanism, credentials, capabilities))
}

/// RFC 4616: authorization identity, user and password between zeros.
fn plain(response: &[u8]) -> Credentials {
    let mut parts = response.splitn(3, |byte| *byte == 0);
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    Some((String::from_utf8(user.to_vec()).ok()?, password.to_vec()))
}

/// A table with `LOGIN` and `PASSWORD`, without the table's length.
fn amqplain(response: &[u8]) -> Credentials {
    let entries = Table(response);
    let user = entries.get(b"LOGIN")?.text()?;
    let password = entries.get(b"PASSWORD")?.text()?;
    Some((String::from_utf8(user.to_vec()).ok()?, password.to_vec()))
}

fn server_properties() -> BytesMut {
    let capabilities = [
        &b"publisher_confirms"[..],
        b"exchange_exchange_bindings",
        b"basic.nack",
        b"consumer_cancel_notify",
        b"connection.blocked",
        b"authentication_failure_close",
        b"per_consumer_qos",
    ];
    let mut table = TableBuilder::new();
    for capability in capabilities {
        table.push(capability, Value::Bool(true));
    }
    let capabilities = table.finish();
    TableBuilder::new()
        .entry(b"capabilities", Value::Table(&capabilities))
        .entry(b"product", Value::Text(b"Trunkline"))
        .entry(b"version", Value::Text(env!("CARGO_PKG_VERSION").as_bytes()))
        .entry(b"platform", Value::Text(b"Rust"))
        .entry(b"information", Value::Text(b"Licensed under Apache-2.0"))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_both_mechanisms() {
        assert_eq!(plain(b"\0guest\0se\0cret"), Some(("guest".into(), b"se\0cret".to_vec())));
        assert_eq!(plain(b"guest"), None);
        let response = TableBuilder::new().entry(b"LOGIN", Value::Text(b"u")).entry(b"PASSWORD", Value::Text(b"p")).finish();
        assert_eq!(amqplain(&response), Some(("u".into(), b"p".to_vec())));
        assert_eq!(amqplain(b"garbage"), None);
    }

    #[test]
    fn answers_beyond_the_proposal_are_refused() {
        assert_eq!(agree("frame_max", 0, 131_072, SIZE_MIN), Ok(131_072));
        assert_eq!(agree("frame_max", 8192, 131_072, SIZE_MIN), Ok(8192));
        assert!(agree("frame_max", 200_000, 131_072, SIZE_MIN).is_err());
        assert!(agree("frame_max", 100, 131_072, SIZE_MIN).is_err());
    }
}
