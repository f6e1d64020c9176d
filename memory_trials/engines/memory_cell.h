/* The memory cell of Hochreiter & Schmidhuber (1997), with the truncated gradient of their appendix A.1.

   A cell: s(t) = s(t-1) + y_in g(net_c), y_c = y_out h(s); its two gates are shared in a block. The gradient is cut where
   a net input of a gate or cell depends on outputs of the step before, so error flows back in time only through s, and
   d s / d w adds up forward in time (a trace): for a cell's weight from source y by g'(net_c) y_in y, for its input
   gate's by g(net_c) y_in' y.

   Weights: kernel [inputs, units], where there is one recurrent kernel [units or cells, units], bias [those units that have
   one]; the units are the input gates, the output gates where there are, and the cells, block by block. */

#ifndef MEMORY_CELL_H
#define MEMORY_CELL_H

#include "net.h"

#define WAITING 8 /* steps whose parts of the traces are added together, while a trace is in a register */

typedef struct {
    size_t blocks, size, gates, cells, units; /* gates: of all blocks, of both kinds */
    size_t recurrent;                         /* the last units, which are sources of the next step */
    size_t inputs, rows, biased;              /* inputs: real ones; rows of sources: inputs, recurrent ones, and 1 */
    size_t waiting;                           /* steps that traces wait for */
    vec *source, *factor; /* [WAITING, rows], [WAITING, 2 * cells]: a step adds source[row] * factor[i] to traces[row][i] */
    const vec *latest;    /* [rows]: the sources of each lane's latest step */
    vec *traces;          /* [rows, 2 * cells]: of each source's weights to the cells, then to their input gates */
    vec *indexed;         /* [inputs, 2 * cells]: the same of inputs that are 0 or 1 */
    vec *nets, *y;        /* [units] */
    vec *state, *squashed;                /* [cells]: s and h(s) */
    vec *error, *gate_error;              /* [cells]: the loss's gradient by s; [blocks]: by the output gate's net input */
    vec *row;                             /* [units]: gradients of the weights from one source */
} MemoryCell;

static MemoryCell memory_cell_sizes(const Setting *s) {
    MemoryCell c = {.size = s->block_size, .cells = s->units, .blocks = s->units / s->block_size};
    c.gates = c.blocks * (s->output_gate ? 2 : 1);
    c.units = c.gates + c.cells;
    c.biased = (s->input_gate_bias ? c.blocks : 0) + (s->output_gate_bias ? c.blocks : 0) + (s->cell_bias ? c.cells : 0);
    c.inputs = s->real_input ? s->inputs : 0;
    c.recurrent = !s->recurrent ? 0 : s->sees_gates ? c.units : c.cells;
    c.rows = c.inputs + c.recurrent + 1;
    return c;
}

static size_t memory_cell_weights(const Setting *s) {
    const MemoryCell c = memory_cell_sizes(s);
    return (s->inputs + c.recurrent) * c.units + c.biased;
}

static size_t memory_cell_hidden(const Setting *s) { return s->units; }

/* Hand out `room`, or only count it where it is NULL. */
static size_t memory_cell_arrays(MemoryCell *c, const Setting *s, vec *room) {
    const size_t indexed = s->real_input ? 0 : s->inputs;
    const Wanted wanted[] = {
        {&c->source, WAITING * c->rows}, {&c->factor, WAITING * 2 * c->cells}, {&c->traces, c->rows * 2 * c->cells},
        {&c->indexed, indexed * 2 * c->cells}, {&c->nets, c->units}, {&c->y, c->units}, {&c->state, c->cells},
        {&c->squashed, c->cells}, {&c->error, c->cells}, {&c->gate_error, c->blocks}, {&c->row, c->units},
    };
    return hand_out(wanted, COUNT(wanted), room);
}

static size_t memory_cell_room(const Setting *s, size_t steps) {
    (void)steps;
    MemoryCell c = memory_cell_sizes(s);
    return VECTORS_OF(MemoryCell) + memory_cell_arrays(&c, s, NULL);
}

static void memory_cell_place(Net *net, vec *room, size_t steps) {
    (void)steps;
    MemoryCell *c = (MemoryCell *)room;
    *c = memory_cell_sizes(net->setting);
    memory_cell_arrays(c, net->setting, room + VECTORS_OF(MemoryCell));
    c->latest = c->source;
    net->cell = c;
    net->seen = c->y + c->gates;
}

static void memory_cell_begin(Net *net) {
    MemoryCell *c = net->cell;
    const size_t indexed = net->setting->real_input ? 0 : net->setting->inputs;
    memset(c->state, 0, c->cells * sizeof(vec));
    memset(c->squashed, 0, c->cells * sizeof(vec));
    memset(c->y, 0, c->units * sizeof(vec));
    if (!net->training) return;
    memset(c->traces, 0, c->rows * 2 * c->cells * sizeof(vec));
    if (indexed) memset(c->indexed, 0, indexed * 2 * c->cells * sizeof(vec));
    c->waiting = 0;
}

