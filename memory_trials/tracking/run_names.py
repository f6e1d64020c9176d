"""How a run of the pipeline is called: by its cell, and by every setting in which it differs from the tutorial."""

from collections.abc import Iterator
from typing import Any

from memory_trials.settings import GeneratedSettings, Settings
from memory_trials.studies.design import Arm, word

TUTORIAL = Settings(problem={"sequences": [[3, 0, 1, 2, 3], [4, 0, 1, 2, 4]]}).model_dump()
SPEAK_FOR_THEMSELVES = ("output", "optimizer", "file")  # whose values need no name before them
LONGEST = 40  # characters of a value


def of_arm(arm: Arm) -> str:
    """Return the name of a study's arm, such as `cells: cell=gru`."""
    return f"{arm.study}: {arm.name}"


def of_settings(settings: dict[str, dict[str, Any]]) -> str:
    """Return a name such as `lstm 20, softmax, margin 0.1`. settings: sections, as params.yaml has them."""
    model = settings["model"]
    return ", ".join([f"{model['cell']} {model['units']}", *(list(_changes(settings)) or ["as in the tutorial"])])


def _changes(settings: dict[str, dict[str, Any]]) -> Iterator[str]:
    for section, values in settings.items():
        for key, value in values.items():
            if (section, key) in (("model", "cell"), ("model", "units")) or value == TUTORIAL[section].get(key):
                continue
            if section == "problem" and key == "sequences":
                if value is not None:  # else the name shows another source
                    yield "other sequences"
            elif isinstance(value, dict):
                yield from (_phrase(name, inner) for name, inner in value.items() if inner != _default(key, name))
            else:
                yield _phrase(key, value)


def _default(key: str, name: str) -> Any:
    """Return the value that a run's name leaves out."""
    return GeneratedSettings.model_fields[name].default if key == "generate" else None


def _phrase(key: str, value: Any) -> str:
    if value is True:
        return key
    text = word(value)
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
    return f"{value} {key}" if key in ("epochs", "trials") else text if key in SPEAK_FOR_THEMSELVES else f"{key} {text}"
