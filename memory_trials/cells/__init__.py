"""The cells: one module for each, with its equations, weights, options, engines, and how it is shown."""
