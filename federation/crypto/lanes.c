/* Entries of a vector into lanes of words, or of pairs of words, and back, each in one pass over memory. `lanes.py` loads and tests what comes out
   of this; nothing depends on its being there (docs/adr/0017). What is computed is said in encoding.py, to the bit, so no
   product may be fused with a sum, and no sum of float64 be taken in another order. Nothing here compares or branches on an
   entry: what takes long does not depend on them, and compilers make vectors of it for any processor.

   Words are read and written as they lie in memory: on a machine that is not little-endian the test refuses it. */

#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__)
#error "not with -ffast-math"
#endif
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define ANYWHERE __attribute__((aligned(1), may_alias)) /* a chunk may begin at any byte of a message */
#else
#error "needs a compiler that knows GNU attributes"
#endif

typedef float F32 ANYWHERE;
typedef double F64 ANYWHERE;
typedef uint16_t U16 ANYWHERE;
typedef uint32_t U32 ANYWHERE;
typedef uint64_t U64 ANYWHERE;
typedef unsigned __int128 Pair;

enum { TOGETHER = 64 }; /* pairs of words whose numbers are worked on at once, as a row of integers */

/* What an entry goes through on its way into a lane. */
typedef struct {
    double shrink, clip, factor, middle;
} Rule;

/* What was seen on the way. */
typedef struct {
    uint64_t sum, cut, bad; /* bad: 0 if all were finite */
} Seen;

/* What a run of lanes holds, apart from its numbers. */
typedef struct {
    uint64_t sum, low, high, spare, beyond; /* of lanes that hold no entry: the greatest; bits above all lanes */
} Held;

INLINE uint64_t bits(double x) {
    uint64_t word;
    memcpy(&word, &x, 8);
    return word;
}

INLINE double of_bits(uint64_t word) {
    double x;
    memcpy(&x, &word, 8);
    return x;
}

/* --- encode ---------------------------------------------------------------------------------------------------- */

INLINE uint64_t number(double x, Rule r, Seen *seen) {
    const double ties = 6755399441055744.0; /* 1.5 * 2^52: what is added to it is rounded, ties to even */
    const double y = x * r.shrink;
    seen->bad |= bits(x - x);                               /* 0, or not a number */
    seen->cut += bits(r.clip - __builtin_fabs(y)) >> 63;    /* the sign */
    const double below = y > r.clip ? r.clip : y, z = below < -r.clip ? -r.clip : below;
    const double product = z * r.factor, place = product + r.middle;
    const uint64_t q = bits(place + ties) - bits(ties);
    seen->sum += q;
    return q;
}

#define EACH(TYPE)                                                                                                       \
    TYPE *to = out;                                                                                                      \
    if (wide) for (long i = 0; i < count; i++) to[i] = (TYPE)number(((const F64 *)in)[i], r, &s);                         \
    else for (long i = 0; i < count; i++) to[i] = (TYPE)number(((const F32 *)in)[i], r, &s)

INLINE double entry(const void *in, int wide, long i) { return wide ? ((const F64 *)in)[i] : ((const F32 *)in)[i]; }

INLINE Pair pair(const uint32_t *q, int lanes) {
    Pair all = 0;
    for (int lane = 0; lane < lanes; lane++) all |= (Pair)q[lane] << 128 / lanes * lane;
    return all;
}

/* Five lanes of four pairs at once: two or three times as fast as one pair after another, where registers are as wide.
   Words are low, high, low, high ...: LH gives both kinds their constant. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define ROWS 1
typedef uint32_t Row __attribute__((vector_size(64), aligned(4), may_alias)); /* 16 of the 20 numbers */
typedef uint64_t Four __attribute__((vector_size(64), aligned(1), may_alias));
#define LH(low, high) ((Four){low, high, low, high, low, high, low, high})
#define AT(entry) ((entry) < 16 ? (entry) : (entry) + 12) /* in two rows, of which the second begins at entry 4 */
#define PAIR_OF(p, low, high) AT(5 * p + low), 0, AT(5 * p + high), 0
#define SPREAD(first, second, low, high)                                                                                 \
    (LH(UINT32_MAX, UINT32_MAX)                                                                                          \
     & (Four)__builtin_shufflevector(first, second, PAIR_OF(0, low, high), PAIR_OF(1, low, high), PAIR_OF(2, low, high), \
                                     PAIR_OF(3, low, high)))

