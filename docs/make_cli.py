"""Write docs/cli.md from the commands themselves: ``python docs/make_cli.py``."""

from __future__ import annotations

import inspect
from collections import Counter
from itertools import groupby
from pathlib import Path

import click

from roadgis.cli import cli
from roadgis.cli.parameters import group_of
from roadgis.options.option import GROUPS

HEAD = """\
# Command line

`roadgis COMMAND --help` prints the same on the terminal. Lengths are in metres. This page is
written by `python docs/make_cli.py`.

| exit status | |
| --- | --- |
| 0 | done |
| 1 | an error; its text, on stderr, says what was found, what was expected and what to do |
| 2 | usage error |
| 129, 130, 143 | stopped by SIGHUP, by Ctrl-C, by SIGTERM; the text says what is kept |

Mistyped commands and options get a suggestion. For completion of commands, options,
choices and file names, add one of these lines to the start-up file of the shell:

| shell | line |
| --- | --- |
| bash, `~/.bashrc` | `eval "$(_ROADGIS_COMPLETE=bash_source roadgis)"` |
| zsh, `~/.zshrc` | `eval "$(_ROADGIS_COMPLETE=zsh_source roadgis)"` |
| fish, `~/.config/fish/config.fish` | `_ROADGIS_COMPLETE=fish_source roadgis \\| source` |

With `--progress jsonl` stdout has one JSON object per line and nothing else; programs that drive
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


def table(listed: list[click.Option]) -> str:
    """Return options as a table, under the headings of their groups."""
    lines = ["| option | |", "| --- | --- |"]
    for group, members in groupby(listed, key=group_of):
        if group != "basic":
            lines.append(f"| **{GROUPS[group]}** | |")
        lines += map(row, members)
    return "\n".join(lines) + "\n"


def shared_options(found: dict[str, click.Command]) -> list[click.Option]:
    """Return the options that several commands share word for word, by group."""
    by_row = {row(option): option for command in found.values() for option in options(command)}
    count = Counter(row(option) for command in found.values() for option in options(command))
    # An option whose name has another meaning somewhere is listed with each command.
    meanings = Counter(text.split(" ")[1] for text in count)
    shared = [
        option
        for text, option in by_row.items()
        if count[text] >= SHARED_BY and meanings[text.split(" ")[1]] == 1
    ]
    return sorted(shared, key=lambda option: list(GROUPS).index(group_of(option)))


def page() -> str:
    """Return the whole page."""
    found = commands()
    listed = shared_options(found)
    shared = {row(option) for option in listed}
    parts = [HEAD, "## Shared options\n", table(listed)]
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
        own = [option for option in options(command) if row(option) not in shared]
        others = [max(o.opts, key=len) for o in options(command) if row(o) in shared]
        if own:
            parts.append(table(own))
        if others:
            parts.append("Shared options: " + ", ".join(f"`{name}`" for name in others) + ".\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(page(), encoding="utf-8", newline="\n")
