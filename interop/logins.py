"""Logins: each mechanism by GNU SASL, and the first words of programs that cannot be installed here, as they say them."""

import base64
import json
import socket
import ssl

from check import Failed, arrived, check, letter, mark, must, require, run, tail, wait_for
from outward import submit
from servers import ADDRESS, MECHANISMS, PASSWORD, USER


def mechanisms(gatepost, certs):
    """SCRAM is mutual: the client fails too where the server does not know the password."""
    def gsasl(*options, password=PASSWORD):
        return ["gsasl", "--smtp", "--connect", f"localhost:{gatepost.ports['submission']}", "--no-client-first",
                f"--x509-ca-file={certs}/ca.pem", f"--authentication-id={USER}", f"--password={password}", "--verbose",
                *options]

    def succeeds(mechanism, *options):
        out = must(gsasl(*options))
        require(f"\nAUTH {mechanism}\n" in out.replace("\r", "") and "\n235 " in out, out)

    for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256-PLUS"):
        check(f"gsasl logs in by {mechanism}", lambda: succeeds(mechanism, f"--mechanism={mechanism}"))
    # It has a channel binding to give and will not leave it out unless told to.
    check("gsasl logs in by SCRAM-SHA-256", lambda: succeeds("SCRAM-SHA-256", "--mechanism=SCRAM-SHA-256", "--no-cb"))
    check("gsasl logs in by SCRAM-SHA-256 under TLS 1.2",
          lambda: succeeds("SCRAM-SHA-256", "--mechanism=SCRAM-SHA-256", "--priority=NORMAL:-VERS-TLS1.3", "--no-cb"))
    check("gsasl left to choose takes the strongest", lambda: succeeds("SCRAM-SHA-256-PLUS"))

    def fails(mechanism):
        done = run(gsasl(f"--mechanism={mechanism}", password="wrong"))
        require(done.returncode != 0 and b"\n535 5.7.8" in done.stdout, done.stdout.decode())

    for mechanism in ("PLAIN", "SCRAM-SHA-256-PLUS"):
        check(f"gsasl with a wrong password is refused by {mechanism}", lambda: fails(mechanism))


def outward(gatepost, postfix, certs):
    """We log in at a provider: Postfix with Dovecot's mechanisms, one on each port."""
    def delivered(domain, port):
        word, to = mark(), f"you@{domain}"
        submit(gatepost, certs, [to], letter(ADDRESS, to, word))
        arrived(postfix.maildir(to), word, 30)
        used = f"sasl_method={MECHANISMS[port].upper()}, sasl_username={USER}"
        require(used in tail(f"{postfix.folder}/log", 200), f"Postfix does not say {used}")

    for domain, port in (("scram.test", "submission"), ("plain.test", "submissions"), ("login.test", "alternative")):
        check(f"we log in at Postfix's {port} by {MECHANISMS[port]}", lambda: delivered(domain, port))

    def waits():
        to = "you@wrong.test"
        submit(gatepost, certs, [to], letter(ADDRESS, to, mark()))
        listed = ["queue", "list", "--json", "-c", gatepost.config]
        wait_for("the reply in the queue", lambda: "535" in must([gatepost.binary, *listed]))
        for waiting in json.loads(must([gatepost.binary, *listed])):
            must([gatepost.binary, "queue", "drop", waiting["id"], "-c", gatepost.config])

    check("a letter waits where Postfix refuses our password", waits)


def encoded(*words):
    return base64.b64encode("\0".join(words).encode()).decode()


# What they say before DATA, on a port of STARTTLS (line "STARTTLS") or of implicit TLS; {} is the sender's address.
PROGRAMS = {
    "Thunderbird": ("submission", [
        "EHLO [192.168.1.5]", "STARTTLS", "EHLO [192.168.1.5]", f"AUTH PLAIN {encoded('', USER, PASSWORD)}",
        f"MAIL FROM:<{ADDRESS}> BODY=8BITMIME SIZE=400", f"RCPT TO:<{ADDRESS}>", "DATA"]),
    "Thunderbird on the port for implicit TLS": ("submissions", [
        "EHLO [192.168.1.5]", f"AUTH PLAIN {encoded('', USER, PASSWORD)}",
        f"MAIL FROM:<{ADDRESS}> BODY=8BITMIME SIZE=400", f"RCPT TO:<{ADDRESS}>", "DATA"]),
    "Outlook": ("submission", [
        "EHLO DESKTOP-4K2J1", "STARTTLS", "EHLO DESKTOP-4K2J1", "AUTH LOGIN", encoded(USER), encoded(PASSWORD),
        f"MAIL FROM: <{ADDRESS}>", f"RCPT TO: <{ADDRESS}>", "DATA"]),
    ".NET's SmtpClient": ("submission", [
        "EHLO web01", "STARTTLS", "EHLO web01", f"AUTH login {encoded(USER)}", encoded(PASSWORD),
        f"MAIL FROM:<{ADDRESS}>", f"RCPT TO:<{ADDRESS}>", "DATA"]),
    "Go's net/smtp": ("alternative", [
        "EHLO localhost", "STARTTLS", "EHLO localhost", f"AUTH PLAIN {encoded('', USER, PASSWORD)}",
        f"MAIL FROM:<{ADDRESS}> BODY=8BITMIME SMTPUTF8", f"RCPT TO:<{ADDRESS}>", "DATA"]),
    "an iPhone": ("submissions", [
        "EHLO smtpclient.apple", f"AUTH PLAIN {encoded(USER, USER, PASSWORD)}", f"MAIL FROM:<{ADDRESS}>",
        f"RCPT TO:<{ADDRESS}>", "DATA"]),
    "an old script": ("alternative", [
        "ehlo my_server", "starttls", "ehlo my_server", "auth login", encoded(USER), encoded(PASSWORD),
        f"mail from:  <{ADDRESS}>", f"rcpt to: <{ADDRESS}>", "data"]),
}


def programs(gatepost, certs):
    for name, (port, lines) in PROGRAMS.items():
        check(f"{name} is understood", lambda: spoken(gatepost, certs, port, lines))


def spoken(gatepost, certs, port, lines):
    word = mark()
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    with socket.create_connection(("localhost", gatepost.ports[port]), 20) as raw:
        wire = Wire(context.wrap_socket(raw, server_hostname="localhost") if port == "submissions" else raw)
        wire.reply()
        for line in lines:
            wire.say(line.encode() + b"\r\n")
            if line.upper() == "STARTTLS":
                wire = Wire(context.wrap_socket(raw, server_hostname="localhost"))
        wire.say(letter(ADDRESS, ADDRESS, word) + b".\r\n")
        wire.say(b"QUIT\r\n")
    arrived(gatepost.maildir(ADDRESS), word)


class Wire:
    """Lines over a socket."""

    def __init__(self, sock):
        self.sock, self.file = sock, sock.makefile("rb")

    def reply(self):
        while True:
            line = self.file.readline()
            if line[3:4] != b"-":
                return line.decode().strip()

    def say(self, text):
        self.sock.sendall(text)
        reply = self.reply()
        if reply[:1] not in ("2", "3"):
            raise Failed(f"{text.decode().strip()}: {reply or 'the connection was closed'}")
