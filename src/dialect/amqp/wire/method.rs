//! Every method of AMQP 0-9-1 and of RabbitMQ's extensions, as one table: class, method, name, fields.
//!
//! The table writes the structs, the [`Method`] enum and both directions of the codec. Strings and tables are borrowed from the
//! frame. Field names are the specification's; reserved fields are kept so that the order on the wire can be read off.

use bytes::BytesMut;

use super::error::WireError;
use super::field::{Reader, Writer};
use super::frame::{FrameKind, put_frame};

/// The Rust type of a wire field.
macro_rules! field_type {
    (octet) => {
        u8
    };
    (short) => {
        u16
    };
    (long) => {
        u32
    };
    (longlong) => {
        u64
    };
    (bit) => {
        bool
    };
    ($string_or_table:ident $lt:lifetime) => {
        &$lt[u8]
    };
}

macro_rules! methods {
    ($($class:literal $id:literal $name:ident $(<$life:lifetime>)? { $($field:ident: $kind:ident $($lt:lifetime)?),* })*) => {
        $(
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
            pub struct $name $(<$life>)? { $(pub $field: field_type!($kind $($lt)?)),* }

            impl<'a> From<$name $(<$life>)?> for Method<'a> {
                fn from(method: $name $(<$life>)?) -> Self {
                    Self::$name(method)
                }
            }
        )*

        /// A method with its arguments.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Method<'a> { $($name($name $(<$life>)?)),* }

        impl<'a> Method<'a> {
            /// Reads the payload of a method frame.
            pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
                let mut reader = Reader::new(payload);
                let (class_id, method_id) = (reader.short()?, reader.short()?);
                match (class_id, method_id) {
                    $(($class, $id) => {
                        let method = $name { $($field: reader.$kind()?),* };
                        Ok(Self::$name(method))
                    })*
                    _ => Err(WireError::UnknownMethod { class_id, method_id }),
                }
            }

            fn encode(&self, writer: &mut Writer<'_>) {
                let (class_id, method_id) = self.id();
                writer.short(class_id);
                writer.short(method_id);
                match self {
                    $(Self::$name(method) => { let _ = method; $(writer.$kind(method.$field);)* })*
                }
            }

            /// Class and method number.
            pub fn id(&self) -> (u16, u16) {
                match self {
                    $(Self::$name(_) => ($class, $id)),*
                }
            }

            /// The name as in the table.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name)),*
                }
            }
        }

        /// One of each method with values drawn from `seed`.
        #[cfg(test)]
        pub fn samples(seed: u64) -> Vec<Method<'static>> {
            let mut sampler = tests::Sampler::new(seed);
            vec![$(Method::$name($name { $($field: sampler.keep(stringify!($field)).then(|| sampler.$kind()).unwrap_or_default()),* })),*]
        }

        /// Class, method and name of all methods.
        pub const METHODS: &[(u16, u16, &str)] = &[$(($class, $id, stringify!($name))),*];
    };
}

