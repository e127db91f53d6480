//! The command table. Sorted by name; one entry a command. What is not here is an unknown command.

use super::flag::{
    ADMIN, BLOCKING, CONTROL, DENYOOM, FAST, LOADING, MOVABLE_KEYS, NO_AUTH, NO_MULTI, NOSCRIPT, PUBSUB, READONLY, STALE,
    SUBSCRIBER, WRITE,
};
use super::{CommandSpec, Group};
use crate::dialect::redis::command::{
    blocking, client, config, connection, info, introspection, keyspace, list, list_edit, list_move, pubsub, server, stream,
    stream_claim, stream_group, stream_info, stream_read, subcommand, transaction,
};

const SESSION: u32 = NOSCRIPT | LOADING | STALE | FAST;
const SUBSCRIPTION: u32 = PUBSUB | NOSCRIPT | LOADING | STALE | SUBSCRIBER;
const ADMINISTRATION: u32 = ADMIN | NOSCRIPT | LOADING | STALE;
const QUERY: u32 = LOADING | STALE;

const fn connection_command(name: &'static str, arity: i32, run: super::Handler) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Connection, run)
}

const fn server_command(name: &'static str, arity: i32, run: super::Handler) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Server, run)
}

const fn generic(name: &'static str, arity: i32, run: super::Handler) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Generic, run)
}

const fn on_list(name: &'static str, arity: i32, run: super::Handler) -> CommandSpec {
    CommandSpec::new(name, arity, Group::List, run).keys(1, 1, 1)
}

const fn on_stream(name: &'static str, arity: i32, run: super::Handler) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Stream, run).keys(1, 1, 1)
}

const fn of_stream(name: &'static str, arity: i32, run: super::Handler) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Stream, run).keys(2, 2, 1)
}

const fn on_channel(name: &'static str, arity: i32, run: super::Handler) -> CommandSpec {
    CommandSpec::new(name, arity, Group::PubSub, run)
}

const fn in_transaction(name: &'static str, arity: i32, run: super::Handler) -> CommandSpec {
    CommandSpec::new(name, arity, Group::Transactions, run)
}

