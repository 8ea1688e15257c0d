/* Powers and combs modulo n^2, for eight numbers at once or for one alone, in limbs of 52 bits (AVX-512 IFMA). `kernel.py`
   loads and tests what comes out of this; nothing depends on its being there (docs/adr/0011).

   A number is a + n b with two digits below n (1 + 1/4). Its product with c + n d is a c + n (a d + b c), and Montgomery's
   reduction gives a c = r R - m n, so that the product over R is r + n (a d + b c - m) / R: only products of |n| bits, half
   the work of Montgomery modulo n^2. Lane j of every vector belongs to number j, where there are eight. How long it
   takes depends on lengths, but for one number alone also on carries; which table entries are read depends on exponents. */

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 8
#define MOST 80   /* limbs of n, a multiple of 4: 4,160 bits */
#define WINDOW 6  /* bits of an exponent that are looked up at once */
#define TARGET __attribute__((target("avx512f,avx512ifma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define LO _mm512_madd52lo_epu64
#define HI _mm512_madd52hi_epu64
#define ADD _mm512_add_epi64

typedef __m512i V;
static const uint64_t MASK = (1ULL << 52) - 1;

typedef struct {
    V n[MOST + 4]; /* zeros above */
    V turn[MOST];  /* (1 - R) mod n, what makes the complement of m a -m */
    V inverse;     /* -1 / n mod 2^52 */
} Modulus;

/* Carry the columns of x, doubled if `twice`. */
INLINE void carried(V *x, int limbs, int twice) {
    const V mask = _mm512_set1_epi64(MASK);
    V carry = _mm512_setzero_si512();
    for (int i = 0; i < limbs; i++) {
        const V all = ADD(twice ? ADD(x[i], x[i]) : x[i], carry);
        x[i] = _mm512_and_si512(all, mask), carry = _mm512_srli_epi64(all, 52);
    }
}

/* --- one product ---------------------------------------------------------------------------------------------- */

/* t[0 .. L + 3] += (a[0] .. a[3]) * b; columns are not carried. Halves in sums of their own: no chain is longer than the
   loop. */
INLINE void four_rows(V *t, const V *a, const V *b, int L) {
    const V zero = _mm512_setzero_si512();
    V l0 = t[0], l1 = t[1], l2 = t[2], l3 = t[3], h0 = zero, h1 = zero, h2 = zero, h3 = zero;
    for (int j = 0; j < L; j++) {
        V x = b[j], h4 = HI(zero, a[3], x);
        l0 = LO(l0, a[0], x), h1 = HI(h1, a[0], x);
        l1 = LO(l1, a[1], x), h2 = HI(h2, a[1], x);
        l2 = LO(l2, a[2], x), h3 = HI(h3, a[2], x);
        l3 = LO(l3, a[3], x);
        t[j] = ADD(l0, h0);
        l0 = l1, l1 = l2, l2 = l3, l3 = t[j + 4];
        h0 = h1, h1 = h2, h2 = h3, h3 = h4;
    }
    t[L] = ADD(l0, h0), t[L + 1] = ADD(l1, h1), t[L + 2] = ADD(l2, h2), t[L + 3] = ADD(l3, h3);
}

/* t += a * b. A column takes up to 6 L halves of 52 bits before it is carried: 61 bits. */
INLINE void times(V *t, const V *a, const V *b, int L) {
    for (int i = 0; i < L; i += 4) {
        const V four[4] = {a[i], a[i + 1], a[i + 2], a[i + 3]};
        four_rows(t + i, four, b, L);
    }
}

