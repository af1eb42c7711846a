/* What router builds have in place of parts of zig's C library, which is built for size. Linked into each of them by the compiler that
 * toolchain.sh makes.
 *
 * memcpy, memmove and memset go a word at a time: zig's go byte by byte, six instructions for each on MIPS. memcmp is left to it: what
 * is compared is short. pthread_setname_np names the calling thread, which is all that Rust asks for: the other one can name any, and
 * brings printf with it for that. */
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>

typedef uintptr_t word __attribute__((may_alias));
/* At any address: MIPS has a pair of instructions for that, others load it as it is. */
typedef struct { word value; } __attribute__((packed, may_alias)) loose;

enum { WORD = sizeof(word), BLOCK = 4 * WORD };

/* Upwards: what lies above the place that is written was read, or is read later. */
static inline void copy_up(unsigned char *to, const unsigned char *from, size_t n)
{
    if (n >= BLOCK) {
        for (; (uintptr_t)to % WORD; n--)
            *to++ = *from++;
        if ((uintptr_t)from % WORD == 0)
            for (; n >= BLOCK; n -= BLOCK, to += BLOCK, from += BLOCK) {
                const word *f = (const word *)from;
                word *t = (word *)to, a = f[0], b = f[1], c = f[2], d = f[3];
                t[0] = a, t[1] = b, t[2] = c, t[3] = d;
            }
        else
            for (; n >= BLOCK; n -= BLOCK, to += BLOCK, from += BLOCK) {
                const loose *f = (const loose *)from;
                word *t = (word *)to, a = f[0].value, b = f[1].value, c = f[2].value, d = f[3].value;
                t[0] = a, t[1] = b, t[2] = c, t[3] = d;
            }
        for (; n >= WORD; n -= WORD, to += WORD, from += WORD)
            *(word *)to = ((const loose *)from)->value;
    }
    for (; n; n--)
        *to++ = *from++;
}

/* The same from the ends. */
static inline void copy_down(unsigned char *to, const unsigned char *from, size_t n)
{
    to += n, from += n;
    if (n >= BLOCK) {
        for (; (uintptr_t)to % WORD; n--)
            *--to = *--from;
        for (; n >= WORD; n -= WORD) {
            to -= WORD, from -= WORD;
            *(word *)to = ((const loose *)from)->value;
        }
    }
    for (; n; n--)
        *--to = *--from;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    copy_up(to, from, n);
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    if ((uintptr_t)to - (uintptr_t)from >= n)
        copy_up(to, from, n);
    else
        copy_down(to, from, n);
    return to;
}

void *memset(void *to, int byte, size_t n)
{
    unsigned char *t = to;
    if (n >= BLOCK) {
        const word all = (word)-1 / 255 * (unsigned char)byte;
        for (; (uintptr_t)t % WORD; n--)
            *t++ = (unsigned char)byte;
        for (; n >= BLOCK; n -= BLOCK, t += BLOCK) {
            word *w = (word *)t;
            w[0] = all, w[1] = all, w[2] = all, w[3] = all;
        }
    }
    for (; n; n--)
        *t++ = (unsigned char)byte;
    return to;
}

int pthread_setname_np(unsigned long self, const char *name)
{
    (void)self;
    return prctl(PR_SET_NAME, (unsigned long)name, 0ul, 0ul, 0ul);
}
