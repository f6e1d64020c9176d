"""What MLflow hands to the served predictor: text in, text out, and one sentence for anything else."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from memory_trials.serving import bundle, predictor
from memory_trials.serving.served import Served
from memory_trials.settings import Settings
from tests.serving.test_predictor import make_predictor


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Served:
    folder = tmp_path_factory.mktemp("served")
    model = Served()
    model.load_context(SimpleNamespace(artifacts=artifacts(folder)))
    return model


def artifacts(folder) -> dict[str, str]:
    best = make_predictor(alphabet=(0, 1e5, "007", "ice cream"))
    predictor.write(folder, best)
    settings = Settings(problem={"sequences": [[0, 1]]}, model=best.model.model_dump())
    (folder / bundle.SETTINGS).write_text(bundle.settings_text(settings, folder / predictor.MEMORY, []))
    return {"memory": str(folder / predictor.MEMORY), "settings": str(folder / bundle.SETTINGS)}


def test_a_model_that_does_not_fit_is_refused_when_it_is_loaded(tmp_path):
    found = artifacts(tmp_path)
    (tmp_path / bundle.SETTINGS).write_text("{}")
    with pytest.raises(MlflowException, match=r"^settings.json of this model is missing or damaged"):
        Served().load_context(SimpleNamespace(artifacts=found))


def test_rows_of_text_are_answered(served):
    asked = ["0 1e5", '["ice cream", "007"]', "100000.0"]
    answer = served.predict(None, pd.DataFrame({"sequence": asked}), {"steps": 3})
    assert list(answer.columns) == ["next", "probability", "following"] and len(answer) == 3
    for row in answer.itertuples():
        again = served.predict(None, pd.DataFrame({"sequence": [row.following]}))
        assert row.next in ("0", "100000.0", "007", "ice cream") and len(again) == 1
    assert served.predict(None, pd.DataFrame({"sequence": asked})).equals(
        served.predict(None, pd.DataFrame({"sequence": asked}), {"steps": 1}).assign(following=answer_of(served, asked))
    )


def answer_of(served: Served, asked: list[str]) -> pd.Series:
    return served.predict(None, pd.DataFrame({"sequence": asked}), {})["following"]


@pytest.mark.parametrize(
    ("cell", "params", "sentence"),
    [
        (["0 007"], None, "sequence 1 is ['0 007']: it must be text, such as '3 0 1 2'"),  # pyfunc's dict of a list
        ([[0, 1]], None, "sequence 1 is [[0, 1]]: it must be text"),
        (np.array([0, 1]), None, "sequence 1 is [0, 1]: it must be text"),
        (None, None, "sequence 1 is None: it must be text"),
        (3, None, "sequence 1 is 3: it must be text"),
        ("0", {"steps": None}, "steps is None: allowed are 1 to 99999"),
        ("0", {"steps": 2.5}, "steps is 2.5: allowed are 1 to 99999"),
        ("[null]", None, "the sequence holds null: allowed are numbers and strings"),
        ("7", None, "'7' is no symbol of this predictor; its symbols are 0, 100000.0, 007, ice cream"),
    ],
)
def test_what_mlflow_lets_through_is_refused_in_one_sentence(served, cell, params, sentence):
    with pytest.raises(MlflowException) as caught:
        served.predict(None, pd.DataFrame({"sequence": pd.Series([cell], dtype=object)}), params)
    assert caught.value.message.startswith(sentence) and "\n" not in caught.value.message
    assert caught.value.get_http_status_code() == 400
