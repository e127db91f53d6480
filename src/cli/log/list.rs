//! `trunkline log ls`: topics and their partitions, queues and groups, from the files alone.

use std::io::Write;

use serde_json::{Value, json};

use super::columns::{Columns, size};
use super::line::text;
use super::reporter::Reporter;
use super::{Failure, Place, topic_name, unless_closed};
use crate::log::inspect::{Contents, PartitionContents};
use crate::log::{Needs, TopicName};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Only this topic; may be given several times [default: all but the internal ones]
    #[arg(long, value_name = "NAME", value_parser = topic_name)]
    topic: Vec<TopicName>,
    /// Also the topics that the log keeps its own state in
    #[arg(long)]
    internal: bool,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (path, inspector) = args.place.inspect()?;
    let mut reporter = Reporter::new("reading", inspector.total_bytes()?);
    let contents = inspector.survey(&mut reporter)?;
    let listing = Listing { args, contents: &contents, reporter: &reporter };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let shown = if args.json {
        serde_json::to_writer(&mut out, &listing.json()).map_err(Into::into).and_then(|()| writeln!(out))
    } else {
        writeln!(out, "{}", path.display()).and_then(|()| listing.print(&mut out))
    };
    unless_closed(shown.and_then(|()| out.flush()))?;
    reporter.warn();
    Ok(())
}

struct Listing<'a> {
    args: &'a Args,
    contents: &'a Contents,
    reporter: &'a Reporter,
}

impl Listing<'_> {
    fn wants(&self, name: &TopicName) -> bool {
        if self.args.topic.is_empty() { self.args.internal || !name.is_internal() } else { self.args.topic.contains(name) }
    }

    /// Topic, index and partition, in order.
    fn partitions(&self) -> impl Iterator<Item = (&TopicName, u32, PartitionContents)> {
        let topics = self.contents.sorted().into_iter().filter(|(name, _)| self.wants(name));
        topics.flat_map(move |(name, topic)| {
            topic.partitions.iter().zip(0..).map(move |(number, index)| (name, index, self.contents.partition(*number)))
        })
    }

    /// How many records of a topic a view still needs, and those of them that come first.
    fn unsettled(&self, queue: &TopicName, topic: &TopicName) -> u64 {
        let Some(topic) = self.contents.topics.get(topic) else { return 0 };
        let left = |(number, index): (&u32, u32)| {
            let partition = self.contents.partition(*number);
            self.reporter.kept.needs(queue, index).map_or(0, |needs| still_needed(&needs, partition.first(), partition.end))
        };
        topic.partitions.iter().zip(0..).map(left).sum()
    }

    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let journal = &self.contents.journal;
        let first = journal.files.first().map_or(0, |(_, start, _)| *start);
        let last = journal.files.last().map_or(0, |(_, _, end)| *end);
        let (files, bytes) = (journal.files.len(), size(journal.bytes()));
        writeln!(out, "journal: positions {first} to {last}, {files} files, {} entries, {bytes}", journal.entries)?;
        if let Some(ended_in_order) = self.reporter.kept.ended_in_order() {
            let how = if ended_in_order { "in order" } else { "in a crash, or it runs" };
            writeln!(out, "the last gateway ended {how}")?;
        }
        writeln!(out)?;
        let mut topics = Columns::new(&["TOPIC", "PARTITION", "FIRST", "END", "IN JOURNAL", "SEGMENTS", "IN SEGMENTS"], 1);
        for (name, index, partition) in self.partitions() {
            topics.row(vec![
                name.to_string(),
                index.to_string(),
                partition.first().to_string(),
                partition.end.to_string(),
                size(partition.journal_bytes),
                partition.segments.len().to_string(),
                size(partition.segment_bytes()),
            ]);
        }
        topics.print(out)?;
        let mut queues = Columns::new(&["QUEUE", "TOPIC", "UNSETTLED"], 2);
        for (queue, topic) in self.reporter.kept.queues().filter(|(_, topic)| self.wants(topic)) {
            queues.row(vec![queue.to_string(), topic.to_string(), self.unsettled(queue, topic).to_string()]);
        }
        let mut groups = Columns::new(&["GROUP", "TOPIC", "PARTITION", "COMMITTED", "BEHIND"], 2);
        for (group, topic, partition, offset) in self.reporter.kept.committed() {
            if self.wants(&topic) {
                let behind = self.end(&topic, partition).map_or("-".to_owned(), |end| end.saturating_sub(offset).to_string());
                groups.row(vec![group.to_string(), topic.to_string(), partition.to_string(), offset.to_string(), behind]);
            }
        }
        for table in [queues, groups].iter().filter(|table| !table.is_empty()) {
            writeln!(out)?;
            table.print(out)?;
        }
        Ok(())
    }

    fn end(&self, topic: &TopicName, partition: u32) -> Option<u64> {
        let number = self.contents.topics.get(topic)?.partitions.get(usize::try_from(partition).ok()?)?;
        Some(self.contents.partition(*number).end)
    }

    fn json(&self) -> Value {
        let journal = &self.contents.journal;
        let files: Vec<Value> = journal
            .files
            .iter()
            .map(|(path, start, end)| json!({ "path": path.display().to_string(), "start": start, "end": end }))
            .collect();
        let partitions: Vec<Value> = self
            .partitions()
            .map(|(name, index, partition)| {
                json!({
                    "topic": text(name.as_bytes()),
                    "partition": index,
                    "first": partition.first(),
                    "end": partition.end,
                    "journal_batches": partition.journal_batches,
                    "journal_bytes": partition.journal_bytes,
                    "segments": partition.segments.len(),
                    "segment_bytes": partition.segment_bytes(),
                })
            })
            .collect();
        let queues: Vec<Value> = self
            .reporter
            .kept
            .queues()
            .filter(|(_, topic)| self.wants(topic))
            .map(|(queue, topic)| {
                let (name, of) = (text(queue.as_bytes()), text(topic.as_bytes()));
                json!({ "queue": name, "topic": of, "unsettled": self.unsettled(queue, topic) })
            })
            .collect();
        let groups: Vec<Value> = self
            .reporter
            .kept
            .committed()
            .iter()
            .filter(|(_, topic, _, _)| self.wants(topic))
            .map(|(group, topic, partition, offset)| {
                let topic = text(topic.as_bytes());
                json!({ "group": &**group, "topic": topic, "partition": partition, "committed": offset })
            })
            .collect();
        json!({
            "journal": { "files": files, "entries": journal.entries, "bytes": journal.bytes() },
            "ended_in_order": self.reporter.kept.ended_in_order(),
            "partitions": partitions,
            "queues": queues,
            "groups": groups,
        })
    }
}

fn still_needed(needs: &Needs, first: u64, end: u64) -> u64 {
    let from = needs.floor.max(first);
    if from >= end {
        return 0;
    }
    let gone: u64 = needs.except.runs_in(from..end).map(|run| run.end - run.start).sum();
    end - from - gone
}