/* r = (t + m n) / R, with the limbs of m; t is used up. */
INLINE void reduced(V *r, V *m, V *t, const Modulus *M, int L) {
    const V zero = _mm512_setzero_si512(), *n = M->n;
    for (int i = 0; i < L; i += 4) {
        V *s = t + i, *q = m + i;
        for (int k = 0; k < 4; k++) {
            V low = s[k];
            for (int e = 0; e < k; e++) low = HI(LO(low, q[e], n[k - e]), q[e], n[k - e - 1]);
            q[k] = LO(zero, low, M->inverse);
            s[k + 1] = ADD(s[k + 1], _mm512_srli_epi64(LO(low, q[k], n[0]), 52));
        }
        const V q0 = q[0], q1 = q[1], q2 = q[2], q3 = q[3];
        V x0 = n[0], x1 = n[1], x2 = n[2], x3 = n[3];
        for (int j = 0; j < L; j++) {
            const V x4 = n[j + 4];
            const V l = LO(LO(s[j + 4], q0, x4), q2, x2), l_too = LO(LO(zero, q1, x3), q3, x1);
            const V h = HI(HI(zero, q0, x3), q2, x1), h_too = HI(HI(zero, q1, x2), q3, x0);
            s[j + 4] = ADD(ADD(l, l_too), ADD(h, h_too));
            x0 = x1, x1 = x2, x2 = x3, x3 = x4;
        }
    }
    memcpy(r, t + L, L * sizeof(V));
    carried(r, L, 0);
}

/* (a, b) = (a + n b) (c + n d) / R. Without d it is zero; a square has c = a. */
INLINE void multiply(V *a, V *b, const V *c, const V *d, const Modulus *M, int L, int square) {
    V t[2 * MOST + 4], m[MOST], r[MOST], twice[MOST];
    const V mask = _mm512_set1_epi64(MASK), zero = _mm512_setzero_si512();
    for (int i = 0; i < 2 * L + 4; i++) t[i] = zero;
    times(t, a, c, L);
    reduced(r, m, t, M, L);
    for (int i = 0; i < L; i++) t[i] = ADD(_mm512_sub_epi64(mask, m[i]), M->turn[i]);
    for (int i = L; i < 2 * L + 4; i++) t[i] = zero;
    if (square) {
        memcpy(twice, a, L * sizeof(V));
        carried(twice, L, 1);
        times(t, twice, b, L);
    } else {
        times(t, c, b, L);
        if (d) times(t, a, d, L);
    }
    reduced(b, m, t, M, L);
    memcpy(a, r, L * sizeof(V));
}

/* --- in and out ------------------------------------------------------------------------------------------------ */

static uint64_t limb(const uint8_t *bytes, int i) { /* reads up to 2 bytes beyond the digit */
    uint64_t word;
    memcpy(&word, bytes + (52 * i >> 3), 8);
    return word >> (52 * i & 7) & MASK;
}

static size_t width(int L) { return (size_t)L * 52 / 8; }

INLINE void spread(V *to, const uint8_t *digit, int L) { /* the same in all lanes */
    for (int i = 0; i < L; i++) to[i] = _mm512_set1_epi64(limb(digit, i));
}

/* Read digit `place` of `count` numbers of `digits` digits each; lanes that are left over are zero. */
INLINE void gathered(V *to, const uint8_t *numbers, int digits, int place, int count, int L) {
    uint64_t *cell = (uint64_t *)to;
    for (int i = 0; i < L; i++)
        for (int j = 0; j < LANES; j++)
            cell[i * LANES + j] = j < count ? limb(numbers + (j * digits + place) * width(L), i) : 0;
}

/* Write `limbs` limbs of each lane, `size` bytes a number, the bytes zero before. */
static void scattered(uint8_t *numbers, size_t stride, const V *from, int count, int limbs) {
    const uint64_t *cell = (const uint64_t *)from;
    for (int j = 0; j < count; j++)
        for (int i = 0; i < limbs; i++) {
            const uint64_t part = cell[i * LANES + j] << (52 * i & 7);
            uint8_t *at = numbers + j * stride + (52 * i >> 3);
            for (int k = 0; k < 7; k++) at[k] |= (uint8_t)(part >> 8 * k);
        }
}

