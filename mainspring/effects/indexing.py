"""Activity side, and the command line's. Which of our search attributes a server has, and of which types.

Runs are listed by them; without them runs go on, and the lists of what waits stay empty.
"""

from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client

from mainspring.contracts.names import SEARCH_ATTRIBUTES

_TYPES = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "KeywordList": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "Datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}


async def registered(client: Client, patience: timedelta | None = None) -> dict[str, bool]:
    """Our search attributes that the client's namespace has; whether each is of our type.

    Raises:
        RPCError: the server does not say.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    there = (await client.operator_service.list_search_attributes(request, timeout=patience)).custom_attributes
    return {name: there[name] == _TYPES[kind] for name, kind in SEARCH_ATTRIBUTES.items() if name in there}


async def usable(client: Client) -> frozenset[str]:
    """Our search attributes that may be set: those that are there with our type.

    Raises:
        RPCError: the server does not say.
    """
    return frozenset(name for name, fits in (await registered(client)).items() if fits)


async def register(client: Client, name: str) -> None:
    """Add one of our search attributes to the client's namespace.

    Raises:
        RPCError: the server refuses; it may be that whoever asks has no right to.
    """
    kind = _TYPES[SEARCH_ATTRIBUTES[name]]
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes={name: kind})
    await client.operator_service.add_search_attributes(request)
