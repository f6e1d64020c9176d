/* Trains many independent trials of a small recurrent network, one trial after another.

   The networks are so small that everything a trial needs (weights, gradient, optimizer slots) stays in the
   processor's nearest caches, and that calling anything costs more than computing it. Hence this file: no
   library, no compilation for each setting, and a memory layout made for whole vectors:

   - Rows of weights are padded with zeros to whole blocks of BLOCK floats; padding never gets a gradient other than
     zero, so it stays zero.
   - Units are padded to a multiple of 4 (`units4`) and taken in blocks of BLOCK, the rest in blocks of 4.
     The columns of a kernel stand block by block, and in a block gate by gate: 20 LSTM units are the columns
     i0-7 f0-7 c0-7 o0-7, then those of 8-15, then i16-19 f16-19 c16-19 o16-19. So 4 * 20 columns need no padding, and
     yet the gates of a unit can be combined vector by vector.
   - The output layer's kernel is kept transposed, a row for each symbol.

   The same bits on every machine: a trial's result is a function of its settings and initial weights alone, whatever
   the processor, its vectors, the compiler and its level of optimization.

   - Every operation is one of IEEE 754 in single precision (few are in double), rounded to the nearest: sums,
     products, divisions, roots, and fused multiply-adds (fmaf, fma_of), which stand wherever they are meant; the
     compiler makes none of its own (-ffp-contract=off).
   - Every sum has one order. Sums over rows, steps or symbols are taken one after another (a product with the
     recurrent kernel has two, of its even and its odd rows). A scalar product of two rows is BLOCK sums, each of
     every BLOCK-th column, which are folded by halves: the first four plus the last four, then two and one.
     LANES, the width of this processor's vectors, says only how many of them are computed at once.
   - exp, tanh and log are the functions below, no library's.
   - Numbers fade gradually, as IEEE 754 has it, and no processor's flush to zero is used, since processors differ in
     what they flush. Gradients that have faded on their way back through time are set to zero below FADED.
   - A NaN is stored as the one positive quiet NaN, since processors differ in its sign.

   Matrix products, tanh with what it is for, and optimizers are written with GCC's vector type (clang has it too),
   because no compiler keeps such sums in registers, or limits a number in one instruction, by itself; all else is plain
   loops, mostly of BLOCK or 4 turns, which compilers turn into vectors. */

#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined __AVX__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_neon.h>
#endif

#include "elementary.h"

#define BLOCK 8
#if defined __AVX__
#define LANES 8 /* with AVX-512 too: rows of a few blocks do not fill vectors of 16 */
#else
#define LANES 4
#endif
#define PARTS (BLOCK / LANES) /* vectors in a block */

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef float quad __attribute__((vector_size(16), may_alias));
typedef int32_t iquad __attribute__((vector_size(16)));

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (iquad){__VA_ARGS__})
#endif

/* Before a loop of BLOCK or 4 turns: left a loop it becomes vectors, while unrolled first it stays single numbers. */
#define PLAIN_LOOP _Pragma("GCC unroll 1")
#define VECTORS(pointer) ((vec *)(pointer))
#define ROWS_AT_ONCE 2           /* rows of a matrix whose sums fit into the registers together */
#define STEPS_AT_ONCE 32         /* steps whose outer products are added at once, while they are still in the cache */
#define FADED 0x1p-64f           /* a gradient nearer to zero than this moves no weight by a unit in its last place */

enum { LSTM, GRU, SIMPLE_RNN, MLP };
enum { SIGMOID, SOFTMAX };
enum { ADAM, RMSPROP, SGD };

/* What native.Program passes; the same fields in the same order stand in native.py. */
typedef struct {
    int32_t cell, output, optimizer;
    int32_t units, inputs, symbols;
    int32_t updates, steps, batch, features; /* x [updates, steps, batch, features] */
    int32_t sequences, length;               /* eval_x [sequences, length, features] */
    int32_t most;                            /* candidates [groups, most] */
    float learning_rate;
    const int32_t *x, *y;
    const uint8_t *loss_mask, *step_mask, *reset, *detach;
    const int32_t *eval_x, *eval_y;
    const uint8_t *eval_mask;
    const int32_t *eval_group, *candidates; /* of the symbols that may follow there; -1: none, only one */
    const float *eval_frequency;            /* of the target among them, relative to a uniform guess */
} Task;

/* What a check finds of a trial: is every scored step right; the least lead of a right output over the best wrong
   one; memory in bits, the mean over the steps that need it (NaN where none does). */
typedef struct {
    int learned;
    float margin, memory;
} Finding;

/* The sizes that follow from a task, and where each weight stands in a trial's padded block of `size` floats. */
typedef struct {
    size_t gates, biases, slots, states;   /* gates of a cell, rows of its bias, optimizer slots, state vectors */
    size_t units4, lanes, columns, symbols; /* units padded to 4 and to blocks; gates * units4 and symbols padded */
    size_t recurrent_rows;
    size_t kernel, recurrent, bias, readout, readout_bias, size;
    size_t plain_size; /* floats of a trial as Keras has them */
} Layout;

/* One trial at work. A slot of `h`, `c`, `gates` and `saved` belongs to a step and row: slot = step * batch + row.
   h[slot], c[slot]: the state that the step began with, so that the step after it begins with slot + batch.
   gates[slot]: after forward the gates, after backward the gradient of the sums they were made of.
   saved[slot]: what else backward needs: LSTM's tanh(c), GRU's recurrent part of the candidate.
   state_gradient[slot]: the gradient of the step's own loss with respect to its h. */
typedef struct {
    const Task *task;
    Layout layout;
    float *weights, *gradient, *mean, *square;
    float *h, *c, *gates, *saved, *state_gradient;
    float *h_gradient, *c_gradient;         /* [batch, lanes], of all later steps */
    float *from_input, *from_state;         /* [columns]: the two parts of a sum, or of its gradient */
    float *logits, *costs, *logits_gradient; /* [symbols] */
    float *scale;                           /* [columns]: 1/2 where the gate is a sigmoid, 1 where it is a tanh */
    double power1, power2;                  /* Adam's 0.9^t and 0.999^t */
    int32_t *place;                         /* padded -> plain position of each weight, -1 for padding */
    void *memory;
} Trial;

/* ---------------------------------------------------------------- elementary functions ------------------- */

/* a * b + c, rounded once */
INLINE vec fma_of(vec a, vec b, vec c) {
#if defined __FMA__ && defined __AVX__
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined __aarch64__
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    for (int j = 0; j < LANES; j++) c[j] = fmaf(a[j], b[j], c[j]);
    return c;
#endif
}

