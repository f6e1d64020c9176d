/* What a trained model computes, step by step, in double precision, from a trial's exported weights.

   The equations are those of memory_trials/cells and models/forward.py. A specimen is what memory_trials/report/microscope.py exports of an arm.

     Equations.forward(specimen, trialIndex, symbols)  every number of every step */
const Equations = (() => {
  "use strict";

  const sigmoid = (z) => 0.5 * (1 + Math.tanh(0.5 * z)); // 1 / (1 + exp(-z)), without overflow
  const SQUASH = { sigmoid, tanh: Math.tanh };

  /* specimen.equations is what the cell's module in memory_trials/cells shows: gates, which stand side by side in the
     columns of its weights in this order, and the equations of c and h. The arithmetic of a step is below. */

  /* The variables of one trial by name, each { shape, values }, from little-endian float32 in base64. */
  function decoded(specimen, trialIndex) {
    const text = atob(specimen.trials[trialIndex].weights);
    const bytes = new DataView(Uint8Array.from(text, (character) => character.charCodeAt(0)).buffer);
    const weights = {};
    let place = 0;
    for (const { name, shape } of specimen.variables) {
      const size = shape.reduce((product, length) => product * length, 1);
      const values = Float64Array.from({ length: size }, (_, k) => bytes.getFloat32(4 * (place + k), true));
      weights[name] = { shape, values };
      place += size;
    }
    return weights;
  }

  /* Where the input vector is 1 at each step: the symbol's place, and with a history the places of those before it,
     each in a further segment of the vector; nothing before the beginning. */
  function inputPlaces(specimen, symbols) {
    const size = specimen.alphabet.length;
    const places = symbols.map((symbol) => {
      const place = specimen.alphabet.indexOf(symbol);
      if (place < 0) throw new RangeError(`there is no symbol ${symbol}`);
      return place;
    });
    return places.map((_, t) =>
      Array.from({ length: Math.min(specimen.history, t + 1) }, (_, back) => places[t - back] + back * size));
  }

  /* vector · matrix, for a matrix of so many columns. */
  function product(vector, matrix, columns) {
    const sums = new Float64Array(columns);
    vector.forEach((factor, row) => {
      for (let column = 0; column < columns; column++) sums[column] += factor * matrix.values[row * columns + column];
    });
    return sums;
  }

  /* One step of a cell. x, r: the sums over the inputs and over the hidden state before, one for each column. */
  function cellStep(specimen, weights, x, r, before) {
    const units = specimen.units, cell = specimen.equations, bias = weights["cell/bias"].values;
    const each = (compute) => Float64Array.from({ length: units }, (_, unit) => compute(unit));
    const z = {}, gates = {};
    cell.gates.forEach(({ key, squash }, block) => {
      z[key] = each((unit) => {
        const k = block * units + unit;
        if (specimen.cell === "lstm") return x[k] + r[k] + bias[k];
        const recurrent = r[k] + bias[3 * units + k]; // a gru's bias has two rows, for x and for h
        return x[k] + bias[k] + (key === "g" ? gates.r[unit] : 1) * recurrent;
      });
      gates[key] = z[key].map(SQUASH[squash]);
    });
    if (specimen.cell === "lstm") {
      const c = each((unit) => gates.f[unit] * before.c[unit] + gates.i[unit] * gates.g[unit]);
      return { z, gates, c, h: each((unit) => gates.o[unit] * Math.tanh(c[unit])) };
    }
    if (specimen.cell === "gru") {
      return { z, gates, h: each((unit) => gates.z[unit] * before.h[unit] + (1 - gates.z[unit]) * gates.g[unit]) };
    }
    z.h = each((unit) => x[unit] + r[unit] + bias[unit]);
    return { z, gates, h: z.h.map(Math.tanh) };
  }

  function readOut(specimen, z) {
    if (specimen.output === "sigmoid") return z.map(sigmoid);
    const highest = Math.max(...z);
    const powers = z.map((value) => Math.exp(value - highest));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  }

  function run(specimen, weights, symbols) {
    const columns = weights["cell/kernel"].shape[1], size = specimen.alphabet.length;
    const zeros = new Float64Array(specimen.units);
    let before = { c: zeros, h: zeros };
    return inputPlaces(specimen, symbols).map((places) => {
      const x = new Float64Array(columns);
      for (const place of places) {
        for (let k = 0; k < columns; k++) x[k] += weights["cell/kernel"].values[place * columns + k];
      }
      const recurrent = weights["cell/recurrent_kernel"];
      const r = recurrent ? product(before.h, recurrent, columns) : new Float64Array(columns);
      const step = { places, x, r, before, ...cellStep(specimen, weights, x, r, before) };
      const sums = product(step.h, weights["output/kernel"], size);
      step.z.output = sums.map((sum, k) => sum + weights["output/bias"].values[k]);
      step.output = readOut(specimen, step.z.output);
      before = step;
      return step;
    });
  }

  /* A trial shown a sequence, from a state of zero. For each step: places (where the input vector is 1), x and r (the
     sums over inputs and over the hidden state before, for each column of the kernels), z (what goes into each
     function: by gate, and z.output), gates (i, f, g, o of an lstm; z, r, g of a gru), c (of an lstm), h, output, and
     before (the step before, with the c and h that this one starts from). `RangeError` for an unknown symbol. */
  function forward(specimen, trialIndex, symbols) {
    return run(specimen, decoded(specimen, trialIndex), symbols);
  }

  return { decoded, run, forward };
})();
