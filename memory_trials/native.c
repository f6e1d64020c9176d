/* Trains many independent trials of a small recurrent network, one trial after another.

   The networks are so small that everything a trial needs (weights, gradient, optimizer slots) stays in the
   processor's nearest caches, and that calling anything costs more than computing it. Hence this file: no
   library, no compilation for each setting, and a memory layout made for whole vectors:

   - LANES floats are one vector. Rows of weights are padded with zeros to whole vectors; padding never
     gets a gradient other than zero, so it stays zero.
   - Units are padded to a multiple of 4 (`units4`) and taken in blocks of LANES, the rest in blocks of 4.
     The columns of a kernel stand block by block, and in a block gate by gate: 20 LSTM units are the columns
     i0-15 f0-15 c0-15 o0-15 i16-19 f16-19 c16-19 o16-19. So 4 * 20 columns need no padding, and yet the gates
     of a unit can be combined vector by vector.
   - The output layer's kernel is kept transposed, a row for each symbol.

   Matrix products and optimizers are written with GCC's vector type (clang knows it too), because no compiler keeps
   such sums in registers by itself; all else is plain loops of LANES or 4 turns, which compilers turn into vectors.
   Sums are always taken in the same order, so that a trial's bits depend on nothing but its own numbers. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE__
#include <immintrin.h>
#endif

#ifdef __AVX512F__
#define LANES 16
#define EACH_FOUR(lanes) lanes(0), lanes(4), lanes(8), lanes(12)
#else
#define LANES 8
#define EACH_FOUR(lanes) lanes(0), lanes(4)
#endif

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

/* Before a loop of LANES or 4 turns: left a loop it becomes vectors, while unrolled first it stays single numbers. */
#define PLAIN_LOOP _Pragma("GCC unroll 1")
#define INLINE static inline __attribute__((always_inline))
#define VECTORS(pointer) ((vec *)(pointer))
#define ROWS_AT_ONCE (LANES / 4) /* rows of a matrix whose sums fit into the registers together */
#define STEPS_AT_ONCE 32         /* steps whose outer products are added at once, while they are still in the cache */

enum { LSTM, GRU, SIMPLE_RNN, MLP };
enum { SIGMOID, SOFTMAX };
enum { ADAM, RMSPROP, SGD };

/* What native.Program knows; the same fields in the same order stand in native.py. */
typedef struct {
    int32_t cell, output, optimizer;
    int32_t units, inputs, symbols;
    int32_t updates, steps, batch, features; /* x [updates, steps, batch, features] */
    int32_t sequences, length;               /* judge_x [sequences, length, features] */
    int32_t most;                            /* candidates [groups, most] */
    float learning_rate;
    const int32_t *x, *y;
    const uint8_t *scored, *valid, *reset, *cut;
    const int32_t *judge_x, *judge_y;
    const uint8_t *judge_scored;
    const int32_t *judge_group, *candidates; /* of the symbols that may follow there; -1: none, only one */
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
    size_t units4, lanes, columns, symbols; /* units padded to 4 and to vectors; gates * units4 and symbols padded */
    size_t recurrent_rows;
    size_t kernel, recurrent, bias, readout, readout_bias, size;
    size_t plain_size; /* floats of a trial as Keras has them */
} Layout;

/* One trial at work. A slot of `h`, `c`, `gates` and `side` belongs to a step and row: slot = step * batch + row.
   h[slot], c[slot]: the state that the step began with, so that the step after it begins with slot + batch.
   gates[slot]: after forward the gates, after backward the gradient of the sums they were made of.
   side[slot]: what else backward needs: LSTM's tanh(c), GRU's recurrent part of the candidate.
   pull[slot]: the gradient of the step's own loss with respect to its h. */
typedef struct {
    const Task *task;
    Layout layout;
    float *weights, *gradient, *mean, *square;
    float *h, *c, *gates, *side, *pull;
    float *h_gradient, *c_gradient;         /* [batch, lanes], of all later steps */
    float *from_input, *from_state;         /* [columns]: the two parts of a sum, or of its gradient */
    float *logits, *costs, *logits_gradient; /* [symbols] */
    float *scale;                           /* [columns]: 1/2 where the gate is a sigmoid, 1 where it is a tanh */
    double power1, power2;                  /* Adam's 0.9^t and 0.999^t */
    int32_t *place;                         /* padded -> plain position of each weight, -1 for padding */
    void *memory;
} Trial;