INLINE vec splat(float x) { return x - (vec){0}; }

/* x, but -bound and bound where it is beyond them; NaN passes through. */
INLINE vec within(vec x, float bound) {
#if defined __AVX__ /* one instruction each, which gcc makes of no loop; both return their second where one is NaN */
    return (vec)_mm256_min_ps((__m256)splat(bound), _mm256_max_ps((__m256)splat(-bound), (__m256)x));
#else
    for (int j = 0; j < LANES; j++) x[j] = x[j] < -bound ? -bound : x[j];
    for (int j = 0; j < LANES; j++) x[j] = x[j] > bound ? bound : x[j];
    return x;
#endif
}

INLINE float faded(float x) { return fabsf(x) < FADED ? 0.0f : x; }

/* Within 6 units in the last place, never beyond 1, and 1 from 8.05 on. A minimax rational function of degree 4 over 4
   in x^2 (its relative error is a third of a unit; the rest is rounding): fewer operations, and fewer that wait for
   one another, than other degrees of that accuracy need. Comparisons are written such that NaN passes through. */
INLINE vec tanhs_of(vec x) {
    x = within(x, 8.05010986f);
    const vec s = x * x;
    vec p = splat(1.650285597e-08f);
    p = fma_of(p, s, splat(2.555833453e-05f));
    p = fma_of(p, s, splat(4.343716428e-03f));
    p = fma_of(p, s, splat(1.664207280e-01f));
    p = fma_of(p, s, splat(1.244010925e+00f));
    vec q = splat(9.628952284e-07f);
    q = fma_of(q, s, splat(4.079459468e-04f));
    q = fma_of(q, s, splat(3.217286244e-02f));
    q = fma_of(q, s, splat(5.810908079e-01f));
    q = fma_of(q, s, splat(1.244010925e+00f));
    return x * p / q;
}

