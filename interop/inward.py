"""Letters in: clients on every port, clients in the wrong mode, logins, servers that relay to us, TLS as they see it."""

import smtplib

import check as runner
from check import arrived, check, letter, mark, must, require, run, same_but_trace, tail, wait_for
from clients import STARTTLS_ONLY, VARIANTS, Port, python, said_without_raising
from outward import LETTERS
from servers import ADDRESS

swaks, curl, nodemailer = VARIANTS["swaks"][0], VARIANTS["curl"][0], VARIANTS["nodemailer"][0]


def ports(server, certs):
    return [Port(name, server.ports[name], "implicit" if name == "submissions" else "starttls", certs)
            for name in ("submission", "submissions", "alternative")]


def clients_on_every_port(server, certs):
    """Every client with each of its settings on each submission port; the letter must lie in the mailbox."""
    for port in ports(server, certs):
        for client, (send, variants) in VARIANTS.items():
            for variant, options in variants.items():
                if not (port.implicit and (client, variant) in STARTTLS_ONLY):
                    check(f"{client} to {port.name}, {variant}",
                          lambda: deliver(server, send, port, options))


def deliver(server, send, port, options):
    word = mark()
    send(port, word, ADDRESS, options)
    arrived(server.maildir(ADDRESS), word)


def refused(act, *texts):
    told = said_without_raising(act)
    require(any(text in told for text in texts), f"it failed in other words: {told}")


def clients_without_tls(server, certs):
    """No client sends a password or a letter in clear."""
    submission, _, alternative = ports(server, certs)
    word = mark()
    for port in (submission, alternative):
        check(f"swaks without TLS to {port.name} gets no AUTH",
              lambda: refused(lambda: swaks(port, word, ADDRESS, ["--no-tls"]), "ended with 28"))
        check(f"smtplib without TLS to {port.name} gets no AUTH",
              lambda: refused(lambda: python(port, word, ADDRESS, {"no_tls": True}), "AUTH", "authentication"))
        check(f"curl without TLS to {port.name} is told to use STARTTLS",
              lambda: refused(lambda: curl(port, word, ADDRESS, ["--no-tls"]), "Login denied", "MAIL failed: 530", "530"))
        check(f"nodemailer with ignoreTLS to {port.name} gets no AUTH",
              lambda: refused(lambda: nodemailer(port, word, ADDRESS, {"ignoreTLS": True}), "530", "AUTH", "auth"))


def clients_in_the_wrong_mode(server, certs):
    """Nobody hangs: who begins TLS too early is served, who speaks in clear too late is told what to do."""
    clients_without_tls(server, certs)
    submission, submissions, alternative = ports(server, certs)
    word = mark()
    for port in (submission, alternative):
        secure = Port(port.name, port.number, "implicit", certs)
        for client in ("smtplib", "swaks", "nodemailer", "curl"):
            check(f"{client} with implicit TLS to {port.name} is served all the same",
                  lambda: deliver(server, VARIANTS[client][0], secure, VARIANTS[client][1]["defaults"]))
    plain = Port("submissions", submissions.number, "starttls", certs)
    check("smtplib in clear to submissions is told what to do",
          lambda: refused(lambda: python(plain, word, ADDRESS, {}), "TLS from the first byte"))
    check("swaks in clear to submissions is told what to do",
          lambda: refused(lambda: swaks(plain, word, ADDRESS, ["--silent", "1"]), "use implicit TLS here"))
    check("nodemailer in clear to submissions is told what to do",
          lambda: refused(lambda: nodemailer(plain, word, ADDRESS, {"secure": False}), "TLS from the first byte"))


def from_postfix(gatepost, postfix):
    """Postfix carries letters to us: to port 25 as a server, to 587 and 465 as a client with a password."""
    def through(to, kind, folder):
        word = mark()
        sent = letter(ADDRESS, to, word, LETTERS[kind])
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as client:
            client.sendmail(ADDRESS, [to], sent)
        try:
            same_but_trace(sent, arrived(folder, word, 30))
        except runner.Failed as error:
            raise runner.Failed(f"{error}\n{tail(f'{postfix.folder}/log', 5)}") from error

    for kind in LETTERS:
        check(f"Postfix relays to us: {kind}", lambda: through(ADDRESS, kind, gatepost.maildir(ADDRESS)))

    def trusted():
        through(ADDRESS, "a plain letter", gatepost.maildir(ADDRESS))
        told = tail(f"{postfix.folder}/log", 2000)
        require("Verified TLS connection established to localhost" in told, "not in its log")

    check("Postfix trusts our certificate on the relay port", trusted)
    for name in ("submission", "submissions"):
        check(f"Postfix with a password on {name}", lambda: accepted_by_us(postfix, f"someone@{name}.test"))


