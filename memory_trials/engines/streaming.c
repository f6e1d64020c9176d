/* Trains many independent trials on streams of sequences, one trial in each lane of a vector.

   The published networks have a hundred weights, too few to fill a vector: so LANES trials are computed side by side.
   They begin each sequence together, each its own; a lane whose sequence has ended waits, and keeps all it has.
   A cell is the functions of net.h's `Cell`; the layer of outputs, the loss, and what is found of each sequence stand
   here. The outputs are logistic or linear; the loss of a scored step is E = 1/2 sum (output - target)^2, or cross-entropy.

   The same bits on every machine: see native.c. Every operation is one of IEEE 754, lane by lane; every sum goes
   over sources, outputs and steps one after another, in the order of their numbers; sums of products are rounded once
   for each product (fma_of); tanh is elementary.h's. */

#include <fenv.h>
#include <stdlib.h>
#include "chunker.h"
#include "fully_recurrent.h"
#include "keras_cells.h"
#include "memory_cell.h"

static const Cell *const CELLS[] = {
    [MEMORY_CELL] = &memory_cell, [FULLY_RECURRENT] = &fully_recurrent, [CHUNKER] = &chunker,
    [LSTM] = &keras_cell, [GRU] = &keras_cell, [SIMPLE_RNN] = &keras_cell,
};

static const size_t SLOTS[] = {[SGD] = 0, [ADAM] = 2, [RMSPROP] = 1};

/* N sequences of each of T trials: see tasks/streams.py. */
typedef struct {
    int64_t trials, count, steps;
    const int32_t *lengths; /* [trials, count]; 0: no sequence */
    const void *x, *y;      /* [trials, steps] or [trials, steps, inputs]; [trials, steps] or [trials, count] */
    const uint32_t *possible; /* [trials, steps] or NULL */
    int32_t every_step;     /* targets stand at every step */
    int32_t last_step_only; /* but only the last one is scored */
} Sequences;

/* [trials, count]: of each sequence, before what is learned from it. */
typedef struct {
    float *worst, *absolute, *squared;
    uint8_t *right;
} Errors;

/* The same of a group's sequence, while it lasts: sums, and a mask. */
typedef struct {
    vec worst, absolute, squared;
    ivec right;
} Found;

/* What is right at one step: the number of the output whose target is 1 or, of real targets, the one target; where
   `by_bits`, which outputs are to be the most active ones. */
typedef struct {
    ivec index, bits;
    vec real;
    int by_bits;
} Target;

INLINE ivec longer_than(ivec lengths, size_t step) { return lengths > (int32_t)step; }

static int all_set(ivec mask) {
    int32_t all = -1;
    for (int lane = 0; lane < LANES; lane++) all &= mask[lane];
    return all;
}

/* Compare the outputs with their targets; then net->outputs holds the gradients of their sums. */
static void score(Net *net, Found *found, const Target *target, ivec alive) {
    vec absolute = {0}, squared = {0}, worst = {0}, least = splat(INFINITY), most = splat(-INFINITY);
    for (size_t o = 0; o < (size_t)net->setting->outputs; o++) {
        const vec y = net->outputs[o];
        const ivec bit = -((target->bits >> (int32_t)o) & 1), is_target = target->index == (int32_t)o;
        const ivec wanted = target->by_bits ? bit : is_target;
        const vec goal = net->setting->real_target ? target->real : select_of(is_target, splat(1.0f), (vec){0});
        const vec error = y - goal, size = select_of(error < 0.0f, -error, error);
        worst = larger_of(worst, size);
        absolute += size;
        squared = fma_of(error, error, squared);
        least = select_of(wanted, smaller_of(least, y), least);
        most = select_of(wanted, most, larger_of(most, y));
        net->outputs[o] = gradient_of(net->setting, y, goal);
    }
    net->target = target->index, net->error = worst;
    found->worst = select_of(alive, larger_of(found->worst, worst), found->worst);
    found->absolute = select_of(alive, found->absolute + absolute, found->absolute);
    found->squared = select_of(alive, found->squared + squared, found->squared);
    found->right &= ~alive | (least > most);
}

