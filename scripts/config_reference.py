#!/usr/bin/env python3
"""Writes docs/reference/config.md from the doc comments of the configuration's types.

    scripts/config_reference.py            writes it
    scripts/config_reference.py --check    exit 1 where it is not up to date, or the annotated sample lacks a key
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/reference/config.md"
SAMPLE = ROOT / "crates/gatepost/src/config/example.toml"

# Section as it is written -> (file, type).
SECTIONS = [
    ("[server]", "gatepost/src/config/mod.rs", "Server"),
    ("[tls]", "gatepost/src/config/mod.rs", "Tls"),
    ("[[tls.certificate]]", "gatepost/src/config/mod.rs", "Certificate"),
    ("[[listener]]", "reception/src/config/listener.rs", "Listener"),
    ("[listener.limits]", "reception/src/config/listener.rs", "LimitOverrides"),
    ("[domains]", "reception/src/config/domains.rs", "Domains"),
    ('[domains.local."example.org"]', "reception/src/config/domains.rs", "LocalDomain"),
    ('[domains.relay."example.net"]', "reception/src/config/domains.rs", "RelayDomain"),
    ("[relay]", "reception/src/config/mod.rs", "Relay"),
    ("[[route]]", "delivery/src/config/mod.rs", "Route"),
    ("[delivery]", "delivery/src/config/mod.rs", "Config"),
    ("[delivery.tls]", "delivery/src/config/tls.rs", "TlsRules"),
    ("[delivery.timeout]", "delivery/src/config/times.rs", "Times"),
    ("[shaping]", "deliverability/src/shaping/config.rs", "ShapingConfig"),
    ("[shaping.provider.google]", "deliverability/src/shaping/config.rs", "Entry"),
    ("[[shaping.provider.google.automation]]", "deliverability/src/shaping/config.rs", "RuleConfig"),
    ("[shaping.provider.google.automation.action]", "deliverability/src/shaping/config.rs", "ActionConfig"),
    ("[queue]", "queue/src/queue/config.rs", "QueueConfig"),
    ("[queue.retry]", "queue/src/retry.rs", "RetryPolicy"),
    ('[queue.retry_site."google.com"]', "queue/src/retry.rs", "RetryOverride"),
    ("[queue.reports]", "queue/src/queue/config.rs", "Reports"),
    ("[records]", "queue/src/record/config.rs", "RecordsConfig"),
    ("[metrics]", "api/src/config.rs", "Config"),
    ("[limits]", "reception/src/config/limits.rs", "Limits"),
    ("[limits.login]", "reception/src/config/limits.rs", "LoginLimits"),
    ("[passwords]", "reception/src/config/limits.rs", "Passwords"),
    ("[dns]", "gatepost/src/config/mod.rs", "Dns"),
    ("[log]", "gatepost/src/config/mod.rs", "Log"),
]


def fields(path: str, name: str) -> tuple[str, list[tuple[str, str]]]:
    """The type's own comment, and its fields with theirs; what serde skips is no key."""
    text = (ROOT / "crates" / path).read_text()
    found = re.search(rf"((?:^///[^\n]*\n)*)(?:^#\[[^\n]*\n)*^pub struct {name} \{{\n(.*?)^\}}", text, re.M | re.S)
    if not found:
        sys.exit(f"crates/{path} has no `pub struct {name}`")
    about = " ".join(line.removeprefix("///").strip() for line in found[1].splitlines())
    result, comment, skipped = [], [], False
    for line in found[2].splitlines():
        line = line.strip()
        if line.startswith("///"):
            comment.append(line.removeprefix("///").strip())
        elif line.startswith("#[serde(skip)]"):
            skipped = True
        elif match := re.match(r"pub (?:r#)?(\w+): ", line):
            if not skipped:
                result.append((match[1], " ".join(comment)))
            comment, skipped = [], False
    return about, result


def main() -> int:
    lines = [
        "# Configuration",
        "",
        "Made from the comments of the types by `scripts/config_reference.py`; do not edit. `gatepost config example` prints",
        "a file with every key and its default.",
        "Times are written with their unit (`\"30s\"`, `\"5m\"`, `\"2h\"`, `\"5d\"`), sizes too (`\"64KiB\"`, `\"25MB\"`).",
    ]
    sample = SAMPLE.read_text()
    missing = []
    for section, path, name in SECTIONS:
        about, keys = fields(path, name)
        lines += ["", f"## `{section}`", "", about, "", "| key | meaning |", "|---|---|"]
        for key, comment in keys:
            lines.append(f"| `{key}` | {comment.replace('|', chr(92) + '|')} |")
            if not re.search(rf"^#? ?\[+[\w.\"]*\b{key}\b|\b{key} = ", sample, re.M):
                missing.append(f"the sample lacks `{key}` of {section}")
    page = "\n".join(lines) + "\n"
    if "--check" in sys.argv[1:]:
        stale = not PAGE.exists() or PAGE.read_text() != page
        print("\n".join(missing + (["docs/reference/config.md is not up to date: make docs"] if stale else [])) or "up to date")
        return 1 if missing or stale else 0
    PAGE.write_text(page)
    print(f"{PAGE.relative_to(ROOT)}: {len(lines)} lines", *missing, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
