/* impair: a wire with faults, between two Ethernet interfaces of one network namespace.
 *
 *   impair IF_A IF_B [for=SECONDS] [seed=N] [SETTING ...]
 *
 * Every frame that arrives on one interface leaves by the other, after the settings of that direction:
 *   delay=MS jitter=MS        a fixed delay, plus uniform +-jitter; order is kept unless reorder is set
 *   loss=PERCENT              independent loss
 *   burst=P,R                 Gilbert loss: enter the bad state with P %, leave it with R % per frame; all is lost in it
 *   rate=MBIT queue=MS        serialisation at this rate with a tail-drop queue that holds MS of it (default 50)
 *   reorder=PERCENT           this share of frames skips the delay, and jitter may swap frames
 *   dup=PERCENT               this share of frames is sent twice
 *   mtu=BYTES                 larger IP packets vanish (a path-MTU black hole)
 *   drop=none|udp|all         what is silently dropped: every UDP packet over IPv4 or IPv6, or everything
 * A setting applies to both directions; "a.loss=1" is the direction that enters at IF_A, "b.loss=1" the other.
 * Settings may be changed while it runs by writing lines of the same words to standard input.  "stats" there
 * prints counters as JSON; they are printed at the end too.  "in" and "out" are frames, "bytes" those of frames
 * that came out, "large" such of at least 1000 bytes.  It ends after for=SECONDS (default 600), at "quit",
 * or on SIGTERM.
 *
 * Offload must be off on both ends of both links (wire.rs does it), or frames bigger than the wire come through. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <math.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAXFRAME 2048
#define LARGE 1000
#define SLOTS 65536             /* frames in flight per direction */

struct settings {
    double delay, jitter;       /* seconds */
    double loss, reorder, dup;  /* 0..1 */
    double bad_in, bad_out;     /* Gilbert transition probabilities */
    double rate, queue;         /* bit/s (0: unlimited), seconds */
    int mtu;
    int drop;                   /* 0 none, 1 udp, 2 all */
};

struct frame {
    double due;
    uint64_t order;             /* keeps equal times first-in first-out */
    int len;
    uint8_t data[MAXFRAME];
};

struct counters {
    unsigned long in, out, bytes, large, lost, dropped, tail, too_big, no_slot, send_error, duplicated;
};

struct direction {
    int in, out;
    struct settings set;
    struct counters n;
    struct frame **heap;        /* min-heap on (due, order) */
    struct frame *pool;
    struct frame **idle;
    int held, spare;
    double line_free, last_due;
    uint64_t order;
    int bad;
};

static volatile sig_atomic_t stopping;
static uint64_t rng;

