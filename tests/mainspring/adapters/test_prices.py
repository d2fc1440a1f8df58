import pytest

from mainspring.adapters.prices import cost_microusd


def test_price():
    """A known model costs what its price list says, in millionths of a dollar."""
    assert cost_microusd("openai", "gpt-4o", 1_000_000, 0) == 2_500_000


def test_rounded_up():
    """A fraction counts as a whole, so that a budget is never passed by rounding."""
    assert cost_microusd("openai", "gpt-4o", 1, 0) == 3


def test_dated_name():
    """The full name a provider answers with is known too."""
    assert cost_microusd("openai", "gpt-4o-2024-08-06", 0, 1000) == cost_microusd("openai", "gpt-4o", 0, 1000)


@pytest.mark.parametrize(("provider", "model"), [("openai", "no such model"), ("nobody", "gpt-4o"), ("ollama", "x")])
def test_unknown(provider, model):
    """What the list does not have costs an unknown amount, not nothing."""
    assert cost_microusd(provider, model, 1, 1) is None
