//! A router on an emulated board: qemu with Debian's kernel, and a console that takes commands.
//! What it boots is made by `image.rs`. Its WAN is a network card whose wire is a UDP socket on loopback that leads to the other
//! router, so nothing of the machine's network is touched.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A kind of board that routers have.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// Debian's name of its processor.
    pub debian: &'static str,
    /// OpenWrt's name of it: that of the package.
    pub architecture: &'static str,
    pub qemu: &'static str,
    /// Options of qemu that make the machine, and the card that `netdev=wan` is put into.
    machine: &'static [&'static str],
    card: &'static str,
    console: &'static str,
    /// Kernel modules in the order in which they are loaded.
    pub modules: &'static [&'static str],
}

/// What small routers have.
const MEMORY_MB: &str = "64";

pub const MIPS: Board = Board {
    debian: "mipsel",
    architecture: "mipsel_24kc",
    qemu: "qemu-system-mipsel",
    machine: &["-M", "malta", "-cpu", "24Kc"],
    card: "pcnet,romfile=",
    console: "ttyS0",
    modules: &["mii", "pcnet32", "llc", "stp", "bridge", "tun", "veth"],
};

pub const ARM: Board = Board {
    debian: "armhf",
    architecture: "arm_cortex-a7_neon-vfpv4",
    qemu: "qemu-system-arm",
    machine: &["-M", "virt", "-cpu", "cortex-a7"],
    card: "virtio-net-device",
    console: "ttyAMA0",
    modules: &[
        "failover",
        "net_failover",
        "virtio_mmio",
        "virtio_net",
        "llc",
        "stp",
        "bridge",
        "tun",
        "veth",
    ],
};

/// For what a slow emulated processor does on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Router {
    pub number: usize,
    emulator: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// All that came from the console.
    log: Vec<String>,
}

impl Router {
    /// Boots router 1 or 2, whose WANs are one wire between these two UDP ports of loopback.
    pub fn boot(board: &Board, number: usize, (kernel, image): (&Path, &Path), ports: [u16; 2]) -> Self {
        let (own, other) = (ports[number - 1], ports[2 - number]);
        let wire = format!(
            "dgram,id=wan,local.type=inet,local.host=127.0.0.1,local.port={own},\
             remote.type=inet,remote.host=127.0.0.1,remote.port={other}"
        );
        let mut emulator = Command::new(board.qemu)
            .args(board.machine)
            .args(["-m", MEMORY_MB, "-nographic", "-no-reboot", "-nodefaults"])
            .args(["-serial", "stdio", "-monitor", "none", "-netdev", &wire, "-device"])
            .arg(format!("{},netdev=wan,mac=52:54:00:00:00:0{number}", board.card))
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(image)
            .arg("-append")
            .arg(format!("console={} router={number} quiet panic=-1", board.console))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", board.qemu));
        let input = emulator.stdin.take().unwrap();
        let output = BufReader::new(emulator.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut router = Self { number, emulator, input, lines, log: Vec::new() };
        let ready = router.until(|line| line.starts_with("router") && line.contains(": ready"));
        println!("{}", ready.last().unwrap());
        router
    }

    /// Lines up to the first that is meant, that one included.
    fn until(&mut self, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let (mut read, end) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("router {} says nothing more; its console:\n{}", self.number, self.log.join("\n"))
            };
            self.log.push(line.clone());
            let is_last = is_meant(&line);
            read.push(line);
            if is_last {
                return read;
            }
        }
    }

    /// Runs a command; its exit code and what it said.
    pub fn run(&mut self, command: &str) -> (i32, String) {
        assert!(!command.contains('\n') && command.len() < 4000, "a command is one line of a terminal");
        self.log.push(format!("# {command}"));
        writeln!(self.input, "{command}").unwrap();
        let mut said = self.until(|line| line.starts_with("=== "));
        let code = said.pop().unwrap()[4..].trim().parse().unwrap();
        (code, said.join("\n"))
    }

    /// The same for a command that must succeed.
    pub fn ok(&mut self, command: &str) -> String {
        let (code, said) = self.run(command);
        assert_eq!(code, 0, "router {}: {command}: {said}", self.number);
        said
    }

    /// Waits until a command succeeds.
    pub fn wait(&mut self, command: &str) -> Duration {
        let began = Instant::now();
        while self.run(command).0 != 0 {
            assert!(
                began.elapsed() < PATIENCE,
                "router {}: never: {command}\n{}",
                self.number,
                self.log.join("\n")
            );
            thread::sleep(Duration::from_millis(200));
        }
        began.elapsed()
    }

    /// Writes a text into a file, in pieces that a terminal takes.
    pub fn write(&mut self, path: &str, text: &str) {
        self.ok(&format!("mkdir -p {}; : > {path}", Path::new(path).parent().unwrap().display()));
        for line in text.lines() {
            assert!(!line.contains('\''));
            self.ok(&format!("echo '{line}' >> {path}"));
        }
    }

    pub fn log(&self) -> String {
        self.log.join("\n")
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("-- console of router {}:\n{}", self.number, self.log());
        }
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}