/// Every command, sorted by name.
pub static COMMANDS: &[CommandSpec] = &[
    connection_command("auth", -2, connection::auth)
        .flags(SESSION | NO_AUTH | NO_MULTI)
        .docs("1.0.0", "Authenticates the connection."),
    on_list("blmove", 6, blocking::blmove)
        .flags(WRITE | DENYOOM | BLOCKING)
        .keys(1, 2, 1)
        .docs("6.2.0", "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise."),
    on_list("blmpop", -5, blocking::blmpop)
        .flags(WRITE | BLOCKING | MOVABLE_KEYS)
        .counted_keys(2)
        .docs("7.0.0", "Pops elements from the first of several lists that has any. Blocks until an element is available otherwise."),
    on_list("blpop", -3, blocking::blpop)
        .flags(WRITE | BLOCKING)
        .keys(1, -2, 1)
        .docs("2.0.0", "Removes and returns the first element in a list. Blocks until an element is available otherwise."),
    on_list("brpop", -3, blocking::brpop)
        .flags(WRITE | BLOCKING)
        .keys(1, -2, 1)
        .docs("2.0.0", "Removes and returns the last element in a list. Blocks until an element is available otherwise."),
    on_list("brpoplpush", 4, blocking::brpoplpush)
        .flags(WRITE | DENYOOM | BLOCKING)
        .keys(1, 2, 1)
        .docs("2.2.0", "Pops the last element of a list, pushes it to another list and returns it. Blocks until an element is available otherwise."),
    connection_command("client", -2, subcommand)
        .subcommands(CLIENT)
        .docs("2.4.0", "A container for client connection commands."),
    server_command("command", -1, introspection::command)
        .flags(QUERY)
        .subcommands(COMMAND)
        .docs("2.8.13", "Returns detailed information about all commands."),
    server_command("config", -2, subcommand)
        .subcommands(CONFIG)
        .docs("2.0.0", "A container for server configuration commands."),
    server_command("dbsize", 1, keyspace::dbsize).flags(READONLY | FAST).docs("1.0.0", "Returns the number of keys in the database."),
    generic("del", -2, keyspace::del).flags(WRITE).keys(1, -1, 1).docs("1.0.0", "Deletes one or more keys."),
    in_transaction("discard", 1, transaction::discard)
        .flags(SESSION | CONTROL)
        .docs("2.0.0", "Discards a transaction."),
    connection_command("echo", 2, connection::echo).flags(LOADING | STALE | FAST).docs("1.0.0", "Returns the given string."),
    in_transaction("exec", 1, transaction::exec)
        .flags(NOSCRIPT | LOADING | STALE | CONTROL)
        .docs("1.2.0", "Executes all commands in a transaction."),
    generic("exists", -2, keyspace::exists)
        .flags(READONLY | FAST)
        .keys(1, -1, 1)
        .docs("1.0.0", "Determines whether one or more keys exist."),
    server_command("flushall", -1, keyspace::flushall).flags(WRITE).docs("1.0.0", "Removes all keys from all databases."),
    server_command("flushdb", -1, keyspace::flushdb).flags(WRITE).docs("1.0.0", "Removes all keys from the current database."),
    CommandSpec::new("function", -2, Group::Scripting, subcommand)
        .subcommands(FUNCTION)
        .docs("7.0.0", "A container for function commands."),
    connection_command("hello", -1, connection::hello)
        .flags(SESSION | NO_AUTH)
        .docs("6.0.0", "Handshakes with the server."),
    server_command("info", -1, info::info).flags(QUERY).docs("1.0.0", "Returns information and statistics about the server."),
    generic("keys", 2, keyspace::keys).flags(READONLY).docs("1.0.0", "Returns all key names that match a pattern."),
    server_command("lastsave", 1, server::lastsave)
        .flags(LOADING | STALE | FAST)
        .docs("1.0.0", "Returns the Unix timestamp of the last successful save to disk."),
    on_list("lindex", 3, list::lindex).flags(READONLY).docs("1.0.0", "Returns an element from a list by its index."),
    on_list("linsert", 5, list_edit::linsert)
        .flags(WRITE | DENYOOM)
        .docs("2.2.0", "Inserts an element before or after another element in a list."),
    on_list("llen", 2, list::llen).flags(READONLY | FAST).docs("1.0.0", "Returns the length of a list."),
    on_list("lmove", 5, list_move::lmove)
        .flags(WRITE | DENYOOM)
        .keys(1, 2, 1)
        .docs("6.2.0", "Returns an element after popping it from one list and pushing it to another."),
    on_list("lmpop", -4, list::lmpop)
        .flags(WRITE | MOVABLE_KEYS)
        .counted_keys(1)
        .docs("7.0.0", "Returns multiple elements from the first of several lists that has any, after removing them."),
    on_list("lpop", -2, list::lpop).flags(WRITE | FAST).docs("1.0.0", "Returns the first elements in a list after removing them."),
    on_list("lpos", -3, list_edit::lpos)
        .flags(READONLY)
        .docs("6.0.6", "Returns the index of matching elements in a list."),
    on_list("lpush", -3, list::lpush).flags(WRITE | DENYOOM | FAST).docs("1.0.0", "Prepends one or more elements to a list."),
    on_list("lpushx", -3, list::lpushx)
        .flags(WRITE | DENYOOM | FAST)
        .docs("2.2.0", "Prepends one or more elements to a list only when the list exists."),
    on_list("lrange", 4, list::lrange).flags(READONLY).docs("1.0.0", "Returns a range of elements from a list."),
    on_list("lrem", 4, list_edit::lrem).flags(WRITE).docs("1.0.0", "Removes elements from a list."),
    on_list("lset", 4, list_edit::lset)
        .flags(WRITE | DENYOOM)
        .docs("1.0.0", "Sets the value of an element in a list by its index."),
    on_list("ltrim", 4, list_edit::ltrim).flags(WRITE).docs("1.0.0", "Removes elements from both ends of a list."),
    in_transaction("multi", 1, transaction::multi).flags(SESSION | CONTROL).docs("1.2.0", "Starts a transaction."),
    generic("object", -2, subcommand).subcommands(OBJECT).docs("2.2.3", "A container for object introspection commands."),
    generic("persist", 2, keyspace::persist)
        .flags(WRITE | FAST)
        .keys(1, 1, 1)
        .docs("2.2.0", "Removes the expiration time of a key. No key has one yet."),
    connection_command("ping", -1, connection::ping).flags(FAST | SUBSCRIBER).docs("1.0.0", "Returns the server's liveliness response."),
    on_channel("psubscribe", -2, pubsub::psubscribe)
        .flags(SUBSCRIPTION)
        .docs("2.0.0", "Listens for messages published to channels that match one or more patterns."),
    generic("pttl", 2, keyspace::ttl)
        .flags(READONLY | FAST)
        .keys(1, 1, 1)
        .docs("2.6.0", "Returns the expiration time in milliseconds of a key. No key has one yet."),
    on_channel("publish", 3, pubsub::publish)
        .flags(PUBSUB | LOADING | STALE | FAST)
        .docs("2.0.0", "Posts a message to a channel."),
    on_channel("pubsub", -2, subcommand).subcommands(PUBSUB_SUBCOMMANDS).docs("2.8.0", "A container for Pub/Sub commands."),
    on_channel("punsubscribe", -1, pubsub::punsubscribe)
        .flags(SUBSCRIPTION)
        .docs("2.0.0", "Stops listening to messages published to channels that match one or more patterns."),
    connection_command("quit", -1, connection::quit)
        .flags(SESSION | NO_AUTH | SUBSCRIBER | CONTROL)
        .docs("1.0.0", "Closes the connection."),
    generic("randomkey", 1, keyspace::randomkey).flags(READONLY).docs("1.0.0", "Returns a random key name from the database."),
    connection_command("reset", 1, connection::reset)
        .flags(SESSION | NO_AUTH | SUBSCRIBER | CONTROL)
        .docs("6.2.0", "Resets the connection."),
    on_list("rpop", -2, list::rpop).flags(WRITE | FAST).docs("1.0.0", "Returns and removes the last elements of a list."),
    on_list("rpoplpush", 3, list_move::rpoplpush)
        .flags(WRITE | DENYOOM)
        .keys(1, 2, 1)
        .docs("1.2.0", "Returns the last element of a list after removing and pushing it to another list."),
    on_list("rpush", -3, list::rpush).flags(WRITE | DENYOOM | FAST).docs("1.0.0", "Appends one or more elements to a list."),
    on_list("rpushx", -3, list::rpushx)
        .flags(WRITE | DENYOOM | FAST)
        .docs("2.2.0", "Appends one or more elements to a list only when the list exists."),
    generic("scan", -2, keyspace::scan).flags(READONLY).docs("2.8.0", "Iterates over the key names in the database."),
    connection_command("select", 2, connection::select).flags(LOADING | STALE | FAST).docs("1.0.0", "Changes the selected database."),
    server_command("slowlog", -2, subcommand).subcommands(SLOWLOG).docs("2.2.12", "A container for slow log commands."),
    on_channel("subscribe", -2, pubsub::subscribe)
        .flags(SUBSCRIPTION)
        .docs("2.0.0", "Listens for messages published to channels."),
    server_command("time", 1, server::time).flags(LOADING | STALE | FAST).docs("2.6.0", "Returns the server time."),
    generic("touch", -2, keyspace::exists)
        .flags(READONLY | FAST)
        .keys(1, -1, 1)
        .docs("3.2.1", "Returns the number of existing keys out of those specified."),
    on_list("trunkline.rpush", -4, list::rpush_keyed)
        .flags(WRITE | DENYOOM | FAST)
        .docs("7.0.0", "Appends one or more elements with record keys to a list: key record-key element [record-key element ...]. Not in Redis."),
    generic("ttl", 2, keyspace::ttl)
        .flags(READONLY | FAST)
        .keys(1, 1, 1)
        .docs("1.0.0", "Returns the expiration time in seconds of a key. No key has one yet."),
    generic("type", 2, keyspace::type_of)
        .flags(READONLY | FAST)
        .keys(1, 1, 1)
        .docs("1.0.0", "Determines the type of value stored at a key."),
    generic("unlink", -2, keyspace::del).flags(WRITE | FAST).keys(1, -1, 1).docs("4.0.0", "Deletes one or more keys."),
    on_channel("unsubscribe", -1, pubsub::unsubscribe)
        .flags(SUBSCRIPTION)
        .docs("2.0.0", "Stops listening to messages posted to channels."),
    in_transaction("unwatch", 1, transaction::unwatch).flags(SESSION).docs("2.2.0", "Forgets about watched keys of a transaction."),
    generic("wait", 3, server::wait).flags(BLOCKING).docs("3.0.0", "Returns the number of replicas that acknowledged: there are none."),
    in_transaction("watch", -2, transaction::watch)
        .flags(SESSION | CONTROL)
        .keys(1, -1, 1)
        .docs("2.2.0", "Monitors changes to keys to determine the execution of a transaction."),
    on_stream("xack", -4, stream_group::xack)
        .flags(WRITE | FAST)
        .docs("5.0.0", "Returns the number of messages that were acknowledged by the consumer group."),
    on_stream("xadd", -5, stream::xadd)
        .flags(WRITE | DENYOOM | FAST)
        .docs("5.0.0", "Appends a message to a stream."),
    on_stream("xautoclaim", -6, stream_claim::xautoclaim)
        .flags(WRITE | FAST)
        .docs("6.2.0", "Acquires ownership of pending messages of a consumer group that are idle for a time."),
    on_stream("xclaim", -6, stream_claim::xclaim)
        .flags(WRITE | FAST)
        .docs("5.0.0", "Acquires ownership of messages of a consumer group."),
    on_stream("xdel", -3, stream::xdel).flags(WRITE | FAST).docs("5.0.0", "Removes messages from a stream."),
    CommandSpec::new("xgroup", -2, Group::Stream, subcommand)
        .subcommands(XGROUP)
        .docs("5.0.0", "A container for consumer group commands."),
    CommandSpec::new("xinfo", -2, Group::Stream, subcommand)
        .subcommands(XINFO)
        .docs("5.0.0", "A container for stream introspection commands."),
    on_stream("xlen", 2, stream::xlen).flags(READONLY | FAST).docs("5.0.0", "Returns the number of messages in a stream."),
    on_stream("xpending", -3, stream_group::xpending)
        .flags(READONLY)
        .docs("5.0.0", "Returns the information and entries from a consumer group's pending entries."),
    on_stream("xrange", -4, stream::xrange)
        .flags(READONLY)
        .docs("5.0.0", "Returns the messages from a stream within a range of IDs."),
    CommandSpec::new("xread", -4, Group::Stream, stream_read::xread)
        .flags(READONLY | BLOCKING | MOVABLE_KEYS)
        .keys_behind("STREAMS")
        .docs("5.0.0", "Returns messages from several streams with IDs greater than the ones requested. Blocks until there is one otherwise."),
    CommandSpec::new("xreadgroup", -7, Group::Stream, stream_read::xreadgroup)
        .flags(WRITE | BLOCKING | MOVABLE_KEYS)
        .keys_behind("STREAMS")
        .docs("5.0.0", "Returns new or historical messages from several streams for a consumer in a group. Blocks until there is one otherwise."),
    on_stream("xrevrange", -4, stream::xrevrange)
        .flags(READONLY)
        .docs("5.0.0", "Returns the messages from a stream within a range of IDs in reverse order."),
    on_stream("xsetid", -3, stream::xsetid)
        .flags(WRITE | DENYOOM | FAST)
        .docs("5.0.0", "Sets the last ID, and the counters, of a stream."),
    on_stream("xtrim", -4, stream::xtrim).flags(WRITE).docs("5.0.0", "Deletes messages from the beginning of a stream."),
];

