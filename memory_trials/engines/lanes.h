/* Vectors with a trial in each lane. Operations are lane by lane, never across: a trial's bits depend neither on how many
   lanes a vector has nor on which trials are beside it. */

#ifndef LANES_H
#define LANES_H

#include <stddef.h>
#include "elementary.h"
#if defined __AVX__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_neon.h>
#endif

#ifndef LANES /* as many as this processor's vectors have */
#if defined __AVX512F__
#define LANES 16
#elif defined __AVX__
#define LANES 8
#else
#define LANES 4
#endif
#endif

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), may_alias)); /* numbers, or a mask: -1 is yes, 0 is no */

/* Before a loop of LANES turns: left a loop it becomes vectors, while unrolled first it stays single numbers. */
#define PLAIN_LOOP _Pragma("GCC unroll 1")

INLINE vec splat(float x) { return x - (vec){0}; }

INLINE ivec all_of(int32_t x) { return x - (ivec){0}; }

/* a * b + c, rounded once */
INLINE vec fma_of(vec a, vec b, vec c) {
#if LANES == 16 && defined __AVX512F__
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif LANES == 8 && defined __FMA__ && defined __AVX__
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif LANES == 4 && defined __aarch64__
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    for (int j = 0; j < LANES; j++) c[j] = fmaf(a[j], b[j], c[j]);
    return c;
#endif
}

INLINE vec select_of(ivec mask, vec yes, vec no) { return (vec)(((ivec)yes & mask) | ((ivec)no & ~mask)); }

/* The larger; NaN once there was one. */
INLINE vec larger_of(vec so_far, vec x) { return select_of((x > so_far) | (x != x), x, so_far); }

INLINE vec smaller_of(vec so_far, vec x) { return select_of((x < so_far) | (x != x), x, so_far); }

/* tanh(x / 2), of which all squashing functions are made: sigmoid = 1/2 + 1/2 tanh(x / 2). */
INLINE void squash(vec *x, size_t count) {
    float *numbers = (float *)x;
    PLAIN_LOOP
    for (size_t i = 0; i < count * LANES; i++) numbers[i] = tanh_of(0.5f * numbers[i]);
}

INLINE vec logistic_of(vec squashed) { return fma_of(splat(0.5f), squashed, splat(0.5f)); }

/* sums[0..width-1] += sum over rows of source[row] * matrix[row][first..], row after row, kept in registers. */
INLINE void tile(size_t width, vec *sums, const vec *source, const vec *matrix, size_t rows, size_t columns) {
    vec kept[8];
    for (size_t w = 0; w < width; w++) kept[w] = sums[w];
    for (size_t row = 0; row < rows; row++)
        for (size_t w = 0; w < width; w++) kept[w] = fma_of(matrix[row * columns + w], source[row], kept[w]);
    for (size_t w = 0; w < width; w++) sums[w] = kept[w];
}

/* sums [columns] += source [rows] times matrix [rows, columns]. */
static void add_product(vec *sums, const vec *source, const vec *matrix, size_t rows, size_t columns) {
    size_t first = 0;
    for (; first + 8 <= columns; first += 8) tile(8, sums + first, source, matrix + first, rows, columns);
    if (columns - first >= 4) tile(4, sums + first, source, matrix + first, rows, columns), first += 4;
    if (columns - first >= 2) tile(2, sums + first, source, matrix + first, rows, columns), first += 2;
    if (columns - first >= 1) tile(1, sums + first, source, matrix + first, rows, columns);
}

#endif