static void on_signal(int sig)
{
    (void)sig;
    stopping = 1;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* xorshift64*, uniform in [0,1) */
static double chance(void)
{
    rng ^= rng >> 12;
    rng ^= rng << 25;
    rng ^= rng >> 27;
    return (double)((rng * 2685821657736338717ULL) >> 11) / 9007199254740992.0;
}

static int before(const struct frame *x, const struct frame *y)
{
    return x->due < y->due || (x->due == y->due && x->order < y->order);
}

static void push(struct direction *d, struct frame *f)
{
    int i = d->held++;
    while (i > 0) {
        int up = (i - 1) / 2;
        if (!before(f, d->heap[up]))
            break;
        d->heap[i] = d->heap[up];
        i = up;
    }
    d->heap[i] = f;
}

static struct frame *pop(struct direction *d)
{
    struct frame *top = d->heap[0], *last = d->heap[--d->held];
    int i = 0;
    for (;;) {
        int kid = 2 * i + 1;
        if (kid >= d->held)
            break;
        if (kid + 1 < d->held && before(d->heap[kid + 1], d->heap[kid]))
            kid++;
        if (!before(d->heap[kid], last))
            break;
        d->heap[i] = d->heap[kid];
        i = kid;
    }
    d->heap[i] = last;
    return top;
}

static int is_udp(const uint8_t *p, int len)
{
    if (len < 34)
        return 0;
    int type = p[12] << 8 | p[13];
    if (type == ETH_P_IP)
        return p[23] == 17;
    return type == ETH_P_IPV6 && len >= 54 && p[20] == 17;
}

static void schedule(struct direction *d, struct frame *f, double t)
{
    const struct settings *s = &d->set;
    double at = t;

    if (s->rate > 0) {
        if (d->line_free < t)
            d->line_free = t;
        if (d->line_free - t > s->queue) {
            d->n.tail++;
            d->idle[d->spare++] = f;
            return;
        }
        /* 24 bytes: preamble, checksum and inter-frame gap */
        d->line_free += (f->len + 24) * 8 / s->rate;
        at = d->line_free;
    }
    int skips = s->reorder > 0 && chance() < s->reorder;
    if (!skips) {
        at += s->delay + (s->jitter > 0 ? (2 * chance() - 1) * s->jitter : 0);
        if (s->reorder <= 0) {
            if (at < d->last_due)
                at = d->last_due;
            d->last_due = at;
        }
    }
    f->due = at;
    f->order = d->order++;
    push(d, f);
}

static void take(struct direction *d)
{
    for (int k = 0; k < 256; k++) {
        if (!d->spare) {
            uint8_t sink[MAXFRAME];
            if (recv(d->in, sink, sizeof sink, MSG_DONTWAIT) <= 0)
                return;
            d->n.in++;
            d->n.no_slot++;
            continue;
        }
        struct frame *f = d->idle[d->spare - 1];
        struct sockaddr_ll from;
        socklen_t fl = sizeof from;
        ssize_t len = recvfrom(d->in, f->data, MAXFRAME, MSG_DONTWAIT | MSG_TRUNC, (void *)&from, &fl);
        if (len < 0)
            return;
        if (from.sll_pkttype == PACKET_OUTGOING)
            continue;
        double t = now();
        const struct settings *s = &d->set;
        d->n.in++;
        if (s->drop == 2 || (s->drop == 1 && is_udp(f->data, (int)len))) {
            d->n.dropped++;
            continue;
        }
        if (len > MAXFRAME || (s->mtu && len - 14 > s->mtu)) {
            d->n.too_big++;
            continue;
        }
        if (s->bad_in > 0) {
            d->bad = d->bad ? chance() >= s->bad_out : chance() < s->bad_in;
            if (d->bad) {
                d->n.lost++;
                continue;
            }
        }
        if (s->loss > 0 && chance() < s->loss) {
            d->n.lost++;
            continue;
        }
        d->spare--;
        f->len = (int)len;
        if (s->dup > 0 && d->spare && chance() < s->dup) {
            struct frame *twin = d->idle[--d->spare];
            twin->len = f->len;
            memcpy(twin->data, f->data, f->len);
            d->n.duplicated++;
            schedule(d, twin, t);
        }
        schedule(d, f, t);
    }
}

static void release(struct direction *d, double t)
{
    while (d->held && d->heap[0]->due <= t) {
        struct frame *f = pop(d);
        if (send(d->out, f->data, f->len, MSG_DONTWAIT) < 0)
            d->n.send_error++;
        else {
            d->n.out++;
            d->n.bytes += f->len;
            d->n.large += f->len >= LARGE;
        }
        d->idle[d->spare++] = f;
    }
}

static int open_if(const char *name)
{
    int s = socket(AF_PACKET, SOCK_RAW, 0), size = 32 << 20, one = 1;
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct packet_mreq mr = {.mr_type = PACKET_MR_PROMISC};

    a.sll_ifindex = mr.mr_ifindex = (int)if_nametoindex(name);
    if (s < 0 || !a.sll_ifindex) {
        perror(name);
        exit(1);
    }
    if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(s, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof mr);
    if (bind(s, (void *)&a, sizeof a)) {
        perror(name);
        exit(1);
    }
    return s;
}

static int apply_one(struct settings *s, const char *key, const char *val)
{
    double v = atof(val);
    if (!strcmp(key, "delay"))
        s->delay = v / 1e3;
    else if (!strcmp(key, "jitter"))
        s->jitter = v / 1e3;
    else if (!strcmp(key, "loss"))
        s->loss = v / 100;
    else if (!strcmp(key, "reorder"))
        s->reorder = v / 100;
    else if (!strcmp(key, "dup"))
        s->dup = v / 100;
    else if (!strcmp(key, "rate"))
        s->rate = v * 1e6;
    else if (!strcmp(key, "queue"))
        s->queue = v / 1e3;
    else if (!strcmp(key, "mtu"))
        s->mtu = (int)v;
    else if (!strcmp(key, "drop"))
        s->drop = !strcmp(val, "all") ? 2 : !strcmp(val, "udp") ? 1 : 0;
    else if (!strcmp(key, "burst")) {
        const char *comma = strchr(val, ',');
        s->bad_in = v / 100;
        s->bad_out = comma ? atof(comma + 1) / 100 : 0.25;
    } else
        return 0;
    return 1;
}

static int apply(struct direction *d, char *word)
{
    char *eq = strchr(word, '=');
    if (!eq)
        return 0;
    *eq = 0;
    int a = !strncmp(word, "a.", 2), b = !strncmp(word, "b.", 2), ok = 1;
    const char *key = a || b ? word + 2 : word;
    if (!b)
        ok &= apply_one(&d[0].set, key, eq + 1);
    if (!a)
        ok &= apply_one(&d[1].set, key, eq + 1);
    return ok;
}

static void stats(struct direction *d)
{
    printf("{");
    for (int i = 0; i < 2; i++) {
        struct counters *c = &d[i].n;
        printf("%s\"%c\": {\"in\": %lu, \"out\": %lu, \"bytes\": %lu, \"large\": %lu, \"lost\": %lu, \"dropped\": %lu,"
               " \"tail\": %lu, \"too_big\": %lu, \"duplicated\": %lu, \"no_slot\": %lu, \"send_error\": %lu, \"held\": %d}",
               i ? ", " : "", "ab"[i], c->in, c->out, c->bytes, c->large, c->lost, c->dropped, c->tail, c->too_big,
               c->duplicated, c->no_slot, c->send_error, d[i].held);
    }
    printf("}\n");
    fflush(stdout);
}

static void command(struct direction *d, char *line)
{
    char *save = NULL;
    for (char *w = strtok_r(line, " \t\r\n", &save); w; w = strtok_r(NULL, " \t\r\n", &save)) {
        if (!strcmp(w, "stats"))
            stats(d);
        else if (!strcmp(w, "quit"))
            stopping = 1;
        else if (!apply(d, w))
            fprintf(stderr, "impair: unknown setting %s\n", w);
    }
}

int main(int argc, char **argv)
{
    static struct direction d[2];
    double seconds = 600;

    if (argc < 3) {
        fprintf(stderr, "usage: impair IF_A IF_B [for=SECONDS] [seed=N] [SETTING ...]\n");
        return 2;
    }
    rng = 0x9e3779b97f4a7c15ULL;
    int fa = open_if(argv[1]), fb = open_if(argv[2]);
    for (int i = 0; i < 2; i++) {
        d[i].in = i ? fb : fa;
        d[i].out = i ? fa : fb;
        d[i].set.queue = 0.05;
        d[i].pool = calloc(SLOTS, sizeof *d[i].pool);
        d[i].idle = calloc(SLOTS, sizeof *d[i].idle);
        d[i].heap = calloc(SLOTS, sizeof *d[i].heap);
        if (!d[i].pool || !d[i].idle || !d[i].heap)
            return 1;
        for (int k = 0; k < SLOTS; k++)
            d[i].idle[k] = &d[i].pool[k];
        d[i].spare = SLOTS;
    }
    for (int i = 3; i < argc; i++) {
        if (!strncmp(argv[i], "for=", 4))
            seconds = atof(argv[i] + 4);
        else if (!strncmp(argv[i], "seed=", 5))
            rng ^= strtoull(argv[i] + 5, NULL, 10) * 0x2545f4914f6cdd1dULL + 1;
        else if (!apply(d, argv[i])) {
            fprintf(stderr, "impair: unknown setting %s\n", argv[i]);
            return 2;
        }
    }
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    prctl(PR_SET_TIMERSLACK, 1000UL);
    /* A wire does not wait for a processor. */
    setpriority(PRIO_PROCESS, 0, -15);
    printf("ready\n");
    fflush(stdout);
    struct pollfd p[3] = {{fa, POLLIN, 0}, {fb, POLLIN, 0}, {0, POLLIN, 0}};
    char line[512];
    size_t have = 0;
    for (double end = now() + seconds; !stopping;) {
        double t = now(), wake = end;
        if (t >= end)
            break;
        for (int i = 0; i < 2; i++) {
            release(&d[i], t);
            if (d[i].held && d[i].heap[0]->due < wake)
                wake = d[i].heap[0]->due;
        }
        double w = wake - now();
        if (w < 0)
            w = 0;
        struct timespec ts = {(time_t)w, (long)((w - floor(w)) * 1e9)};
        if (ppoll(p, 3, &ts, NULL) <= 0)
            continue;
        if (p[0].revents)
            take(&d[0]);
        if (p[1].revents)
            take(&d[1]);
        if (p[2].revents) {
            ssize_t n = read(0, line + have, sizeof line - 1 - have);
            if (n <= 0) {
                p[2].fd = -1;
                continue;
            }
            have += n;
            line[have] = 0;
            char *nl;
            while ((nl = strchr(line, '\n'))) {
                *nl = 0;
                command(d, line);
                have -= nl + 1 - line;
                memmove(line, nl + 1, have + 1);
            }
            if (have == sizeof line - 1)
                have = 0;
        }
    }
    stats(d);
    return 0;
}
