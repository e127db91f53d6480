"""How each server is started: on loopback, on free ports, with a directory of its own, otherwise as it ships."""

import os
import subprocess
import time

from .process import Server, free_port


class Trunkline(Server):
    """The gateway with its default settings: every acknowledgement after fsync."""

    name = "Trunkline"

    def __init__(self, run, topics=None, **settings):
        self.ports = {dialect: free_port() for dialect in ("kafka", "amqp", "redis", "http")}
        self.ready_port = self.ports["http"]
        directory = run.fresh("trunkline")
        self.data = os.path.join(directory, "data")
        env = dict(os.environ, TRUNKLINE_DATA_DIR=self.data)
        env["TRUNKLINE_LIMITS__CONNECTIONS"] = "20000"
        env["TRUNKLINE_TELEMETRY__LOG_LEVEL"] = "warn"
        if topics:
            env["TRUNKLINE_LIMITS__TOPICS"] = str(topics)
        for name, value in settings.items():
            env[f"TRUNKLINE_{name.upper()}"] = str(value)
        for dialect, port in self.ports.items():
            env[f"TRUNKLINE_{dialect.upper()}__LISTEN"] = f"127.0.0.1:{port}"
        self._launched = (run.pins.server([run.tools.trunkline(), "serve"]), directory, env)
        self.launch(*self._launched)

    def _await_port(self, began):
        # All ports are bound before the log is opened; the file is there when clients are served.
        listening = os.path.join(self.data, "listening.json")
        while not os.path.exists(listening):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once:\n{self._log_tail()}")
            if time.monotonic() - began > 1800:
                self.stop()
                raise RuntimeError(f"{self.name} does not become ready:\n{self._log_tail()}")
            time.sleep(0.002)

    def end(self, how):
        """Ends it by a signal."""
        self.process.send_signal(how)
        self.process.wait()
        self.log.close()
        listening = os.path.join(self.data, "listening.json")
        if os.path.exists(listening):
            os.remove(listening)

    def relaunch(self):
        """Starts it again on the same directory and ports."""
        self.launch(*self._launched)

    @property
    def kafka(self):
        return f"127.0.0.1:{self.ports['kafka']}"

    @property
    def amqp_port(self):
        return self.ports["amqp"]

    @property
    def redis_port(self):
        return self.ports["redis"]


class Redis(Server):
    """redis-server with the append-only file in one of its three modes: no, everysec, always."""

    def __init__(self, run, appendfsync):
        self.name = "Redis, no append-only file" if appendfsync == "no" else f"Redis, appendfsync {appendfsync}"
        self.redis_port = self.ready_port = free_port()
        program = run.tools.command("redis-server", "redis-server")
        options = ["--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--maxclients", "20000"]
        if appendfsync == "no":
            options += ["--appendonly", "no"]
        else:
            options += ["--appendonly", "yes", "--appendfsync", appendfsync]
        self.launch(run.pins.server([program, *options]), run.fresh("redis"))


KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={directory}/logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class Kafka(Server):
    """One broker in KRaft mode. With `fsync` it syncs each append, as nothing of it does by default."""

    def __init__(self, run, fsync=False):
        self.name = "Kafka, flush each append" if fsync else "Kafka, no fsync (its default)"
        self.port = self.ready_port = free_port()
        directory = run.fresh("kafka")
        properties = os.path.join(directory, "server.properties")
        with open(properties, "w", encoding="ascii") as file:
            file.write(KAFKA_PROPERTIES.format(port=self.port, controller=free_port(), directory=directory))
            if fsync:
                file.write("log.flush.interval.messages=1\n")
        cluster = "AAAAAAAAAAAAAAAAAAAAAQ"
        form = run.tools.java("kafka", "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", properties)
        subprocess.run(form, check=True, capture_output=True)
        self.launch(run.pins.server(run.tools.java("kafka", "kafka.Kafka", properties, heap="1g")), directory)

    @property
    def kafka(self):
        return f"127.0.0.1:{self.port}"


class RabbitMQ(Server):
    """A private RabbitMQ node with a port mapper of its own."""

    name = "RabbitMQ"

    def __init__(self, run):
        run.tools.command("rabbitmqctl", "rabbitmq-server")
        self.amqp_port = self.ready_port = free_port()
        self.directory = directory = run.fresh("rabbitmq")
        mapper_port = free_port()
        with open(os.path.join(directory, "rabbitmq.conf"), "w", encoding="ascii") as conf:
            conf.write(f"listeners.tcp.1 = 127.0.0.1:{self.amqp_port}\n")
        with open(os.path.join(directory, "plugins"), "w", encoding="ascii") as plugins:
            plugins.write("[].\n")
        env = dict(
            os.environ,
            HOME=directory,
            RABBITMQ_NODENAME=f"figures{self.amqp_port}@localhost",
            RABBITMQ_MNESIA_BASE=os.path.join(directory, "mnesia"),
            RABBITMQ_LOG_BASE=os.path.join(directory, "log"),
            RABBITMQ_CONFIG_FILE=os.path.join(directory, "rabbitmq.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=os.path.join(directory, "plugins"),
            RABBITMQ_DIST_PORT=str(free_port()),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
            ERL_EPMD_PORT=str(mapper_port),
            ERL_EPMD_ADDRESS="127.0.0.1",
        )
        # The mapper runs in the foreground as a process of ours: started by the node it would outlive it.
        self.mapper = subprocess.Popen(
            ["epmd", "-address", "127.0.0.1", "-port", str(mapper_port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env,
        )
        self.launch(run.pins.server(["/usr/lib/rabbitmq/bin/rabbitmq-server"]), directory, env)

    @property
    def pid(self):
        """The Erlang machine: the starting script may stay in front of it."""
        return _youngest_named(self.process.pid, "beam.smp") or self.process.pid

    def stop(self):
        beam = _youngest_named(self.process.pid, "beam.smp")
        if beam and beam != self.process.pid:
            os.kill(beam, 15)
        super().stop()
        self.mapper.kill()
        self.mapper.wait()


def _youngest_named(pid, name):
    """The process of that name among this one and its descendants."""
    with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as comm:
        if comm.read().strip() == name:
            return pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        for child in children.read().split():
            found = _youngest_named(int(child), name)
            if found:
                return found
    return None