static XGROUP: &[CommandSpec] = &[
    of_stream("xgroup|create", -5, stream_group::create).flags(WRITE | DENYOOM).docs("5.0.0", "Creates a consumer group."),
    of_stream("xgroup|createconsumer", 5, stream_group::createconsumer)
        .flags(WRITE | DENYOOM)
        .docs("6.2.0", "Creates a consumer in a consumer group."),
    of_stream("xgroup|delconsumer", 5, stream_group::delconsumer)
        .flags(WRITE)
        .docs("5.0.0", "Deletes a consumer from a consumer group."),
    of_stream("xgroup|destroy", 4, stream_group::destroy).flags(WRITE).docs("5.0.0", "Destroys a consumer group."),
    CommandSpec::new("xgroup|help", 2, Group::Stream, stream_group::help)
        .flags(QUERY)
        .docs("5.0.0", "Returns helpful text about the different subcommands."),
    of_stream("xgroup|setid", -5, stream_group::setid)
        .flags(WRITE)
        .docs("5.0.0", "Sets the last-delivered ID of a consumer group."),
];

static XINFO: &[CommandSpec] = &[
    of_stream("xinfo|consumers", 4, stream_info::consumers)
        .flags(READONLY)
        .docs("5.0.0", "Returns a list of the consumers in a consumer group."),
    of_stream("xinfo|groups", 3, stream_info::groups)
        .flags(READONLY)
        .docs("5.0.0", "Returns a list of the consumer groups of a stream."),
    CommandSpec::new("xinfo|help", 2, Group::Stream, stream_info::help)
        .flags(QUERY)
        .docs("5.0.0", "Returns helpful text about the different subcommands."),
    of_stream("xinfo|stream", -3, stream_info::stream).flags(READONLY).docs("5.0.0", "Returns information about a stream."),
];

