//! Every capacity, queue length, rate and timeout in one place, with unit, origin and the bytes it costs.
//! Origins: "protocol" is docs/protocol.md, "measured" is docs/performance.md, "RFC" as named.

use core::time::Duration;

/// A build is for routers with 64 MB, or with the cargo feature `large` for machines with more, in larger meshes. Nodes
/// of both kinds are in one mesh, as long as those of the first kind have room for it.
const fn sized(router: usize, large: usize) -> usize {
    if cfg!(feature = "large") { large } else { router }
}

/// Peers that one node may be linked to at the same time: configured ones and those that dial in. There are [`SLOTS`] for
/// them, and one bit each. Full: further ones are refused with the reason "busy". About 3 KiB each without connections.
pub const LINKS: usize = sized(32, 63);
const _: () = assert!(LINKS < SLOTS);

/// QUIC connections at the same time, handshakes included: two for each link (each side dials the other) and
/// room for handshakes and races. Full: new Initials are refused. About 22 KiB each, measured.
pub const CONNECTIONS: usize = 2 * LINKS + 32;

/// Incoming connections that have not shown a certificate yet. Full: the oldest gives way after
/// [`HALF_OPEN_STALE`]; until then further Initials are ignored.
pub const HALF_OPEN: usize = 16;
/// Of those, how many may be of addresses with which no connection came up before.
pub const HALF_OPEN_STRANGERS: usize = 12;
/// An incoming handshake older than this gives way when [`HALF_OPEN`] are under way: who does not finish keeps nobody
/// out.
pub const HALF_OPEN_STALE: Duration = Duration::from_secs(1);

/// Incoming handshakes above which an address must first prove itself by a Retry (RFC 9000, 8.1.2).
pub const HALF_OPEN_BEFORE_RETRY: usize = 4;

/// Addresses (of IPv6: /64) that sent Initials lately, about 50 bytes each. Full: the one that sent least goes; if it
/// comes again, it begins anew, within the budget of all.
pub const SENDERS: usize = 256;
/// Initials of one address that are opened in a second, and how many it may save up: several sites behind one address
/// each try several times.
pub const SENDER_INITIALS: u32 = 10;
pub const SENDER_INITIALS_SAVED: u32 = 40;
/// Addresses (of IPv6: /64) with which a connection came up: budgets and places are kept for them. About 70 bytes
/// each. Full: the one that is longest ago goes.
pub const KNOWN: usize = 64;
/// How long they are remembered.
pub const KNOWN_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Handshakes that may be saved up, as seconds of their rate: after an outage all peers come at once.
pub const HANDSHAKES_SAVED_SECONDS: u32 = 4;

/// Packets of a connection that the QUIC library may hold before we have accepted it, bytes.
pub const INCOMING_BUFFER: u64 = 8 * 1024;
pub const INCOMING_BUFFER_TOTAL: u64 = 256 * 1024;

/// Answers to packets that belong to no connection (version negotiation, Retry, stateless reset), waiting to be
/// sent. Full: the answer is not given.
pub const RESPONSES: usize = 16;

/// Nodes of a mesh that one node knows, itself included; a power of two. UCI may lower it. Full: a new node is refused,
/// what is known stays.
pub const NODES: usize = sized(256, 1024);
/// A node's certificate and its intermediates, as they are told to all: bytes and number (protocol). More: a node does not
/// start with them, and what others tell so is refused.
pub const CHAIN_MAX: usize = 4096;
pub const CHAIN_CERTIFICATES: usize = 8;
/// Ways from a certificate up to anchors, whole ones and beginnings, that are tried by name: each costs a look at signatures,
/// and strangers can send any chain. A chain has as many as certificates, a rollover some more.
pub const CHAIN_WAYS: usize = 24;
/// Bytes of chain and NODE that each node has a place for.
pub const MEMBER_BYTES: usize = 768;
/// What chains and NODEs of all nodes may have beyond that: 256 KiB in all (`large`: 1 MiB). Full: a NODE that needs more is
/// refused, and what is known of its node stays.
pub const MEMBER_BYTES_MORE: usize = sized(64 * 1024, 256 * 1024);
/// Chains that are judged anew in one turn of the loop, when all have to be: each costs a check of a signature, as below, for each
/// certificate in it.
pub const JUDGEMENTS: usize = 1;
/// Lines about members that wait to be written, as many as are kept of all. Full: the newest is left out.
pub const MEMBER_NOTES: usize = EVENTS;

