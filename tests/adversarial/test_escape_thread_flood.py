import pytest

from tests.adversarial.escape_arena import TrialContract

pytestmark = [pytest.mark.security, pytest.mark.slow]

MOST_THREADS = 1500


class TestEndlessThreads(TrialContract):
    is_watched = True
    program = """
import threading
threading.stack_size(1 << 16)
with a_try("threads"):
    for _ in range(2500):
        threading.Thread(target=time.sleep, args=(2.0,), daemon=True).start()
print(threading.active_count())
time.sleep(0.5)
os._exit(0)
"""

    def harm(self, ground, attempt):
        count = attempt.thread_peak
        return f"{count} threads ran at once" if count > MOST_THREADS else ""
