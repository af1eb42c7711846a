//! Nanoseconds per frame through a whole node, in process: TAP to UDP on one, UDP to TAP on the other, without
//! system calls. Minima of many rounds: what else the machine does only adds. `cargo bench` runs it.

#[path = "../tests/sim/members.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod members;
#[path = "../tests/sim/world.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod world;

use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use quicap::limits;
use quicap::node::Node;

use world::{DIAL, LISTEN, PORT, World};

const BATCH: usize = 44;
const ROUNDS: usize = 2000;

struct Times {
    send: Duration,
    receive: Duration,
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn round(
    pair: &mut (Box<Node>, Box<Node>),
    arena: &mut (BytesMut, BytesMut),
    wire: &mut Vec<u8>,
    frame: &[u8],
) -> Times {
    let now = Instant::now();
    let (a, b) = pair;
    let began = Instant::now();
    for _ in 0..BATCH {
        if arena.0.capacity() < limits::HEADROOM + frame.len() {
            arena.0.reserve(BATCH * (limits::HEADROOM + limits::FRAME_MAX));
        }
        arena.0.put_bytes(0, limits::HEADROOM);
        arena.0.put_slice(frame);
        a.handle_frame(now, arena.0.split());
    }
    a.settle(now);
    let mut sent = Vec::new();
    wire.clear();
    loop {
        let start = wire.len();
        let mut buffer = wire.split_off(start);
        let Some(transmit) = a.poll_transmit(now, &mut buffer) else { break };
        wire.append(&mut buffer);
        sent.push((start, transmit));
    }
    let send = began.elapsed();
    let began = Instant::now();
    let mut frames = 0;
    for (start, transmit) in &sent {
        let bytes = &wire[*start..start + transmit.size];
        for segment in bytes.chunks(transmit.segment_size.unwrap_or(usize::MAX)) {
            if arena.1.capacity() < segment.len() {
                arena.1.reserve(64 * 1024);
            }
            arena.1.put_slice(segment);
            let data = arena.1.split();
            let (socket, from) = if transmit.socket == LISTEN {
                (DIAL, format!("192.0.2.1:{PORT}"))
            } else {
                (LISTEN, "192.0.2.1:50000".to_owned())
            };
            b.handle_datagram(now, socket, from.parse().expect("an address"), None, data);
        }
    }
    b.settle(now);
    while b.poll_frame().is_some() {
        frames += 1;
    }
    let receive = began.elapsed();
    assert_eq!(frames, BATCH, "frames were lost");
    answer(b, a, now);
    Times { send, receive }
}

/// Carries the ACKs back, outside of what is timed.
fn answer(from: &mut Node, to: &mut Node, now: Instant) {
    let mut buffer = Vec::new();
    while let Some(transmit) = from.poll_transmit(now, &mut buffer) {
        let (socket, port) = if transmit.socket == LISTEN { (DIAL, PORT) } else { (LISTEN, 50_001) };
        let address = format!("192.0.2.2:{port}").parse().expect("an address");
        for segment in buffer[..transmit.size].chunks(transmit.segment_size.unwrap_or(usize::MAX)) {
            to.handle_datagram(now, socket, address, None, BytesMut::from(segment));
        }
        buffer.clear();
    }
    to.settle(now);
}

fn main() {
    println!("ns per frame, minimum of {ROUNDS} rounds of {BATCH} frames; AES-128-GCM");
    println!("{:>7} {:>9} {:>9} {:>9}", "bytes", "tap->udp", "udp->tap", "together");
    for length in [60, 512, 1420, 1514] {
        let (mut world, _) = members::mesh(1, 2);
        world.run_for(Duration::from_secs(5));
        let mut nodes = world.sites.iter_mut().map(|site| site.node.take().expect("runs"));
        let mut pair = (nodes.next().expect("two"), nodes.next().expect("two"));
        let frame = members::broadcast(1, length);
        let mut arena = (BytesMut::new(), BytesMut::new());
        let mut wire = Vec::with_capacity(256 * 1024);
        let rounds: Vec<Times> =
            (0..ROUNDS).map(|_| round(&mut pair, &mut arena, &mut wire, &frame)).collect();
        let best = |time: fn(&Times) -> Duration| {
            rounds.iter().map(time).min().unwrap_or_default().as_nanos() / BATCH as u128
        };
        let (send, receive) = (best(|times| times.send), best(|times| times.receive));
        println!("{length:>7} {send:>9} {receive:>9} {:>9}", send + receive);
    }
    let _ = World::ip(0);
}
