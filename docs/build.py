"""Writes docs/cli.md and docs/config.md from the code; with --check, only says if they differ."""

import argparse
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from typer.main import get_command

from evolution.cli.app import app

DOCS = Path(__file__).parent
NOTE = "<!-- Written by `make docs` from the code; change it there. -->\n\n"
HEADING = re.compile(r"\[(\w+)\]\s*(?:#\s*(.*))?")
SETTING = re.compile(r"(\w+) = (.+?)\s+#\s*(.*)")


def cli_page() -> str:
    """Every verb with its flags."""
    root: Any = get_command(app)
    parts = [NOTE + "# Commands\n\n" + _paragraph(root.help)]
    for name, command in sorted(root.commands.items()):
        context = command.context_class(command, info_name=f"evolve {name}")
        usage = " ".join(command.collect_usage_pieces(context))
        parts.append(f"\n## evolve {name}\n\n`evolve {name} {usage}`\n\n{_paragraph(command.help)}")
        rows = [_flag_row(p) for p in command.params if not getattr(p, "hidden", False)]
        if rows:
            parts.append("\n| flag | meaning | default |\n| --- | --- | --- |\n" + "".join(rows))
    return "".join(parts)


def config_page() -> str:
    """Every setting, its default and its meaning, as evolve.toml has them."""
    parts = [NOTE + "# Settings\n\nKeys of `evolve.toml`. An unknown key is an error.\n"]
    for line in (DOCS.parent / "evolve.toml").read_text(encoding="utf-8").splitlines():
        if heading := HEADING.fullmatch(line):
            note = f"\n\n{heading[2]}" if heading[2] else ""
            parts.append(f"\n## [{heading[1]}]{note}\n\n| key | default | meaning |\n")
            parts.append("| --- | --- | --- |\n")
        elif setting := SETTING.fullmatch(line):
            parts.append(f"| `{setting[1]}` | `{setting[2]}` | {setting[3]} |\n")
    return "".join(parts)


def _paragraph(text: str | None) -> str:
    cleaned = inspect.cleandoc(text or "").replace("\b", "").replace("\f", "")
    return f"{cleaned}\n"


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _flag_row(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    name = _argument(parameter) if is_argument else ", ".join(parameter.opts)
    default = parameter.default
    has_default = isinstance(default, str | int | float) and not isinstance(default, bool)
    shown = f"`{default}`" if has_default else ""
    meaning = (getattr(parameter, "help", None) or "").replace("|", "\\|").replace("\n", " ")
    return f"| `{name}` | {meaning} | {shown} |\n"


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail on a difference")
    check = parser.parse_args().check
    stale = []
    for name, text in {"cli.md": cli_page(), "config.md": config_page()}.items():
        page = DOCS / name
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            page.write_text(text, encoding="utf-8")
    if check and stale:
        sys.stderr.write(f"docs/{', docs/'.join(stale)} differ from the code: run `make docs`\n")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
