"""Cells of your own: name one in params.yaml as model.cell by its dotted path, such as my_cells.leaky.LeakyCell.

The pipeline watches this folder: a change in it trains and evaluates anew.
"""