/* e^x for -87 <= x <= 0, and e^-87 below (Cephes' expf): 2^n times a polynomial on [-ln(2)/2, ln(2)/2]. */
INLINE float exp_of(float x) {
    const float to_integer = 12582912.0f; /* 1.5 * 2^23: added to a number, its last bits are the rounded integer */
    x = x < -87.0f ? -87.0f : x;
    const float shifted = fmaf(x, 1.44269504088896341f, to_integer);
    const float n = shifted - to_integer;
    const float r = fmaf(n, 2.12194440e-4f, fmaf(n, -0.693359375f, x));
    float p = 1.9875691500e-4f;
    p = fmaf(p, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    p = fmaf(p, r * r, r) + 1.0f;
    const uint32_t exponent = (uint32_t)as_bits(shifted) - (uint32_t)as_bits(to_integer) + 127;
    return p * as_float((int32_t)(exponent << 23));
}

/* tanh(x) within 2^-23, and where it comes to 1 within 2^-24: as slowly as floats can, so that outputs that differ stay
   different. */
INLINE float output_tanh_of(float x) {
    const float power = exp_of(-2.0f * fabsf(x)), size = 1.0f - 2.0f * power / (1.0f + power);
    return x < 0.0f ? -size : size;
}

/* log((1 + r) / (1 - r)) for |r| <= 1/3: 2 artanh(r), a power series. */
INLINE float log_of_ratio(float r) {
    const float s = r * r;
    float p = 1.0f / 13;
    p = fmaf(p, s, 1.0f / 11);
    p = fmaf(p, s, 1.0f / 9);
    p = fmaf(p, s, 1.0f / 7);
    p = fmaf(p, s, 1.0f / 5);
    p = fmaf(p, s, 1.0f / 3);
    return 2.0f * fmaf(r * s, p, r);
}

/* log(1 + t) for 0 <= t <= 1. */
INLINE float log1p_of(float t) { return log_of_ratio(t / (2.0f + t)); }

/* x = 2^n * m with m from sqrt(1/2) to sqrt(2), for normal x > 0: n, and log(m). */
INLINE float split(float x, float *log_m) {
    const int32_t root_of_half = 0x3f3504f3, n = (as_bits(x) - root_of_half) >> 23;
    const float m = as_float(as_bits(x) - n * (1 << 23));
    *log_m = log_of_ratio((m - 1.0f) / (m + 1.0f));
    return n;
}

/* log(x) and log2(x) for normal x > 0; NaN stays NaN. */
INLINE float log_of(float x) {
    float log_m, n = split(x, &log_m);
    return x != x ? x : fmaf(n, 0.693359375f, fmaf(n, -2.12194440e-4f, log_m));
}

INLINE float log2_of(float x) {
    float log_m, n = split(x, &log_m);
    return x != x ? x : fmaf(log_m, 1.44269504088896341f, n);
}

/* ---------------------------------------------------------------- layout ---------------------------------- */

static size_t padded(size_t n, size_t to) { return (n + to - 1) / to * to; }

static Layout make_layout(const Task *task) {
    static const size_t gates[] = {[LSTM] = 4, [GRU] = 3, [SIMPLE_RNN] = 1, [MLP] = 1};
    static const size_t states[] = {[LSTM] = 2, [GRU] = 1, [SIMPLE_RNN] = 1, [MLP] = 0};
    static const size_t slots[] = {[ADAM] = 2, [RMSPROP] = 1, [SGD] = 0};
    const size_t units = task->units, inputs = task->inputs, symbols = task->symbols;
    Layout l = {.gates = gates[task->cell], .states = states[task->cell], .slots = slots[task->optimizer]};
    l.biases = task->cell == GRU ? 2 : 1; /* GRU's recurrent product has a bias of its own */
    l.units4 = padded(units, 4);
    l.lanes = padded(units, BLOCK);
    l.columns = padded(l.gates * l.units4, BLOCK);
    l.symbols = padded(symbols, BLOCK);
    l.recurrent_rows = task->cell == MLP ? 0 : l.units4;
    l.recurrent = l.kernel + inputs * l.columns;
    l.bias = l.recurrent + l.recurrent_rows * l.columns;
    l.readout = l.bias + l.biases * l.columns;
    l.readout_bias = l.readout + symbols * l.lanes;
    l.size = l.readout_bias + l.symbols;
    const size_t rows = inputs + (task->cell == MLP ? 0 : units) + l.biases;
    l.plain_size = rows * l.gates * units + (units + 1) * symbols;
    return l;
}

static size_t column(const Layout *l, size_t gate, size_t unit) {
    const size_t whole = l->units4 / BLOCK * BLOCK, width = unit < whole ? BLOCK : 4;
    const size_t block = unit / width * width;
    return l->gates * block + gate * width + (unit - block);
}

/* Fill `place` and `scale`. */
static void place_weights(Trial *t) {
    const Task *task = t->task;
    const Layout *l = &t->layout;
    const size_t units = task->units, symbols = task->symbols;
    const size_t starts[] = {l->kernel, l->recurrent, l->bias};
    const size_t rows[] = {task->inputs, task->cell == MLP ? 0 : units, l->biases};
    int32_t plain = 0;
    memset(t->place, -1, l->size * sizeof(int32_t));
    for (int part = 0; part < 3; part++)
        for (size_t row = 0; row < rows[part]; row++)
            for (size_t gate = 0; gate < l->gates; gate++)
                for (size_t unit = 0; unit < units; unit++)
                    t->place[starts[part] + row * l->columns + column(l, gate, unit)] = plain++;
    for (size_t unit = 0; unit < units; unit++)
        for (size_t symbol = 0; symbol < symbols; symbol++)
            t->place[l->readout + symbol * l->lanes + unit] = plain++;
    for (size_t symbol = 0; symbol < symbols; symbol++) t->place[l->readout_bias + symbol] = plain++;

    const size_t candidate = l->gates == 1 ? 0 : 2; /* the gate that is a tanh */
    for (size_t j = 0; j < l->columns; j++) t->scale[j] = 1.0f;
    for (size_t gate = 0; gate < l->gates; gate++)
        for (size_t unit = 0; unit < l->units4; unit++)
            t->scale[column(l, gate, unit)] = gate == candidate ? 1.0f : 0.5f;
}

static void pack(const Trial *t, float *to, const float *plain) {
    for (size_t i = 0; i < t->layout.size; i++) to[i] = t->place[i] < 0 ? 0.0f : plain[t->place[i]];
}

static void unpack(const Trial *t, float *plain, const float *from) {
    for (size_t i = 0; i < t->layout.size; i++)
        if (t->place[i] >= 0) plain[t->place[i]] = canonical(from[i]);
}

/* ---------------------------------------------------------------- products -------------------------------- */

/* Call f(width, ...) for blocks of up to 5 vectors of a row, as few and as equal as can be, since a narrow block's sums
   wait for themselves; f is inlined, so its sums stay in registers. */
#define FOR_BLOCKS(vectors, first, f, ...)                                        \
    for (size_t first = 0, width; first < (vectors); first += width) {            \
        const size_t left = (vectors) - first, blocks = (left + 4) / 5;           \
        width = (left + blocks - 1) / blocks;                                     \
        switch (width) {                                                          \
            case 1: f(1, __VA_ARGS__); break;                                     \
            case 2: f(2, __VA_ARGS__); break;                                     \
            case 3: f(3, __VA_ARGS__); break;                                     \
            case 4: f(4, __VA_ARGS__); break;                                     \
            default: f(5, __VA_ARGS__); break;                                    \
        }                                                                         \
    }

INLINE void product_block(int width, vec *sums, const vec *bias, const vec *kernel, const int32_t *x, int features,
                          const float *h, const vec *rows, size_t count, size_t stride) {
    vec even[5], odd[5]; /* two sums for each vector, since one addition takes longer than the next needs to wait */
    for (int v = 0; v < width; v++) even[v] = bias[v], odd[v] = (vec){0};
    for (int f = 0; f < features; f++)
        if (x[f] >= 0)
            for (int v = 0; v < width; v++) even[v] += kernel[x[f] * stride + v];
    for (size_t k = 0; k < count; k += 2, rows += 2 * stride)
        for (int v = 0; v < width; v++) {
            even[v] = fma_of(splat(h[k]), rows[v], even[v]);
            odd[v] = fma_of(splat(h[k + 1]), rows[stride + v], odd[v]);
        }
    for (int v = 0; v < width; v++) sums[v] = even[v] + odd[v];
}

/* sums [columns] = bias + the rows of kernel [inputs, columns] that x names + h [rows] @ matrix [rows, columns] */
static void product(const Layout *l, float *sums, const float *bias, const float *kernel, const int32_t *x,
                    int features, const float *h, const float *matrix) {
    const size_t vectors = l->columns / LANES;
    FOR_BLOCKS(vectors, at, product_block, VECTORS(sums) + at, VECTORS(bias) + at, VECTORS(kernel) + at, x, features,
               h, VECTORS(matrix) + at, l->recurrent_rows, vectors)
}

INLINE void add_outer_block(int width, vec *matrix, size_t stride, const float *h, size_t h_stride, const vec *z,
                            size_t count) {
    vec sums[ROWS_AT_ONCE][5];
    for (int k = 0; k < ROWS_AT_ONCE; k++)
        for (int v = 0; v < width; v++) sums[k][v] = matrix[k * stride + v];
    for (size_t n = 0; n < count; n++, h += h_stride, z += stride)
        for (int k = 0; k < ROWS_AT_ONCE; k++)
            for (int v = 0; v < width; v++) sums[k][v] = fma_of(splat(h[k]), z[v], sums[k][v]);
    for (int k = 0; k < ROWS_AT_ONCE; k++)
        for (int v = 0; v < width; v++) matrix[k * stride + v] = sums[k][v];
}

/* Is an update one step of one row? Then the recurrent kernel's gradient is one outer product, not a sum of some. */
static int is_lone_step(const Task *task) { return task->steps == 1 && task->batch == 1; }

/* The recurrent kernel's gradient += the sum over these slots of h (as a column) times the gates' gradient. */
static void add_outer(Trial *t, size_t first_slot, size_t count) {
    const Layout *l = &t->layout;
    const size_t vectors = l->columns / LANES;
    const vec *z = VECTORS(t->gates + first_slot * l->columns);
    for (size_t k = 0; k < l->recurrent_rows; k += ROWS_AT_ONCE) {
        vec *rows = VECTORS(t->gradient + l->recurrent + k * l->columns);
        const float *h = t->h + first_slot * l->lanes + k;
        FOR_BLOCKS(vectors, at, add_outer_block, rows + at, vectors, h, l->lanes, z + at, count)
    }
}

/* A block's lanes, folded to four. */
INLINE quad folded(const vec *block) {
    union {
        vec parts[PARTS];
        quad quads[2];
    } b;
    for (int v = 0; v < PARTS; v++) b.parts[v] = block[v];
    return b.quads[0] + b.quads[1];
}

/* products[0..3] = the sums of four blocks */
INLINE void fold_four(float *products, vec (*sums)[PARTS]) {
    const quad a = folded(sums[0]), b = folded(sums[1]), c = folded(sums[2]), d = folded(sums[3]);
    const quad ab = SHUFFLE(a, b, 0, 4, 1, 5) + SHUFFLE(a, b, 2, 6, 3, 7);
    const quad cd = SHUFFLE(c, d, 0, 4, 1, 5) + SHUFFLE(c, d, 2, 6, 3, 7);
    const quad all = SHUFFLE(ab, cd, 0, 1, 4, 5) + SHUFFLE(ab, cd, 2, 3, 6, 7);
    memcpy(products, &all, sizeof all);
}

/* products[0..7] = the sums of eight blocks, stored as they will be loaded: a vector */
INLINE void fold_eight(float *products, vec (*sums)[PARTS]) {
#if LANES == 8
    vec two[4]; /* row k in the lower half, row k + 4 in the upper, folded to four each */
    for (int k = 0; k < 4; k++) {
        const __m256 a = (__m256)sums[k][0], b = (__m256)sums[k + 4][0];
        two[k] = (vec)_mm256_permute2f128_ps(a, b, 0x20) + (vec)_mm256_permute2f128_ps(a, b, 0x31);
    }
    vec four[2];
    for (int k = 0; k < 2; k++) {
        const __m256 a = (__m256)two[2 * k], b = (__m256)two[2 * k + 1];
        four[k] = (vec)_mm256_unpacklo_ps(a, b) + (vec)_mm256_unpackhi_ps(a, b);
    }
    const __m256 a = (__m256)four[0], b = (__m256)four[1];
    *VECTORS(products) = (vec)_mm256_shuffle_ps(a, b, 0x44) + (vec)_mm256_shuffle_ps(a, b, 0xee);
#else
    fold_four(products, sums), fold_four(products + 4, sums + 4);
#endif
}

/* products[0..count-1] = the scalar products of that many rows, 4 or 8, with z. `stride` vectors from row to row, and
   no row beyond `last`: that again instead. */
INLINE void row_products(int count, float *products, const vec *rows, size_t stride, size_t last, const vec *z,
                         size_t vectors) {
    const vec *row[8];
    vec sums[8][PARTS];
    for (size_t k = 0; k < (size_t)count; k++) row[k] = rows + (k < last ? k : last) * stride;
    for (int k = 0; k < count; k++)
        for (int v = 0; v < PARTS; v++) sums[k][v] = row[k][v] * z[v];
    for (size_t at = PARTS; at < vectors; at += PARTS)
        for (int k = 0; k < count; k++)
            for (int v = 0; v < PARTS; v++) sums[k][v] = fma_of(row[k][at + v], z[at + v], sums[k][v]);
    if (count == 8) fold_eight(products, sums);
    else fold_four(products, sums);
}

INLINE void add_vectors(float *to, const float *from, size_t floats) {
    for (size_t v = 0; v < floats / LANES; v++) VECTORS(to)[v] += VECTORS(from)[v];
}

/* ---------------------------------------------------------------- cells: forward -------------------------- */

/* Call f(width, block, ...) for each block of units. */
#define FOR_UNITS(l, f, ...)                                                                   \
    {                                                                                          \
        size_t block = 0;                                                                      \
        for (; block + BLOCK <= (l)->units4; block += BLOCK) f(BLOCK, block, __VA_ARGS__);     \
        for (; block < (l)->units4; block += 4) f(4, block, __VA_ARGS__);                      \
    }

/* The vector that begins there in a block of `width` gates: of one of 4, those and zeros. */
INLINE vec load_gates(int width, const float *from) {
#if LANES == 8
    if (width == 4) return (vec)_mm256_zextps128_ps256(_mm_load_ps(from));
#endif
    (void)width;
    return *VECTORS(from);
}

INLINE void store_gates(int width, float *to, vec x) {
#if LANES == 8
    if (width == 4) {
        _mm_store_ps(to, _mm256_castps256_ps128((__m256)x));
        return;
    }
#endif
    (void)width;
    *VECTORS(to) = x;
}

/* A unit's states are taken and put as whole vectors: beside a block of 4 there is padding, which these formulas keep
   zero, and a vector that was stored in two parts would have to be waited for when it is loaded as one. */
INLINE void lstm_forward(int width, size_t block, const float *gates, const float *c, float *new_c, float *tanh_c,
                         float *new_h) {
    const float *gate = gates + 4 * block;
    for (int j = 0; j < width; j += LANES) {
        const vec i = load_gates(width, gate + j), f = load_gates(width, gate + width + j);
        const vec candidate = load_gates(width, gate + 2 * width + j), o = load_gates(width, gate + 3 * width + j);
        const vec value = fma_of(f, *VECTORS(c + block + j), i * candidate), squashed = tanhs_of(value);
        *VECTORS(new_c + block + j) = value;
        *VECTORS(tanh_c + block + j) = squashed;
        *VECTORS(new_h + block + j) = o * squashed;
    }
}

INLINE void gru_forward(int width, size_t block, float *gates, const float *from_input, const float *from_state,
                        const float *h, float *saved, float *new_h) {
    float *gate = gates + 3 * block;
    const float *input = from_input + 3 * block + 2 * width, *state = from_state + 3 * block + 2 * width;
    for (int j = 0; j < width; j += LANES) {
        const vec z = load_gates(width, gate + j), r = load_gates(width, gate + width + j);
        const vec recurrent = load_gates(width, state + j);
        const vec candidate = tanhs_of(fma_of(r, recurrent, load_gates(width, input + j)));
        store_gates(width, gate + 2 * width + j, candidate);
        *VECTORS(saved + block + j) = recurrent;
        *VECTORS(new_h + block + j) = fma_of(z, *VECTORS(h + block + j) - candidate, candidate);
    }
}

/* sigmoid(x) = (1 + tanh(x / 2)) / 2, so one formula serves all gates, and no vector of mixed gates is done twice. */
INLINE void squash(float *gates, const float *sums, const float *scale, size_t columns) {
    for (size_t v = 0; v < columns / LANES; v++) {
        const vec by = VECTORS(scale)[v];
        VECTORS(gates)[v] = fma_of(by, tanhs_of(by * VECTORS(sums)[v]), 1.0f - by);
    }
}

/* One step of one row, from the state in slot `from` to that in slot `to`. */
static void forward(Trial *t, const int32_t *x, size_t from, size_t to) {
    const Layout *l = &t->layout;
    const float *weights = t->weights, *h = t->h + from * l->lanes;
    float *gates = t->gates + from * l->columns, *new_h = t->h + to * l->lanes, *saved = t->saved + from * l->lanes;
    float *sums = t->from_input;
    const float *bias = weights + l->bias, *kernel = weights + l->kernel, *recurrent = weights + l->recurrent;
    const int features = t->task->features;
    if (t->task->cell == GRU) {
        memcpy(sums, bias, l->columns * sizeof(float));
        for (int f = 0; f < features; f++)
            if (x[f] >= 0) add_vectors(sums, kernel + x[f] * l->columns, l->columns);
        product(l, t->from_state, bias + l->columns, kernel, x, 0, h, recurrent);
        for (size_t v = 0; v < l->columns / LANES; v++)
            VECTORS(gates)[v] = VECTORS(sums)[v] + VECTORS(t->from_state)[v];
        squash(gates, gates, t->scale, l->columns);
        FOR_UNITS(l, gru_forward, gates, sums, t->from_state, h, saved, new_h)
        return;
    }
    product(l, sums, bias, kernel, x, features, h, recurrent);
    squash(gates, sums, t->scale, l->columns);
    if (t->task->cell == LSTM)
        FOR_UNITS(l, lstm_forward, gates, t->c + from * l->lanes, t->c + to * l->lanes, saved, new_h)
    else
        memcpy(new_h, gates, l->lanes * sizeof(float));
}

/* The state of a row stays as it is. */
static void stand_still(Trial *t, size_t from, size_t to) {
    const size_t lanes = t->layout.lanes;
    memcpy(t->h + to * lanes, t->h + from * lanes, lanes * sizeof(float));
    memcpy(t->c + to * lanes, t->c + from * lanes, lanes * sizeof(float));
}

static void zero_state(Trial *t, size_t slot, size_t count) {
    const size_t lanes = t->layout.lanes;
    memset(t->h + slot * lanes, 0, count * lanes * sizeof(float));
    memset(t->c + slot * lanes, 0, count * lanes * sizeof(float));
}

/* ---------------------------------------------------------------- output layer and loss ------------------- */

static void read_out(Trial *t, const float *h) {
    const Layout *l = &t->layout;
    const size_t symbols = t->task->symbols, vectors = l->lanes / LANES;
    for (size_t first = 0; first < symbols; first += BLOCK)
        row_products(BLOCK, t->logits + first, VECTORS(t->weights + l->readout + first * l->lanes), vectors,
                     symbols - 1 - first, VECTORS(h), vectors);
    add_vectors(t->logits, t->weights + l->readout_bias, l->symbols);
}

/* log(1 + e^z), of which `power` is e^-|z|, which does not overflow. */
INLINE float cost_of(float z, float power) { return (z < 0.0f ? 0.0f : z) + log1p_of(power); }

/* costs[o] = log(1 + e^z), gradient[o] = sigmoid(z). The target's cost is log(1 + e^-z): log(1 + e^z) - z is the same,
   but loses a small loss in rounding. */
INLINE void sigmoid_costs(float *restrict costs, float *restrict gradient, const float *restrict logits, int target,
                          size_t count) {
    for (size_t at = 0; at < count; at += BLOCK)
        for (int j = 0; j < BLOCK; j++) {
            const float z = logits[at + j], power = exp_of(-fabsf(z));
            costs[at + j] = cost_of((int)at + j == target ? -z : z, power);
            gradient[at + j] = (z < 0.0f ? power : 1.0f) / (1.0f + power);
        }
}

INLINE void powers_of(float *restrict powers, const float *restrict logits, float largest, size_t count) {
    for (size_t at = 0; at < count; at += BLOCK)
        for (int j = 0; j < BLOCK; j++) powers[at + j] = exp_of(logits[at + j] - largest);
}

/* The loss of one step, and logits_gradient, both times `share`; the padding's gradient is zero. */
static float loss_of(Trial *t, size_t target, float share) {
    const size_t symbols = t->task->symbols, count = t->layout.symbols;
    float *gradient = t->logits_gradient, loss = 0.0f;
    const float *logits = t->logits;
    if (t->task->output == SIGMOID) {
        share /= symbols;
        sigmoid_costs(t->costs, gradient, logits, target, count);
        for (size_t o = 0; o < symbols; o++) loss += t->costs[o];
    } else {
        float largest = logits[0], sum = 0.0f;
        for (size_t o = 1; o < symbols; o++) largest = logits[o] > largest ? logits[o] : largest;
        powers_of(gradient, logits, largest, count);
        for (size_t o = 0; o < symbols; o++) sum += gradient[o];
        for (size_t v = 0; v < count / LANES; v++) VECTORS(gradient)[v] *= 1.0f / sum;
        loss = log_of(sum) + (largest - logits[target]);
    }
    for (size_t at = 0; at < count; at += BLOCK) /* a vector at once, which what loads it need not wait for */
        for (int j = 0; j < BLOCK; j++) {
            const int o = (int)at + j;
            const float own = (gradient[o] - (o == (int)target ? 1.0f : 0.0f)) * share;
            gradient[o] = o < (int)symbols ? own : 0.0f;
        }
    return loss * share;
}

/* The loss of what stands in slot `to`; adds to the output layer's gradient and sets the step's state_gradient. */
static float score(Trial *t, size_t step_slot, size_t to, size_t target, float share) {
    const Layout *l = &t->layout;
    const float *h = t->h + to * l->lanes, *gradient = t->logits_gradient;
    read_out(t, h);
    const float loss = loss_of(t, target, share);
    add_vectors(t->gradient + l->readout_bias, gradient, l->symbols);
    for (size_t v = 0; v < l->lanes / LANES; v++) {
        vec *to_row = VECTORS(t->gradient + l->readout) + v, arriving = {0};
        const vec *row = VECTORS(t->weights + l->readout) + v;
        for (int o = 0; o < t->task->symbols; o++, row += l->lanes / LANES, to_row += l->lanes / LANES) {
            arriving = fma_of(splat(gradient[o]), *row, arriving);
            *to_row = fma_of(splat(gradient[o]), VECTORS(h)[v], *to_row);
        }
        VECTORS(t->state_gradient + step_slot * l->lanes)[v] = arriving;
    }
    return loss;
}

/* ---------------------------------------------------------------- cells: backward ------------------------- */

INLINE void lstm_backward(int width, size_t block, float *restrict gates, const float *restrict c,
                          const float *restrict tanh_c, const float *restrict h_gradient, float *restrict c_gradient) {
    float *restrict gate = gates + 4 * block;
    PLAIN_LOOP
    for (int j = 0; j < width; j++) {
        const float i = gate[j], f = gate[width + j], candidate = gate[2 * width + j], o = gate[3 * width + j];
        const float squashed = tanh_c[block + j], dh = faded(h_gradient[block + j]);
        const float dc = fmaf(dh * o, fmaf(-squashed, squashed, 1.0f), faded(c_gradient[block + j]));
        gate[j] = dc * candidate * i * (1.0f - i);
        gate[width + j] = dc * c[block + j] * f * (1.0f - f);
        gate[2 * width + j] = dc * i * fmaf(-candidate, candidate, 1.0f);
        gate[3 * width + j] = dh * squashed * o * (1.0f - o);
        c_gradient[block + j] = dc * f;
    }
}

/* from_input gets the gradient of the input's part, gates that of the state's part, direct what passes by z. */
INLINE void gru_backward(int width, size_t block, float *restrict gates, float *restrict from_input,
                         const float *restrict h, const float *restrict recurrent, const float *restrict h_gradient,
                         float *restrict direct) {
    float *restrict gate = gates + 3 * block, *restrict input = from_input + 3 * block;
    PLAIN_LOOP
    for (int j = 0; j < width; j++) {
        const float z = gate[j], r = gate[width + j], candidate = gate[2 * width + j];
        const float dh = faded(h_gradient[block + j]);
        const float dz = dh * (h[block + j] - candidate) * z * (1.0f - z);
        const float da = dh * (1.0f - z) * fmaf(-candidate, candidate, 1.0f);
        const float dr = da * recurrent[block + j] * r * (1.0f - r);
        input[j] = gate[j] = dz;
        input[width + j] = gate[width + j] = dr;
        input[2 * width + j] = da;
        gate[2 * width + j] = da * r;
        direct[block + j] = dh * z;
    }
}

INLINE void tanh_backward(float *restrict gates, const float *restrict h_gradient, size_t lanes) {
    for (size_t at = 0; at < lanes; at += BLOCK)
        for (int j = 0; j < BLOCK; j++)
            gates[at + j] = faded(h_gradient[at + j]) * fmaf(-gates[at + j], gates[at + j], 1.0f);
}

/* One step of one row: h_gradient and c_gradient from after the step to before it (`further`: does that matter?),
   gates from the gates to their gradient; adds to the gradients of kernel and bias. */
static void backward(Trial *t, const int32_t *x, size_t slot, size_t row, int further) {
    const Layout *l = &t->layout;
    float *gates = t->gates + slot * l->columns, *saved = t->saved + slot * l->lanes, *input = gates;
    float *dh = t->h_gradient + row * l->lanes, *direct = t->from_state;
    if (t->task->cell == LSTM) {
        FOR_UNITS(l, lstm_backward, gates, t->c + slot * l->lanes, saved, dh, t->c_gradient + row * l->lanes)
    } else if (t->task->cell == GRU) {
        input = t->from_input;
        FOR_UNITS(l, gru_backward, gates, input, t->h + slot * l->lanes, saved, dh, direct)
        add_vectors(t->gradient + l->bias + l->columns, gates, l->columns);
    } else {
        tanh_backward(gates, dh, l->lanes);
    }
    add_vectors(t->gradient + l->bias, input, l->columns);
    for (int f = 0; f < t->task->features; f++)
        if (x[f] >= 0) add_vectors(t->gradient + l->kernel + x[f] * l->columns, input, l->columns);
    if (!further) return;

    const size_t vectors = l->columns / LANES;
    const vec *rows = VECTORS(t->weights + l->recurrent);
    size_t k = 0;
    for (; k + 8 <= l->recurrent_rows; k += 8)
        row_products(8, dh + k, rows + k * vectors, vectors, 7, VECTORS(gates), vectors);
    if (k < l->recurrent_rows) row_products(4, dh + k, rows + k * vectors, vectors, 3, VECTORS(gates), vectors);
    if (t->task->cell == GRU)
        for (size_t k = 0; k < l->units4; k++) dh[k] += direct[k];
}

static int all_faded(const float *numbers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(numbers[i]) < FADED)) return 0; /* NaN has not */
    return 1;
}

