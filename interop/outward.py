"""Letters out: to Postfix, Exim and Dovecot, byte for byte."""

import contextlib
import imaplib
import smtplib
import ssl

from check import arrived, check, letter, mark, require, same_but_trace, tail, wait_for
from servers import ADDRESS, PASSWORD, USER

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
    check("letters to Exim go by CHUNKING", lambda: chunked(gatepost, certs, exim))
    check("a success is reported from Postfix through us", lambda: success_report(gatepost, certs))
    check("one of two is unknown to Dovecot: a letter and a report", lambda: half_refused(gatepost, certs, dovecot))
    check("one letter for three next hops", lambda: three_hops(gatepost, certs, postfix, exim, dovecot))


@contextlib.contextmanager
def submission(gatepost, certs):
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    with smtplib.SMTP("localhost", gatepost.ports["submission"], timeout=60) as client:
        client.starttls(context=context)
        client.login(USER, PASSWORD)
        client.ehlo()
        yield client


def submit(gatepost, certs, recipients, sent):
    with submission(gatepost, certs) as client:
        client.sendmail(ADDRESS, recipients, sent)


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
    with submission(gatepost, certs) as client:
        client.command_encoding = "utf-8"
        client.sendmail(ADDRESS, [to], letter(ADDRESS, to, word), ["SMTPUTF8", "BODY=8BITMIME"])
    arrived(f"{postfix.folder}/mail/gruen", word, 30)


def report(gatepost, certs, to):
    word = mark()
    submit(gatepost, certs, [to], letter(ADDRESS, to, word))
    got = arrived(gatepost.maildir(ADDRESS), word, 30).decode("utf-8", "replace")
    require("multipart/report" in got and "message/delivery-status" in got, f"no report: {got[:800]}")
    require("Action: failed" in got and to in got, f"not about {to}: {got[:1500]}")


def chunked(gatepost, certs, exim):
    arrived_again(gatepost, certs, exim, "you@exim.test")
    taken = [line for line in tail(exim.log, 200).splitlines() if " <= " in line]
    require(any(" K " in line for line in taken), f"not in its log: {taken}")


def success_report(gatepost, certs):
    """DSN passes on: Postfix makes the report, and brings it to us."""
    word, to = mark(), "you@postfix.test"
    with submission(gatepost, certs) as client:
        client.sendmail(ADDRESS, [to], letter(ADDRESS, to, word), ["RET=HDRS", f"ENVID={word}"],
                        ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;other+2D{to}"])
    got = arrived(gatepost.maildir(ADDRESS), f"Original-Envelope-Id: {word}", 30).decode()
    require(f"Original-Recipient: rfc822;other-{to}" in got.replace("; ", ";"), f"not about {to}: {got}")
    require("Action: delivered" in got and "Status: 2." in got, got)


def half_refused(gatepost, certs, dovecot):
    word = mark()
    submit(gatepost, certs, ["you@dovecot.test", "nobody@dovecot.test"], letter(ADDRESS, "you@dovecot.test", word))
    read_by_imap(dovecot, word)
    got = arrived(gatepost.maildir(ADDRESS), word, 30).decode()
    require("nobody@dovecot.test" in got and got.count("\nFinal-Recipient:") == 1, got)


def three_hops(gatepost, certs, postfix, exim, dovecot):
    word, to = mark(), ["you@postfix.test", "you@exim.test", "you@dovecot.test"]
    submit(gatepost, certs, to, letter(ADDRESS, to[0], word))
    arrived(postfix.maildir(to[0]), word, 30)
    arrived(exim.maildir(""), word, 30)
    read_by_imap(dovecot, word)


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
