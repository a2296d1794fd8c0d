import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolution.sandbox.autopsy import classify, oom_kill_count
from population import FailureClass

TRACEBACK = (
    'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n    {}\n{}\n'
)


def raised(last: str, line: str = "step()") -> str:
    return TRACEBACK.format(line, last)


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        (raised("MemoryError"), "out_of_memory"),
        (
            raised("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"),
            "out_of_memory",
        ),
        (
            raised("RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried"),
            "out_of_memory",
        ),
        ("terminate called\n  what():  std::bad_alloc\n", "out_of_memory"),
        (raised("ModuleNotFoundError: No module named 'numba'"), "import_error"),
        (raised("ImportError: cannot import name 'x' from 'torch'"), "import_error"),
        ("the loss is not finite, or above 100 (nan), after step 3\n", "not_finite"),
        ("val_bpb is not finite (nan): the model's logits must be finite\n", "not_finite"),
        ("The model's logits have shape (1, 2), but (1, 2, 3) was needed\n", "contract"),
        ("The prepared data in /c/tiny is not as it was made: x.bin was changed\n", "harness"),
        (raised("RuntimeError: mat1 and mat2 shapes cannot be multiplied"), "error"),
        (raised("KeyError: 'loss'", 'raise KeyError("out of memory")'), "error"),
        ("out of memory was avoided\n" * 3 + raised("ValueError: other"), "error"),
        ("", "error"),
    ],
)
def test_the_last_words_tell_the_class(tail, kind):
    assert classify(1, tail)[0] == kind


def test_the_message_is_the_exception_itself():
    assert classify(1, raised("ValueError: shapes differ"))[1] == "ValueError: shapes differ"
    assert classify(4, "")[1] == "the trainer left with exit code 4 and printed nothing"


def test_a_kill_is_for_memory_only_with_evidence():
    assert classify(-9, "", was_oom_killed=True)[0] == "out_of_memory"
    assert classify(-9, "") == ("killed", "the trainer was ended by SIGKILL")
    assert classify(-35, "")[1] == "the trainer was ended by signal 35"
    assert oom_kill_count() >= 0


def test_a_clean_end_without_score_breaks_the_contract():
    assert classify(0, raised("MemoryError"))[0] == "contract"


@given(st.integers(-64, 255), st.text(), st.booleans())
def test_every_end_has_a_class_and_a_bounded_line(exit_code, tail, was_oom_killed):
    kind, message = classify(exit_code, tail, was_oom_killed=was_oom_killed)
    assert FailureClass(kind)
    assert 0 < len(message) <= 300
    assert "\n" not in message
