"""All checks, in the order in which a letter travels. `./run` calls this; see README.md."""

import os
import signal
import sys
import tempfile

import check as runner
import inward
import logins
import outward
import quickstart
import sendmail
import spool
from check import certificates, check, complain, tail, wait_for
from servers import HERE, Dovecot, Exim, Gatepost, Postfix, remove


def main(words):
    against = None
    if words[:1] == ["--against"]:
        against, words = words[1], words[2:]
    runner.only = words
    binary = os.path.abspath(os.environ.get("GATEPOST", f"{HERE}/../target/release/gatepost"))
    if not against and not os.access(binary, os.X_OK):
        raise SystemExit(f"interop: {binary} is not there; build it (make interop) or set GATEPOST")
    # Told to stop, or out of time: the servers are stopped all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("interop: stopped from outside"))
    work = tempfile.mkdtemp(prefix="gatepost-interop-")
    os.chmod(work, 0o755)
    try:
        against_a_stand_in(work) if against else against_gatepost(work, binary)
    finally:
        if "KEEP" in os.environ:
            complain(f"kept: {work}")
        else:
            remove(work)
    return runner.summary()


def against_gatepost(work, binary):
    certs = certificates(f"{work}/certs")
    postfix, exim, dovecot = Postfix(work, certs), Exim(work, certs), Dovecot(work, certs)
    hops = {"postfix": postfix.port, "exim": exim.port, "lmtp": dovecot.lmtp, "socket": dovecot.socket}
    hops |= {f"smart_{name}": port for name, port in postfix.ports.items()}
    gatepost = Gatepost(work, binary, certs, hops)
    postfix.configure(gatepost.ports, dovecot.auth)
    exim.configure(gatepost.ports)
    with_servers(work, [dovecot, exim, postfix, gatepost], lambda: everything(work, gatepost, postfix, exim, dovecot, certs))


def everything(work, gatepost, postfix, exim, dovecot, certs):
    inward.clients_on_every_port(gatepost, certs)
    inward.clients_in_the_wrong_mode(gatepost, certs)
    logins.mechanisms(gatepost, certs)
    logins.programs(gatepost, certs)
    logins.outward(gatepost, postfix, certs)
    outward.next_hops(gatepost, postfix, exim, dovecot, certs)
    inward.from_postfix(gatepost, postfix)
    inward.from_exim(gatepost, exim)
    inward.tls_as_postfix_sees_it(gatepost, certs)
    inward.behind_a_proxy(gatepost, certs)
    sendmail.callers(gatepost)
    spool.readers(gatepost, certs)
    quickstart.snippets(work, gatepost)


def against_a_stand_in(work):
    """The same without gatepost: what fails here too is the client's or the test's affair."""
    certs = certificates(f"{work}/certs")
    postfix, exim, dovecot = Postfix(work, certs), Exim(work, certs), Dovecot(work, certs)
    postfix.configure({}, dovecot.auth)
    exim.configure({})

    def act():
        inward.clients_on_every_port(postfix, certs)
        inward.clients_without_tls(postfix, certs)
        outward.peers_among_themselves(postfix, exim, dovecot)
    with_servers(work, [dovecot, exim, postfix], act)


def running(work):
    """Processes that have something to do with this folder, as text."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as command:
                if work.encode() in command.read() or os.readlink(f"/proc/{pid}/cwd").startswith(work):
                    found.append(pid)
        except OSError:
            # It has ended meanwhile.
            continue
    return " ".join(found)


def with_servers(work, servers, act):
    started = []
    try:
        for server in servers:
            started.append(server)
            server.start()
        act()
    finally:
        for server in reversed(started):
            server.stop()
        check("nothing is left running", lambda: wait_for(
            "the end of all servers", lambda: not running(work)) and None)
        if runner.failed or len(started) < len(servers):
            for server in started:
                complain(f"\n--- the end of {server.name}'s log\n{tail(f'{server.folder}/log', 40)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
