/* storm: Ethernet frames from made-up stations, as fast as told.
 *
 *   storm IF COUNT PER_SECOND SEED
 *
 * Each frame has a source address of its own, drawn at random, and a destination likewise; each hundredth is a broadcast.
 * Prints how many were sent, and in how many milliseconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 50
#define LENGTH 60

static uint64_t rng;

/* xorshift64* */
static uint64_t draw(void)
{
    rng ^= rng >> 12;
    rng ^= rng << 25;
    rng ^= rng >> 27;
    return rng * 2685821657736338717ULL;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void wait_until(double at)
{
    double left = at - now();
    if (left > 0) {
        struct timespec t = {(time_t)left, (long)((left - (time_t)left) * 1e9)};
        nanosleep(&t, NULL);
    }
}

/* Locally administered, so that it is nobody's. */
static void address(uint8_t *mac)
{
    uint64_t bits = draw();
    memcpy(mac, &bits, 6);
    mac[0] = (mac[0] & ~1) | 2;
}

static void fill(uint8_t *frame, long number)
{
    if (number % 100 == 0)
        memset(frame, 0xff, 6);
    else
        address(frame);
    address(frame + 6);
}

int main(int argc, char **argv)
{
    static uint8_t frames[BATCH][LENGTH];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

    if (argc != 5) {
        fprintf(stderr, "usage: storm IF COUNT PER_SECOND SEED\n");
        return 2;
    }
    long count = atol(argv[2]), sent = 0;
    double rate = atof(argv[3]);
    rng = strtoull(argv[4], NULL, 10) * 0x9e3779b97f4a7c15ULL + 1;
    int s = socket(AF_PACKET, SOCK_RAW, 0);
    to.sll_ifindex = (int)if_nametoindex(argv[1]);
    if (s < 0 || bind(s, (void *)&to, sizeof to)) {
        perror(argv[1]);
        return 1;
    }
    for (int i = 0; i < BATCH; i++) {
        /* An EtherType for experiments. */
        memcpy(frames[i] + 12, "\x88\xb5", 2);
        parts[i] = (struct iovec){frames[i], LENGTH};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    double start = now();
    while (sent < count) {
        int batch = count - sent < BATCH ? (int)(count - sent) : BATCH;
        for (int i = 0; i < batch; i++)
            fill(frames[i], sent + i);
        for (int done = 0; done < batch;) {
            int n = sendmmsg(s, messages + done, (unsigned)(batch - done), 0);
            if (n < 0) {
                perror("sendmmsg");
                return 1;
            }
            done += n;
        }
        sent += batch;
        wait_until(start + sent / rate);
    }
    printf("%ld %.0f\n", sent, (now() - start) * 1000);
    return 0;
}