static CLIENT: &[CommandSpec] = &[
    connection_command("client|caching", 3, client::caching)
        .flags(SESSION)
        .docs("6.0.0", "Refused: client-side caching is not supported."),
    connection_command("client|getname", 2, client::getname).flags(SESSION).docs("2.6.9", "Returns the name of the connection."),
    connection_command("client|getredir", 2, client::getredir)
        .flags(SESSION)
        .docs("6.0.0", "Returns the client ID to which tracking notifications are redirected."),
    connection_command("client|help", 2, client::help)
        .flags(QUERY)
        .docs("5.0.0", "Returns helpful text about the different subcommands."),
    connection_command("client|id", 2, client::id)
        .flags(SESSION)
        .docs("5.0.0", "Returns the unique client ID of the connection."),
    connection_command("client|info", 2, client::info)
        .flags(NOSCRIPT | QUERY)
        .docs("6.2.0", "Returns information about the connection."),
    connection_command("client|kill", -3, client::kill).flags(ADMINISTRATION).docs("2.4.0", "Terminates open connections."),
    connection_command("client|list", -2, client::list).flags(ADMINISTRATION).docs("2.4.0", "Lists open connections."),
    connection_command("client|no-evict", 3, client::no_evict)
        .flags(ADMINISTRATION)
        .docs("7.0.0", "Sets the client eviction mode of the connection."),
    connection_command("client|no-touch", 3, client::no_touch)
        .flags(SESSION)
        .docs("7.2.0", "Controls whether commands alter the idle time of keys."),
    connection_command("client|reply", 3, client::reply)
        .flags(NOSCRIPT | QUERY)
        .docs("3.2.0", "Instructs the server whether to reply to commands."),
    connection_command("client|setinfo", 4, client::setinfo)
        .flags(SESSION)
        .docs("7.2.0", "Sets information specific to the client or connection."),
    connection_command("client|setname", 3, client::setname).flags(SESSION).docs("2.6.9", "Sets the connection name."),
    connection_command("client|tracking", -3, client::tracking)
        .flags(SESSION)
        .docs("6.0.0", "Refused when switched on: client-side caching is not supported."),
    connection_command("client|trackinginfo", 2, client::trackinginfo)
        .flags(SESSION)
        .docs("6.2.0", "Returns information about server-assisted client-side caching."),
    connection_command("client|unblock", -3, client::unblock)
        .flags(ADMINISTRATION)
        .docs("5.0.0", "Unblocks a client blocked by a blocking command from a different connection."),
];

