#!/usr/bin/env python3
"""Lists the letters in a Gatepost spool, or prints the text of one: spool_reader.py FOLDER [ID]. See spool-format.md."""
import glob, os, struct, sys
TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def name(number):
    return "".join("0123456789abcdefghjkmnpqrstvwxyz"[number >> 5 * i & 31] for i in reversed(range(13)))


def records(data):
    head = next((h for h in (data[0:64], data[2048:2112]) if h[:8] == b"GATEPOST"
                 and crc32c(h[:60]) == struct.unpack("<I", h[60:])[0]), None)
    if head is None or head[8:12] != b"\1\0\0\0":
        return print("no segment of version 1", file=sys.stderr)
    at, last = data.find(b"GPr\1", 4096), 0
    while at >= 0:
        header = data[at:at + 48]
        if len(header) == 48 and crc32c(head[24:28] + header[:44]) == struct.unpack("<I", header[44:])[0]:
            kind, flags, size, front, number, seq, _, _, crc = struct.unpack("<BBxxIIQQIII", header[4:44])
            payload = data[at + 48:at + 48 + size]
            if seq > last:
                if len(payload) == size and crc32c(payload) == crc:
                    yield kind, number, seq, front, payload
                else:
                    print("damaged or torn:", name(number), file=sys.stderr)
                last, at = seq, at + 47 + size
        at = data.find(b"GPr\1", at + 1)


def main(folder, wanted=None):
    letters, removed = {}, set()
    for path in sorted(glob.glob(os.path.join(folder, "seg-*.log"))):
        with open(path, "rb") as file:
            for kind, number, seq, front, payload in records(file.read()):
                if kind == 1 and seq > letters.get(number, (0,))[0]:
                    letters[number] = seq, front, payload
                elif kind == 3:
                    removed.add(number)
    for number, (_, front, payload) in sorted(letters.items()):
        meta, state, prefix, _, size, large = struct.unpack("<IIIIQQ", payload[:32])
        if number not in removed and wanted is None:
            print(name(number), prefix + size, "octets,", payload[32:32 + meta])
        elif number not in removed and wanted == name(number):
            text = payload[front:] if not large else open(os.path.join(folder, "big", "%016x" % large), "rb").read()
            sys.stdout.buffer.write(payload[front - prefix:front] + text)


main(*sys.argv[1:])