def from_exim(gatepost, exim):
    """Exim sends BDAT where it is offered."""
    def through(kind):
        word = mark()
        sent = letter(ADDRESS, ADDRESS, word, LETTERS[kind])
        with smtplib.SMTP("127.0.0.1", exim.port, timeout=60) as client:
            client.sendmail(ADDRESS, [ADDRESS], sent)
        same_but_trace(sent, arrived(gatepost.maildir(ADDRESS), word, 30))

    for kind in LETTERS:
        check(f"Exim relays to us: {kind}", lambda: through(kind))

    def chunked():
        """Exim logs `K` where it sent the letter by CHUNKING, `X=` with the protocol where it went under TLS."""
        through("a plain letter")
        wait_for("its log to say so", lambda: any(
            " => " in line and " K " in line and "X=TLS" in line for line in tail(exim.log, 200).splitlines()))

    check("Exim uses CHUNKING and TLS", chunked)


def accepted_by_us(postfix, to):
    word = mark()
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as client:
        client.sendmail(ADDRESS, [to], letter(ADDRESS, to, word))
    wait_for("status=sent in Postfix's log", lambda: any(
        f"to=<{to}>" in line and "status=sent" in line for line in tail(f"{postfix.folder}/log", 2000).splitlines()))


def tls_as_postfix_sees_it(gatepost, certs):
    def finger(port, *options):
        out = must(["posttls-finger", "-c", "-L", "summary", "-h", "native", "-o", "inet_protocols=ipv4", "-l", "secure",
                    "-F", f"{certs}/ca.pem", *options, f"[localhost]:{gatepost.ports[port]}", "localhost"], limit=60)
        line = next((line for line in out.splitlines() if "TLS connection established" in line), out)
        require("Verified TLS connection established" in line, line)
        return line.partition(": ")[2]

    for port in ("relay", "submission", "alternative"):
        check(f"posttls-finger on {port}", lambda: finger(port))
    check("posttls-finger on submissions", lambda: finger("submissions", "-w"))
    check("posttls-finger with TLS 1.2", lambda: require(
        "TLSv1.2" in finger("relay", "-p", "TLSv1.2"), "not TLS 1.2"))
    for protocol in ("TLSv1", "TLSv1.1"):
        check(f"{protocol} is refused", lambda: require(run(
            ["openssl", "s_client", "-connect", f"localhost:{gatepost.ports['submissions']}", "-cipher",
             "ALL:@SECLEVEL=0", "-tls1" if protocol == "TLSv1" else "-tls1_1"]).returncode != 0, "it was accepted"))


def behind_a_proxy(gatepost, certs):
    """swaks speaks the PROXY protocol as haproxy does: the client that it names is the one in the trace."""
    def act(*options):
        word = mark()
        must(["swaks", "--server", f"localhost:{gatepost.ports['proxied']}", "--tls", "--tls-verify", "--tls-ca-path",
              f"{certs}/ca.pem", "--from", "someone@elsewhere.test", "--to", ADDRESS, "--header", f"Subject: {word}",
              "--timeout", "20", *options])
        require(b"192.0.2.77" in arrived(gatepost.maildir(ADDRESS), word), "the trace names another client")

    named = ("--proxy-source", "192.0.2.77", "--proxy-source-port", "4711", "--proxy-dest", "192.0.2.1",
             "--proxy-dest-port", "25", "--proxy-family")
    check("swaks by PROXY version 1", lambda: act("--proxy-version", "1", *named, "TCP4"))
    check("swaks by PROXY version 2", lambda: act(
        "--proxy-version", "2", *named, "AF_INET", "--proxy-protocol", "STREAM", "--proxy-command", "PROXY"))
