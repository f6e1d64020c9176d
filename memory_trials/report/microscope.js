/* The memory microscope: what a trained model computes, step by step, for two sequences side by side.

   Everything shown is worked out here, by equations.js, from the trial's exported weights. A specimen is what
   memory_trials/report/microscope.py exports of an arm.

     Microscope.mount(element, specimen)

   Steps are counted from 1 and units from 0, as in predictions.csv and in the arrays of trained.npz. */
const Microscope = (() => {
  "use strict";

  const { decoded, run } = Equations;

  // Words and numbers --------------------------------------------------------------------------------------------

  const MINUS = "−";
  const minus = (text) => text.replace("-", MINUS);
  const fixed = (value, digits = 4) => minus(value.toFixed(digits));
  const signed = (value, digits = 2) => { // no sign before what is zero to so many places
    const text = fixed(Math.abs(value), digits);
    return Number(text) === 0 ? text : (value < 0 ? MINUS : "+") + text;
  };
  const percent = (share) => (share < 0.001 ? "less than 0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);
  const lossInWords = (loss) => (loss === null ? "no finite loss" : `loss ${Number(loss.toPrecision(3))}`);
  const highest = (values) => values.reduce((best, value, place) => (value > values[best] ? place : best), 0);
  const norm = (a, b) => Math.sqrt(a.reduce((sum, value, k) => sum + (value - b[k]) ** 2, 0));

  /* How a specimen's symbols are written: between spaces; where they hold spaces between commas; else as JSON. */
  function language(specimen) {
    const holds = (pattern) => specimen.alphabet.some((symbol) => pattern.test(symbol));
    const spaces = !holds(/[\s,]|^$/), commas = !holds(/,|^\s|\s$|^$/);
    const name = (symbol) => (!spaces && !commas && /[\s,"]|^$/.test(symbol) ? JSON.stringify(symbol) : symbol);
    const split = (text) => {
      if (spaces) return text.split(/[\s,]+/).filter((word) => word);
      if (commas) return text.split(",").map((word) => word.trim()).filter((word) => word);
      return text.match(/"(\\.|[^"\\])*"|[^\s,"]+/g) ?? [];
    };
    const separator = spaces ? " " : ", ";
    const write = (symbols) => symbols.map(name).join(separator);
    const brief = (symbols) => symbols.length <= 9 ? write(symbols)
      : `${write(symbols.slice(0, 4))}${separator}…${separator}${write(symbols.slice(-3))} (${symbols.length} symbols)`;
    const known = new Map(specimen.alphabet.map((symbol) => [name(symbol), symbol]));
    const longest = Math.max(2000, ...specimen.evaluation_sequences.map((sequence) => sequence.length));

    /* The symbols of a typed sequence; throws the one sentence that says what is wrong with it. */
    const read = (text, which) => {
      const words = split(text);
      if (words.length === 0) {
        const example = brief(specimen.evaluation_sequences[0].slice(0, -1));
        throw new RangeError(`${which} is empty: type at least one symbol, such as ${example}.`);
      }
      if (words.length > longest) {
        throw new RangeError(`${which} has ${words.length} symbols: ${longest} are the most that are shown here.`);
      }
      const unknown = words.find((word) => !known.has(word));
      if (unknown !== undefined) {
        throw new RangeError(`${which}: there is no symbol ${unknown}; the symbols are ${brief(specimen.alphabet)}.`);
      }
      return words.map((word) => known.get(word));
    };
    return { name, write, brief, read };
  }

  /* The indices that should be predicted, where an evaluation sequence begins with these symbols. */
  function targetPlaces(specimen, symbols) {
    const begins = specimen.evaluation_sequences.filter((evaluated) => symbols.every((symbol, t) => evaluated[t] === symbol));
    const evaluated = begins.find((sequence) => sequence.length === symbols.length + 1) ?? begins[0];
    return symbols.map((_, t) => {
      const counts = evaluated && t + 1 < evaluated.length && (!specimen.last_only || t === evaluated.length - 2);
      return counts ? specimen.alphabet.indexOf(evaluated[t + 1]) : null;
    });
  }

  /* The finding in sentences, the first of them the verdict; all by rule from the numbers. */
  function finding(specimen, words, sequences) {
    const symbol = (place) => words.name(specimen.alphabet[place]);
    const activation = (value) => fixed(value, 3);
    const stateKey = specimen.equations.c ? "c" : "h";
    if (sequences.some(({ steps }) => !steps.every(({ output }) => output.every(Number.isFinite)))) {
      return ["This trial's outputs are not numbers: its training diverged."];
    }
    const says = sequences.map(({ symbols, steps, targets }, k) => {
      const output = steps.at(-1).output, said = highest(output), target = targets.at(-1);
      const who = k ? "it" : "this trial";
      const text = `after ${words.brief(symbols)} ${who} says ${symbol(said)} (${activation(output[said])})`;
      const right = target === null ? null : said === target;
      if (target === null) return { text, right };
      return { text, right, target: symbol(target), has: activation(output[target]) };
    });
    const [one, two] = says;
    const verdictOf = ({ right, target, has }) =>
      right === null ? "not known" : right ? "right" : `wrong (${target} comes, which has ${has})`;
    let verdict = `A${one.text.slice(1)}, ${two.text}`;
    if (one.right && two.right) {
      verdict += ": both right";
    } else if (one.right === false && two.right === false) {
      verdict += `: both wrong (${one.target} and ${two.target} come, which have ${one.has} and ${two.has})`;
    } else if (one.right !== null || two.right !== null) {
      verdict += `: the first is ${verdictOf(one)}, the second ${verdictOf(two)}`;
    }
    const sentences = [verdict + "."];

    const wrong = sequences.flatMap(({ steps, targets }, k) => steps.slice(0, -1).flatMap(({ output }, t) =>
      targets[t] === null || highest(output) === targets[t] ? [] : [`step ${t + 1} of sequence ${k + 1}`]));
    if (wrong.length) {
      const others = wrong.length > 3 ? ` and ${wrong.length - 3} more` : "";
      sentences.push(`It is also wrong before, at ${wrong.slice(0, 3).join(", ")}${others}.`);
    }

    const [first, second] = sequences;
    const common = Math.min(first.steps.length, second.steps.length), last = common - 1;
    const apart = first.symbols.findIndex((symbol, t) => t < common && symbol !== second.symbols[t]);
    if (apart < 0) {
      sentences.push("The inputs are the same as far as both go, and so are all numbers.");
      return sentences;
    }
    const alike = first.steps.length === second.steps.length;
    const when = alike ? "at the last step" : `at step ${common}, the last of both`;
    const [a, b] = [first, second].map(({ steps }) => steps[last][stateKey]);
    const unit = byDifference(a, b)[0], isLeft = (size) => size >= 0.0005;
    sentences.push(isLeft(Math.abs(a[unit] - b[unit]))
      ? `The states differ most at unit ${unit}: ${stateKey} = ${signed(a[unit], 3)} against ${signed(b[unit], 3)} `
        + `${when}.`
      : `The states are the same ${when}, to three places: what set them apart is lost.`);

    if (last > apart && first.symbols[last] === second.symbols[last]) {
      const left = [stateKey, ...(stateKey === "c" ? ["h"] : [])].map((key) => {
        const [then, now] = [apart, last].map((t) => norm(first.steps[t][key], second.steps[t][key]));
        return `${percent(now / then)} in ${key} (${fixed(now, 3)} of ${fixed(then, 3)})`;
      });
      sentences.push(`Of the difference that the inputs make at step ${apart + 1}, there is left ${when}: `
        + `${left.join(", ")}.`);
    }
    const [p, q] = [first.targets.at(-1), second.targets.at(-1)];
    if (p !== null && q !== null && p !== q) {
      const [lean, other] = sequences.map(({ steps }) => steps.at(-1).z.output[p] - steps.at(-1).z.output[q]);
      const outcome = lean > 0 && other < 0
        ? "as it should be" + (one.right && two.right ? "" : ", but another symbol has more")
        : !isLeft(Math.abs(lean - other)) ? "nothing is left that could tell them apart"
        : lean < other ? "what is left of the difference pushes the wrong way"
        : "what is left of the difference pushes the right way, but the trial leans to "
          + `${symbol(lean + other > 0 ? p : q)} by more`;
      sentences.push(`To tell them apart, z of ${symbol(p)} minus z of ${symbol(q)} must be above 0 after the first `
        + `and below 0 after the second; it is ${signed(lean, 3)} and ${signed(other, 3)}: ${outcome}.`);
    }
    return sentences;
  }

  /* The units, those that differ most first. */
  function byDifference(a, b) {
    return Array.from(a.keys()).sort((j, k) => Math.abs(a[k] - b[k]) - Math.abs(a[j] - b[j]) || j - k);
  }

  // The view -----------------------------------------------------------------------------------------------------

  function make(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "class") node.className = value;
      else if (name in node) node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  const say = (tag, words, properties = {}) => make(tag, { textContent: words, ...properties });

  /* Two columns or more, the first of them names. */
  const table = (heads, rows) => make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((text) => say("th", text, { scope: "col" })))),
    make("tbody", {}, ...rows.map(([name, ...cells]) =>
      make("tr", {}, say("th", name, { scope: "row" }), ...cells.map((text) => say("td", text))))));

  const MOST_UNITS = 200, MOST_SYMBOLS = 40; // rows of a heat map; those that matter least are left out
  const NUMBERS_AT_MOST = 1000; // cells of a heat map in which numbers are written
  const COLUMNS = ["sequence 1", "sequence 2", "the difference"];

  function mount(element, specimen) {
    const words = language(specimen), cell = specimen.equations, stateKey = cell.c ? "c" : "h";
    const symbolAt = (place) => words.name(specimen.alphabet[place]);
    const quantities = [
      { key: "output", letter: "y", title: "output", signed: false, of: (step) => step.output,
        equation: `y = ${specimen.output}(h·V + b)` },
      { key: "c", letter: "c", title: "cell state", signed: true, of: (step) => step.c, equation: cell.c },
      { key: "h", letter: "h", title: "hidden state", signed: true, of: (step) => step.h, equation: cell.h },
      ...cell.gates.map(({ key, title, squash, equation }) => (
        { key, letter: key, title, signed: squash === "tanh", of: (step) => step.gates[key], equation, gate: true })),
    ].filter(({ equation }) => equation);
    const placeName = (key) => (key === "output" ? "symbol" : "unit"); // what a row of its heat map is

    /* What is looked at. key, column, step, unit and symbol say which cell of which heat map is chosen. */
    const view = {
      trial: 0, weights: null, sequences: [null, null], byDifference: true,
      key: stateKey, column: 0, step: 0, unit: 0, symbol: 0, opened: new Set(), cellWidth: 0,
    };
    let maps = []; // the heat maps that are drawn: see drawQuantity

    // Controls

    const best = specimen.trials.reduce((best, trial, k) => {
      const than = specimen.trials[best], loss = ({ loss }) => loss ?? Infinity;
      return trial.learned > than.learned || (trial.learned === than.learned && loss(trial) < loss(than)) ? k : best;
    }, 0);
    const trialSelect = make("select", { class: "trial" });
    for (const learned of [true, false]) {
      const group = make("optgroup", { label: learned ? "learned" : "did not learn" });
      specimen.trials.forEach((trial, k) => {
        const text = `seed ${trial.seed}, ${learned ? "learned" : "did not learn"}, ${lossInWords(trial.loss)}`;
        if (trial.learned === learned) group.append(say("option", text, { value: k }));
      });
      if (group.children.length) trialSelect.append(group);
    }
    trialSelect.value = best;
    const inputs = [0, 1].map((k) =>
      make("input", { type: "text", spellcheck: false, autocomplete: "off", class: `sequence of-${k}` }));
    const inputsOf = (sequence) => words.write(sequence.slice(0, -1));
    const sequenceSelects = [0, 1].map((k) => {
      const select = make("select", { "aria-label": `sequence ${k + 1}: one of the evaluation sequences` });
      select.append(say("option", "your own", { value: "" }));
      specimen.evaluation_sequences.forEach((sequence, number) => {
        select.append(say("option", `evaluation ${number + 1}: ${words.brief(sequence.slice(0, -1))}`, { value: number }));
      });
      return select;
    });
    const orderSelect = make("select", { class: "order" },
      say("option", `by the difference of ${stateKey} at the last step`, { value: "difference" }),
      say("option", "as they are", { value: "number" }));
    const slider = make("input", { type: "range", min: 1, class: "step" });
    const previous = make("button", { type: "button", textContent: "‹", "aria-label": "previous step" });
    const next = make("button", { type: "button", textContent: "›", "aria-label": "next step" });
    const stepWords = make("span", { class: "step-words" });
    const mistake = make("p", { class: "mistake", role: "alert" });
    const labelled = (text, ...nodes) => make("label", {}, make("span", { textContent: text }), ...nodes);
    const controls = make("div", { class: "controls" },
      labelled(specimen.trials.length < specimen.trials_in_all
        ? `Trial (${specimen.trials.length} of ${specimen.trials_in_all} are in this page)` : "Trial", trialSelect),
      ...[0, 1].map((k) => make("div", { class: "typed" }, labelled(`Sequence ${k + 1}`, inputs[k]), sequenceSelects[k])),
      labelled("Order of the units", orderSelect),
      make("div", { class: "stepper" }, labelled("Step", slider), previous, next, stepWords));

    // The stage: heads, heat maps, what is left of the difference; and the panel beside it

    const verdict = make("p", { class: "verdict" }), explained = make("p", { class: "explained" });
    const [heads, main, gates] = [0, 1, 2].map(() => make("div", { class: "grid" }));
    const gatesBox = make("details", { class: "gates", open: true }, make("summary", { textContent: "Gates" }), gates);
    gatesBox.hidden = cell.gates.length === 0;
    const tip = make("div", { class: "tip", hidden: true });
    const stage = make("div", { class: "stage", tabIndex: 0, role: "application",
      "aria-label": "Heat maps. Left and right arrow: the step; up and down: the unit or symbol; Page Up and Page "
        + "Down: the quantity; Home and End: first and last step. The calculation of the number stands beside." },
    heads, main);
    const left = make("div", { class: "left" });
    const heat = make("div", { class: "heat" }, stage, left, gatesBox, tip);
    const status = make("p", { class: "chosen-words", role: "status" });
    const work = make("div", { class: "work" });
    const panel = make("section", { class: "panel", "aria-label": "calculation of the chosen number" }, status, work);
    const root = make("div", { class: "microscope" }, controls, mistake, verdict, explained,
      make("div", { class: "bench" }, heat, panel));
    element.replaceChildren(root);

    const colour = (name) => { // as numbers, whatever way the page's styles write it
      const probe = root.appendChild(make("span", { style: `color: var(--${name})` }));
      const parts = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
      probe.remove();
      return parts;
    };
    const ink = { positive: colour("one"), negative: colour("two"), share: colour("share") };

    // Computing

    const longest = () => Math.max(...view.sequences.map(({ steps }) => steps.length));
    const common = () => Math.min(...view.sequences.map(({ steps }) => steps.length));
    const difference = (of, t) => {
      const [a, b] = view.sequences.map(({ steps }) => of(steps[t]));
      return a.map((value, k) => value - b[k]);
    };
    const compute = (symbols) => (
      { symbols, steps: run(specimen, view.weights, symbols), targets: targetPlaces(specimen, symbols) });

    function unitOrder() {
      const [a, b] = view.sequences.map(({ steps }) => steps[common() - 1][stateKey]);
      return view.byDifference ? byDifference(a, b) : Array.from(a.keys());
    }

    function symbolOrder() {
      const all = specimen.alphabet.map((_, place) => place);
      if (all.length <= MOST_SYMBOLS) return all;
      const every = view.sequences.flatMap(({ steps }) => steps);
      const loudest = all.map((place) => Math.max(...every.map(({ output }) => output[place])));
      return all.sort((j, k) => loudest[k] - loudest[j]).slice(0, MOST_SYMBOLS).sort((j, k) => j - k);
    }

    /* After another trial or sequence: everything anew. */
    function refresh() {
      slider.max = longest();
      view.step = Math.min(view.step, longest() - 1);
      const [text, ...more] = finding(specimen, words, view.sequences);
      verdict.textContent = text;
      explained.textContent = more.join(" ");
      view.unit = unitOrder()[0];
      view.symbol = highest(view.sequences[0].steps.at(-1).output);
      draw();
    }

    // Drawing

    function draw() {
      const units = unitOrder(), symbols = symbolOrder();
      const [labelWidth, gap] = stage.clientWidth < 500 ? [34, 4] : [44, 8];
      const room = (stage.clientWidth - labelWidth - 3 * gap) / 3 - 2; // a heat map has a border of 1 px
      view.cellWidth = Math.max(7, Math.min(52, Math.floor(room / longest())));
      root.style.setProperty("--cell", `${view.cellWidth}px`);
      root.style.setProperty("--label", `${labelWidth}px`);
      root.style.setProperty("--gap", `${gap}px`);
      root.style.setProperty("--map", `${view.cellWidth * longest() + 2}px`);
      root.style.setProperty("--digits", view.cellWidth < 30 ? "9.5px" : "10.5px");
      maps = [];
      drawHeads();
      main.replaceChildren();
      gates.replaceChildren();
      for (const quantity of quantities) {
        const rows = quantity.key === "output" ? symbols : units.slice(0, MOST_UNITS);
        drawQuantity(quantity, rows, quantity.gate ? gates : main);
      }
      drawLeft();
      choose({ step: view.step });
    }

    const scroller = (...children) => make("div", { class: "scroller", tabIndex: -1 }, ...children);

    /* Above the heat maps: what each sequence sees, should say and says. */
    function drawHeads() {
      const letters = specimen.alphabet.reduce((most, symbol) => Math.max(most, words.name(symbol).length), 0);
      const every = Math.ceil((8 + 7 * Math.min(4, letters)) / view.cellWidth); // only so many have room
      const row = (texts, marked, title) => make("div", { class: "head-row" }, ...texts.map((text, t) =>
        say("span", (texts.length - 1 - t) % every === 0 ? text : "",
          { class: `head${marked(t) ? " marked" : ""}`, title: title(t) })));
      const never = () => false, name = (place) => (place === null ? "" : symbolAt(place));
      const columns = view.sequences.map(({ symbols, steps, targets }) => {
        const said = steps.map(({ output }) => highest(output));
        const missed = (t) => targets[t] !== null && said[t] !== targets[t];
        const title = (t) => `step ${t + 1}: sees ${words.name(symbols[t])}, says ${name(said[t])}`
          + (targets[t] === null ? "" : `, ${name(targets[t])} comes`);
        const saying = said.map((place, t) => name(place) + (missed(t) ? "✗" : ""));
        const rows = [row(symbols.map(words.name), never, title), row(targets.map(name), never, title),
          row(saying, missed, title)];
        return { said, targets, symbols, rows };
      });
      const [one, two] = columns, steps = Array.from({ length: common() }, (_, t) => t);
      const same = (of, t) => (of(one)[t] === null || of(two)[t] === null ? "" : of(one)[t] === of(two)[t] ? "=" : "≠");
      const rows = [(c) => c.symbols, (c) => c.targets, (c) => c.said].map((of) =>
        row(steps.map((t) => same(of, t)), never, (t) => `step ${t + 1}`));
      const label = (text) => say("div", text, { class: "head-label" });
      heads.replaceChildren(
        make("div"), ...["Sequence 1", "Sequence 2", "1 − 2"].map((text, k) =>
          say("div", text, { class: `column-title of-${k}` })),
        make("div", {}, ...["input", "target", "says"].map(label)),
        ...[one.rows, two.rows, rows].map((rows) => scroller(...rows)));
    }

    const rowHeight = (rows) => (rows <= 32 ? 18 : rows <= 64 ? 10 : rows <= 100 ? 6 : 4);
    const niceScale = (largest) => { // rounded up, so that the scale is a number one can say
      if (!(largest > 0) || !Number.isFinite(largest)) return 1;
      const power = 10 ** Math.floor(Math.log10(largest));
      const factor = [1, 1.5, 2, 3, 4, 5, 7, 10].find((n) => n * power >= largest * (1 - 1e-9));
      return Number((factor * power).toPrecision(2));
    };

    function drawQuantity(quantity, rows, grid) {
      const columns = [0, 1].map((k) => view.sequences[k].steps.map(quantity.of));
      columns.push(Array.from({ length: common() }, (_, t) => difference(quantity.of, t)));
      const largest = (steps) => steps.reduce((most, values) =>
        values.reduce((most, value) => Math.max(most, Math.abs(value)), most), 0);
      const scale = quantity.signed ? Math.max(1, niceScale(Math.max(largest(columns[0]), largest(columns[1])))) : 1;
      const scales = [scale, scale, niceScale(largest(columns[2]))];
      const legend = (kind, from, to) => make("span", { class: "legend" }, from, make("i", { class: kind }), to);
      const both = (scale) => legend("diverging", `${MINUS}${scale}`, `+${scale}`);
      const isOutput = quantity.key === "output", inAll = isOutput ? specimen.alphabet.length : specimen.units;
      const fewer = isOutput ? `the ${rows.length} of ${inAll} symbols with the highest outputs`
        : `the first ${rows.length} of ${inAll} units in this order`;
      grid.append(make("div", { class: "title" },
        say("b", `${quantity.title} ${quantity.letter}`), say("span", quantity.equation, { class: "equation" }),
        make("span", { class: "legends" },
          quantity.signed ? both(scale) : legend("share", "0", "1"), "difference ", both(scales[2])),
        rows.length < inAll ? say("span", fewer, { class: "note" }) : null));
      const height = rowHeight(rows.length), every = Math.ceil(12 / height);
      const labels = rows.flatMap((row, k) => k % every ? [] : [say("span", isOutput ? symbolAt(row) : row,
        { style: `height: ${height * Math.min(every, rows.length - k)}px` })]);
      grid.append(make("div", { class: "row-labels" }, ...labels));
      columns.forEach((steps, column) => {
        const values = (row, t) => steps[t][rows[row]];
        const diverging = quantity.signed || column === 2;
        const box = make("div", { class: "map" });
        box.style.width = `${steps.length * view.cellWidth}px`;
        box.style.height = `${rows.length * height}px`;
        box.style.setProperty("--row", `${height}px`);
        box.append(painted(values, rows.length, steps.length, diverging, scales[column]));
        if (view.cellWidth >= 12 && height >= 10) box.append(make("div", { class: "lines" }));
        const numbers = numbersIn(values, rows.length, steps.length, diverging, scales[column], height);
        if (numbers) box.append(numbers);
        const beside = !numbers && height >= 10 ? box.appendChild(make("div", { class: "beside" })) : null;
        const frame = box.appendChild(make("div", { class: "frame" }));
        const mark = box.appendChild(make("div", { class: "mark", hidden: true }));
        maps.push({ quantity, column, box, values, rows, height, steps: steps.length, diverging, beside, frame, mark });
        grid.append(scroller(box));
      });
    }

    /* From white to a colour; how far is the share of the scale. */
    const shade = (value, diverging, scale) => {
      const share = Math.min(1, Math.abs(value) / scale) || 0; // what is not a number stays white
      const end = diverging ? (value < 0 ? ink.negative : ink.positive) : ink.share;
      return end.map((part) => Math.round(255 + share * (part - 255)));
    };

    /* One pixel for each number; the style sheet stretches it. */
    function painted(values, rows, steps, diverging, scale) {
      const canvas = make("canvas", { width: steps, height: rows, "aria-hidden": "true" });
      const image = new ImageData(steps, rows);
      for (let row = 0; row < rows; row++) {
        for (let t = 0; t < steps; t++) {
          image.data.set([...shade(values(row, t), diverging, scale), 255], 4 * (row * steps + t));
        }
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
      return canvas;
    }

    /* The numbers in the cells, with as many digits as fit; null where too few do. */
    function numbersIn(values, rows, steps, diverging, scale, height) {
      const wanted = scale > 1 ? 2 : scale > 0.1 ? 3 : scale > 0.01 ? 4 : 5;
      const fit = Math.floor((view.cellWidth - 3) / (view.cellWidth < 30 ? 5.8 : 6.4)); // the widths of a digit
      const digits = Math.min(wanted, fit - (diverging ? 2 : 1)); // beside the point and the sign
      if (height < 14 || (digits < 1 && steps > 6) || rows * steps > NUMBERS_AT_MOST) return null;
      const tooFew = digits < Math.max(1, wanted - 2); // then at least the sign of what is below zero
      const text = (value) => (tooFew ? (diverging && value < 0 ? MINUS : "") : short(value, diverging, digits));
      const layer = make("div", { class: "numbers", "aria-hidden": "true" });
      for (let row = 0; row < rows; row++) {
        for (let t = 0; t < steps; t++) {
          const [r, g, b] = shade(values(row, t), diverging, scale);
          const dark = 0.3 * r + 0.59 * g + 0.11 * b < 140;
          layer.append(say("span", text(values(row, t)), { class: dark ? "on-dark" : "" }));
        }
      }
      return layer;
    }

    const short = (value, diverging, digits) =>
      (diverging ? signed(value, digits) : fixed(value, digits)).replace(/^([+−]?)0\./, "$1.");

    /* Where cells are too small for numbers, those of the chosen step stand beside it. */
    function writeBeside({ beside, values, rows, steps, diverging }) {
      if (view.step >= steps) return beside.replaceChildren();
      const isLate = view.step >= steps / 2;
      beside.classList.toggle("before", isLate);
      beside.replaceChildren(...rows.map((_, row) => say("span", short(values(row, view.step), diverging, 3))));
    }

    /* The root of the sum of squares of the difference, step by step. */
    function drawLeft() {
      const kinds = quantities.filter(({ gate }) => !gate);
      const order = [...kinds.slice(1), kinds[0]]; // the way the difference takes: c, h, output
      const steps = Array.from({ length: common() }, (_, t) => t);
      const shown = (t) => [...new Set(view.sequences.map(({ symbols }) => words.name(symbols[t])))].join(" | ");
      const head = make("tr", {}, say("th", "step", { scope: "col" }), ...steps.map((t) =>
        make("th", { scope: "col", "data-step": t }, `${t + 1}`, say("small", shown(t)))));
      const body = order.map((quantity) => {
        const sizes = steps.map((t) => norm(...view.sequences.map(({ steps }) => quantity.of(steps[t]))));
        const most = sizes.reduce((a, b) => Math.max(a, b), 0);
        const share = (size) => (most > 0 ? (100 * size) / most : 0);
        return make("tr", {}, say("th", `${quantity.title} ${quantity.letter}`, { scope: "row" }),
          ...sizes.map((size, t) => make("td", { "data-step": t }, fixed(size, 3),
            make("span", { class: "bar" }, make("i", { style: `width: ${share(size)}%` })))));
      });
      left.replaceChildren(say("h3", "What is left of the difference"),
        say("p", "The root of the sum of squares of 1 − 2 over all units, or symbols; a bar is its share of the row's "
          + "largest.", { class: "note" }),
        make("div", { class: "scroller-alone", tabIndex: 0, role: "group", "aria-label": "what is left, step by step" },
          make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))));
    }

    // Choosing a number

    const stepsOf = (column) => (column < 2 ? view.sequences[column].steps.length : common());
    const rowOf = (map) => map.rows.indexOf(view[placeName(map.quantity.key)]);
    const chosenMap = () => maps.find(({ quantity, column }) => quantity.key === view.key && column === view.column);

    /* Another step, cell of a heat map, or both; what is not named stays. */
    function choose(change, intoView = false) {
      const moved = "step" in change;
      Object.assign(view, change);
      if (view.step >= stepsOf(view.column)) view.column = view.step < stepsOf(0) ? 0 : 1;
      const map = chosenMap();
      if (rowOf(map) < 0) view[placeName(view.key)] = map.rows[0];
      root.style.setProperty("--step", view.step);
      for (const each of maps) {
        each.frame.hidden = view.step >= each.steps;
        each.mark.hidden = each !== map;
        if (each.beside) writeBeside(each);
      }
      map.mark.style.setProperty("--place", rowOf(map));
      for (const row of heads.querySelectorAll(".head-row")) {
        Array.from(row.children).forEach((head, t) => head.classList.toggle("now", t === view.step));
      }
      for (const cell of left.querySelectorAll("[data-step]")) {
        cell.classList.toggle("now", Number(cell.dataset.step) === view.step);
      }
      slider.value = view.step + 1;
      const seen = view.sequences.map(({ symbols }) =>
        (view.step < symbols.length ? words.name(symbols[view.step]) : "nothing more"));
      stepWords.textContent = `${view.step + 1} of ${longest()}: sees ${seen.join(" | ")}`;
      slider.setAttribute("aria-valuetext", `step ${view.step + 1} of ${longest()}: sees ${seen.join(" and ")}`);
      previous.disabled = view.step === 0;
      next.disabled = view.step === longest() - 1;
      if (moved) scrollTo(view.step);
      if (intoView) map.mark.scrollIntoView({ block: "nearest", inline: "nearest" });
      drawPanel();
    }

    function scrollTo(step) {
      const middle = (step + 0.5) * view.cellWidth;
      for (const box of heat.querySelectorAll(".scroller")) box.scrollLeft = middle - box.clientWidth / 2;
      const now = left.querySelector("th.now"), box = left.querySelector(".scroller-alone");
      if (now) box.scrollLeft = now.offsetLeft - box.clientWidth / 2;
    }

    function moveRow(by) {
      const map = chosenMap(), row = rowOf(map) + by;
      if (row >= 0 && row < map.rows.length) return { [placeName(view.key)]: map.rows[row] };
      return moveQuantity(by, by > 0 ? 0 : -1);
    }

    /* To the next heat map below or above, as far as they are open; in its first (0) or last (-1) row. */
    function moveQuantity(by, row = null) {
      const open = quantities.filter(({ gate }) => !gate || gatesBox.open);
      const quantity = open[open.findIndex(({ key }) => key === view.key) + by];
      if (!quantity) return {};
      const { rows } = maps.find((map) => map.quantity === quantity);
      const place = row === null ? {} : { [placeName(quantity.key)]: rows.at(row) };
      return { key: quantity.key, ...place };
    }

    function moveStep(by) {
      const step = view.step + by;
      if (step >= 0 && step < stepsOf(view.column)) return { step };
      const column = view.column + by; // over the edge, into the heat map beside
      if (column < 0 || column > 2) return {};
      return { column, step: by > 0 ? 0 : stepsOf(column) - 1 };
    }

    const KEYS = {
      ArrowLeft: () => moveStep(-1), ArrowRight: () => moveStep(1),
      ArrowUp: () => moveRow(-1), ArrowDown: () => moveRow(1),
      PageUp: () => moveQuantity(-1), PageDown: () => moveQuantity(1),
      Home: () => ({ step: 0 }), End: () => ({ step: stepsOf(view.column) - 1 }),
    };

    /* The cell under the pointer: { map, row, step }, or null. */
    function under(event) {
      const map = maps.find(({ box }) => box.contains(event.target));
      if (!map) return null;
      const { left, top } = map.box.getBoundingClientRect();
      const step = Math.floor((event.clientX - left) / view.cellWidth);
      const row = Math.floor((event.clientY - top) / map.height);
      return step >= 0 && step < map.steps && row >= 0 && row < map.rows.length ? { map, row, step } : null;
    }

    const which = ({ key }, row) => (key === "output" ? `symbol ${symbolAt(row)}` : `unit ${row}`);

    // The calculation of the chosen number

    function drawPanel() {
      const map = chosenMap(), quantity = map.quantity, row = map.rows[rowOf(map)];
      const value = map.values(rowOf(map), view.step);
      const shown = quantity.signed || view.column === 2 ? signed(value, 4) : fixed(value);
      status.textContent = `${quantity.title} ${quantity.letter} of ${COLUMNS[view.column]}, ${which(quantity, row)}, `
        + `step ${view.step + 1}: ${shown}`;
      const ofSequence = (k) => {
        const { steps, symbols } = view.sequences[k], step = steps[view.step];
        const lines = quantity.key === "output" ? outputLines(step, row, k) : unitLines(step, row, quantity.key, k);
        const title = `Sequence ${k + 1}, step ${view.step + 1}: sees ${words.name(symbols[view.step])}`;
        return make("div", { class: `of-${k}` }, say("h3", title), ...lines);
      };
      if (view.column < 2) {
        work.replaceChildren(ofSequence(view.column));
      } else {
        const [a, b] = view.sequences.map(({ steps }) => quantity.of(steps[view.step])[row]);
        const pieces = [`= ${fixed(a)} ${MINUS} ${inBrackets(b)} = `, result(value)];
        work.replaceChildren(line("difference", "1 − 2", true, ...pieces), ofSequence(0), ofSequence(1));
      }
      work.append(say("p", "Shown to four places, computed with all. kernel[3, 27] is row 3, column 27 of the trial's "
        + "array of that name, counted from 0.", { class: "note" }));
    }

    const inBrackets = (value) => (value < 0 ? `(${fixed(value)})` : fixed(value));
    const then = (...pieces) => make("span", { class: "then" }, ...pieces);
    const result = (value) => say("b", fixed(value));
    const line = (title, letter, isChosen, ...pieces) => make("div", { class: `line${isChosen ? " is-chosen" : ""}` },
      make("div", { class: "line-title" }, `${title} `, say("b", letter)), make("div", { class: "sum" }, ...pieces));

    /* A number over what it is: a factor or the first of a sum, and a further one, whose sign is the operator. */
    const above = (number, label) => make("span", { class: "term" }, say("span", number), say("small", label));
    const first = (value, label) => above(fixed(value), label);
    const further = (value, label) => above(`${value < 0 ? MINUS : "+"} ${fixed(Math.abs(value))}`, label);
    const times = (a, labelOfA, b, labelOfB) => [first(a, labelOfA), "· ", above(inBrackets(b), labelOfB)];

    /* A sum of products under a line, filled when it is opened and kept open from step to step. */
    function productsOf(id, title, heads, rows) {
      const box = make("details", { class: "products", open: view.opened.has(id) }, say("summary", title));
      const fill = () => {
        if (box.children.length > 1) return;
        const sorted = rows().sort((a, b) => Math.abs(b.at(-1)) - Math.abs(a.at(-1)));
        const texts = sorted.map(([name, ...numbers]) => [name, ...numbers.map((number) => signed(number, 4))]);
        box.append(make("div", { class: "scroller-alone", tabIndex: 0, role: "group", "aria-label": title },
          table(heads, texts)));
      };
      if (box.open) fill();
      box.addEventListener("toggle", () => {
        if (box.open) fill();
        view.opened[box.open ? "add" : "delete"](id);
      });
      return box;
    }

    /* What the inputs add to a column of the kernel: a term for each place where the input vector is 1. */
    const inputTerms = (step, column) => step.places.map((place, back) => {
      const { values, shape } = view.weights["cell/kernel"], weight = values[place * shape[1] + column];
      const label = `kernel[${place}, ${column}]`;
      return back ? further(weight, `${label}, ${back} back`) : first(weight, label);
    });

    /* h · matrix, product by product. */
    const productsWith = (h, { values, shape }, column) => Array.from(h, (value, unit) => {
      const weight = values[unit * shape[1] + column];
      return [unit, value, weight, value * weight];
    });

    function recurrentProducts(step, column, id) {
      if (!view.weights["cell/recurrent_kernel"] || !step.before.places) return null; // no h, or all of it zero
      return productsOf(id, `h·U = ${fixed(step.r[column])}: ${specimen.units} products`,
        ["unit", "h before", `recurrent_kernel[unit, ${column}]`, "product"],
        () => productsWith(step.before.h, view.weights["cell/recurrent_kernel"], column));
    }

    /* Every equation of one unit at one step, with its numbers. */
    function unitLines(step, unit, chosenKey, sequence) {
      const bias = view.weights["cell/bias"].values, units = specimen.units, { gates, before } = step, lines = [];
      const squashed = (name, z, value) => [")", then(`= ${name}(${fixed(z)}) = `, result(value))];
      const add = (title, key, ...pieces) => lines.push(line(title, key, key === chosenKey, ...pieces));
      const addProducts = (column, key) => {
        const products = recurrentProducts(step, column, `${key} ${sequence}`);
        if (products) lines.push(products);
      };
      cell.gates.forEach(({ key, title, squash }, block) => {
        const column = block * units + unit, second = 3 * units + column, h = [step.r[column], "h·U"];
        const start = [`= ${squash}(`, ...inputTerms(step, column)];
        const end = squashed(squash, step.z[key][unit], gates[key][unit]);
        if (specimen.cell === "lstm") {
          add(title, key, ...start, further(...h), further(bias[column], `bias[${column}]`), ...end);
        } else {
          const own = further(bias[column], `bias[0, ${column}]`), ofH = further(bias[second], `bias[1, ${column}]`);
          const reset = () => ["+ ", first(gates.r[unit], "r"), "· (", first(...h), ofH, ")"];
          const recurrent = key === "g" ? reset() : [further(...h), ofH];
          add(title, key, ...start, own, ...recurrent, ...end);
        }
        addProducts(column, key);
      });
      const end = then("= ", result(step.h[unit]));
      if (specimen.cell === "lstm") {
        const { i, f, g, o } = gates, c = step.c[unit];
        add("cell state", "c", "= ", ...times(f[unit], "f", before.c[unit], "c before"), "+ ",
          ...times(i[unit], "i", g[unit], "g"), then("= ", result(c)));
        add("hidden state", "h", "= ", first(o[unit], "o"), "· tanh(", first(c, "c"), ")",
          then(`= ${fixed(o[unit])} · ${inBrackets(Math.tanh(c))} = `, result(step.h[unit])));
      } else if (specimen.cell === "gru") {
        const { z, g } = gates;
        add("hidden state", "h", "= ", ...times(z[unit], "z", before.h[unit], "h before"), "+ ",
          ...times(1 - z[unit], "1 − z", g[unit], "g"), end);
      } else {
        const recurrent = specimen.cell === "mlp" ? [] : [further(step.r[unit], "h·U")];
        add("hidden state", "h", "= tanh(", ...inputTerms(step, unit), ...recurrent,
          further(bias[unit], `bias[${unit}]`), ...squashed("tanh", step.z.h[unit], step.h[unit]));
        addProducts(unit, "h");
      }
      return lines;
    }

    /* The output layer's equation for one symbol. */
    function outputLines(step, place, sequence) {
      const z = step.z.output[place], bias = view.weights["output/bias"].values[place];
      const sum = [first(z - bias, "h·V"), further(bias, `output/bias[${place}]`)];
      const products = productsOf(`V ${sequence}`, `h·V = ${fixed(z - bias)}: ${specimen.units} products`,
        ["unit", "h", `output/kernel[unit, ${place}]`, "product"],
        () => productsWith(step.h, view.weights["output/kernel"], place));
      const title = `output for ${symbolAt(place)}`, value = result(step.output[place]);
      if (specimen.output === "sigmoid") {
        return [line(title, "y", true, "= sigmoid(", ...sum, ")", then(`= sigmoid(${fixed(z)}) = `, value)), products];
      }
      const most = Math.max(...step.z.output), powers = Array.from(step.z.output, (value) => Math.exp(value - most));
      const all = powers.reduce((a, b) => a + b, 0);
      return [
        line("before softmax", "z", false, "= ", ...sum, then("= ", result(z))), products,
        line(title, "y", true, "= exp(z − max) ÷ sum of all",
          then(`= exp(${fixed(z)} ${MINUS} ${inBrackets(most)}) ÷ ${fixed(all)}`),
          then(`= ${fixed(powers[place])} ÷ ${fixed(all)} = `, value)),
        productsOf(`softmax ${sequence}`, `the sum ${fixed(all)}: ${powers.length} symbols`,
          ["symbol", "z", "exp(z − max)"], () => powers.map((power, k) => [symbolAt(k), step.z.output[k], power])),
      ];
    }

    // What a reader does

    function showTrial() {
      view.trial = Number(trialSelect.value);
      view.weights = decoded(specimen, view.trial);
      view.sequences = view.sequences.map(({ symbols }) => compute(symbols));
      refresh();
    }

    /* While a sequence is being typed only a valid one is shown; what is wrong is said when the field is left. */
    function typed(k, isDone) {
      try {
        const symbols = words.read(inputs[k].value, `Sequence ${k + 1}`);
        inputs[k].removeAttribute("aria-invalid");
        mistake.textContent = "";
        const evaluated = specimen.evaluation_sequences.findIndex((sequence) => inputsOf(sequence) === words.write(symbols));
        sequenceSelects[k].value = evaluated < 0 ? "" : evaluated;
        if (words.write(symbols) === words.write(view.sequences[k].symbols)) return;
        const wasLast = view.step === longest() - 1;
        view.sequences[k] = compute(symbols);
        if (wasLast) view.step = longest() - 1;
        refresh();
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        if (!isDone) return;
        inputs[k].setAttribute("aria-invalid", "true");
        mistake.textContent = error.message;
      }
    }

    trialSelect.addEventListener("change", showTrial);
    orderSelect.addEventListener("change", () => {
      view.byDifference = orderSelect.value === "difference";
      draw();
    });
    inputs.forEach((input, k) => {
      input.addEventListener("input", () => typed(k, false));
      input.addEventListener("change", () => typed(k, true));
      sequenceSelects[k].addEventListener("change", () => {
        if (sequenceSelects[k].value === "") return;
        input.value = inputsOf(specimen.evaluation_sequences[sequenceSelects[k].value]);
        typed(k, true);
      });
    });
    slider.addEventListener("input", () => choose({ step: Number(slider.value) - 1 }));
    previous.addEventListener("click", () => choose({ step: Math.max(0, view.step - 1) }));
    next.addEventListener("click", () => choose({ step: Math.min(longest() - 1, view.step + 1) }));
    stage.addEventListener("keydown", (event) => {
      if (event.target !== stage || !(event.key in KEYS) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      choose(KEYS[event.key](), true);
    });
    heat.addEventListener("click", (event) => {
      const cell = under(event);
      if (!cell) return;
      const { quantity, column, rows } = cell.map;
      choose({ key: quantity.key, column, [placeName(quantity.key)]: rows[cell.row] });
      choose({ step: cell.step });
      stage.focus({ preventScroll: true });
    });
    heat.addEventListener("pointermove", (event) => {
      const cell = under(event);
      tip.hidden = !cell;
      if (!cell) return;
      const { map, row, step } = cell, { left, top, width } = heat.getBoundingClientRect();
      const value = map.values(row, step);
      const text = map.diverging ? signed(value, 4) : fixed(value);
      tip.textContent = `${which(map.quantity, map.rows[row])}, step ${step + 1}: ${text}`;
      tip.style.left = `${Math.min(event.clientX - left + 14, width - tip.offsetWidth - 2)}px`;
      tip.style.top = `${event.clientY - top + 18}px`;
    });
    heat.addEventListener("pointerleave", () => { tip.hidden = true; });
    heat.addEventListener("scroll", (event) => { // scrolling one scrolls all, so that steps stay in line
      if (!event.target.classList.contains("scroller")) return;
      for (const box of heat.querySelectorAll(".scroller")) {
        if (box.scrollLeft !== event.target.scrollLeft) box.scrollLeft = event.target.scrollLeft;
      }
    }, true);
    gatesBox.addEventListener("toggle", () => {
      if (!gatesBox.open && quantities.find(({ key }) => key === view.key).gate) choose({ key: stateKey });
    });
    let width = stage.clientWidth;
    new ResizeObserver(() => {
      if (stage.clientWidth === width) return;
      width = stage.clientWidth;
      draw();
    }).observe(stage);

    view.weights = decoded(specimen, best);
    view.trial = best;
    [0, 1].forEach((k) => {
      const number = Math.min(k, specimen.evaluation_sequences.length - 1), symbols = specimen.evaluation_sequences[number].slice(0, -1);
      inputs[k].value = words.write(symbols);
      sequenceSelects[k].value = number;
      view.sequences[k] = compute(symbols);
    });
    view.step = longest() - 1;
    refresh();
  }

  return { mount };
})();
