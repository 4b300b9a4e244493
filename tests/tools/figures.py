# Copyright: dbops.rds_iam contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the figures of the code with their limits, and fail if one is over its limit.

Run it at the top of the checkout, with the Python of C(.venv), whose ruff and mypy it asks.
"""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PLUGINS = Path("plugins")
UTILS = PLUGINS / "module_utils"
PACKAGE = "ansible_collections.dbops.rds_iam.plugins.module_utils"

# Pronouns, question words and participles. A name that says more than the bare word is not vague: C(seen_users).
VAGUE = set(
    "all alike any asked both done each found given gone good held here how known left looked made many meant mine"
    " missed more most named none one ones other others ours own reached rest right said same seen shown some spelled"
    " stuff such that theirs there these thing things this those told tried unseen wanted what when where which who"
    " whom whose why wish wrong".split()
)
QUESTIONS = {"How", "That", "What", "When", "Where", "Whether", "Which", "Who", "Whom", "Whose", "Why"}
COMPLEXITY = 15  # the measure of McCabe
STATEMENT = re.compile(r"\{%[-+]?\s*(\w+)")
PRIVATE_VARIABLE = re.compile(r"(?<![\w.'\"])_[a-z]\w+")
UNKNOWN = float("inf")


def syntax_trees() -> list[ast.Module]:
    return [ast.parse(path.read_text()) for path in sorted(PLUGINS.rglob("*.py"))]


def bound_names(tree: ast.AST) -> Iterator[str]:
    """Yield each name that an assignment, a parameter, a definition or an C(except) binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)) and node.name:
            yield node.name


def vague_names() -> tuple[float, str]:
    names = [name for tree in syntax_trees() for name in bound_names(tree)]
    vague = Counter(name for name in names if name.strip("_").lower() in VAGUE)
    commonest = ", ".join(f"{name} {count}" for name, count in vague.most_common(12))
    return 100 * vague.total() / len(names), f"{vague.total()} of {len(names)}: {commonest}"


def docstrings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield text


def question_docstrings() -> tuple[float, str]:
    texts = [text for tree in syntax_trees() for text in docstrings(tree)]
    questions = [text for text in texts if text.split(maxsplit=1)[0] in QUESTIONS]
    return 100 * len(questions) / len(texts), f"{len(questions)} of {len(texts)}"


def output_of(program: str, *arguments: str) -> list[str] | None:
    """Return the lines that a program of this environment prints; None where it is not installed."""
    path = Path(sys.executable).parent / program
    if not path.exists():
        return None
    process = subprocess.run([path, *arguments], text=True, capture_output=True, check=False)
    return (process.stdout + process.stderr).splitlines()


def type_errors() -> tuple[float, str]:
    lines = output_of("mypy")
    if not lines:
        return UNKNOWN, "mypy is not installed, or does not answer"
    return sum(": error:" in line for line in lines), lines[-1]


def complex_functions() -> tuple[float, str]:
    limit = ("--select", "C901", "--config", f"lint.mccabe.max-complexity = {COMPLEXITY}")
    lines = output_of("ruff", "check", "--isolated", *limit, "--output-format", "concise", "plugins")
    if lines is None:
        return UNKNOWN, "ruff is not installed"
    functions = [line for line in lines if " C901 " in line]
    return len(functions), "; ".join(functions)


def jinja_statements() -> tuple[float, str]:
    """Count C({% %}) in YAML files; the end of a block, and what else it has, belong to its beginning."""
    counts: Counter[str] = Counter()
    for directory in ("playbooks", "roles"):
        for path in Path(directory).rglob("*.y*ml"):
            words = STATEMENT.findall(path.read_text())
            counts[str(path)] += sum(not word.startswith(("end", "el")) for word in words)
    return counts.total(), ", ".join(f"{path} {count}" for path, count in counts.most_common() if count)


def private_variables_elsewhere() -> tuple[float, str]:
    """Count the private variables of roles, C(_<role>_x), by file, where another role or a playbook names them."""
    roles = sorted((path.name for path in Path("roles").iterdir()), key=len, reverse=True)
    places = set()
    for path in [*Path("playbooks").rglob("*"), *Path("roles").rglob("*")]:
        if path.suffix not in {".yml", ".yaml", ".j2"}:
            continue
        role = path.parts[1] if path.parts[0] == "roles" else None
        for name in PRIVATE_VARIABLE.findall(path.read_text()):
            owner = next((owner for owner in roles if name.startswith(f"_{owner}_")), None)
            if owner not in (None, role):
                places.add(f"{path}: {name}")
    return len(places), "; ".join(sorted(places))


def imports() -> dict[str, set[str]]:
    """Return for each file of module_utils, by its dotted name, those that it imports."""
    files = {".".join(path.relative_to(UTILS).with_suffix("").parts): path for path in UTILS.rglob("*.py")}
    graph: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
                base = node.module[len(PACKAGE) + 1 :]
                targets = {".".join(filter(None, (base, alias.name))) for alias in node.names} | {base}
                graph[name] |= targets & set(files) - {name}
    return graph


def package_edges() -> set[tuple[str, str]]:
    pairs = ((name, target) for name, targets in imports().items() for target in targets)
    edges = {(name.partition(".")[0], target.partition(".")[0]) for name, target in pairs}
    return {(package, target) for package, target in edges if package != target}


def import_cycles() -> tuple[float, str]:
    """Look for a cycle among the files, and among the packages."""
    packages: dict[str, set[str]] = {}
    for package, target in package_edges():
        packages.setdefault(package, set()).add(target)
    cycles = []
    for graph in (imports(), packages):
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as exc:
            cycles.append(" -> ".join(exc.args[1]))
    return len(cycles), "; ".join(cycles)


def differing_edges() -> tuple[float, str]:
    """Compare the imports between packages with the lines C(_a -> _b _c) in CONTRIBUTING.md."""
    lines = re.findall(r"^(_\w+) -> (.+)$", Path("CONTRIBUTING.md").read_text(), re.M)
    drawn = {(package, target) for package, targets in lines for target in targets.split()}
    real = package_edges()
    differences = [f"not drawn: {a} -> {b}" for a, b in sorted(real - drawn)]
    differences += [f"only drawn: {a} -> {b}" for a, b in sorted(drawn - real)]
    return len(differences), "; ".join(differences)


FIGURES = (
    ("vague names among the names that plugins bind, %", vague_names, 0.5),
    ("docstrings that open with a question word, %", question_docstrings, 3),
    ("errors of mypy", type_errors, 0),
    (f"functions of a complexity above {COMPLEXITY}", complex_functions, 0),
    ("Jinja statements outside templates", jinja_statements, 12),
    ("private variables outside their role", private_variables_elsewhere, 0),
    ("import cycles", import_cycles, 0),
    ("imports between packages that CONTRIBUTING.md does not draw", differing_edges, 0),
)


def main() -> int:
    over = 0
    for title, measure, limit in FIGURES:
        value, detail = measure()
        over += value > limit
        mark = "over" if value > limit else "ok"
        print(f"{mark:5}{title}: {value:.3g} (at most {limit:g})" + (f" - {detail}" if detail else ""))
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
