"""The web inbox: people see what waits for them, with its evidence, and decide. Server-rendered, no JavaScript.

It has no state of its own: requests come from queries, evidence from histories, decisions go as updates, and who is
logged in stands in a signed cookie. `app.make_app` gives the ASGI application; `people` says who may come.
"""
