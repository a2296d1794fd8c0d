"""What is installed: python, git, packages of the same name, a key. Never says what a key is."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import evolution
from evolution import keys
from evolution.agent_settings import AgentSettings
from evolution.doctor.finding import Finding, Level
from population import EvolveError
from population.plumbing import GitMissingError, git_executable

OUR_PACKAGES = ("population", "agents", "evolution", "analysis")
NEEDED_PYTHON = (3, 11)
NEEDED_GIT = (2, 30)
_KEY, _ADDRESS = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"
_TIMEOUT_SECONDS = 20


def python_finding() -> Finding:
    """The interpreter that trainers run under, too."""
    found = f"{platform.python_version()}, {sys.executable}"
    facts = {"version": platform.python_version(), "executable": sys.executable}
    if sys.version_info[:2] < NEEDED_PYTHON:  # what pip would refuse, a copied tree would not
        return Finding("python", Level.PROBLEM, found, "Install Python 3.11 or later.", facts)
    return Finding("python", Level.OK, found, facts=facts)


def git_finding() -> Finding:
    """Whether git is there, runs, and is young enough."""
    remedy = "Install git 2.30 or later, e.g. `apt install git`."
    try:
        answer = subprocess.run(
            [git_executable(), "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=True,
        ).stdout
    except GitMissingError:
        return Finding("git", Level.PROBLEM, "none on the PATH", remedy, {"version": None})
    except (OSError, subprocess.SubprocessError) as error:
        words = f"it does not run: {type(error).__name__}"
        return Finding("git", Level.PROBLEM, words, remedy, {"version": None})
    version = re.search(r"(\d+)\.(\d+)[\d.]*", answer)
    facts = {"version": version[0] if version else None}
    if version is None or (int(version[1]), int(version[2])) < NEEDED_GIT:
        return Finding("git", Level.PROBLEM, answer.strip()[:80], remedy, facts)
    return Finding("git", Level.OK, version[0], facts=facts)


def names_finding() -> Finding:
    """Whether another distribution brings a package of one of our names, as openai-agents does."""
    owners = importlib.metadata.packages_distributions()
    others = {
        name: sorted({dist for dist in owners.get(name, []) if dist != "evoresearch"})
        for name in OUR_PACKAGES
    }
    others = {name: dists for name, dists in others.items() if dists}
    foreign = [name for name in OUR_PACKAGES if not _is_ours(name)]
    facts = {"others": others, "not_ours": foreign}
    if not others and not foreign:
        words = f"{', '.join(OUR_PACKAGES)} are ours alone"
        return Finding("package names", Level.OK, words, facts=facts)
    shared = "; ".join(f"{name} also comes with {', '.join(d)}" for name, d in others.items())
    culprits = " ".join(sorted({dist for dists in others.values() for dist in dists}))
    remedy = "Use an environment of its own (`make install`)"
    remedy += f", or remove it: `pip uninstall {culprits}`." if culprits else "."
    if foreign:
        words = f"import {', '.join(foreign)} finds another package. {shared}".strip()
        return Finding("package names", Level.PROBLEM, words, remedy, facts)
    return Finding("package names", Level.WARNING, shared, remedy, facts)


def _is_ours(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return False
    return Path(spec.origin).resolve().parents[1] == Path(evolution.__file__).resolve().parents[1]


def key_finding() -> Finding:
    """Whether there is a key for a language model; never a character of it."""
    has_key = bool(keys.environment().get(_KEY, "").strip())
    address = os.environ.get(_ADDRESS, "").strip()
    host = _host(address) if address else None
    facts = {"is_set": has_key, "base_url_host": host}
    words = f"{_KEY} is {'set' if has_key else 'not set; the built-in operators need none'}"
    if address and host is None:
        remedy = f"{_ADDRESS} is no address: set it to one such as https://host, or unset it."
        return Finding("api key", Level.WARNING, words, remedy, facts)
    return Finding("api key", Level.OK, words + (f"; asks {host}" if host else ""), facts=facts)


def agents_finding(settings: AgentSettings) -> Finding:
    """Whether the language models of the settings have a key and a price; asks none of them."""
    facts: dict[str, object] = {"kind": settings.kind, "limit_usd": settings.limit_usd}
    if not settings.is_on:
        words = "none is asked; `evolve run --agents claude --limit-usd 10` would"
        return Finding("language models", Level.OK, words, facts=facts)
    from evolution.models import check_models  # `agents` may be another package's name here

    try:
        names = check_models(settings)
    except EvolveError as error:
        remedy = "Set the key, or the model and its price, or [agents] kind = 'off'."
        return Finding("language models", Level.PROBLEM, str(error), remedy, facts)
    words = f"{', '.join(names)}: key and price are there; at most ${settings.limit_usd:g}"
    return Finding("language models", Level.OK, words, facts={**facts, "models": names})


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
