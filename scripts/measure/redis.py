"""Redis's own redis-benchmark: LPUSH, RPOP and PUBLISH, without and with pipelining, against its three durabilities."""

import csv
import io

from . import wire
from .install import say
from .page import Rate, Section, beside, best
from .process import run_against
from .servers import Redis, Trunkline

CLIENTS = 50
SIZE_BYTES = 100
PIPELINES = (1, 16)
WORK = ("LPUSH", "RPOP", "PUBLISH")


def measure(run):
    """The section of Redis."""
    tool = run.tools.command("redis-benchmark", "redis-tools")
    kinds = [lambda: Trunkline(run)] + [lambda mode=mode: Redis(run, mode) for mode in ("always", "everysec", "no")]
    results = []
    names = []
    for kind in kinds:
        with kind() as server:
            say(server.name)
            names.append(server.name)
            results.append({(work, depth): _rate(run, tool, server, work, depth) for depth in PIPELINES for work in WORK})
    section = Section(
        "Redis: redis-benchmark",
        f"{CLIENTS} clients, {SIZE_BYTES} B, server CPU a command in parentheses, our ratio in bold. Trunkline answers a push "
        "after fsync, as `always` does. PUBLISH has no subscriber; Redis keeps nothing of it.",
    )
    rows = []
    for depth in PIPELINES:
        for work in WORK:
            ours, *originals = [result[(work, depth)] for result in results]
            rows.append(beside(f"{work}, pipeline {depth}", ours, originals))
    section.table(["work", *names], rows)
    return section


def _rate(run, tool, server, work, depth):
    count = run.amount(200_000 if depth == 1 else 1_000_000, 2_000)
    command = [tool, "-h", "127.0.0.1", "-p", str(server.redis_port), "-n", str(count), "-c", str(CLIENTS), "-P", str(depth), "--csv"]
    value = "x" * SIZE_BYTES
    commands = {"LPUSH": ["LPUSH", "figures:list", value], "RPOP": ["RPOP", "figures:list"], "PUBLISH": ["PUBLISH", "figures:channel", value]}
    rates = []
    for _ in range(run.rounds):
        wire.delete(server, "figures:list")
        if work == "RPOP":
            _fill(run, tool, server, count)
        sample = run_against(server, run.pins.load(command + commands[work]))
        rates.append(Rate(_per_s(sample.output), sample.cpu_s / count * 1e6))
    return best(rates)


def _fill(run, tool, server, count):
    """RPOP needs something to pop."""
    fill = [tool, "-h", "127.0.0.1", "-p", str(server.redis_port), "-n", str(count), "-c", "50", "-P", "16", "--csv"]
    run_against(server, run.pins.load(fill + ["LPUSH", "figures:list", "x" * SIZE_BYTES]))


def _per_s(output):
    rows = [row for row in csv.reader(io.StringIO(output)) if len(row) > 1]
    return float(rows[-1][1])
