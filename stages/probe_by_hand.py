"""DVC stage probe_by_hand: the plan of the probe -> what models answer whose weights are set by hand."""

from memory_trials.errors import exit_on_user_error
from memory_trials.probe import by_hand, trials
from memory_trials.probe import plan as plans
from memory_trials.settings import ComputeSettings


def main() -> None:
    trials.write(by_hand.RECORDED, by_hand.measure(plans.load(plans.FILE), ComputeSettings()))


if __name__ == "__main__":
    exit_on_user_error(main)
