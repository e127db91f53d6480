"""Memory: of an idle server, of an idle connection, of a name. Resident size before and after, divided."""

import time

from . import wire
from .install import Missing, say
from .page import Section, size
from .process import resident_bytes
from .servers import Kafka, RabbitMQ, Redis, Trunkline

SETTLE_S = 0.5


def measure(run):
    """The section of memory and start."""
    section = Section(
        "Memory and start",
        "Resident memory: idle after the start; by idle connection (after its handshake); by name (an empty queue; a list with one "
        "record of 10 B). Start: from the exec until the port answers, on an empty directory.",
    )
    rows = []
    connections = run.amount(1_000, 50)
    names = run.amount(10_000, 100)
    for make in (lambda: Redis(run, "always"), lambda: RabbitMQ(run), lambda: Kafka(run)):
        try:
            with make() as server:
                rows += _of(server, connections, names)
        except Missing as missing:
            section.note(f"Skipped: {missing}.")
    # One process, so that what the dialects cost is seen apart.
    for dialect in ("redis", "amqp", "kafka"):
        with Trunkline(run) as server:
            rows += _of(server, connections, names, only=dialect)
    section.table(["server", "dialect", "start", "idle", "a connection", "a name"], rows)
    return section


def _of(server, connections, names, only=None):
    say(f"memory of {server.name}")
    time.sleep(SETTLE_S)
    rows = []
    for dialect in wire.DIALECTS:
        if not dialect.fits(server) or only not in (None, dialect.name):
            continue
        idle = resident_bytes(server.pid)
        a_connection = _grown(server, idle, lambda d=dialect: [d.connect(server) for _ in range(connections)], connections)
        before = resident_bytes(server.pid)
        a_name = _grown(server, before, lambda d=dialect: d.make_names(server, names), names) if dialect.make_names else "-"
        rows.append([server.name, dialect.name, f"{server.start_ms:.0f} ms", size(idle), a_connection, a_name])
    return rows


def _grown(server, before, act, count):
    """What one of them costs; held while it is measured, let go after it."""
    held = act()
    time.sleep(SETTLE_S)
    each = (resident_bytes(server.pid) - before) / count
    for connection in held or ():
        connection.close()
    # What a virtual machine frees meanwhile may be more than what a connection takes.
    return size(each) if each > 0 else "in the noise"
