# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the clients mysql and mariadb that rds-mysql passes on. Private to this collection.

The program rds-mysql contains this text, so it imports nothing but the standard library.

The clients read an argument in many ways: by its first letters, with prefixes such as C(--loose-), letters in a group,
a value in the next argument. Here an argument is read against a table of what is allowed, and each option is written
anew in the one form that every client reads alike: in full, with its value behind C(=).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

MARIADB, MYSQL = "MariaDB", "MySQL"

# Kinds of options.
_FLAG = "flag"  # --batch
_SWITCH = "switch"  # --quick or --skip-quick
_VALUE = "value"  # --execute=STATEMENT
_VALUE_OR_SKIP = "value or skip"  # --tee=FILE or --skip-tee
_OPTIONAL = "optional value"  # --pager, --pager=PROGRAM or --skip-pager

_ON, _OFF = ("1", "on", "true"), ("0", "off", "false")


class ArgumentError(Exception):
    """One sentence on an argument that rds-mysql does not take."""


@dataclass(frozen=True)
class Option:
    """An option: its name in full, its kind, its letter, and the one family whose client has it if not both do."""

    name: str
    kind: str
    letter: str = ""
    family: str | None = None


@dataclass
class Arguments:
    """What the arguments say: C(options) are pairs of an option and its form in full."""

    user: str | None = None
    help: bool = False
    version: bool = False
    connect_timeout: int | None = None
    positional: list[str] = field(default_factory=list)
    options: list[tuple[Option, str]] = field(default_factory=list)


# The options that are passed on. Left out is what says where to log in, as whom, by which method or plugin and whom to
# trust, what reads an option file, and what only a debugging build has. What writes a file (tee) or runs a program
# (pager, system-command) does so as the caller, who can do the same with commands of the client.
PASSED_ON = (
    Option("abort-source-on-error", _SWITCH, family=MARIADB),
    Option("auto-rehash", _SWITCH),
    Option("auto-vertical-output", _SWITCH),
    Option("batch", _FLAG, "B"),
    Option("binary-as-hex", _SWITCH),
    Option("binary-mode", _SWITCH),
    Option("column-names", _SWITCH),
    Option("column-type-info", _SWITCH),
    Option("commands", _SWITCH, family=MYSQL),
    Option("comments", _SWITCH, "c"),
    Option("compress", _SWITCH, "C"),
    Option("compression-algorithms", _VALUE, family=MYSQL),
    Option("connect-expired-password", _SWITCH),
    Option("connect-timeout", _VALUE),
    Option("database", _VALUE, "D"),
    Option("default-character-set", _VALUE),
    Option("delimiter", _VALUE),
    Option("execute", _VALUE, "e"),
    Option("force", _SWITCH, "f"),
    Option("histignore", _VALUE, family=MYSQL),
    Option("html", _SWITCH, "H"),
    Option("i-am-a-dummy", _SWITCH),
    Option("ignore-spaces", _SWITCH, "i"),
    Option("init-command", _VALUE),
    Option("init-command-add", _VALUE, family=MYSQL),
    Option("line-numbers", _SWITCH),
    Option("load-data-local-dir", _VALUE, family=MYSQL),
    Option("local-infile", _SWITCH),
    Option("max-allowed-packet", _VALUE),
    Option("max-join-size", _VALUE),
    Option("named-commands", _SWITCH, "G"),
    Option("net-buffer-length", _VALUE),
    Option("no-auto-rehash", _FLAG, "A"),
    Option("no-beep", _FLAG, "b"),
    Option("one-database", _FLAG, "o"),
    Option("pager", _OPTIONAL),
    Option("print-query-on-error", _SWITCH, family=MARIADB),
    Option("progress-reports", _SWITCH, family=MARIADB),
    Option("prompt", _VALUE),
    Option("quick", _SWITCH, "q"),
    Option("quick-max-column-width", _VALUE, family=MARIADB),
    Option("raw", _SWITCH, "r"),
    Option("reconnect", _SWITCH),
    Option("safe-updates", _SWITCH, "U"),
    Option("sandbox", _SWITCH, family=MARIADB),
    Option("select-limit", _VALUE),
    Option("show-warnings", _SWITCH),
    Option("sigint-ignore", _SWITCH),
    Option("silent", _FLAG, "s"),
    Option("skip-column-names", _FLAG, "N"),
    Option("skip-line-numbers", _FLAG, "L"),
    Option("syslog", _SWITCH, "j", MYSQL),
    Option("system-command", _SWITCH, family=MYSQL),
    Option("table", _SWITCH, "t"),
    Option("tee", _VALUE_OR_SKIP),
    Option("unbuffered", _SWITCH, "n"),
    Option("verbose", _FLAG, "v"),
    Option("vertical", _SWITCH, "E"),
    Option("wait", _FLAG, "w"),
    Option("xml", _SWITCH, "X"),
    Option("zstd-compression-level", _VALUE, family=MYSQL),
)
# These are for rds-mysql itself.
OWN = (
    Option("user", _VALUE, "u"),
    Option("help", _FLAG, "?"),
    Option("help", _FLAG, "I"),
    Option("version", _FLAG, "V"),
)
_NAMES = {option.name: option for option in OWN + PASSED_ON}
_LETTERS = {option.letter: option.name for option in OWN + PASSED_ON if option.letter}
_SWITCHED = {"skip-": False, "disable-": False, "enable-": True}