/* Back-propagation through the steps of update u, after its forward steps. */
static void backward_steps(Trial *t, size_t u) {
    const Task *task = t->task;
    const Layout *l = &t->layout;
    const size_t batch = task->batch, rows = batch * l->lanes;
    const int recurrent = task->cell != MLP;
    int live = 0;    /* does any gradient arrive at this step? */
    size_t last = 0; /* add_outer is due from the present step to before this one */
    memset(t->h_gradient, 0, rows * sizeof(float));
    memset(t->c_gradient, 0, rows * sizeof(float));
    for (size_t step = task->steps; step-- > 0;) {
        const size_t number = u * task->steps + step;
        const uint8_t *loss_mask = task->loss_mask + number * batch, *step_mask = task->step_mask + number * batch;
        live |= memchr(loss_mask, 1, batch) != NULL;
        if (!live) continue;
        const int further = recurrent && step > 0 && !task->reset[number] && !task->detach[number];
        if (!last) last = step + 1;
        for (size_t row = 0; row < batch; row++) {
            const size_t slot = step * batch + row;
            if (!step_mask[row]) {
                memset(t->gates + slot * l->columns, 0, l->columns * sizeof(float));
                continue;
            }
            if (loss_mask[row]) add_vectors(t->h_gradient + row * l->lanes, t->state_gradient + slot * l->lanes, l->lanes);
            backward(t, task->x + (number * batch + row) * task->features, slot, row, further);
        }
        if (!further) {
            memset(t->h_gradient, 0, rows * sizeof(float));
            memset(t->c_gradient, 0, rows * sizeof(float));
            live = 0;
        }
        if (!live || last - step == STEPS_AT_ONCE) {
            if (!is_lone_step(task)) add_outer(t, step * batch, (last - step) * batch);
            last = 0;
            /* through hundreds of steps a gradient often vanishes altogether: then nothing is left to do */
            live = live && !(all_faded(t->h_gradient, rows) && all_faded(t->c_gradient, rows));
        }
    }
}

