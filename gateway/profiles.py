"""Where profiles are found: beside the site's configuration first, then among those that we ship."""

from importlib import resources
from pathlib import Path

from gateway.core.errors import ConfigError


def profile_text(name: str, site_folder: Path | None) -> tuple[str, str]:
    """The text of profile `name` and its file's name. Raises ConfigError where there is none."""
    folders = [resources.files("config").joinpath("profiles")]
    if site_folder is not None:
        folders.insert(0, site_folder / "profiles")
    for folder in folders:
        file = folder.joinpath(f"{name}.yaml")
        try:
            if "/" not in name and file.is_file():
                return file.read_text(encoding="utf-8"), f"{name}.yaml"
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name}.yaml: cannot be read: not UTF-8") from error
        except OSError as error:
            raise ConfigError(f"{name}.yaml: cannot be read: {error.strerror}") from error
        except ValueError:  # a name that no file can have
            break
    known = ", ".join(profile_names())
    raise ConfigError(
        f"there is no profile {name}", hint=f"there are {known}; own ones go into profiles/ beside the configuration"
    )


def profile_names() -> list[str]:
    """The profiles that we ship, by name."""
    entries = resources.files("config").joinpath("profiles").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))
