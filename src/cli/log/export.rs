//! `trunkline log export`: topics as a file that can be read anywhere, in memory that does not grow with them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::complain;
use super::columns::size;
use super::line::{RecordLine, text};
use super::outcomes::{Outcomes, Undone};
use super::portable::{Declaration, Form, Piece, PlacedBatch, Total, begin, put};
use super::reporter::Reporter;
use super::{EXIT_DAMAGED, Failure, Place, places, topic_name};
use crate::delivery::KeptState;
use crate::log::TopicName;
use crate::log::inspect::{Contents, Found, Selection};
use crate::log::record::{BatchBuilder, Limits};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// This topic; may be given several times [default: all but the internal ones]
    #[arg(long, value_name = "NAME", value_parser = topic_name)]
    topic: Vec<TopicName>,
    /// Where to; a file that is not there yet, or - for standard output
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Form,
    /// Leave out what the queue of the topic's own name is done with
    #[arg(long)]
    unsettled: bool,
    /// What of transactions to write
    #[arg(long, value_enum, default_value = "read-committed", alias = "isolation-level")]
    isolation: Isolation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Isolation {
    /// Only records that were committed, and those of no transaction
    #[value(alias = "read_committed")]
    ReadCommitted,
    /// All, with a mark where a transaction was aborted or has no outcome; `import` leaves those out
    #[value(alias = "read_uncommitted")]
    ReadUncommitted,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (_, inspector) = args.place.inspect()?;
    // Outcomes come behind what they decide on, so everything is read twice.
    let mut reporter = Reporter::new("reading twice", inspector.total_bytes()? * 2);
    let contents = inspector.survey(&mut reporter)?;
    if let Some(unknown) = args.topic.iter().find(|name| !contents.topics.contains_key(*name)) {
        return Err(Failure::usage(format_args!("there is no topic {unknown}; `trunkline log ls` shows those there are")));
    }
    let selection = Selection { topics: args.topic.clone(), partition: None, from: 0, to: u64::MAX };
    let kept = std::mem::take(&mut reporter.kept);
    let mut output = Output::open(&args.to)?;
    let damages = reporter.damages().count();
    let mut outcomes = Outcomes::default();
    inspector
        .records(&contents, &selection, &mut reporter, &mut |found| {
            outcomes.note(&found, &found.batch.header().map_err(io::Error::other)?);
            Ok(())
        })
        .map_err(Failure::reading("there is no export, because not everything can be read"))?;
    let mut export = Export { args, kept: &kept, outcomes: &outcomes, declared: HashMap::new(), records: 0, undone: 0 };
    let written = export.declare(&contents, &mut output.out).and_then(|()| {
        inspector.records(&contents, &selection, &mut reporter, &mut |found| export.batch(&found, &mut output.out))?;
        put(&mut output.out, args.format, Piece::End(Total { records: export.records }))
    });
    if let Err(error) = written.and_then(|()| output.finish(&args.to)) {
        return Err(Failure::reading("there is no export, because not everything can be read")(error));
    }
    complain(&format_args!("{} records, topics: {}", export.records, export.declared.len()));
    if export.undone > 0 {
        let (undone, what) = (export.undone, args.isolation.what());
        complain(&format_args!("{undone} records of transactions that were aborted or have no outcome are {what}"));
    }
    match damages {
        0 => Ok(()),
        damages => {
            let what = format!("passed over: {}; see `trunkline log verify` for what is missing", places(damages));
            Err(Failure { what, code: EXIT_DAMAGED })
        }
    }
}

struct Export<'a> {
    args: &'a Args,
    kept: &'a KeptState,
    outcomes: &'a Outcomes,
    /// The numbers of the declarations.
    declared: HashMap<TopicName, u32>,
    records: u64,
    /// Records that do not count, written or not.
    undone: u64,
}

impl Isolation {
    fn what(self) -> &'static str {
        match self {
            Self::ReadCommitted => "left out (see --isolation)",
            Self::ReadUncommitted => "among them, and marked",
        }
    }
}

