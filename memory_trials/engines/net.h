/* What streaming.c and the cells share: a group of LANES trials at work, one in each lane. */

#ifndef NET_H
#define NET_H

#include "lanes.h"

enum { SGD, ADAM, RMSPROP };
enum { MEMORY_CELL, FULLY_RECURRENT, CHUNKER, LSTM, GRU, SIMPLE_RNN };

/* What streaming.Program passes; the same fields in the same order stand in streaming.py. */
typedef struct {
    int32_t cell, units, inputs, outputs;
    int32_t real_input, real_target, every_step; /* the task's: see tasks/streams.py */
    int32_t by_sequence;                         /* the weights change after each sequence, not after each scored step */
    int32_t through;                             /* outputs see the inputs, too */
    int32_t output_bias;
    int32_t block_size, recurrent, output_gate, plain; /* of the memory cell; plain: g is logistic, h the identity */
    int32_t input_gate_bias, output_gate_bias, cell_bias;
    int32_t optimizer;
    int32_t cross_entropy; /* the loss; else 1/2 sum of squares */
    int32_t dormant; /* there is no cell yet: it says nothing, and does not learn */
    int32_t linear;  /* outputs are their sums, rather than logistic */
    int32_t sees_gates; /* of the memory cell where it is recurrent: its units see the gates, and not the cells alone */
    float learning_rate;
    float range_of_g, range_of_h; /* of the memory cell where it is not plain: g from -range to range, and h */
} Setting;

/* A group at work. Arrays of numbers hold a vector for each, with a lane for each trial. Weights stand in the order of
   models/weights.py; the layer of outputs begins at `readout`: kernel [hidden, outputs], where outputs see the inputs
   their kernel [inputs, outputs], where there is one the bias [outputs]. */
typedef struct {
    const Setting *setting;
    int training;
    size_t size, readout, hidden;   /* weights; where the outputs' begin; how many numbers the outputs see of the cell */
    vec *weights, *gradient;        /* gradient: NULL where each scored step changes the weights at once */
    vec *mean, *square;             /* the optimizer's slots; NULL where it has none */
    double power1[LANES], power2[LANES]; /* Adam's 0.9^t and 0.999^t */
    vec *x;                         /* of real inputs: the sequence's [steps, inputs] */
    int32_t (*index)[LANES];        /* of others: which input is 1, [steps] */
    const vec *seen;                /* [hidden]: what the outputs see of the cell; the cell sets it */
    vec *outputs, *seen_gradient;   /* [outputs], of which score makes the gradient of their sums; [hidden] */
    ivec target;                    /* of a scored step: the output whose target is 1; -1 of real targets */
    vec error;                      /* of a scored step: the largest absolute one */
    ivec lengths;                   /* the sequence's; 0: a lane without a sequence */
    void *cell;                     /* what the cell keeps for itself */
} Net;

/* A cell. A lane that is not alive (its own sequence has ended) keeps all it has, bit for bit; `whole` says that all
   lanes are alive.

   weights: how many it has, before those of the outputs. hidden: how many of its numbers the outputs see. room: the
   vectors that it needs for itself, for sequences of so many steps; place: it takes them, and sets net->cell and
   net->seen. begin: a sequence begins. forward: one step of it, after which net->seen holds what the outputs see.
   backward: the step was scored (where only the last one is, each lane's own last one), and net->seen_gradient [hidden]
   is the gradient of its loss; by `change`, weights change or gradients add up. finish: all lanes' sequences are over;
   NULL where nothing is left to do. */
typedef struct {
    size_t (*weights)(const Setting *);
    size_t (*hidden)(const Setting *);
    size_t (*room)(const Setting *, size_t steps);
    void (*place)(Net *, vec *room, size_t steps);
    void (*begin)(Net *);
    void (*forward)(Net *, size_t step, ivec alive, int whole);
    void (*backward)(const Net *, size_t step, ivec alive);
    void (*finish)(Net *, size_t steps);
} Cell;

/* An array that somebody needs: where its address goes, and how many vectors it has. */
typedef struct {
    vec **array;
    size_t count;
} Wanted;

#define COUNT(wanted) (sizeof(wanted) / sizeof *(wanted))

/* The vectors of all arrays together; where there is `room`, they are handed out from there, none to an empty array. */
static size_t hand_out(const Wanted *wanted, size_t arrays, vec *room) {
    size_t total = 0;
    for (size_t i = 0; i < arrays; i++) {
        if (room) *wanted[i].array = wanted[i].count ? room + total : NULL;
        total += wanted[i].count;
    }
    return total;
}

/* A cell keeps what is its own at the beginning of its room: so many vectors. */
#define VECTORS_OF(type) ((sizeof(type) + sizeof(vec) - 1) / sizeof(vec))

