"""RabbitMQ: confirmed persistent publishes by a lapin program, and RabbitMQ's own PerfTest with consumers that acknowledge."""

import json
import re

from .install import say
from .page import Rate, Section, beside, best
from .process import run_against
from .servers import RabbitMQ, Trunkline

SIZES_BYTES = (100, 1024)
WINDOWS = (1, 100, 2000)
PERF_TEST_PAIRS = 2
PREFETCH = 200
PERF_TEST_RATE = re.compile(r"(sending|receiving) rate avg: (\d+) msg/s")


def measure(run):
    """The section of RabbitMQ."""
    section = Section(
        "RabbitMQ: confirmed persistent publishes",
        "A durable queue, persistent messages, publisher confirms, server CPU a message in parentheses, our ratio in bold. "
        "lapin: one connection, publishes only. PerfTest: two producers with a window of 100, two consumers that acknowledge. "
        "RabbitMQ's classic queue is the one that unmodified applications declare; its quorum queue is the one that promises "
        "what Trunkline does.",
    )
    program = run.tools.bench("confirmed_publish")
    run.tools.jars("perf-test")
    with Trunkline(run) as server:
        say(server.name)
        ours = _all(run, program, server, "classic")
    with RabbitMQ(run) as server:
        say(server.name)
        classic = _all(run, program, server, "classic")
        quorum = _all(run, program, server, "quorum")
    rows = [beside(work, ours[work], [classic[work], quorum[work]]) for work in ours]
    section.table(["work", "Trunkline", "RabbitMQ, classic queue", "RabbitMQ, quorum queue"], rows)
    return section


def _all(run, program, server, queue_type):
    results = {}
    for size_bytes in SIZES_BYTES:
        for window in WINDOWS:
            rates = [_lapin(run, program, server, queue_type, size_bytes, window) for _ in range(run.rounds)]
            results[f"lapin, {size_bytes} B, window {window}"] = best(rates)
        rates = [_perf_test(run, server, queue_type, size_bytes) for _ in range(run.rounds)]
        results[f"PerfTest, {size_bytes} B"] = best(rates)
    return results


def _lapin(run, program, server, queue_type, size_bytes, window):
    count = run.amount({1: 5_000, 100: 100_000, 2000: 200_000}[window], 300)
    url = f"amqp://guest:guest@127.0.0.1:{server.amqp_port}/%2f"
    arguments = ["--url", url, "--count", str(count), "--size", str(size_bytes), "--window", str(window), "--queue-type", queue_type]
    sample = run_against(server, run.pins.load([program, *arguments]))
    return Rate(json.loads(sample.output)["records_per_s"], sample.cpu_s / count * 1e6)


def _perf_test(run, server, queue_type, size_bytes):
    each = run.amount(100_000, 2_000)
    url = f"amqp://guest:guest@127.0.0.1:{server.amqp_port}/%2f"
    # A consumer that has its share keeps what it was given beyond it, up to its prefetch, until all have theirs.
    share = each - PREFETCH * PERF_TEST_PAIRS
    arguments = ["--uri", url, "-x", str(PERF_TEST_PAIRS), "-y", str(PERF_TEST_PAIRS), "-C", str(each), "-D", str(share)]
    arguments += ["-s", str(size_bytes), "-f", "persistent", "-c", "100", "-q", str(PREFETCH), "--multi-ack-every", "50"]
    arguments += ["-u", f"figures-{queue_type}-{size_bytes}", "-ad", "false"]
    if queue_type == "quorum":
        arguments += ["--quorum-queue"]
    sample = run_against(server, run.pins.load(run.tools.java("perf-test", "com.rabbitmq.perf.PerfTest", *arguments)))
    rates = {way: float(rate) for way, rate in PERF_TEST_RATE.findall(sample.output)}
    return Rate(rates["receiving"], sample.cpu_s / (each * PERF_TEST_PAIRS) * 1e6)
