"""Apps, devices and push tokens."""

from sqlalchemy import exists, func, literal_column, or_, select, true

from app.domain.profile import DEVICES
from app.domain.segments.clock import Clock
from app.domain.segments.model import Filter
from app.store.segments.leaves import Expression, Json, Leaf, column_leaf, flag_leaf, given
from app.store.segments.makers import Maker, column, counted, members, number_of, time_at
from app.store.segments.scope import Scope


def _apps(scope: Scope) -> Json:
    return scope.entry(DEVICES, "apps")


def app(name: str) -> Maker:
    def made(scope: Scope, one: Filter, _clock: Clock) -> Leaf:
        json = _apps(scope).member(one.name).member(name)
        if name == "sessions":
            return counted(scope, DEVICES, number_of(json, scope, DEVICES))
        if name == "version":
            return column_leaf(scope.rows(DEVICES), text=json.leaf(scope.rows(DEVICES)).text)
        return time_at(scope, DEVICES, json)

    return made


def used(of_any: str, name: str) -> Maker:
    """A column of the profile for any app, and a member of one app."""
    any_app, one_app = column(of_any, "us"), app(name)
    return lambda scope, one, clock: (one_app if one.name else any_app)(scope, one, clock)


def has_app(scope: Scope, one: Filter, _clock: Clock) -> Leaf:
    if one.name:
        condition = ~_apps(scope).member(one.name).leaf(scope.rows(DEVICES)).missing
    else:
        rows, _, _ = _apps(scope).members()
        condition = exists(select(literal_column("1")).select_from(rows))
    return flag_leaf(scope.rows(DEVICES), condition)


def uses(scope: Scope, apps: tuple[str, ...]) -> Expression:
    """Whether somebody had a session in one of the apps; for none, whether they have no app at all."""
    if not apps:
        rows, _, _ = _apps(scope).members()
        return ~exists(select(literal_column("1")).select_from(rows))
    sessions = (number_of(_apps(scope).member(name).member("sessions"), scope, DEVICES) for name in apps)
    return or_(*(number >= 1 for number in sessions))


def of_devices(name: str) -> Maker:
    return lambda scope, _one, _clock: members(scope, DEVICES, scope.entry(DEVICES, "devices"), name)


def device_count(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
    rows, _, _ = scope.entry(DEVICES, "devices").members()
    number = select(func.count()).select_from(rows).scalar_subquery()
    return counted(scope, DEVICES, number)


def push_enabled(scope: Scope, one: Filter, _clock: Clock) -> Leaf:
    rows, _, token = scope.entry(DEVICES, "tokens").members()
    app = given(token.member("app").leaf(scope.rows(DEVICES)).text)
    wanted = app == one.name if one.name else true()
    return flag_leaf(scope.rows(DEVICES), exists(select(literal_column("1")).select_from(rows).where(wanted)))