/// Longest CRL that is taken from another node, bytes, and the longest that a message carries (protocol).
pub const CRL_MAX: usize = 128 * 1024;
pub const CRL_TOLD: usize = u16::MAX as usize;

/// Links in the announcements of all nodes, each counted at both ends. Full: an announcement is refused whole, the older
/// one stays.
pub const NODE_LINKS: usize = sized(4096, 16_384);
/// Numbers that a node may give its links: 0 to 63 (protocol).
pub const SLOTS: usize = 64;
/// Links of the longest way through the mesh: the first, and 63 that stand in the frame (protocol).
pub const ROUTE: usize = 64;
/// How often nodes on the way may give a frame another route; two bits (protocol).
pub const ROUTE_REPAIRS: u8 = 3;

/// Dead links for which a node keeps ways round them, 12 KiB each (`large`: 48). Full: the oldest goes.
pub const REPAIRS: usize = 4;
/// How long a dead link is still gone round after it left the announcements (protocol).
pub const REPAIR_FOR: Duration = Duration::from_secs(1);

/// Children that a broadcast tree no longer has are still sent to for this long: others may learn of it later (protocol).
pub const OLD_TREE: Duration = Duration::from_secs(1);
/// How far ahead of the newest broadcast of its origin one may be that does not come from the parent (protocol).
pub const WINDOW_JUMP: u16 = 1024;
/// Broadcasts that came first from elsewhere than from the parent, 16 bytes each: so many may be under way on two ways at once
/// while a tree changes. Full: the oldest is forgotten, and its other copy arrives as well.
pub const EARLY: usize = 512;
/// An origin that was not heard for this long may have counted to anywhere; copies of its last broadcast are long gone.
pub const WINDOW_STALE: Duration = Duration::from_secs(60);

/// LSAs that are kept: one of each node, and as many further fragments of those with many links; 80 bytes each. Full: a
/// further fragment is refused.
pub const FRAGMENTS: usize = 2 * NODES;
/// Bytes of later versions in all LSAs. Full: the LSA is refused.
pub const APPENDICES: usize = sized(16 * 1024, 64 * 1024);
/// A node that no path leads to is forgotten after this long (protocol).
pub const PURGE_AFTER: Duration = Duration::from_secs(600);

/// A slot that was freed becomes another node's after this long: frames on their way still name it (protocol).
pub const SLOT_REST: Duration = Duration::from_secs(60);
/// Failures of a link count for this long, and put off that it is announced again by at most this (protocol).
pub const FLAP_FORGOTTEN: Duration = Duration::from_secs(60);
pub const FLAP_HOLD_MAX: Duration = Duration::from_secs(60);
/// A link that failed lately is withdrawn this much later: it may come back (protocol).
pub const FLAP_PATIENCE: Duration = Duration::from_millis(700);

/// A cost is told anew when it differs by a fifth and by this, 0.1 ms, for this long, and no sooner after the last time
/// than this (protocol).
pub const COST_CHANGE: u16 = 20;
pub const COST_STEADY: Duration = Duration::from_secs(3);
pub const COST_PAUSE: Duration = Duration::from_secs(10);
/// Until a link is as old as this, less than was told is told anew when it is less by a twentieth and by this, 0.1 ms; first
/// when it is so old, then after such pauses. What it cost at first was measured while both ends were busy with the handshake.
pub const COST_YOUNG: Duration = Duration::from_secs(30);
pub const COST_LESS: u16 = 5;
pub const COST_YOUNG_FIRST: Duration = Duration::from_secs(1);
pub const COST_YOUNG_PAUSE: Duration = Duration::from_secs(4);

/// Announcements of this node are this far apart; the first of a swarm of changes goes at once (protocol).
pub const ANNOUNCE_PAUSE: Duration = Duration::from_millis(100);
/// Highest epoch that a node takes (protocol).
pub const EPOCH_MAX: u32 = 0xFFFF_FF00;
/// Who finds announcements of its own that it did not make takes a new epoch this often at most.
pub const FIGHT_PAUSE: Duration = Duration::from_secs(1);

/// Paths are searched this long after a change; and this long if the last search is not yet so long ago (protocol).
pub const SEARCH_SOON: Duration = Duration::from_millis(5);
pub const SEARCH_PAUSE: Duration = Duration::from_millis(50);
pub const SEARCH_CALM: Duration = Duration::from_millis(500);
/// In a mesh of more nodes than these the pause is longer by this for each of them, up to the last: a search takes a small MIPS
/// router 7 ms among 100 nodes and 19 among 250 (docs/performance.md), and should leave most of it for frames.
pub const SEARCH_PAUSE_NODES: usize = 100;
pub const SEARCH_PAUSE_MORE: Duration = Duration::from_millis(1);
pub const SEARCH_PAUSE_MAX: Duration = Duration::from_millis(250);

