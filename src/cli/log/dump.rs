//! `trunkline log dump`: records for people or as JSON lines, and the entries of the journal as they lie there.

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use super::line::{RecordLine, text};
use super::reporter::Reporter;
use super::{Failure, Place, topic_name, unless_closed};
use crate::log::TopicName;
use crate::log::inspect::{EntryLine, Found, Selection, TargetLine, WriteLine};
use crate::log::record::{Limits, Record};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Records of this topic; may be given several times [default: all but the internal ones]
    #[arg(long, value_name = "NAME", value_parser = topic_name, conflicts_with = "journal")]
    topic: Vec<TopicName>,
    /// Only of this partition
    #[arg(long, value_name = "INDEX", conflicts_with = "journal")]
    partition: Option<u32>,
    /// From this offset on; with --journal, from this position on
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Before this offset; with --journal, before this position
    #[arg(long, value_name = "OFFSET", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// The journal's entries: where they lie, what they write where
    #[arg(long)]
    journal: bool,
    /// As JSON, one line a record or entry
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (_, inspector) = args.place.inspect()?;
    // Progress would stand between the lines of a terminal.
    let total = if std::io::stdout().is_terminal() { 0 } else { inspector.total_bytes()? };
    let mut reporter = Reporter::new("reading", total);
    let contents = inspector.survey(&mut reporter)?;
    if let Some(unknown) = args.topic.iter().find(|name| !contents.topics.contains_key(*name)) {
        return Err(Failure::usage(format_args!("there is no topic {unknown}; `trunkline log ls` shows those there are")));
    }
    if let Some(partition) = args.partition
        && !contents.topics.iter().any(|(name, topic)| {
            let is_wanted = args.topic.is_empty() || args.topic.contains(name);
            is_wanted && topic.partitions.len() > partition as usize
        })
    {
        return Err(Failure::usage(format_args!(
            "no such topic has a partition {partition}; `trunkline log ls` shows those there are"
        )));
    }
    reporter.warn();
    reporter.findings.clear();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let read = if args.journal {
        inspector.entries(&contents, args.from, &mut reporter, &mut |entry| match entry.position < args.to {
            true => print_entry(&mut out, &entry, args.json),
            false => Ok(()),
        })
    } else {
        let selection = Selection { topics: args.topic.clone(), partition: args.partition, from: args.from, to: args.to };
        inspector.records(&contents, &selection, &mut reporter, &mut |found| print_batch(&mut out, &found, args))
    };
    unless_closed(read.and_then(|()| out.flush()))
}

fn print_batch(out: &mut dyn Write, found: &Found<'_>, args: &Args) -> std::io::Result<()> {
    let is_control = found.batch.header().is_ok_and(|header| header.is_control());
    for record in found.batch.records(&Limits::STORED).map_err(std::io::Error::other)? {
        let (offset, record) = record.map_err(std::io::Error::other)?;
        if offset < args.from.max(found.log_start) || offset >= args.to {
            continue;
        }
        if args.json {
            serde_json::to_writer(&mut *out, &RecordLine::new(found.topic.as_bytes(), found.partition, offset, &record))?;
            writeln!(out)?;
        } else {
            print_record(out, found, offset, &record, is_control)?;
        }
    }
    Ok(())
}

fn print_record(out: &mut dyn Write, found: &Found<'_>, offset: u64, record: &Record, is_control: bool) -> std::io::Result<()> {
    let shown = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or("null".to_owned(), |bytes| text(bytes).to_string());
    write!(out, "{}-{} @{offset} {}", found.topic, found.partition, record.timestamp_ms)?;
    if is_control {
        write!(out, " control")?;
    }
    if record.key.is_some() {
        write!(out, " key={}", shown(&record.key))?;
    }
    write!(out, " value={}", shown(&record.value))?;
    for header in &record.headers {
        write!(out, " {}={}", String::from_utf8_lossy(&header.key), shown(&header.value))?;
    }
    writeln!(out)
}

fn print_entry(out: &mut dyn Write, entry: &EntryLine<'_>, as_json: bool) -> std::io::Result<()> {
    if as_json {
        let writes: Vec<Value> = entry.writes.iter().map(write_json).collect();
        let file = entry.path.file_name().unwrap_or_default().to_string_lossy();
        let EntryLine { byte, position, next, synced, .. } = entry;
        let line = json!({ "file": file, "byte": byte, "position": position, "next": next, "synced": synced, "writes": writes });
        serde_json::to_writer(&mut *out, &line)?;
        return writeln!(out);
    }
    writeln!(out, "position {} to {}, synced {}", entry.position, entry.next, entry.synced)?;
    for write in &entry.writes {
        write!(out, "  {} records, {} bytes:", write.span, write.body.len())?;
        for TargetLine { place, number, base_offset, is_broadcast } in &write.targets {
            let mark = if *is_broadcast { " for listeners" } else { "" };
            match place {
                Some((topic, index)) => write!(out, " {topic}-{index} @{base_offset}{mark}")?,
                None => write!(out, " partition number {number} (of no topic) @{base_offset}{mark}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_json(write: &WriteLine) -> Value {
    let targets: Vec<Value> = write
        .targets
        .iter()
        .map(|TargetLine { place, number, base_offset, is_broadcast }| {
            let topic = place.as_ref().map_or(Value::Null, |(topic, _)| text(topic.as_bytes()));
            let index = place.as_ref().map(|(_, index)| index);
            json!({ "topic": topic, "partition": index, "number": number, "offset": base_offset, "broadcast": is_broadcast })
        })
        .collect();
    json!({ "records": write.span, "bytes": write.body.len(), "targets": targets })
}
