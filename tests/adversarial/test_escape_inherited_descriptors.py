import os

import pytest

from tests.adversarial.escape_arena import TrialContract, unconfined

pytestmark = [pytest.mark.security, pytest.mark.slow]


class TestDescriptorsThatAreNotItsOwn(TrialContract):
    """Somebody above has a file of secrets open, and forgot to close it for those below."""

    program = """
for number in range(3, 1024):
    with contextlib.suppress(OSError):
        print(number, os.readlink(f"/proc/self/fd/{number}"))
    with contextlib.suppress(OSError):
        os.set_blocking(number, False)
        print(number, os.pread(number, 1000, 0))
"""

    def prepare(self, ground):
        descriptor = os.open(ground.path("home/.netrc"), os.O_RDONLY)
        os.set_inheritable(descriptor, True)
        ground.stack.callback(os.close, descriptor)
        self.descriptor = descriptor
        return {}

    def test_it_works_where_there_is_no_box(self, ground):
        text = self.text(ground)
        attempt = unconfined(text, ground, descriptors=(self.descriptor,))
        assert self.harm(ground, attempt), attempt