/* One lane's inputs of a sequence that begins at x; after its end its last one stands there. */
static void load_lane(Net *net, int lane, const void *x, size_t length, size_t steps) {
    const size_t inputs = net->setting->inputs;
    if (net->setting->real_input) {
        const float *from = x;
        float *to = (float *)net->x + lane;
        for (size_t i = 0; i < length * inputs; i++) to[i * LANES] = from[i];
        for (size_t i = length * inputs; i < steps * inputs; i++) to[i * LANES] = length ? to[(i - inputs) * LANES] : 0.0f;
    } else {
        const int32_t *from = x;
        for (size_t t = 0; t < length; t++) net->index[t][lane] = from[t];
        for (size_t t = length; t < steps; t++) net->index[t][lane] = length ? from[length - 1] : 0;
    }
}

/* Of lanes whose sequence has fewer steps, the target of the last one. */
static Target target_at(const Sequences *data, const Setting *s, const int64_t *trial, const int64_t *start, ivec lengths,
                        int64_t number, size_t step) {
    Target target = {.index = all_of(-1), .by_bits = data->possible != NULL};
    for (int lane = 0; lane < LANES; lane++) {
        const int64_t length = lengths[lane], last = length ? length - 1 : 0;
        const int64_t at = trial[lane] * data->steps + start[lane] + ((int64_t)step < last ? (int64_t)step : last);
        const int64_t y = data->every_step ? at : trial[lane] * data->count + number;
        if (!length) continue;
        if (s->real_target) target.real[lane] = ((const float *)data->y)[y];
        else target.index[lane] = ((const int32_t *)data->y)[y];
        if (data->possible) target.bits[lane] = (int32_t)data->possible[at];
    }
    return target;
}

/* ---------------------------------------------------------------- optimizers: see optimizers.py ----------- */

static vec root_of(vec x) {
    for (int lane = 0; lane < LANES; lane++) x[lane] = sqrtf(x[lane]);
    return x;
}

/* The powers are multiplied up step by step, so that they do not depend on where a call began; below what a
   double can tell from zero beside 1 they are zero. */
static void advance_powers(Net *net, int lane) {
    net->power1[lane] = net->power1[lane] > 1e-30 ? net->power1[lane] * 0.9 : 0.0;
    net->power2[lane] = net->power2[lane] > 1e-30 ? net->power2[lane] * 0.999 : 0.0;
}

/* All weights, in lanes that had a sequence; the gradient becomes zero for the next one. */
static void take_step(Net *net) {
    const ivec alive = net->lengths > 0;
    const float learning_rate = net->setting->learning_rate;
    vec rate = splat(learning_rate);
    if (net->setting->optimizer == ADAM)
        for (int lane = 0; lane < LANES; lane++) {
            if (alive[lane]) advance_powers(net, lane);
            rate[lane] = learning_rate * sqrt(1.0 - net->power2[lane]) / (1.0 - net->power1[lane]);
        }
    for (size_t i = 0; i < net->size; i++) {
        const vec gradient = net->gradient[i], weight = net->weights[i];
        vec changed;
        if (net->setting->optimizer == ADAM) {
            const vec mean = fma_of(gradient - net->mean[i], splat(0.1f), net->mean[i]);
            const vec square = fma_of(fma_of(gradient, gradient, -net->square[i]), splat(0.001f), net->square[i]);
            changed = weight - mean * rate / (root_of(square) + 1e-7f);
            net->mean[i] = select_of(alive, mean, net->mean[i]);
            net->square[i] = select_of(alive, square, net->square[i]);
        } else if (net->setting->optimizer == RMSPROP) {
            const vec square = fma_of(splat(0.9f), net->square[i], 0.1f * (gradient * gradient));
            changed = weight - gradient * rate / root_of(square + 1e-7f);
            net->square[i] = select_of(alive, square, net->square[i]);
        } else {
            changed = fma_of(-rate, gradient, weight);
        }
        net->weights[i] = select_of(alive, changed, weight);
        net->gradient[i] = (vec){0};
    }
}

