"""The result for people: charts, words, a page, and a microscope."""
