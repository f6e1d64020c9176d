"""The memory as MLflow loads it: text in, text out. MLflow runs this file by itself ("models from code": no pickle)."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from memory_trials.errors import UserError, brief
from memory_trials.serving import bundle, predictor
from memory_trials.tasks import symbols


class Served(PythonModel):
    """Rows with a sequence in; out, row by row, the next symbol, its probability, and all `steps` symbols it says."""

    def load_context(self, context: PythonModelContext) -> None:
        """A mistake in the model's folder is told in one sentence."""
        memory, settings = (Path(context.artifacts[name]) for name in ("memory", "settings"))
        try:
            self.predictor = bundle.read(memory, settings, memory.parents[1] / bundle.CODE)
        except UserError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None

    def predict(self, context, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """A mistake in a request is told in one sentence, over HTTP with status 400."""
        steps = (params or {}).get("steps", 1)
        try:
            asked = [symbols.words(_text(row, cell)) for row, cell in enumerate(model_input["sequence"], 1)]
            said = [predictor.predict(self.predictor, sequence, steps) for sequence in asked]
        except UserError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None
        rows = ((symbols.name(row[0][0]), row[0][1], symbols.written([symbol for symbol, _ in row])) for row in said)
        return pd.DataFrame(rows, columns=["next", "probability", "following"])


def _text(row: int, cell: Any) -> str:
    """A sequence as it must be; MLflow lets lists and nulls pass for text."""
    if isinstance(cell, str):
        return cell
    shown = brief(cell.tolist() if hasattr(cell, "tolist") else cell)
    raise UserError(
        f"sequence {row} is {shown}: it must be text, such as '3 0 1 2' (from Python, give "
        "several as a pandas.DataFrame with a column sequence)"
    )


set_model(Served())
