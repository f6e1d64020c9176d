"""Commands that show results: the answer, the page, a prediction."""

from pathlib import Path

import click

from memory_trials.commands.parts import AS_JSON, BEST, TUTORIAL, InProject, check_folder, print_json


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=TUTORIAL)
@click.option("--short", is_flag=True, help="Print the first sentence only.")
@AS_JSON
@click.pass_context
def answer(context: click.Context, folder: Path, short: bool, as_json: bool) -> None:
    """Print the answer in words.

    FOLDER holds the results of an arm, by default the pipeline's. With --json, print the metrics, which
    docs/results.md explains.

    \b
    memory-trials answer
    memory-trials answer --json
    memory-trials answer --short experiments/data/studies/cells/arms/cell=gru
    """
    if not folder.exists():
        check_folder(context)
    if as_json:
        from memory_trials import files
        from memory_trials.evaluation import statistics

        files.check_recorded()
        print_json(files.read_json(folder / statistics.METRICS))
        return
    print_answer(folder, whole=not short)


@click.command(cls=InProject)
def report() -> None:
    """Write report.html, everything in one page.

    It holds the answer, every study, and a microscope for the inside of a trial, and needs no network.

    \b
    memory-trials report
    """
    from memory_trials.report import page

    print(page.write())


@click.command()
@click.argument("symbols", nargs=-1)
@click.option(
    "--steps",
    type=int,
    default=1,
    show_default=True,
    help="Number of symbols to predict; each is fed back.",
)
@click.option(
    "--model", type=click.Path(path_type=Path), default=BEST, show_default=True,
    help="A file that the stage evaluate wrote.",
)  # fmt: skip
@AS_JSON
@click.pass_context
def predict(context: click.Context, symbols: tuple[str, ...], steps: int, model: Path, as_json: bool) -> None:
    """Predict the next symbol with the best trial.

    Prints each symbol with its probability. SYMBOLS are separated by spaces or commas, or given as a JSON array;
    after --, a symbol may begin with a dash.

    \b
    memory-trials predict 3 0 1 2
    memory-trials predict 4 --steps 10
    memory-trials predict '["ice cream", "b"]'
    """
    from memory_trials.serving import predictor
    from memory_trials.tasks.symbols import name, words

    if model == BEST and not model.exists():
        check_folder(context)
    best = predictor.read(model)
    predicted = predictor.predict(best, words(" ".join(symbols)), steps)
    if as_json:
        print_json([{"symbol": name(symbol), "probability": float(probability)} for symbol, probability in predicted])
        return
    for symbol, probability in predicted:
        print(f"{name(symbol)}  (probability {probability:.4f})")
    print(f"says {best}")


def print_answer(folder: Path, whole: bool) -> None:
    """Print the answer of the results in a folder: the whole report, or its first sentence."""
    from memory_trials import files
    from memory_trials.evaluation import statistics
    from memory_trials.studies import answers

    files.check_recorded()
    if whole:
        from memory_trials.evaluation import results
        from memory_trials.report import wording

        print(wording.report(results.read(folder), folder).strip())
    else:
        print(answers.how_often_and_how_much(files.read_json(folder / statistics.METRICS)))