INLINE void four_filled(const uint32_t *q, U64 *to) {
    const Row first = *(const Row *)q, second = *(const Row *)(q + 4);
    const Four a = SPREAD(first, second, 0, 2), b = SPREAD(first, second, 1, 3), c = SPREAD(first, second, 2, 4);
    *(Four *)to = a >> LH(0, 14) | b << LH(25, 11) | c << LH(50, 36);
}

INLINE uint64_t four_read(const U64 *from, uint32_t *q) { /* returns the bits beyond the lanes */
    const Four words = *(const Four *)from, mask = LH((1 << 25) - 1, (1 << 25) - 1);
    const Four other = __builtin_shufflevector(words, words, 1, 0, 3, 2, 5, 4, 7, 6);
    const Row outer = (Row)((words >> LH(0, 11) & mask) | (words >> LH(25, 36) & mask) << 32); /* of a pair: 0, 1, 3, 4 */
    const Row middle = (Row)((words >> 50 | other << 14) & mask);                              /* 2, -, -, - */
#define OUT_OF(p) 4 * p, 4 * p + 1, 16 + 4 * p, 4 * p + 2, 4 * p + 3
    *(Row *)q = __builtin_shufflevector(outer, middle, OUT_OF(0), OUT_OF(1), OUT_OF(2), 12);
    *(Row *)(q + 4) = __builtin_shufflevector(outer, middle, 3, OUT_OF(1), OUT_OF(2), OUT_OF(3));
    return (words[1] | words[3] | words[5] | words[7]) >> 61;
}
#endif
#endif
#ifndef ROWS
#define ROWS 0
INLINE void four_filled(const uint32_t *q, U64 *to) { (void)q, (void)to; }
INLINE uint64_t four_read(const U64 *from, uint32_t *q) { return (void)from, (void)q, 0; }
#endif

INLINE void fill_pairs(const void *restrict in, int wide, int lanes, long count, Rule r, U64 *restrict to, int level, Seen *s) {
    for (long i = 0; i < count; i += TOGETHER * lanes) {
        uint32_t q[TOGETHER * 9];
        Seen seen = *s;
        const long left = count - i, some = left < TOGETHER * lanes ? left : TOGETHER * lanes;
        if (wide) for (long j = 0; j < some; j++) q[j] = (uint32_t)number(((const F64 *)in)[i + j], r, &seen);
        else for (long j = 0; j < some; j++) q[j] = (uint32_t)number(((const F32 *)in)[i + j], r, &seen);
        *s = seen;
        for (long j = some; j % lanes; j++) q[j] = 0;
        long j = 0;
        if (ROWS && level > 1 && lanes == 5)
            for (; j + 20 <= some; j += 20, to += 8) four_filled(q + j, to);
        for (; j < some; j += lanes, to += 2) {
            const Pair all = pair(q + j, lanes);
            to[0] = (uint64_t)all, to[1] = (uint64_t)(all >> 64);
        }
    }
}

INLINE Seen filled(const void *restrict in, int wide, int lanes, long count, Rule r, int level, void *restrict out) {
    Seen s = {0, 0, 0};
    if (lanes > 4) {
        fill_pairs(in, wide, lanes, count, r, out, level, &s);
        return s;
    }
    if (count % lanes) ((U64 *)out)[count / lanes] = 0;
    if (lanes == 1) {
        EACH(U64);
    } else if (lanes == 2) {
        EACH(U32);
    } else if (lanes == 4) {
        EACH(U16);
    } else {
        U64 *to = out;
        for (long w = 0; w < count / 3; w++) {
            const uint64_t a = number(entry(in, wide, 3 * w), r, &s), b = number(entry(in, wide, 3 * w + 1), r, &s);
            to[w] = a | b << 21 | number(entry(in, wide, 3 * w + 2), r, &s) << 42;
        }
        for (long i = count / 3 * 3; i < count; i++) to[i / 3] |= number(entry(in, wide, i), r, &s) << 21 * (i % 3);
    }
    return s;
}

/* --- decode ---------------------------------------------------------------------------------------------------- */

/* What places are divided by. */
typedef struct {
    double middle, steps, inverse;
    int fused; /* whether processors multiply and add at once, and nothing here leaves the range of float64 */
} Scale;