INLINE void modulus(Modulus *M, const uint8_t *n, const uint8_t *turn, uint64_t inverse, int L) {
    spread(M->n, n, L), spread(M->turn, turn, L);
    for (int i = L; i < L + 4; i++) M->n[i] = _mm512_setzero_si512();
    M->inverse = _mm512_set1_epi64(inverse);
}

/* --- powers ---------------------------------------------------------------------------------------------------- */

INLINE void powers_in(const Modulus *M, const V *into, const uint8_t *bases, const uint8_t *windows, long steps, long count,
                      uint8_t *out, V *table, int L) {
    const V lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), zero = _mm512_setzero_si512();
    V a[MOST], b[MOST], c[MOST], d[MOST], one[MOST];
    for (int i = 0; i < L; i++) one[i] = i ? zero : _mm512_set1_epi64(1);
    for (long at = 0; at < count; at += LANES) {
        const int some = count - at < LANES ? (int)(count - at) : LANES;
        /* table[k] = base^k R */
        memcpy(a, one, L * sizeof(V));
        for (int i = 0; i < L; i++) b[i] = zero;
        multiply(a, b, into, into + L, M, L, 0);
        memcpy(table, a, L * sizeof(V)), memcpy(table + L, b, L * sizeof(V));
        gathered(c, bases + at * 2 * width(L), 2, 0, some, L);
        gathered(d, bases + at * 2 * width(L), 2, 1, some, L);
        multiply(c, d, into, into + L, M, L, 0);
        for (int k = 1; k < 1 << WINDOW; k++) {
            multiply(a, b, c, d, M, L, 0);
            memcpy(table + 2 * L * k, a, L * sizeof(V)), memcpy(table + 2 * L * k + L, b, L * sizeof(V));
        }
        for (long step = 0; step < steps; step++) {
            uint64_t entry[LANES];
            for (int j = 0; j < LANES; j++)
                entry[j] = j < some ? (uint64_t)windows[(at + j) * steps + step] * 2 * L * LANES : 0;
            const V from = ADD(_mm512_loadu_si512(entry), lane);
            V *x = step ? c : a, *y = step ? d : b;
            for (int i = 0; i < L; i++) {
                x[i] = _mm512_i64gather_epi64(from, (const long long *)(table + i), 8);
                y[i] = _mm512_i64gather_epi64(from, (const long long *)(table + L + i), 8);
            }
            if (!step) continue;
            for (int k = 0; k < WINDOW; k++) multiply(a, b, a, NULL, M, L, 1);
            multiply(a, b, c, d, M, L, 0);
        }
        multiply(a, b, one, NULL, M, L, 0);
        scattered(out + at * 2 * width(L), 2 * width(L), a, some, L);
        scattered(out + at * 2 * width(L) + width(L), 2 * width(L), b, some, L);
    }
}

/* --- a comb ---------------------------------------------------------------------------------------------------- */

INLINE void comb_in(const Modulus *M, const V *home, const uint64_t *xs, const uint64_t *us, const int32_t *places,
                    long columns, long blocks, long count, uint8_t *out, uint8_t *sums, int L) {
    const V zero = _mm512_setzero_si512();
    const size_t size = width(L) + 16;
    V a[MOST], b[MOST], c[MOST], u[MOST + 2];
    for (long at = 0; at < count; at += LANES) {
        const int some = count - at < LANES ? (int)(count - at) : LANES;
        for (int i = 0; i < L; i++) a[i] = b[i] = u[i] = zero;
        a[0] = _mm512_set1_epi64(1), u[L] = u[L + 1] = zero;
        for (long column = 0; column < columns; column++) {
            if (column) {
                multiply(a, b, a, NULL, M, L, 1);
                carried(u, L + 2, 1);
            }
            for (long block = 0; block < blocks; block++) {
                uint64_t entry[LANES];
                for (int j = 0; j < LANES; j++)
                    entry[j] = (uint64_t)places[((at + (j < some ? j : 0)) * columns + column) * blocks + block] * L;
                const V from = _mm512_loadu_si512(entry);
                for (int i = 0; i < L; i++) {
                    c[i] = _mm512_i64gather_epi64(from, (const long long *)(xs + i), 8);
                    u[i] = ADD(u[i], _mm512_i64gather_epi64(from, (const long long *)(us + i), 8));
                }
                multiply(a, b, c, NULL, M, L, 0);
            }
        }
        multiply(a, b, home, home + L, M, L, 0);
        carried(u, L + 2, 0);
        scattered(out + at * 2 * width(L), 2 * width(L), a, some, L);
        scattered(out + at * 2 * width(L) + width(L), 2 * width(L), b, some, L);
        scattered(sums + at * size, size, u, some, L + 2);
    }
}