impl Export<'_> {
    fn declare(&mut self, contents: &Contents, out: &mut dyn Write) -> io::Result<()> {
        begin(out, self.args.format)?;
        let wanted = |name: &TopicName| match self.args.topic.is_empty() {
            true => !name.is_internal(),
            false => self.args.topic.contains(name),
        };
        for ((name, topic), number) in contents.sorted().into_iter().filter(|(name, _)| wanted(name)).zip(0..) {
            let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
            let declaration = Declaration { topic: text(name.as_bytes()), partitions, settings: topic.settings.clone() };
            put(out, self.args.format, Piece::Declare(declaration))?;
            self.declared.insert(name.clone(), number);
        }
        Ok(())
    }

    fn batch(&mut self, found: &Found<'_>, out: &mut dyn Write) -> io::Result<()> {
        let header = found.batch.header().map_err(io::Error::other)?;
        if header.is_control() {
            return Ok(());
        }
        let undone = self.outcomes.of(found, &header);
        if undone.is_some() {
            self.undone += u64::from(header.record_count.unsigned_abs());
            if self.args.isolation == Isolation::ReadCommitted {
                return Ok(());
            }
        }
        let needs = if self.args.unsettled { self.kept.needs(found.topic, found.partition) } else { None };
        let wants = |offset: u64| offset >= found.log_start && needs.as_ref().is_none_or(|needs| needs.any(offset, offset + 1));
        if self.args.format == Form::Batches && needs.is_none() && found.batch.base_offset >= found.log_start {
            self.records += u64::from(header.record_count.unsigned_abs());
            let mut bytes = bytes::BytesMut::with_capacity(found.batch.len());
            found.batch.put_into(&mut bytes);
            return self.put_batch(found, found.batch.base_offset, bytes.freeze(), undone, out);
        }
        let (mut run, mut run_at) = (BatchBuilder::new(), 0);
        for record in found.batch.records(&Limits::STORED).map_err(io::Error::other)? {
            let (offset, record) = record.map_err(io::Error::other)?;
            if !wants(offset) {
                continue;
            }
            self.records += 1;
            match self.args.format {
                Form::Jsonl => {
                    let line = RecordLine::new(found.topic.as_bytes(), found.partition, offset, &record);
                    put(out, Form::Jsonl, Piece::Record(RecordLine { transaction: undone, ..line }))?;
                }
                Form::Batches => {
                    if offset != run_at + run.len() as u64 {
                        self.put_batch(found, run_at, std::mem::take(&mut run).finish(), undone, out)?;
                        run_at = offset;
                    }
                    run.push(&record);
                }
            }
        }
        self.put_batch(found, run_at, run.finish(), undone, out)
    }

    fn put_batch(
        &self,
        found: &Found<'_>,
        base_offset: u64,
        bytes: Bytes,
        undone: Option<Undone>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match self.declared.get(found.topic) {
            Some(topic) if !bytes.is_empty() => {
                let batch = PlacedBatch { topic: *topic, partition: found.partition, base_offset, bytes, undone };
                put(out, Form::Batches, Piece::Batch(batch))
            }
            _ => Ok(()),
        }
    }
}

/// A file that gets its name when it is whole, or standard output.
struct Output {
    out: BufWriter<Box<dyn Write>>,
    unfinished: Option<PathBuf>,
}

impl Output {
    fn open(to: &Path) -> Result<Self, Failure> {
        if to == Path::new("-") {
            return Ok(Self { out: BufWriter::new(Box::new(io::stdout().lock())), unfinished: None });
        }
        if to.exists() {
            return Err(Failure::usage(format_args!("{} exists: name a file that is not there yet", to.display())));
        }
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        let unfinished = to.with_file_name(name);
        let file = File::create(&unfinished).map_err(Failure::about(unfinished.display()))?;
        Ok(Self { out: BufWriter::with_capacity(1 << 20, Box::new(file)), unfinished: Some(unfinished) })
    }

    fn finish(&mut self, to: &Path) -> io::Result<()> {
        self.out.flush()?;
        let Some(unfinished) = self.unfinished.take() else { return Ok(()) };
        let bytes = std::fs::metadata(&unfinished)?.len();
        File::open(&unfinished)?.sync_all()?;
        std::fs::rename(&unfinished, to)?;
        complain(&format_args!("{}: {}", to.display(), size(bytes)));
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(unfinished) = &self.unfinished {
            let _ = std::fs::remove_file(unfinished);
        }
    }
}
