/* Logistic units that see the inputs and, of the step before, one another; the outputs see them and the inputs.

   Where weights change after each scored step, the gradient is that of real-time recurrent learning (Williams & Zipser
   1989): sensitivities d h_k / d w of every unit to every weight are carried forward in time, and stay as they are when
   the weights change under them. Where weights change after each sequence, it is that of back-propagation through time
   (Rumelhart, Hinton & Williams 1986), from the last step to the first. The gradient of the same weights is the same.

   Sensitivities, and gradients on their way back, that have faded below FADED are set to zero: they move no weight by a
   unit in its last place, and their subnormal remains would cost a hundred times as much.

   Weights: kernel [inputs, units], recurrent kernel [units, units], where there is one the bias [units]: a row for each
   source. */

#ifndef FULLY_RECURRENT_H
#define FULLY_RECURRENT_H

#include "net.h"

#define FADED 0x1p-64f

INLINE vec faded(vec x) { return select_of((x < FADED) & (x > -FADED), (vec){0}, x); }

typedef struct {
    size_t units, inputs, sources; /* sources: inputs, units, and 1 where there is a bias */
    int through_time;              /* back-propagation, not real-time recurrent learning */
    size_t states, at;             /* how many are kept, one after another and then again from the first; the latest */
    vec *h;                        /* [states, units] */
    vec *arriving, *carried, *sum_gradient; /* [steps, units]: the loss's gradient by h, of each step's own loss; [units]:
                                               of all later ones; [units]: of the sums that h is made of */
    vec *sensitivity, *next;       /* [units, units, sources]: of unit k to the weight of unit j from a source */
} FullyRecurrent;

/* Hand out `room`, or only count it where it is NULL. */
static size_t fully_recurrent_arrays(FullyRecurrent *f, const Setting *s, int through_time, size_t steps, vec *room) {
    *f = (FullyRecurrent){.units = s->units, .inputs = s->inputs, .through_time = through_time};
    f->states = through_time ? steps + 1 : 2;
    f->sources = f->inputs + f->units + (s->cell_bias ? 1 : 0);
    const size_t sensitivities = through_time ? 0 : f->units * f->units * f->sources;
    const Wanted wanted[] = {
        {&f->h, f->states * f->units}, {&f->arriving, through_time ? steps * f->units : 0}, {&f->carried, f->units},
        {&f->sum_gradient, f->units}, {&f->sensitivity, sensitivities}, {&f->next, sensitivities},
    };
    return hand_out(wanted, COUNT(wanted), room);
}

static size_t fully_recurrent_weights(const Setting *s) { return (s->inputs + s->units + (s->cell_bias ? 1 : 0)) * s->units; }

static size_t fully_recurrent_hidden(const Setting *s) { return s->units; }

static size_t fully_recurrent_room(const Setting *s, size_t steps) {
    FullyRecurrent f;
    return VECTORS_OF(FullyRecurrent) + fully_recurrent_arrays(&f, s, s->by_sequence, steps, NULL);
}

static void fully_recurrent_place(Net *net, vec *room, size_t steps) {
    FullyRecurrent *f = (FullyRecurrent *)room;
    fully_recurrent_arrays(f, net->setting, net->setting->by_sequence, steps, room + VECTORS_OF(FullyRecurrent));
    net->cell = f;
    net->seen = f->h;
}

static void fully_recurrent_begin(Net *net) {
    FullyRecurrent *f = net->cell;
    f->at = 0;
    memset(f->h, 0, f->units * sizeof(vec));
    if (net->training && !f->through_time)
        memset(f->sensitivity, 0, f->units * f->units * f->sources * sizeof(vec));
}

/* Unit k's sensitivities to the weights of unit j: through the units of the step before and, where it is itself, by the
   source that the weight is of. */
static void fully_recurrent_sense(Net *net, size_t step, size_t k, size_t j, const vec *before, vec slope, ivec alive) {
    const FullyRecurrent *f = net->cell;
    const size_t inputs = f->inputs, units = f->units, sources = f->sources;
    const vec *recurrent = net->weights + inputs * units + k;
    const vec *own = f->sensitivity + (k * units + j) * sources;
    vec *to = f->next + (k * units + j) * sources;
    for (size_t m = 0; m < units; m++) {
        const vec *from = f->sensitivity + (m * units + j) * sources, weight = recurrent[m * units];
        if (m == 0) for (size_t i = 0; i < sources; i++) to[i] = weight * from[i];
        else for (size_t i = 0; i < sources; i++) to[i] = fma_of(weight, from[i], to[i]);
    }
    if (j == k) {
        if (net->setting->real_input) for (size_t i = 0; i < inputs; i++) to[i] += net->x[step * inputs + i];
        else for (int lane = 0; lane < LANES; lane++) ((float *)(to + net->index[step][lane]))[lane] += 1.0f;
        for (size_t u = 0; u < units; u++) to[inputs + u] += before[u];
        if (net->setting->cell_bias) to[inputs + units] += 1.0f;
    }
    for (size_t i = 0; i < sources; i++) to[i] = select_of(alive, faded(slope * to[i]), own[i]);
}

