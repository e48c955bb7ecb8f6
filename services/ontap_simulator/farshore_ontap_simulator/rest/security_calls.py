"""Calls under /security: REST roles, and accounts that have them."""

from __future__ import annotations

import hashlib

from pydantic import Field

from farshore_ontap_simulator import errors
from farshore_ontap_simulator.errors import invalid_value, refused
from farshore_ontap_simulator.model.records import Account, Privilege, Role
from farshore_ontap_simulator.rest.api import Answer, Body, Json, Request, Route, Services, collection, created
from farshore_ontap_simulator.rest.roles import LEVELS

_ROLES = "/api/security/roles"
_ACCOUNTS = "/api/security/accounts"


class RoleBody(Body):
    name: str
    privileges: list[Privilege] = Field(min_length=1)


class RoleName(Body):
    name: str


class Application(Body):
    application: str
    authentication_methods: list[str]


class AccountBody(Body):
    name: str
    password: str = Field(min_length=8)
    role: RoleName
    applications: list[Application] = Field(min_length=1)


def _role(role: Role) -> Json:
    return {
        "name": role.name,
        "privileges": [{"path": one.path, "access": one.access} for one in role.privileges],
        "builtin": False,
        "scope": "cluster",
    }


def _account(account: Account) -> Json:
    return {"name": account.name, "role": {"name": account.role}, "scope": "cluster"}


def get_roles(services: Services, request: Request) -> Answer:
    return collection(request, [_role(role) for role in services.cluster.store.roles.all()], ("name",), "name")


def post_role(services: Services, request: Request) -> Answer:
    body = request.parse(RoleBody)
    for privilege in body.privileges:
        if privilege.access not in LEVELS:
            raise invalid_value("privileges.access", privilege.access)
    store = services.cluster.store
    with store.transaction():
        if store.roles.get(body.name) is not None:
            raise refused(errors.ENTRY_EXISTS, f'Role "{body.name}" already exists.', status=409)
        role = store.roles.put(Role(name=body.name, privileges=tuple(body.privileges)))
    return created(request, _role(role), f"{_ROLES}/{role.name}")


def get_accounts(services: Services, request: Request) -> Answer:
    return collection(request, [_account(one) for one in services.cluster.store.accounts.all()], ("name",), "name")


def post_account(services: Services, request: Request) -> Answer:
    body = request.parse(AccountBody)
    store = services.cluster.store
    if not any(one.application == "http" and "password" in one.authentication_methods for one in body.applications):
        raise invalid_value("applications", "only http with a password is simulated")
    with store.transaction():
        if store.roles.get(body.role.name) is None:
            raise invalid_value("role.name", body.role.name)
        if body.name == services.cluster.settings.username or store.accounts.get(body.name) is not None:
            raise refused(errors.ENTRY_EXISTS, f'Account "{body.name}" already exists.', status=409)
        digest = hashlib.sha256(body.password.encode()).hexdigest()
        account = store.accounts.put(Account(name=body.name, role=body.role.name, password_sha256=digest))
    return created(request, _account(account), f"{_ACCOUNTS}/{account.name}")


ROUTES = (
    Route("GET", _ROLES, get_roles),
    Route("POST", _ROLES, post_role),
    Route("GET", _ACCOUNTS, get_accounts),
    Route("POST", _ACCOUNTS, post_account),
)