/* ---------------------------------------------------------------- optimizers ------------------------------ */

/* One vector of weights, whose gradient this is. See memory_trials/engines/optimizers.py for the formulas. Root and division
   are the processor's: own steps of Newton's, which must then see to infinity, are no faster (docs/engine.md). */

INLINE vec root_of(vec x) {
    for (int j = 0; j < LANES; j++) x[j] = sqrtf(x[j]);
    return x;
}

INLINE void adam(vec *weights, vec gradient, vec *mean, vec *square, float scale) {
    *mean = fma_of(gradient - *mean, splat(0.1f), *mean);
    *square = fma_of(fma_of(gradient, gradient, -*square), splat(0.001f), *square);
    *weights -= *mean * scale / (root_of(*square) + 1e-7f);
}

INLINE void rmsprop(vec *weights, vec gradient, vec *mean, vec *square, float learning_rate) {
    (void)mean;
    *square = fma_of(splat(0.9f), *square, 0.1f * (gradient * gradient));
    *weights -= gradient * learning_rate / root_of(*square + 1e-7f);
}

INLINE void sgd(vec *weights, vec gradient, vec *mean, vec *square, float learning_rate) {
    (void)mean, (void)square;
    *weights = fma_of(splat(-learning_rate), gradient, *weights);
}

