"""`gatepost quickstart`, and every line that it says to try: pasted into a shell as it was printed."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

from check import Failed, check, must, require, run, wait_for

PROGRAMS = ("swaks", "curl", "Python", "PHP")


def snippets(work, gatepost):
    folder = f"{work}/quickstart"
    shown = f"{work}/quickstart.txt"
    with open(shown, "wb") as out:
        process = subprocess.Popen([gatepost.binary, "quickstart", "--dir", folder], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, start_new_session=True)
    try:
        check("quickstart shows its table and goes on serving", lambda: wait_for(
            "its last line", lambda: "Serving until Ctrl-C." in text_of(shown, process)))
        found = parts(text_of(shown, process))
        for name in PROGRAMS:
            check(f"quickstart's lines for {name} work when pasted", lambda: pasted(gatepost, folder, found.get(name)))
        check("quickstart's other lines work when pasted", lambda: looked(gatepost, found.get("what came of it")))
        check("nothing that quickstart prints was left out", lambda: require(
            set(found) == {*PROGRAMS, "what came of it"}, f"it has {list(found)}"))
    finally:
        process.send_signal(signal.SIGINT)
        check("quickstart ends at Ctrl-C", lambda: require(process.wait(40) == 0, f"it ended with {process.returncode}"))
    check("quickstart needs no rights", lambda: without_rights(gatepost))
    check("quickstart --exit ends with 0 and its table", lambda: require(
        all(port in must([gatepost.binary, "quickstart", "--exit", "--dir", folder]) for port in ("STARTTLS", "at once")),
        "no table"))


def without_rights(gatepost):
    """Where ports below 1024 may not be bound, others stand for them."""
    with tempfile.TemporaryDirectory(prefix="gatepost-interop-") as folder:
        shutil.chown(folder, "nobody", "nogroup")
        out = must(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all",
                    gatepost.binary, "quickstart", "--exit", "--dir", f"{folder}/quickstart"], cwd="/")
        require(out.count("ok ") == 4, out)


def text_of(shown, process):
    with open(shown, errors="replace") as file:
        text = file.read()
    require(process.poll() is None, f"it ended with {process.returncode}:\n{text}")
    return text


def parts(text):
    """name -> lines, of what follows "Try it yourself": a line `# name` or `# name (more)`, the lines, an empty line."""
    tried = text.partition("Try it yourself")[2]
    return {found[1]: found[2] for found in re.finditer(r"^# ([^(\n]+?)(?: \(.*)?\n((?:.+\n)+)", tried, re.MULTILINE)}


def paste(gatepost, lines):
    if not lines:
        raise Failed("it prints none")
    environment = os.environ | {"PATH": f"{gatepost.bin}:{os.environ['PATH']}"}
    done = run(["bash", "-e"], lines, env=environment)
    require(done.returncode == 0, f"ended with {done.returncode}:\n{lines}\n{done.stdout.decode()}")
    return done.stdout.decode()


def pasted(gatepost, folder, lines):
    caught = f"{folder}/mail/caught/new"
    before = len(os.listdir(caught))
    paste(gatepost, lines)
    wait_for(f"one letter more in {caught}", lambda: len(os.listdir(caught)) == before + 1)


def looked(gatepost, lines):
    out = paste(gatepost, lines)
    require(len(out.splitlines()) > len(PROGRAMS), f"it shows no letters: {out}")
