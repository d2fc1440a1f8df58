"""The demo as a person sees it: without a terminal, at a terminal, and interrupted."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mainspring.cli.demo.ticket import ASKS, choose
from mainspring.errors import UsageError

ROOT = Path(__file__).parents[3]
TICKETS = ROOT / "examples" / "tickets"
DEMO = [sys.executable, "-c", "from mainspring.cli import main; main()", "demo"]
PATIENCE = 120


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the demo keeps what it keeps."""
    return tmp_path / "state"


def real_shop(state: Path) -> Path:
    """Where the person's own shop would be."""
    return state.with_name("real-shop.db")


def environment(state: Path) -> dict[str, str]:
    """What the demo is started with: among others a shop, a mail server and a Temporal it must not touch."""
    foreign = {"SMTP_HOST": "mail.invalid", "SHOP_DB": str(real_shop(state)), "TEMPORAL_API_KEY": "for the cloud"}
    return {**os.environ, **foreign, "MAINSPRING_STATE": str(state), "TERM": "xterm", "COLUMNS": "120"}


def play(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The whole demo without a terminal."""
    return subprocess.run(
        [*DEMO, *arguments],
        cwd=ROOT,
        env=environment(state),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Terminal:
    """A demo at a terminal of its own, where one can read and press keys."""

    def __init__(self, state: Path) -> None:
        """Start it."""
        self.state = state
        self.shown = ""
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            DEMO,
            cwd=ROOT,
            env=environment(state),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # Its own terminal, so that Ctrl-C is a signal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one system call
        )
        os.close(theirs)
        # A demo that hangs ends here, and with it the reading below.
        self._limit = threading.Timer(PATIENCE, self.process.kill)
        self._limit.start()

    def read_until(self, text: str) -> None:
        """Read on until `text` is shown, or to the end."""
        while text not in self.shown and (more := self._read()):
            self.shown += more
        assert text in self.shown

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())

    def end(self) -> int:
        """Read to the end; gives the exit code."""
        while more := self._read():
            self.shown += more
        return self.process.wait()

    def close(self) -> None:
        """Take everything away, whatever happened."""
        self._limit.cancel()
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _read(self) -> str:
        try:
            return os.read(self._ours, 65_536).decode(errors="ignore")
        except OSError:  # how Linux says that nobody writes any more
            return ""


@pytest.fixture
def terminal(state: Path) -> Iterator[Terminal]:
    """A demo that was just started at a terminal."""
    started = Terminal(state)
    yield started
    started.close()


def server_runs(state: Path) -> bool:
    """Whether a Temporal server still holds the state folder."""
    with (state / "server.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_without_a_terminal(state: Path):
    """It approves itself with Temporal's command, says so, and shows what came of it; another time it goes on."""
    first = play(state)
    second = play(state)

    assert (first.returncode, first.stderr) == (0, "")
    assert re.search(r"\$ \S*temporal workflow start --type refund-desk", first.stdout)
    assert "the demo runs this last line itself" in first.stdout
    assert "10 before, 11 now" in first.stdout
    assert "EUR 89.00 for order 1042" in first.stdout
    assert "Mails sent: 1" in first.stdout
    assert "execute_tool issue_refund" in first.stdout
    assert (second.returncode, second.stderr) == (0, "")
    assert "Order 1042 was refunded by an earlier demo" in second.stdout
    assert "11 before, 12 now" in second.stdout
    assert not server_runs(state)


def test_without_approval(state: Path):
    """A ticket that needs nobody's approval ends well without one, and the person's own systems are left alone."""
    played = play(state, "--ticket", "small-refund")

    assert (played.returncode, "Request 1" in played.stdout) == (0, False)
    assert "EUR 18.50" in played.stdout
    assert not real_shop(state).exists()


def test_approval_that_does_not_come(state: Path):
    """Where the rules never ask though they should, the demo says so and fails."""
    shop = {"SHOP_DB": str(state / "shop.db")}
    pay = "with SHOP.opened() as shop: shop.execute('UPDATE lines SET price_cents = 100')"
    pay = f"from tools.shop_seed import SHOP\n{pay}"
    state.mkdir()
    subprocess.run([sys.executable, "-c", pay], cwd=ROOT, env=os.environ | shop, check=True)

    played = play(state, "--ticket", "damaged-grinder")

    assert played.returncode == 1
    assert "ended without asking a person" in played.stdout


def test_a_key_denies(terminal: Terminal):
    """At a terminal the key d denies: no money moves, and the trace says who decided."""
    terminal.read_until("to deny")
    terminal.press("x")
    terminal.press("d")

    assert terminal.end() == 0
    assert "10 before, 10 now" in terminal.shown
    assert "request 1: deny, by claimed: mainspring-cli:" in re.sub(
        r"\x1b\[[0-9;]*m|│|\s+", " ", terminal.shown
    ).replace("  ", " ")


@pytest.mark.parametrize(
    ("moment", "stop"),
    [
        ("to deny", lambda terminal: terminal.press("\x03")),
        ("workflow start", lambda terminal: terminal.press("\x03")),
        ("to deny", lambda terminal: terminal.process.send_signal(signal.SIGTERM)),
    ],
    ids=["Ctrl-C at the approval", "Ctrl-C at the start", "SIGTERM at the approval"],
)
def test_interrupted(terminal: Terminal, moment: str, stop: Callable[[Terminal], None]):
    """However and whenever it is stopped, it says so in a line and leaves nothing running."""
    terminal.read_until(moment)
    stop(terminal)

    assert terminal.end() == 130
    assert terminal.shown.rstrip().endswith("Stopped; nothing is left running.")
    assert "Traceback" not in terminal.shown
    assert not server_runs(terminal.state)


def test_unknown_ticket():
    """An unknown ticket is answered with the nearest name."""
    with pytest.raises(UsageError, match=r"There is no ticket 'damaged' .* Did you mean 'damaged-grinder'\?"):
        choose("damaged", TICKETS, set())


def test_next_ticket():
    """Tickets whose order is refunded are passed over, and the remark says so."""
    ticket = choose("", TICKETS, {1042, 1080})

    assert (ticket.name, ticket.asks) == ("old-order", True)
    assert "Orders 1042 and 1080 were refunded" in ticket.remark


def test_no_ticket_left():
    """With every order refunded, the way out is named."""
    with pytest.raises(UsageError, match="make clean"):
        choose("", TICKETS, set(ASKS.values()))


def test_ticket_asked_for_again():
    """A ticket asked for by name is played again, and no approval is expected."""
    ticket = choose("damaged-grinder", TICKETS, {1042})

    assert (ticket.asks, ticket.user) == (False, "maria.lindqvist@example.com")
    assert "refunded already" in ticket.remark