/* All weights, and the gradient becomes zero for the next update. A lone step's outer product is used as it is
   computed, without being stored. */
INLINE void descend(Trial *t, void (*step)(vec *, vec, vec *, vec *, float), float rate) {
    const Layout *l = &t->layout;
    const size_t columns = l->columns / LANES, recurrent = l->recurrent / LANES;
    const size_t rows = is_lone_step(t->task) ? l->recurrent_rows : 0;
    const float *h = t->h;
    const vec *z = VECTORS(t->gates);
    vec *w = VECTORS(t->weights), *g = VECTORS(t->gradient), *m = VECTORS(t->mean), *v = VECTORS(t->square);
    for (size_t i = 0; i < recurrent; i++) step(w + i, g[i], m + i, v + i, rate), g[i] = (vec){0};
    for (size_t row = 0, i = recurrent; row < rows; row++)
        for (size_t j = 0; j < columns; j++, i++) step(w + i, splat(h[row]) * z[j], m + i, v + i, rate);
    for (size_t i = recurrent + rows * columns; i < l->size / LANES; i++)
        step(w + i, g[i], m + i, v + i, rate), g[i] = (vec){0};
}

/* The powers are multiplied up step by step, so that they do not depend on where a call began; below what a
   double can tell from zero beside 1 they are zero. */