/* Of up to 8 traces of a row, what the steps that wait add to them, step after step. */
INLINE void add_steps(size_t width, const MemoryCell *c, vec *trace, size_t row, size_t first, ivec alive, int whole) {
    vec sums[8];
    for (size_t w = 0; w < width; w++) sums[w] = trace[first + w];
    for (size_t step = 0; step < c->waiting; step++) {
        const vec *factor = c->factor + step * 2 * c->cells + first, source = c->source[step * c->rows + row];
        for (size_t w = 0; w < width; w++) sums[w] = fma_of(factor[w], source, sums[w]);
    }
    for (size_t w = 0; w < width; w++) trace[first + w] = whole ? sums[w] : select_of(alive, sums[w], trace[first + w]);
}

INLINE void memory_cell_trace(MemoryCell *own, ivec alive, int whole) {
    const MemoryCell copy = *own, *c = &copy;
    const size_t columns = 2 * c->cells;
    for (size_t row = 0; row < c->rows; row++) {
        vec *trace = c->traces + row * columns;
        size_t first = 0;
        for (; first + 8 <= columns; first += 8) add_steps(8, c, trace, row, first, alive, whole);
        if (columns - first >= 4) add_steps(4, c, trace, row, first, alive, whole), first += 4;
        if (columns - first >= 2) add_steps(2, c, trace, row, first, alive, whole);
    }
    own->waiting = 0;
}

/* The traces of the one input that is 1: of every lane another one. */
INLINE void memory_cell_trace_index(MemoryCell *c, const int32_t *index, const vec *factor, ivec alive) {
    const size_t columns = 2 * c->cells;
    for (int lane = 0; lane < LANES; lane++) {
        if (!alive[lane]) continue;
        float *trace = (float *)(c->indexed + index[lane] * columns) + lane;
        const float *own = (const float *)factor + lane;
        for (size_t column = 0; column < columns; column++) trace[column * LANES] += own[column * LANES];
    }
}

/* Which of the three kinds of units have a bias, and how many units there are of each. */
#define FOR_BIASES(s, c, kind, count, present, ...)                                                       \
    for (size_t kind = 0; kind < 3; kind++) {                                                             \
        const size_t count = kind == 0 ? (c)->blocks : kind == 1 ? (c)->gates - (c)->blocks : (c)->cells;  \
        const int present = kind == 0 ? (s)->input_gate_bias : kind == 1 ? (s)->output_gate_bias : (s)->cell_bias; \
        __VA_ARGS__                                                                                       \
    }

INLINE void memory_cell_step(Net *net, size_t step, ivec alive, const int whole) {
    const Setting s = *net->setting;
    MemoryCell *own = net->cell;
    if (!whole && own->waiting) memory_cell_trace(own, alive, 1); /* of steps in which all were alive */
    const MemoryCell copy = *own, *c = &copy; /* which no store into a vector can change */
    vec *source = c->source + c->waiting * c->rows, *factor = c->factor + c->waiting * 2 * c->cells;
    const vec *x = net->x + step * c->inputs, *latest = c->latest, *y = c->y + c->units - c->recurrent;
    for (size_t row = 0; row < c->rows; row++) {
        const vec new = row < c->inputs ? x[row] : row + 1 < c->rows ? y[row - c->inputs] : splat(1.0f);
        source[row] = whole ? new : select_of(alive, new, latest[row]);
    }
    own->latest = source;

    const vec *dense = net->weights + (s.real_input ? 0 : s.inputs * c->units);
    const vec *bias = dense + (c->rows - 1) * c->units;
    vec *nets = c->nets;
    FOR_BIASES(&s, c, kind, count, present, {
        for (size_t i = 0; i < count; i++) *nets++ = present ? *bias++ : (vec){0};
    })
    nets = c->nets;
    if (!s.real_input) add_row(nets, net->weights, net->index[step], c->units);
    add_product(nets, source, dense, c->rows - 1, c->units);
    squash(nets, c->units);

    for (size_t gate = 0; gate < c->gates; gate++) {
        nets[gate] = logistic_of(nets[gate]);
        c->y[gate] = whole ? nets[gate] : select_of(alive, nets[gate], c->y[gate]);
    }
    for (size_t cell = 0; cell < c->cells; cell++) {
        const vec squashed = nets[c->gates + cell], gate = nets[cell / c->size];
        const vec g = s.plain ? logistic_of(squashed) : (vec)(s.range_of_g * squashed);
        const vec slope = s.plain ? (vec)(g * (1.0f - g)) : (vec)(0.5f * s.range_of_g * (1.0f - squashed * squashed));
        factor[cell] = slope * gate;
        factor[c->cells + cell] = g * (gate * (1.0f - gate));
        const vec state = fma_of(gate, g, c->state[cell]);
        c->state[cell] = whole ? state : select_of(alive, state, c->state[cell]);
        nets[c->gates + cell] = c->state[cell];
    }
    if (!s.plain) squash(nets + c->gates, c->cells);
    for (size_t cell = 0; cell < c->cells; cell++) {
        const vec h = s.plain ? (vec)nets[c->gates + cell] : (vec)(s.range_of_h * nets[c->gates + cell]);
        const vec y = s.output_gate ? (vec)(c->y[c->blocks + cell / c->size] * h) : (vec)h;
        c->squashed[cell] = h;
        c->y[c->gates + cell] = y;
    }
    if (!net->training) return;
    if (!s.real_input) memory_cell_trace_index(own, net->index[step], factor, alive);
    own->waiting++;
    if (!whole) memory_cell_trace(own, alive, 0);
    else if (own->waiting == WAITING) memory_cell_trace(own, alive, 1);
}

