/* The neural sequence chunker of Schmidhuber (1992), "Learning complex, extended sequences using the principle of history
   compression": two fully recurrent nets, of which the automatizer sees every input and predicts the next one, and the
   chunker sees those alone that the automatizer did not expect, and predicts the next one of those.

   The first input of a sequence is unexpected, and so is each that the automatizer's outputs were off by UNEXPECTED or more
   from. The chunker, whose latest input may be many steps ago, then learns to predict it, and takes it in. At each step
   further outputs of the automatizer learn to be as the chunker's hidden units are, so that its own hidden units learn early
   to carry what the chunker found worth carrying. Both nets learn by real-time recurrent learning. The answer, in training
   as in a test, is the automatizer's.

   Weights: the automatizer's as in fully_recurrent.h; all of the chunker, of the same size, with its outputs; of the
   further outputs the kernel [units, units], the kernel of the inputs [inputs, units], where there is one the bias. */

#ifndef CHUNKER_H
#define CHUNKER_H

#include "fully_recurrent.h"

#define UNEXPECTED 0.2f

typedef struct {
    FullyRecurrent automatizer, chunker;
    Net net;                /* the chunker's */
    int32_t latest[LANES];  /* its latest input */
    size_t imitation;       /* where the weights of the further outputs begin */
    ivec unexpected;
    vec *imitated;          /* [units]: the further outputs, then the gradients of their sums */
} Chunker;

static size_t chunker_own(const Setting *s) {
    return fully_recurrent_weights(s) + (s->inputs + s->units + (s->output_bias ? 1 : 0)) * s->outputs;
}

static size_t chunker_weights(const Setting *s) {
    return fully_recurrent_weights(s) + chunker_own(s) + (s->inputs + s->units + (s->output_bias ? 1 : 0)) * s->units;
}

static size_t chunker_room(const Setting *s, size_t steps) {
    FullyRecurrent f;
    return VECTORS_OF(Chunker) + 2 * fully_recurrent_arrays(&f, s, 0, steps, NULL) + s->outputs + 2 * s->units;
}

static void chunker_place(Net *net, vec *room, size_t steps) {
    const Setting *s = net->setting;
    const size_t first = fully_recurrent_weights(s);
    Chunker *c = (Chunker *)room;
    room += VECTORS_OF(Chunker);
    room += fully_recurrent_arrays(&c->automatizer, s, 0, steps, room);
    room += fully_recurrent_arrays(&c->chunker, s, 0, steps, room);
    c->net = *net;
    c->net.readout = first;
    c->net.weights = net->weights + first;
    c->net.gradient = net->gradient ? net->gradient + first : NULL;
    c->net.index = &c->latest;
    c->net.outputs = room, room += s->outputs;
    c->net.seen_gradient = room, room += s->units;
    c->net.cell = &c->chunker;
    c->net.seen = c->chunker.h;
    c->imitated = room;
    c->imitation = first + chunker_own(s);
    net->cell = &c->automatizer; /* a Chunker begins with it */
    net->seen = c->automatizer.h;
}

static void chunker_begin(Net *net) {
    Chunker *c = net->cell;
    fully_recurrent_begin(net);
    if (!net->training) return;
    c->net.training = 1;
    fully_recurrent_begin(&c->net);
    c->unexpected = all_of(-1);
}

static int any_set(ivec mask) {
    int32_t any = 0;
    for (int lane = 0; lane < LANES; lane++) any |= mask[lane];
    return any;
}

static void chunker_forward(Net *net, size_t step, ivec alive, int whole) {
    Chunker *c = net->cell;
    fully_recurrent_forward(net, step, alive, whole);
    const ivec moves = c->unexpected & alive;
    if (!net->training || !any_set(moves)) return;
    for (int lane = 0; lane < LANES; lane++)
        if (moves[lane]) c->latest[lane] = net->index[step][lane];
    fully_recurrent_forward(&c->net, 0, moves, 0);
}

static void chunker_backward(const Net *net, size_t step, ivec alive) {
    Chunker *c = net->cell;
    const Setting *s = net->setting;
    const size_t units = s->units, inputs = s->inputs;
    const vec *kernel = net->weights + c->imitation, *from_input = kernel + units * units, *bias = from_input + inputs * units;
    vec *imitated = c->imitated;
    for (size_t i = 0; i < units; i++) imitated[i] = s->output_bias ? bias[i] : (vec){0};
    add_inputs(net, imitated, from_input, step, units);
    add_product(imitated, net->seen, kernel, units, units);
    squash(imitated, units);
    for (size_t i = 0; i < units; i++) {
        imitated[i] = gradient_of(s, logistic_of(imitated[i]), c->net.seen[i]);
    }
    size_t weight = c->imitation;
    for (size_t u = 0; u < units; u++)
        for (size_t i = 0; i < units; i++, weight++) {
            net->seen_gradient[u] = fma_of(net->weights[weight], imitated[i], net->seen_gradient[u]);
            change(net, weight, net->seen[u] * imitated[i], alive);
        }
    change_inputs(net, weight, step, imitated, units, alive);
    weight += inputs * units;
    if (s->output_bias)
        for (size_t i = 0; i < units; i++, weight++) change(net, weight, imitated[i], alive);
    fully_recurrent_backward(net, step, alive);

    c->unexpected = net->error >= UNEXPECTED;
    const ivec learns = c->unexpected & alive;
    if (!any_set(learns)) return;
    read_out(&c->net, 0);
    for (size_t o = 0; o < (size_t)s->outputs; o++) {
        const vec goal = select_of(net->target == (int32_t)o, splat(1.0f), (vec){0});
        c->net.outputs[o] = gradient_of(s, c->net.outputs[o], goal);
    }
    learn_outputs(&c->net, 0, learns);
    fully_recurrent_backward(&c->net, 0, learns);
}

static const Cell chunker = {
    .weights = chunker_weights,
    .hidden = fully_recurrent_hidden,
    .room = chunker_room,
    .place = chunker_place,
    .begin = chunker_begin,
    .forward = chunker_forward,
    .backward = chunker_backward,
};

#endif
