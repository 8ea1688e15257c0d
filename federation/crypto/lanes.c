/* Entries of a vector into lanes of words and back, each in one pass over memory. `lanes.py` loads and tests what comes out
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

INLINE Seen filled(const void *restrict in, int wide, int lanes, long count, Rule r, void *restrict out) {
    Seen s = {0, 0, 0};
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

INLINE double placed(uint64_t q, int lanes, double middle, double steps) {
    const double low = 4503599627370496.0, high = 19342813113834066795298816.0; /* 2^52, 2^84 */
    if (lanes > 1) return (of_bits(q | bits(low)) - low - middle) / steps;
    const double above = of_bits(q >> 32 | bits(high)), below = of_bits((q & UINT32_MAX) | bits(low));
    return (above - (high + low) + below - middle) / steps; /* exact below 2^53 */
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
        out[i] = (float)placed(q, lanes, middle, steps);                                                                        \
    }                                                                                                                    \
    h.low = least, h.high = most

INLINE Held held_in(const void *restrict in, int lanes, long count, double middle, double steps, F32 *restrict out) {
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
            out[3 * w] = (float)placed(a, 3, middle, steps);
            out[3 * w + 1] = (float)placed(b, 3, middle, steps);
            out[3 * w + 2] = (float)placed(c, 3, middle, steps);
        }
        if (count % 3) h.beyond |= from[count / 3] >> 63;
        for (long i = count / 3 * 3; i < count; i++) {
            const uint64_t q = from[i / 3] >> 21 * (i % 3) & mask;
            see(&h, q);
            out[i] = (float)placed(q, 3, middle, steps);
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

#define CASES(f, ...) (lanes == 1 ? f(1, __VA_ARGS__) : lanes == 2 ? f(2, __VA_ARGS__) : lanes == 3 ? f(3, __VA_ARGS__) : f(4, __VA_ARGS__))
#define INTO(n, w) filled(in, w, n, count, r, out)
#define FROM(n, o) held_in(in, n, count, middle, steps, o)

#define VARIANT(name, target)                                                                                            \
    target static Seen fill_##name(FILL) { return wide ? CASES(INTO, 1) : CASES(INTO, 0); }                              \
    target static Held read_##name(READ) { return CASES(FROM, out); }

VARIANT(plain, )
#if defined(__x86_64__)
VARIANT(avx2, __attribute__((target("avx2"))))
VARIANT(avx512, __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl"))))
#define PICK(f)                                                                                                          \
    (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")      \
         ? f##_avx512                                                                                                    \
     : __builtin_cpu_supports("avx2") ? f##_avx2                                                                         \
                                      : f##_plain)
#else
#define PICK(f) f##_plain
#endif

/* --- what lanes.py calls ----------------------------------------------------------------------------------------- */

int revision(void) { return 2; }

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
