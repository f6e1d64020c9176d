"""What `dvc plots show` draws with when there is no network: .dvc/vega.js, which .dvc/plots.html loads.

python -m memory_trials.report.plots     # writes it (`make setup`)
"""

from pathlib import Path

from memory_trials import files

FILE = Path(".dvc/vega.js")


def write(folder: Path = Path()) -> None:
    """Write Vega, Vega-Lite and Vega-Embed, as the charts of report.html use them, into a project's folder."""
    import vl_convert

    code = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub asks for a snippet
    files.write_text(folder / FILE, code)


if __name__ == "__main__":
    write()