/// Neighbors compare their databases this often, and complete them when they differed so often in a row (protocol).
pub const DIGEST_EVERY: Duration = Duration::from_secs(30);
pub const DIGEST_MISSES: u8 = 2;
/// A node of which something was heard stands in SUMMARYs for this long though no path leads to it, or not any more: our own
/// announcement of the link to it and the next search may be some 150 ms away.
pub const NEWS_FOR: Duration = Duration::from_secs(1);
/// A neighbor that could not be told something is told anew what there is after this long.
pub const RESYNC_AFTER: Duration = Duration::from_secs(1);
/// What is missing of one node is asked for this often (protocol), and of one neighbor no more than this at a time: answers
/// must fit in what a link may bring in.
pub const ASK_AGAIN: Duration = Duration::from_secs(1);
pub const ASKED_AT_ONCE: usize = 64;
/// Nodes of which something is missing, 24 bytes each: as many as there are, whatever one neighbor claims to have. Full: the
/// neighbor that named most of them makes room.
pub const ASKED: usize = 2 * NODES;
/// Announcements that wait to be judged, and those of unknown nodes how long. Full: the oldest of the neighbor that brought
/// most goes.
pub const HELD: usize = 8;
pub const HELD_FOR: Duration = Duration::from_secs(10);
/// Announcements of one node that are judged at once, and one more in each of these times (protocol). One that is longer
/// than 1 KiB counts for more, so that what one node says does not fill the control streams between others.
pub const ORIGIN_BURST: i16 = 5;
pub const ORIGIN_EVERY: Duration = Duration::from_millis(100);
/// Forged announcements that a neighbor may bring at once, and one more in each of these times: an honest one brings none,
/// but for moments in which the two know different certificates. Beyond it nothing that it brings of others is judged.
pub const VAIN_BURST: i16 = 64;
pub const VAIN_EVERY: Duration = Duration::from_millis(100);
/// What a NODE with a whole chain counts for, if it is not good: the chain is judged as well.
pub const VAIN_CHAIN: i16 = 4;
/// Rows of the database that a neighbor is sent at once, as many as there are, and one more in each of these times.
pub const ROWS_BURST: i16 = NODES as i16;
pub const ROWS_EVERY: Duration = Duration::from_millis(16);
/// SUMMARYs and DIGESTs of a neighbor that are looked at, together: so many at once, and one more in each of these times.
pub const COMPARED_BURST: i16 = 8;
pub const COMPARED_EVERY: Duration = Duration::from_secs(1);
/// How often a neighbor is told all stations (up to 40 KiB) because it asks, and the CRLs (up to 64 KiB each) because its NODE
/// names an older one.
pub const SNAPSHOTS_BURST: i16 = 2;
pub const SNAPSHOTS_EVERY: Duration = Duration::from_secs(10);
pub const LISTS_BURST: i16 = 2;
pub const LISTS_EVERY: Duration = Duration::from_secs(10);
/// How long a neighbor that began to tell where all stations are may go on.
pub const SNAPSHOT_FOR: Duration = Duration::from_secs(10);
/// Newest announcements of kinds that are not understood. Full: one of the node with most is forgotten, and may be handed on
/// again.
pub const FOREIGN: usize = 64;
/// Signatures that are checked in one turn of the loop, a NODE with its chain counting as one turn, and the pause for frames before
/// the next: one of P-256 keeps a small MIPS router busy for tens of milliseconds (measured).
pub const CHECKS: u64 = 1;
pub const CHECKS_PAUSE: Duration = Duration::from_millis(1);

/// MAC_MOVEs and MAC_GONEs that are known again when another neighbor hands them on, without a look at the signature.
/// Full: the oldest is judged once more.
pub const COPIES: usize = 16;

/// Largest Ethernet frame that the switch carries, bytes: header, one 802.1Q tag and an MTU up to [`MTU_MAX`].
pub const FRAME_MAX: usize = 2048;
pub const MTU_MAX: u16 = 2000;
/// Smallest MTU of the TAP: what every IPv4 host takes (RFC 791).
pub const MTU_MIN: u16 = 576;

