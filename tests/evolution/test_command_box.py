"""A command in its box: honest work comes back, and a hostile one reaches nothing."""

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from agents import CallFailure, Message, Prompt
from evolution import keys
from evolution.agent_settings import AgentSettings
from evolution.command_box import CommandBox, CommandError, Room, _work
from evolution.models import Models
from evolution.operators import built_in
from evolution.sandbox.command_worker import read_back
from evolution.sitting import staff_of
from evolution.workspace import open_run
from population import Store
from tests.evolution.runs import an_engine
from tests.evolution.sandbox.confined import need
from tests.evolution.test_agents_end_to_end import places_of
from tests.evolution.test_commissions import asked_run, waiting

KEY = "sk-agent-planted-81d2"
FILES = {"train.py": "DEPTH = 4\n", "lib/model.py": "WIDTH = 8\n"}


@pytest.fixture(autouse=True)
def _bubblewrap_works():
    need("namespace")


def a_box(folder: Path, program: str, *words: str, **options) -> CommandBox:
    """A command that runs a Python program in the box."""
    script = folder / "agent.py"
    script.write_text("import json, os, sys, time\n" + program)
    room = options.pop("room", Room(seconds=20))
    return CommandBox(
        [sys.executable, str(script), *words],
        shows=[str(script), *options.pop("shows", ())],
        environ=options.pop("environ", {"PATH": os.environ["PATH"], "AGENT_KEY": KEY}),
        room=room,
        **options,
    )


def told(box: CommandBox, prompt: str = "Improve it.") -> object:
    """What a command printed as JSON."""
    work = box.run(FILES, prompt)
    assert work.failure is None, work.words
    return json.loads(work.said)


# --- honest work ---------------------------------------------------------------------------------


def test_edits_are_read_back_as_a_whole_genome(tmp_path):
    program = """
text = open("lib/model.py").read()
open("lib/model.py", "w").write(text.replace("8", "16"))
open("notes.txt", "w").write("not part of it")
print("HYPOTHESIS: wider")
"""
    work = a_box(tmp_path, program).run(FILES, "Improve it.")
    assert work.failure is None, work.words
    assert work.files == {**FILES, "lib/model.py": "WIDTH = 16\n"}
    assert work.said == "HYPOTHESIS: wider\n"


def test_the_prompt_comes_by_standing_input_and_as_a_file_and_the_model_by_name(tmp_path):
    program = "print(json.dumps([sys.stdin.read(), open(sys.argv[1]).read(), sys.argv[2]]))"
    box = a_box(tmp_path, program, "{prompt}", "--model={model}", model="big-1")
    assert told(box, "Mehr Tiefe: 深") == ["Mehr Tiefe: 深", "Mehr Tiefe: 深", "--model=big-1"]


def test_each_run_starts_from_nothing_and_many_may_run_at_once(tmp_path):
    program = """
first = not os.path.exists("mark"); open("mark", "w").write("x")
open("train.py", "w").write(sys.stdin.read()); print(json.dumps(first))
"""
    box = a_box(tmp_path, program)
    found = {}

    def run(number: int) -> None:
        work = box.run(FILES, f"N = {number}\n")
        found[number] = (work.said.strip(), work.files["train.py"])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: ("true", f"N = {number}\n") for number in range(4)}


# --- what it has ---------------------------------------------------------------------------------


def test_its_environment_is_its_own_key_and_nothing_of_the_users(tmp_path):
    environ = {"PATH": os.environ["PATH"], "AGENT_KEY": KEY, "OTHER_KEY": "x" * 20, "USER": "me"}
    program = "print(json.dumps(dict(os.environ)))"
    seen = told(a_box(tmp_path, program, key="AGENT_KEY", environ=environ))
    assert isinstance(seen, dict)
    assert {name for name in seen if name != "LC_CTYPE"} == {"PATH", "HOME", "LANG", "AGENT_KEY"}
    assert seen["AGENT_KEY"] == KEY
    assert not set(seen["PATH"].split(":")) - {
        str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"
    }  # fmt: skip
    assert "AGENT_KEY" not in told(a_box(tmp_path, program, environ=environ))


def test_no_process_in_the_box_has_an_environment_or_memory_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("PLANTED_KEY", "planted-in-the-engine-0042")
    program = """
found = []
for n in os.listdir("/proc"):
    if n.isdigit():
        try: data = open(f"/proc/{n}/environ", "rb").read()
        except OSError: continue
        found += [n] * (b"planted-in-the-engine" in data)
print(json.dumps(found))
"""
    assert told(a_box(tmp_path, program)) == []