static COMMAND: &[CommandSpec] = &[
    server_command("command|count", 2, introspection::count).flags(QUERY).docs("2.8.13", "Returns a count of commands."),
    server_command("command|docs", -2, introspection::docs)
        .flags(QUERY)
        .docs("7.0.0", "Returns documentary information about commands."),
    server_command("command|getkeys", -3, introspection::getkeys)
        .flags(QUERY)
        .docs("2.8.13", "Extracts the key names from an arbitrary command."),
    server_command("command|help", 2, introspection::help)
        .flags(QUERY)
        .docs("5.0.0", "Returns helpful text about the different subcommands."),
    server_command("command|info", -2, introspection::info)
        .flags(QUERY)
        .docs("2.8.13", "Returns information about one, multiple or all commands."),
    server_command("command|list", -2, introspection::list).flags(QUERY).docs("7.0.0", "Returns a list of command names."),
];

static CONFIG: &[CommandSpec] = &[
    server_command("config|get", -3, config::get)
        .flags(ADMINISTRATION)
        .docs("2.0.0", "Returns the effective values of configuration parameters."),
    server_command("config|help", 2, config::help)
        .flags(QUERY)
        .docs("5.0.0", "Returns helpful text about the different subcommands."),
    server_command("config|resetstat", 2, config::resetstat)
        .flags(ADMINISTRATION)
        .docs("2.0.0", "Resets the server's statistics."),
    server_command("config|set", -4, config::set).flags(ADMINISTRATION).docs("2.0.0", "Sets configuration parameters in-flight."),
];

