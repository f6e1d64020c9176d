/* What arithmetic alone takes, of bounds.py: everything in the nearest cache, nothing waits for anything else. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define VECTORS 276
#define FLOATS (8 * VECTORS)

static float mean[FLOATS], square[FLOATS], change[FLOATS];

/* Adam's root and division of the weights of the tutorial's network, so many times. */
float roots_and_divisions(int64_t times) {
    for (size_t i = 0; i < FLOATS; i++) mean[i] = 1.0f + i, square[i] = 1.5f + i;
    for (int64_t time = 0; time < times; time++) {
        for (size_t i = 0; i < FLOATS; i++) change[i] = mean[i] / (sqrtf(square[i]) + 1e-7f);
        __asm__ volatile("" ::: "memory"); /* each time anew */
    }
    return change[0];
}

/* So many times 96 fused multiply-adds, as 12 vectors of 8, each of which waits only for itself. */
float multiply_adds(int64_t times, float by, float and) {
    float x[96];
    for (int i = 0; i < 96; i++) x[i] = i;
    for (int64_t time = 0; time < times; time++)
        for (int i = 0; i < 96; i++) x[i] = fmaf(x[i], by, and);
    float sum = 0.0f;
    for (int i = 0; i < 96; i++) sum += x[i];
    return sum;
}
