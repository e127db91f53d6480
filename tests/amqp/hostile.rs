//! Bytes that no client sends: an error of the protocol or a closed connection, and everyone else is served.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trunkline::dialect::amqp::wire::method::*;
use trunkline::dialect::amqp::wire::{FrameKind, Method, frame, next_frame, put_method};

use crate::broker::*;
use crate::support::until;

const HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

struct Raw(TcpStream, bytes::BytesMut);

impl Raw {
    async fn to(broker: &Broker) -> Self {
        Self(TcpStream::connect(broker.address).await.unwrap(), bytes::BytesMut::new())
    }

    /// A connection with channel 1 open, by hand.
    async fn open(broker: &Broker) -> Self {
        let mut raw = Self::to(broker).await;
        raw.send(&HEADER).await;
        raw.method(
            0,
            ConnectionStartOk { mechanism: b"PLAIN", response: b"\0guest\0guest", locale: b"en_US", ..Default::default() },
        )
        .await;
        raw.method(0, ConnectionTuneOk { channel_max: 10, frame_max: 4096, heartbeat: 0 }).await;
        raw.method(0, ConnectionOpen { virtual_host: b"/", ..Default::default() }).await;
        raw.method(1, ChannelOpen::default()).await;
        raw.until(|method| matches!(method, Method::ChannelOpenOk(_)).then_some(())).await.unwrap();
        raw
    }

    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    async fn method<'a>(&mut self, channel: u16, method: impl Into<Method<'a>>) {
        let mut out = bytes::BytesMut::new();
        put_method(&mut out, channel, method);
        self.send(&out).await;
    }

    /// Reads until a method is what is looked for; `None` if the connection ends first.
    async fn until<T>(&mut self, wanted: impl Fn(Method<'_>) -> Option<T>) -> Option<T> {
        loop {
            while let Ok(Some(found)) = next_frame(&self.1, 131_072) {
                let (len, is_method) = (found.wire_len(), found.kind == FrameKind::Method);
                let hit = is_method.then(|| wanted(Method::decode(found.payload).unwrap())).flatten();
                let _ = self.1.split_to(len);
                if hit.is_some() {
                    return hit;
                }
            }
            let read = tokio::time::timeout(PATIENCE, self.0.read_buf(&mut self.1)).await.expect("an answer in time");
            if read.map_or(true, |count| count == 0) {
                return None;
            }
        }
    }

    async fn close_code(&mut self) -> Option<u16> {
        self.until(|method| match method {
            Method::ConnectionClose(close) => Some(close.reply_code),
            Method::ChannelClose(close) => Some(close.reply_code),
            _ => None,
        })
        .await
    }
}

#[tokio::test]
async fn another_protocol_is_told_which_one_we_speak() {
    let broker = Broker::start().await;
    for greeting in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"AMQP\x00\x01\x00\x00", b"\x16\x03\x01\x02\x00"] {
        let mut raw = Raw::to(&broker).await;
        raw.send(greeting).await;
        let mut answer = Vec::new();
        let _ = raw.0.read_to_end(&mut answer).await;
        assert_eq!(answer, HEADER);
    }
}

#[tokio::test]
async fn faults_have_the_codes_of_the_specification() {
    let broker = Broker::start().await;
    let header_first = [2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, frame::END];
    let publish_then_method = {
        let mut out = bytes::BytesMut::new();
        put_method(&mut out, 1, BasicPublish::default());
        put_method(&mut out, 1, BasicQos::default());
        out
    };
    let cases: [(&str, &[u8], u16); 9] = [
        ("2 GB frame", &[1, 0, 1, 0x7f, 0xff, 0xff, 0xff], 501),
        ("-1 bytes", &[1, 0, 1, 0xff, 0xff, 0xff, 0xff], 501),
        ("unknown kind", &[77, 0, 1, 0, 0, 0, 0, frame::END], 501),
        ("wrong end", &[8, 0, 0, 0, 0, 0, 0, 7], 501),
        ("unknown method", &[1, 0, 1, 0, 0, 0, 4, 0, 60, 9, 9, frame::END], 540),
        ("cut method", &[1, 0, 1, 0, 0, 0, 5, 0, 50, 0, 10, 0, frame::END], 502),
        ("header without publish", &header_first, 505),
        ("publish without header", &publish_then_method, 505),
        ("channel that is not open", &[1, 0, 7, 0, 0, 0, 5, 0, 60, 0, 110, 1, frame::END], 504),
    ];
    for (what, bytes, code) in cases {
        let mut raw = Raw::open(&broker).await;
        raw.send(bytes).await;
        assert_eq!(raw.close_code().await, Some(code), "{what}");
        raw.method(0, ConnectionCloseOk {}).await;
        assert_eq!(raw.until(|_| Some(())).await, None, "{what}");
    }
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "still-served").await;
}

