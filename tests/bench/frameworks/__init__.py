"""The same transfers by other frameworks, each in its own best way (`make bench PEERS=1`).

Their programs (`dbos_saga`, `celery_saga`) know nothing of ours: they get the statements of a step as text,
run in an environment of their own (`requirements.lock`), and say how many transfers they completed.
"""
