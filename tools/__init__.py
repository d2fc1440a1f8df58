"""Application: the tools of the desks, one module per system they talk to.

Of the refund desk: `shop` is the shop's database (`shop_seed` makes a new one), `mail` sends mail, and
`sink` is the mail server of the demo and the tests. Of the incident desk: `logs` searches the services'
log, `incidents` is its logbook. `database` opens the files of both.
Nothing here belongs to the engine: put your own tools here.
"""
