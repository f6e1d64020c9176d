"""Sections of parameter files: frozen models that refuse what they do not know, and say so in one sentence."""

from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from memory_trials.errors import UserError, brief

NO_RESULT_DEPENDS_ON_THIS = "it checks values; stages depend on these by their parameters"

SomeSection = TypeVar("SomeSection", bound="Section")
RENAMED = {
    "problem.asked": "problem.evaluation_sequences",
    "evaluation.every": "evaluation.interval",
    "evaluation.as_trained": "evaluation.stateful",
}


class Section(BaseModel):
    """Strict (no silent conversions), frozen, and closed (an unknown key is a mistake)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @classmethod
    def allowed(cls) -> list[str]:
        """Return the names of the fields that may be set."""
        return list(cls.model_fields)


def defaults(section: type[Section]) -> dict[str, Any]:
    """Return the defaults of a section's fields, those of the sections in it by their names."""
    return {
        name: defaults(inner[0])
        if (inner := _sections(field.annotation))
        else repr(field.get_default(call_default_factory=True))
        for name, field in section.model_fields.items()
    }


def validated(model: type[SomeSection], content: Any, where: str) -> SomeSection:
    """Return the content as a model; `UserError` describes the first mistake in it, after `where`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{where}: {first_mistake(error, model)}") from None


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _sections(annotation: Any) -> list[type[Section]]:
    """The sections that a field may hold, also where it may be null, a list of sections, or something else."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [section for option in get_args(annotation) for section in _sections(option)]


def _is_union(annotation: Any) -> bool:
    """Whether pydantic adds the name of a member to the location of a mistake in it."""
    members = [option for option in get_args(annotation) if option is not NoneType]
    if get_origin(annotation) in (Union, UnionType):
        return len(members) > 1 or _is_union(members[0])
    return get_origin(annotation) is Annotated and _is_union(members[0])


def _place(location: tuple[int | str, ...], model: type[Section]) -> tuple[tuple[str, ...], type[Section]]:
    """Return the keys and indices that lead to a mistake, and the section it is in; without members of unions."""
    place: list[str] = []
    section, inner, labelled = model, [model], False
    annotation: Any = None
    for step in location:
        if isinstance(step, int):
            place.append(f"[{step}]")
        elif labelled:
            inner, labelled = [each for each in inner if step in _labels(each)], False
        elif inner:
            if get_origin(annotation) is dict:  # a name that a person has chosen
                annotation = get_args(annotation)[1]
            else:
                section = inner[0]
                annotation = section.model_fields[step].annotation if step in section.model_fields else None
            inner, labelled = _sections(annotation), _is_union(annotation)
            place.append(step if step.isprintable() and len(step) < 60 else brief(step))
    return tuple(place), section


def _labels(section: type[Section]) -> set[Any]:
    """What pydantic calls a member of a union: its name, or the one value of the field that tells members apart."""
    choices = [get_args(field.annotation) for field in section.model_fields.values()]
    return {section.__name__, *(choice[0] for choice in choices if len(choice) == 1)}


def first_mistake(error: ValidationError, model: type[Section]) -> str:
    """Return one sentence for the first mistake, and how many more there are."""
    mistakes = [(*_place(mistake["loc"], model), mistake) for mistake in error.errors(include_url=False)]
    first = mistakes[0][0]
    # of a union's members, the one that the value was nearest to says most
    place = max((each for each, _, _ in mistakes if each[: len(first)] == first), key=len)
    section, mistake = next((section, mistake) for each, section, mistake in mistakes if each == place)
    field, value, kind = ".".join(place).replace(".[", "["), mistake["input"], mistake["type"]
    reasons = [each["msg"].removeprefix("Value error, ") for other, _, each in mistakes if other == place]
    if kind.startswith("union_tag"):
        tag = mistake["ctx"]["discriminator"].strip("'")
        field = f"{field}.{tag}"
        if kind == "union_tag_not_found" or tag not in value:
            kind = "missing"
        else:
            *others, last = mistake["ctx"]["expected_tags"].split(", ")
            value, reasons = value[tag], [f"must be {', '.join(others)} or {last}"]
    if kind == "extra_forbidden":
        now = RENAMED.get(field)
        sentence = (
            f"{field} is called {now} now"
            if now
            else f"unknown key {field}; allowed here are {', '.join(section.allowed()) or 'none'}"
        )
    elif kind == "missing":
        sentence = f"{field} is missing"
    else:
        reason = " or ".join(dict.fromkeys(r.removeprefix("Input ").replace("should ", "must ") for r in reasons))
        shown = f" is {_shown(value)}" if kind != "value_error" or len(place) > 1 else ""
        sentence = f"{field}{shown}: {reason}".removeprefix(": ")
    more = len({other for other, _, _ in mistakes if other != place[: len(other)]})
    return sentence + (f" (and {more} more)" if more else "")
