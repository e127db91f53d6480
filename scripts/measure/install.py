"""What the measurements need: the originals from apt and Maven, Trunkline and its load programs from cargo."""

import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JARS = os.path.join(ROOT, "target", "figures-jars")
POLICY = "/usr/sbin/policy-rc.d"


class Missing(Exception):
    """Something that cannot be had here; the part that needs it is skipped and says so."""


class Tools:
    """Finds each tool once, installing it if allowed."""

    def __init__(self, may_install, trunkline):
        self.may_install = may_install
        self._trunkline = os.path.abspath(trunkline) if trunkline else None
        self._benches = {}

    def command(self, name, package):
        """The path of a command, from that Debian package if need be."""
        found = shutil.which(name)
        if not found and self.may_install and os.geteuid() == 0 and shutil.which("apt-get"):
            _apt_install(package)
            found = shutil.which(name)
        if not found:
            raise Missing(f"{name} (Debian package {package}) is not here")
        return found

    def jars(self, name):
        """The class path of scripts/jars/NAME/pom.xml."""
        directory = os.path.join(JARS, name)
        if not os.path.isdir(directory):
            if not self.may_install:
                raise Missing(f"the jars of {name} are not here")
            self.command("java", "default-jre-headless")
            maven = self.command("mvn", "maven")
            say(f"fetching the jars of {name}")
            pom = os.path.join(ROOT, "scripts", "jars", name, "pom.xml")
            fetch = [maven, "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={directory}.part"]
            if subprocess.run(fetch, stdout=sys.stderr, check=False).returncode != 0:
                raise Missing(f"Maven cannot get the jars of {name}")
            os.rename(directory + ".part", directory)
        return os.path.join(directory, "*")

    def java(self, jars, main, *arguments, heap="512m", options=()):
        """The command line of a Java main class."""
        return [self.command("java", "default-jre-headless"), f"-Xmx{heap}", *options, "-cp", self.jars(jars), main, *arguments]

    def trunkline(self):
        """The release build of the gateway."""
        if not self._trunkline:
            say("building the release")
            self._trunkline = _cargo_build("bin", "trunkline")
        return self._trunkline

    def bench(self, name):
        """The release build of benches/NAME.rs."""
        if name not in self._benches:
            say(f"building benches/{name}.rs")
            self._benches[name] = _cargo_build("bench", name)
        return self._benches[name]


def _cargo_build(kind, name):
    """The executable of one target. A bench brings the gateway's with it, in either order."""
    command = ["cargo", "build", "--release", "--message-format=json-render-diagnostics", f"--{kind}", name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f"cargo cannot build --{kind} {name}")
    for line in done.stdout.splitlines():
        built = json.loads(line) if line.startswith("{") else {}
        if built.get("executable") and built["target"]["name"] == name and kind in built["target"]["kind"]:
            return built["executable"]
    raise Missing(f"cargo has built no --{kind} {name}")


def _apt_install(package):
    say(f"installing {package}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    made_policy = not os.path.exists(POLICY)
    if made_policy:
        # Debian starts a service when it is installed, unless told not to.
        with open(POLICY, "w", encoding="ascii") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        install = ["apt-get", "install", "-y", "-q", package]
        if subprocess.run(install, env=env, stdout=sys.stderr, check=False).returncode != 0:
            subprocess.run(["apt-get", "update", "-q"], env=env, stdout=sys.stderr, check=False)
            subprocess.run(install, env=env, stdout=sys.stderr, check=False)
    finally:
        if made_policy:
            os.remove(POLICY)


def say(what):
    """A line for who watches."""
    print(f"   {what}", file=sys.stderr, flush=True)