/* ---------------------------------------------------------------- functions of one number ---------------- */

INLINE float as_float(int32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

INLINE int32_t as_bits(float x) {
    int32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

/* Comparisons are written such that NaN passes through. Within 5 units in the last place (the rational function
   is that of Eigen's ptanh). */
INLINE float tanh_of(float x) {
    const float bound = 7.90531110763549805f;
    x = x < -bound ? -bound : x;
    x = x > bound ? bound : x;
    const float s = x * x;
    float p = -2.76076847742355e-16f;
    p = p * s + 2.00018790482477e-13f;
    p = p * s + -8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    float q = 1.19825839466702e-06f;
    q = q * s + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return x * p / q;
}

/* e^x for x <= 0 (Cephes' expf): 2^n times a polynomial on [-ln(2)/2, ln(2)/2]. */
INLINE float exp_of(float x) {
    const float to_integer = 12582912.0f; /* 1.5 * 2^23: added to a number, its last bits are the rounded integer */
    x = x < -87.0f ? -87.0f : x;
    const float shifted = x * 1.44269504088896341f + to_integer;
    const float n = shifted - to_integer;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const uint32_t exponent = (uint32_t)as_bits(shifted) - (uint32_t)as_bits(to_integer) + 127;
    return p * as_float((int32_t)(exponent << 23));
}

/* log(1 + t) for 0 <= t <= 1, as 2 artanh(t / (2 + t)). */
INLINE float log1p_of(float t) {
    const float r = t / (2.0f + t), s = r * r;
    float p = 1.0f / 13;
    p = p * s + 1.0f / 11;
    p = p * s + 1.0f / 9;
    p = p * s + 1.0f / 7;
    p = p * s + 1.0f / 5;
    p = p * s + 1.0f / 3;
    return 2.0f * r + 2.0f * r * s * p;
}

/* 1 / (sqrt(x) + epsilon) for x >= 0, within 4 units in the last place; infinity gives 0, as it must. */
INLINE vec inverse_root(vec x, float epsilon) {
#ifdef __AVX512F__
    /* The processor's estimates (14 bits) and one of Newton's steps for each: half the time of its root and division,
       which wait for one another. Infinity would become NaN that way. */
    const vec r = (vec)_mm512_rsqrt14_ps((__m512)(x + 1e-30f));
    const vec t = x * r, root = t * (1.5f - t * (0.5f * r)) + epsilon;
    const vec inverse = (vec)_mm512_rcp14_ps((__m512)root);
    const __mmask16 finite_or_nan = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(INFINITY), _CMP_NEQ_UQ);
    return (vec)_mm512_maskz_mul_ps(finite_or_nan, (__m512)inverse, (__m512)(2.0f - root * inverse));
#else
    for (int j = 0; j < LANES; j++) x[j] = 1.0f / (sqrtf(x[j]) + epsilon);
    return x;
#endif
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
    l.lanes = padded(units, LANES);
    l.columns = padded(l.gates * l.units4, LANES);
    l.symbols = padded(symbols, LANES);
    l.recurrent_rows = task->cell == MLP ? 0 : l.units4;
    l.recurrent = l.kernel + inputs * l.columns;
    l.bias = l.recurrent + l.recurrent_rows * l.columns;
    l.readout = l.bias + l.biases * l.columns;
    l.readout_bias = l.readout + symbols * l.lanes;
    l.size = padded(l.readout_bias + l.symbols, 4 * LANES); /* the optimizers take four vectors at once */
    const size_t rows = inputs + (task->cell == MLP ? 0 : units) + l.biases;
    l.plain_size = rows * l.gates * units + (units + 1) * symbols;
    return l;
}

static size_t column(const Layout *l, size_t gate, size_t unit) {
    const size_t whole = l->units4 / LANES * LANES, width = unit < whole ? LANES : 4;
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
        if (t->place[i] >= 0) plain[t->place[i]] = from[i];
}

/* ---------------------------------------------------------------- products -------------------------------- */

/* Call f(width, ...) for blocks of up to 5 vectors of a row; f is inlined, so its sums stay in registers. */
#define FOR_BLOCKS(vectors, first, f, ...)                                        \
    for (size_t first = 0, width; first < (vectors); first += width) {            \
        width = (vectors) - first > 5 ? 4 : (vectors) - first;                    \
        switch (width) {                                                          \
            case 1: f(1, __VA_ARGS__); break;                                     \
            case 2: f(2, __VA_ARGS__); break;                                     \
            case 3: f(3, __VA_ARGS__); break;                                     \
            case 4: f(4, __VA_ARGS__); break;                                     \
            default: f(5, __VA_ARGS__); break;                                    \
        }                                                                         \
    }

INLINE void add_product_block(int width, vec *sums, const float *h, const vec *rows, size_t count, size_t stride) {
    vec even[5], odd[5]; /* two sums for each vector, since one addition takes longer than the next needs to wait */
    for (int v = 0; v < width; v++) even[v] = sums[v], odd[v] = (vec){0};
    for (size_t k = 0; k < count; k += 2, rows += 2 * stride)
        for (int v = 0; v < width; v++) {
            even[v] += h[k] * rows[v];
            odd[v] += h[k + 1] * rows[stride + v];
        }
    for (int v = 0; v < width; v++) sums[v] = even[v] + odd[v];
}

/* sums [columns] += h [rows] @ matrix [rows, columns] */
static void add_product(const Layout *l, float *sums, const float *h, const float *matrix) {
    const size_t vectors = l->columns / LANES;
    FOR_BLOCKS(vectors, at, add_product_block, VECTORS(sums) + at, h, VECTORS(matrix) + at, l->recurrent_rows, vectors)
}

INLINE void add_outer_block(int width, vec *matrix, size_t stride, const float *h, size_t h_stride, const vec *z,
                            size_t count) {
    vec sums[ROWS_AT_ONCE][5];
    for (int k = 0; k < ROWS_AT_ONCE; k++)
        for (int v = 0; v < width; v++) sums[k][v] = matrix[k * stride + v];
    for (size_t n = 0; n < count; n++, h += h_stride, z += stride)
        for (int k = 0; k < ROWS_AT_ONCE; k++)
            for (int v = 0; v < width; v++) sums[k][v] += h[k] * z[v];
    for (int k = 0; k < ROWS_AT_ONCE; k++)
        for (int v = 0; v < width; v++) matrix[k * stride + v] = sums[k][v];
}

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

/* The sums over each of four vectors, in the first four lanes: as a tree, 4 x 4 numbers turned over in one go. */
INLINE vec four_sums(vec a, vec b, vec c, vec d) {
#define LOW(i) i, i + LANES, i + 1, i + LANES + 1
#define HIGH(i) i + 2, i + LANES + 2, i + 3, i + LANES + 3
#define LOW_PAIR(i) i, i + 1, i + LANES, i + LANES + 1
#define HIGH_PAIR(i) i + 2, i + 3, i + LANES + 2, i + LANES + 3
#define NEXT_FOUR(i) (i + 4) % LANES, (i + 5) % LANES, (i + 6) % LANES, (i + 7) % LANES
#define NEXT_EIGHT(i) (i + 8) % LANES, (i + 9) % LANES, (i + 10) % LANES, (i + 11) % LANES
    const vec ab = SHUFFLE(a, b, EACH_FOUR(LOW)) + SHUFFLE(a, b, EACH_FOUR(HIGH));
    const vec cd = SHUFFLE(c, d, EACH_FOUR(LOW)) + SHUFFLE(c, d, EACH_FOUR(HIGH));
    vec sums = SHUFFLE(ab, cd, EACH_FOUR(LOW_PAIR)) + SHUFFLE(ab, cd, EACH_FOUR(HIGH_PAIR));
    if (LANES == 16) sums += SHUFFLE(sums, sums, EACH_FOUR(NEXT_EIGHT));
    return sums + SHUFFLE(sums, sums, EACH_FOUR(NEXT_FOUR));
}

/* products[0..3] = the scalar products of four rows with z */
INLINE void four_products(float *products, const vec *a, const vec *b, const vec *c, const vec *d, const vec *z,
                          size_t vectors) {
    vec sa = a[0] * z[0], sb = b[0] * z[0], sc = c[0] * z[0], sd = d[0] * z[0];
    for (size_t v = 1; v < vectors; v++) {
        sa += a[v] * z[v];
        sb += b[v] * z[v];
        sc += c[v] * z[v];
        sd += d[v] * z[v];
    }
    const vec sums = four_sums(sa, sb, sc, sd);
    memcpy(products, &sums, 4 * sizeof(float));
}

INLINE void add_vectors(float *to, const float *from, size_t floats) {
    for (size_t v = 0; v < floats / LANES; v++) VECTORS(to)[v] += VECTORS(from)[v];
}

/* ---------------------------------------------------------------- cells: forward -------------------------- */

/* Call f(width, block, ...) for each block of units. */
#define FOR_UNITS(l, f, ...)                                                                   \
    {                                                                                          \
        size_t block = 0;                                                                      \
        for (; block + LANES <= (l)->units4; block += LANES) f(LANES, block, __VA_ARGS__);     \
        for (; block < (l)->units4; block += 4) f(4, block, __VA_ARGS__);                      \
    }

INLINE void lstm_forward(int width, size_t block, const float *restrict gates, const float *restrict c,
                         float *restrict new_c, float *restrict tanh_c, float *restrict new_h) {
    const float *restrict i = gates + 4 * block, *f = i + width, *candidate = f + width, *o = candidate + width;
    PLAIN_LOOP
    for (int j = 0; j < width; j++) {
        const float value = f[j] * c[block + j] + i[j] * candidate[j];
        const float squashed = tanh_of(value);
        new_c[block + j] = value;
        tanh_c[block + j] = squashed;
        new_h[block + j] = o[j] * squashed;
    }
}

INLINE void gru_forward(int width, size_t block, float *restrict gates, const float *restrict from_input,
                        const float *restrict from_state, const float *restrict h, float *restrict side,
                        float *restrict new_h) {
    const float *restrict z = gates + 3 * block, *r = z + width;
    float *restrict candidate = gates + 3 * block + 2 * width;
    PLAIN_LOOP
    for (int j = 0; j < width; j++) {
        const float recurrent = from_state[3 * block + 2 * width + j];
        const float value = tanh_of(from_input[3 * block + 2 * width + j] + r[j] * recurrent);
        side[block + j] = recurrent;
        candidate[j] = value;
        new_h[block + j] = value + z[j] * (h[block + j] - value);
    }
}

/* sigmoid(x) = (1 + tanh(x / 2)) / 2, so one formula serves all gates, and no vector of mixed gates is done twice. */
INLINE void squash(float *gates, const float *sums, const float *scale, size_t columns) {
    for (size_t at = 0; at < columns; at += LANES)
        for (int j = 0; j < LANES; j++) {
            const float s = scale[at + j];
            gates[at + j] = (1.0f - s) + s * tanh_of(s * sums[at + j]);
        }
}

/* One step of one row, from the state in slot `from` to that in slot `to`. */
static void forward(Trial *t, const int32_t *x, size_t from, size_t to) {
    const Layout *l = &t->layout;
    const float *weights = t->weights, *h = t->h + from * l->lanes;
    float *gates = t->gates + from * l->columns, *new_h = t->h + to * l->lanes, *side = t->side + from * l->lanes;
    float *sums = t->from_input;
    memcpy(sums, weights + l->bias, l->columns * sizeof(float));
    for (int f = 0; f < t->task->features; f++)
        if (x[f] >= 0) add_vectors(sums, weights + l->kernel + x[f] * l->columns, l->columns);

    if (t->task->cell == LSTM) {
        add_product(l, sums, h, weights + l->recurrent);
        squash(gates, sums, t->scale, l->columns);
        FOR_UNITS(l, lstm_forward, gates, t->c + from * l->lanes, t->c + to * l->lanes, side, new_h)
    } else if (t->task->cell == GRU) {
        memcpy(t->from_state, weights + l->bias + l->columns, l->columns * sizeof(float));
        add_product(l, t->from_state, h, weights + l->recurrent);
        for (size_t v = 0; v < l->columns / LANES; v++)
            VECTORS(gates)[v] = VECTORS(sums)[v] + VECTORS(t->from_state)[v];
        squash(gates, gates, t->scale, l->columns);
        FOR_UNITS(l, gru_forward, gates, sums, t->from_state, h, side, new_h)
    } else {
        add_product(l, sums, h, weights + l->recurrent);
        squash(gates, sums, t->scale, l->columns);
        memcpy(new_h, gates, l->lanes * sizeof(float));
    }
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
    for (size_t symbol = 0; symbol < symbols; symbol += 4) {
        const vec *row[4];
        for (size_t i = 0; i < 4; i++) { /* beyond the last row: that again, into the padding */
            const size_t of = symbol + i < symbols ? symbol + i : symbols - 1;
            row[i] = VECTORS(t->weights + l->readout + of * l->lanes);
        }
        four_products(t->logits + symbol, row[0], row[1], row[2], row[3], VECTORS(h), vectors);
    }
    add_vectors(t->logits, t->weights + l->readout_bias, l->symbols);
}

/* log(1 + e^z), of which `power` is e^-|z|, which does not overflow. */
INLINE float cost_of(float z, float power) { return (z < 0.0f ? 0.0f : z) + log1p_of(power); }

/* costs[o] = log(1 + e^z), gradient[o] = sigmoid(z) */
INLINE void sigmoid_costs(float *restrict costs, float *restrict gradient, const float *restrict logits, size_t count) {
    for (size_t at = 0; at < count; at += LANES)
        for (int j = 0; j < LANES; j++) {
            const float z = logits[at + j], power = exp_of(-fabsf(z));
            costs[at + j] = cost_of(z, power);
            gradient[at + j] = (z < 0.0f ? power : 1.0f) / (1.0f + power);
        }
}

INLINE void powers_of(float *restrict powers, const float *restrict logits, float largest, size_t count) {
    for (size_t at = 0; at < count; at += LANES)
        for (int j = 0; j < LANES; j++) powers[at + j] = exp_of(logits[at + j] - largest);
}

/* The loss of one step, and logits_gradient, both times `share`; the padding's gradient is zero. */
static float loss_of(Trial *t, size_t target, float share) {
    const size_t symbols = t->task->symbols, count = t->layout.symbols;
    float *gradient = t->logits_gradient, loss = 0.0f;
    const float *logits = t->logits;
    if (t->task->output == SIGMOID) {
        share /= symbols;
        sigmoid_costs(t->costs, gradient, logits, count);
        /* the target's is log(1 + e^-z): log(1 + e^z) - z is the same, but loses a small loss in rounding */
        t->costs[target] = cost_of(-logits[target], exp_of(-fabsf(logits[target])));
        for (size_t o = 0; o < symbols; o++) loss += t->costs[o];
    } else {
        float largest = logits[0], sum = 0.0f;
        for (size_t o = 1; o < symbols; o++) largest = logits[o] > largest ? logits[o] : largest;
        powers_of(gradient, logits, largest, count);
        for (size_t o = 0; o < symbols; o++) sum += gradient[o];
        for (size_t v = 0; v < count / LANES; v++) VECTORS(gradient)[v] *= 1.0f / sum;
        loss = logf(sum) + (largest - logits[target]);
    }
    gradient[target] -= 1.0f;
    for (size_t v = 0; v < count / LANES; v++) VECTORS(gradient)[v] *= share;
    for (size_t o = symbols; o < count; o++) gradient[o] = 0.0f;
    return loss * share;
}

/* The loss of what stands in slot `to`; adds to the output layer's gradient and sets the step's pull on its h. */
static float score(Trial *t, size_t step_slot, size_t to, size_t target, float share) {
    const Layout *l = &t->layout;
    const float *h = t->h + to * l->lanes, *gradient = t->logits_gradient;
    read_out(t, h);
    const float loss = loss_of(t, target, share);
    add_vectors(t->gradient + l->readout_bias, gradient, l->symbols);
    for (size_t v = 0; v < l->lanes / LANES; v++) {
        vec *to_row = VECTORS(t->gradient + l->readout) + v, pull = {0};
        const vec *row = VECTORS(t->weights + l->readout) + v;
        for (int o = 0; o < t->task->symbols; o++, row += l->lanes / LANES, to_row += l->lanes / LANES) {
            pull += gradient[o] * *row;
            *to_row += gradient[o] * VECTORS(h)[v];
        }
        VECTORS(t->pull + step_slot * l->lanes)[v] = pull;
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
        const float squashed = tanh_c[block + j], dh = h_gradient[block + j];
        const float dc = c_gradient[block + j] + dh * o * (1.0f - squashed * squashed);
        gate[j] = dc * candidate * i * (1.0f - i);
        gate[width + j] = dc * c[block + j] * f * (1.0f - f);
        gate[2 * width + j] = dc * i * (1.0f - candidate * candidate);
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
        const float z = gate[j], r = gate[width + j], candidate = gate[2 * width + j], dh = h_gradient[block + j];
        const float dz = dh * (h[block + j] - candidate) * z * (1.0f - z);
        const float da = dh * (1.0f - z) * (1.0f - candidate * candidate);
        const float dr = da * recurrent[block + j] * r * (1.0f - r);
        input[j] = gate[j] = dz;
        input[width + j] = gate[width + j] = dr;
        input[2 * width + j] = da;
        gate[2 * width + j] = da * r;
        direct[block + j] = dh * z;
    }
}

INLINE void tanh_backward(float *restrict gates, const float *restrict h_gradient, size_t lanes) {
    for (size_t at = 0; at < lanes; at += LANES)
        for (int j = 0; j < LANES; j++)
            gates[at + j] = h_gradient[at + j] * (1.0f - gates[at + j] * gates[at + j]);
}

/* One step of one row: h_gradient and c_gradient from after the step to before it (`further`: does that matter?),
   gates from the gates to their gradient; adds to the gradients of kernel and bias. */
static void backward(Trial *t, const int32_t *x, size_t slot, size_t row, int further) {
    const Layout *l = &t->layout;
    float *gates = t->gates + slot * l->columns, *side = t->side + slot * l->lanes, *input = gates;
    float *dh = t->h_gradient + row * l->lanes, *direct = t->from_state;
    if (t->task->cell == LSTM) {
        FOR_UNITS(l, lstm_backward, gates, t->c + slot * l->lanes, side, dh, t->c_gradient + row * l->lanes)
    } else if (t->task->cell == GRU) {
        input = t->from_input;
        FOR_UNITS(l, gru_backward, gates, input, t->h + slot * l->lanes, side, dh, direct)
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
    for (size_t k = 0; k < l->recurrent_rows; k += 4, rows += 4 * vectors)
        four_products(dh + k, rows, rows + vectors, rows + 2 * vectors, rows + 3 * vectors, VECTORS(gates), vectors);
    if (t->task->cell == GRU)
        for (size_t k = 0; k < l->units4; k++) dh[k] += direct[k];
}

static int any_nonzero(const float *numbers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (numbers[i] != 0.0f) return 1; /* NaN too */
    return 0;
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
        const uint8_t *scored = task->scored + number * batch, *valid = task->valid + number * batch;
        live |= memchr(scored, 1, batch) != NULL;
        if (!live) continue;
        const int further = recurrent && step > 0 && !task->reset[number] && !task->cut[number];
        if (!last) last = step + 1;
        for (size_t row = 0; row < batch; row++) {
            const size_t slot = step * batch + row;
            if (!valid[row]) {
                memset(t->gates + slot * l->columns, 0, l->columns * sizeof(float));
                continue;
            }
            if (scored[row]) add_vectors(t->h_gradient + row * l->lanes, t->pull + slot * l->lanes, l->lanes);
            backward(t, task->x + (number * batch + row) * task->features, slot, row, further);
        }
        if (!further) {
            memset(t->h_gradient, 0, rows * sizeof(float));
            memset(t->c_gradient, 0, rows * sizeof(float));
            live = 0;
        }
        if (!live || last - step == STEPS_AT_ONCE) {
            add_outer(t, step * batch, (last - step) * batch);
            last = 0;
            /* through hundreds of steps a gradient often vanishes altogether: then nothing is left to do */
            live = live && (any_nonzero(t->h_gradient, rows) || any_nonzero(t->c_gradient, rows));
        }
    }
}

/* ---------------------------------------------------------------- optimizers ------------------------------ */

/* Each also sets the gradient to zero for the next update. See memory_trials/optimizers.py for the formulas. */

static void adam(size_t count, float *weights, float *gradient, float *means, float *squares, float scale) {
    vec *w = VECTORS(weights), *g = VECTORS(gradient), *m = VECTORS(means), *v = VECTORS(squares);
    for (; count; count -= 4 * LANES, w += 4, g += 4, m += 4, v += 4) { /* four, as each has long to wait for itself */
        vec mean[4], square[4];
        for (int i = 0; i < 4; i++) mean[i] = m[i] + (g[i] - m[i]) * 0.1f;
        for (int i = 0; i < 4; i++) square[i] = v[i] + (g[i] * g[i] - v[i]) * 0.001f;
        for (int i = 0; i < 4; i++) m[i] = mean[i], v[i] = square[i], g[i] = (vec){0};
        for (int i = 0; i < 4; i++) w[i] -= mean[i] * scale * inverse_root(square[i], 1e-7f);
    }
}

static void rmsprop(size_t count, float *weights, float *gradient, float *squares, float learning_rate) {
    vec *w = VECTORS(weights), *g = VECTORS(gradient), *v = VECTORS(squares);
    for (size_t i = 0; i < count / LANES; i++) {
        v[i] = 0.9f * v[i] + 0.1f * (g[i] * g[i]);
        w[i] -= learning_rate * g[i] * inverse_root(v[i] + 1e-7f, 0.0f);
        g[i] = (vec){0};
    }
}

static void sgd(size_t count, float *restrict weights, float *restrict gradient, float learning_rate) {
    for (size_t at = 0; at < count; at += LANES)
        for (int j = 0; j < LANES; j++) {
            weights[at + j] -= learning_rate * gradient[at + j];
            gradient[at + j] = 0.0f;
        }
}

/* The powers are multiplied up step by step, so that they do not depend on where a call began; below what a
   double can tell from zero beside 1 they are zero. */
static void advance_powers(Trial *t) {
    t->power1 = t->power1 > 1e-30 ? t->power1 * 0.9 : 0.0;
    t->power2 = t->power2 > 1e-30 ? t->power2 * 0.999 : 0.0;
}

static void take_step(Trial *t) {
    const size_t size = t->layout.size;
    const float rate = t->task->learning_rate;
    if (t->task->optimizer == ADAM) {
        advance_powers(t);
        const float scale = rate * sqrt(1.0 - t->power2) / (1.0 - t->power1);
        adam(size, t->weights, t->gradient, t->mean, t->square, scale);
    } else if (t->task->optimizer == RMSPROP) {
        rmsprop(size, t->weights, t->gradient, t->square, rate);
    } else {
        sgd(size, t->weights, t->gradient, rate);
    }
}

/* ---------------------------------------------------------------- training and judging -------------------- */

/* One update: its loss before the optimizer's step, and whether there was one. */
static float update(Trial *t, size_t u, int64_t *steps_taken) {
    const Task *task = t->task;
    const size_t batch = task->batch, cells = task->steps * batch, lanes = t->layout.lanes;
    const uint8_t *scored = task->scored + u * cells, *valid = task->valid + u * cells;
    const int32_t *x = task->x + u * cells * task->features, *y = task->y + u * cells;
    size_t count = 0;
    for (size_t slot = 0; slot < cells; slot++) count += scored[slot];
    const float share = count ? 1.0f / count : 0.0f;
    double loss = 0.0;
    for (size_t step = 0; step < (size_t)task->steps; step++) {
        if (task->reset[u * task->steps + step]) zero_state(t, step * batch, batch);
        for (size_t slot = step * batch; slot < (step + 1) * batch; slot++) {
            if (!valid[slot]) {
                stand_still(t, slot, slot + batch);
                continue;
            }
            forward(t, x + slot * task->features, slot, slot + batch);
            if (scored[slot]) loss += score(t, slot, slot + batch, y[slot], share);
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
        for (size_t o = 0; o < symbols; o++) outputs[o] = 0.5f * (1.0f + tanhf(0.5f * t->logits[o]));
    } else {
        float largest = t->logits[0], sum = 0.0f;
        for (size_t o = 1; o < symbols; o++) largest = t->logits[o] > largest ? t->logits[o] : largest;
        for (size_t o = 0; o < symbols; o++) sum += outputs[o] = expf(t->logits[o] - largest);
        for (size_t o = 0; o < symbols; o++) outputs[o] /= sum;
    }
}

/* Is the target the first of the largest outputs? Asked of the activations, since numbers far apart may become
   the same activation: as memory_trials/forward.py has it, and with NaN no. */
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

/* log2(number of candidates) + log2 q, q the target's share of their outputs: memory_trials/evaluation.py. */
static float bits_of(const Trial *t, const int32_t *candidates, size_t target) {
    const float own = log_output(t, target);
    float largest = own, sum = 0.0f;
    int count = 0;
    for (; count < t->task->most && candidates[count] >= 0; count++) {
        const float other = log_output(t, candidates[count]);
        largest = other > largest ? other : largest;
    }
    for (int i = 0; i < count; i++) sum += exp_of(log_output(t, candidates[i]) - largest);
    return (own - largest - logf(sum / count)) * 1.44269504088896341f;
}

/* What the trial answers at every scored step of every sequence, each from a zero state. */
static Finding judge(Trial *t) {
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
            forward(t, task->judge_x + number * task->features, from, to);
            if (task->judge_scored[number]) {
                const size_t target = task->judge_y[number];
                read_out(t, t->h + to * t->layout.lanes);
                activate(t);
                found.learned &= is_right(t, target);
                const float lead = lead_of(t, target);
                if (found.margin == found.margin && !(lead >= found.margin)) found.margin = lead;
                if (task->judge_group[number] >= 0) {
                    bits += bits_of(t, task->candidates + (size_t)task->judge_group[number] * task->most, target);
                    needed++;
                }
            }
            from = to, to = 2 * spare + 1 - from;
        }
    }
    found.memory = needed ? bits / needed : NAN;
    return found;
}

