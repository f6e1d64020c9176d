"""Commands that publish results in MLflow, and serve them."""

import click

from memory_trials.commands.parts import InProject

HOST = click.option(
    "--host", envvar="BIND", default="127.0.0.1", show_default=True,
    help="The address to listen on. By default only this machine can reach it.",
)  # fmt: skip


@click.command(cls=InProject)
@HOST
@click.option("--port", envvar="PORT", type=click.IntRange(0, 65535), default=5001, show_default=True)
def serve(host: str, port: int) -> None:
    """Serve the best trial over HTTP, with MLflow.

    Prints a request to paste, and serves until Ctrl-C. The environment variables BIND and PORT set the defaults.

    \b
    memory-trials serve
    memory-trials serve --port 5002
    """
    from memory_trials.serving import registry

    registry.serve(host, port)


@click.command(cls=InProject)
@HOST
@click.option("--port", envvar="PORT", type=click.IntRange(0, 65535), default=5000, show_default=True)
def ui(host: str, port: int) -> None:
    """Show the runs in MLflow's page.

    Prints a link to each study's charts. The environment variables BIND and PORT set the defaults.

    \b
    memory-trials ui
    memory-trials ui --port 5003
    """
    from memory_trials.settings import load_settings
    from memory_trials.tracking import publisher

    publisher.show_page(load_settings().tracking, host, port)


@click.command(cls=InProject)
def track() -> None:
    """Publish the results of this folder in MLflow.

    Publishes every run, and registers the best trial. Publishing twice changes nothing.

    \b
    memory-trials track
    MLFLOW_TRACKING_URI=https://runs.example.org memory-trials track
    """
    from memory_trials.serving import registry
    from memory_trials.tracking import publisher

    publisher.publish_what_is_here()
    registry.register_what_is_here()