static FUNCTION: &[CommandSpec] = &[
    CommandSpec::new("function|flush", -2, Group::Scripting, server::function_flush)
        .flags(WRITE | NOSCRIPT)
        .docs("7.0.0", "Deletes all libraries and functions: there are none."),
    CommandSpec::new("function|list", -2, Group::Scripting, server::function_list)
        .flags(NOSCRIPT)
        .docs("7.0.0", "Returns information about all libraries: there are none."),
];

static OBJECT: &[CommandSpec] = &[
    generic("object|encoding", 3, keyspace::object_encoding)
        .flags(READONLY)
        .keys(2, 2, 1)
        .docs("2.2.3", "Returns the internal encoding of an object."),
    generic("object|freq", 3, keyspace::object_freq)
        .flags(READONLY)
        .keys(2, 2, 1)
        .docs("4.0.0", "Refused: no access frequency is kept."),
    generic("object|help", 2, keyspace::object_help)
        .flags(QUERY)
        .docs("6.2.0", "Returns helpful text about the different subcommands."),
    generic("object|idletime", 3, keyspace::object_number)
        .flags(READONLY)
        .keys(2, 2, 1)
        .docs("2.2.3", "Returns the time since the last access to an object: not kept, always 0."),
    generic("object|refcount", 3, keyspace::object_refcount)
        .flags(READONLY)
        .keys(2, 2, 1)
        .docs("2.2.3", "Returns the reference count of a value: always 1."),
];

static PUBSUB_SUBCOMMANDS: &[CommandSpec] = &[
    on_channel("pubsub|channels", -2, pubsub::channels).flags(PUBSUB | QUERY).docs("2.8.0", "Returns the active channels."),
    on_channel("pubsub|help", 2, pubsub::help)
        .flags(QUERY)
        .docs("6.2.0", "Returns helpful text about the different subcommands."),
    on_channel("pubsub|numpat", 2, pubsub::numpat)
        .flags(PUBSUB | QUERY)
        .docs("2.8.0", "Returns a count of unique pattern subscriptions."),
    on_channel("pubsub|numsub", -2, pubsub::numsub)
        .flags(PUBSUB | QUERY)
        .docs("2.8.0", "Returns a count of subscribers to channels."),
    on_channel("pubsub|shardchannels", -2, pubsub::shardchannels)
        .flags(PUBSUB | QUERY)
        .docs("7.0.0", "Returns the active shard channels: there are none."),
    on_channel("pubsub|shardnumsub", -2, pubsub::shardnumsub)
        .flags(PUBSUB | QUERY)
        .docs("7.0.0", "Returns the count of subscribers of shard channels: there are none."),
];

static SLOWLOG: &[CommandSpec] = &[
    server_command("slowlog|get", -2, server::slowlog_get)
        .flags(ADMINISTRATION)
        .docs("2.2.12", "Returns the slow log's entries: none is kept."),
    server_command("slowlog|len", 2, server::slowlog_len)
        .flags(ADMINISTRATION)
        .docs("2.2.12", "Returns the number of entries in the slow log: none is kept."),
    server_command("slowlog|reset", 2, server::slowlog_reset)
        .flags(ADMINISTRATION)
        .docs("2.2.12", "Clears all entries from the slow log."),
];

/// Commands that are refused with a reason of their own, and the reason.
pub static REFUSED: &[(&str, &str)] = &[
    ("acl", "users are configured in the gateway"),
    ("bgrewriteaof", "every write is durable when it is answered"),
    ("bgsave", "every write is durable when it is answered"),
    ("cluster", "this is a single node"),
    ("debug", "it reaches into the server's inside"),
    ("failover", "there are no replicas"),
    ("monitor", "use the metrics and the logs of the gateway"),
    ("psync", "there are no replicas"),
    ("replicaof", "there are no replicas"),
    ("save", "every write is durable when it is answered"),
    ("shutdown", "send SIGTERM to the gateway"),
    ("slaveof", "there are no replicas"),
    ("spublish", "sharded channels belong to a cluster"),
    ("ssubscribe", "sharded channels belong to a cluster"),
    ("sunsubscribe", "sharded channels belong to a cluster"),
    ("sync", "there are no replicas"),
];
