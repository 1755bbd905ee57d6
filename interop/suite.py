"""All checks, in the order in which a letter travels: in by clients, on to next hops, in from Postfix."""

import imaplib
import os
import shutil
import smtplib
import ssl
import subprocess
import sys
import tempfile

import check as runner
from check import (arrived, certificates, check, complain, letter, mark, must, require, run, same_but_trace, tail,
                   wait_for)
from clients import STARTTLS_ONLY, VARIANTS, Port, python, said_without_raising
from servers import ADDRESS, HERE, PASSWORD, USER, Dovecot, Exim, Gatepost, Postfix, remove


def main(words):
    against = None
    if words[:1] == ["--against"]:
        against, words = words[1], words[2:]
    runner.only = words
    binary = os.path.abspath(os.environ.get("GATEPOST", f"{HERE}/../target/release/gatepost"))
    if not against and not os.access(binary, os.X_OK):
        raise SystemExit(f"interop: {binary} is not there; build it (make interop) or set GATEPOST")
    work = tempfile.mkdtemp(prefix="gatepost-interop-")
    os.chmod(work, 0o755)
    certs = f"{work}/certs"
    os.mkdir(certs)
    certificates(certs)
    postfix, exim, dovecot = Postfix(work, certs), Exim(work, certs), Dovecot(work, certs)
    servers = [dovecot, exim, postfix]
    if not against:
        hops = {"postfix": postfix.port, "exim": exim.port, "lmtp": dovecot.lmtp, "socket": dovecot.socket}
        gatepost = Gatepost(work, binary, certs, hops)
        servers.append(gatepost)
    subject = postfix if against else gatepost
    postfix.configure({} if against else gatepost.ports, dovecot.auth)
    started = []
    try:
        for server in servers:
            started.append(server)
            server.start()
        clients_on_every_port(subject, certs)
        clients_in_the_wrong_mode(subject, certs, bool(against))
        if against:
            peers_among_themselves(postfix, exim, dovecot)
        else:
            next_hops(gatepost, postfix, exim, dovecot, certs)
            from_postfix(gatepost, postfix)
            tls_as_postfix_sees_it(gatepost, certs)
            sendmail_from_php(gatepost)
    finally:
        for server in reversed(started):
            server.stop()
        if runner.failed:
            for server in servers:
                complain(f"\n--- the end of {server.name}'s log\n{tail(f'{server.folder}/log', 40)}")
        if "KEEP" in os.environ:
            complain(f"kept: {work}")
        else:
            remove(work)
    return runner.summary()


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


def clients_in_the_wrong_mode(server, certs, stand_in):
    """No client hangs, and none sends a password or a letter in clear."""
    submission, submissions, alternative = ports(server, certs)
    word = mark()
    swaks, curl, nodemailer = VARIANTS["swaks"][0], VARIANTS["curl"][0], VARIANTS["nodemailer"][0]

    def refused(act, *texts):
        told = said_without_raising(act)
        require(any(text in told for text in texts), f"it failed in other words: {told}")

    for port in (submission, alternative):
        check(f"swaks without TLS to {port.name} gets no AUTH",
              lambda: refused(lambda: swaks(port, word, ADDRESS, ["--no-tls"]), "ended with 28"))
        check(f"smtplib without TLS to {port.name} gets no AUTH",
              lambda: refused(lambda: python(port, word, ADDRESS, {"no_tls": True}), "AUTH", "authentication"))
        check(f"curl without TLS to {port.name} is told to use STARTTLS",
              lambda: refused(lambda: curl(port, word, ADDRESS, ["--no-tls"]), "Login denied", "MAIL failed: 530", "530"))
        check(f"nodemailer with ignoreTLS to {port.name} gets no AUTH",
              lambda: refused(lambda: nodemailer(port, word, ADDRESS, {"ignoreTLS": True}), "530", "AUTH", "auth"))
    if stand_in:
        return
    for port in (submission, alternative):
        secure = Port(port.name, port.number, "implicit", certs)
        for client in ("smtplib", "swaks", "nodemailer", "curl"):
            check(f"{client} with implicit TLS to {port.name} is served all the same",
                  lambda: deliver(server, VARIANTS[client][0], secure, VARIANTS[client][1]["defaults"]))
    plain = Port("submissions", submissions.number, "starttls", certs)
    check("smtplib in clear to submissions is told what to do",
          lambda: refused(lambda: python(plain, word, ADDRESS, {}), "TLS from the first byte"))
    check("swaks in clear to submissions is told what to do",
          lambda: refused(lambda: swaks(plain, word, ADDRESS, []), "TLS from the first byte"))
    check("nodemailer in clear to submissions is told what to do",
          lambda: refused(lambda: nodemailer(plain, word, ADDRESS, {"secure": False}), "TLS from the first byte"))


