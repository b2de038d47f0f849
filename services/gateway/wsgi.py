"""Entry for gunicorn: `gunicorn 'services.gateway.wsgi:make()'`."""
from __future__ import annotations

from flask import Flask

from services.gateway.app import create_app
from shared.bus.rpc import RpcClient
from shared.settings import from_environment


def make() -> Flask:
    """Return the application over RabbitMQ."""
    settings = from_environment()
    return create_app(RpcClient(settings.amqp_uri), settings)
