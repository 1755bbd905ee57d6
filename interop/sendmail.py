"""Programs that hand letters to sendmail, while the daemon runs and while it is down."""

import os

from check import arrived, check, mark, must, require, run, wait_for
from servers import ADDRESS


def callers(gatepost):
    waiting = []
    for state in ("runs", "is down"):
        if state == "is down":
            gatepost.stop()
        for name, call in CALLERS.items():
            check(f"sendmail by {name} while the daemon {state}",
                  lambda: called(gatepost, call, waiting if state == "is down" else None))
    # Started again it takes what lay there.
    gatepost.start()
    for name, to, word in waiting:
        check(f"the letter of {name} is taken at the start", lambda: check_text(arrived(gatepost.maildir(to), word)))
    check("sendmail -bp prints the queue", lambda: must([gatepost.sendmail, "-bp"], env=environment(gatepost)))
    check("sendmail without a recipient ends with 65", lambda: ends_with(gatepost, 65, ["-i"]))
    check("sendmail with an unknown option ends with 64", lambda: ends_with(gatepost, 64, ["-Z", ADDRESS]))


def called(gatepost, call, waiting):
    """The letter arrives at once, or waits in the dropbox, readable for the server, whoever calls."""
    word = mark()
    before = set(dropped(gatepost))
    to = call(gatepost, word) or ADDRESS
    if waiting is None:
        check_text(arrived(gatepost.maildir(to), word))
        return
    new = [path for path in dropped(gatepost) if path not in before]
    require(len(new) == 1, f"in the dropbox: {new}")
    require(os.stat(new[0]).st_mode & 0o777 == 0o644, f"its mode is {os.stat(new[0]).st_mode:o}")
    waiting.append((call.__name__.replace("_", " "), to, word))


def check_text(got):
    for name in (b"From:", b"Date:", b"Message-ID:"):
        require(b"\n" + name in got, f"no {name.decode()} in {got!r}")
    require(b"\nafter the dot" in got, f"cut at the dot: {got!r}")


def dropped(gatepost):
    folder = f"{gatepost.folder}/data/drop"
    return [f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(".letter")]


def ends_with(gatepost, code, options):
    done = run([gatepost.sendmail, *options], "Subject: x\n\nx\n", env=environment(gatepost))
    require(done.returncode == code, f"it ended with {done.returncode}: {done.stdout.decode()}")


def environment(gatepost, **more):
    """As the programs find sendmail on a machine where it is installed."""
    path = f"{gatepost.bin}:{os.environ['PATH']}"
    return os.environ | {"GATEPOST_CONFIG": gatepost.config, "PATH": path, "HOME": gatepost.folder} | more


BODY = "Hello\n.\nafter the dot\n"


def php_mail(gatepost, word):
    code = f'exit(mail("{ADDRESS}", "{word}", {BODY!r}) ? 0 : 1);'.replace("'", '"')
    must(["php", "-d", f"sendmail_path={gatepost.sendmail} -t -i", "-r", code], env=environment(gatepost))


def php_mail_with_headers(gatepost, word):
    """With a From of its own, and the envelope's sender in the fifth argument."""
    headers = f'["From" => "Shop <{ADDRESS}>", "X-Mailer" => "PHP", "Content-Type" => "text/plain; charset=utf-8"]'
    code = f'exit(mail("{ADDRESS}", "{word}", {BODY!r}, {headers}, "-f{ADDRESS}") ? 0 : 1);'.replace("'", '"')
    must(["php", "-d", f"sendmail_path={gatepost.sendmail} -t -i", "-r", code], env=environment(gatepost))


def bsd_mailx(gatepost, word):
    settings = f"{gatepost.folder}/mailrc"
    with open(settings, "w") as file:
        file.write(f"set sendmail={gatepost.sendmail}\n")
    # It takes a lone dot for the end only from a terminal.
    must(["bsd-mailx", "-s", word, ADDRESS], BODY, env=environment(gatepost, MAILRC=settings))


def s_nail(gatepost, word):
    must(["s-nail", "-:/", "-S", "v15-compat", "-S", f"mta={gatepost.sendmail}", "-S", "sendwait", "-s", word, ADDRESS],
         BODY, env=environment(gatepost))


def cron(gatepost, word):
    """To a name without a domain: root is nobody's mailbox, so that the postmaster reads it, who is bob here."""
    text = f"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> {word}\nX-Cron-Env: <SHELL=/bin/sh>\n\n{BODY}"
    must([gatepost.sendmail, "-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"], text, env=environment(gatepost))
    return "bob@example.test"


def git_send_email(gatepost, word):
    text = f"From: Anna <{ADDRESS}>\nTo: {ADDRESS}\nSubject: [PATCH] {word}\n\n{BODY}"
    must([gatepost.sendmail, "-i", "-f", ADDRESS, ADDRESS], text, env=environment(gatepost))


def header_with_bcc(gatepost, word):
    must([gatepost.sendmail, "-oi", "-t"], f"Bcc: {ADDRESS}\nSubject: {word}\n\n{BODY}", env=environment(gatepost))


def smtp_on_standard_input(gatepost, word):
    text = BODY.replace("\n.\n", "\n..\n").replace("\n", "\r\n")
    dialog = ["EHLO here", f"MAIL FROM:<{ADDRESS}>", f"RCPT TO:<{ADDRESS}>", "DATA", f"From: {ADDRESS}",
              f"Subject: {word}", "", text + ".", "QUIT", ""]
    must([gatepost.sendmail, "-bs"], "\r\n".join(dialog), env=environment(gatepost))


def another_user_whose_files_are_private(gatepost, word):
    command = f"umask 077; exec {gatepost.sendmail} -t -i"
    must(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", command],
         f"To: {ADDRESS}\nSubject: {word}\n\n{BODY}", env=environment(gatepost))


CALLERS = {call.__name__.replace("_", " "): call for call in (
    php_mail, php_mail_with_headers, bsd_mailx, s_nail, cron, git_send_email, header_with_bcc, smtp_on_standard_input,
    another_user_whose_files_are_private)}
