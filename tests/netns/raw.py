"""Raw frames and hostile datagrams, run inside a namespace by the tests of this folder.

  raw.py send IF HEX             sends one frame, and prints when, in UNIX seconds
  raw.py receive IF MAC SECONDS  prints the first frame from MAC as hex, its 802.1Q tag put back
  raw.py number IF COUNT MS      sends so many numbered broadcasts of 1000 bytes, one in so many milliseconds
  raw.py collect IF              prints the numbers of such as they come, in one line when its input ends
  raw.py garbage IP PORT SECONDS sends random, truncated and oversized datagrams
  raw.py replay IF SECONDS       sends each UDP datagram that leaves by IF again, three times, after a while
"""

import os
import random
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA = 263, 8
# An EtherType for experiments, and a mark of ours.
NUMBERED = b"\x88\xb5nr"
VLAN_VALID, TPID_VALID = 1 << 4, 1 << 6


def raw_socket(interface):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind((interface, ETH_P_ALL))
    return raw


def send(interface, frame):
    raw = raw_socket(interface)
    print(time.time(), flush=True)
    raw.send(bytes.fromhex(frame))


def receive(interface, mac, seconds):
    raw = raw_socket(interface)
    raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    raw.settimeout(float(seconds))
    print("ready", flush=True)
    while True:
        frame, ancillary, _, _ = raw.recvmsg(4096, 256)
        if frame[6:12] == bytes.fromhex(mac.replace(":", "")):
            print((frame[:12] + tag_of(ancillary) + frame[12:]).hex(), flush=True)
            return


def tag_of(ancillary):
    """The kernel takes the 802.1Q tag out of the frame and tells it beside (packet(7), PACKET_AUXDATA)."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", data[:20])
            if status & VLAN_VALID:
                return struct.pack("!HH", tpid if status & TPID_VALID else 0x8100, tci)
    return b""


def number(interface, count, pause):
    raw = raw_socket(interface)
    source = raw.getsockname()[4]
    start = time.monotonic()
    for n in range(int(count)):
        time.sleep(max(0, start + n * float(pause) / 1000 - time.monotonic()))
        raw.send((b"\xff" * 6 + source + NUMBERED + struct.pack("!I", n)).ljust(1000, b"."))


def collect(interface):
    raw = raw_socket(interface)
    print("ready", flush=True)
    numbers = []
    while True:
        readable = select.select([raw, sys.stdin], [], [])[0]
        if raw in readable:
            frame, (_, _, kind, _, _) = raw.recvfrom(4096)
            if frame[12:16] == NUMBERED and kind != socket.PACKET_OUTGOING:
                numbers.append(struct.unpack("!I", frame[16:20])[0])
        elif sys.stdin in readable:
            return print(*numbers)


def garbage(address, port, seconds):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    end = time.monotonic() + float(seconds)
    sizes = [0, 1, 2, 5, 20, 21, 40, 1199, 1200, 1472, 9000, 65000]
    # Long headers of version 1, of an unknown version, short headers, our reserved first byte, noise.
    starts = [b"\xc3\0\0\0\1\2", b"\xc0\xfa\xce\xb0\x0c\x08", b"\x40", b"\x7f", b"\x01", b""]
    sent = 0
    while time.monotonic() < end:
        data = (random.choice(starts) + os.urandom(random.choice(sizes)))[:65507]
        try:
            udp.sendto(data, (address, int(port)))
        except OSError:
            pass
        sent += 1
        time.sleep(0.001)
    print(sent)


def replay(interface, seconds):
    raw = raw_socket(interface)
    end = time.monotonic() + float(seconds)
    kept, ours, sent = [], set(), 0
    while time.monotonic() < end:
        if select.select([raw], [], [], 0.05)[0]:
            frame, (_, _, kind, _, _) = raw.recvfrom(65536)
            is_udp = frame[12:14] == b"\x08\0" and frame[23] == 17
            # Our own copies leave by the same interface, and are seen here again.
            if kind == socket.PACKET_OUTGOING and is_udp and frame not in ours and len(frame) <= 1514:
                kept.append((time.monotonic() + 0.3, frame))
        while kept and kept[0][0] <= time.monotonic():
            _, frame = kept.pop(0)
            ours.add(frame)
            for _ in range(3):
                raw.send(frame)
                sent += 1
    print(sent)


if __name__ == "__main__":
    {"send": send, "receive": receive, "number": number, "collect": collect, "garbage": garbage, "replay": replay}[sys.argv[1]](*sys.argv[2:])