/* --- one power ------------------------------------------------------------------------------------------------- */

/* Here the limbs of one number lie side by side: limb i in lane i % 8 of vector i / 8, K vectors a digit. */
typedef struct {
    uint64_t n[MOST], turn[MOST], a[MOST], b[MOST], c[MOST], d[MOST], twice[MOST], home[2 * MOST];
    uint64_t inverse;
} Alone;

INLINE V at(const uint64_t *limbs, int k) { return _mm512_load_si512(limbs + 8 * k); }

INLINE uint64_t first(V x) { return _mm_cvtsi128_si64(_mm512_castsi512_si128(x)); }

/* Carry until every limb has 52 bits, and write them. */
INLINE void settled(uint64_t *to, V *x, int K) {
    const V mask = _mm512_set1_epi64(MASK);
    V carry[MOST / 8], any;
    for (;;) {
        any = _mm512_setzero_si512();
        for (int k = 0; k < K; k++) {
            carry[k] = _mm512_srli_epi64(x[k], 52), x[k] = _mm512_and_si512(x[k], mask);
            any = _mm512_or_si512(any, carry[k]);
        }
        if (!_mm512_test_epi64_mask(any, any)) break;
        for (int k = K - 1; k > 0; k--) x[k] = ADD(x[k], _mm512_alignr_epi64(carry[k], carry[k - 1], 7));
        x[0] = ADD(x[0], _mm512_alignr_epi64(carry[0], _mm512_setzero_si512(), 7));
    }
    for (int k = 0; k < K; k++) _mm512_store_si512(to + 8 * k, x[k]);
}

/* x = (x + low + m n) / 2^52 with the m that makes it whole; low is added to the lowest limb. Return m. Before and after
   the division come the halves of what is multiplied, p[.] q and r[.] s (r may be absent). */
INLINE uint64_t step(V *x, uint64_t low, const uint64_t *p, uint64_t q, const uint64_t *r, uint64_t s, const Alone *w, int K) {
    const V by_q = _mm512_set1_epi64(q), by_s = _mm512_set1_epi64(s);
#pragma GCC unroll 10
    for (int k = 0; k < K; k++) {
        x[k] = LO(x[k], at(p, k), by_q);
        if (r) x[k] = LO(x[k], at(r, k), by_s);
    }
    const uint64_t lowest = first(x[0]) + low, m = lowest * w->inverse & MASK;
    const uint64_t carry = (lowest + (w->n[0] * m & MASK)) >> 52;
    const V by_m = _mm512_set1_epi64(m);
#pragma GCC unroll 10
    for (int k = 0; k < K; k++) x[k] = LO(x[k], at(w->n, k), by_m);
#pragma GCC unroll 10
    for (int k = 0; k < K; k++)
        x[k] = _mm512_alignr_epi64(k + 1 < K ? x[k + 1] : _mm512_setzero_si512(), x[k], 1);
    x[0] = ADD(x[0], _mm512_zextsi128_si512(_mm_cvtsi64_si128(carry)));
#pragma GCC unroll 10
    for (int k = 0; k < K; k++) {
        x[k] = HI(HI(x[k], at(p, k), by_q), at(w->n, k), by_m);
        if (r) x[k] = HI(x[k], at(r, k), by_s);
    }
    return m;
}

