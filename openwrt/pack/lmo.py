"""Translations for LuCI: po2lmo's files, written here without it: python3 -m pack.lmo INPUT.po OUTPUT.lmo

    file     the translations, each with zeros up to a multiple of 4; the index; u32 where the index begins
    index    by key: u32 key, u32 number of plural forms, u32 offset, u32 length; all is big-endian

A key is the hash of the English text, with context and plural form; 0 is the rule for plural forms. In texts only \\" and \\\\
are resolved, as in LuCI's own. tests/packages holds it against what po2lmo made. Read first: docs/packaging.md.
"""

import pathlib
import re
import struct
import sys

from .recipe import Refusal

LONGEST = 4095                     # bytes of a line or a key, in po2lmo
FORMS = 10
WORDS = re.compile(rb'(msgctxt|msgid|msgid_plural|msgstr|msgstr\[(\d+)\]) (?=")')
STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"')


def convert(po):
    """The bytes of an .lmo, or none if nothing is translated."""
    texts, entries = bytearray(), []
    for message in messages(po):
        for key, forms, text in translations(message):
            entries.append((key, forms, len(texts), len(text)))
            texts += text + bytes(-len(text) % 4)
    if not texts:
        return b""
    index = b"".join(struct.pack(">4I", *entry) for entry in sorted(entries, key=lambda entry: entry[0]))
    return bytes(texts) + index + struct.pack(">I", len(texts))


def messages(po):
    """Each as the words of the .po with their texts; the forms of msgstr are numbers, the only one is 0."""
    message, word = {}, None
    for number, line in enumerate(po.split(b"\n"), start=1):
        if len(line) >= LONGEST:
            raise Refusal(f"line {number} is too long for LuCI")
        if line.startswith(b"#"):
            continue
        if found := WORDS.match(line):
            word = found[1].decode() if not found[1].startswith(b"msgstr") else int(found[2] or 0)
            if word == "msgctxt" or word == "msgid" and 0 in message:
                yield message
                message = {}
            if isinstance(word, int) and word >= FORMS:
                raise Refusal(f"line {number} has a plural form too many for LuCI")
            message[word] = b""
        if found := STRING.search(line):
            message[word] = message.get(word, b"") + re.sub(rb'\\(["\\])', rb"\1", found[1])
        elif line.strip():
            raise Refusal(f"line {number} is none of a .po")
    yield message


def translations(message):
    """Key, number of forms and text of each form that has one; that of the header is the rule for plural forms."""
    forms = {word: text for word, text in message.items() if isinstance(word, int) and text}
    if 0 not in forms:
        return
    if not message.get("msgid"):
        yield from plural_rule(forms[0])
        return
    last = max(word for word in message if isinstance(word, int))
    for form, text in sorted(forms.items()):
        key = message["msgid"]
        if message.get("msgctxt"):
            key = message["msgctxt"] + b"\1" + key
        if message.get("msgid_plural"):
            key += b"\2%d" % form
        if len(key) > LONGEST:
            raise Refusal("a text is too long for LuCI")
        if hash_of(key) != hash_of(text):
            yield hash_of(key), last + 1, text


def plural_rule(header):
    for line in header.split(b"\\n")[:-1]:
        if line.lower().startswith(b"plural-forms: "):
            yield 0, 0, line[len(b"plural-forms: "):]
            return


def hash_of(data):
    """SuperFastHash, begun with the length."""
    value = len(data)
    if not data:
        return 0
    whole = len(data) & ~3
    for low, high in struct.iter_unpack("<HH", data[:whole]):
        value = value + low & 0xFFFFFFFF
        value = (value << 16 ^ high << 11 ^ value) & 0xFFFFFFFF
        value = value + (value >> 11) & 0xFFFFFFFF
    rest = data[whole:]
    if len(rest) == 3:
        value = value + struct.unpack("<H", rest[:2])[0] & 0xFFFFFFFF
        value ^= value << 16 & 0xFFFFFFFF
        value ^= struct.unpack("b", rest[2:])[0] << 18 & 0xFFFFFFFF
        value = value + (value >> 11) & 0xFFFFFFFF
    elif len(rest) == 2:
        value = value + struct.unpack("<H", rest)[0] & 0xFFFFFFFF
        value ^= value << 11 & 0xFFFFFFFF
        value = value + (value >> 17) & 0xFFFFFFFF
    elif len(rest) == 1:
        value = value + struct.unpack("b", rest)[0] & 0xFFFFFFFF
        value ^= value << 10 & 0xFFFFFFFF
        value = value + (value >> 1) & 0xFFFFFFFF
    for left, right in ((3, 5), (4, 17), (25, 6)):
        value ^= value << left & 0xFFFFFFFF
        value = value + (value >> right) & 0xFFFFFFFF
    return value


def main():
    source, result = map(pathlib.Path, sys.argv[1:])
    try:
        content = convert(source.read_bytes())
    except Refusal as refusal:
        sys.exit(f"{source}: {refusal}")
    if content:
        result.write_bytes(content)


if __name__ == "__main__":
    main()
