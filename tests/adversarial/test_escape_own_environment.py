import pytest

from tests.adversarial.escape_arena import EscapeContract

pytestmark = pytest.mark.security


class TestOwnEnvironment(EscapeContract):
    program = """
print(dict(os.environ))
with a_try("the first environment"):
    print(open("/proc/self/environ").read())
libc.getenv.restype = ctypes.c_char_p
print(libc.getenv(b"OUTSIDE_API_KEY"), libc.getenv(b"OUTSIDE_DATABASE_URL"))
"""
