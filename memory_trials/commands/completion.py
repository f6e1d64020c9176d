"""The command that prints what a shell needs to complete the others."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the code for completion in a shell.

    It completes commands, options and the names of studies.

    \b
    memory-trials completion bash >> ~/.bashrc
    memory-trials completion zsh >> ~/.zshrc
    memory-trials completion fish > ~/.config/fish/completions/memory-trials.fish
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    assert completer is not None
    commands = click.get_current_context().find_root().command
    print(completer(commands, {}, "memory-trials", "_MEMORY_TRIALS_COMPLETE").source())
