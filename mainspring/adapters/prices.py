"""What a model call costs, from the price list of genai-prices (shipped with it: no network). Activity side."""

from decimal import ROUND_UP

MICROUSD = 1_000_000


def cost_microusd(provider: str, model: str, input_tokens: int, output_tokens: int) -> int | None:
    """The list price in millionths of a US dollar, rounded up; None where the list has no such model.

    Cached input is priced as if it were not cached, so this is an upper bound.
    """
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        price = calc_price(usage, model, provider_id=provider).total_price
    except LookupError:
        return None
    return int((price * MICROUSD).to_integral_value(ROUND_UP))
