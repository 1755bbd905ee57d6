"""The clients: swaks, Python's smtplib, nodemailer, PHPMailer, curl, msmtp.

Each function sends one letter and returns what the client said; it raises where the client failed. `Port` says where
and how; `variants` of a client are settings that people really use, the first being none at all.
"""

import json
import os
import smtplib
import ssl
import subprocess

from check import Failed, letter, must
from servers import ADDRESS, HERE, PASSWORD, USER


class Port:
    """A submission port: `tls` is starttls or implicit."""

    def __init__(self, name, number, tls, certs):
        self.name, self.number, self.tls = name, number, tls
        self.ca = f"{certs}/ca.pem"

    @property
    def implicit(self):
        return self.tls == "implicit"


def swaks(port, word, to, options):
    tls = ["--tls-on-connect"] if port.implicit else ["--tls"]
    if "--no-tls" in options:
        tls, options = [], [option for option in options if option != "--no-tls"]
    hide = [] if "--silent" in options else ["--hide-all"]
    return must(["swaks", "--server", f"localhost:{port.number}", *tls, "--tls-verify", "--tls-ca-path", port.ca,
                 "--from", ADDRESS, "--to", to, "--auth-user", USER, "--auth-password", PASSWORD,
                 "--header", f"Subject: {word}", *hide, "--timeout", "20", *options])


def python(port, word, to, options):
    context = ssl.create_default_context(cafile=port.ca)
    if options.get("tls12"):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    kind = smtplib.SMTP_SSL if port.implicit else smtplib.SMTP
    more = {"context": context} if port.implicit else {}
    with kind("localhost", port.number, timeout=20, **more) as client:
        if not port.implicit and not options.get("no_tls"):
            client.starttls(context=context)
        if "mechanism" in options:
            client.ehlo()
            client.user, client.password = USER, PASSWORD
            method = getattr(client, "auth_" + options["mechanism"].lower())
            client.auth(options["mechanism"], method)
        else:
            client.login(USER, PASSWORD)
        for _ in range(options.get("letters", 1)):
            refused = client.sendmail(ADDRESS, [to], letter(ADDRESS, to, word), options.get("mail_options", ()))
        if refused:
            raise Failed(str(refused))
        return ""


def nodemailer(port, word, to, options):
    transport = {"host": "localhost", "port": port.number, "secure": port.implicit,
                 "auth": {"user": USER, "pass": PASSWORD}} | options
    message = {"from": ADDRESS, "to": to, "subject": word, "text": f"{word}\nGrüße\n"}
    environment = os.environ | {"NODE_EXTRA_CA_CERTS": port.ca}
    return must(["node", f"{HERE}/node/send.js", json.dumps({"transport": transport, "message": message})],
                env=environment).strip()


def phpmailer(port, word, to, options):
    properties = {"Host": "localhost", "Port": port.number, "SMTPAuth": True, "Username": USER, "Password": PASSWORD}
    if port.implicit:
        properties["SMTPSecure"] = "ssl"
    properties |= options
    given = {"properties": properties, "from": ADDRESS, "to": to, "subject": word, "body": f"{word}\n"}
    return must(["php", "-d", f"openssl.cafile={port.ca}", f"{HERE}/php/send.php", json.dumps(given)]).strip()


def curl(port, word, to, options):
    scheme, tls = ("smtps", []) if port.implicit else ("smtp", ["--ssl-reqd"])
    if "--no-tls" in options:
        tls, options = [], [option for option in options if option != "--no-tls"]
    text = letter(ADDRESS, to, word)
    if "--crlf" in options:
        text = text.replace(b"\r\n", b"\n")
    return must(["curl", "-sS", "--max-time", "30", f"{scheme}://localhost:{port.number}", *tls, "--cacert", port.ca,
                 "--user", f"{USER}:{PASSWORD}", "--mail-from", ADDRESS, "--mail-rcpt", to, "--upload-file", "-",
                 *options], text)


def msmtp(port, word, to, options):
    settings = ["--host=localhost", f"--port={port.number}", "--tls=on", f"--tls-trust-file={port.ca}", "--auth=on",
                f"--user={USER}", "--passwordeval=printf %s " + f"'{PASSWORD}'", f"--from={ADDRESS}", "--timeout=20",
                f"--tls-starttls={'off' if port.implicit else 'on'}"]
    return must(["msmtp", "--file=/dev/null", *settings, *options, to], letter(ADDRESS, to, word))


# What each client is told beside where and who. The first is its defaults.
VARIANTS = {
    "swaks": (swaks, {
        "defaults": [],
        "AUTH PLAIN": ["--auth", "PLAIN"],
        "AUTH LOGIN": ["--auth", "LOGIN"],
        "pipelined": ["--pipeline"],
        "TLS 1.2": ["--tls-protocol", "tlsv1_2"],
        "HELO literal": ["--ehlo", "[127.0.0.1]"],
        "8-bit body": ["--body", "Grüße, 你好"],
    }),
    "smtplib": (python, {
        "defaults": {},
        "AUTH LOGIN": {"mechanism": "LOGIN"},
        "AUTH PLAIN": {"mechanism": "PLAIN"},
        "TLS 1.2": {"tls12": True},
        "8BITMIME": {"mail_options": ["BODY=8BITMIME"]},
        "three letters": {"letters": 3},
    }),
    "nodemailer": (nodemailer, {
        "defaults": {},
        "requireTLS": {"requireTLS": True},
        "pool": {"pool": False, "name": "client.example.test"},
        "AUTH LOGIN": {"authMethod": "LOGIN"},
        "TLS 1.2": {"tls": {"maxVersion": "TLSv1.2"}},
        "DSN": {"dsn": {"id": "some-id", "return": "headers", "notify": ["failure", "delay"], "recipient": ADDRESS}},
    }),
    "PHPMailer": (phpmailer, {
        "defaults": {},
        "SMTPSecure tls": {"SMTPSecure": "tls"},
        "AUTH LOGIN": {"AuthType": "LOGIN"},
        "AUTH PLAIN": {"AuthType": "PLAIN"},
        "base64": {"Encoding": "base64", "CharSet": "utf-8"},
        "keep alive": {"SMTPKeepAlive": True, "Helo": "client.example.test"},
    }),
    "curl": (curl, {
        "defaults": [],
        "AUTH LOGIN": ["--login-options", "AUTH=LOGIN"],
        "AUTH PLAIN": ["--login-options", "AUTH=PLAIN"],
        "initial response": ["--sasl-ir"],
        "TLS 1.2": ["--tls-max", "1.2"],
        "lines as on Unix, --crlf": ["--crlf"],
    }),
    "msmtp": (msmtp, {
        "defaults": [],
        "AUTH PLAIN": ["--auth=plain"],
        "AUTH LOGIN": ["--auth=login"],
        "SCRAM-SHA-256": ["--auth=scram-sha-256"],
        "domain": ["--domain=client.example.test"],
        "DSN": ["--dsn-notify=failure,delay", "--dsn-return=hdrs"],
    }),
}

# Settings that make no sense on the port with TLS from the first byte.
STARTTLS_ONLY = {("PHPMailer", "SMTPSecure tls")}


def said_without_raising(act):
    """What a client said that should have failed; raises where it did not fail."""
    try:
        told = act()
    except (Failed, smtplib.SMTPException, OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    raise Failed(f"it was let in: {told}")