def parse(arguments: list[str]) -> Arguments:
    """Read the arguments of rds-mysql. Raises ArgumentError for what it does not take."""
    read, following = Arguments(), iter(arguments)
    for argument in following:
        if argument == "--":
            read.positional += following
        elif argument.startswith("--"):
            _read_long(argument, following, read)
        elif argument.startswith("-") and argument != "-":
            _read_letters(argument, following, read)
        else:
            read.positional.append(argument)
    return read


def _read_long(argument: str, following: Iterator[str], read: Arguments) -> None:
    name, equals, value = argument[2:].partition("=")
    _take(f"--{name}", name.replace("_", "-"), value if equals else None, following, read)


def _read_letters(argument: str, following: Iterator[str], read: Arguments) -> None:
    """Read an argument of letters, the last of which may have a value behind it or in the next argument."""
    for place, letter in enumerate(argument[1:], 2):
        name = _LETTERS.get(letter, "")
        if name and _NAMES[name].kind == _VALUE:
            _take(f"-{letter}", name, argument[place:] or None, following, read)
            return
        _take(f"-{letter}", name, None, following, read)


def _take(written: str, name: str, value: str | None, following: Iterator[str], read: Arguments) -> None:
    """Take one option, as it was written, into what was read."""
    option, on = _find_option(name)
    if option is None:
        raise ArgumentError(
            f"{written} is not taken, since rds-mysql itself sets whom to trust and where to log in, and passes on only"
            " the options that rds-mysql --help lists."
        )
    if option.kind in (_VALUE, _VALUE_OR_SKIP) and on and value is None:
        value = next(following, None)
        if value is None:
            raise ArgumentError(f"{written} needs a value.")
    if value is not None and (option.kind == _FLAG or name not in _NAMES):
        raise ArgumentError(f"{written} takes no value.")
    if option.kind == _SWITCH and value is not None:
        on, value = _is_on(written, value), None
    if option in OWN:
        setattr(read, name, value if option.kind == _VALUE else True)
    else:
        read.options.append((option, _in_full(option, on, value)))
    if name == "connect-timeout":
        read.connect_timeout = _seconds(written, value)


def _find_option(name: str) -> tuple[Option | None, bool]:
    """Return the option of this name and whether the name switches it on; None if there is none to be taken."""
    if name in _NAMES:
        return _NAMES[name], True
    for prefix, on in _SWITCHED.items():
        option = _NAMES.get(name[len(prefix) :]) if name.startswith(prefix) else None
        if option and option.kind in (_SWITCH, _VALUE_OR_SKIP, _OPTIONAL):
            return option, on
    return None, True


def _is_on(written: str, value: str) -> bool:
    if value.lower() not in _ON + _OFF:
        raise ArgumentError(f"{written} is 1 or 0, and not {value!r}.")
    return value.lower() in _ON


def _seconds(written: str, value: str | None) -> int:
    if not (value or "").isdecimal():
        raise ArgumentError(f"{written} is a number of seconds, and not {value!r}.")
    return int(value or 0)


def _in_full(option: Option, on: bool, value: str | None) -> str:
    if value is not None:
        return f"--{option.name}={value}"
    return f"--{option.name}" if on else f"--disable-{option.name}"


def for_client(read: Arguments, family: str) -> list[str]:
    """Return the options in full for the client of this family. Raises ArgumentError for one that only another has."""
    for option, _text in read.options:
        if option.family not in (None, family):
            raise ArgumentError(
                f"--{option.name} is not taken, since only the client of {option.family} has it, and the client of this"
                f" host is one of {family}."
            )
    return [text for _option, text in read.options]


def usage() -> str:
    """Return the options that rds-mysql passes on, as lines for its help."""
    lines = []
    for option in PASSED_ON:
        letter = f"-{option.letter}, " if option.letter else "    "
        value = {_VALUE: "=VALUE", _VALUE_OR_SKIP: "=VALUE", _OPTIONAL: "[=VALUE]"}.get(option.kind, "")
        only = f" ({option.family})" if option.family else ""
        lines.append(f"  {letter}--{option.name}{value}{only}")
    return "\n".join(lines)