LETTERS = {
    "a plain letter": b"",
    "dots": b".\r\n..\r\n.x\r\n....\r\n",
    "8-bit text": "Grüße, 你好\r\n".encode() * 20,
    "latin-1": b"Gr\xfc\xdfe\r\n",
    "long lines": b"x" * 990 + b"\r\n",
    "5 MB": (b"0123456789" * 7 + b"\r\n") * 72000,
}


def next_hops(gatepost, postfix, exim, dovecot, certs):
    """Letters through gatepost to each next hop, byte for byte."""
    hops = [("Postfix", "you@postfix.test", postfix.maildir("you@postfix.test")),
            ("Exim", "you@exim.test", exim.maildir("")),
            ("Dovecot by LMTP", "you@dovecot.test", None),
            ("Dovecot by LMTP over a unix socket", "you@dovecot-socket.test", None)]
    for name, to, folder in hops:
        for kind, body in LETTERS.items():
            def act():
                word = mark()
                sent = letter(ADDRESS, to, word, body)
                submit(gatepost, certs, [to], sent)
                got = arrived(folder, word, 30) if folder else read_by_imap(dovecot, word)
                same_but_trace(sent, got)
            check(f"{kind} to {name}", act)
    check("a letter to Postfix goes under TLS", lambda: require(
        "TLS" in first_received(arrived_again(gatepost, certs, postfix, "you@postfix.test")), "no TLS in Received"))
    check("a letter to Exim goes under TLS", lambda: require(
        "tls" in first_received(arrived_again(gatepost, certs, exim, "you@exim.test")).lower(), "no TLS in Received"))
    check("a letter to an address in UTF-8 at Postfix", lambda: utf8_address(gatepost, certs, postfix))
    check("an unknown recipient at Postfix comes back as a report", lambda: report(gatepost, certs, "nobody@postfix.test"))
    check("one letter for three next hops", lambda: three_hops(gatepost, certs, postfix, exim, dovecot))


def submit(gatepost, certs, recipients, sent, options=()):
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    with smtplib.SMTP("localhost", gatepost.ports["submission"], timeout=60) as client:
        client.starttls(context=context)
        client.login(USER, PASSWORD)
        client.sendmail(ADDRESS, recipients, sent, options)


def read_by_imap(dovecot, word):
    def look():
        with imaplib.IMAP4("127.0.0.1", dovecot.imap, timeout=20) as client:
            client.login("you", PASSWORD)
            client.select()
            found = client.search(None, "SUBJECT", word)[1][0].split()
            return client.fetch(found[0], "(BODY.PEEK[])")[1][0][1] if found else None
    return wait_for(f"a letter with {word} by IMAP", look, 30)


def arrived_again(gatepost, certs, hop, to):
    word = mark()
    submit(gatepost, certs, [to], letter(ADDRESS, to, word))
    return arrived(hop.maildir(to), word, 30)


def first_received(got):
    text = got.decode("utf-8", "replace")
    start = text.index("Received:")
    lines = text[start:].splitlines()
    field = [lines[0]]
    for line in lines[1:]:
        if line[:1] not in " \t":
            break
        field.append(line)
    return " ".join(field)


def utf8_address(gatepost, certs, postfix):
    word, to = mark(), "grün@postfix.test"
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    with smtplib.SMTP("localhost", gatepost.ports["submission"], timeout=60) as client:
        client.starttls(context=context)
        client.login(USER, PASSWORD)
        client.ehlo()
        client.command_encoding = "utf-8"
        client.sendmail(ADDRESS, [to], letter(ADDRESS, to, word), ["SMTPUTF8", "BODY=8BITMIME"])
    arrived(f"{postfix.folder}/mail/gruen", word, 30)