static void run_sequence(Net *net, const Cell *cell, const Sequences *data, const int64_t *trial, const int64_t *start,
                         int64_t number, Found *found) {
    const Setting *s = net->setting;
    const int every_step = data->every_step && !data->last_step_only;
    int32_t longest = 0;
    for (int lane = 0; lane < LANES; lane++) longest = net->lengths[lane] > longest ? net->lengths[lane] : longest;
    const size_t steps = longest;
    const size_t numbers = s->real_input ? s->inputs : 1;
    for (int lane = 0; lane < LANES; lane++) {
        const int64_t at = (trial[lane] * data->steps + start[lane]) * numbers;
        load_lane(net, lane, (const float *)data->x + at, net->lengths[lane], steps); /* int32_t is just as long */
    }
    *found = (Found){.right = all_of(-1)};
    cell->begin(net);
    for (size_t step = 0; step < steps; step++) {
        const ivec alive = longer_than(net->lengths, step);
        if (!s->dormant) cell->forward(net, step, alive, all_set(alive));
        if (!every_step && step + 1 < steps) continue;
        const ivec scored = every_step ? alive : longer_than(net->lengths, 0);
        const Target target = target_at(data, s, trial, start, net->lengths, number, step);
        read_out(net, step);
        score(net, found, &target, scored);
        if (!net->training) continue;
        learn_outputs(net, step, scored);
        if (!s->dormant) cell->backward(net, step, scored);
    }
    if (!net->training) return;
    if (cell->finish && !s->dormant) cell->finish(net, steps);
    if (net->gradient) take_step(net);
}

static void write_down(const Errors *errors, int64_t at, const Found *found, int lane, float scored) {
    errors->worst[at] = canonical(scored ? found->worst[lane] : NAN);
    errors->absolute[at] = canonical(found->absolute[lane] / scored);
    errors->squared[at] = canonical(found->squared[lane] / scored);
    errors->right[at] = scored && found->right[lane];
}

/* All memory of a group, zeroed, in one piece; 0 if there is not enough. */
static void *allocate(Net *net, const Cell *cell, size_t steps) {
    const Setting *s = net->setting;
    const size_t room = cell->room(s, steps), inputs = s->real_input ? (size_t)s->inputs : 1;
    vec *x, *cells;
    const size_t slots = net->gradient ? SLOTS[s->optimizer] : 0;
    const Wanted wanted[] = {
        {&net->weights, net->size}, {&net->gradient, net->gradient ? net->size : 0},
        {&net->square, slots > 0 ? net->size : 0}, {&net->mean, slots > 1 ? net->size : 0}, {&x, steps * inputs},
        {&net->outputs, s->outputs}, {&net->seen_gradient, net->hidden}, {&cells, room},
    };
    void *memory = calloc(hand_out(wanted, COUNT(wanted), NULL) + 1, sizeof(vec)); /* one more, to begin at a vector */
    if (!memory) return NULL;
    hand_out(wanted, COUNT(wanted), (vec *)(((uintptr_t)memory + sizeof(vec) - 1) / sizeof(vec) * sizeof(vec)));
    net->x = x;
    net->index = (int32_t(*)[LANES])x; /* int32_t is just as long */
    cell->place(net, cells, steps);
    return memory;
}

/* How many weights a trial has. */
int64_t memory_trials_streaming_size(const Setting *s) {
    const size_t inputs = s->through ? s->inputs : 0, bias = s->output_bias ? 1 : 0;
    const Cell *cell = CELLS[s->cell];
    return cell->weights(s) + (cell->hidden(s) + inputs + bias) * s->outputs;
}

