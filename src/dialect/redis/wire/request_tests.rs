//! What the request parser promises: Redis's reading of every form, in any fragmentation, with memory that follows the input.

use proptest::prelude::*;

use super::*;

type Commands = Vec<Vec<Vec<u8>>>;

fn decode_with(limits: &Limits, pieces: &[&[u8]]) -> (Commands, Option<ProtocolError>) {
    let (mut parser, mut batch, mut buffer) = (Parser::default(), Batch::default(), BytesMut::new());
    let mut commands = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let outcome = parser.parse(&mut buffer, limits, usize::MAX, &mut batch);
        while let Some(at) = batch.next_command() {
            commands.push(batch.arguments(&at).iter().map(|a| a.to_vec()).collect());
        }
        if let Err(error) = outcome {
            return (commands, Some(error));
        }
    }
    (commands, None)
}

fn decode(bytes: &[u8]) -> (Commands, Option<ProtocolError>) {
    decode_with(&Limits::default(), &[bytes])
}

fn words(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|w| w.as_bytes().to_vec()).collect()
}

fn encode(command: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", command.len()).into_bytes();
    for argument in command {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[test]
fn a_pipeline_is_read_in_order() {
    let (commands, error) = decode(b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\nset a b\r\n");
    assert_eq!(error, None);
    assert_eq!(commands, [words(&["PING"]), words(&["ECHO", ""]), words(&["set", "a", "b"])]);
}

#[test]
fn empty_commands_are_skipped() {
    let (commands, error) = decode(b"\r\n\n*0\r\n*-1\r\n  \r\nPING\n");
    assert_eq!((commands, error), (vec![words(&["PING"])], None));
}

#[test]
fn inline_words_are_unquoted_as_redis_does() {
    let (commands, error) = decode(b"SET \"a\\x41\\n\\\"\" 'it\\'s' plain\r\n");
    assert_eq!(error, None);
    assert_eq!(commands, [words(&["SET", "aA\n\"", "it's", "plain"])]);
}

#[test]
fn violations_have_redis_words() {
    let big_line = vec![b'1'; LINE_BYTES_MAX + 8];
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"*3000000000\r\n".to_vec(), "Protocol error: invalid multibulk length"),
        (b"*blabla\r\n".to_vec(), "Protocol error: invalid multibulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n".to_vec(), "Protocol error: expected '$', got 'f'"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n".to_vec(), "Protocol error: invalid bulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n".to_vec(), "Protocol error: invalid bulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n".to_vec(), "Protocol error: invalid bulk length"),
        (b"set \"\"\"test-key\"\"\" test-value\r\n".to_vec(), "Protocol error: unbalanced quotes in request"),
        ([b"*", &big_line[..]].concat(), "Protocol error: too big mbulk count string"),
        ([b"*1\r\n$", &big_line[..]].concat(), "Protocol error: too big bulk count string"),
        (big_line, "Protocol error: too big inline request"),
    ];
    for (bytes, text) in cases {
        let (commands, error) = decode(&bytes);
        assert!(commands.is_empty());
        assert_eq!(error.map(|e| e.to_string()).as_deref(), Some(text));
    }
}

#[test]
fn commands_before_a_violation_are_kept() {
    let (commands, error) = decode(b"PING\r\n*1\r\n!oops\r\n");
    assert_eq!(commands, [words(&["PING"])]);
    assert_eq!(error, Some(ProtocolError::ExpectedBulk(b'!')));
}

#[test]
fn before_login_little_is_read() {
    let limits = Limits::BEFORE_LOGIN;
    let (_, error) = decode_with(&limits, &[b"*100\r\n"]);
    assert_eq!(error, Some(ProtocolError::CountBeforeLogin));
    let (_, error) = decode_with(&limits, &[b"*1\r\n$100000\r\n"]);
    assert_eq!(error, Some(ProtocolError::LengthBeforeLogin));
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let (mut parser, mut batch) = (Parser::default(), Batch::default());
    let mut buffer = BytesMut::from(&b"*1000000\r\n$536870912\r\nabc"[..]);
    assert!(parser.parse(&mut buffer, &Limits::default(), usize::MAX, &mut batch).is_ok());
    assert!(buffer.capacity() < 1024 && parser.spans.capacity() < 16 && batch.arguments.capacity() == 0);
    assert!(parser.is_inside_command());
}

#[test]
fn a_limit_on_commands_leaves_the_rest_in_the_buffer() {
    let (mut parser, mut batch) = (Parser::default(), Batch::default());
    let mut buffer = BytesMut::from(&b"PING\r\n*1\r\n$4\r\nECHO\r\nQUIT\r\n"[..]);
    for expected in ["PING", "ECHO", "QUIT"] {
        assert!(parser.parse(&mut buffer, &Limits::default(), 1, &mut batch).is_ok());
        let at = batch.next_command().expect("a command");
        assert_eq!(batch.arguments(&at), [Bytes::from(expected)]);
        assert!(batch.next_command().is_none());
    }
}

#[test]
fn agrees_with_an_independent_codec() {
    let command: Vec<Vec<u8>> = vec![b"LPUSH".to_vec(), b"k\r\n".to_vec(), vec![0, 255, 13, 10], Vec::new()];
    let bytes = encode(&command);
    let (frame, rest) = resp_rs::resp2::parse_frame(Bytes::from(bytes.clone())).expect("the oracle reads it");
    let oracle: Vec<Vec<u8>> =
        frame.as_array().expect("an array").iter().map(|f| f.as_bytes().expect("a bulk string").to_vec()).collect();
    assert!(rest.is_empty());
    assert_eq!(decode(&bytes).0, [oracle]);
}

proptest! {
    #[test]
    fn any_fragmentation_gives_the_same_commands(
        commands in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..8),
        cut in 1usize..50,
    ) {
        let bytes: Vec<u8> = commands.iter().flat_map(|c| encode(c)).collect();
        let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
        let (read, error) = decode_with(&Limits::default(), &pieces);
        prop_assert_eq!(error, None);
        prop_assert_eq!(&read, &commands);
        let mut rest = Bytes::from(bytes);
        for command in &commands {
            let (frame, after) = resp_rs::resp2::parse_frame(rest).expect("the oracle reads it");
            let oracle: Vec<Vec<u8>> = frame.as_array().expect("array").iter().map(|f| f.as_bytes().expect("bulk").to_vec()).collect();
            prop_assert_eq!(&oracle, command);
            rest = after;
        }
    }

    #[test]
    fn random_bytes_are_read_alike_in_any_fragmentation(bytes in prop::collection::vec(
        prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'3'), Just(b'"'), Just(b'\\'), any::<u8>()], 0..200))
    {
        prop_assert!(crate::dialect::redis::wire::decode_any(&bytes));
    }
}
