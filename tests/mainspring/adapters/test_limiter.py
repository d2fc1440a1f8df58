import asyncio
import importlib.util
import sqlite3
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits.storage import SCHEMES

from mainspring.adapters.limiter import _CLIENTS, open_limiter
from mainspring.adapters.limiter.counting import CountingLimiter
from mainspring.adapters.limiter.sqlite import SqliteStorage
from mainspring.core.limits import Allowance, Limit, LimitFacts, claims
from mainspring.errors import LimitError, SetupError
from mainspring.testing.contracts import LimiterContract

ROUNDS = 150
TAKER = """
import asyncio, sys
from pathlib import Path
from mainspring.adapters.limiter import open_limiter
from mainspring.core.limits import Allowance

async def main(path, rounds):
    async with open_limiter("", Path(path)) as limiter:
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        got = 0
        for number in range(rounds):
            many = Allowance(key=f"many {number}", at_most=10, every=3600)
            one = Allowance(key=f"one {number}", at_most=1, every=3600)
            got += await limiter.take([many, one]) == {}
        print(got)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    async def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@asynccontextmanager
async def open_at(path: Path, clock: Clock):
    """A limiter on a file, whose time is ours."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:
        storage = await loop.run_in_executor(thread, SqliteStorage, path, clock)
        try:
            yield CountingLimiter(storage, thread, place="a test", clock=clock)
        finally:
            await loop.run_in_executor(thread, storage.close)


def allowance(key: str, at_most: int = 1, every: int = 60) -> Allowance:
    """One allowance."""
    return Allowance(key=key, at_most=at_most, every=every)


def keys(path: Path) -> list[str]:
    """The keys in a file, one for each that was taken."""
    with closing(sqlite3.connect(path)) as file:
        return sorted(key.removeprefix("mainspring/") for (key,) in file.execute("SELECT key FROM taken"))


class TestMemory(LimiterContract):
    @pytest.fixture
    async def limiter(self, tmp_path):
        """Count in memory."""
        async with open_limiter("memory://", tmp_path / "unused") as limiter:
            yield limiter


class TestSqlite(LimiterContract):
    @pytest.fixture
    def clock(self):
        """Time that is ours."""
        return Clock()

    @pytest.fixture
    def later(self, clock):
        """Move the clock."""
        return clock.later

    @pytest.fixture
    async def limiter(self, tmp_path, clock):
        """Count in a file."""
        async with open_at(tmp_path / "limits.sqlite", clock) as limiter:
            yield limiter


class TestWindow:
    async def test_moves(self, tmp_path):
        """There is room exactly when the oldest of the window is over, one after the other."""
        clock = Clock()
        async with open_at(tmp_path / "limits.sqlite", clock) as limiter:
            await limiter.take([allowance("a", 2)])
            await clock.later(20)
            await limiter.take([allowance("a", 2)])
            await clock.later(10)
            assert await limiter.take([allowance("a", 2)]) == {"a": 30}
            await clock.later(30)
            assert await limiter.take([allowance("a", 2)]) == {}
            assert await limiter.take([allowance("a", 2)]) == {"a": 20}

    async def test_smaller_limit_waits_for_enough(self, tmp_path):
        """A limit that was made smaller waits until so many are over that there is room."""
        clock = Clock()
        async with open_at(tmp_path / "limits.sqlite", clock) as limiter:
            for _ in range(3):
                await limiter.take([allowance("a", 3)])
                await clock.later(10)
            assert await limiter.take([allowance("a", 1)]) == {"a": 50}

    async def test_old_rows_go(self, tmp_path):
        """What no window holds any more is deleted, whoever it was."""
        clock = Clock()
        async with open_at(tmp_path / "limits.sqlite", clock) as limiter:
            for user in range(50):
                await limiter.take([allowance(f"user {user}")])
            await clock.later(60)
            await limiter.take([allowance("another")])
            assert keys(tmp_path / "limits.sqlite") == ["another"]

    @settings(max_examples=25, deadline=None)
    @given(
        steps=st.lists(st.tuples(st.integers(0, 40), st.sets(st.sampled_from("abc"), min_size=1)), max_size=30),
        limits=st.fixed_dictionaries({key: st.tuples(st.integers(1, 3), st.integers(1, 90)) for key in "abc"}),
    )
    async def test_as_a_list_of_times(self, steps, limits):
        """In any order of takings the file says what a list of the times of each key says."""
        clock = Clock()
        taken = {key: list[float]() for key in limits}
        with tempfile.TemporaryDirectory() as folder:
            async with open_at(Path(folder) / "limits.sqlite", clock) as limiter:
                for pause, names in steps:
                    await clock.later(pause)
                    expected = {}
                    for key in names:
                        at_most, every = limits[key]
                        held = [at for at in taken[key] if at + every > clock.now]
                        if len(held) >= at_most:
                            expected[key] = held[-at_most] + every - clock.now
                    assert await limiter.take([allowance(key, *limits[key]) for key in names]) == expected
                    for key in names if not expected else ():
                        taken[key].append(clock.now)


