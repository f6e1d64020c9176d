"""python -m memory_trials COMMAND"""

from memory_trials.cli import main

main()
