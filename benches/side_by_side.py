#!/usr/bin/env python3
"""QUICAP beside OpenVPN on one machine: CPU time per payload, speed, round trips and memory, as a markdown table.

    a  [wan 192.0.2.1] ---- veth, MTU 1500 ---- [wan 192.0.2.2]  b        and in the tunnel 10.77.0.1 to 10.77.0.2

Needs root, /dev/net/tun and a few programs; where they are missing it says `skipped: REASON` and ends well. Namespaces,
processes and files are its own and go at the end, whatever happens. Read first: docs/performance.md.
"""

import argparse, json, os, re, shutil, signal, statistics, subprocess, sys, tempfile, time
from pathlib import Path

WAN, LAN = {"a": "192.0.2.1", "b": "192.0.2.2"}, {"a": "10.77.0.1", "b": "10.77.0.2"}
PEER = {"a": "b", "b": "a"}
QUICAP = os.environ.get("QUICAP_BIN") or str(Path(__file__).resolve().parent.parent / "target/release/quicap")
PING_EVERY, PATIENCE = 0.01, 15  # seconds


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Lab:
    """Two namespaces with a cable between them, and the processes that run in them."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="quicap-bench-"))
        self.children = []

    def space(self, site):
        return f"qb{os.getpid()}-{site}"

    def ip(self, site, line):
        run("ip", "-n", self.space(site), *line.split())

    def build(self):
        for site in WAN:
            run("ip", "netns", "add", self.space(site))
        self.ip("a", f"link add wan type veth peer name wan netns {self.space('b')}")
        for site, address in WAN.items():
            self.ip(site, "link set lo up")
            self.set_up(site, "wan", address, 1500)

    def set_up(self, site, device, address, mtu):
        self.ip(site, f"addr replace {address}/24 dev {device}")
        self.ip(site, f"link set {device} mtu {mtu} up")

    def start(self, site, *command, **options):
        """`ip netns exec` becomes the program, so the process is the program's own."""
        command = ["ip", "netns", "exec", self.space(site), *command]
        self.children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, **options))
        return self.children[-1]

    def succeeds(self, site, line):
        return self.start(site, *line.split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait() == 0

    def clear(self):
        """Ends the processes and takes the namespaces away, devices included; `build` makes new ones."""
        for child in self.children:
            child.terminate()
        for child in self.children:
            try:
                child.wait(3)
            except subprocess.TimeoutExpired:
                child.kill()
        self.children.clear()
        for site in WAN:
            subprocess.run(["ip", "netns", "delete", self.space(site)], stderr=subprocess.DEVNULL)


class Tunnel:
    """One row of the table. `prepare` makes keys and files, `argv` starts one end."""

    def __init__(self, lab, mtu):
        self.lab, self.mtu, self.dir = lab, mtu, lab.dir / f"{self.name}-{mtu}"
        for site in WAN:
            (self.dir / site).mkdir(parents=True)
        self.prepare()

    def start(self):
        """Starts both ends and returns their processes once a ping has crossed."""
        logs = [self.dir / site / "log" for site in WAN]
        ends = [self.lab.start(log.parent.name, *self.argv(log.parent), cwd=log.parent, stdout=log.open("w"),
                               stderr=subprocess.STDOUT) for log in logs]
        pending, deadline = list(WAN), time.monotonic() + PATIENCE
        while pending or not self.lab.succeeds("a", f"ping -c 1 -W 1 {LAN['b']}"):
            if pending and self.lab.succeeds(pending[0], f"ip link show dev {self.device}"):
                site = pending.pop(0)
                self.lab.set_up(site, self.device, LAN[site], self.mtu)
            if time.monotonic() > deadline or any(end.poll() is not None for end in ends):
                tails = "".join(log.read_text()[-800:] for log in logs)
                raise RuntimeError(f"{self.name}, MTU {self.mtu}: no ping crosses:\n{tails}")
            time.sleep(0.05)
        return ends


class Quicap(Tunnel):
    name, device = "QUICAP", "quicap0"

    def prepare(self):
        ca = str(self.dir / "ca")
        run(QUICAP, "ca", "init", "--dir", ca, "--network", "bench")
        for site in WAN:
            own = self.dir / site
            run(QUICAP, "csr", "--name", site, "--key", f"{own}/key", "--out", f"{own}/csr")
            run(QUICAP, "ca", "sign", "--dir", ca, f"{own}/csr", "--out", f"{own}/crt")
            (own / "uci").write_text(f"""
config network 'bench'
    option tap '{self.device}'
    option mtu '{self.mtu}'
    option ca '{ca}/ca.crt'
    option crl '{ca}/crl.pem'
    option cert '{own}/crt'
    option key '{own}/key'

config peer
    option network 'bench'
    option name '{PEER[site]}'
    list endpoint '{WAN[PEER[site]]}:443'
""")

    def argv(self, own):
        return [QUICAP, "run", "bench", "--config", f"{own}/uci", "--socket", f"{own}/sock"]


class OpenVpn(Tunnel):
    name, device = "OpenVPN", "tap0"

    def prepare(self):
        for site in WAN:
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                f"/CN={site}", "-days", "2", "-keyout", f"{self.dir}/{site}/key", "-out", f"{self.dir}/{site}/crt")

    def argv(self, own):
        peer = PEER[own.name]
        trusted = run("openssl", "x509", "-in", f"{self.dir}/{peer}/crt", "-noout", "-fingerprint", "-sha256")
        role = "--tls-client" if own.name == "a" else "--tls-server --dh none"
        return (f"openvpn --dev {self.device} --dev-type tap --tun-mtu {self.mtu} --proto udp4 --local {WAN[own.name]} "
                f"--remote {WAN[peer]} {role} --cert crt --key key --peer-fingerprint {trusted.strip().split('=')[1]} "
                "--data-ciphers AES-128-GCM --sndbuf 1048576 --rcvbuf 1048576 --txqueuelen 1000").split()