static void fully_recurrent_forward(Net *net, size_t step, ivec alive, int whole) {
    FullyRecurrent *f = net->cell;
    const size_t units = f->units;
    const vec *before = f->h + f->at * units;
    const vec *kernel = net->weights, *recurrent = kernel + f->inputs * units, *bias = recurrent + units * units;
    f->at = (f->at + 1) % f->states;
    vec *h = f->h + f->at * units;
    (void)whole;
    for (size_t u = 0; u < units; u++) h[u] = net->setting->cell_bias ? bias[u] : (vec){0};
    add_inputs(net, h, kernel, step, units);
    add_product(h, before, recurrent, units, units);
    squash(h, units);
    for (size_t u = 0; u < units; u++) h[u] = select_of(alive, logistic_of(h[u]), before[u]);
    net->seen = h;
    if (!net->training) return;
    if (f->through_time) {
        memset(f->arriving + step * units, 0, units * sizeof(vec));
        return;
    }
    for (size_t k = 0; k < units; k++) {
        const vec slope = h[k] * (1.0f - h[k]);
        for (size_t j = 0; j < units; j++) fully_recurrent_sense(net, step, k, j, before, slope, alive);
    }
    vec *last = f->sensitivity;
    f->sensitivity = f->next, f->next = last;
}

static void fully_recurrent_backward(const Net *net, size_t step, ivec alive) {
    FullyRecurrent *f = net->cell;
    const size_t units = f->units, sources = f->sources;
    if (f->through_time) {
        for (size_t u = 0; u < units; u++)
            f->arriving[step * units + u] = select_of(alive, net->seen_gradient[u], (vec){0});
        return;
    }
    for (size_t i = 0; i < sources; i++)
        for (size_t j = 0; j < units; j++) {
            vec sum = net->seen_gradient[0] * f->sensitivity[j * sources + i];
            for (size_t k = 1; k < units; k++)
                sum = fma_of(net->seen_gradient[k], f->sensitivity[(k * units + j) * sources + i], sum);
            change(net, i * units + j, sum, alive);
        }
}

/* Back through time; what arrives in a lane after its sequence's end waits for its last step. */
static void fully_recurrent_finish(Net *net, size_t steps) {
    FullyRecurrent *f = net->cell;
    const size_t inputs = f->inputs, units = f->units;
    const vec *recurrent = net->weights + inputs * units;
    if (!f->through_time) return;
    memset(f->carried, 0, units * sizeof(vec));
    for (size_t step = steps; step-- > 0;) {
        const ivec alive = net->lengths > (int32_t)step;
        const vec *before = f->h + step * units, *h = before + units;
        for (size_t u = 0; u < units; u++) {
            f->carried[u] = faded(f->carried[u] + f->arriving[step * units + u]);
            f->sum_gradient[u] = f->carried[u] * (h[u] * (1.0f - h[u]));
        }
        for (size_t u = 0; u < units; u++) {
            vec sum = {0};
            for (size_t j = 0; j < units; j++) sum = fma_of(recurrent[u * units + j], f->sum_gradient[j], sum);
            f->carried[u] = select_of(alive, sum, f->carried[u]);
        }
        change_inputs(net, 0, step, f->sum_gradient, units, alive);
        for (size_t u = 0; u < units; u++)
            for (size_t j = 0; j < units; j++)
                change(net, (inputs + u) * units + j, before[u] * f->sum_gradient[j], alive);
        if (net->setting->cell_bias)
            for (size_t j = 0; j < units; j++) change(net, (inputs + units) * units + j, f->sum_gradient[j], alive);
    }
}

static const Cell fully_recurrent = {
    .weights = fully_recurrent_weights,
    .hidden = fully_recurrent_hidden,
    .room = fully_recurrent_room,
    .place = fully_recurrent_place,
    .begin = fully_recurrent_begin,
    .forward = fully_recurrent_forward,
    .backward = fully_recurrent_backward,
    .finish = fully_recurrent_finish,
};

#endif
