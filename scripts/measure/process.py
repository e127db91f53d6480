"""Processes of our own: started, waited for, measured and ended by their id. Knows no protocol."""

import os
import signal
import socket
import subprocess
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 90


class Pins:
    """Keeps servers on one core and load generators on another, where there are two."""

    def __init__(self, enabled=True):
        cores = sorted(os.sched_getaffinity(0))
        self.enabled = enabled and len(cores) >= 2
        self.server_core = cores[0]
        self.load_core = cores[-1]

    def server(self, command):
        return self._pin(command, self.server_core)

    def load(self, command):
        return self._pin(command, self.load_core)

    def _pin(self, command, core):
        return ["taskset", "-c", str(core), *command] if self.enabled else list(command)

    def words(self):
        if self.enabled:
            return f"servers pinned to core {self.server_core}, load generators to core {self.load_core}"
        return "nothing pinned"


def free_port():
    """A port of loopback that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of the process so far, all its threads, from /proc/PID/stat."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_bytes(pid):
    """Resident memory of the process."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


class Server:
    """One server process. Subclasses say how to start it; `with` ends it."""

    name = "server"
    ready_port = None

    def launch(self, command, directory, env=None):
        """Starts the command and waits until its port answers. Records how long that took."""
        self.directory = directory
        self.log = open(os.path.join(directory, "output.log"), "wb")
        began = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True
        )
        self._await_port(began)
        self.start_ms = (time.monotonic() - began) * 1000

    def _await_port(self, began):
        while time.monotonic() - began < PATIENCE_S:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once:\n{self._log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", self.ready_port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.002)
        self.stop()
        raise RuntimeError(f"{self.name} does not answer on port {self.ready_port}:\n{self._log_tail()}")

    def _log_tail(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    @property
    def pid(self):
        """The process whose CPU and memory count."""
        return self.process.pid

    def stop(self):
        """SIGTERM, and SIGKILL to this one process should it not listen."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Sample:
    """What one command cost one server."""

    def __init__(self, output, took_s, cpu_s):
        self.output = output
        self.took_s = took_s
        self.cpu_s = cpu_s


def run_against(server, command, timeout_s=900, env=None):
    """Runs a load generator to its end and takes the server's CPU before and after."""
    cpu_before = cpu_seconds(server.pid)
    began = time.monotonic()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, env=env, check=False
    )
    took_s = time.monotonic() - began
    if done.returncode != 0:
        raise RuntimeError(f"{command[:6]} failed against {server.name}:\n{(done.stdout + done.stderr)[-2000:]}")
    return Sample(done.stdout, took_s, cpu_seconds(server.pid) - cpu_before)