@pytest.mark.parametrize("has_network", [False, True])
def test_the_network_is_there_as_the_setting_says(has_network, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"""
import socket
try: socket.create_connection(("127.0.0.1", {port}), timeout=5).close(); print("true")
except OSError: print("false")
"""
        assert told(a_box(tmp_path, program, has_network=has_network)) is has_network


# --- what it must not ----------------------------------------------------------------------------


def test_nothing_outside_its_folder_can_be_written_or_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    program = f"""
done = []
for path in ({str(secret)!r}, os.path.expanduser("~root/.ssh"), "/home", "/run", "/var/lib"):
    if os.path.exists(path): done.append("saw " + path)
for path in (__file__, "/x", "/usr/x", "/etc/x", sys.prefix + "/x", "/workspace/../x"):
    try: open(path, "a").write("x"); done.append("wrote " + path)
    except OSError: pass
try: open({str(secret)!r}, "w").write("x")  # in the box, /tmp is another
except OSError: pass
print(json.dumps(done))
"""
    box = a_box(tmp_path, program)
    script = (tmp_path / "agent.py").read_bytes()
    assert told(box) == []
    assert secret.read_text() == "a secret"
    assert (tmp_path / "agent.py").read_bytes() == script
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.py", "secret"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("os.remove('train.py'); os.symlink('/etc/passwd', 'train.py')", "no regular file"),
        ("os.remove('train.py'); os.mkfifo('train.py')", "no regular file"),
        ("os.remove('train.py'); os.mkdir('train.py')", "no regular file"),
        ("os.rename('lib', 'x'); os.symlink('x', 'lib')", "no regular file"),
        ("open('train.py', 'wb').write(b'\\xff\\xfe')", "no text"),
        ("open('train.py', 'wb').write(b'#' * (5 << 20))", "more than"),
    ],
)
def test_links_special_files_and_floods_are_no_genome(program, words, tmp_path):
    work = a_box(tmp_path, program).run(FILES, "Improve it.")
    assert work.failure is CallFailure.MALFORMED
    assert words in work.words
    assert not work.files


def test_a_file_that_is_removed_is_missed_and_no_file_is_added(tmp_path):
    program = "os.remove('lib/model.py'); open('../evil.py', 'w').write('x')"
    work = a_box(tmp_path, program).run(FILES, "Improve it.")
    assert work.files == {"train.py": "DEPTH = 4\n"}


def test_a_disk_that_is_full_ends_in_an_error_of_its_own(tmp_path):
    program = """
for n in range(100): open(f"f{n}", "wb").write(b"x" * (1 << 20))
"""
    work = a_box(tmp_path, program, room=Room(seconds=20, disk_mb=16)).run(FILES, "")
    assert work.failure is CallFailure.CUT_OFF
    assert "No space left" in work.words


def test_a_command_that_never_ends_is_ended_with_all_it_started(tmp_path):
    mark = f"sleeper-{os.getpid()}-{time.monotonic_ns()}"
    program = f"""
import subprocess
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {mark!r}],
                 start_new_session=True)
time.sleep(600)
"""
    work = a_box(tmp_path, program, room=Room(seconds=1)).run(FILES, "")
    assert work.failure is CallFailure.TIMED_OUT
    assert not running(mark)


def test_what_goes_on_after_the_command_has_ended_is_ended(tmp_path):
    mark = f"sleeper-{os.getpid()}-{time.monotonic_ns()}"
    program = f"""
import subprocess
subprocess.Popen([sys.executable, "-c",
                  "import time; time.sleep(2); open('train.py', 'w').write('late')", {mark!r}],
                 start_new_session=True)
"""
    work = a_box(tmp_path, program).run(FILES, "")
    assert work.files == FILES
    assert not running(mark)


def test_a_flood_of_processes_is_ended(tmp_path):
    program = """
import subprocess
kept = [subprocess.Popen(["sleep", "600"]) for _ in range(40)]
time.sleep(600)
"""
    work = a_box(tmp_path, program, room=Room(seconds=60, process_count=20)).run(FILES, "")
    assert work.failure is CallFailure.CUT_OFF
    assert "20 are allowed" in work.words


def test_the_box_does_not_answer_in_the_name_of_its_worker(tmp_path):
    program = """
forged = json.dumps({"code": 0, "said": "forged", "files": {"train.py": "EVIL = 1"}}).encode()
for n in os.listdir("/proc"):
    if n.isdigit() and int(n) != os.getpid():
        for fd in (1, 2):
            try: os.write(os.open(f"/proc/{n}/fd/{fd}", os.O_WRONLY), forged)
            except OSError: pass
print("honest")
"""
    # Where answers go it can find, by the box's first process; the mark of an answer it cannot.
    work = a_box(tmp_path, program).run(FILES, "")
    assert (work.said, work.files, work.failure) == ("honest\n", FILES, None)


