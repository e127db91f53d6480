"""Kafka's own kafka-producer-perf-test (the class ProducerPerformance), acks=all, 100 B and 1 KB."""

import re

from .install import say
from .page import Rate, Section, beside, best
from .process import run_against
from .servers import Kafka, Trunkline

SIZES_BYTES = (100, 1024)
PARTITIONS = 3
SUMMARY = re.compile(r"(\d+) records sent, ([\d.]+) records/sec .*?([\d.]+) ms avg latency.*?(\d+) ms 99th")


def measure(run):
    """The section of Kafka."""
    run.tools.jars("kafka")
    kinds = [lambda: Trunkline(run), lambda: Kafka(run, fsync=True), lambda: Kafka(run)]
    names = []
    results = []
    latencies = []
    for kind in kinds:
        with kind() as server:
            say(server.name)
            names.append(server.name)
            outcome = {size: _produce(run, server, size) for size in SIZES_BYTES}
            results.append({size: rate for size, (rate, _) in outcome.items()})
            latencies.append({size: words for size, (_, words) in outcome.items()})
    section = Section(
        "Kafka: kafka-producer-perf-test",
        f"acks=all, one producer with its default settings, {PARTITIONS} partitions, server CPU a record in parentheses, our "
        "ratio in bold. Kafka's default acknowledges from the page cache; Trunkline always after fsync.",
    )
    rows = [beside(f"{size} B", results[0][size], [result[size] for result in results[1:]]) for size in SIZES_BYTES]
    rows += [[f"{size} B, latency avg / p99"] + [words[size] for words in latencies] for size in SIZES_BYTES]
    section.table(["work", *names], rows)
    return section


def _produce(run, server, size_bytes):
    topic = f"figures-{size_bytes}"
    create = ["--bootstrap-server", server.kafka, "--create", "--topic", topic, "--partitions", str(PARTITIONS)]
    run_against(server, run.tools.java("kafka", "org.apache.kafka.tools.TopicCommand", *create))
    count = run.amount(3_000_000 if size_bytes <= 100 else 500_000, 2_000)
    arguments = ["--topic", topic, "--num-records", str(count), "--record-size", str(size_bytes), "--throughput", "-1"]
    arguments += ["--producer-props", f"bootstrap.servers={server.kafka}", "acks=all"]
    command = run.pins.load(run.tools.java("kafka", "org.apache.kafka.tools.ProducerPerformance", *arguments))
    rates = []
    for _ in range(run.rounds):
        sample = run_against(server, command)
        sent, per_s, avg_ms, p99_ms = SUMMARY.findall(sample.output)[-1]
        rate = Rate(float(per_s), sample.cpu_s / int(sent) * 1e6)
        rate.latency = f"{float(avg_ms):.1f} / {p99_ms} ms"
        rates.append(rate)
    fastest = best(rates)
    return fastest, fastest.latency
