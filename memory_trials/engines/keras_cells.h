/* lstm, gru (reset_after) and simple_rnn as Keras has them, with back-propagation through time over the whole sequence.

   Weights, in Keras's order: kernel [inputs, gates * units], recurrent kernel [units, gates * units], bias [gates *
   units] (of gru two: of the sums of inputs, and of the sums of states). Gates: lstm i, f, c, o; gru z, r, h. All
   activations of a sequence are kept. Gradients on their way back are set to zero below FADED (fully_recurrent.h). */

#ifndef KERAS_CELLS_H
#define KERAS_CELLS_H

#include "fully_recurrent.h"

#define STEPS_AT_ONCE 16 /* steps whose outer products are added at once, while the sums are in registers */

/* A step's `gates`: after forward the gates, after the way back the gradient of the sums they were made of. gru's row has a
   fourth part: forward, the recurrent part of the candidate's sum; back, the gradient of the part that is the inputs'. */
typedef struct {
    size_t units, inputs, columns, width; /* columns: gates * units; width: of a row of `gates` */
    size_t kernel, recurrent, bias;       /* where these weights begin */
    vec *h, *c;                           /* [steps + 1, units]: the state that a step begins with */
    vec *gates, *squashed;                /* [steps, width]; [steps, units]: lstm's tanh(c) */
    vec *arriving;                        /* [steps, units]: the loss's gradient by the new h, of each step's own loss */
    vec *h_gradient, *c_gradient;         /* [units]: of all later ones */
    vec *sums;                            /* [columns]: gru's of the inputs */
} KerasCell;

static size_t keras_arrays(KerasCell *k, const Setting *s, size_t steps, vec *room) {
    const size_t gates = s->cell == LSTM ? 4 : s->cell == GRU ? 3 : 1, units = s->units;
    *k = (KerasCell){.units = units, .inputs = s->inputs, .columns = gates * units};
    k->width = s->cell == GRU ? 4 * units : k->columns;
    k->recurrent = k->inputs * k->columns;
    k->bias = k->recurrent + units * k->columns;
    const size_t lstm = s->cell == LSTM ? 1 : 0;
    const Wanted wanted[] = {
        {&k->h, (steps + 1) * units}, {&k->c, lstm * (steps + 1) * units}, {&k->gates, steps * k->width},
        {&k->squashed, lstm * steps * units}, {&k->arriving, steps * units}, {&k->h_gradient, units},
        {&k->c_gradient, units}, {&k->sums, k->columns},
    };
    return hand_out(wanted, COUNT(wanted), room);
}

static size_t keras_weights(const Setting *s) {
    const size_t gates = s->cell == LSTM ? 4 : s->cell == GRU ? 3 : 1, biases = s->cell == GRU ? 2 : 1;
    return (s->inputs + s->units + biases) * gates * s->units;
}

static size_t keras_hidden(const Setting *s) { return s->units; }

static size_t keras_room(const Setting *s, size_t steps) {
    KerasCell k;
    return VECTORS_OF(KerasCell) + keras_arrays(&k, s, steps, NULL);
}

static void keras_place(Net *net, vec *room, size_t steps) {
    KerasCell *k = (KerasCell *)room;
    keras_arrays(k, net->setting, steps, room + VECTORS_OF(KerasCell));
    net->cell = k;
    net->seen = k->h;
}

static void keras_begin(Net *net) {
    KerasCell *k = net->cell;
    memset(k->h, 0, k->units * sizeof(vec));
    if (k->c) memset(k->c, 0, k->units * sizeof(vec));
}

/* ---------------------------------------------------------------- forward --------------------------------- */

/* squash has made tanh(x / 2) of x; here x is doubled before, so that it makes tanh(x) */
static void keras_tanh(vec *x, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] += x[i];
    squash(x, count);
}

static void keras_logistic(vec *x, size_t count) {
    squash(x, count);
    for (size_t i = 0; i < count; i++) x[i] = logistic_of(x[i]);
}