def report(gatepost, certs, to):
    word = mark()
    submit(gatepost, certs, [to], letter(ADDRESS, to, word))
    got = arrived(gatepost.maildir(ADDRESS), word, 30).decode("utf-8", "replace")
    require("multipart/report" in got and "message/delivery-status" in got, f"no report: {got[:800]}")
    require("Action: failed" in got and to in got, f"not about {to}: {got[:1500]}")


def three_hops(gatepost, certs, postfix, exim, dovecot):
    word, to = mark(), ["you@postfix.test", "you@exim.test", "you@dovecot.test"]
    submit(gatepost, certs, to, letter(ADDRESS, to[0], word))
    arrived(postfix.maildir(to[0]), word, 30)
    arrived(exim.maildir(""), word, 30)
    read_by_imap(dovecot, word)


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
    log = f"{postfix.folder}/log"
    check("Postfix trusts our certificate on the relay port",
          lambda: require("Verified TLS connection established to localhost" in tail(log, 2000), "not in its log"))
    for name in ("submission", "submissions"):
        check(f"Postfix with a password on {name}", lambda: accepted_by_us(postfix, f"someone@{name}.test"))


def accepted_by_us(postfix, to):
    word = mark()
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as client:
        client.sendmail(ADDRESS, [to], letter(ADDRESS, to, word))
    wait_for("status=sent in Postfix's log", lambda: any(
        f"to=<{to}>" in line and "status=sent" in line for line in tail(f"{postfix.folder}/log", 2000).splitlines()))


def tls_as_postfix_sees_it(gatepost, certs):
    def finger(port, *options):
        out = must(["posttls-finger", "-c", "-L", "summary", "-l", "secure", "-F", f"{certs}/ca.pem", *options,
                    f"[127.0.0.1]:{gatepost.ports[port]}", "localhost"], limit=60)
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


def sendmail_from_php(gatepost):
    """PHP's mail() and mailx-like programs call sendmail."""
    def by_php():
        word = mark()
        command = f"{gatepost.binary} sendmail -t -i -f {ADDRESS} -C {gatepost.config}"
        out = must(["php", "-d", f"sendmail_path={command}", "-r",
                    f'exit(mail("{ADDRESS}", "{word}", "Hello\\n.\\nstill here\\n") ? 0 : 1);'])
        got = arrived(gatepost.maildir(ADDRESS), word)
        require(b"still here" in got, f"cut at the dot: {out}")

    def by_msmtp_style():
        word = mark()
        link = f"{gatepost.folder}/sendmail"
        if not os.path.exists(link):
            os.symlink(gatepost.binary, link)
        must([link, "-i", "-f", ADDRESS, "-C", gatepost.config, "--", ADDRESS], f"Subject: {word}\n\nhi\n")
        arrived(gatepost.maildir(ADDRESS), word)

    check("PHP's mail() by sendmail", by_php)
    check("called as sendmail", by_msmtp_style)


def peers_among_themselves(postfix, exim, dovecot):
    """Without gatepost: the servers as they are configured here do what the other checks ask of them."""
    def direct(port, to, look, kind, lmtp=False):
        word = mark()
        sent = letter(ADDRESS, to, word, LETTERS[kind])
        with (smtplib.LMTP if lmtp else smtplib.SMTP)("127.0.0.1", port) as client:
            client.sendmail(ADDRESS, [to], sent)
        same_but_trace(sent, look(word))

    for kind in LETTERS:
        check(f"{kind} to Postfix itself", lambda: direct(
            postfix.port, "you@postfix.test", lambda w: arrived(postfix.maildir("you@postfix.test"), w), kind))
        check(f"{kind} to Exim itself", lambda: direct(
            exim.port, "you@exim.test", lambda w: arrived(exim.maildir(""), w), kind))
        check(f"{kind} to Dovecot itself", lambda: direct(
            dovecot.lmtp, "you@dovecot.test", lambda w: read_by_imap(dovecot, w), kind, lmtp=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