static void advance_powers(Trial *t) {
    t->power1 = t->power1 > 1e-30 ? t->power1 * 0.9 : 0.0;
    t->power2 = t->power2 > 1e-30 ? t->power2 * 0.999 : 0.0;
}

static void take_step(Trial *t) {
    const float rate = t->task->learning_rate;
    if (t->task->optimizer == ADAM) {
        advance_powers(t);
        const float scale = rate * sqrt(1.0 - t->power2) / (1.0 - t->power1);
        descend(t, adam, scale);
    } else if (t->task->optimizer == RMSPROP) {
        descend(t, rmsprop, rate);
    } else {
        descend(t, sgd, rate);
    }
}

/* ---------------------------------------------------------------- training and judging -------------------- */

/* One update: its loss before the optimizer's step, and whether there was one. */
static float update(Trial *t, size_t u, int64_t *steps_taken) {
    const Task *task = t->task;
    const size_t batch = task->batch, cells = task->steps * batch, lanes = t->layout.lanes;
    const uint8_t *loss_mask = task->loss_mask + u * cells, *step_mask = task->step_mask + u * cells;
    const int32_t *x = task->x + u * cells * task->features, *y = task->y + u * cells;
    size_t count = 0;
    for (size_t slot = 0; slot < cells; slot++) count += loss_mask[slot];
    const float share = count ? 1.0f / count : 0.0f;
    double loss = 0.0;
    for (size_t step = 0; step < (size_t)task->steps; step++) {
        if (task->reset[u * task->steps + step]) zero_state(t, step * batch, batch);
        for (size_t slot = step * batch; slot < (step + 1) * batch; slot++) {
            if (!step_mask[slot]) {
                stand_still(t, slot, slot + batch);
                continue;
            }
            forward(t, x + slot * task->features, slot, slot + batch);
            if (loss_mask[slot]) loss += score(t, slot, slot + batch, y[slot], share);
        }
    }
    if (count) {
        backward_steps(t, u);
        take_step(t);
        (*steps_taken)++;
    }
    memcpy(t->h, t->h + cells * lanes, batch * lanes * sizeof(float)); /* the next update goes on from there */
    memcpy(t->c, t->c + cells * lanes, batch * lanes * sizeof(float));
    return loss;
}

/* The activations of the output layer, in `costs`. */
static void activate(Trial *t) {
    const size_t symbols = t->task->symbols;
    float *outputs = t->costs;
    if (t->task->output == SIGMOID) {
        for (size_t o = 0; o < symbols; o++) outputs[o] = 0.5f * (1.0f + output_tanh_of(0.5f * t->logits[o]));
    } else {
        float largest = t->logits[0], sum = 0.0f;
        for (size_t o = 1; o < symbols; o++) largest = t->logits[o] > largest ? t->logits[o] : largest;
        for (size_t o = 0; o < symbols; o++) sum += outputs[o] = exp_of(t->logits[o] - largest);
        for (size_t o = 0; o < symbols; o++) outputs[o] /= sum;
    }
}

/* Is the target the first of the largest outputs? By the activations, since numbers far apart may become
   the same activation: as memory_trials/models/forward.py has it, and with NaN no. */
static int is_right(const Trial *t, size_t target) {
    const float *outputs = t->costs;
    for (size_t o = 0; o < (size_t)t->task->symbols; o++)
        if (!(o < target ? outputs[o] < outputs[target] : outputs[o] <= outputs[target])) return 0;
    return 1;
}

/* The target's output minus the largest of the others; NaN where any of them is. */
static float lead_of(const Trial *t, size_t target) {
    const float *outputs = t->costs;
    float largest = -INFINITY;
    for (size_t o = 0; o < (size_t)t->task->symbols; o++) {
        if (outputs[o] != outputs[o]) return outputs[o];
        if (o != target && outputs[o] > largest) largest = outputs[o];
    }
    return outputs[target] - largest;
}

/* The logarithm of an output; with softmax but for a number that all outputs share. */
static float log_output(const Trial *t, size_t symbol) {
    const float z = t->logits[symbol];
    return t->task->output == SIGMOID ? -cost_of(-z, exp_of(-fabsf(z))) : z;
}

/* log2 q - log2 p, q the target's share of the candidates' outputs, p its frequency among them (frequency: p times
   their number): memory_trials/evaluation/predictions.py. */