static void lstm_forward(Net *net, size_t step, ivec alive) {
    KerasCell *k = net->cell;
    const size_t units = k->units;
    const vec *h = k->h + step * units, *c = k->c + step * units;
    vec *gates = k->gates + step * k->width, *new_h = k->h + (step + 1) * units, *new_c = k->c + (step + 1) * units;
    vec *squashed = k->squashed + step * units;
    memcpy(gates, net->weights + k->bias, k->columns * sizeof(vec));
    add_inputs(net, gates, net->weights + k->kernel, step, k->columns);
    add_product(gates, h, net->weights + k->recurrent, units, k->columns);
    keras_logistic(gates, 2 * units);
    keras_tanh(gates + 2 * units, units);
    keras_logistic(gates + 3 * units, units);
    const vec *input = gates, *forget = input + units, *candidate = forget + units, *output = candidate + units;
    for (size_t u = 0; u < units; u++) {
        const vec value = fma_of(forget[u], c[u], input[u] * candidate[u]);
        new_c[u] = select_of(alive, value, c[u]);
        squashed[u] = value;
    }
    keras_tanh(squashed, units);
    for (size_t u = 0; u < units; u++) new_h[u] = select_of(alive, output[u] * squashed[u], h[u]);
}

static void gru_forward(Net *net, size_t step, ivec alive) {
    KerasCell *k = net->cell;
    const size_t units = k->units;
    const vec *h = k->h + step * units, *bias = net->weights + k->bias;
    vec *gates = k->gates + step * k->width, *new_h = k->h + (step + 1) * units, *sums = k->sums;
    memcpy(sums, bias, k->columns * sizeof(vec));
    memcpy(gates, bias + k->columns, k->columns * sizeof(vec));
    add_inputs(net, sums, net->weights + k->kernel, step, k->columns);
    add_product(gates, h, net->weights + k->recurrent, units, k->columns);
    for (size_t i = 0; i < 2 * units; i++) gates[i] += sums[i];
    keras_logistic(gates, 2 * units);
    const vec *update = gates, *reset = update + units;
    vec *candidate = gates + 2 * units, *recurrent = candidate + units;
    for (size_t u = 0; u < units; u++) {
        recurrent[u] = candidate[u];
        candidate[u] = fma_of(reset[u], recurrent[u], sums[2 * units + u]);
    }
    keras_tanh(candidate, units);
    for (size_t u = 0; u < units; u++)
        new_h[u] = select_of(alive, fma_of(update[u], h[u] - candidate[u], candidate[u]), h[u]);
}

static void simple_rnn_forward(Net *net, size_t step, ivec alive) {
    KerasCell *k = net->cell;
    const size_t units = k->units;
    const vec *h = k->h + step * units;
    vec *new_h = k->h + (step + 1) * units;
    memcpy(new_h, net->weights + k->bias, units * sizeof(vec));
    add_inputs(net, new_h, net->weights + k->kernel, step, units);
    add_product(new_h, h, net->weights + k->recurrent, units, units);
    keras_tanh(new_h, units);
    for (size_t u = 0; u < units; u++) new_h[u] = select_of(alive, new_h[u], h[u]);
}

static void keras_forward(Net *net, size_t step, ivec alive, int whole) {
    KerasCell *k = net->cell;
    (void)whole;
    if (net->setting->cell == LSTM) lstm_forward(net, step, alive);
    else if (net->setting->cell == GRU) gru_forward(net, step, alive);
    else simple_rnn_forward(net, step, alive);
    net->seen = k->h + (step + 1) * k->units;
    if (net->training) memset(k->arriving + step * k->units, 0, k->units * sizeof(vec));
}

static void keras_backward(const Net *net, size_t step, ivec alive) {
    const KerasCell *k = net->cell;
    for (size_t u = 0; u < k->units; u++)
        k->arriving[step * k->units + u] = select_of(alive, net->seen_gradient[u], (vec){0});
}

/* ---------------------------------------------------------------- back through time ----------------------- */

/* From h_gradient, the gradient of the sums that the gates were made of, which takes the gates' place; and of the state
   before, what does not go through the recurrent kernel: it takes the place of h_gradient and c_gradient. */

