"""Conditions of a query that are known only when it is asked: what a caller may see, and what it looks for."""

from collections.abc import Mapping, Sequence

from sync.hub.web.paging import ALL_TIME, checked_range
from sync.hub.web.rights import Caller

EVERYWHERE, NOTHING = "TRUE", "FALSE"


class Where:
    """Conditions that all must hold; each `{}` in one is a parameter, bound and never text of the query."""

    def __init__(self, *parameters: object) -> None:
        """`parameters`: those that the query has already."""
        self.parameters = list(parameters)
        self._conditions: list[str] = []

    def add(self, condition: str, *parameters: object) -> None:
        self._conditions.append(condition.format(*map(self.bound, parameters)))

    def bound(self, parameter: object) -> str:
        """The name that the query has for one more parameter."""
        self.parameters.append(parameter)
        return f"${len(self.parameters)}"

    def among(self, column: str, values: Sequence[object]) -> None:
        names = ", ".join(map(self.bound, values))
        self._conditions.append(f"{column} IN ({names})" if values else NOTHING)

    def equal(self, wanted: Mapping[str, object]) -> None:
        """By column what stands there; what is empty or None is not asked for."""
        for column, value in wanted.items():
            if value:
                self.add(column + " = {}", value)

    def between(self, column: str, since: int | None, until: int | None) -> None:
        """In since <= ts < until, in ms; None: without an end. Raises ApiError for a range that is upside down."""
        if since is not None or until is not None:
            self.add(f"{column} >= {{}} AND {column} < {{}}", *checked_range(since or 0, until, ALL_TIME, 0))

    def granted(self, caller: Caller) -> None:
        """What stands in a `site` where the caller may look; without a site only who may look everywhere."""
        if any(not grant.organisation and not grant.site for grant in caller.grants):
            return
        ways = [
            f"site.organisation = {self.bound(grant.organisation)}"
            + (f" AND site.id = {self.bound(grant.site)}" if grant.site else "")
            for grant in caller.grants
        ]
        self._conditions.append(f"({' OR '.join(ways)})" if ways else NOTHING)

    def __str__(self) -> str:
        return " AND ".join(self._conditions) or EVERYWHERE