/// Longest header of an overlay datagram, bytes: a TUNNEL of 63 slots (2 + 63) and the BCAST in it (6).
pub const HEADER_MAX: usize = 2 + (ROUTE - 1) + 6;
/// Largest overlay datagram: what a link takes and puts together again, bytes.
pub const DATAGRAM_MAX: usize = FRAME_MAX + HEADER_MAX;
/// Free bytes in front of a frame that came from the TAP: room for any header, and the frame stays aligned.
pub const HEADROOM: usize = 72;
const _: () = assert!(HEADROOM >= HEADER_MAX);

/// Pieces that a frame may be split into (protocol).
pub const PIECES: usize = 4;
/// Reassembly buffers of a node, [`DATAGRAM_MAX`] bytes each. Full: the oldest unfinished datagram is given up.
pub const REASSEMBLY: usize = 32;
/// Reassembly buffers that one link may hold.
pub const REASSEMBLY_PER_LINK: usize = 8;
/// How long pieces wait for their siblings (protocol).
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_millis(500);

/// MAC addresses with a known owner, a power of two: 22 bytes each on every processor (20 for the entry, 2 for its chain),
/// 88 KiB (`large`: 352). UCI may lower it. Full: the longest unused entry of the node with most goes, if unused for [`OWNER_EVICT_AGE`];
/// otherwise the new address is not learned and its frames still arrive.
pub const OWNERS: usize = sized(4096, 16_384);
/// MAC addresses that one remote node may own, and we. Full: of its own the longest unused goes, as above.
pub const OWNERS_PER_NODE: u16 = 512;
pub const OWNERS_LOCAL: u16 = 1024;
pub const OWNER_EVICT_AGE: Duration = Duration::from_secs(60);
/// A remote address is forgotten after this long without a frame (protocol).
pub const OWNER_AGE_REMOTE: Duration = Duration::from_secs(900);
pub const OWNER_AGE_LOCAL: Duration = Duration::from_secs(600);
/// After a station was seen in its new place, frames that still arrive from the old one do not count for this long (protocol).
pub const OWNER_HOLD: Duration = Duration::from_secs(2);
/// Addresses of a node that no path leads to go after this long (protocol).
pub const OWNER_LOST: Duration = Duration::from_secs(60);
/// What has grown old is taken out in slices: so many entries at most, and not again before that pause (protocol).
pub const OWNER_SWEEP: usize = 512;
pub const OWNER_SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// An address that moves more often than this within that time stays where it is for a while (protocol).
pub const FLAP_MOVES: usize = 5;
pub const FLAP_WINDOW: Duration = Duration::from_secs(20);
pub const FLAP_FREEZE: Duration = Duration::from_secs(180);
/// Addresses of which moves are remembered, about 50 bytes each. Full: the one that moved longest ago and is not frozen goes.
pub const FLAPS: usize = 64;

/// Stations in one MAC_MOVE or MAC_GONE of ours: each is signed, and each receiver checks that.
pub const STATIONS: usize = 64;
/// Moves that wait to be told, 6 bytes each, and the pause between two messages of them. Full: the move is not told.
pub const MOVES_WAITING: usize = 256;
pub const MOVES_PAUSE: Duration = Duration::from_millis(100);
/// Stations that left and wait to be told of, 8 bytes each. Full: the others stay until the next slice.
pub const GONE_WAITING: usize = 256;

/// Addresses in the lists (`quicap:mac`) of all certificates, 8 bytes each. Full: the node whose list does not fit may use no
/// address, and status says so.
pub const RESERVED: usize = sized(1024, 4096);
/// Lines of the switch for the log within one turn of the loop. Full: the newest is left out.
pub const NOTES: usize = 16;

/// `unknown_unicast limited`: after the first flood for one address a second and a third may follow after these pauses
/// within [`UNKNOWN_PERIOD`], since the first may have met a bridge that was not ready; and floods for all addresses in
/// a second.
pub const UNKNOWN_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
pub const UNKNOWN_PERIOD: Duration = Duration::from_secs(10);
pub const UNKNOWN_PER_SECOND: u32 = 50;
/// Addresses whose floods are counted. Full: the oldest count is forgotten; the rate of all still holds.
pub const UNKNOWN_MACS: usize = 64;

/// Frames that wait for the TAP within one turn of the loop. Full: the newest is dropped and counted.
pub const TAP_QUEUE: usize = 4096;