static void lstm_back(KerasCell *k, size_t step, ivec alive) {
    const size_t units = k->units;
    const vec *c = k->c + step * units, *squashed = k->squashed + step * units;
    vec *input = k->gates + step * k->width, *forget = input + units, *candidate = forget + units;
    vec *output = candidate + units;
    for (size_t u = 0; u < units; u++) {
        const vec i = input[u], f = forget[u], g = candidate[u], o = output[u], t = squashed[u];
        const vec by_h = k->h_gradient[u], by_c = fma_of(by_h * o, fma_of(-t, t, splat(1.0f)), k->c_gradient[u]);
        input[u] = select_of(alive, by_c * g * (i * (1.0f - i)), (vec){0});
        forget[u] = select_of(alive, by_c * c[u] * (f * (1.0f - f)), (vec){0});
        candidate[u] = select_of(alive, by_c * i * fma_of(-g, g, splat(1.0f)), (vec){0});
        output[u] = select_of(alive, by_h * t * (o * (1.0f - o)), (vec){0});
        k->c_gradient[u] = select_of(alive, faded(by_c * f), k->c_gradient[u]);
        k->h_gradient[u] = select_of(alive, (vec){0}, by_h);
    }
}

static void gru_back(KerasCell *k, size_t step, ivec alive) {
    const size_t units = k->units;
    const vec *h = k->h + step * units;
    vec *update = k->gates + step * k->width, *reset = update + units, *candidate = reset + units;
    vec *recurrent = candidate + units;
    for (size_t u = 0; u < units; u++) {
        const vec z = update[u], r = reset[u], g = candidate[u], part = recurrent[u], by_h = k->h_gradient[u];
        const vec by_candidate = by_h * (1.0f - z) * fma_of(-g, g, splat(1.0f));
        update[u] = select_of(alive, by_h * (h[u] - g) * (z * (1.0f - z)), (vec){0});
        reset[u] = select_of(alive, by_candidate * part * (r * (1.0f - r)), (vec){0});
        candidate[u] = select_of(alive, by_candidate * r, (vec){0});
        recurrent[u] = select_of(alive, by_candidate, (vec){0});
        k->h_gradient[u] = select_of(alive, by_h * z, by_h);
    }
}

static void simple_rnn_back(KerasCell *k, size_t step, ivec alive) {
    const vec *h = k->h + (step + 1) * k->units;
    vec *sum = k->gates + step * k->width;
    for (size_t u = 0; u < k->units; u++) {
        const vec by_h = k->h_gradient[u];
        sum[u] = select_of(alive, by_h * fma_of(-h[u], h[u], splat(1.0f)), (vec){0});
        k->h_gradient[u] = select_of(alive, (vec){0}, by_h);
    }
}

/* sums [rows] += matrix [rows, columns] times x [columns]; each sum goes over every fourth column, and then the four. */
static void add_transposed(vec *sums, const vec *matrix, const vec *x, size_t rows, size_t columns) {
    for (size_t row = 0; row < rows; row++, matrix += columns) {
        vec parts[4] = {{0}};
        size_t i = 0;
        for (; i + 4 <= columns; i += 4)
            for (size_t j = 0; j < 4; j++) parts[j] = fma_of(matrix[i + j], x[i + j], parts[j]);
        for (size_t j = 0; i + j < columns; j++) parts[j] = fma_of(matrix[i + j], x[i + j], parts[j]);
        sums[row] += (parts[0] + parts[1]) + (parts[2] + parts[3]);
    }
}

/* Of `height` rows and `width` columns of a gradient, the sum over steps of source [row] times gates [column]. */
INLINE void outer_tile(size_t height, size_t width, vec *gradient, size_t columns, const vec *source, size_t source_stride,
                       const vec *gates, size_t gates_stride, size_t steps) {
    vec kept[4][4];
    for (size_t r = 0; r < height; r++)
        for (size_t w = 0; w < width; w++) kept[r][w] = gradient[r * columns + w];
    for (size_t step = 0; step < steps; step++, source += source_stride, gates += gates_stride)
        for (size_t r = 0; r < height; r++)
            for (size_t w = 0; w < width; w++) kept[r][w] = fma_of(source[r], gates[w], kept[r][w]);
    for (size_t r = 0; r < height; r++)
        for (size_t w = 0; w < width; w++) gradient[r * columns + w] = kept[r][w];
}

