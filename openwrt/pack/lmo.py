#!/usr/bin/env python3
"""LuCI's files of translations: openwrt/pack/lmo.py FILE.po FILE.lmo writes what LuCI's po2lmo would.

    texts, each filled up to a multiple of 4 bytes
    index  for each text: u32 hash of the original, u32 1, u32 offset, u32 length; by hash
    u32    offset of the index; all is big-endian

The rule of plurals is the entry of hash 0. Texts with plurals or contexts, which our pages have none of, are refused.
"""

import ast
import re
import struct
import sys

MASK = 0xFFFFFFFF


def superfasthash(data):
    """Paul Hsieh's SuperFastHash, begun with the length."""
    value = len(data)
    whole = len(data) & ~3
    for first, second in struct.iter_unpack("<HH", data[:whole]):
        value = value + first & MASK
        value = (value << 16 ^ second << 11 ^ value) & MASK
        value = value + (value >> 11) & MASK
    rest = data[whole:]
    if len(rest) == 3:
        value = value + int.from_bytes(rest[:2], "little") & MASK
        value = (value ^ value << 16) & MASK
        value = (value ^ signed(rest[2]) << 18) & MASK
        value = value + (value >> 11) & MASK
    elif len(rest) == 2:
        value = value + int.from_bytes(rest, "little") & MASK
        value = (value ^ value << 11) & MASK
        value = value + (value >> 17) & MASK
    elif rest:
        value = value + signed(rest[0]) & MASK
        value = (value ^ value << 10) & MASK
        value = value + (value >> 1) & MASK
    for left, right in ((3, 5), (4, 17), (25, 6)):
        value = (value ^ value << left) & MASK
        value = value + (value >> right) & MASK
    return value


def signed(byte):
    return byte - 256 if byte > 127 else byte


def messages(text):
    """Pairs of original and translation; that of the empty original is the head."""
    if re.search(r"^msg(ctxt|id_plural)", text, re.MULTILINE):
        raise ValueError("it has contexts or plurals")
    for found in re.finditer(r'^msgid ((?:".*"\n)+)msgstr ((?:".*"\n?)+)', text, re.MULTILINE):
        yield tuple("".join(ast.literal_eval(line) for line in part.splitlines()) for part in found.groups())


def compile(text):
    """The bytes of an .lmo, of the text of a .po."""
    texts, index = bytearray(), []

    def add(key, kind, content):
        index.append((key, kind, len(texts), len(content)))
        texts.extend(content + bytes(-len(content) % 4))

    for original, translation in messages(text):
        original, translation = original.encode(), translation.encode()
        if not original:
            rule = re.search(rb"^Plural-Forms: (.*)$", translation, re.MULTILINE)
            if rule:
                add(0, 0, rule[1])
        elif translation and superfasthash(original) != superfasthash(translation):
            add(superfasthash(original), 1, translation)
    entries = b"".join(struct.pack(">4I", *entry) for entry in sorted(index))
    return bytes(texts) + entries + struct.pack(">I", len(texts))


if __name__ == "__main__":
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        content = compile(file.read())
    with open(target, "wb") as file:
        file.write(content)
