"""The file format of apk-tools 3, as apk-v3(5) describes it: values, blocks, compression, signatures.

    file    "ADB." schema, then blocks; or "ADBd" and all of that as raw deflate
    block   u32 (type << 30 | 4 + length), content, zeros up to a multiple of 8; first ADB, then SIG, then DATA
    ADB     8 bytes of header, of which the last 4 are the root's value; then what values point at
    value   u32 (type << 28 | number or offset in the ADB block); all is little-endian

What its objects mean is not known here but in apk.py. Read first: docs/packaging.md.
"""

import hashlib
import struct
import zlib

from .deflate import deflate

INT, INT_32, INT_64 = 0x1, 0x2, 0x3
BLOB_8, BLOB_16, BLOB_32 = 0x8, 0x9, 0xA
ARRAY, OBJECT = 0xD, 0xE
NULL = 0

BLOCK_ADB, BLOCK_SIG, BLOCK_DATA = 0, 1, 2
SHA512 = 4                         # apk's number of the digest in a signature


class Malformed(Exception):
    """These bytes are no file of apk-tools 3."""


class Writer:
    """Collects values, the innermost first. What was written before with the same bytes is used again."""

    def __init__(self):
        self.bytes = bytearray(8)
        self.known = {}

    def data(self, content, align, fresh=False):
        offset = self.known.get(content)
        if fresh or offset is None or offset % align:
            self.bytes += bytes(-len(self.bytes) % align)
            offset = len(self.bytes)
            self.bytes += content
            if not fresh:
                self.known[content] = offset
        return offset

    def blob(self, content, fresh=False):
        """Bytes or text. `fresh`: shared with nobody, because it is changed later."""
        content = content.encode() if isinstance(content, str) else content
        if not content:
            return NULL
        for kind, code, most in ((BLOB_8, "<B", 0xFF), (BLOB_16, "<H", 0xFFFF), (BLOB_32, "<I", 0xFFFFFFFF)):
            if len(content) <= most:
                length = struct.pack(code, len(content))
                return kind << 28 | self.data(length + content, len(length), fresh)
        raise Malformed("a text of more than 4 GiB")

    def int(self, number):
        if number < 1 << 28:
            return INT << 28 | number
        if number < 1 << 32:
            return INT_32 << 28 | self.data(struct.pack("<I", number), 4)
        return INT_64 << 28 | self.data(struct.pack("<Q", number), 4)

    def object(self, fields):
        """Of the values of its fields by their numbers, which begin at 1."""
        return self.array([fields.get(number, NULL) for number in range(1, max(fields, default=0) + 1)])

    def array(self, values):
        while values and values[-1] == NULL:
            values = values[:-1]
        if not values:
            return NULL
        slots = struct.pack(f"<{len(values) + 1}I", len(values) + 1, *values)
        return OBJECT << 28 | self.data(slots, 4)

    def copy(self, reader, value):
        """A value of another file."""
        kind, number = value >> 28, value & 0x0FFFFFFF
        if kind in (0, INT):
            return value
        if kind in (INT_32, INT_64):
            return self.int(reader.int(value))
        if kind in (BLOB_8, BLOB_16, BLOB_32):
            return self.blob(reader.blob(value))
        if kind in (ARRAY, OBJECT):
            return self.array([self.copy(reader, item) for item in reader.items(value)])
        raise Malformed(f"value {kind:x}:{number:x}")

    def finish(self, root):
        struct.pack_into("<I", self.bytes, 4, root)
        return self.bytes


class Reader:
    """The values of an ADB block."""

    def __init__(self, content):
        self.bytes = content
        self.root = self.unpack("<I", 4)

    def unpack(self, code, offset):
        try:
            return struct.unpack_from(code, self.bytes, offset)[0]
        except struct.error as error:
            raise Malformed(str(error)) from error

    def int(self, value):
        kind, number = value >> 28, value & 0x0FFFFFFF
        if kind in (0, INT):
            return number
        return self.unpack("<I" if kind == INT_32 else "<Q", number)

    def blob(self, value):
        kind, offset = value >> 28, value & 0x0FFFFFFF
        if value == NULL:
            return b""
        code = {BLOB_8: "<B", BLOB_16: "<H", BLOB_32: "<I"}.get(kind)
        if not code:
            raise Malformed(f"value {value:08x} is no text")
        start = offset + struct.calcsize(code)
        return bytes(self.bytes[start:start + self.unpack(code, offset)])

    def items(self, value):
        """The slots of an array or an object, without the first, which counts them."""
        if value == NULL:
            return []
        if value >> 28 not in (ARRAY, OBJECT):
            raise Malformed(f"value {value:08x} is no object")
        offset = value & 0x0FFFFFFF
        return [self.unpack("<I", offset + 4 * slot) for slot in range(1, self.unpack("<I", offset))]

    def fields(self, value):
        return dict(enumerate(self.items(value), start=1))


def block(kind, content):
    return struct.pack("<I", kind << 30 | 4 + len(content)) + content + bytes(-(4 + len(content)) % 8)


def file(schema, content, keys=(), data=()):
    """A whole file, compressed: an ADB block, a signature with each key, and blocks of data."""
    signatures = [block(BLOCK_SIG, signature(schema, content, key)) for key in keys]
    head = b"ADB." + schema + block(BLOCK_ADB, bytes(content))
    return compress(head + b"".join(signatures) + b"".join(block(BLOCK_DATA, item) for item in data))


def signature(schema, content, key):
    """Signed is the digest of the ADB block behind the schema and the signature's own head."""
    head = struct.pack("<BB16s", 0, SHA512, key.identity)
    return head + key.sign(schema + head + hashlib.sha512(content).digest())


def compress(content):
    return b"ADBd" + deflate(content)


def blocks(content):
    """The schema of a file, and its blocks in pairs of type and content."""
    if content[:4] == b"ADBd":
        content = zlib.decompress(content[4:], -15)
    if content[:4] != b"ADB.":
        raise Malformed("it does not begin with ADB.")
    found, offset = [], 8
    while offset < len(content):
        if len(content) < offset + 4:
            raise Malformed("it is cut off")
        head = int.from_bytes(content[offset:offset + 4], "little")
        kind, size = head >> 30, head & 0x3FFFFFFF
        if size < 4 or len(content) < offset + size:
            raise Malformed("it is cut off")
        found.append((kind, content[offset + 4:offset + size]))
        offset += size + -size % 8
    return content[4:8], found
