"""Application: the tools of the refund desk, one module per system they talk to.

`shop` is the shop's database (`shop_seed` makes a new one), `mail` sends mail, and `sink` is the
mail server of the demo and the tests. Nothing here belongs to the engine: put your own tools here.
"""
