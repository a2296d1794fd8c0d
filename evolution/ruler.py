"""The ruler: a run's own hashed ``prepare.py``. The only module that loads it.

Prepares data and checks them; scores and torch are the trainer's business.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import InspectLoader
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from population import Budget, BudgetKind
from population.errors import EvolveError

if TYPE_CHECKING:
    from evolution.profiles import Profile

#: The version of the line to a trainer that supervisors speak; a ruler says its own.
PROTOCOL = 2
NEEDED = ("prepare", "check", "read_manifest", "profile_facts", "PrepareError")


class RulerError(EvolveError):
    """The ruler or its data cannot be used."""


@dataclass(frozen=True, slots=True)
class PreparedData:
    """One prepared folder.

    Attributes:
        path: The folder; trainers read it.
        data_hash: Of text, tokenizer and lengths: scores compare where it is equal.
        profile: For which it was prepared.
        seq_len: Tokens in a row.
        vocab_size: Tokens there are.
        budget: The profile's own training budget.
        tokens: Token count of each file.
    """

    path: Path
    data_hash: str
    profile: str
    seq_len: int
    vocab_size: int
    budget: Budget
    tokens: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class OwnText:
    """The user's own text as a ruler would split it; empty documents are among them.

    Attributes:
        documents: As they were, in order.
        parts: Text of ``train``, ``validation`` and ``test``.
        is_cut: True if each document is cut into blocks, one for each part; else each document
            falls into one part.
        is_whole: False if there is more text than was to be read.
    """

    documents: Sequence[str]
    parts: Mapping[str, Sequence[str]]
    is_cut: bool
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Ruler:
    """A loaded ``prepare.py``.

    Attributes:
        path: Where it lies.
        hash: SHA-256 of its text: scores compare where it is equal.
    """

    path: Path
    hash: str
    _module: ModuleType

    @classmethod
    def load(cls, path: Path) -> "Ruler":
        """Load a ruler from its file.

        Raises:
            RulerError: If it is missing, does not load, or lacks what a ruler offers.
        """
        try:
            text = path.read_bytes()
            module = _execute(path, text)
        except OSError as error:
            raise RulerError(
                f"The ruler {path} cannot be read: {error.strerror or error}. A run needs its own "
                "copy of prepare.py. Put it back, or start a new run."
            ) from error
        except (Exception, SystemExit) as error:
            raise RulerError(
                f"The ruler {path} does not load: {type(error).__name__}: {error}. A run needs a "
                "prepare.py that can be imported. Mend it, or take the one that evolve ships."
            ) from error
        lacking = [name for name in NEEDED if not hasattr(module, name)]
        if lacking:
            raise RulerError(
                f"The ruler {path} lacks {', '.join(lacking)}. The search prepares and checks data "
                "by these names. Add them, or take the prepare.py that evolve ships."
            )
        found = getattr(module, "PROTOCOL", 1)
        if found != PROTOCOL:
            raise RulerError(
                f"The ruler {path} speaks version {found} of the line to its harness. Version "
                f"{PROTOCOL} is needed, which hands in models to be scored. Go on with the version "
                "of evoresearch that began the run, or begin a new one with the prepare.py that "
                "evolve ships."
            )
        return cls(path, hashlib.sha256(text).hexdigest(), module)

    def profile_facts(self, profile: str) -> dict[str, Any]:
        """What the ruler prepares for a profile, and the profile's budget.

        Raises:
            RulerError: If it knows no such profile.
        """
        facts: dict[str, Any] = self._ask("profile_facts", profile)
        return facts

    def budget_of(self, profile: str) -> Budget:
        """The training budget that the ruler gives a profile.

        Raises:
            RulerError: If it knows no such profile.
        """
        budget = self.profile_facts(profile)["budget"]
        return Budget(BudgetKind(budget["kind"]), float(budget["amount"]))

    def prepare(
        self,
        profile: "Profile | str",
        data: Iterable[Path] | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> PreparedData:
        """Prepare a profile's data, unless that was done before.

        Args:
            profile: Which.
            data: The user's own text in place of the profile's.
            progress: Told in words what is being done.

        Raises:
            RulerError: In three parts.
        """
        name = profile if isinstance(profile, str) else profile.name

        def tell(stage: str, share: float) -> None:
            if progress is not None:
                progress(f"{stage} {share:.0%}" if 0 < share < 1 else stage)

        path: Path = self._ask("prepare", name, tuple(data or ()), on_progress=tell)
        return self.read(path)

    def read(self, path: Path) -> PreparedData:
        """What a prepared folder holds, after checking it.

        Raises:
            RulerError: If something is missing or was changed.
        """
        manifest = self._ask("read_manifest", path)
        budget = manifest["budget"]
        return PreparedData(
            path=path,
            data_hash=manifest["data_hash"],
            profile=manifest["profile"],
            seq_len=manifest["seq_len"],
            vocab_size=manifest["vocab_size"],
            budget=Budget(BudgetKind(budget["kind"]), float(budget["amount"])),
            tokens=MappingProxyType(manifest["tokens"]),
        )

    @property
    def shows_documents(self) -> bool:
        """True if it can tell how it would split a text; rulers of earlier versions cannot."""
        return hasattr(self._module, "own_text")

    def own_text(self, data: Sequence[Path], most_chars: int) -> OwnText:
        """The user's own text, split as a run would split it.

        Args:
            data: Files, or folders of them.
            most_chars: Characters to read at most; beyond them, the beginning of each file.

        Raises:
            RulerError: In three parts.
        """
        found = self._ask("own_text", tuple(data), most_chars)
        return OwnText(found.documents, found.parts, found.is_cut, found.is_whole)

    def check(self, path: Path, data_hash: str) -> None:
        """Make sure that a folder still holds exactly these data.

        Raises:
            RulerError: If something is missing or was changed.
        """
        self._ask("check", path, data_hash)

    def _ask(self, function: str, *arguments: object, **options: object) -> Any:  # noqa: ANN401
        """Call into the module; its errors become ours."""
        try:
            return getattr(self._module, function)(*arguments, **options)
        except self._module.PrepareError as error:
            raise RulerError(str(error)) from error
        except (OSError, UnicodeError) as error:
            raise RulerError(
                f"The data cannot be prepared or read: {error}. Readable UTF-8 text and room in "
                "the cache are needed. Mend that and try again."
            ) from error


class _Text(InspectLoader):
    """Imports from text at hand: leaves no byte code beside a run's files."""

    def __init__(self, path: Path, text: bytes) -> None:
        self._path, self._text = path, text

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - the protocol's signature
        return importlib.util.decode_source(self._text)

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002 - the protocol's signature
        return str(self._path)


def _execute(path: Path, text: bytes) -> ModuleType:
    """A module of its own for each text, whatever else is called ``prepare`` in this process."""
    name = f"ruler_{hashlib.sha256(text).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_loader(name, _Text(path, text))
    if spec is None or spec.loader is None:
        raise AssertionError("a loader at hand gives a spec")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