/* (a, b) = (a + n b) (c + n d) / R, and a square where c is absent; the second digit follows the first by one step. */
INLINE void multiply_one(Alone *w, const uint64_t *c, const uint64_t *d, int L, int K) {
    V x[MOST / 8], y[MOST / 8];
    for (int k = 0; k < K; k++) x[k] = y[k] = _mm512_setzero_si512();
    if (!c) {
        for (int k = 0; k < K; k++) y[k] = ADD(at(w->a, k), at(w->a, k));
        settled(w->twice, y, K);
        for (int k = 0; k < K; k++) y[k] = _mm512_setzero_si512();
    }
    for (int i = 0; i < L; i++) {
        const uint64_t m = step(x, 0, w->a, c ? c[i] : w->a[i], NULL, 0, w, K);
        const uint64_t low = MASK - m + w->turn[i];
        if (c) step(y, low, w->b, c[i], w->a, d[i], w, K);
        else step(y, low, w->twice, w->b[i], NULL, 0, w, K);
    }
    settled(w->a, x, K), settled(w->b, y, K);
}

INLINE void read_limbs(uint64_t *to, const uint8_t *digit, int L) {
    for (int i = 0; i < L; i++) to[i] = limb(digit, i);
}

INLINE void write_limbs(uint8_t *digit, const uint64_t *from, int L) {
    for (int i = 0; i < L; i++) {
        const uint64_t part = from[i] << (52 * i & 7);
        for (int k = 0; k < 7; k++) digit[(52 * i >> 3) + k] |= (uint8_t)(part >> 8 * k);
    }
}

INLINE void power_in(Alone *w, const uint8_t *base, const uint8_t *windows, long steps, uint8_t *out, uint64_t *table, int L) {
    const int K = (L + 7) / 8, digit = 8 * K;
    const size_t size = digit * sizeof(uint64_t);
    w->a[0] = 1;
    multiply_one(w, w->home, w->home + MOST, L, K);
    memcpy(table, w->a, size), memcpy(table + digit, w->b, size);
    read_limbs(w->a, base, L), read_limbs(w->b, base + width(L), L);
    multiply_one(w, w->home, w->home + MOST, L, K);
    for (int k = 1;; k++) {
        memcpy(table + 2 * digit * k, w->a, size), memcpy(table + 2 * digit * k + digit, w->b, size);
        if (k == (1 << WINDOW) - 1) break;
        multiply_one(w, table + 2 * digit, table + 3 * digit, L, K);
    }
    memcpy(w->a, table + 2 * digit * windows[0], size), memcpy(w->b, table + 2 * digit * windows[0] + digit, size);
    for (long s = 1; s < steps; s++) {
        const uint64_t *by = table + 2 * digit * windows[s];
        for (int k = 0; k < WINDOW; k++) multiply_one(w, NULL, NULL, L, K);
        multiply_one(w, by, by + digit, L, K);
    }
    memset(w->c, 0, size), memset(w->d, 0, size), w->c[0] = 1;
    multiply_one(w, w->c, w->d, L, K);
    write_limbs(out, w->a, L), write_limbs(out + width(L), w->b, L);
}

/* --- what is called -------------------------------------------------------------------------------------------- */

/* Lengths that keys have get code of their own, all others one for all. */
#define OF_LENGTH(call)                  \
    switch (L) {                         \
    case 12: call(12); break;            \
    case 20: call(20); break;            \
    case 32: call(32); break;            \
    case 40: call(40); break;            \
    case 60: call(60); break;            \
    default: call(L); break;             \
    }