methods! {
    10 10 ConnectionStart<'a> { version_major: octet, version_minor: octet, server_properties: table 'a, mechanisms: longstr 'a, locales: longstr 'a }
    10 11 ConnectionStartOk<'a> { client_properties: table 'a, mechanism: shortstr 'a, response: longstr 'a, locale: shortstr 'a }
    10 20 ConnectionSecure<'a> { challenge: longstr 'a }
    10 21 ConnectionSecureOk<'a> { response: longstr 'a }
    10 30 ConnectionTune { channel_max: short, frame_max: long, heartbeat: short }
    10 31 ConnectionTuneOk { channel_max: short, frame_max: long, heartbeat: short }
    10 40 ConnectionOpen<'a> { virtual_host: shortstr 'a, reserved_1: shortstr 'a, reserved_2: bit }
    10 41 ConnectionOpenOk<'a> { reserved_1: shortstr 'a }
    10 50 ConnectionClose<'a> { reply_code: short, reply_text: shortstr 'a, class_id: short, method_id: short }
    10 51 ConnectionCloseOk {}
    10 60 ConnectionBlocked<'a> { reason: shortstr 'a }
    10 61 ConnectionUnblocked {}
    10 70 ConnectionUpdateSecret<'a> { new_secret: longstr 'a, reason: shortstr 'a }
    10 71 ConnectionUpdateSecretOk {}
    20 10 ChannelOpen<'a> { reserved_1: shortstr 'a }
    20 11 ChannelOpenOk<'a> { reserved_1: longstr 'a }
    20 20 ChannelFlow { active: bit }
    20 21 ChannelFlowOk { active: bit }
    20 40 ChannelClose<'a> { reply_code: short, reply_text: shortstr 'a, class_id: short, method_id: short }
    20 41 ChannelCloseOk {}
    30 10 AccessRequest<'a> { realm: shortstr 'a, exclusive: bit, passive: bit, active: bit, write: bit, read: bit }
    30 11 AccessRequestOk { ticket: short }
    40 10 ExchangeDeclare<'a> { ticket: short, exchange: shortstr 'a, kind: shortstr 'a, passive: bit, durable: bit, auto_delete: bit, internal: bit, nowait: bit, arguments: table 'a }
    40 11 ExchangeDeclareOk {}
    40 20 ExchangeDelete<'a> { ticket: short, exchange: shortstr 'a, if_unused: bit, nowait: bit }
    40 21 ExchangeDeleteOk {}
    40 30 ExchangeBind<'a> { ticket: short, destination: shortstr 'a, source: shortstr 'a, routing_key: shortstr 'a, nowait: bit, arguments: table 'a }
    40 31 ExchangeBindOk {}
    40 40 ExchangeUnbind<'a> { ticket: short, destination: shortstr 'a, source: shortstr 'a, routing_key: shortstr 'a, nowait: bit, arguments: table 'a }
    40 51 ExchangeUnbindOk {}
    50 10 QueueDeclare<'a> { ticket: short, queue: shortstr 'a, passive: bit, durable: bit, exclusive: bit, auto_delete: bit, nowait: bit, arguments: table 'a }
    50 11 QueueDeclareOk<'a> { queue: shortstr 'a, message_count: long, consumer_count: long }
    50 20 QueueBind<'a> { ticket: short, queue: shortstr 'a, exchange: shortstr 'a, routing_key: shortstr 'a, nowait: bit, arguments: table 'a }
    50 21 QueueBindOk {}
    50 30 QueuePurge<'a> { ticket: short, queue: shortstr 'a, nowait: bit }
    50 31 QueuePurgeOk { message_count: long }
    50 40 QueueDelete<'a> { ticket: short, queue: shortstr 'a, if_unused: bit, if_empty: bit, nowait: bit }
    50 41 QueueDeleteOk { message_count: long }
    50 50 QueueUnbind<'a> { ticket: short, queue: shortstr 'a, exchange: shortstr 'a, routing_key: shortstr 'a, arguments: table 'a }
    50 51 QueueUnbindOk {}
    60 10 BasicQos { prefetch_size: long, prefetch_count: short, global: bit }
    60 11 BasicQosOk {}
    60 20 BasicConsume<'a> { ticket: short, queue: shortstr 'a, consumer_tag: shortstr 'a, no_local: bit, no_ack: bit, exclusive: bit, nowait: bit, arguments: table 'a }
    60 21 BasicConsumeOk<'a> { consumer_tag: shortstr 'a }
    60 30 BasicCancel<'a> { consumer_tag: shortstr 'a, nowait: bit }
    60 31 BasicCancelOk<'a> { consumer_tag: shortstr 'a }
    60 40 BasicPublish<'a> { ticket: short, exchange: shortstr 'a, routing_key: shortstr 'a, mandatory: bit, immediate: bit }
    60 50 BasicReturn<'a> { reply_code: short, reply_text: shortstr 'a, exchange: shortstr 'a, routing_key: shortstr 'a }
    60 60 BasicDeliver<'a> { consumer_tag: shortstr 'a, delivery_tag: longlong, redelivered: bit, exchange: shortstr 'a, routing_key: shortstr 'a }
    60 70 BasicGet<'a> { ticket: short, queue: shortstr 'a, no_ack: bit }
    60 71 BasicGetOk<'a> { delivery_tag: longlong, redelivered: bit, exchange: shortstr 'a, routing_key: shortstr 'a, message_count: long }
    60 72 BasicGetEmpty<'a> { reserved_1: shortstr 'a }
    60 80 BasicAck { delivery_tag: longlong, multiple: bit }
    60 90 BasicReject { delivery_tag: longlong, requeue: bit }
    60 100 BasicRecoverAsync { requeue: bit }
    60 110 BasicRecover { requeue: bit }
    60 111 BasicRecoverOk {}
    60 120 BasicNack { delivery_tag: longlong, multiple: bit, requeue: bit }
    85 10 ConfirmSelect { nowait: bit }
    85 11 ConfirmSelectOk {}
    90 10 TxSelect {}
    90 11 TxSelectOk {}
    90 20 TxCommit {}
    90 21 TxCommitOk {}
    90 30 TxRollback {}
    90 31 TxRollbackOk {}
}

