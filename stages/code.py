"""DVC stage code: what the code of each stage of the tutorial's pipeline means, and the settings' defaults."""

from memory_trials import files
from memory_trials.errors import exit_on_user_error
from memory_trials.studies import dependencies


def main() -> None:
    for stage in dependencies.TUTORIAL:
        files.write_json(dependencies.code_of(stage), dependencies.of_stage(stage))


if __name__ == "__main__":
    exit_on_user_error(main)
