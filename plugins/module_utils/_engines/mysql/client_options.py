# Copyright: dbops.rds_iam contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the clients mysql and mariadb that rds-mysql passes on. Private to this collection.

The program rds-mysql contains this text, so it imports nothing but the standard library and what is in it too.

The clients read an argument in many ways: by its first letters, with prefixes such as C(--loose-), letters in a group,
a value in the next argument. Here an argument is read against a table of what is allowed, and each option is written
anew in the one form that every client reads alike: in full, with its value behind C(=).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ansible_collections.dbops.rds_iam.plugins.module_utils._engines.mysql.client_program import MARIADB, MYSQL

# Kinds of options.
_FLAG = "flag"  # --batch
_SWITCH = "switch"  # --quick or --skip-quick
_VALUE = "value"  # --execute=STATEMENT
_VALUE_OR_SKIP = "value or skip"  # --tee=FILE or --skip-tee
_OPTIONAL = "optional value"  # --pager, --pager=PROGRAM or --skip-pager

_ON, _OFF = ("1", "on", "true"), ("0", "off", "false")


class ArgumentError(Exception):
    """An argument that rds-mysql does not take. The message is one sentence."""


@dataclass(frozen=True)
class Option:
    """An option of the clients, or of rds-mysql itself."""

    name: str  # in full
    kind: str
    letter: str = ""
    family: str | None = None  # the one whose client has it; None if both have


@dataclass
class Arguments:
    """The arguments of rds-mysql, as parse() reads them."""

    user: str | None = None
    help: bool = False
    version: bool = False
    connect_timeout: int | None = None  # seconds
    positional: list[str] = field(default_factory=list)
    options: list[tuple[Option, str]] = field(default_factory=list)  # for the client, each with its form in full


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
_PROGRAM_OPTIONS = (
    Option("user", _VALUE, "u"),
    Option("help", _FLAG, "?"),
    Option("help", _FLAG, "I"),
    Option("version", _FLAG, "V"),
)
_NAMES = {option.name: option for option in _PROGRAM_OPTIONS + PASSED_ON}
_LETTERS = {option.letter: option.name for option in _PROGRAM_OPTIONS + PASSED_ON if option.letter}
_SWITCH_PREFIXES = {"skip-": False, "disable-": False, "enable-": True}


def parse(argv: list[str]) -> Arguments:
    """Read the arguments of rds-mysql, without its own name. Raises ArgumentError for one that it does not take."""
    arguments, words = Arguments(), iter(argv)
    for word in words:
        if word == "--":
            arguments.positional += words
        elif word.startswith("--"):
            _read_long_option(word, words, arguments)
        elif word.startswith("-") and word != "-":
            _read_letters(word, words, arguments)
        else:
            arguments.positional.append(word)
    return arguments


def _read_long_option(word: str, next_words: Iterator[str], arguments: Arguments) -> None:
    name, equals, value = word[2:].partition("=")
    _add_option(f"--{name}", name.replace("_", "-"), value if equals else None, next_words, arguments)


def _read_letters(word: str, next_words: Iterator[str], arguments: Arguments) -> None:
    """Read an argument of letters, the last of which may have a value behind it or in the next argument."""
    for value_start, letter in enumerate(word[1:], 2):
        name = _LETTERS.get(letter, "")
        if name and _NAMES[name].kind == _VALUE:
            _add_option(f"-{letter}", name, word[value_start:] or None, next_words, arguments)
            return
        _add_option(f"-{letter}", name, None, next_words, arguments)


def _add_option(spelling: str, name: str, value: str | None, next_words: Iterator[str], arguments: Arguments) -> None:
    """Add one option to the arguments.

    spelling: the option as it was written, for messages
    next_words: the arguments behind it, of which a value may be the first
    """
    option, is_on = _find_option(name)
    if option is None:
        raise ArgumentError(
            f"{spelling} is not taken, since rds-mysql itself sets whom to trust and where to log in, and passes on"
            " only the options that rds-mysql --help lists."
        )
    if option.kind in (_VALUE, _VALUE_OR_SKIP) and is_on and value is None:
        value = next(next_words, None)
        if value is None:
            raise ArgumentError(f"{spelling} needs a value.")
    if value is not None and (option.kind == _FLAG or name not in _NAMES):
        raise ArgumentError(f"{spelling} takes no value.")
    if option.kind == _SWITCH and value is not None:
        is_on, value = _parse_switch(spelling, value), None
    if option in _PROGRAM_OPTIONS:
        setattr(arguments, name, value if option.kind == _VALUE else True)
    else:
        arguments.options.append((option, _write_in_full(option, is_on, value)))
    if name == "connect-timeout":
        arguments.connect_timeout = _parse_seconds(spelling, value)


def _find_option(name: str) -> tuple[Option | None, bool]:
    """Return the option of this name and whether the name switches it on; None if there is none to be taken."""
    if name in _NAMES:
        return _NAMES[name], True
    for prefix, is_on in _SWITCH_PREFIXES.items():
        option = _NAMES.get(name[len(prefix) :]) if name.startswith(prefix) else None
        if option and option.kind in (_SWITCH, _VALUE_OR_SKIP, _OPTIONAL):
            return option, is_on
    return None, True


def _parse_switch(spelling: str, value: str) -> bool:
    if value.lower() not in _ON + _OFF:
        raise ArgumentError(f"{spelling} is 1 or 0, and not {value!r}.")
    return value.lower() in _ON


def _parse_seconds(spelling: str, value: str | None) -> int:
    if not (value or "").isdecimal():
        raise ArgumentError(f"{spelling} is a number of seconds, and not {value!r}.")
    return int(value or 0)


def _write_in_full(option: Option, is_on: bool, value: str | None) -> str:
    if value is not None:
        return f"--{option.name}={value}"
    return f"--{option.name}" if is_on else f"--disable-{option.name}"


def for_client(arguments: Arguments, family: str) -> list[str]:
    """Return the options in full for the client of this family. Raises ArgumentError for one that only another has."""
    for option, _full_form in arguments.options:
        if option.family not in (None, family):
            raise ArgumentError(
                f"--{option.name} is not taken, since only the client of {option.family} has it, and the client of this"
                f" host is one of {family}."
            )
    return [full_form for _option, full_form in arguments.options]


def usage() -> str:
    """Return the options that rds-mysql passes on, as lines for its help."""
    lines = []
    for option in PASSED_ON:
        letter = f"-{option.letter}, " if option.letter else "    "
        value = {_VALUE: "=VALUE", _VALUE_OR_SKIP: "=VALUE", _OPTIONAL: "[=VALUE]"}.get(option.kind, "")
        family = f" ({option.family})" if option.family else ""
        lines.append(f"  {letter}--{option.name}{value}{family}")
    return "\n".join(lines)