/// Appends a method frame.
pub fn put_method<'a>(out: &mut BytesMut, channel: u16, method: impl Into<Method<'a>>) {
    let method = method.into();
    put_frame(out, FrameKind::Method, channel, |out| {
        let mut writer = Writer::new(out);
        method.encode(&mut writer);
        writer.finish();
    });
}

/// `queue.declare` for `QueueDeclare`: the protocol's spelling of a name of the table.
pub fn protocol_name(name: &str) -> String {
    let mut spelled = String::with_capacity(name.len() + 2);
    let mut separators = [".", "-"].into_iter();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !spelled.is_empty() {
            spelled.push_str(separators.next().unwrap_or("-"));
        }
        spelled.push(character.to_ascii_lowercase());
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes up field values.
    pub struct Sampler(u64);

    impl Sampler {
        pub fn new(seed: u64) -> Self {
            Self(seed)
        }

        /// Reserved fields stay empty: the codec beside ours writes them so.
        pub fn keep(&self, field: &str) -> bool {
            !field.starts_with("reserved") && !["ticket", "prefetch_size"].contains(&field)
        }

        pub fn longlong(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 >> 7
        }

        pub fn octet(&mut self) -> u8 {
            self.longlong() as u8
        }

        pub fn short(&mut self) -> u16 {
            self.longlong() as u16
        }

        pub fn long(&mut self) -> u32 {
            self.longlong() as u32
        }

        pub fn bit(&mut self) -> bool {
            self.longlong() & 1 == 1
        }

        pub fn shortstr(&mut self) -> &'static [u8] {
            [&b""[..], b"a", b"amq.topic", b"some.long.routing.key"][self.longlong() as usize % 4]
        }

        pub fn longstr(&mut self) -> &'static [u8] {
            self.shortstr()
        }

        pub fn table(&mut self) -> &'static [u8] {
            [&b""[..], b"\x01at\x01", b"\x03keyS\x00\x00\x00\x05value"][self.longlong() as usize % 3]
        }
    }

    #[test]
    fn every_method_comes_back_as_written() {
        for seed in 0..32 {
            for method in samples(seed) {
                let mut out = BytesMut::new();
                put_method(&mut out, 9, method);
                let frame = super::super::next_frame(&out, 4096).unwrap().unwrap();
                assert_eq!(Method::decode(frame.payload), Ok(method));
                for cut in 0..frame.payload.len() {
                    assert!(Method::decode(&frame.payload[..cut]).is_err(), "{} cut at {cut}", method.name());
                }
            }
        }
    }

    #[test]
    fn names_are_spelled_as_the_specification_does() {
        assert_eq!(protocol_name("ConnectionStartOk"), "connection.start-ok");
        assert_eq!(protocol_name("BasicRecoverAsync"), "basic.recover-async");
        assert_eq!(protocol_name("TxSelect"), "tx.select");
    }

    #[test]
    fn an_unknown_method_names_itself() {
        assert_eq!(Method::decode(&[0, 60, 0, 99]), Err(WireError::UnknownMethod { class_id: 60, method_id: 99 }));
    }
}
