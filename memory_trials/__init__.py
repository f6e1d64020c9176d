"""How often does a recurrent network learn to remember? Many trials, one honest rate.

Data flows one way: params -> problem -> table of updates -> trials -> verdicts -> metrics, figures, runs.
docs/architecture.md is its map; each module's first lines tell its one job.
"""
