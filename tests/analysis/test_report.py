"""The report: one well-formed file that asks for nothing and obeys nobody."""

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis import write_report
from analysis.runs import SAMPLE
from population import (
    Branches,
    Direction,
    Fitness,
    Genome,
    Metric,
    Ruling,
    RunPaths,
    RunState,
    Store,
    Verdict,
)
from tests.builders import NOW, a_run, a_rung, a_variant
from tests.small_run import a_small_run

SECTIONS = [
    "summary",
    "progress",
    "descent",
    "family",
    "variants",
    "operators",
    "failures",
    "noise",
    "accounts",
    "diff",
    "settings",
    "reproduce",
]
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "srcset", "action", "data", "poster", "background"):
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        self.text += data


def report_of(paths: RunPaths, target: Path, **options) -> tuple[Page, str]:
    with Store.open(paths.database, read_only=True) as store:
        write_report(store, paths, target, now=NOW, **options)
    text = target.read_text(encoding="utf-8")
    return Page(text), text


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, str]:
    folder = tmp_path_factory.mktemp("report")
    return report_of(a_small_run(folder), folder / "report.html")


def test_the_report_says_how_often_each_operator_is_asked_now_if_it_is_told(
    page: tuple[Page, str], tmp_path: Path
):
    shares = {"knob": 0.75, "merge": 0.25}
    told, _ = report_of(a_small_run(tmp_path), tmp_path / "report.html", shares=shares)
    assert "asked now" in told.text
    assert "75%" in told.text
    assert "asked now" not in page[0].text


def test_the_report_says_that_the_search_is_flat_if_it_is_told(
    page: tuple[Page, str], tmp_path: Path
):
    words = "flat since 1.20 device-hours were spent"
    told, _ = report_of(a_small_run(tmp_path), tmp_path / "report.html", progress=words)
    assert f"The search is {words}." in told.text
    assert "The search is" not in page[0].text


def test_the_report_has_every_section_once(page: tuple[Page, str]):
    assert page[0].ids == SECTIONS


def test_the_report_loads_nothing_from_anywhere(page: tuple[Page, str]):
    assert len(page[0].addresses) == 6
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page[0].addresses)
    assert not re.search(r"url\(|@import|https?://", page[1])
    assert "default-src 'none'" in page[1]
    assert not page[0].tags & {"script", "link", "iframe", "object", "embed", "base"}


def test_the_figures_of_a_report_load_nothing_either(page: tuple[Page, str]):
    for address in page[0].addresses:
        image = base64.b64decode(address.partition(",")[2]).decode()
        links = re.findall(r'(?:href|src)="([^"]*)"', image)
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
        assert "<script" not in image


def test_the_report_of_the_sample_run_is_a_file_to_mail(tmp_path: Path):
    _, text = report_of(RunPaths(SAMPLE), tmp_path / "report.html")
    assert len(text) < 3_000_000
    assert not re.search(r"(?<![\w.…])/(?:tmp|home|root|Users|work)/", text)


def test_the_report_says_what_fresh_seeds_confirm_and_that_scores_are_reported(
    page: tuple[Page, str],
):
    words = " ".join(page[0].text.split())
    assert "Confirmed on fresh seeds: g002-003 is better than the baseline by +20 mbpb" in words
    assert "depth × 1.5: +6 mbpb (-4 to +16), not confirmed, 3 pairs" in words
    assert "val_bpb 1.532 ± 0.005 (reported, basic!)" in words
    assert "evolve run --config config.toml --rng-seed 7 --allow-unsafe" in words
    assert "scores: reported, basic!" in words
    assert "ValueError: shapes differ" in words


