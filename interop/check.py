"""A runner of checks, and what they all need: ports, a certificate, waiting, Maildirs."""

import os
import socket
import subprocess
import sys
import time
import uuid

passed, failed = [], []
only = []


def check(name, act):
    """Runs `act`; an exception is a failure, its text the reason. A returned text is shown."""
    if only and not any(part in name for part in only):
        return
    begun = time.monotonic()
    try:
        told = act()
    except Exception as error:  # noqa: BLE001: whatever goes wrong is this check's result
        failed.append(name)
        reason = str(error) or type(error).__name__
        print(f"FAIL {name}: {reason.strip()}".replace("\n", "\n     "), flush=True)
    else:
        passed.append(name)
        told = f": {told}" if isinstance(told, str) and told else ""
        print(f"ok   {name} ({time.monotonic() - begun:.1f} s){told}", flush=True)


def summary():
    print(f"\n{len(passed)} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


class Failed(Exception):
    pass


def require(condition, reason):
    if not condition:
        raise Failed(reason)


def run(command, text=None, limit=60, **more):
    """Runs a command to its end. Its exit code is in the result; see `must`."""
    if text is not None and isinstance(text, str):
        text = text.encode()
    return subprocess.run(command, input=text if text is not None else b"", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=limit, **more)


def must(command, text=None, **more):
    """The same, but it must succeed. Returns its output."""
    done = run(command, text, **more)
    out = done.stdout.decode("utf-8", "replace")
    require(done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{out[-1500:]}")
    return out


# Two suites on one machine do not take each other's.
_next_port = 14000 + os.getpid() % 600 * 30


def free_port():
    """Below the range that the kernel takes for outgoing connections."""
    global _next_port
    while True:
        _next_port += 1
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", _next_port))
                return _next_port
            except OSError:
                continue


def wait_for(what, look, limit=20):
    """Waits until `look()` gives something true, and returns it."""
    end = time.monotonic() + limit
    while True:
        found = look()
        if found:
            return found
        require(time.monotonic() < end, f"waited {limit} s in vain for {what}")
        time.sleep(0.05)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def greets(port):
    """An address is listened on before there is somebody behind it."""
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as sock:
            return sock.recv(4) == b"220 "
    except OSError:
        return False


def mark():
    """A word that tells a letter from all others."""
    return f"mark-{uuid.uuid4().hex[:12]}"


def letter(sender, recipient, word, more=b""):
    head = (f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: {word}\r\nDate: Mon, 03 Mar 2025 10:00:00 +0000\r\n"
            f"Message-ID: <{word}@letters.test>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
    return head.encode() + more + f"{word}\r\n".encode()


def find_in_maildir(folder, word):
    """The letter with this word in a Maildir, or None."""
    for part in ("new", "cur"):
        place = os.path.join(folder, part)
        for name in os.listdir(place) if os.path.isdir(place) else []:
            with open(os.path.join(place, name), "rb") as file:
                bytes_ = file.read()
            if word.encode() in bytes_:
                return bytes_
    return None


def arrived(folder, word, limit=20):
    return wait_for(f"a letter with {word} in {folder}", lambda: find_in_maildir(folder, word), limit)


def same_but_trace(sent, got):
    """Byte for byte, after the fields that servers put on top, whatever the newline of the store."""
    sent, got = sent.replace(b"\r\n", b"\n"), got.replace(b"\r\n", b"\n")
    require(got.endswith(sent), f"the letter changed: sent {sent[-300:]!r}, got {got[-300:]!r}")
    for line in got[:len(got) - len(sent)].splitlines():
        name = line.split(b":")[0].lower()
        trace = (b"received", b"return-path", b"delivered-to", b"x-original-to", b"envelope-to", b"delivery-date")
        require(line[:1] in b" \t" or name in trace, f"put on top: {line!r}")


def certificates(folder):
    """Makes the folder with ca.pem, and cert.pem with key.pem for the names that our servers go by. Returns it."""
    os.mkdir(folder)

    def openssl(*words):
        must(["openssl", *words], cwd=folder)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
            "-subj", "/CN=Authority of the interop tests", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.csr", "-subj", "/CN=localhost")
    with open(f"{folder}/cert.ext", "w") as extensions:
        extensions.write("subjectAltName=DNS:localhost,DNS:mx.example.test,DNS:postfix.test,DNS:exim.test,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "cert.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
            "cert.pem", "-days", "20", "-extfile", "cert.ext")
    for name in ("ca.pem", "cert.pem", "key.pem"):
        os.chmod(f"{folder}/{name}", 0o644)
    return folder


def tail(path, count=15):
    try:
        with open(path, errors="replace") as file:
            return "".join(file.readlines()[-count:])
    except OSError:
        return ""


def complain(text):
    print(text, file=sys.stderr, flush=True)
