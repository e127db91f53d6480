"""The parts of `scripts/scale`. Every figure is taken from outside of the gateway: /proc, its directory, its answers."""

import os
import random
import signal
import subprocess
import threading
import time
import urllib.request

from . import load, plot
from .install import say
from .page import Section, short, size
from .process import cpu_seconds, resident_bytes
from .servers import Trunkline

SETTLE_S = 1.0
SAMPLE_S = 0.25
PROGRESS_S = 15

# Full sizes, and those of --quick.
SIZES = {
    "names": (1_000_000, 3_000),
    "active": (10_000, 500),
    "pushes": (2_000_000, 20_000),
    "records": (100_000_000, 100_000),
    "in_flight": (1_000_000, 10_000),
    "megabytes": (10_240, 64),
    "flood_s": (60, 5),
}

# Of the gateway that is flooded: what may be in flight and in the tail, and what a write of a megabyte takes.
FLOOD_BYTES = 16 << 20
FLOOD_WRITE_US = 50_000
FLOOD_PRODUCERS = 8


class Watcher:
    """Samples resident memory, open files and a level of the caller's until it is stopped, and says now and then how far it is."""

    def __init__(self, server, level=lambda: 0, what=None):
        self.server, self.level, self.what = server, level, what
        self.memory, self.levels, self.files_max = [], [], 0
        self.began, self.done = time.monotonic(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        said = 0
        while not self.done.wait(SAMPLE_S):
            at = time.monotonic() - self.began
            try:
                self.memory.append((at, resident_bytes(self.server.pid)))
                self.files_max = max(self.files_max, open_files(self.server.pid))
            except (FileNotFoundError, ProcessLookupError):
                return
            self.levels.append((at, self.level()))
            if self.what and at - said >= PROGRESS_S:
                said = at
                say(f"{at:.0f} s: {short(self.levels[-1][1])} {self.what}, {size(self.memory[-1][1])}")

    def rows(self, *names):
        """Everything sampled, as the lines of a CSV file: seconds, resident bytes, level."""
        lines = (f"{at:.2f},{bytes_},{level}" for (at, bytes_), (_, level) in zip(self.memory, self.levels))
        return "\n".join([",".join(names), *lines]) + "\n"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    @property
    def peak(self):
        return max((bytes_ for _, bytes_ in self.memory), default=0)


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def files_below(directory):
    """Files and directories below a directory, and the bytes of the files."""
    files, directories, total = 0, 0, 0
    for path, below, names in os.walk(directory):
        directories += len(below)
        for name in names:
            files += 1
            total += os.path.getsize(os.path.join(path, name))
    return files, directories, total


def draw(run, name, title, rows, label):
    """Keeps a CSV of seconds, resident bytes and a level, and draws it; returns how the page names the plot."""
    run.plot(name + ".csv", rows)
    points = [[float(field) for field in line.split(",")] for line in rows.splitlines()[1:]]
    memory = ("resident memory (MiB)", [(at, bytes_ / (1 << 20)) for at, bytes_, _ in points])
    return run.plot(name + ".svg", plot.two_curves(title, "seconds", memory, (label, [(at, level) for at, _, level in points])))


def names(run):
    """A million idle names: a third topics, a third queues, a third lists of one element."""
    section = Section(
        "Idle names",
        "A third topics of one partition (CreateTopics), a third durable queues (queue.declare), a third lists of one element (RPUSH). "
        "Memory a name: what the gateway grew by, and what it holds after a restart, over the names. Start: from the exec until it serves.",
    )
    third = run.args.names // 3
    rows = []
    with Trunkline(run, topics=run.args.names + 1000) as server:
        idle = resident_bytes(server.pid)
        makers = (
            ("topics", lambda: load.Kafka(server).create([f"scale:t{n:07}".encode().replace(b":", b"-") for n in range(third)])),
            ("queues", lambda: load.Amqp(server).declare([f"scale-q{n:07}".encode() for n in range(third)])),
            ("lists", lambda: load.push_in_turn(server, [f"scale-l{n:07}".encode() for n in range(third)], third, 10)),
        )
        for what, make in makers:
            before, began, cpu = resident_bytes(server.pid), time.monotonic(), cpu_seconds(server.pid)
            make()
            took, cpu = time.monotonic() - began, cpu_seconds(server.pid) - cpu
            time.sleep(SETTLE_S)
            grown = (resident_bytes(server.pid) - before) / third
            say(f"{what}: {size(grown)} a name")
            rows.append([what, short(third), f"{size(grown)}", f"{short(third / took)}/s", f"{cpu / third * 1e6:.0f} us"])
        say("settling")
        cpu, began = cpu_seconds(server.pid), time.monotonic()
        time.sleep(5)
        idle_cpu = (cpu_seconds(server.pid) - cpu) / (time.monotonic() - began) * 100
        live = resident_bytes(server.pid)
        for how in ("in order", "killed"):
            say(f"to be ended {how}")
            begun = time.monotonic()
            server.end(signal.SIGTERM if how == "in order" else signal.SIGKILL)
            ended = time.monotonic() - begun
            files, directories, total = files_below(server.data)
            server.relaunch()
            time.sleep(SETTLE_S)
            section.note(
                f"Ended {how} ({ended:.1f} s), started again in {server.start_ms / 1000:.2f} s with {size(resident_bytes(server.pid))} "
                f"({size((resident_bytes(server.pid) - idle) / run.args.names)} a name); {files} files and {directories} directories, {size(total)}; "
                f"{open_files(server.pid)} open files."
            )
        section.note(f"Idle before: {size(idle)}; with all names: {size(live)}; processor while nothing is asked of it: {idle_cpu:.1f}%.")
    section.table(["names", "how many", "memory a name", "made", "processor a name"], rows)
    return section


def active(run):
    """Records a second to many names in turn, against one."""
    section = Section(
        "Active names",
        f"RPUSH of 100 B, pipelines of 1,000 on one connection, {short(run.args.pushes)} records: all to one name, and each to the next of many.",
    )
    rows = []
    for count in (1, run.args.active):
        with Trunkline(run, topics=run.args.active + 1000) as server:
            every = [f"scale-{n:06}".encode() for n in range(count)]
            load.push_in_turn(server, every, count, 100)
            with Watcher(server) as watcher:
                began, cpu = time.monotonic(), cpu_seconds(server.pid)
                load.push_in_turn(server, every, run.args.pushes, 100)
                took, cpu = time.monotonic() - began, cpu_seconds(server.pid) - cpu
            per_s = run.args.pushes / took
            rows.append([short(count), f"{short(per_s)}/s", f"{cpu / run.args.pushes * 1e6:.2f} us", size(watcher.peak), watcher.files_max, per_s])
    ratio = rows[1][-1] / rows[0][-1]
    section.table(["names", "records", "processor a record", "memory, most", "open files, most"], [row[:-1] for row in rows])
    section.note(f"{short(run.args.active)} names take {ratio:.0%} of the rate of one.")
    return section


def backlog(run):
    """A backlog in one queue, drained by acknowledgements in random order."""
    records, per_batch = run.args.records, 1000
    section = Section(
        "A long backlog",
        f"{short(records)} records of 20 B, produced to one topic and drained through the queue of its name: {short(run.args.in_flight)} in "
        "flight, acknowledged one by one in random order, always a random half of those.",
    )
    left = [0]

    def change(by):
        left[0] += by

    with Trunkline(run) as server, Watcher(server, lambda: left[0], "records left") as watcher:
        kafka, data = load.Kafka(server), load.batch(per_batch, 20)
        kafka.create([b"scale-backlog"])
        began = time.monotonic()
        kafka.produce(b"scale-backlog", records // per_batch, data, per_batch, on_answer=change)
        produced = time.monotonic() - began
        time.sleep(SETTLE_S)
        full = resident_bytes(server.pid)
        began = time.monotonic()
        load.Amqp(server).drain(b"scale-backlog", left[0], run.args.in_flight, random.randrange(1 << 30), lambda count: change(-count))
        drained = time.monotonic() - began
        time.sleep(SETTLE_S)
        empty = resident_bytes(server.pid)
    title = f"{short(records)} records in one queue, drained in random order"
    drawn = draw(run, "scale-backlog", title, watcher.rows("seconds", "resident_bytes", "records_left"), "records left")
    section.table(
        ["what", "figure"],
        [
            ["produced", f"{short(records / produced)}/s"],
            ["drained", f"{short(records / drained)}/s"],
            ["memory with the whole backlog", size(full)],
            ["memory, most", size(watcher.peak)],
            ["memory when drained", size(empty)],
            ["open files, most", watcher.files_max],
        ],
    )
    section.note(f"![memory and backlog]({drawn})")
    return section


def restart(run):
    """Time to ready after much was written."""
    wanted, per_batch, value_bytes = run.args.megabytes << 20, 1000, 1000
    section = Section(
        "Restart",
        f"{size(wanted)} of records of 1 KB in batches of 1,000, over 16 partitions; the journal keeps a quarter, the rest is in segments. Killed, and "
        "started again: from the exec until it serves.",
    )
    retain = max(wanted // 4, 64 << 20)
    with Trunkline(run, log__journal_retain_bytes=retain) as server:
        kafka, data = load.Kafka(server), load.batch(per_batch, value_bytes)
        kafka.create([b"scale-restart"], partitions=16)
        with Watcher(server) as watcher:
            began = time.monotonic()
            batches = wanted // len(data)
            for partition in range(16):
                kafka.produce(b"scale-restart", batches // 16, data, per_batch, partition=partition)
            took = time.monotonic() - began
            time.sleep(3)
        rows = []
        for how in (signal.SIGKILL, signal.SIGTERM):
            server.end(how)
            files, _, total = files_below(server.data)
            server.relaunch()
            with Watcher(server) as after:
                time.sleep(SETTLE_S)
            rows.append([how.name, size(total), files, f"{server.start_ms / 1000:.2f} s", size(after.peak), after.files_max])
    section.table(["ended by", "on disk", "files", "ready after", "memory then", "open files"], rows)
    section.note(f"Written at {size(wanted / took)}/s; memory, most: {size(watcher.peak)}; open files, most: {watcher.files_max}.")
    return section


def metric(server, name):
    """The value of a metric without labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.ports['http']}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
    raise RuntimeError(f"there is no metric {name}")


def produce_until(server, topic, data, until, counts):
    """One producer with 16 requests on their way, each a megabyte."""
    kafka = load.Kafka(server)
    while time.monotonic() < until:
        kafka.produce(topic, 32, data, 1000, on_answer=lambda _: counts.append(1), in_flight=16)


def flood(run):
    """Producers that are faster than the disk: memory stays flat."""
    section = Section(
        "Producers faster than the disk",
        f"{FLOOD_PRODUCERS} producers with 16 requests of 1 MB each on their way, acks=all, against a disk on which each write takes "
        f"{FLOOD_WRITE_US / 1000:.0f} ms more (pwrite64 delayed from outside by strace); `log.in_flight_bytes` and `log.memory_tail_bytes` "
        f"are {size(FLOOD_BYTES)} each.",
    )
    settings = {"log__in_flight_bytes": FLOOD_BYTES, "log__memory_tail_bytes": FLOOD_BYTES}
    with Trunkline(run, **settings) as server:
        data, counts = load.batch(1000, 1000), []
        load.Kafka(server).create([b"scale-flood"], partitions=FLOOD_PRODUCERS)
        inject = ["-e", "trace=pwrite64", "-e", f"inject=pwrite64:delay_enter={FLOOD_WRITE_US}"]
        try:
            tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", *inject, "-p", str(server.pid)])
        except FileNotFoundError:
            section.note("Skipped: there is no strace, which makes the disk slow.")
            return section
        try:
            time.sleep(SETTLE_S)
            with Watcher(server, lambda: metric(server, "trunkline_log_in_flight_bytes") / (1 << 20), "MiB in flight") as watcher:
                began = time.monotonic()
                arguments = (server, b"scale-flood", data, began + run.args.flood_s, counts)
                producers = [threading.Thread(target=produce_until, args=arguments) for _ in range(FLOOD_PRODUCERS)]
                for producer in producers:
                    producer.start()
                for producer in producers:
                    producer.join()
                took = time.monotonic() - began
        finally:
            tracer.terminate()
            tracer.wait()
        held_back = metric(server, "trunkline_log_held_back_total")
    later = [bytes_ for at, bytes_ in watcher.memory if at > took / 3]
    title = "Producers faster than the disk"
    drawn = draw(run, "scale-flood", title, watcher.rows("seconds", "resident_bytes", "in_flight_mib"), "in flight (MiB)")
    section.table(
        ["what", "figure"],
        [
            ["taken", f"{size(len(counts) * len(data) / took)}/s for {took:.0f} s"],
            ["in flight, most", f"{max(level for _, level in watcher.levels):.1f} MiB"],
            ["appends that waited", short(held_back)],
            ["memory in the last two thirds: least, most", f"{size(min(later))}, {size(max(later))}"],
        ],
    )
    section.note(f"![memory and what is in flight]({drawn})")
    return section


PARTS = {"names": names, "active": active, "backlog": backlog, "restart": restart, "flood": flood}
