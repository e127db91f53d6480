"""The log alone beside the bare device: what group commit over a shared file makes of it."""

import json
import subprocess

from .install import say
from .page import Section, short


def measure(run):
    """The section of the log."""
    program = run.tools.bench("log")
    say("the log beside the bare device")
    sizes = ["--row-ms", str(run.amount(2_000, 200)), "--large-mb", str(run.amount(1_024, 64))]
    done = subprocess.run([program, "--json", "--dir", run.fresh("log"), *sizes], stdout=subprocess.PIPE, check=True)
    results = json.loads(done.stdout)
    section = Section(
        "The log: beside the bare device",
        "Durable appends: that many writers, each waiting until its record is on disk before it appends the next; beside it one "
        "thread that overwrites a file full of zeros and syncs as many bytes at a time as the log's commits had on average. Not pinned.",
    )
    rows = []
    for row in results["rows"]:
        latency = " / ".join(str(us) for us in row["latency_us"]) + " us" if any(row["latency_us"]) else "-"
        rows.append([
            row["work"],
            f"{short(row['log_per_s'])} {row['unit']}/s",
            f"{row['bare']}: {short(row['bare_per_s'])} {row['unit']}/s -> **{row['log_per_s'] / row['bare_per_s']:.2f}**",
            latency,
        ])
    section.table(["work", "log", "beside it", "p50 / p99 / p99.9"], rows)
    return section