def measure(lab, tunnel, seconds):
    """Starts the tunnel, measures it idle and under one TCP stream, stops it; a name for each number."""
    lab.build()
    ends = tunnel.start()
    numbers = wait_times("idle", start_ping(lab, 300)) | memory_mib(ends)
    server = lab.start("b", *"iperf3 -s -1 --forceflush".split(), stdout=subprocess.PIPE)
    next(line for line in server.stdout if "listening" in line)
    before = cpu_seconds(ends)
    client = lab.start("a", *f"iperf3 -c {LAN['b']} -t {seconds} -J".split(), stdout=subprocess.PIPE)
    ping = start_ping(lab, int(seconds / PING_EVERY * 0.9))
    report = json.loads(client.communicate(timeout=seconds + PATIENCE)[0])
    user, system = (after - start for after, start in zip(cpu_seconds(ends), before))
    numbers |= wait_times("loaded", ping)
    lab.clear()
    if "error" in report:
        raise RuntimeError(f"iperf3 through {tunnel.name}: {report['error']}")
    received = report["end"]["sum_received"]
    gb, mbit = received["bytes"] / 1e9, received["bits_per_second"] / 1e6
    return numbers | {"mbit": mbit, "cpu": (user + system) / gb, "user": user / gb, "system": system / gb}


def start_ping(lab, count):
    return lab.start("a", *f"ping -n -i {PING_EVERY} -c {count} -W 1 {LAN['b']}".split(), stdout=subprocess.PIPE)


