"""The dependency table of ARCHITECTURE.md: data flows one way, and so do imports."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("gateway", "drivers", "sync", "local_ui", "config", "bench", "tests")
BUILDERS = {
    "gateway/amqpcommands.py", "gateway/app.py", "gateway/buses.py", "gateway/carryin.py", "gateway/carryout.py",
    "gateway/carryreceipt.py", "gateway/catalogue.py", "gateway/checkbus.py", "gateway/cli.py",
    "gateway/commission.py", "gateway/control.py", "gateway/enrolling.py", "gateway/executors.py",
    "gateway/exploring.py", "gateway/hubapp.py",
    "gateway/hubbackup.py", "gateway/hubcheck.py", "gateway/options.py", "gateway/readonce.py", "gateway/scanning.py",
    "gateway/simfleet.py", "gateway/uplink.py",
}  # fmt: skip

# What a folder may import of ours, the longest matching prefix counts; each may import itself.
TABLE = {
    "gateway/core": (),
    "gateway": ("gateway.core",),
    "drivers": ("gateway.core",),
    "sync": ("gateway.core",),
    "sync/edge": ("sync.wire", "sync.enrol", "sync.broker", "gateway.core"),
    "sync/hub": ("sync.wire", "sync.enrol", "sync.broker", "sync.carry", "gateway.core"),
    "local_ui": ("gateway.core",),
    "config": (),
}
# The hub's packages: each may import those named, itself, and its part of config.py.
HUB = {
    "store": (),
    "web": ("store",),
    "intake": ("store", "web"),
    "rollup": ("store", "web"),
    "people": ("store", "web"),
    "alerts": ("store", "web", "people"),
    "fleet": ("store", "web", "people", "intake"),
    "enrol": ("store", "web", "people", "intake", "fleet"),
    "prices": ("store", "web", "intake"),
    "cost": ("store", "web", "people", "rollup", "prices"),
    "reading": ("store", "web", "people", "intake", "rollup", "fleet", "alerts", "enrol"),
}
# Inside gateway.core only these may come from outside the standard library: docs/decisions/0002.
CORE_LIBRARIES = {"msgspec", "yaml", "zstandard", "aiosqlite"}


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def breaches(file: Path) -> list[str]:
    name = file.relative_to(ROOT).as_posix()
    if name in BUILDERS:
        return []
    folder = max((f for f in TABLE if name.startswith(f + "/")), key=len)
    allowed = (folder.replace("/", "."), *TABLE[folder])
    ours = (module for module in imports(file) if within(module, OURS))
    if folder == "gateway":  # its own files, and of the other folders nothing
        return [f"{name} imports {module}" for module in ours if not within(module, ("gateway",))]
    return [f"{name} imports {module}" for module in ours if not within(module, allowed)]


def hub_breaches(file: Path) -> list[str]:
    package = file.parent.name
    allowed = tuple(f"sync.hub.{one}" for one in (package, "config", *HUB[package]))
    ours = (module for module in imports(file) if within(module, ("sync.hub",)))
    return [f"{file.relative_to(ROOT)} imports {module}" for module in ours if not within(module, allowed)]


def test_the_hubs_packages_build_on_each_other_in_one_direction() -> None:
    files = [file for file in (ROOT / "sync/hub").glob("*/*.py") if file.name != "__init__.py"]
    assert {file.parent.name for file in files} == set(HUB)
    assert [breach for file in files for breach in hub_breaches(file)] == []


def sources() -> list[Path]:
    folders = ("gateway", "drivers", "sync", "local_ui", "config")
    return [file for folder in folders for file in (ROOT / folder).rglob("*.py")]


def test_every_import_is_allowed_by_the_table() -> None:
    assert [breach for file in sources() for breach in breaches(file)] == []


def test_the_core_stands_on_few_libraries() -> None:
    import sys

    for file in (ROOT / "gateway/core").glob("*.py"):
        foreign = {module.partition(".")[0] for module in imports(file)} - set(sys.stdlib_module_names) - {"gateway"}
        assert foreign <= CORE_LIBRARIES, file


def test_packages_are_light_to_import() -> None:
    for file in ROOT.glob("*/**/__init__.py"):
        if file.is_relative_to(ROOT / "tests") or "site-packages" in file.parts or ".venv" in file.parts:
            continue
        assert not imports(file), f"{file}: a docstring and no imports"