/* All scratch memory, zeroed, in one piece and each array on a vector's boundary; 0 if there is not enough. */
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
        {&t->gates, slots * l->columns}, {&t->side, slots * l->lanes}, {&t->pull, slots * l->lanes},
        {&t->h_gradient, batch * l->lanes}, {&t->c_gradient, batch * l->lanes}, {&t->from_input, l->columns},
        {&t->from_state, l->columns}, {&t->logits, l->symbols}, {&t->costs, l->symbols},
        {&t->logits_gradient, l->symbols}, {&t->scale, l->columns},
    };
    size_t total = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) total += wanted[i].floats;
    t->memory = calloc(total + LANES, sizeof(float));
    if (!t->memory) return 0;
    float *free_from = (float *)padded((size_t)t->memory, LANES * sizeof(float));
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
            memcpy(in ? own : plain, in ? plain : own, units * sizeof(float));
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
#ifdef __SSE__
    /* Gradients that vanish over many steps become denormal, which takes a hundred times as long: zero instead. */
    const unsigned int before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* flush to zero, denormals are zero */
#endif
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
            losses[number * epochs + epoch] = loss / updates;
            if (epoch + 1 == checks[check]) {
                const Finding found = judge(t);
                const int64_t at = number * count + check++;
                learned[at] = found.learned, margin[at] = found.margin, memory[at] = found.memory;
            }
        }

        unpack(t, plain, t->weights);
        for (size_t i = 0; i < l->slots; i++) unpack(t, slot + i * l->plain_size, own_slots[i]);
        move_states(t, own_states, 0);
    }
#ifdef __SSE__
    _mm_setcsr(before);
#endif
    free(t->memory);
    return 1;
}