/* What `kernel.py` expects; another number is another interface. */
int revision(void) { return 1; }

/* Whether this processor has what is used here. */
int usable(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma"); }

/* Every buffer of bytes ends with 8 that may be read. Digits have 52 L / 8 bytes, lowest first; those that come out lie
   in [0, 5/4 n). Return 0, or 1 for lengths that are not for this, or without memory. */

/* out = bases^windows: `count` numbers of two digits, `steps` windows of 6 bits each, highest first. `into` is R^2. */
TARGET int powers(const uint8_t *n, const uint8_t *turn, uint64_t inverse, int L, const uint8_t *into,
                  const uint8_t *bases, const uint8_t *windows, long steps, long count, uint8_t *out) {
    if (L < 4 || L % 4 || L > MOST || steps < 1) return 1;
    Modulus *M = aligned_alloc(64, sizeof(Modulus));
    V *table = aligned_alloc(64, ((2 * L << WINDOW) + 2 * L) * sizeof(V));
    if (M && table) {
        V *to_R = table + (2 * L << WINDOW);
        modulus(M, n, turn, inverse, L);
        spread(to_R, into, L), spread(to_R + L, into + width(L), L);
#define POWERS(l) powers_in(M, to_R, bases, windows, steps, count, out, table, l)
        OF_LENGTH(POWERS)
    }
    const int failed = !M || !table;
    free(M), free(table);
    return failed;
}

/* out = base^windows for one number, in a time of its own: what `powers` does, an eighth as long for one. */
TARGET int power(const uint8_t *n, const uint8_t *turn, uint64_t inverse, int L, const uint8_t *into, const uint8_t *base,
                 const uint8_t *windows, long steps, uint8_t *out) {
    if (L < 4 || L % 4 || L > MOST || steps < 1) return 1;
    Alone *w = aligned_alloc(64, (sizeof(Alone) + 63) / 64 * 64);
    uint64_t *table = aligned_alloc(64, (size_t)(2 * ((L + 7) / 8 * 8) << WINDOW) * sizeof(uint64_t));
    if (w && table) {
        memset(w, 0, sizeof(Alone));
        read_limbs(w->n, n, L), read_limbs(w->turn, turn, L), w->inverse = inverse;
        read_limbs(w->home, into, L), read_limbs(w->home + MOST, into + width(L), L);
#define POWER(l) power_in(w, base, windows, steps, out, table, l)
        OF_LENGTH(POWER)
    }
    const int failed = !w || !table;
    free(w), free(table);
    return failed;
}

/* cells[e * L + i] = limb i of digit e */
void limbs(const uint8_t *digits, long count, int L, uint64_t *cells) {
    for (long e = 0; e < count; e++)
        for (int i = 0; i < L; i++) cells[e * L + i] = limb(digits + e * width(L), i);
}

/* out = the product of the entries at `places` (count, columns, blocks), a square between two columns, times `home`,
   which takes all factors of 1 / R off; sums = the sum of what stands at these places in `us`, likewise doubled. */
TARGET int comb(const uint8_t *n, const uint8_t *turn, uint64_t inverse, int L, const uint8_t *home, const uint64_t *xs,
                const uint64_t *us, const int32_t *places, long columns, long blocks, long count, uint8_t *out,
                uint8_t *sums) {
    if (L < 4 || L % 4 || L > MOST || blocks > 1 << 9 || columns > 96) return 1;
    Modulus *M = aligned_alloc(64, sizeof(Modulus));
    V *back = aligned_alloc(64, 2 * L * sizeof(V));
    if (M && back) {
        modulus(M, n, turn, inverse, L);
        spread(back, home, L), spread(back + L, home + width(L), L);
#define COMB(l) comb_in(M, back, xs, us, places, columns, blocks, count, out, sums, l)
        OF_LENGTH(COMB)
    }
    const int failed = !M || !back;
    free(M), free(back);
    return failed;
}