static float bits_of(const Trial *t, const int32_t *candidates, size_t target, float frequency) {
    const float own = log_output(t, target);
    float largest = own, sum = 0.0f;
    int count = 0;
    for (; count < t->task->most && candidates[count] >= 0; count++) {
        const float other = log_output(t, candidates[count]);
        largest = other > largest ? other : largest;
    }
    for (int i = 0; i < count; i++) sum += exp_of(log_output(t, candidates[i]) - largest);
    return (own - largest - log_of(sum / count) - log_of(frequency)) * 1.44269504088896341f;
}

/* What the trial answers at every scored step of every sequence, each from a zero state. */
static Finding evaluate(Trial *t) {
    const Task *task = t->task;
    const size_t spare = (size_t)(task->steps + 1) * task->batch; /* two slots behind those of training */
    Finding found = {1, INFINITY, 0.0f};
    double bits = 0.0;
    int64_t needed = 0;
    for (size_t sequence = 0; sequence < (size_t)task->sequences; sequence++) {
        size_t from = spare, to = spare + 1;
        zero_state(t, from, 1);
        for (size_t step = 0; step < (size_t)task->length; step++) {
            const size_t number = sequence * task->length + step;
            forward(t, task->eval_x + number * task->features, from, to);
            if (task->eval_mask[number]) {
                const size_t target = task->eval_y[number];
                read_out(t, t->h + to * t->layout.lanes);
                activate(t);
                found.learned &= is_right(t, target);
                const float lead = lead_of(t, target);
                if (found.margin == found.margin && !(lead >= found.margin)) found.margin = lead;
                if (task->eval_group[number] >= 0) {
                    const int32_t *candidates = task->candidates + (size_t)task->eval_group[number] * task->most;
                    bits += bits_of(t, candidates, target, task->eval_frequency[number]);
                    needed++;
                }
            }
            from = to, to = 2 * spare + 1 - from;
        }
    }
    found.memory = needed ? bits / needed : NAN;
    return found;
}

/* All scratch memory, zeroed, in one piece and each array on a block's boundary; 0 if there is not enough. */
static int allocate(Trial *t) {
    const Layout *l = &t->layout;
    const size_t batch = t->task->batch, slots = (t->task->steps + 1) * batch + 2;
    float *place; /* holds int32_t, just as long */
    const struct {
        float **array;
        size_t floats;
    } wanted[] = {
        {&t->weights, l->size}, {&t->gradient, l->size}, {&t->mean, l->size}, {&t->square, l->size},
        {&place, l->size}, {&t->h, slots * l->lanes}, {&t->c, slots * l->lanes},
        {&t->gates, slots * l->columns}, {&t->saved, slots * l->lanes}, {&t->state_gradient, slots * l->lanes},
        {&t->h_gradient, batch * l->lanes}, {&t->c_gradient, batch * l->lanes}, {&t->from_input, l->columns},
        {&t->from_state, l->columns}, {&t->logits, l->symbols}, {&t->costs, l->symbols},
        {&t->logits_gradient, l->symbols}, {&t->scale, l->columns},
    };
    size_t total = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) total += wanted[i].floats;
    t->memory = calloc(total + BLOCK, sizeof(float));
    if (!t->memory) return 0;
    float *free_from = (float *)padded((size_t)t->memory, BLOCK * sizeof(float));
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        *wanted[i].array = free_from;
        free_from += wanted[i].floats;
    }
    t->place = (int32_t *)place;
    return 1;
}

/* Move a trial's states between [batch, states * units] and the first slots of h and c. */
static void move_states(Trial *t, float *states, int in) {
    const size_t units = t->task->units, lanes = t->layout.lanes, count = t->layout.states;
    for (size_t row = 0; row < (size_t)t->task->batch; row++)
        for (size_t i = 0; i < count; i++) {
            float *plain = states + (row * count + i) * units, *own = (i ? t->c : t->h) + row * lanes;
            if (in) memcpy(own, plain, units * sizeof(float));
            else for (size_t unit = 0; unit < units; unit++) plain[unit] = canonical(own[unit]);
        }
}

/* Train all trials for checks[count - 1] epochs, judging after each of `checks`; 0 if memory is short.
   parameters [trials, P], slots [trials, n, P], states [trials, batch, states * units] and steps [trials] are
   changed in place; order: NULL or [trials, epochs, updates]; losses [trials, epochs]; learned, margin, memory
   [trials, count]: what each check finds. */
int32_t memory_trials_run(const Task *task, int64_t trials, float *parameters, float *slots, float *states,
                          int64_t *steps, int64_t count, const int64_t *checks, const int32_t *order, float *losses,
                          uint8_t *learned, float *margin, float *memory) {
    Trial trial = {.task = task, .layout = make_layout(task)}, *t = &trial;
    const Layout *l = &t->layout;
    const int64_t epochs = checks[count - 1], updates = task->updates;
    if (!allocate(t)) return 0;
    place_weights(t);
    fenv_t before;
    fegetenv(&before);
    fesetenv(FE_DFL_ENV); /* whatever the caller has set: round to nearest, nothing is flushed to zero */
    for (int64_t number = 0; number < trials; number++) {
        float *plain = parameters + number * l->plain_size, *slot = slots + number * l->slots * l->plain_size;
        float *own_slots[] = {l->slots == 2 ? t->mean : t->square, t->square};
        float *own_states = states + number * task->batch * l->states * task->units;
        pack(t, t->weights, plain);
        for (size_t i = 0; i < l->slots; i++) pack(t, own_slots[i], slot + i * l->plain_size);
        memset(t->gradient, 0, l->size * sizeof(float));
        move_states(t, own_states, 1);
        t->power1 = t->power2 = 1.0;
        for (int64_t i = 0; i < steps[number] && t->power2 > 0.0; i++) advance_powers(t);

        int64_t check = 0;
        for (int64_t epoch = 0; epoch < epochs; epoch++) {
            double loss = 0.0;
            for (int64_t i = 0; i < updates; i++) {
                const int64_t u = order ? order[(number * epochs + epoch) * updates + i] : i;
                loss += update(t, u, &steps[number]);
            }
            losses[number * epochs + epoch] = canonical(loss / updates);
            if (epoch + 1 == checks[check]) {
                const Finding found = evaluate(t);
                const int64_t at = number * count + check++;
                learned[at] = found.learned, margin[at] = canonical(found.margin), memory[at] = canonical(found.memory);
            }
        }

        unpack(t, plain, t->weights);
        for (size_t i = 0; i < l->slots; i++) unpack(t, slot + i * l->plain_size, own_slots[i]);
        move_states(t, own_states, 0);
    }
    fesetenv(&before);
    free(t->memory);
    return 1;
}
