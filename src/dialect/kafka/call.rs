//! One request on its way to a handler, and what comes back: a frame, and the position in the journal that has to be
//! durable before the frame may leave the process.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::Kafka;
use super::sasl::Access;
use super::wire::header::{finish_response, start_response};
use super::wire::{Message, RequestHeader, encode};
use crate::delivery::Delivery;
use crate::delivery::group::Groups;
use crate::log::{Barrier, Log};

/// What a handler knows of who asks.
pub struct Client {
    pub kafka: Arc<Kafka>,
    pub peer: SocketAddr,
    /// The address that the client reached us at.
    pub local: SocketAddr,
    /// Whether the client has proved who it is.
    pub access: Access,
}

/// One request without its body.
#[derive(Clone)]
pub struct Call {
    pub client: Arc<Client>,
    pub header: Arc<RequestHeader>,
}

/// A response frame and what has to be durable before it is sent.
pub struct Reply {
    pub frame: BytesMut,
    pub after: Barrier,
}

/// What becomes of a request.
pub enum Answer {
    /// The response is there.
    Now(Reply),
    /// It has to be waited for; nothing behind it on its connection is looked at meanwhile.
    Later(Pin<Box<dyn Future<Output = Reply> + Send>>),
    /// The client asked for no response.
    Silent,
    /// The response is there, if one was asked for, and nothing more is read from the client for a while.
    Paused(Option<Reply>, Duration),
    /// The protocol has no response for this: the connection is closed.
    Close(&'static str),
}

impl Call {
    pub fn version(&self) -> i16 {
        self.header.api_version
    }

    pub fn kafka(&self) -> &Kafka {
        &self.client.kafka
    }

    pub fn delivery(&self) -> &Delivery {
        &self.client.kafka.delivery
    }

    pub fn groups(&self) -> &Groups {
        &self.client.kafka.groups
    }

    pub fn log(&self) -> &Log {
        self.client.kafka.delivery.log()
    }

    /// Host and port that this client is told to connect to.
    pub fn advertised(&self) -> (String, i32) {
        match &self.kafka().settings.advertised {
            Some((host, port)) => (host.clone(), i32::from(*port)),
            None => (self.client.local.ip().to_canonical().to_string(), i32::from(self.client.local.port())),
        }
    }

    /// The response as a frame.
    pub fn reply<M: Message>(&self, response: &M, after: Barrier) -> Reply {
        self.reply_with(M::FLEXIBLE, 64, after, |out| encode(response, out, self.version()))
    }

    /// A response whose body is written in place.
    pub fn reply_with(&self, first_flexible: i16, bytes: usize, after: Barrier, body: impl FnOnce(&mut BytesMut)) -> Reply {
        let mut frame = BytesMut::with_capacity(bytes);
        let flexible = self.version() >= first_flexible;
        let start = start_response(&mut frame, self.header.api_key, flexible, self.header.correlation_id);
        body(&mut frame);
        finish_response(&mut frame, start);
        Reply { frame, after }
    }
}
