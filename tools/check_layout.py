"""Check what keeps the package readable: small folders, unique names, imports as they are called, heads that name.

    python tools/check_layout.py

Every broken rule is a line; the exit status is 1 where there is one.

- No folder of the package holds more than 20 modules.
- No public class or type has the name of another one.
- No import of the project renames what it imports; of others', only by the custom of the field (`np`, `jnp`, ...).
- No module's head begins with "What": it names the thing.
- A module that does something has a test of its name: medward/a/b/c.py has tests/a/b/test_c.py or tests/a/test_c.py, or
  test_b_c.py in one of these places.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_MODULES = 20
CUSTOMS = {"np", "jnp", "eqx", "pl", "st", "AbstractSet"}


def _modules(folder: Path) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))}


def _names(module: ast.Module) -> Iterator[str]:
    """The public classes of a module, and its types: what stands on the left of an assignment like a class."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[:1].isupper() and not name.isupper():
                yield name


def full_folders(modules: dict[Path, ast.Module]) -> Iterator[str]:
    """Yield a line for each folder with too many modules."""
    folders = [path.parent for path in modules]
    for folder in sorted(set(folders)):
        if folders.count(folder) > MOST_MODULES:
            yield f"{folder} holds {folders.count(folder)} modules, more than {MOST_MODULES}: make rooms in it"


def names_that_stand_twice(modules: dict[Path, ast.Module]) -> Iterator[str]:
    """Yield a line for each public class or type whose name another module has, too."""
    places: dict[str, list[Path]] = {}
    for path, module in modules.items():
        for name in _names(module):
            if not name.startswith("_"):
                places.setdefault(name, []).append(path)
    for name, found in sorted(places.items()):
        if len(found) > 1:
            yield f"{name} stands in {' and in '.join(map(str, found))}: give each a name of its own"


def renamed_imports(modules: dict[Path, ast.Module]) -> Iterator[str]:
    """Yield a line for each import under another name than the field's."""
    for path, module in modules.items():
        for node in ast.walk(module):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for name in node.names:
                    if name.asname is not None and name.asname not in CUSTOMS:
                        yield f"{path}:{node.lineno} imports {name.name} as {name.asname}: import its module instead"


def heads_without_a_name(modules: dict[Path, ast.Module]) -> Iterator[str]:
    """Yield a line for each module whose head begins with "What"."""
    for path, module in modules.items():
        if (ast.get_docstring(module) or "").startswith("What "):
            yield f'{path} begins with "What": name the thing'


def _is_empty(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function does nothing: it passes or raises, or only keeps its arguments as an `__init__` does."""
    body = [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if all(isinstance(node, ast.Pass | ast.Raise) for node in body):
        return True
    keeps = (
        isinstance(n, ast.Assign | ast.AnnAssign) or (isinstance(n, ast.Expr) and "super" in ast.dump(n)) for n in body
    )
    return function.name == "__init__" and all(keeps)


def _functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions of a module and of its classes but protocols."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inner
        elif not isinstance(inner, ast.ClassDef) or not any("Protocol" in ast.dump(base) for base in inner.bases):
            yield from _functions(inner)


def untested_modules(root: Path, modules: dict[Path, ast.Module]) -> Iterator[str]:
    """Yield a line for each module that does something and has no test of its name."""
    for path, module in modules.items():
        if path.stem.startswith("__") or all(map(_is_empty, _functions(module))):
            continue
        stem, rooms = path.stem.lstrip("_"), path.relative_to(root / "medward").parent.parts
        places = [root.joinpath("tests", *rooms[:depth]) for depth in range(len(rooms), 0, -1)] or [root / "tests"]
        names = (f"test_{stem}.py", f"test_{path.parent.name}_{stem}.py")
        if not any((place / name).is_file() for place in places for name in names):
            yield f"{path} has no test of its name: write {places[0].relative_to(root) / names[0]}"


def broken_rules(root: Path) -> list[str]:
    """Return a line for each rule that the project under `root` breaks."""
    package = _modules(root / "medward")
    everything = package | {k: v for name in ("tests", "benchmarks", "tools") for k, v in _modules(root / name).items()}
    return [
        *full_folders(package),
        *names_that_stand_twice(package),
        *renamed_imports(everything),
        *heads_without_a_name(package),
        *untested_modules(root, package),
    ]


def main() -> int:
    """Print what is broken; return the exit status."""
    found = broken_rules(ROOT)
    for line in found:
        print(line.replace(f"{ROOT}/", ""))
    print(f"layout: {len(found)} broken rules")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