INLINE void outer_rows(size_t height, vec *gradient, size_t stride, size_t columns, const vec *source, size_t source_stride,
                       const vec *gates, size_t gates_stride, size_t steps) {
    size_t i = 0;
    for (; i + 4 <= columns; i += 4)
        outer_tile(height, 4, gradient + i, stride, source, source_stride, gates + i, gates_stride, steps);
    for (; i < columns; i++)
        outer_tile(height, 1, gradient + i, stride, source, source_stride, gates + i, gates_stride, steps);
}

/* gradient [rows, columns] += the sum over steps, one after another, of sources [rows] times gates [columns]; stride: of
   the gradient's rows */
static void add_outer(vec *gradient, size_t stride, size_t rows, size_t columns, const vec *source, size_t source_stride,
                      const vec *gates, size_t gates_stride, size_t steps) {
    size_t row = 0;
    for (; row + 4 <= rows; row += 4)
        outer_rows(4, gradient + row * stride, stride, columns, source + row, source_stride, gates, gates_stride, steps);
    for (; row < rows; row++)
        outer_rows(1, gradient + row * stride, stride, columns, source + row, source_stride, gates, gates_stride, steps);
}

/* What the gradients of the sums of some steps mean for the kernels and the bias. */
static void keras_gradient(Net *net, size_t first, size_t steps) {
    KerasCell *k = net->cell;
    const size_t units = k->units, columns = k->columns, stride = columns, width = k->width;
    const vec *gates = k->gates + first * width;
    const size_t own = net->setting->cell == GRU ? 2 * units : columns; /* columns whose sum has one gradient */
    add_outer(net->gradient + k->recurrent, stride, units, columns, k->h + first * units, units, gates, width, steps);
    if (net->setting->real_input) {
        vec *to = net->gradient + k->kernel;
        const vec *x = net->x + first * k->inputs;
        add_outer(to, stride, k->inputs, own, x, k->inputs, gates, width, steps);
        add_outer(to + own, stride, k->inputs, columns - own, x, k->inputs, gates + 3 * units, width, steps);
    }
    for (size_t step = 0; step < steps; step++, gates += width) {
        vec *bias = net->gradient + k->bias;
        for (size_t i = 0; i < own; i++) bias[i] += gates[i];
        for (size_t i = own; i < columns; i++) bias[i] += gates[i + units];
        if (net->setting->cell == GRU)
            for (size_t i = 0; i < columns; i++) bias[columns + i] += gates[i];
    }
}

static void keras_finish(Net *net, size_t steps) {
    KerasCell *k = net->cell;
    const size_t units = k->units, columns = k->columns;
    memset(k->h_gradient, 0, units * sizeof(vec));
    memset(k->c_gradient, 0, units * sizeof(vec));
    size_t last = steps; /* keras_gradient is due from the present step to before this one */
    for (size_t step = steps; step-- > 0;) {
        const ivec alive = net->lengths > (int32_t)step;
        vec *gates = k->gates + step * k->width;
        for (size_t u = 0; u < units; u++) k->h_gradient[u] = faded(k->h_gradient[u] + k->arriving[step * units + u]);
        if (net->setting->cell == LSTM) lstm_back(k, step, alive);
        else if (net->setting->cell == GRU) gru_back(k, step, alive);
        else simple_rnn_back(k, step, alive);
        add_transposed(k->h_gradient, net->weights + k->recurrent, gates, units, columns);
        if (!net->setting->real_input && net->setting->cell == GRU) {
            memcpy(k->sums, gates, 2 * units * sizeof(vec));
            memcpy(k->sums + 2 * units, gates + 3 * units, units * sizeof(vec));
            change_inputs(net, k->kernel, step, k->sums, columns, alive);
        } else if (!net->setting->real_input) {
            change_inputs(net, k->kernel, step, gates, columns, alive);
        }
        if (step % STEPS_AT_ONCE == 0) { /* of whatever length the others' sequences are, the same steps together */
            keras_gradient(net, step, last - step);
            last = step;
        }
    }
}

static const Cell keras_cell = {
    .weights = keras_weights,
    .hidden = keras_hidden,
    .room = keras_room,
    .place = keras_place,
    .begin = keras_begin,
    .forward = keras_forward,
    .backward = keras_backward,
    .finish = keras_finish,
};

#endif
