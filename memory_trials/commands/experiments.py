"""Commands that run the experiments: studies, and the tables of the paper."""

import click

from memory_trials.commands import dvc
from memory_trials.commands.parts import AS_JSON, EXPERIMENTS, InProject, complete_names, print_json


@click.command(cls=InProject)
@click.option("--check", is_flag=True, help="Validate and list the studies; train nothing.")
@AS_JSON
def studies(check: bool, as_json: bool) -> None:
    """Bring all studies and RESULTS.md up to date.

    With --json, list them as --check does: the question, the source and the settings that differ between the arms.

    \b
    memory-trials studies --check
    memory-trials studies
    """
    from memory_trials.studies import design, schema

    if as_json:
        blocks = schema.load(design.FILE).studies
        print_json({name: block.model_dump(mode="json", exclude_unset=True) for name, block in blocks.items()})
        return
    for study, arms in design.units():  # those of the paper too, so that a mistake is known now
        line = design.described(study, arms)
        if not study.separate:
            print(line, flush=True)
    if not check:
        dvc.run("--cd", EXPERIMENTS, "repro", "results")
        print(f"every answer: RESULTS.md; pictures: {EXPERIMENTS}/pictures/")


@click.command(cls=InProject)
@click.argument("name", shell_complete=complete_names("studies.yaml"))
def study(name: str) -> None:
    """Bring one study up to date, and its answer in RESULTS.md.

    \b
    memory-trials study cells
    """
    _bring_up_to_date(name)


@click.command(cls=InProject)
@click.argument("arm", default="", shell_complete=complete_names("paper.yaml"))
def paper(arm: str) -> None:
    """Measure the paper's tables anew: all, one table or arm.

    PAPER.md sets them beside the paper's own numbers.

    ARM is an arm of experiments/paper.yaml, or a study, which is a table. All of them take a night.

    \b
    memory-trials paper adding_100
    memory-trials paper paper_6a
    memory-trials paper
    """
    from memory_trials.studies import design

    if arm:
        _bring_up_to_date(arm)
        return
    for study, arms in design.units():
        design.described(study, arms)  # a mistake in the last arm is known now, and not after a night
    dvc.run("--cd", EXPERIMENTS, "repro", "paper")
    print(f"every arm: PAPER.md; the picture: {EXPERIMENTS}/pictures/paper.png")


def _bring_up_to_date(name: str) -> None:
    """Run the stages of a study, or of an arm that is trained by itself, and of the page that shows it."""
    from memory_trials.studies import design

    units = {unit: design.find(unit) for unit in design.units_of(name)}
    for study, arms in units.values():
        print(design.described(study, arms), flush=True)
    (separate,) = {study.separate for study, _ in units.values()}
    ways, page = (("train_arm", "evaluate_arm"), "paper") if separate else (("train", "evaluate"), "results")
    # one by one, since the page depends on all experiments, which are not to run
    stages = [f"{way}@{unit}" for unit in units for way in ways]
    dvc.run("--cd", EXPERIMENTS, "repro", "--single-item", "resolve", *stages, page)
    where, picture = ("PAPER.md", "paper") if separate else (f"RESULTS.md#{name}", name)
    print(f"the answer: {where}; the picture: {EXPERIMENTS}/pictures/{picture}.png")