/// Longest control message that is kept, a CRL excepted, which may have 65,538 bytes; a longer one of an unknown type is
/// skipped without being stored.
pub const CONTROL_MESSAGE: usize = 16 * 1024;
/// Control messages that wait to be sent on one connection, bytes. Full: the message is not taken, and who wanted to say it
/// is told.
pub const CONTROL_QUEUE: usize = 256 * 1024;
/// Frames that fill a connection without a break for this long make way for messages, if one was said within the time
/// below: long enough that it was said again if it was lost.
pub const WAY_PATIENCE: Duration = Duration::from_millis(100);
pub const WAY_AFTER: Duration = Duration::from_secs(3);
/// Control bytes and messages a link may bring in a second, and how much it may save up (protocol). Beyond it
/// reading pauses and QUIC's flow control holds the sender.
pub const CONTROL_RATE_BYTES: u32 = 64 * 1024;
pub const CONTROL_BURST_BYTES: u32 = 256 * 1024;
pub const CONTROL_RATE_MESSAGES: u32 = 200;
pub const CONTROL_BURST_MESSAGES: u32 = 400;
/// A peer that keeps its budget empty for this long floods: its connection is closed.
pub const CONTROL_FLOOD: Duration = Duration::from_secs(10);

/// After the handshake both sides say HELLO within this time, or the connection is closed (protocol).
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// An attempt that is not up by then has failed.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// A further address of the same peer is tried this long after the one before (RFC 8305, 5: 250 ms).
pub const DIAL_STAGGER: Duration = Duration::from_millis(250);
/// When a connection is up, the other addresses have some of its round trips to answer before the fastest is chosen, and
/// at least and at most this long after the last was dialed. The peer waits [`HELLO_TIMEOUT`] for those left over.
pub const COMPARE_ROUND_TRIPS: u32 = 8;
pub const COMPARE_MIN: Duration = Duration::from_secs(1);
pub const COMPARE_MAX: Duration = Duration::from_secs(2);
/// PINGs whose answers tell the round trip of an address, the least of them counts.
pub const COMPARE_PINGS: u8 = 4;
/// A connection whose round trip was only measured goes after this long: before the peer gives it up.
pub const MEASURE_TIMEOUT: Duration = Duration::from_millis(4500);
/// Other addresses of a peer are compared with the one in use after half to all of this, and sooner again when one was
/// clearly faster.
pub const COMPARE_EVERY: Duration = Duration::from_secs(600);
pub const COMPARE_AGAIN: Duration = Duration::from_secs(20);
/// A network that changes again and again brings no more comparisons than one in this time.
pub const COMPARE_PAUSE: Duration = Duration::from_secs(60);
/// Clearly faster: by a fifth and by this, for this long (protocol).
pub const FASTER_BY: Duration = Duration::from_millis(5);
pub const FASTER_FOR: Duration = Duration::from_secs(30);
/// In the race for the first connection, a difference below this is none.
pub const FASTER_AT_FIRST: Duration = Duration::from_millis(1);
/// A peer is dialed anew this long before the certificate ends that it showed, seconds: it may have another by now.
pub const RENEW_AHEAD_S: u32 = 3600;
/// How long a connection that was replaced still takes what is under way: at the end that dialed, and at the other, which
/// leaves the closing to it.
pub const LINGER_CLIENT: Duration = Duration::from_secs(1);
pub const LINGER_SERVER: Duration = Duration::from_secs(3);
/// Addresses tried in one attempt. More are left out.
pub const CANDIDATES: usize = 8;
/// Pause after a failed attempt: doubled each time from the first to the last, and drawn from its upper half.
pub const REDIAL_FIRST: Duration = Duration::from_millis(500);
pub const REDIAL_LAST: Duration = Duration::from_secs(30);
/// A link that was up this long begins again with the first pause.
pub const REDIAL_FORGIVEN: Duration = Duration::from_secs(30);

/// A connection on which nothing was sent for this long sends a PING (protocol).
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// With `fast_detect`.
pub const KEEP_ALIVE_FAST: Duration = Duration::from_secs(1);
/// PINGs that ask for an overdue ACK before a connection is suspect: on a path that loses packets their answers must not
/// all ride in one ACK (docs/protocol.md, "Liveness").
pub const PROBES: u32 = 5;
/// QUIC's own idle timeout, the last resort behind liveness (protocol).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Bounds of the time without an ACK after which a connection is suspect (protocol).
pub const SUSPECT_MIN: Duration = Duration::from_millis(120);
pub const SUSPECT_MAX: Duration = Duration::from_secs(1);
/// A suspect connection is given up after three times that, and not before this (protocol).
pub const DEAD_MIN: Duration = Duration::from_secs(1);