/* Move a trial's numbers [size] into its lane of vectors, or out of it. */
static void load(vec *to, const float *from, size_t size, int lane) {
    for (size_t i = 0; i < size; i++) ((float *)(to + i))[lane] = from[i];
}

static void store(float *to, const vec *from, size_t size, int lane) {
    for (size_t i = 0; i < size; i++) to[i] = canonical(((const float *)(from + i))[lane]);
}

/* Train all trials on their sequences or, where not `training`, test them; 0 if memory is short. weights [trials, P],
   the optimizer's slots [trials, n, P] and the number of its steps [trials] are changed in place. */
int32_t memory_trials_stream(const Setting *setting, int32_t training, const Sequences *data, float *weights, float *slots,
                             int64_t *steps_taken, const Errors *errors) {
    const Cell *cell = CELLS[setting->cell];
    const int every_step = data->every_step && !data->last_step_only;
    Net group = {.setting = setting, .training = training}, *net = &group;
    net->readout = cell->weights(setting);
    net->hidden = cell->hidden(setting);
    net->size = memory_trials_streaming_size(setting);
    int32_t longest = 1;
    for (int64_t i = 0; i < data->trials * data->count; i++) longest = data->lengths[i] > longest ? data->lengths[i] : longest;
    vec sums; /* only says that there are gradients to add up */
    const int adds_up = setting->by_sequence && (every_step || cell->finish || setting->optimizer != SGD);
    net->gradient = training && adds_up ? &sums : NULL;
    const size_t own_slots = SLOTS[setting->optimizer];
    void *memory = allocate(net, cell, longest);
    if (!memory) return 0;
    fenv_t before;
    fegetenv(&before);
    fesetenv(FE_DFL_ENV); /* whatever the caller has set: round to nearest, nothing is flushed to zero */
    for (int64_t first = 0; first < data->trials; first += LANES) {
        const int64_t lanes = data->trials - first < LANES ? data->trials - first : LANES;
        int64_t trial[LANES], start[LANES] = {0};
        for (int lane = 0; lane < LANES; lane++) {
            trial[lane] = first + (lane < lanes ? lane : lanes - 1); /* the last trial once more, where there is no other */
            load(net->weights, weights + trial[lane] * net->size, net->size, lane);
            const float *slot = slots + trial[lane] * own_slots * net->size;
            if (net->square) load(net->square, slot + (own_slots - 1) * net->size, net->size, lane);
            if (net->mean) load(net->mean, slot, net->size, lane);
            net->power1[lane] = net->power2[lane] = 1.0;
            for (int64_t i = 0; net->gradient && i < steps_taken[trial[lane]] && net->power2[lane] > 0.0; i++)
                advance_powers(net, lane);
        }
        for (int64_t number = 0; number < data->count; number++) {
            Found found;
            for (int lane = 0; lane < LANES; lane++) net->lengths[lane] = data->lengths[trial[lane] * data->count + number];
            run_sequence(net, cell, data, trial, start, number, &found);
            for (int lane = 0; lane < LANES; lane++) {
                const float steps = every_step ? net->lengths[lane] : net->lengths[lane] > 0;
                start[lane] += net->lengths[lane];
                if (lane < lanes) write_down(errors, trial[lane] * data->count + number, &found, lane, steps * setting->outputs);
            }
        }
        for (int64_t lane = 0; training && lane < lanes; lane++) {
            store(weights + trial[lane] * net->size, net->weights, net->size, lane);
            float *slot = slots + trial[lane] * own_slots * net->size;
            if (net->square) store(slot + (own_slots - 1) * net->size, net->square, net->size, lane);
            if (net->mean) store(slot, net->mean, net->size, lane);
            for (int64_t number = 0; number < data->count; number++)
                steps_taken[trial[lane]] += data->lengths[trial[lane] * data->count + number] > 0;
        }
    }
    fesetenv(&before);
    free(memory);
    return 1;
}
