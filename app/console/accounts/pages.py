"""Accounts: made, given roles and passwords, and deleted. A password is shown once, as a key is."""

from typing import Final

from starlette.responses import Response

from app.console.page import Page, Visit, see_other
from app.console.serving import LOG_IN
from app.services import accounts
from app.services.accounts import ADMIN, EVERYWHERE, ROLES
from app.services.log_ins import WrongPasswordError
from app.services.naming import InvalidNameError
from app.services.passwords import SHORTEST, InvalidPasswordError

_NO_WORKSPACE: Final = "No workspace has this name. An empty name stands for all of them."
_NO_ROLE: Final = f"A role is one of {', '.join(ROLES)}."
_UNKNOWN: Final = "No account has this name: somebody may have deleted it already."
_WORDS: Final[dict[type[Exception], str]] = {
    accounts.NameTakenError: "An account of this name exists.",
    accounts.UnknownNameError: _UNKNOWN,
    accounts.InvalidRoleError: _NO_ROLE,
    accounts.TooManyAccountsError: f"There are {accounts.MOST_ACCOUNTS} accounts, and there can be no more.",
    accounts.LastAdminError: "Nobody would be left who may change accounts: make another admin first.",
}
_KNOWN: Final = tuple(_WORDS)


async def list_accounts(visit: Visit) -> Response:
    return await _list(visit)


async def create_account(visit: Visit) -> Response:
    name = visit.form["name"].strip()
    try:
        number = await _number(visit)
        password = await visit.services.accounts.create(name, {number: visit.form["role"]})
    except _KNOWN as error:
        return await _list(visit, _WORDS[type(error)])
    except (LookupError, InvalidNameError) as error:
        return await _list(visit, str(error))
    visit.target = name
    return visit.show("accounts/made.html", 201, name=name, password=password)


async def change_role(visit: Visit) -> Response:
    name, role = visit.form["name"], visit.form["role"]
    visit.target = f"{name}: {role}" if role in (*ROLES, "none") else name
    try:
        await visit.services.accounts.grant(name, await _number(visit), None if role == "none" else role)
    except _KNOWN as error:
        return await _list(visit, _WORDS[type(error)])
    except LookupError as error:
        return await _list(visit, str(error))
    return visit.go("/accounts", f"The account {name} has other roles.")


async def reset_password(visit: Visit) -> Response:
    name = visit.target = visit.form["name"]
    try:
        password = await visit.services.accounts.reset(name)
    except accounts.UnknownNameError:
        return await _list(visit, _UNKNOWN)
    return visit.show("accounts/made.html", 200, name=name, password=password)


async def delete_account(visit: Visit) -> Response:
    name = visit.target = visit.form["name"]
    try:
        await visit.services.accounts.delete(name)
    except _KNOWN as error:
        return await _list(visit, _WORDS[type(error)])
    return visit.go("/accounts", f"The account {name} is deleted.")


async def own_password(visit: Visit) -> Response:
    return _password(visit)


async def change_own_password(visit: Visit) -> Response:
    """Ends all log-ins of the account, so that who knew the old password is out."""
    form, name = visit.form, visit.visitor.account
    if form["new"] != form["again"]:
        return _password(visit, "The two new passwords differ.")
    try:
        await visit.services.log_ins.check(name, form["old"], visit.client)
        await visit.services.accounts.reset(name, form["new"])
    except WrongPasswordError:
        return _password(visit, "The password until now is another one.")
    except InvalidPasswordError as error:
        return _password(visit, str(error))
    return see_other(LOG_IN)


async def _number(visit: Visit) -> int:
    """The workspace that the form names; EVERYWHERE for an empty name. Raises LookupError with a sentence."""
    name = visit.form["workspace"].strip()
    if not name:
        return EVERYWHERE
    for one in await visit.services.workspaces.listed():
        if one.name == name and one.id is not None:
            return one.id
    raise LookupError(_NO_WORKSPACE)


async def _list(visit: Visit, wrong: str = "") -> Response:
    names = {one.id: one.name for one in await visit.services.workspaces.listed()}
    found = [
        (
            one,
            [(None if number == EVERYWHERE else names.get(number, number), role) for number, role in one.roles.items()],
        )
        for one in await visit.services.accounts.listed()
    ]
    return visit.show("accounts/list.html", 422 if wrong else 200, accounts=found, wrong=wrong, roles_of_all=ROLES)


def _password(visit: Visit, wrong: str = "") -> Response:
    return visit.show("accounts/password.html", 422 if wrong else 200, wrong=wrong, shortest=SHORTEST)


PAGES: Final = (
    Page("/accounts", list_accounts, role=ADMIN, title="Accounts"),
    Page("/accounts", create_account, role=ADMIN, method="POST", act="accounts.create"),
    Page("/accounts/role", change_role, role=ADMIN, method="POST", act="accounts.role"),
    Page("/accounts/reset", reset_password, role=ADMIN, method="POST", act="accounts.reset"),
    Page("/accounts/delete", delete_account, role=ADMIN, method="POST", act="accounts.delete"),
    Page("/password", own_password, title="Password"),
    Page("/password", change_own_password, method="POST", act="password"),
)