/// A link is withdrawn when its ACKs are overdue for twice that time, and not before this (protocol).
pub const WITHDRAW_MIN: Duration = Duration::from_millis(300);

/// Changes of addresses, devices and routes are acted on at most this often: they come in swarms.
pub const NETWORK_CHANGE_PAUSE: Duration = Duration::from_millis(250);

/// First guess of the round trip: a lost first packet costs three of it (measured: 300 ms instead of 1 s).
pub const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Largest UDP payload of an underlay with MTU 1500: IPv4 and IPv6 headers off.
pub const UDP_PAYLOAD_V4: u16 = 1472;
pub const UDP_PAYLOAD_V6: u16 = 1452;
/// Smallest and first UDP payload (RFC 9000, 14).
pub const UDP_PAYLOAD_MIN: u16 = 1200;
/// Path MTU is searched again after this long, and this long after a black hole.
pub const MTU_INTERVAL: Duration = Duration::from_secs(600);
pub const MTU_COOLDOWN: Duration = Duration::from_secs(30);

/// QUIC connection ids, bytes (measured; docs/protocol.md says why not 0, 1 or 4).
pub const CID_LEN: usize = 2;

/// QUIC packets that are sent in one system call (the kernel takes 64 segments and 65,507 bytes).
pub const SEGMENTS: usize = 44;

/// Files that have changed are read once they were left alone for this long, and at the latest after this long: a bundle
/// is several files.
pub const FILES_QUIET: Duration = Duration::from_millis(300);
pub const FILES_QUIET_MAX: Duration = Duration::from_secs(2);
/// Whether NTP has answered is looked up this often at most, where nobody tells of it.
pub const CLOCK_LOOK: Duration = Duration::from_secs(60);

/// Copies of sent datagrams that wait for who watches them. Full: the oldest goes.
pub const WATCHED: usize = 1024;

/// Lines kept for `quicap status`. Full: the oldest goes.
pub const EVENTS: usize = 64;
/// Subjects of such lines (a link each, and the node's own) whose lines are counted, about 100 bytes each. Full: the one
/// that began first goes, and what was left out of it is not told.
pub const SUBJECTS: usize = 64;

/// What depends on how much memory the machine has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Bytes in flight on one connection; each packet costs about 150 bytes until it is acknowledged.
    pub window: u32,
    /// Bytes of frames waiting on one connection. Full: the oldest frame goes.
    pub send_buffer: usize,
    /// Bytes of received datagrams within one turn of the loop.
    pub receive_buffer: usize,
    /// SO_SNDBUF and SO_RCVBUF of the UDP sockets, bytes.
    pub socket_send: usize,
    pub socket_receive: usize,
    /// Receive buffers of 64 KiB each.
    pub receive_batch: usize,
    /// Frames that wait in the TAP to be read. Full: the kernel drops the newest. A short queue costs one fast TCP
    /// stream losses, a long one costs delay where the tunnel is the bottleneck (measured).
    pub tap_queue: u16,
    /// Budget of the CPU in a second for who comes in: Initials to open, Retries and other answers to send, handshakes
    /// to take part in. Strangers have it once, and what speaks for itself once more (link/gate.rs). A small MIPS
    /// router can do some 30 handshakes a second if it does nothing else.
    pub initials: u32,
    pub answers: u32,
    pub handshakes: u32,
}

/// Machines with at most [`ROUTER_MEMORY`].
pub const ROUTER: Profile = Profile {
    window: 2 << 20,
    send_buffer: 128 << 10,
    receive_buffer: 256 << 10,
    socket_send: 256 << 10,
    socket_receive: 1 << 20,
    receive_batch: 1,
    tap_queue: 100,
    initials: 200,
    answers: 50,
    handshakes: 10,
};

/// Larger ones.
pub const SERVER: Profile = Profile {
    window: 16 << 20,
    send_buffer: 1 << 20,
    receive_buffer: 1 << 20,
    socket_send: 4 << 20,
    socket_receive: 8 << 20,
    receive_batch: 2,
    tap_queue: 500,
    initials: 4000,
    answers: 1000,
    handshakes: 200,
};

/// Memory of the machine, or of our control group, up to which it is treated as a small router, KiB.
pub const ROUTER_MEMORY: u64 = 256 * 1024;