INLINE Scale scaled(double middle, double steps, int level) {
    const Scale s = {middle, steps, 1 / steps, level > 0 && steps > 0x1p-400 && steps < 0x1p400};
    return s;
}

/* x / steps, rounded as a division is: Markstein's theorem, twice corrected by what a fused product tells of the rest
   (Muller et al., Handbook of Floating-Point Arithmetic, section 4.7). A division takes three times as long. */
INLINE double over(double x, Scale s, int fused) {
    if (!fused) return x / s.steps;
    const double guess = x * s.inverse;
    const double near = __builtin_fma(__builtin_fma(-guess, s.steps, x), s.inverse, guess);
    return __builtin_fma(__builtin_fma(-near, s.steps, x), s.inverse, near);
}

INLINE double placed(uint64_t q, int lanes, Scale s, int fused) {
    const double low = 4503599627370496.0, high = 19342813113834066795298816.0; /* 2^52, 2^84 */
    if (lanes > 1) return over(of_bits(q | bits(low)) - low - s.middle, s, fused);
    const double above = of_bits(q >> 32 | bits(high)), below = of_bits((q & UINT32_MAX) | bits(low));
    return over(above - (high + low) + below - s.middle, s, fused); /* exact below 2^53 */
}

INLINE void see(Held *held, uint64_t q) {
    held->sum += q;
    held->low = q < held->low ? q : held->low;
    held->high = q > held->high ? q : held->high;
}

#define ALL(TYPE)                                                                                                        \
    const TYPE *from = in;                                                                                               \
    TYPE least = (TYPE)-1, most = 0;                                                                                     \
    for (long i = 0; i < count; i++) {                                                                                   \
        const TYPE q = from[i];                                                                                          \
        h.sum += q, least = q < least ? q : least, most = q > most ? q : most;                                           \
        out[i] = (float)placed(q, lanes, s, fused);                                                                        \
    }                                                                                                                    \
    h.low = least, h.high = most

INLINE Held held_in_pairs(const U64 *restrict from, int lanes, long count, Scale s, int fused, int level, F32 *restrict out) {
    Held h = {0, UINT64_MAX, 0, 0, 0};
    const int width = 128 / lanes;
    const uint32_t mask = ((uint32_t)1 << width) - 1;
    uint32_t least = UINT32_MAX, most = 0;
    for (long i = 0; i < count; i += TOGETHER * lanes) {
        uint32_t q[TOGETHER * 9];
        const long left = count - i, some = left < TOGETHER * lanes ? left : TOGETHER * lanes;
        long k = 0;
        if (ROWS && level > 1 && lanes == 5)
            for (; k + 20 <= some; k += 20, from += 8) h.beyond |= four_read(from, q + k);
        for (; k < some; k += lanes, from += 2) {
            const Pair all = (Pair)from[1] << 64 | from[0];
            for (int lane = 0; lane < lanes; lane++) q[k + lane] = (uint32_t)(all >> width * lane) & mask;
            h.beyond |= (uint64_t)(all >> width * lanes);
        }
        for (long j = 0; j < some; j++) {
            h.sum += q[j], least = q[j] < least ? q[j] : least, most = q[j] > most ? q[j] : most;
            out[i + j] = (float)placed(q[j], lanes, s, fused);
        }
        for (long j = some; j % lanes; j++) {
            h.sum += q[j];
            h.spare = q[j] > h.spare ? q[j] : h.spare;
        }
    }
    h.low = least, h.high = most;
    return h;
}

