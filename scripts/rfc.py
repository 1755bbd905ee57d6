#!/usr/bin/env python3
"""Checks every `RFC n §s` in the sources against docs/rfc/index.tsv; with --write, lists section, code and test.

    scripts/rfc.py            exit 1 where a number is not in the index
    scripts/rfc.py --write    writes docs/rfc/sections.tsv beside it
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MENTION = re.compile(r"RFC (\d{3,5})(?: (§[\dA-Z][\w.]*))?")


def main() -> int:
    index = ROOT / "docs/rfc/index.tsv"
    known = {line.split("\t")[0] for line in index.read_text().splitlines()[1:]}
    rows, unknown = set(), []
    for path in sorted([*ROOT.glob("crates/**/*.rs"), *ROOT.glob("e2e/**/*.rs")]):
        name = path.relative_to(ROOT).as_posix()
        kind = "test" if "/tests" in name or name.startswith("e2e/") else "code"
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for rfc, section in MENTION.findall(line):
                if rfc not in known:
                    unknown.append(f"{name}:{number}: RFC {rfc} is not in docs/rfc/index.tsv")
                rows.add((int(rfc), section.rstrip("."), kind, name))
    print("\n".join(unknown), end="\n" if unknown else "")
    print(f"{len(rows)} references to {len({r[0] for r in rows})} RFCs, {len(unknown)} unknown")
    if "--write" in sys.argv[1:]:
        lines = ["rfc\tsection\tkind\tfile", *("\t".join(map(str, row)) for row in sorted(rows))]
        (ROOT / "docs/rfc/sections.tsv").write_text("\n".join(lines) + "\n")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
