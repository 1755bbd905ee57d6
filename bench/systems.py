"""What is measured: gatepost, Postfix, and nothing at all between source and sink (the floor)."""

import os
import shutil
import signal
import socket
import subprocess
import time

from measure import Group

SINK_PORT = 4526
HERE = os.path.dirname(os.path.abspath(__file__))


def wait_for_port(port, limit=20, process=None):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if process and process.poll() is not None:
            raise SystemExit(f"bench: {process.args[0]} ended with {process.returncode} instead of listening")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"bench: nobody listens on port {port}")


class Sink:
    """Postfix's smtp-sink. It writes how many letters it has into a file; the end of that file is the count."""

    def __init__(self, work):
        self.counter = f"{work}/sink.count"
        self.group = Group("sink")
        command = ["smtp-sink", "-c", "-m", "1000", f"127.0.0.1:{SINK_PORT}", "1000"]
        if os.getuid() == 0:
            command[1:1] = ["-u", "nobody"]
        self.process = subprocess.Popen(command, stdout=open(self.counter, "wb"), stderr=subprocess.DEVNULL,
                                        preexec_fn=self.group.enter)
        self.group.pid = self.process.pid
        wait_for_port(SINK_PORT, process=self.process)

    def count(self):
        with open(self.counter, "rb") as file:
            file.seek(max(0, os.path.getsize(self.counter) - 200))
            # Every report ends in CR: what follows the last one is not whole yet.
            reports = [part for part in file.read().split(b"\r")[:-1] if b"mesg=" in part]
        return int(reports[-1].rpartition(b"mesg=")[2]) if reports else 0

    def wait(self, wanted, limit):
        """Returns the time at which the sink had this many."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if self.count() >= wanted:
                return time.monotonic()
            time.sleep(0.01)
        raise SystemExit(f"bench: after {limit} s the sink has {self.count()} letters of {wanted}")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.group.remove()


class Floor:
    """The source speaks to the sink: what the measuring itself costs."""

    name = "floor"
    port = SINK_PORT
    group = None
    running = False

    def start(self):
        pass

    def stop(self):
        pass


class Gatepost:
    name = "gatepost"
    port = 4025
    running = False

    def __init__(self, work, binary):
        self.work, self.binary = f"{work}/gatepost", binary
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        shutil.copy(f"{HERE}/relay.toml", self.work)

    def start(self):
        self.group = Group("gatepost")
        self.log = open(f"{self.work}/log", "wb")
        self.process = subprocess.Popen([self.binary, "serve", "-c", "relay.toml"], cwd=self.work, stdout=self.log,
                                        stderr=self.log, preexec_fn=self.group.enter)
        self.group.pid = self.process.pid
        self.running = True
        wait_for_port(self.port, process=self.process)

    def stop(self):
        self.running = False
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.group.remove()

    @property
    def version(self):
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout.strip()


class Postfix:
    """Debian's Postfix with its defaults, in a folder of its own: only the port and the relayhost are ours."""

    name = "postfix"
    port = 4027
    running = False

    def __init__(self, work):
        self.work = f"{work}/postfix"
        self.config = f"{self.work}/etc"
        shutil.rmtree(self.work, ignore_errors=True)
        for part in ("etc", "queue", "data"):
            os.makedirs(f"{self.work}/{part}")
        shutil.chown(f"{self.work}/data", "postfix", "postfix")
        with open(f"{self.config}/main.cf", "w") as main:
            main.write(f"""compatibility_level = 3.6
queue_directory = {self.work}/queue
data_directory = {self.work}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.example.test
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{SINK_PORT}
""")
        with open("/usr/share/postfix/master.cf.dist") as stock, open(f"{self.config}/master.cf", "w") as master:
            for line in stock:
                words = line.split()
                if line[0] not in "# \t\n" and len(words) >= 8:
                    # No chroot: it changes nothing that is measured and needs copies of system files.
                    words[4] = "n"
                    if words[:2] == ["smtp", "inet"]:
                        words[0] = f"127.0.0.1:{self.port}"
                    line = " ".join(words) + "\n"
                master.write(line)

    def command(self, word):
        subprocess.run(["postfix", "-c", self.config, word], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, preexec_fn=self.group.enter)

    def start(self):
        self.group = Group("postfix")
        self.command("start")
        self.running = True
        wait_for_port(self.port)
        self.group.pid = int(open(f"{self.work}/queue/pid/master.pid").read())

    def stop(self):
        self.running = False
        self.command("stop")
        self.group.remove()

    @property
    def version(self):
        out = subprocess.run(["postconf", "-dh", "mail_version"], capture_output=True, text=True).stdout
        return f"Postfix {out.strip()}"