class TestFile:
    async def test_restart(self, tmp_path):
        """What was taken counts when the file is opened again."""
        async with open_limiter("", tmp_path / "new" / "limits.sqlite") as limiter:
            assert await limiter.take([allowance("a", every=3600)]) == {}
        async with open_limiter("", tmp_path / "new" / "limits.sqlite") as limiter:
            assert await limiter.take([allowance("a", every=3600)])

    async def test_processes_share_it(self, tmp_path):
        """Processes that take at the same time get together what one may, and who gets nothing takes nothing."""
        file = tmp_path / "limits.sqlite"
        pipe = asyncio.subprocess.PIPE
        start = (sys.executable, "-c", TAKER, str(file), str(ROUNDS))
        takers = [await asyncio.create_subprocess_exec(*start, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(3)]
        for each in takers:
            assert await each.stdout.readline() == b"ready\n"
        said = await asyncio.gather(*(each.communicate(b"go\n") for each in takers))

        assert [error.decode() for _, error in said] == ["", "", ""]
        assert sum(int(out) for out, _ in said) == ROUNDS
        assert keys(file) == sorted(f"{kind} {number}" for kind in ("many", "one") for number in range(ROUNDS))

    async def test_made_at_once(self, tmp_path):
        """Workers that start together make the file together, and each can use it."""

        async def open_and_take(worker):
            async with open_limiter("", tmp_path / "limits.sqlite") as limiter:
                return await limiter.take([allowance(worker)])

        assert await asyncio.gather(*(open_and_take(str(worker)) for worker in range(12))) == [{}] * 12

    async def test_no_names(self, tmp_path):
        """Nobody's name is in the file, nor the tenant's."""
        limit = Limit(
            id="per-user", point="input", per=("user", "tenant"), at_most=1, every=3600, reason="Once.", line=1
        )
        made = claims([limit], "input", LimitFacts(user="ana@example.com", tenant="acme"))
        async with open_limiter("", tmp_path / "limits.sqlite") as limiter:
            await limiter.take([claim.allowance for claim in made])
        content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert b"per-user" in content
        assert b"ana" not in content
        assert b"acme" not in content

    async def test_cancelled_caller(self, tmp_path):
        """A caller cancelled in the middle leaves a limiter that still counts."""
        async with open_limiter("", tmp_path / "limits.sqlite") as limiter:
            for turns in range(8):
                task = asyncio.create_task(limiter.take([allowance("a", 1000)]))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
            assert await limiter.take([allowance("b")]) == {}
            assert await limiter.take([allowance("b")])

    async def test_broken_later(self, tmp_path):
        """A file that fails in the middle of the work is an error with its name, which may be tried again."""
        async with open_limiter("", tmp_path / "limits.sqlite") as limiter:
            with closing(sqlite3.connect(tmp_path / "limits.sqlite")) as file:
                file.execute("DROP TABLE taken")
            with pytest.raises(
                LimitError, match=r"limits cannot be counted in the file '.*limits.sqlite': no such table"
            ):
                await limiter.take([allowance("a")])

    async def test_leaves_nothing_running(self, tmp_path):
        """A closed limiter leaves no thread behind."""
        async with open_limiter("", tmp_path / "limits.sqlite") as limiter:
            await limiter.take([allowance("a")])
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("limits")] == []

    @pytest.mark.parametrize("name", [".", "a file/limits.sqlite"])
    async def test_unusable(self, tmp_path, name):
        """A path that cannot be a database file is refused with its name and what to do."""
        (tmp_path / "a file").touch()
        with pytest.raises(SetupError, match=r"the file of limits '.*' cannot be used: .* Name a state folder"):
            async with open_limiter("", tmp_path / name):
                pass

    async def test_no_database(self, tmp_path):
        """A file that is something else is refused at once and left as it is."""
        (tmp_path / "letter.txt").write_text("Dear Ana, " * 100)
        with pytest.raises(SetupError, match="is not a database"):
            async with open_limiter("", tmp_path / "letter.txt"):
                pass
        assert (tmp_path / "letter.txt").read_text().startswith("Dear Ana")


class TestAddress:
    async def refusal(self, address: str) -> str:
        """What an address is refused with."""
        with pytest.raises(SetupError) as caught:
            async with open_limiter(address, Path("unused")):
                pass
        return str(caught.value)

    @pytest.mark.parametrize(
        ("address", "said"),
        [
            ("reddis://host:6379", "'reddis://host:6379' (MAINSPRING_LIMITS): no such scheme. Did you mean 'redis'?"),
            ("memcached://host:11211", "no such scheme. There is: 'memory', 'mongodb'"),
            ("limits.sqlite", "MAINSPRING_LIMITS must be an address, such as 'redis://host:6379' or 'memory://'"),
        ],
    )
    async def test_wrong(self, address, said):
        """A wrong address is refused under the setting's name, with what there is."""
        assert said in await self.refusal(address)

    def test_every_storage_of_the_package(self):
        """Every address is known that the package has, but those without a moving window."""
        assert {each for each in SCHEMES if not each.startswith("async+")} - {"memcached"} == set(_CLIENTS)

    @pytest.mark.skipif(importlib.util.find_spec("redis") is not None, reason="the client of Redis is installed")
    async def test_missing_package(self):
        """Where the client package is missing, the refusal has the command that installs it."""
        said = await self.refusal("redis://host:6379")
        assert said == (
            "limits at 'redis://host:6379' (MAINSPRING_LIMITS) need a package. Run: pip install 'limits[redis]'"
        )

    @pytest.mark.parametrize("address", ["redis://ana:s3cret@host:6379/1", "reddis://:s3c/ret@host"])
    async def test_no_password(self, address):
        """No refusal shows the password of an address."""
        said = await self.refusal(address)
        assert "s3c" not in said
        assert "host" in said