def hostile_run(folder: Path) -> RunPaths:
    """A run whose only offspring calls itself all that a page could obey."""
    evil = "<script>alert(1)</script> {{ 7*7 }} ]]> <img src=x onerror=alert(1)> $\\frac{ \u202e"
    paths = RunPaths(folder)
    paths.make_folders()
    with Branches.create(paths.repository) as branches:
        shas = []
        for number, text in enumerate(("DEPTH = 1\n", f"DEPTH = 2  # </pre>{evil}\n")):
            parents = shas[-1:]
            shas.append(branches.commit(Genome.single(text), parents, message="m", at=NOW + number))
    with Store.create(paths.database, a_run({"run": {"profile": evil}}, baseline=shas[0])) as store:
        store.add_variant(a_variant(sha=shas[0]))
        child = a_variant(1, sha=shas[1], parents=(shas[0],), hypothesis=evil, operator=evil)
        store.add_variant(child)
        store.save_fitnesses({shas[0]: Fitness(1.5, 0.01, 3), shas[1]: Fitness(1.4, 0.01, 1)})
        store.add_verdict(
            Verdict("v001", shas[1], shas[0], (a_rung(ruling=Ruling.NOT_CONFIRMED),), NOW)
        )
    return paths


def test_nothing_that_a_genome_wrote_is_obeyed_by_a_browser(tmp_path: Path):
    page, text = report_of(hostile_run(tmp_path / "evil"), tmp_path / "report.html")
    assert page.ids == SECTIONS
    assert not page.tags & {"script", "iframe"}
    assert not page.handlers
    assert len(page.addresses) == 6
    assert "<script>alert(1)</script> {{ 7*7 }}" in page.text
    assert "\u202e" not in text
    assert "49" not in page.text.split("Its last edit")[1][:60]


def test_a_claim_that_did_not_hold_is_called_so(tmp_path: Path):
    page, _ = report_of(hostile_run(tmp_path / "evil"), tmp_path / "report.html")
    assert "Nothing is confirmed: the claim of g001-001 did not hold" in page.text


def of_an_empty_run(folder: Path) -> RunPaths:
    paths = RunPaths(folder / "empty")
    paths.make_folders()
    Branches.create(paths.repository).close()
    Store.create(paths.database, a_run()).close()
    return paths


@pytest.mark.parametrize(
    ("make", "is_live", "state"),
    [
        (of_an_empty_run, False, "created"),
        (lambda folder: a_small_run(folder, state=RunState.PAUSED), False, "paused"),
        (lambda folder: a_small_run(folder, state=RunState.RUNNING), True, "running"),
        (lambda folder: a_small_run(folder, state=RunState.RUNNING), False, "interrupted"),
    ],
    ids=["empty", "paused", "live", "killed"],
)
def test_a_run_at_any_stage_has_a_report(
    make: Callable[[Path], RunPaths], is_live: bool, state: str, tmp_path: Path
):
    page, _ = report_of(make(tmp_path), tmp_path / "report.html", is_live=is_live)
    assert page.ids == SECTIONS
    assert state in page.text.partition("In words")[0]


def test_a_maximised_metric_is_reported_by_its_own_values(tmp_path: Path):
    paths = a_small_run(tmp_path)
    with Store.open(paths.database) as store:
        store.set_metric(Metric("accuracy", Direction.MAXIMIZE, "%"))
        fitnesses = store.fitnesses()
        shifted = {
            sha: Fitness(None if f.mean is None else f.mean - 60, f.sd, f.trial_count)
            for sha, f in fitnesses.items()
        }
        store.save_fitnesses(shifted)
    page, _ = report_of(paths, tmp_path / "report.html")
    assert "accuracy (%) 58.468 ± 0.005 (reported, basic!)" in page.text
    assert "mbpb" not in page.text


def test_the_same_run_read_at_the_same_moment_gives_the_same_file(tmp_path: Path):
    paths = a_small_run(tmp_path)
    texts = [report_of(paths, tmp_path / f"{n}.html")[1] for n in range(2)]
    assert texts[0] == texts[1]


def test_the_diff_of_the_champion_stands_line_by_line(page: tuple[Page, str]):
    lines = page[0].text.partition("The champion's change")[2].splitlines()
    assert "-LEARNING_RATE = 3e-3" in lines
    assert "+LEARNING_RATE = 5e-3" in lines