#[tokio::test]
async fn an_unknown_delivery_tag_is_named() {
    let broker = Broker::start().await;
    let mut raw = Raw::open(&broker).await;
    raw.method(1, BasicAck { delivery_tag: 7, multiple: false }).await;
    let text = raw.until(|method| match method {
        Method::ChannelClose(close) => Some(String::from_utf8_lossy(close.reply_text).into_owned()),
        _ => None,
    });
    assert_eq!(text.await.as_deref(), Some("PRECONDITION_FAILED - unknown delivery tag 7"));
}

#[tokio::test]
async fn tables_nested_without_end_are_refused() {
    let broker = Broker::start().await;
    let mut inner: Vec<u8> = Vec::new();
    for _ in 0..600 {
        inner = [&b"\x01kF"[..], &(inner.len() as u32).to_be_bytes(), &inner].concat();
    }
    assert!(inner.len() > 4000);
    inner = [&b"\x01kF"[..], &2000u32.to_be_bytes(), &inner[..2000]].concat();
    let mut raw = Raw::open(&broker).await;
    raw.method(1, QueueDeclare { queue: b"deep", arguments: &inner, ..Default::default() }).await;
    assert_eq!(raw.close_code().await, Some(502));
}

#[tokio::test]
async fn a_message_that_claims_too_much_is_refused_by_its_header() {
    let broker = Broker::start().await;
    let mut raw = Raw::open(&broker).await;
    raw.method(1, BasicPublish::default()).await;
    let mut out = bytes::BytesMut::new();
    trunkline::dialect::amqp::wire::put_header(&mut out, 1, u64::MAX, &[0, 0]);
    raw.send(&out).await;
    assert_eq!(raw.close_code().await, Some(406));
    raw.method(1, ChannelCloseOk {}).await;
    raw.method(1, ChannelOpen::default()).await;
    assert!(raw.until(|method| matches!(method, Method::ChannelOpenOk(_)).then_some(())).await.is_some());
}

#[tokio::test]
async fn a_client_that_never_reads_holds_only_its_window() {
    let broker = Broker::start().await;
    let (_connection, channel) = broker.channel().await;
    declare(&channel, "flood").await;
    confirms(&channel).await;
    let mut waiting = Vec::new();
    for _ in 0..400 {
        waiting.push(
            channel
                .basic_publish(
                    "".into(),
                    "flood".into(),
                    lapin::options::BasicPublishOptions::default(),
                    &[1; 100_000],
                    persistent(),
                )
                .await
                .unwrap(),
        );
    }
    for confirm in waiting {
        confirm.await.unwrap();
    }
    let mut deaf = Raw::open(&broker).await;
    deaf.method(1, BasicConsume { queue: b"flood", no_ack: true, ..Default::default() }).await;
    until("it was handed its window", async || broker.delivery.queues()[0].in_flight > 100).await;
    assert!(
        ready(&channel, "flood").await + broker.delivery.queues()[0].in_flight as u32 > 250,
        "most of it was not taken for a deaf client"
    );
    drop(deaf);
    until("what it was not sent is back", async || broker.delivery.queues()[0].in_flight == 0).await;
    assert!(ready(&channel, "flood").await > 250);
}