def wait_times(name, ping):
    """Median and 99th percentile of the round trips in microseconds, and how many were lost, %."""
    text, _ = ping.communicate(timeout=60 + PATIENCE)
    times = sorted(float(found) * 1000 for found in re.findall(r"time=([\d.]+) ms", text))
    return {name: statistics.median(times), f"{name}_99": times[len(times) * 99 // 100],
            f"{name}_lost": float(re.search(r"([\d.]+)% packet loss", text).group(1))}


def cpu_seconds(ends):
    """User and system time of the processes so far (proc(5), fields 14 and 15 of stat)."""
    fields = [Path(f"/proc/{end.pid}/stat").read_text().rsplit(")", 1)[1].split() for end in ends]
    return tuple(sum(int(of[place]) for of in fields) / os.sysconf("SC_CLK_TCK") for place in (11, 12))


def memory_mib(ends):
    """Of one end, the mean of both."""
    text = "".join(Path(f"/proc/{end.pid}/smaps_rollup").read_text() for end in ends)
    return {kind: statistics.mean(map(int, re.findall(rf"^{kind}:\s+(\d+)", text, re.M))) / 1024
            for kind in ("Pss", "Rss")}


def print_results(rounds):
    """`rounds`: for each repetition, (name, MTU) -> numbers."""
    print("| tunnel | MTU | Mbit/s | CPU s/GB: user + system | ping idle, us: median / 99 % | under load | lost | "
          "idle PSS / RSS, MiB |\n|---|---|---|---|---|---|---|---|")
    for name, mtu in rounds[0]:
        of = {key: statistics.median(one[name, mtu][key] for one in rounds) for key in rounds[0][name, mtu]}
        print("| {} | {} | {mbit:.0f} | {cpu:.2f}: {user:.2f} + {system:.2f} | {idle:.0f} / {idle_99:.0f} | "
              "{loaded:.0f} / {loaded_99:.0f} | {loaded_lost:.1f} % | {Pss:.1f} / {Rss:.1f} |".format(name, mtu, **of))
    mtus = [mtu for name, mtu in rounds[0] if name == OpenVpn.name]
    if mtus:
        print("\n| QUICAP : OpenVPN, median (lowest to highest) of the rounds | CPU s/GB | Mbit/s |\n|---|---|---|")
    for mtu in mtus:
        cells = (sorted(one[Quicap.name, mtu][key] / one[OpenVpn.name, mtu][key] for one in rounds)
                 for key in ("cpu", "mbit"))
        print(f"| MTU {mtu} |", *(f"{statistics.median(of):.2f} ({of[0]:.2f} to {of[-1]:.2f}) |" for of in cells))


def obstacle():
    """Why nothing can be measured here."""
    if os.geteuid() != 0:
        return "not root"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    missing = [program for program in ("ip", "ping", "iperf3", QUICAP) if not shutil.which(program)]
    return f"no program {', '.join(missing)}" if missing else None


def main():
    parser = argparse.ArgumentParser(description="QUICAP beside OpenVPN; docs/performance.md")
    parser.add_argument("--seconds", type=int, default=8, help="of each TCP stream (default 8)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds, tunnels taking turns (default 3)")
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if reason := obstacle():
        print(f"skipped: side by side: {reason}")
        return
    kinds = [Quicap, OpenVpn] if shutil.which("openvpn") and shutil.which("openssl") else [Quicap]
    if OpenVpn not in kinds:
        print("OpenVPN is not compared: apt-get install openvpn openssl\n")
    for number in (signal.SIGTERM, signal.SIGHUP):  # every way to end goes through `finally`
        signal.signal(number, lambda *_: sys.exit("side by side: ended by a signal"))
    lab = Lab()
    try:
        tunnels = [kind(lab, mtu) for mtu in (1420, 1500) for kind in kinds]
        rounds = [{(one.name, one.mtu): measure(lab, one, arguments.seconds) for one in tunnels}
                  for _ in range(arguments.repeat)]
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        sys.exit(f"side by side: {error}")
    finally:
        lab.clear()
        shutil.rmtree(lab.dir, ignore_errors=True)
    versions = [" ".join(run(program, "--version").split()[:2]) for program in (QUICAP, "openvpn")[:len(kinds)]]
    print(f"{', '.join(versions)}; Linux {os.uname().release}, {os.cpu_count()} cores; median of {arguments.repeat} "
          f"rounds of {arguments.seconds} s\n")
    print_results(rounds)


if __name__ == "__main__":
    main()
