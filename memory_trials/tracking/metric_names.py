"""The numbers of metrics.json under the names by which MLflow shows them."""

import hashlib
import re

LONGEST = 200  # characters of a name; MLflow takes 250

# the first one foremost; before the "/" is a section of MLflow's page of charts
METRICS = {
    "success_rate": "success/rate",
    "success_rate_low": "success/low",
    "success_rate_high": "success/high",
    "trials": "trials/all",
    "successes": "trials/learned",
    "ever_learned": "trials/ever_learned",
    "forgotten": "trials/forgotten",
    "mean_sequence_accuracy": "success/sequence_accuracy",
    "mean_step_accuracy": "success/step_accuracy",
    "mean_final_loss": "loss/final_mean",
    "median_epochs_to_learn": "time_to_learn/median",
    "median_epochs_to_learn_low": "time_to_learn/low",
    "median_epochs_to_learn_high": "time_to_learn/high",
    "mean_epochs_to_learn": "time_to_learn/mean",
    "test_wrong": "test/wrong",
    "test_error": "test/error",
    "memory_median": "memory/final_median",
    "memory_whole": "memory/whole",
    "margin_learned_median": "margin/median_of_learned",
    "margin_required": "margin/required",
    "verdict_changes": "trials/verdict_changes",
    "signal_median": "luck/signal_median",
    "bias_median": "luck/bias_median",
    "chance_rate": "luck/chance_rate",
    "parameters": "size/parameters",
    "updates": "size/updates",
    "confidence": "success/confidence",
}
# and how the names of all others begin
SECTIONS = {
    "memory_": "memory/final_",
    "successes_margin_": "margin/successes_",
    "afresh_": "afresh/",
    "stateful_": "stateful/",
    "free_run_": "free_run/",
}


def shown(key: str) -> str:
    """Return the name by which MLflow shows a number of metrics.json; different keys have different names."""
    begins = next((begins for begins in SECTIONS if key.startswith(begins)), "")
    section, slash, symbol = (METRICS.get(key) or SECTIONS.get(begins, "") + key.removeprefix(begins)).partition("/")
    if not slash:
        return _plain(section)
    *inner, last = [symbol] if section != "free_run" else symbol.split("/", 1)
    return "/".join([section, *inner, _plain(last)])


def _plain(text: str) -> str:
    """Return a part of a name with characters that MLflow accepts: letters, digits, - _ . and spaces.

    The others are written as UTF-8 in hexadecimal after colons, as in a web address after percent signs; and so are
    dots alone, which MLflow would read as folders.
    """
    escaped = lambda text: "".join(f":{byte:02X}" for byte in text.encode()) or ":"
    plain = re.sub(r"[^\w\-. ]", lambda found: escaped(found[0]), text) if text.strip(".") else escaped(text)
    if len(plain) <= LONGEST:
        return plain
    return f"{plain[:LONGEST]}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
