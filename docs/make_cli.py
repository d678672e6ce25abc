"""Write docs/cli.md from the commands themselves: ``python docs/make_cli.py``."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path

import click

from roadgis.cli import cli

HEAD = """\
# Command line

`roadgis COMMAND --help` prints the same on the terminal. Lengths are in metres. This page is
written by `python docs/make_cli.py`.

| exit status | |
| --- | --- |
| 0 | done |
| 1 | an error; its text, on stderr, says what was found, what was expected and what to do |
| 2 | wrong use of the command line |
| 129, 130, 143 | stopped by SIGHUP, by Ctrl-C, by SIGTERM; the text says what is kept |

With `--progress jsonl` stdout holds one JSON object a line and nothing else; programs that drive
roadgis find the details in [Driving roadgis](protocol.md).
"""
#: Options that as many commands share, word for word, are listed once.
SHARED_BY = 3


def commands() -> dict[str, click.Command]:
    """Return every command by its full name."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": inner for sub, inner in command.commands.items()}
        else:
            found[name] = command
    return found


def options(command: click.Command) -> list[click.Option]:
    """Return a command's options in the order of its help."""
    return [item for item in command.params if isinstance(item, click.Option)]


def row(option: click.Option) -> str:
    """Return an option as a row of a table."""
    names = ", ".join(
        f"`{name}`" for name in [*sorted(option.opts, key=len), *option.secondary_opts]
    )
    if isinstance(option.type, click.Choice):
        names += " " + "/".join(str(choice) for choice in option.type.choices)
    return f"| {names} | {option.help} |"


def page() -> str:
    """Return the whole page."""
    found = commands()
    seen = Counter(row(option) for command in found.values() for option in options(command))
    # An option whose name has another meaning somewhere is told with each command.
    meanings = Counter(text.split(" ")[1] for text in seen)
    shared = [
        t for t, count in seen.items() if count >= SHARED_BY and meanings[t.split(" ")[1]] == 1
    ]
    table = "| option | |\n| --- | --- |\n"
    parts = [HEAD, "## Shared options\n", table + "\n".join(shared) + "\n"]
    for name, command in found.items():
        context = click.Context(command)
        arguments = [
            item.make_metavar(context)
            for item in command.params
            if isinstance(item, click.Argument)
        ]
        about = inspect.cleandoc(command.help or "").split("\b")[0].strip()
        parts += [
            f"## roadgis {name}\n",
            f"`{' '.join(['roadgis', name, *arguments])}`\n",
            about + "\n",
        ]
        own = [row(option) for option in options(command) if row(option) not in shared]
        others = [max(o.opts, key=len) for o in options(command) if row(o) in shared]
        if own:
            parts.append(table + "\n".join(own) + "\n")
        if others:
            parts.append("Shared options: " + ", ".join(f"`{name}`" for name in others) + ".\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(page(), encoding="utf-8", newline="\n")
