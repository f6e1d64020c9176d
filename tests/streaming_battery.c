/* Reads what tests/streaming_battery.py has written, and writes what streaming.c makes of it. */

#include <stdio.h>
#include "streaming.c"

static void *taken(size_t bytes) {
    void *at = malloc(bytes ? bytes : 1);
    if (!at || fread(at, 1, bytes, stdin) != bytes) exit(1);
    return at;
}

int main(void) {
    Setting setting;
    while (fread(&setting, sizeof setting, 1, stdin)) {
        int64_t *head = taken(6 * sizeof *head); /* training, last_step_only, trials, count, steps, has possible */
        const int64_t trials = head[2], count = head[3], steps = head[4], sequences = trials * count;
        Sequences data = {.trials = trials, .count = count, .steps = steps, .every_step = setting.every_step};
        data.last_step_only = head[1];
        data.lengths = taken(4 * sequences);
        data.x = taken(4 * trials * steps * (setting.real_input ? setting.inputs : 1));
        data.y = taken(4 * (setting.every_step ? trials * steps : sequences));
        if (head[5]) data.possible = taken(4 * trials * steps);
        const int64_t size = memory_trials_streaming_size(&setting);
        float *weights = taken(4 * trials * size);
        const int64_t slot_size = trials * size * SLOTS[setting.optimizer];
        float *slots = calloc(slot_size + 1, 4);
        int64_t *steps_taken = calloc(trials, sizeof *steps_taken);
        Errors errors = {malloc(4 * sequences), malloc(4 * sequences), malloc(4 * sequences), malloc(sequences)};
        if (!memory_trials_stream(&setting, head[0], &data, weights, slots, steps_taken, &errors)) return 1;
        fwrite(weights, 4, trials * size, stdout);
        fwrite(slots, 4, slot_size, stdout);
        fwrite(errors.worst, 4, sequences, stdout);
        fwrite(errors.absolute, 4, sequences, stdout);
        fwrite(errors.squared, 4, sequences, stdout);
        fwrite(errors.right, 1, sequences, stdout);
    }
    return 0;
}
