"""The journal against the bare device: what group commit over a shared file makes of append and fdatasync."""

import json
import subprocess

from .install import say
from .page import Section, short


def measure(run):
    """The section of the journal."""
    program = run.tools.bench("journal")
    say("append and fdatasync, bare and through the journal")
    arguments = ["--dir", run.fresh("journal"), "--count", str(run.amount(4_000, 200))]
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, check=True)
    results = json.loads(done.stdout)
    section = Section(
        "Journal: beside the bare device",
        "Bare: one file, one thread, append and fdatasync, one after the other. Journal: that many writers, each waiting until "
        "its record is on disk before it appends the next. Not pinned.",
    )
    rows = []
    for row in results["rows"]:
        rows.append([
            f"{row['size_bytes']} B, {row['writers']} writers",
            f"{short(row['journal_per_s'])}/s",
            f"{short(row['bare_per_s'])}/s -> **{row['journal_per_s'] / row['bare_per_s']:.2f}**",
        ])
    section.table(["work", "journal", "bare append + fdatasync"], rows)
    return section
