"""The words of notices: a Jinja template for each occasion, ours or those in a folder. Activity side.

The first line of what a template gives is the title, the rest is the text. In a file that ends in `.html` the text is
HTML, and what is put into it is escaped. Templates run in Jinja's sandbox, and all are tried when the worker starts.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import get_args

from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, Template, TemplateSyntaxError, meta
from jinja2.filters import do_striptags
from jinja2.sandbox import SandboxedEnvironment

from mainspring.adapters.notifier.ways import Links, Words
from mainspring.core.approvals import Kind
from mainspring.core.words import when
from mainspring.errors import SetupError, did_you_mean
from mainspring.ports.notifier import Notice, Occasion

_OURS = Path(__file__).parent / "templates"
_ENDINGS = (".txt", ".html")
_OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)
_STEMS: Mapping[str, Occasion] = {each.replace(" ", "-"): each for each in _OCCASIONS}
_KINDS: tuple[Kind, ...] = get_args(Kind)


class Wording:
    """The templates of one channel."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        """Take for each occasion the template of the first folder that has it, else ours, and try them all.

        A file whose name begins with `_` is a part that others include.

        Raises:
            SetupError: a folder cannot be read, or a template is wrong: it names the file, and the line if it can.
        """
        self._environment = SandboxedEnvironment(
            loader=ChoiceLoader([FileSystemLoader(each) for each in (*folders, _OURS)]),
            autoescape=_is_html,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        files: dict[Occasion, Path] = {}
        for folder in (_OURS, *reversed(folders)):
            files |= _files(folder)
        self._templates = {occasion: self._checked(file, occasion) for occasion, file in files.items()}

    def words(self, notice: Notice, links: Links, *, channel: str = "", person: str = "") -> Words:
        """Say a notice."""
        return _words(self._templates[notice.occasion], _context(notice, links, channel, person))

    def _checked(self, file: Path, occasion: Occasion) -> Template:
        try:
            unknown = meta.find_undeclared_variables(self._environment.parse(file.read_text("utf-8"))) - _KNOWN
            template = self._environment.get_template(file.name)
            titles = [] if unknown else [_words(template, each).title for each in _samples(occasion)]
        except TemplateSyntaxError as error:
            place = f"{error.filename or file}:{error.lineno}"
            raise SetupError(f"the template '{place}' is wrong: {error.message}.") from None
        except Exception as error:  # noqa: BLE001 - whatever a template can do wrong
            why = str(error).rstrip(".") or type(error).__name__
            raise SetupError(f"the template '{file}' fails: {type(error).__name__}: {why}.") from None
        if unknown:
            name = min(unknown)
            raise SetupError(f"the template '{file}' uses {name!r}, which no notice has.{did_you_mean(name, _KNOWN)}")
        if not all(titles):
            raise SetupError(f"the template '{file}' gives no title. Write one into its first line.")
        return template


def _is_html(name: str | None) -> bool:
    return bool(name and name.endswith(".html"))


def _files(folder: Path) -> dict[Occasion, Path]:
    try:
        files = sorted(each for each in folder.iterdir() if each.suffix in _ENDINGS and not each.name.startswith("_"))
    except OSError as error:
        raise SetupError(f"the folder of templates '{folder}' cannot be read: {error.strerror}.") from None
    found: dict[Occasion, Path] = {}
    for file in files:
        occasion = _STEMS.get(file.stem)
        if occasion is None:
            suggestion = did_you_mean(file.stem, _STEMS)
            raise SetupError(f"the template '{file}' is for no occasion.{suggestion} A part begins with '_'.")
        if occasion in found:
            raise SetupError(f"'{found[occasion]}' and '{file}' are for the same occasion. Remove one of them.")
        found[occasion] = file
    return found


def _context(notice: Notice, links: Links, channel: str, person: str) -> dict[str, object]:
    return {
        "occasion": notice.occasion,
        "channel": channel,
        "person": person,
        "namespace": notice.namespace,
        "run": notice.run,
        "request": notice.request,
        "kind": notice.kind,
        "agent": notice.agent,
        "tool": notice.tool,
        "rule": notice.rule,
        "reason": notice.reason,
        "who": list(notice.who),
        "deadline": when(notice.deadline) if notice.deadline else "",
        "decision": notice.decision,
        "inbox": links.inbox,
        "ui": links.ui,
    }


def _samples(occasion: Occasion) -> Iterator[dict[str, object]]:
    """Each kind of request, with all that there may be, and with no more than there must be."""
    for kind, is_full in product(_KINDS, (True, False)):
        said = "said" if is_full else ""
        notice = Notice(
            key="key",
            occasion=occasion,
            namespace="default",
            run="run",
            execution="execution",
            request="1",
            kind=kind,
            agent="agent",
            tool="tool",
            reason=said,
            rule=said,
            deadline=float(is_full),
            decision=said,
            who=("who",) if is_full else (),
        )
        yield _context(notice, Links(ui=said, inbox=said), "channel", said)


_KNOWN = frozenset(next(_samples("asked")))


def _words(template: Template, context: Mapping[str, object]) -> Words:
    title, _, text = template.render(context).strip().partition("\n")
    is_html = _is_html(template.name)
    return Words(do_striptags(title) if is_html else title.strip(), text.strip(), is_html)
