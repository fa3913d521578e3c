"""Who may do what where: roles, scopes, and the caller of a request; pure."""

from enum import StrEnum

import msgspec


class Role(StrEnum):
    """Each may all that the one before it may."""

    VIEWER = "viewer"  # look
    OPERATOR = "operator"  # and act: commands, claim codes, configurations, alerts
    ADMIN = "admin"  # and decide who may; organisations, sites, nodes come and go

    def includes(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


class Place(msgspec.Struct, frozen=True):
    """Where something stands; a node without a site stands in no organisation."""

    organisation: str = ""
    site: str = ""


NOWHERE = Place()


class Grant(msgspec.Struct, frozen=True):
    """A role in a scope; an empty organisation: everywhere; an empty site: in all of the organisation."""

    role: Role
    organisation: str = ""
    site: str = ""

    @property
    def scope(self) -> Place:
        return Place(self.organisation, self.site)

    def covers(self, place: Place) -> bool:
        if self.organisation and self.organisation != place.organisation:
            return False
        return not self.site or self.site == place.site


class Caller(msgspec.Struct, frozen=True):
    """Who asks: a person's name, with what was granted to it; no name: nobody is signed in."""

    name: str = ""
    grants: tuple[Grant, ...] = ()
    csrf: str = ""  # what its pages send with each act, as X-CSRF-Token; empty where it came with a token of its own
    address: str = ""  # where it asks from

    def may(self, role: Role, place: Place = NOWHERE) -> bool:
        """Whether `role` is granted at `place`; at NOWHERE only by a grant for everywhere."""
        return any(grant.role.includes(role) and grant.covers(place) for grant in self.grants)

    def may_somewhere(self, role: Role) -> bool:
        return any(grant.role.includes(role) for grant in self.grants)
