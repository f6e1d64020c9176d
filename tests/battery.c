/* The battery's tasks through native.c, as a program that any compiler can build for any processor (tests/battery.py).

   battery: trains the cases on stdin, and writes what each has come to. battery NAME: that function of the floats on
   stdin. */

#include "native.c"

#include <stdio.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

/* As a library that was linked with -ffast-math leaves a process. */
static void flush_to_zero(void) {
#ifdef __SSE__
    _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined __aarch64__
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)1 << 24));
#endif
}

enum { GROUPS = 2 }; /* sets of candidates in a task */

static void *take(size_t count, size_t size) {
    void *array = malloc(count * size + 1);
    if (!array || fread(array, size, count, stdin) != count) exit(1);
    return array;
}

static int more(void) {
    const int c = getchar();
    return c != EOF && ungetc(c, stdin) != EOF;
}

static void train_case(void) {
    Task task;
    if (fread(&task, sizeof(int32_t), 14, stdin) != 14) exit(1); /* thirteen numbers and the learning rate */
    const size_t cells = (size_t)task.updates * task.steps * task.batch, flags = (size_t)task.updates * task.steps;
    const size_t evaluated = (size_t)task.sequences * task.length;
    task.x = take(cells * task.features, 4), task.y = take(cells, 4);
    task.loss_mask = take(cells, 1), task.step_mask = take(cells, 1);
    task.reset = take(flags, 1), task.detach = take(flags, 1);
    task.eval_x = take(evaluated * task.features, 4), task.eval_y = take(evaluated, 4), task.eval_mask = take(evaluated, 1);
    task.eval_group = take(evaluated, 4), task.candidates = take((size_t)GROUPS * task.most, 4), task.eval_frequency = take(evaluated, 4);

    const int64_t *numbers = take(3, sizeof(int64_t)), trials = numbers[0], count = numbers[1], shuffled = numbers[2];
    const int64_t *checks = take(count, sizeof(int64_t)), epochs = checks[count - 1];
    const Layout l = make_layout(&task);
    const size_t state = (size_t)task.batch * l.states * task.units;
    float *parameters = take(trials * l.plain_size, sizeof(float));
    const int32_t *order = shuffled ? take(trials * epochs * task.updates, sizeof(int32_t)) : NULL;
    float *slots = calloc(trials * l.slots * l.plain_size + 1, sizeof(float));
    float *states = calloc(trials * state + 1, sizeof(float)), *losses = calloc(trials * epochs, sizeof(float));
    int64_t *steps = calloc(trials, sizeof(int64_t));
    uint8_t *learned = calloc(trials * count, 1);
    float *margin = calloc(trials * count, sizeof(float)), *memory = calloc(trials * count, sizeof(float));
    if (!memory_trials_run(&task, trials, parameters, slots, states, steps, count, checks, order, losses, learned,
                           margin, memory))
        exit(1);
    fwrite(parameters, sizeof(float), trials * l.plain_size, stdout);
    fwrite(slots, sizeof(float), trials * l.slots * l.plain_size, stdout);
    fwrite(states, sizeof(float), trials * state, stdout);
    fwrite(steps, sizeof(int64_t), trials, stdout);
    fwrite(losses, sizeof(float), trials * epochs, stdout);
    fwrite(learned, 1, trials * count, stdout);
    fwrite(margin, sizeof(float), trials * count, stdout);
    fwrite(memory, sizeof(float), trials * count, stdout);
}

static float first_tanh_of(float x) { return tanhs_of(splat(x))[0]; }

static void apply(const char *name) {
#define FUNCTION(f) {#f, f}
    static const struct {
        const char *name;
        float (*of)(float);
    } functions[] = {
        {"tanh_of", first_tanh_of}, FUNCTION(output_tanh_of), FUNCTION(exp_of), FUNCTION(log_of), FUNCTION(log2_of),
        FUNCTION(log1p_of),
    };
    float x, y;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(functions[i].name, name))
            while (fread(&x, sizeof x, 1, stdin) == 1) {
                y = canonical(functions[i].of(x));
                fwrite(&y, sizeof y, 1, stdout);
            }
}

int main(int count, char **words) {
    if (count > 1)
        apply(words[1]);
    else {
        flush_to_zero();
        while (more()) train_case();
    }
    return fflush(stdout) || ferror(stdout);
}