def test_an_error_a_missing_program_and_a_close_have_their_classes(tmp_path):
    work = a_box(tmp_path, "sys.exit('no credit left')").run(FILES, "")
    assert work.failure is CallFailure.CUT_OFF
    assert "no credit left" in work.words
    box = a_box(tmp_path, "time.sleep(600)")
    timer = threading.Timer(1.0, box.close)
    timer.start()
    assert box.run(FILES, "").failure is CallFailure.CUT_OFF
    assert box.run(FILES, "").failure is CallFailure.UNREACHABLE


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{", b'{"files": 3, "code": 0}', b'{"files": {"train.py": 3}, "code": 0}',
     b'{"files": [], "code": 0, "said": {"a": 1}}', b"[" * 100_000],
)  # fmt: skip
def test_an_answer_that_is_forged_is_no_work(answer):
    work = _work(answer, FILES)
    assert work.failure is CallFailure.MALFORMED or not work.files


def test_files_are_read_below_their_folder_alone(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.py").write_text("outside")
    (tmp_path / "in" / "d").symlink_to(tmp_path / "out")
    with pytest.raises(ValueError, match="no regular file"):
        read_back(tmp_path / "in", ["d/a.py"], 1000)
    assert read_back(tmp_path / "out", ["a.py", "b.py"], 1000) == {"a.py": "outside"}


# --- settings ------------------------------------------------------------------------------------


def running(mark: str) -> list[str]:
    """Processes of this machine with a word of that name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if mark.encode() in words.split(b"\0"):
            found.append(str(path))
    return found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": ["no-such-agent"]}, "Install it"),
        ({"key": "NO_SUCH_KEY"}, "export NO_SUCH_KEY"),
        ({"shows": ["/root"]}, "Name the folder"),
        ({"shows": ["/etc"]}, "Name the folder"),
        ({"shows": ["/no/such/folder"]}, "Name the folder"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(options, words):
    command = options.pop("command", [sys.executable])
    with pytest.raises(CommandError, match=words):
        CommandBox(command, environ={"PATH": os.environ["PATH"]}, **options)


def test_the_model_of_a_command_run_is_its_program_and_its_key_leaves_our_environment(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("AGENT_KEY", KEY)
    script = tmp_path / "agent.py"
    script.write_text("import os; print(os.environ['AGENT_KEY'][:8])")
    settings = AgentSettings(
        kind="command",
        limit_usd=1.0,
        command=(sys.executable, str(script)),
        command_key="AGENT_KEY",
        command_shows=(str(script),),
    )
    models = Models(settings, clock=lambda: 0.0)
    prompt = Prompt("mutator", (), (Message("user", "Q"),), files=FILES)
    model = models.of("mutator")
    assert models.of("critic") is model
    assert model.name == Path(sys.executable).name
    assert "AGENT_KEY" not in os.environ  # no other child of ours gets it
    assert keys.environment()["AGENT_KEY"] == KEY
    assert model.reply(prompt).text.startswith("sk-agent")
    models.close()
    assert os.environ["AGENT_KEY"] == KEY


AGENT = """
import re
from pathlib import Path
main = Path("train.py")
text = main.read_text()
name, value = re.search(r"^([A-Z_]*LR) = ([0-9.e-]+)", text, re.M).groups()
changed = float(value) * (1 + int.from_bytes(os.urandom(2), "big") / 65536)
main.write_text(re.sub(rf"^{name} = [0-9.e-]+", f"{name} = {changed:.6g}", text, flags=re.M))
print(f"HYPOTHESIS: {name} to {changed:.6g}, with {os.environ['AGENT_KEY'][:4]}")
"""


def test_a_run_with_a_coding_agent_commits_its_edits_and_keeps_its_key_nowhere(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("AGENT_KEY", KEY)
    script = tmp_path / "agent.py"
    script.write_text("import os\n" + AGENT)
    paths = asked_run(
        tmp_path / "runs",
        limits__trials=2,
        operators__knob=0,  # these would be done before an agent has started
        operators__structure=0,
        operators__merge=0,
        agents__kind="command",
        agents__command=[sys.executable, str(script)],
        agents__command_key="AGENT_KEY",
        agents__command_shows=[str(script)],
        agents__model="agent",
        agents__prices={"agent": {"input": 0.1, "output": 0.1}},
    )
    with open_run(paths):  # whether or not a model is made
        assert "AGENT_KEY" not in os.environ
        assert keys.environment()["AGENT_KEY"] == KEY
    assert os.environ["AGENT_KEY"] == KEY
    options = {"after_turn": waiting, "operators": built_in(), "staff": staff_of}
    with keys.hidden(), an_engine(paths, **options) as (engine, _, _):
        engine.run()
        assert "AGENT_KEY" not in os.environ
    with Store.open(paths.database, read_only=True) as store:
        born = [v for v in store.variants() if v.operator in ("mutator", "crossover")]
        assert born
        assert all("LR to" in v.hypothesis for v in born)
        assert store.spending().spent_usd > 0
    assert os.environ["AGENT_KEY"] == KEY
    assert places_of(KEY, paths.root) == []
