"""The reader of docs/spool-format.md, in Python and knowing nothing of gatepost, on the spool of a real server."""

import json
import os
import re
import subprocess
import sys

from check import check, letter, mark, must, require, same_but_trace, wait_for
from outward import LETTERS, submit
from servers import ADDRESS, HERE

READER = f"{HERE}/../docs/spool_reader.py"


def readers(gatepost, certs):
    """Letters for a server that does not answer stay in the queue."""
    spool, sent = f"{gatepost.folder}/data/spool", {}

    def read(*words):
        return must([sys.executable, "-B", READER, spool, *words])

    def identifiers():
        return sorted(line.split()[0] for line in read().splitlines())

    def queue():
        listed = json.loads(must([gatepost.binary, "queue", "list", "--json", "-c", gatepost.config]))
        return [waiting["id"] for waiting in listed]

    def fill():
        for kind, body in LETTERS.items():
            word = mark()
            sent[word] = letter(ADDRESS, "you@nobody.test", word, body)
            submit(gatepost, certs, ["you@nobody.test"], sent[word])
        wait_for("letters in the queue", lambda: len(queue()) >= len(sent))
        require(identifiers() == sorted(queue()), f"{identifiers()} is not {sorted(queue())}")

    def texts():
        for id_ in identifiers():
            got = read_bytes(spool, id_)
            word = re.search(rb"mark-[0-9a-f]{12}", got)[0].decode()
            same_but_trace(sent.pop(word), got)
        require(not sent, f"not in the spool: {list(sent)}")

    def exported():
        gatepost.stop()
        try:
            folder = f"{gatepost.folder}/exported"
            must([gatepost.binary, "spool", "export", "--eml", folder, "-c", gatepost.config])
            for id_ in identifiers():
                with open(f"{folder}/{id_}.eml", "rb") as file:
                    require(file.read() == read_bytes(spool, id_), f"{id_} differs")
            require(len(os.listdir(folder)) == len(identifiers()), "not as many letters as the reader finds")
        finally:
            gatepost.start()

    def dropped():
        for id_ in queue():
            must([gatepost.binary, "queue", "drop", id_, "-c", gatepost.config])
        wait_for("an empty queue", lambda: not queue())
        require(not identifiers(), f"still there: {identifiers()}")

    check("the Python reader lists the letters of a running server's spool", fill)
    check("the Python reader gives their texts", texts)
    check("`gatepost spool export` gives the same", exported)
    check("the Python reader knows which letters are gone", dropped)


def read_bytes(spool, id_):
    return subprocess.run([sys.executable, "-B", READER, spool, id_], stdout=subprocess.PIPE, check=True).stdout
