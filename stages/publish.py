"""Second command of the stage evaluate: the runs in MLflow. Nothing depends on it, and where MLflow is away, it costs a
warning."""

import sys

from memory_trials.errors import UserError, exit_on_user_error
from memory_trials.serving import registry
from memory_trials.studies import design
from memory_trials.tracking import publisher, tracker
from stages import arms_from_argv


def main() -> None:
    arms = arms_from_argv()
    settings = arms[0].settings.tracking
    if not settings.enabled:
        return
    try:
        if not arms[0].compared and not arms[0].settings.problem.endless:
            registry.show(arms[0], settings)
        else:
            publisher.publish(design.found_arms(arms), settings)
    except UserError as error:  # the result is what counts, and it is complete
        print(f"warning: {error}; {tracker.PUBLISH_LATER_HINT}", file=sys.stderr)


if __name__ == "__main__":
    exit_on_user_error(main)