INLINE Held held_in(const void *restrict in, int lanes, long count, Scale s, int fused, int level, F32 *restrict out) {
    if (lanes > 4) return held_in_pairs(in, lanes, count, s, fused, level, out);
    Held h = {0, UINT64_MAX, 0, 0, 0};
    const long width = 64 / lanes;
    const uint64_t mask = UINT64_MAX >> (64 - width);
    if (lanes == 1) {
        ALL(U64);
    } else if (lanes == 2) {
        ALL(U32);
    } else if (lanes == 4) {
        ALL(U16);
    } else {
        const U64 *from = in;
        for (long w = 0; w < count / 3; w++) {
            const uint64_t word = from[w], a = word & mask, b = word >> 21 & mask, c = word >> 42 & mask;
            see(&h, a), see(&h, b), see(&h, c);
            h.beyond |= word >> 63;
            out[3 * w] = (float)placed(a, 3, s, fused);
            out[3 * w + 1] = (float)placed(b, 3, s, fused);
            out[3 * w + 2] = (float)placed(c, 3, s, fused);
        }
        if (count % 3) h.beyond |= from[count / 3] >> 63;
        for (long i = count / 3 * 3; i < count; i++) {
            const uint64_t q = from[i / 3] >> 21 * (i % 3) & mask;
            see(&h, q);
            out[i] = (float)placed(q, 3, s, fused);
        }
    }
    for (long i = count; i % lanes; i++) {
        const uint64_t q = ((const U64 *)in)[i / lanes] >> width * (i % lanes) & mask;
        h.sum += q;
        h.spare = q > h.spare ? q : h.spare;
    }
    return h;
}

/* --- once for every width of vectors ----------------------------------------------------------------------------- */

#define FILL const void *in, int wide, int lanes, long count, Rule r, void *out
#define READ const void *in, int lanes, long count, double middle, double steps, float *out

#define CASES(f, ...)                                                                                                    \
    (lanes == 1   ? f(1, __VA_ARGS__)                                                                                    \
     : lanes == 2 ? f(2, __VA_ARGS__)                                                                                    \
     : lanes == 3 ? f(3, __VA_ARGS__)                                                                                    \
     : lanes == 4 ? f(4, __VA_ARGS__)                                                                                    \
     : lanes == 5 ? f(5, __VA_ARGS__)                                                                                    \
     : lanes == 7 ? f(7, __VA_ARGS__)                                                                                    \
                  : f(9, __VA_ARGS__))
#define INTO(n, w, level) filled(in, w, n, count, r, level, out)
#define FROM(n, fused, level) held_in(in, n, count, s, fused, level, out)

#define VARIANT(name, level, target)                                                                                     \
    target static Seen fill_##name(FILL) { return wide ? CASES(INTO, 1, level) : CASES(INTO, 0, level); }                \
    target static Held read_##name(READ) {                                                                               \
        const Scale s = scaled(middle, steps, level);                                                                    \
        return s.fused && level ? CASES(FROM, 1, level) : CASES(FROM, 0, level);                                         \
    }

VARIANT(plain, 0, )
#if defined(__x86_64__)
VARIANT(avx2, 1, __attribute__((target("avx2,fma"))))
VARIANT(avx512, 2, __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma"))))
#define PICK(f)                                                                                                          \
    (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")      \
         ? f##_avx512                                                                                                    \
     : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? f##_avx2                                        \
                                                                       : f##_plain)
#else
#define PICK(f) f##_plain
#endif

/* --- what lanes.py calls ----------------------------------------------------------------------------------------- */

int revision(void) { return 4; }

/* Write `count` entries, float64 if `wide` and float32 if not, into lanes; `rule` and `seen` are laid out as above. */
void encode(const void *in, int wide, int lanes, long count, const double *rule, void *out, uint64_t *seen) {
    Rule r;
    memcpy(&r, rule, sizeof r);
    const Seen s = PICK(fill)(in, wide, lanes, count, r, out);
    memcpy(seen, &s, sizeof s);
}

/* Read `count` entries out of lanes, and what the lanes after them hold in the last word; `held` is laid out as above. */
void decode(const void *in, int lanes, long count, double middle, double steps, float *out, uint64_t *held) {
    const Held h = PICK(read)(in, lanes, count, middle, steps, out);
    memcpy(held, &h, sizeof h);
}

/* Add `pairs` numbers of 128 bits to as many others, low word first, or subtract them. */
void add(void *into, const void *terms, long pairs, int minus) {
    U64 *to = into;
    const U64 *from = terms;
    if (minus) {
        for (long i = 0; i < pairs; i++, to += 2, from += 2) {
            const uint64_t low = to[0], borrow = low < from[0];
            to[0] = low - from[0];
            to[1] = to[1] - from[1] - borrow;
        }
    } else {
        for (long i = 0; i < pairs; i++, to += 2, from += 2) {
            const uint64_t low = to[0] + from[0], carry = low < from[0];
            to[0] = low;
            to[1] = to[1] + from[1] + carry;
        }
    }
}