/* What a weight's gradient of one scored step does, in lanes that are alive. */
INLINE void change(const Net *net, size_t weight, vec gradient, ivec alive) {
    if (net->gradient) {
        vec *sum = net->gradient + weight;
        *sum = select_of(alive, *sum + gradient, *sum);
    } else {
        vec *w = net->weights + weight;
        *w = select_of(alive, fma_of(splat(-net->setting->learning_rate), gradient, *w), *w);
    }
}

/* The same of one lane's weight alone. */
INLINE void change_lane(const Net *net, size_t weight, int lane, float gradient) {
    if (net->gradient) {
        float *sums = (float *)(net->gradient + weight);
        sums[lane] += gradient;
    } else {
        float *w = (float *)(net->weights + weight);
        w[lane] = fmaf(-net->setting->learning_rate, gradient, w[lane]);
    }
}

/* The gradient of an output's sum. Of the squared error it has the slope of the logistic function, which a linear
   output and cross-entropy do not. */
INLINE vec gradient_of(const Setting *s, vec output, vec goal) {
    const vec error = output - goal;
    return s->cross_entropy || s->linear ? error : (vec)(error * (output * (1.0f - output)));
}

/* Is the same input 1 in every lane? Then its weights are whole vectors. */
INLINE int is_common(const int32_t *index) {
    int32_t other = 0;
    for (int lane = 1; lane < LANES; lane++) other |= index[lane] ^ index[0];
    return !other;
}

/* sums [columns] += the row of a kernel [inputs, columns] at which each lane's input is 1. */
INLINE void add_row(vec *sums, const vec *kernel, const int32_t *index, size_t columns) {
    if (is_common(index)) {
        const vec *row = kernel + index[0] * columns;
        for (size_t column = 0; column < columns; column++) sums[column] += row[column];
        return;
    }
    for (int lane = 0; lane < LANES; lane++) {
        const float *row = (const float *)(kernel + index[lane] * columns) + lane;
        float *sum = (float *)sums + lane;
        for (size_t column = 0; column < columns; column++) sum[column * LANES] += row[column * LANES];
    }
}

/* What the gradients of sums [columns] do to the weights, from `weight` on, of their kernel [inputs, columns]. */
INLINE void change_inputs(const Net *net, size_t weight, size_t step, const vec *gradient, size_t columns, ivec alive) {
    const size_t inputs = net->setting->inputs;
    if (net->setting->real_input) {
        const vec *x = net->x + step * inputs;
        for (size_t i = 0; i < inputs; i++)
            for (size_t column = 0; column < columns; column++) change(net, weight++, x[i] * gradient[column], alive);
    } else if (is_common(net->index[step])) {
        weight += net->index[step][0] * columns;
        for (size_t column = 0; column < columns; column++) change(net, weight++, gradient[column], alive);
    } else {
        for (int lane = 0; lane < LANES; lane++)
            for (size_t column = 0; alive[lane] && column < columns; column++)
                change_lane(net, weight + net->index[step][lane] * columns + column, lane, gradient[column][lane]);
    }
}

/* sums [columns] += inputs of this step times their kernel [inputs, columns]. */
INLINE void add_inputs(const Net *net, vec *sums, const vec *kernel, size_t step, size_t columns) {
    const size_t inputs = net->setting->inputs;
    if (net->setting->real_input) add_product(sums, net->x + step * inputs, kernel, inputs, columns);
    else add_row(sums, kernel, net->index[step], columns);
}

static void read_out(Net *net, size_t step) {
    const Setting *s = net->setting;
    const size_t outputs = s->outputs, inputs = s->through ? s->inputs : 0;
    const vec *kernel = net->weights + net->readout, *from_input = kernel + net->hidden * outputs;
    const vec *bias = from_input + inputs * outputs;
    for (size_t o = 0; o < outputs; o++) net->outputs[o] = s->output_bias ? bias[o] : (vec){0};
    if (inputs) add_inputs(net, net->outputs, from_input, step, outputs);
    add_product(net->outputs, net->seen, kernel, net->hidden, outputs);
    if (s->linear) return;
    squash(net->outputs, outputs);
    for (size_t o = 0; o < outputs; o++) net->outputs[o] = logistic_of(net->outputs[o]);
}

/* From the gradients of the outputs' sums: net->seen_gradient, and what the outputs' weights do. */
static void learn_outputs(Net *net, size_t step, ivec alive) {
    const Setting *s = net->setting;
    const size_t outputs = s->outputs, inputs = s->inputs;
    size_t weight = net->readout;
    for (size_t h = 0; h < net->hidden; h++) {
        vec sum = {0};
        for (size_t o = 0; o < outputs; o++, weight++) {
            sum = fma_of(net->weights[weight], net->outputs[o], sum);
            change(net, weight, net->seen[h] * net->outputs[o], alive);
        }
        net->seen_gradient[h] = sum;
    }
    if (s->through) {
        change_inputs(net, weight, step, net->outputs, outputs, alive);
        weight += inputs * outputs;
    }
    if (s->output_bias)
        for (size_t o = 0; o < outputs; o++, weight++) change(net, weight, net->outputs[o], alive);
}

#endif
