"""`mainspring setup`: makes a Temporal server ready for Mainspring. The edge."""

import typer

from mainspring.contracts.names import WAITS_FOR
from mainspring.errors import SetupError


def setup() -> None:
    """Register the search attribute by which waiting runs are found (once per namespace; again does no harm)."""
    from mainspring.cli import interrupt

    typer.echo(interrupt.run(_register()))


async def _register() -> str:
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
    from temporalio.service import RPCError

    from mainspring.serve import connect
    from mainspring.settings import read_settings

    client = await connect(read_settings())
    where = f"in namespace {client.namespace!r}"
    operator, keyword = client.operator_service, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    try:
        known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
        found = known.custom_attributes.get(WAITS_FOR)
        if found == keyword:
            return f"The search attribute {WAITS_FOR!r} is registered {where} already; nothing was changed."
        if found is not None:
            raise SetupError(
                f"The search attribute {WAITS_FOR!r} is registered {where} with another type than Keyword. "
                "Remove it with 'temporal operator search-attribute remove', then run this again."
            )
        request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes={WAITS_FOR: keyword})
        await operator.add_search_attributes(request)
    except RPCError as error:
        raise SetupError(
            f"The search attribute {WAITS_FOR!r} could not be registered {where}: {error.message}. Runs go on without "
            "it, only the list of what waits stays empty. Whoever runs the server can add it: "
            f"temporal operator search-attribute create --name {WAITS_FOR} --type Keyword"
        ) from None
    return f"Registered the search attribute {WAITS_FOR!r} (Keyword) {where}."