static void memory_cell_forward(Net *net, size_t step, ivec alive, int whole) {
    if (whole) memory_cell_step(net, step, alive, 1);
    else memory_cell_step(net, step, alive, 0);
}

/* c->row [units]: the gradients of the weights from one source. */
INLINE void memory_cell_row(const MemoryCell *c, const vec *trace, vec source) {
    for (size_t block = 0; block < c->blocks; block++) {
        vec sum = (vec){0};
        for (size_t cell = block * c->size; cell < (block + 1) * c->size; cell++)
            sum = fma_of(c->error[cell], trace[c->cells + cell], sum);
        c->row[block] = sum;
    }
    for (size_t block = 0; block + c->blocks < c->gates; block++)
        c->row[c->blocks + block] = c->gate_error[block] * source;
    for (size_t cell = 0; cell < c->cells; cell++) c->row[c->gates + cell] = c->error[cell] * trace[cell];
}

static void memory_cell_backward(const Net *group, size_t step, ivec alive) {
    if (((MemoryCell *)group->cell)->waiting) memory_cell_trace(group->cell, alive, 1);
    const MemoryCell own = *(MemoryCell *)group->cell, *c = &own; /* copies, which no store into a vector can change */
    const Setting setting = *group->setting, *s = &setting;
    const Net copy = *group, *net = &copy;
    for (size_t block = 0; block < c->blocks; block++) {
        vec sum = (vec){0};
        const vec gate = c->y[c->blocks + block]; /* read only where there is one */
        for (size_t cell = block * c->size; cell < (block + 1) * c->size; cell++) {
            const vec h = c->squashed[cell], gradient = net->seen_gradient[cell];
            const vec by_h = s->output_gate ? (vec)(gate * gradient) : gradient;
            const vec slope = s->range_of_h * fma_of(-0.5f * (h / s->range_of_h), h / s->range_of_h, splat(0.5f));
            c->error[cell] = s->plain ? by_h : (vec)(by_h * slope);
            sum = fma_of(h, gradient, sum);
        }
        if (s->output_gate) c->gate_error[block] = gate * (1.0f - gate) * sum;
    }

    size_t weight = 0;
    if (!s->real_input) {
        ivec index;
        memcpy(&index, net->index[step], sizeof index);
        for (size_t input = 0; input < (size_t)s->inputs; input++) {
            memory_cell_row(c, c->indexed + input * 2 * c->cells, select_of(index == (int32_t)input, splat(1.0f), (vec){0}));
            for (size_t unit = 0; unit < c->units; unit++) change(net, weight++, c->row[unit], alive);
        }
    }
    for (size_t row = 0; row + 1 < c->rows; row++) {
        memory_cell_row(c, c->traces + row * 2 * c->cells, c->latest[row]);
        for (size_t unit = 0; unit < c->units; unit++) change(net, weight++, c->row[unit], alive);
    }
    memory_cell_row(c, c->traces + (c->rows - 1) * 2 * c->cells, splat(1.0f));
    const vec *gradient = c->row;
    FOR_BIASES(s, c, kind, count, present, {
        if (present)
            for (size_t i = 0; i < count; i++) change(net, weight++, gradient[i], alive);
        gradient += count;
    })
}

static const Cell memory_cell = {
    .weights = memory_cell_weights,
    .hidden = memory_cell_hidden,
    .room = memory_cell_room,
    .place = memory_cell_place,
    .begin = memory_cell_begin,
    .forward = memory_cell_forward,
    .backward = memory_cell_backward,
};

#endif
